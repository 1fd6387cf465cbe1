"""Sessions and tokens, by which an account is recognised. Only hashes of the secrets are kept."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection
from typing import NamedTuple

from ...protocol.errors import Conflict, TokenUnknown, Unauthenticated
from ..shapes import Row, Sql
from . import accounts
from .accounts import HOOK, Account

MOST = 50
"""The most sessions of one account, and the most tokens."""
_COLUMNS = "hash, account_id, label, at, used_at, proved_at, ends_at, agent, address"
_TOKENS = "id, hash, account_id, name, scopes, rooms, at, used_at, ends_at"
_ACCOUNT = (
    "a.id, a.key, a.identity, a.name, a.skeleton, a.role, a.state, a.until, a.password, a.settings, a.keeper,"
    " a.revision, a.made_by, a.made_at, a.named_at, a.seen_at"
)


class Session(NamedTuple):
    """A browser or program that has signed in; times are milliseconds since 1970."""

    hash: bytes
    account_id: int
    label: str
    at: int
    used_at: int
    proved_at: int | None
    ends_at: int
    agent: str | None
    address: str | None

    @property
    def id(self) -> str:
        """Return eight letters that name the session without revealing its secret."""
        return short_id(self.hash)


class Token(NamedTuple):
    """A token of a program; `scopes` and `rooms` are separated by spaces."""

    id: str
    hash: bytes
    account_id: int
    name: str
    scopes: str
    rooms: str | None
    at: int
    used_at: int | None
    ends_at: int | None


def hashed(secret: str) -> bytes:
    """Return the hash that is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def short_id(digest: bytes) -> str:
    """Eight letters and digits of a hash."""
    return base64.b32encode(digest[:5]).decode().lower()


# --- Sessions ---------------------------------------------------------------------------------------


def start(sql: Sql, session: Session) -> None:
    """Store a new session; beyond `MOST`, the sessions that were used longest ago end."""
    sql.run(f"INSERT INTO session ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *session)
    for old in of_account(sql, session.account_id)[MOST:]:
        end(sql, old.hash)


def find(sql: Sql, digest: bytes) -> tuple[Session, Account] | None:
    """Return the session with that hash and its account, in any state."""
    row = sql.one(
        f"SELECT {', '.join('s.' + each for each in _COLUMNS.split(', '))}, {_ACCOUNT} FROM session s"
        " JOIN account a ON a.id = s.account_id WHERE s.hash = ?", digest,
    )  # fmt: skip
    return None if row is None else (_session(row[:9]), Account(*row[9:]))


def of_account(sql: Sql, account_id: int) -> list[Session]:
    """Return the sessions of an account, the one used last first."""
    rows = sql.all(
        f"SELECT {_COLUMNS} FROM session WHERE account_id = ? ORDER BY used_at DESC, at DESC, hash", account_id
    )
    return [_session(row) for row in rows]


def touch(sql: Sql, digest: bytes, at: int, address: str) -> None:
    """Remember that it was used."""
    sql.run("UPDATE session SET used_at = ?, address = ? WHERE hash = ?", at, address, digest)


def renew(sql: Sql, digest: bytes, new: bytes, at: int) -> bool:
    """Give a session another id, after a proof; return False if another request has done so, or has ended it."""
    sql.run("UPDATE session SET hash = ?, proved_at = ? WHERE hash = ?", new, at, digest)
    # Looked up by the new id: of two that came at once, the second one finds no row to change.
    return sql.one("SELECT 1 FROM session WHERE hash = ?", new) is not None


def hold(sql: Sql, account_id: int, digest: bytes, at: int) -> None:
    """Keep the session or token `digest` until the commit. Raises Unauthenticated if it has ended.

    What ends them with a new password, a ban or the account changes the account's row too: one of the two transactions
    waits for the other. A request may have waited long since it was let in, for its password to be hashed, for one.
    """
    sql.run("UPDATE account SET seen_at = seen_at WHERE id = ?", account_id)
    if sql.one(
        "SELECT 1 FROM session WHERE hash = ? AND ends_at > ? UNION ALL"
        " SELECT 1 FROM token WHERE hash = ? AND (ends_at IS NULL OR ends_at > ?)", digest, at, digest, at,
    ) is None:  # fmt: skip
        raise Unauthenticated("This session has ended: sign in again.")


def end(sql: Sql, digest: bytes) -> None:
    """End one."""
    sql.run("DELETE FROM session WHERE hash = ?", digest)


def end_all(sql: Sql, account_id: int, but: bytes = b"") -> None:
    """End the sessions of an account, all or all but one.

    It locks the account until the commit, as what begins a session or makes a link for one does (`hold`).
    """
    accounts.hold(sql, account_id)
    sql.run("DELETE FROM session WHERE account_id = ? AND hash <> ?", account_id, but)


def _session(row: Row) -> Session:
    return Session(bytes(row[0]), *row[1:])


# --- Tokens -----------------------------------------------------------------------------------------


def add_token(sql: Sql, token: Token) -> None:
    """Store a new token. Raises Conflict if the account has too many."""
    row = sql.one("SELECT count(*) FROM token WHERE account_id = ?", token.account_id)
    if row is not None and row[0] >= MOST:
        raise Conflict(f"An account may have {MOST} tokens.")
    sql.run(f"INSERT INTO token ({_TOKENS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *token)


def find_token(sql: Sql, token_id: str) -> tuple[Token, Account] | None:
    """Return the token with that id and its account, in any state."""
    row = sql.one(
        f"SELECT {', '.join('t.' + each for each in _TOKENS.split(', '))}, {_ACCOUNT} FROM token t"
        " JOIN account a ON a.id = t.account_id WHERE t.id = ?", token_id,
    )  # fmt: skip
    return None if row is None else (_token(row[:9]), Account(*row[9:]))


def hooks_of(sql: Sql, room: str) -> list[tuple[Token, Account]]:
    """Return the tokens of the hooks of `room` and their bots, the newest first."""
    rows = list(sql.all(
        "SELECT t.id FROM token t JOIN account a ON a.id = t.account_id WHERE a.settings = ? AND t.rooms = ?"
        " ORDER BY t.at DESC, t.id", HOOK, room,
    ))  # fmt: skip
    return [found for row in rows if (found := find_token(sql, row[0])) is not None]


def tokens_of(sql: Sql, account_id: int) -> list[Token]:
    """Return the tokens of an account, the newest first."""
    rows = sql.all(f"SELECT {_TOKENS} FROM token WHERE account_id = ? ORDER BY at DESC, id", account_id)
    return [_token(row) for row in rows]


def touch_token(sql: Sql, token_id: str, at: int) -> None:
    """Remember that it was used."""
    sql.run("UPDATE token SET used_at = ? WHERE id = ?", at, token_id)


def revoke_token(sql: Sql, account_id: int, token_id: str) -> None:
    """Revoke one of an account's. Raises TokenUnknown."""
    if sql.one("SELECT 1 FROM token WHERE id = ? AND account_id = ?", token_id, account_id) is None:
        raise TokenUnknown()
    sql.run("DELETE FROM token WHERE id = ?", token_id)


def revoke_any(sql: Sql, token_id: str) -> int:
    """Revoke a token of any account, and return that. Raises TokenUnknown."""
    row = sql.one("SELECT account_id FROM token WHERE id = ?", token_id)
    if row is None:
        raise TokenUnknown()
    revoke_token(sql, row[0], token_id)
    return int(row[0])


def revoke_tokens(sql: Sql, account_id: int) -> None:
    """Revoke all of an account."""
    sql.run("DELETE FROM token WHERE account_id = ?", account_id)


def _token(row: Row) -> Token:
    return Token(row[0], bytes(row[1]), *row[2:])


# --- Held connections -------------------------------------------------------------------------------


class Standing(NamedTuple):
    """The account of a held connection, as it is now."""

    state: str
    until: int | None
    role: str
    name: str


def access_revision(sql: Sql) -> int:
    """Return a number that changes whenever a session, token, account or guest loses a right."""
    row = sql.one("SELECT revision FROM access_revision WHERE id = 1")
    return 0 if row is None else int(row[0])


def standings(sql: Sql, accounts: Collection[int]) -> dict[int, Standing]:
    """Return those of the accounts that exist."""
    rows = sql.all(f"SELECT id, state, until, role, name FROM account WHERE id IN ({_marks(accounts)})", *accounts)
    return {row[0]: Standing(*row[1:]) for row in rows}


def living(sql: Sql, proofs: Collection[bytes], at: int, idle_ms: int) -> dict[bytes, int | None]:
    """Return those of `proofs`, hashes of sessions and tokens, that have not ended at `at`, and when they will."""
    marks = _marks(proofs)
    rows = sql.all(
        f"SELECT hash, ends_at, used_at FROM session WHERE hash IN ({marks})"
        f" UNION ALL SELECT hash, ends_at, NULL FROM token WHERE hash IN ({marks})", *proofs, *proofs,
    )  # fmt: skip
    ends = {
        bytes(digest): ends_at if used_at is None else min(ends_at, used_at + idle_ms)
        for digest, ends_at, used_at in rows
    }
    return {digest: end for digest, end in ends.items() if end is None or end > at}


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))

"""Accounts: their names, roles and states. Statements only; `hub` decides if the caller may use them.

A name is unique among all accounts by its skeleton, also a closed one's until its year is over. Every change of what
an account may do moves its `revision` in the same transaction, by which workers see it.
"""

from __future__ import annotations

import base64
import json
import secrets
import unicodedata
from typing import Any, NamedTuple

from ...protocol import names
from ...protocol.errors import AccountUnknown, Conflict, Invalid
from ...protocol.rights.principal import ACCOUNT
from .. import members
from ..programs import subscribers
from ..shapes import DELETED_ACCOUNT, Row, Sql

NAME_CHARS = 40
MOST_CLAIMS = 100
"""Visitors whose messages one account may claim: each statement about its own messages names them all."""
HOOK = '{"hook":true}'
"""The settings of the account of a hook."""
KEPT_NAME_MS = 365 * 86_400_000
"""Milliseconds for which the name of a closed account stays reserved."""
RENAME_EVERY_MS = 86_400_000
_OWN = ("session", "token", "blocked", "notice", "mention", "member", "own_ban", "presence")
"""Tables whose rows are deleted with the account."""
_RESERVED = {names.skeleton(each) for each in ("room", "here", "all", "everyone", "me", "system", DELETED_ACCOUNT)}
_COLUMNS = (
    "id, key, identity, name, skeleton, role, state, until, password, settings, keeper, revision, made_by, made_at,"
    " named_at, seen_at"
)

_DIRECT_WITH = (
    "SELECT o.account_id FROM member m JOIN room r ON r.id = m.room_id AND r.kind = 'direct'"
    " JOIN member o ON o.room_id = m.room_id AND o.account_id <> m.account_id WHERE m.account_id = ?"
)
_WAITS = (
    "state IN ('waiting', 'refused')"
    " AND (identity = ? OR identity IN (SELECT identity FROM claim WHERE account_id = ?))"
)
_SHARING = (
    "SELECT o.account_id FROM member m JOIN member o ON o.room_id = m.room_id WHERE m.account_id = ?"
)


class Account(NamedTuple):
    """One row; times are milliseconds since 1970."""

    id: int
    key: str
    identity: str
    name: str
    skeleton: str
    role: str
    state: str
    until: int | None
    password: str | None
    settings: str
    keeper: int | None
    revision: int
    made_by: int | None
    made_at: int
    named_at: int | None
    seen_at: int | None

    def is_active(self, at: int) -> bool:
        """Return True if the account may act at the time `at`: a ban may be over."""
        return is_active(self.state, self.until, at)

    def state_at(self, at: int) -> str:
        """Return its state at the time `at`: that of an account whose ban is over is ``active``."""
        return "active" if self.is_active(at) else self.state


def is_active(state: str, until: int | None, at: int) -> bool:
    """Return True if an account in `state` may act at the time `at`."""
    return state == "active" or (state == "banned" and until is not None and until <= at)


def public_id() -> str:
    """Make a new public id: 12 letters and digits."""
    return base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]


def clean_name(text: str) -> str:
    """Return `text` as the name of an account. Raises Invalid with the field `name`."""
    name = names.clean_name(text, "name", NAME_CHARS)
    if names.skeleton(name) in _RESERVED:
        raise Invalid("name", f"The name {name} is reserved.")
    return name


# --- Reading ----------------------------------------------------------------------------------------


def by_key(sql: Sql, key: str) -> Account:
    """Return the account with the public id `key`. Raises AccountUnknown."""
    return _needed(sql.one(f"SELECT {_COLUMNS} FROM account WHERE key = ?", key))


def by_id(sql: Sql, account_id: int) -> Account:
    """Return the account with the store's own key. Raises AccountUnknown."""
    return _needed(sql.one(f"SELECT {_COLUMNS} FROM account WHERE id = ?", account_id))


def by_identity(sql: Sql, identity: str) -> Account | None:
    """Return the account that owns messages by `identity`."""
    row = sql.one(f"SELECT {_COLUMNS} FROM account WHERE identity = ?", identity)
    return None if row is None else Account(*row)


def by_name(sql: Sql, name: str) -> Account | None:
    """Return the account whose name looks like `name`, closed ones too."""
    row = sql.one(f"SELECT {_COLUMNS} FROM account WHERE skeleton = ?", names.skeleton(name))
    return None if row is None else Account(*row)


def listed(
    sql: Sql, search: str = "", limit: int = 200, before: int | None = None, guest: int | None = None
) -> list[Account]:
    """Accounts that are not closed, the newest first, with store keys below `before`; with `guest`, as far as that
    account shares a room with them."""
    shared, values = ("", ()) if guest is None else (f" AND (id = ? OR id IN ({_SHARING}))", (guest, guest))
    rows = sql.all(
        f"SELECT {_COLUMNS} FROM account WHERE state <> 'closed' AND id < ?{shared} ORDER BY id DESC",
        2**62 if before is None else before, *values,
    )  # fmt: skip
    wanted = unicodedata.normalize("NFC", search).casefold()  # as names are
    return [each for each in map(_account, list(rows)) if wanted in each.name.casefold()][:limit]


def bots_of(sql: Sql, keeper: int | None = None) -> list[Account]:
    """Return the bots that are not closed, the newest first: all, or those of a keeper."""
    of, values = ("", ()) if keeper is None else (" AND keeper = ?", (keeper,))
    rows = sql.all(
        f"SELECT {_COLUMNS} FROM account WHERE role = 'bot' AND state <> 'closed'{of} ORDER BY id DESC", *values
    )
    return [Account(*row) for row in list(rows)]


def hand_over(sql: Sql, bot: Account, keeper: int) -> None:
    """Give a bot another keeper."""
    sql.run("UPDATE account SET keeper = ?, revision = revision + 1 WHERE id = ?", keeper, bot.id)


def revision(sql: Sql, account_id: int) -> int:
    """Return a number that changes with everything on which the account's rights depend."""
    # The part that a batch of writes changes is in a row of its own (`Ledger.touch`).
    row = sql.one(
        "SELECT a.revision + coalesce(i.revision, 0) FROM account a LEFT JOIN inbox_revision i ON i.account_id = a.id"
        " WHERE a.id = ?", account_id,
    )  # fmt: skip
    return 0 if row is None else int(row[0])


def share_a_room(sql: Sql, one: int, other: int) -> bool:
    """Return True if two accounts are members of a room together, or are the same."""
    return one == other or sql.one(f"SELECT 1 FROM account WHERE id = ? AND id IN ({_SHARING})", other, one) is not None


def any_there(sql: Sql) -> bool:
    """Return True if there is any account."""
    return sql.one("SELECT 1 FROM account LIMIT 1") is not None


def has_owner(sql: Sql, at: int, but: int = 0) -> bool:
    """Return True if there is an owner, other than the account `but`, that can act at the time `at`."""
    return sql.one(
        "SELECT 1 FROM account WHERE role = 'owner' AND id <> ?"
        " AND (state = 'active' OR (state = 'banned' AND until <= ?)) LIMIT 1", but, at,
    ) is not None  # fmt: skip


def names_of(sql: Sql, ids: set[int]) -> dict[int, str]:
    """Return the public ids of accounts, by store key."""
    return {key: row[0] for key in ids if (row := sql.one("SELECT key FROM account WHERE id = ?", key)) is not None}


def names_by_key(sql: Sql, keys: set[str]) -> dict[str, str]:
    """Return the names of accounts, by public id."""
    return {key: row[0] for key in keys if (row := sql.one("SELECT name FROM account WHERE key = ?", key)) is not None}


# --- Changing ---------------------------------------------------------------------------------------


def make(
    sql: Sql,
    name: str,
    role: str,
    at: int,
    *,
    password: str | None = None,
    made_by: int | None = None,
    keeper: int | None = None,
    identity: str | None = None,
    held: tuple[str | None, int] = (None, 0),
) -> Account:
    """Create an account. Raises Invalid, and Conflict if the name is taken.

    `held` is a visitor's identity and a time: names that other visitors have used in a room since are taken too.
    """
    sql.alone("account")
    name = clean_name(name)
    _free_name(sql, name, at, held)
    key = public_id()
    row = sql.one("SELECT coalesce(max(id), 0) + 1 FROM account")
    assert row is not None
    sql.run(
        "INSERT INTO account (id, key, identity, name, skeleton, role, password, keeper, made_by, made_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row[0], key, identity or ACCOUNT + key, name, names.skeleton(name), role, password, keeper, made_by, at,
    )  # fmt: skip
    if role not in ("guest", "bot"):
        members.join_default_rooms(sql, row[0], at)
    return by_key(sql, key)


def rename(sql: Sql, account: Account, name: str, at: int, *, held: tuple[str | None, int] = (None, 0)) -> None:
    """Give it another name. Raises Invalid, Conflict."""
    sql.alone("account")
    name = clean_name(name)
    if names.skeleton(name) != account.skeleton:
        _free_name(sql, name, at, held)
    sql.run(
        "UPDATE account SET name = ?, skeleton = ?, named_at = ?, revision = revision + 1 WHERE id = ?",
        name, names.skeleton(name), at, account.id,
    )  # fmt: skip
    # Direct rooms are named by their people, so the inboxes of the others change too.
    sql.run(f"UPDATE account SET revision = revision + 1 WHERE id IN ({_DIRECT_WITH})", account.id)


def set_role(sql: Sql, account: Account, role: str, at: int) -> None:
    """Give it another role. Raises Conflict for a bot, and if there would be no owner at the time `at`."""
    sql.alone("account")
    if account.role == "bot":
        raise Conflict("A bot stays a bot.")
    if role != "owner":
        keep_an_owner(sql, account, at)
    sql.run("UPDATE account SET role = ?, revision = revision + 1 WHERE id = ?", role, account.id)


def set_password(sql: Sql, account: Account, password: str) -> None:
    """Store the hash of a new password."""
    sql.run("UPDATE account SET password = ?, revision = revision + 1 WHERE id = ?", password, account.id)


def rehash(sql: Sql, account: Account, password: str) -> None:
    """Store the same password under stronger parameters, unless it has changed meanwhile."""
    sql.run("UPDATE account SET password = ? WHERE id = ? AND password = ?", password, account.id, account.password)


def hold(sql: Sql, account_id: int) -> None:
    """Lock the account until the commit: what is read of it from now on is what a change is made to."""
    sql.run("UPDATE account SET revision = revision WHERE id = ?", account_id)


def change_settings(sql: Sql, account: Account, changed: dict[str, Any]) -> None:
    """Set the settings that are the owner's own, of an account that was read after `hold`."""
    settings = json.dumps(json.loads(account.settings) | changed)
    sql.run("UPDATE account SET settings = ?, revision = revision + 1 WHERE id = ?", settings, account.id)


def close(sql: Sql, account: Account, at: int, *, claims: bool = False) -> None:
    """Close it for good, and its bots: the name stays reserved for a year. Raises Conflict for the last owner.

    With `claims` it keeps those, by which the messages that it wrote as a visitor are found.
    """
    sql.alone("account")
    keep_an_owner(sql, account, at)
    for bot in bots_of(sql, account.id):
        close(sql, bot, at)
    # Scheduled messages of the account would never be sent, and could not be cancelled.
    sql.run(
        f"UPDATE scheduled SET state = 'cancelled', message = '{{}}', code = NULL, source = NULL WHERE {_WAITS}",
        account.identity, account.id,
    )  # fmt: skip
    for table in (*_OWN, *(() if claims else ("claim",))):
        sql.run(f"DELETE FROM {table} WHERE account_id = ?", account.id)
    subscribers.remove_all(sql, account.id)
    sql.run("DELETE FROM ticket WHERE account_id = ? OR made_by = ?", account.id, account.id)
    sql.run(
        "UPDATE account SET state = 'closed', until = ?, password = NULL, settings = '{}', revision = revision + 1"
        " WHERE id = ?", at + KEPT_NAME_MS, account.id,
    )  # fmt: skip


def hold_scheduled(sql: Sql, account: Account) -> None:
    """Lock the scheduled messages that `close` cancels, as a delivery does before it locks a room or an account."""
    sql.run(f"UPDATE scheduled SET state = state WHERE {_WAITS}", account.identity, account.id)


def claim(sql: Sql, account: Account, identity: str) -> None:
    """Make a visitor's identity the account's own. Raises Conflict.

    Its messages are not counted here: that takes a look at all there are, and everybody waits for a transaction.
    """
    sql.alone("account")
    row = sql.one("SELECT account_id FROM claim WHERE identity = ?", identity)
    if row is not None and row[0] != account.id:
        raise Conflict("These messages belong to an account already.")
    if row is None:
        count = sql.one("SELECT count(*) FROM claim WHERE account_id = ?", account.id)
        if count is not None and count[0] >= MOST_CLAIMS:
            raise Conflict(f"An account may claim the messages of {MOST_CLAIMS} visitors.")
    # Those that wait now; later ones stay the visitor's, whose cookie may be in other hands by then.
    sql.run(
        "UPDATE scheduled SET identity = ? WHERE identity = ? AND state IN ('waiting', 'refused')",
        account.identity, identity,
    )  # fmt: skip
    if row is None:
        sql.run("INSERT INTO claim (identity, account_id) VALUES (?, ?)", identity, account.id)
        # What is its own is part of answers with a tag, which the revision moves.
        sql.run("UPDATE account SET revision = revision + 1 WHERE id = ?", account.id)


def unclaimed(sql: Sql, identity: str) -> int:
    """Count a visitor's messages that belong to no account."""
    if sql.one("SELECT 1 FROM claim WHERE identity = ?", identity) is not None:
        return 0
    return written_by(sql, identity)


def written_by(sql: Sql, identity: str) -> int:
    """Count the messages of `identity`."""
    row = sql.one("SELECT count(*) FROM message WHERE identity = ? AND deleted IS NULL", identity)
    return 0 if row is None else int(row[0])


def _free_name(sql: Sql, name: str, at: int, held: tuple[str | None, int]) -> None:
    """Raise Conflict if `name` is taken; take it from a closed account whose year is over."""
    there = by_name(sql, name)
    if there is not None:
        if there.state != "closed" or (there.until or 0) > at:
            raise Conflict(f"The name {name} is taken.", "name")
        sql.run("UPDATE account SET skeleton = ? WHERE id = ?", f"\n{there.key}", there.id)
    visitor, since = held
    other = sql.one(
        "SELECT 1 FROM name WHERE skeleton = ? AND at > ? AND identity <> ? LIMIT 1",
        names.skeleton(name), since, visitor or "",
    )  # fmt: skip
    if since and other is not None:
        raise Conflict(f"The name {name} is in use by a visitor.", "name")


def keep_an_owner(sql: Sql, account: Account, at: int) -> None:
    """Raise Conflict if `account` is the only owner that can act at the time `at`."""
    if account.role == "owner" and account.is_active(at) and not has_owner(sql, at, but=account.id):
        raise Conflict("This is the only owner; make another one first.")


def _account(row: Row) -> Account:
    return Account(*row)


def _needed(row: Row | None) -> Account:
    if row is None:
        raise AccountUnknown()
    return Account(*row)

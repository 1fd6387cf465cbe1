"""Tickets: links with a secret that make an owner, an account, or a new password. Only the hash is kept.

Lock order: accounts, then the links for them and those that they have made. So a link is used before or after its
account is changed, and no two transactions wait for each other's end.
"""

from __future__ import annotations

import base64
import re
import secrets
from typing import NamedTuple

from ...protocol.errors import LinkUnknown
from ..shapes import Sql
from . import accounts
from .sessions import hashed, short_id

MOST_USES = 1000
"""People for whom one invitation is, at most."""
_COLUMNS = "hash, id, kind, account_id, role, rooms, uses, used, made_by, at, ends_at, note"
_USABLE = "used < uses AND used < ? AND ends_at > ?"
_NOT_IN_A_CODE = re.compile(r"[\s-]+")
_CODE = re.compile(r"[a-z2-7]{32}")


class Ticket(NamedTuple):
    """One link; times are milliseconds since 1970."""

    hash: bytes
    id: str
    kind: str
    account_id: int | None
    role: str | None
    rooms: str | None
    uses: int
    used: int
    made_by: int | None
    at: int
    ends_at: int
    note: str | None


def new_code() -> str:
    """160 random bits, in groups of four letters and digits."""
    text = base64.b32encode(secrets.token_bytes(20)).decode().lower()
    return "-".join(text[place : place + 4] for place in range(0, len(text), 4))


def make(
    sql: Sql,
    kind: str,
    at: int,
    lasts_ms: int,
    *,
    uses: int = 1,
    role: str | None = None,
    rooms: tuple[str, ...] = (),
    account_id: int | None = None,
    made_by: int | None = None,
    note: str | None = None,
) -> tuple[Ticket, str]:
    """Make a new ticket and its code, which is not kept."""
    code = new_code()
    digest = _hash(code)
    ticket = Ticket(
        digest, short_id(digest), kind, account_id, role, " ".join(rooms) or None, uses, 0, made_by, at, at + lasts_ms,
        note,
    )  # fmt: skip
    sql.run(f"INSERT INTO ticket ({_COLUMNS}) VALUES ({', '.join('?' * len(ticket))})", *ticket)
    return ticket, code


def use(sql: Sql, kind: str, code: str, at: int, most: int = MOST_USES) -> Ticket:
    """Use a ticket once, in the transaction of its purpose. Raises LinkUnknown if it is unknown, used or too old.

    It has at most `most` uses, whatever it was made for. The account that it is for is locked until the commit.
    """
    of = sql.one("SELECT account_id FROM ticket WHERE hash = ? AND kind = ?", _hash(code), kind)
    if of is not None and of[0] is not None:
        accounts.hold(sql, of[0])
    row = sql.one(
        f"UPDATE ticket SET used = used + 1 WHERE hash = ? AND kind = ? AND {_USABLE} RETURNING {_COLUMNS}",
        _hash(code), kind, most, at,
    )  # fmt: skip
    if row is None:
        raise LinkUnknown()
    return Ticket(bytes(row[0]), *row[1:])


def check(sql: Sql, kind: str, code: str, at: int, most: int = MOST_USES) -> None:
    """Raise LinkUnknown if `use` would."""
    if sql.one(f"SELECT 1 FROM ticket WHERE hash = ? AND kind = ? AND {_USABLE}", _hash(code), kind, most, at) is None:
        raise LinkUnknown()


def listed(sql: Sql, kind: str, at: int, made_by: int | None = None, most: int = MOST_USES) -> list[Ticket]:
    """Tickets that can still be used, the newest first: all, or those that an account made."""
    rows = sql.all(f"SELECT {_COLUMNS} FROM ticket WHERE kind = ? AND {_USABLE} ORDER BY at DESC, id", kind, most, at)
    found = [Ticket(bytes(row[0]), *row[1:]) for row in rows]
    return [each for each in found if made_by is None or each.made_by == made_by]


def revoke(sql: Sql, ticket_id: str, made_by: int | None = None) -> None:
    """Revoke an invitation: any, or one that an account made. Raises LinkUnknown."""
    row = sql.one("SELECT hash, made_by FROM ticket WHERE id = ? AND kind = 'join'", ticket_id)
    if row is None or made_by not in (None, row[1]):
        raise LinkUnknown()
    sql.run("DELETE FROM ticket WHERE hash = ?", bytes(row[0]))


def revoke_kind(sql: Sql, kind: str, account_id: int | None = None) -> None:
    """Revoke all tickets of a kind, or those for one account."""
    if account_id is None:
        sql.run("DELETE FROM ticket WHERE kind = ?", kind)
    else:
        sql.run("DELETE FROM ticket WHERE kind = ? AND account_id = ?", kind, account_id)


def revoke_made_by(sql: Sql, account_id: int) -> None:
    """Revoke all links that an account made."""
    sql.run("DELETE FROM ticket WHERE made_by = ?", account_id)


def _hash(code: str) -> bytes:
    plain = _NOT_IN_A_CODE.sub("", code).lower()
    if not _CODE.fullmatch(plain):
        raise LinkUnknown()
    return hashed(plain)

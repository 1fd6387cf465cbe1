"""All that a store keeps of one account, for its owner: no secrets, and nothing that is another's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...protocol import events, json
from ..base import Transactions
from ..shapes import PART, Row, Sql
from . import accounts, callers, sessions
from .accounts import Account

VERSION = 1
_AT_ONCE = 200
"""Rows of one transaction: no reader holds one open while the lines go out."""
_MESSAGES_AT_ONCE = 20
"""Those of messages, which are up to 44 kB each."""
_OWN_ROOMS = " UNION ".join(
    f"SELECT room_id FROM {table} WHERE identity IN ({{marks}})"
    for table in ("message", "reaction", "emoji_reaction", "file")
)


class _Part(NamedTuple):
    """Rows of a room: the columns of their order come first."""

    table: str
    order: str
    columns: str
    condition: str = ""
    at_once: int = _AT_ONCE


_MESSAGES = _Part("message", "id", "body", " AND deleted IS NULL", _MESSAGES_AT_ONCE)
_REACTIONS = _Part("reaction", "message_id, identity", "value")
_EMOJI = _Part("emoji_reaction", "message_id, emoji, identity", "1")
_FILES = _Part("file", "at, id", "name, type, size, message_id, hash", " AND hash IS NOT NULL")


def lines(store: Transactions, account_id: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of the export: account, sessions, tokens, memberships, then those of each room, by its name.

    Each is read when it is asked for, in a transaction of a bounded number of rows.
    """

    def begin(sql: Sql) -> tuple[list[str], list[dict[str, Any]], list[Row]]:
        account = accounts.by_id(sql, account_id)
        identities = sorted({account.identity} | callers.claimed(sql, account.identity))
        own = _OWN_ROOMS.format(marks=_marks(identities))
        rooms = sql.all(f"SELECT id, name FROM room WHERE id IN ({own}) ORDER BY name", *identities * 4)
        return identities, list(_about(sql, account, identities)), list(rooms)

    identities, about, rooms = store.read_with(begin)
    yield from about
    for room_id, room in rooms:
        if PART not in room:
            yield from _of_room(store, room_id, room, identities)


def _about(sql: Sql, account: Account, identities: list[str]) -> Iterator[dict[str, Any]]:
    yield {"command": "export-own", "version": VERSION, "identities": identities}
    yield {
        "command": "account", "id": account.key, "name": account.name, "role": account.role,
        "at": events.rfc3339(account.made_at), "settings": json.loads(account.settings.encode()),
    }  # fmt: skip
    for session in sessions.of_account(sql, account.id):
        shown = {"agent": session.agent, "address": session.address}
        yield {
            "command": "session", "id": session.id, "label": session.label, "at": events.rfc3339(session.at),
            "used_at": events.rfc3339(session.used_at), **{key: value for key, value in shown.items() if value},
        }  # fmt: skip
    for token in sessions.tokens_of(sql, account.id):
        yield {"command": "token", "id": token.id, "name": token.name, "at": events.rfc3339(token.at)}
    yield from _memberships(sql, account)


def _memberships(sql: Sql, account: Account) -> Iterator[dict[str, Any]]:
    rows = sql.all(
        "SELECT r.name, m.role, m.at, m.read_id, m.read_n, m.level, m.muted_until FROM member m"
        " JOIN room r ON r.id = m.room_id WHERE m.account_id = ? ORDER BY r.name", account.id,
    )  # fmt: skip
    for room, role, at, read_id, read_n, level, muted_until in rows:
        line = {
            "command": "member", "room": room, "role": role, "joined": events.rfc3339(at),
            "read": {"id": read_id, "messages": read_n},
        }  # fmt: skip
        if level is not None:
            line["level"] = level
        if muted_until is not None:
            line["muted_until"] = events.rfc3339(muted_until)
        yield line


def _of_room(store: Transactions, room_id: int, room: str, identities: list[str]) -> Iterator[dict[str, Any]]:
    for _, body in _rows(store, _MESSAGES, room_id, identities):
        yield {"command": "message", "room": room, "message": json.own(body)}
    for message_id, _, value in _rows(store, _REACTIONS, room_id, identities):
        reaction = "like" if value > 0 else "dislike"
        yield {"command": "reaction", "room": room, "id": message_id, "reaction": reaction}
    for message_id, emoji, _, _ in _rows(store, _EMOJI, room_id, identities):
        yield {"command": "reaction", "room": room, "id": message_id, "reaction": emoji}
    for at, file_id, name, kind, size, message_id, digest in _rows(store, _FILES, room_id, identities):
        file = {"id": file_id, "name": name, "type": kind, "size": size}
        sent = {} if message_id is None else {"message": message_id}
        about = {"sha256": bytes(digest).hex(), "at": events.rfc3339(at), **sent}
        yield {"command": "file", "room": room, "file": file, **about}


def _rows(store: Transactions, part: _Part, room_id: int, identities: list[str]) -> Iterator[Row]:
    """Yield the order and the columns of the account's own rows of a room."""
    order = part.order.split(", ")
    select = (
        f"SELECT {part.order}, {part.columns} FROM {part.table} WHERE room_id = ?"
        f" AND identity IN ({_marks(identities)}){part.condition}"
    )
    last: tuple[Any, ...] = ()
    while True:
        beyond = f" AND ({part.order}) > ({_marks(order)})" if last else ""
        found = store.read_with(
            lambda sql, beyond=beyond, last=last: list(  # type: ignore[misc]  # bound as they are now
                sql.all(f"{select}{beyond} ORDER BY {part.order} LIMIT {part.at_once}", room_id, *identities, *last)
            )
        )
        yield from found
        if len(found) < part.at_once:
            return
        last = tuple(found[-1][: len(order)])


def _marks(values: list[str]) -> str:
    return ", ".join("?" * len(values))

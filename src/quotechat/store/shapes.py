"""Turn rows into the API's messages, rooms and scheduled messages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ..protocol import commands, cursor, events, json, rooms

Row = Sequence[Any]
PART = ".part-"
"""In the name of a room that is still being loaded (store/transfer/copying.py); no room that can be made has it."""


REMOVED = f"{PART}removed-"
"""Precedes the number of a removed room while its rows are deleted (store/maintenance/removal.py)."""


class Sql(Protocol):
    """One open transaction; ``?`` marks a parameter. SQLite and PostgreSQL both understand the statements."""

    def one(self, statement: str, *values: Any) -> Row | None: ...
    def all(self, statement: str, *values: Any) -> Iterable[Row]: ...
    def run(self, statement: str, *values: Any) -> None: ...

    def alone(self, table: str) -> None:
        """Lock `table` for inserts until the commit, against other callers of this method."""

    def clock(self, now: int) -> int:
        """Return the time by a clock that all processes share (milliseconds since 1970); `now` is this process's own.

        The processes of SQLite are on one machine, those of PostgreSQL share the clock of the database.
        """


ROW_BYTES = 220
"""The most that the envelope of an event adds to its body; counted for every row."""


class BoundedSql(Sql, Protocol):
    """A transaction that can stop reading rows early."""

    def within(self, most: int, statement: str, *values: Any, order: str) -> Iterable[Row]:
        """Return the rows of `statement` up to the one with which they reach `most` bytes.

        A row counts with its column `body` and `ROW_BYTES`. `order` repeats the ORDER BY of `statement`. Rows
        beyond are neither fetched nor sent.
        """


_ORDER = (
    "id", "user", "by", "bot", "message", "runs", "color", "reply_to", "files", "likes", "dislikes", "reactions", "at",
    "edited_at", "deleted", "moderated", "client_id",
)  # fmt: skip


def in_order(message: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a message in the protocol's order, those that it does not name at the end."""
    known = {name: message[name] for name in _ORDER if name in message}
    return known | message


def counted(message: dict[str, Any], likes: int, dislikes: int, reactions: str | None) -> dict[str, Any]:
    """Return `message` with its counts, `reactions` as JSON; empty fields are left out."""
    if likes:
        message["likes"] = likes
    if dislikes:
        message["dislikes"] = dislikes
    if reactions:
        message["reactions"] = json.own(reactions)
    return in_order(message) if likes or dislikes or reactions else message


def deleted_stub(message: dict[str, Any]) -> dict[str, Any]:
    """Return the stub of a deleted message."""
    return {"id": message["id"], "user": message["user"], "at": message["at"], "deleted": True}


DELETED_ACCOUNT = "Deleted account"
"""Instead of the name of an account that was deleted with its messages."""


def nameless_stub(message: dict[str, Any]) -> dict[str, Any]:
    """Return the stub of a deleted message whose author's account was deleted with its messages."""
    return deleted_stub(message) | {"user": DELETED_ACCOUNT}


def nameless_parent(message: dict[str, Any]) -> dict[str, Any]:
    """Return a reply to such a message."""
    parent = message.get("reply_to")
    if parent is None:
        return message
    return message | {"reply_to": {"id": parent["id"], "user": DELETED_ACCOUNT, "deleted": True}}


def removed_quote(quote: dict[str, Any]) -> dict[str, Any]:
    """Return the rest of a quote that its author took back; a client that knows nothing of that finds empty texts."""
    return {"id": quote["id"], "quote": "", "author": "", "at": quote["at"], "removed": True}


def without_words_of_others(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as its row keeps it: the excerpt of its parent is made at each read (store/presenting.py)."""
    parent = message.get("reply_to")
    return message if parent is None else message | {"reply_to": {"id": parent["id"], "user": parent["user"]}}


def without_excerpt(message: dict[str, Any]) -> dict[str, Any]:
    """Return a reply whose parent was deleted."""
    parent = message.get("reply_to")
    if parent is None:
        return message
    return message | {"reply_to": {"id": parent["id"], "user": parent["user"], "deleted": True}}


def room_info(
    name: str, title: str | None, kind: str, about: str, head: int, chain: bytes, at: int,
    last: int = 0, messages: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Return a room as the API shows it, without the fields that depend on the caller."""
    shown = rooms.shown(name, kind, title, rooms.parsed(about))
    shown |= {"cursor": cursor.at(head, chain), "at": events.rfc3339(at)}
    return shown | {field: count for field, count in (("last", last), ("messages", messages)) if count}


def schema(sql: Sql) -> int:
    """Return the number of the last migration that was made; the commands look at older stores too."""
    row = sql.one("SELECT value FROM meta WHERE key = 'schema'")
    return int(row[0]) if row is not None else 0


def content_of(said: commands.NewMessage) -> dict[str, Any]:
    """Return the content of a scheduled message to keep; empty fields are left out."""
    kept = {
        "user": said.user, "message": said.message, "color": said.color, "reply_to": said.reply_to, "files": said.files,
    }  # fmt: skip
    return {name: value for name, value in kept.items() if value is not None}


def waiting_message(
    scheduled_id: int, due: int, room: str, message: dict[str, Any], client_id: str | None, code: str | None = None
) -> dict[str, Any]:
    """Return a scheduled message as its sender sees it; `code` is that of the problem that refused it when due."""
    own = {name: value for name, value in message.items() if name != "runs"}
    if client_id is not None:
        own["client_id"] = client_id
    shown = {"id": scheduled_id, "send_at": events.rfc3339(due), "room": room, "message": own}
    return shown if code is None else shown | {"state": "refused", "code": code}


def event_of(room: str, row: Row) -> events.Event:
    """Return the event in a row of seq, tag, command, at, body."""
    return events.event(room, row[0], f"{row[0]}.{row[1]}", row[2], row[3], row[4].encode())

"""Take text out of events that stay: numbers, tags and the chain remain as they are.

The digest of what stood there first is kept beside a blanked event; with it the chain still verifies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..protocol import cursor, json
from .shapes import Row, Sql, deleted_stub, without_excerpt

_Blanked = Callable[[dict[str, Any]], dict[str, Any]]


def blank_message(sql: Sql, room_id: int, message_id: int) -> None:
    """Take a message's text out of the events that hold it, and out of the excerpts in replies to it."""
    for row in _events_of(sql, room_id, message_id):
        _blank(sql, room_id, row, deleted_stub)
    replies = sql.all("SELECT id FROM message WHERE room_id = ? AND reply_to = ?", room_id, message_id)
    for (reply,) in list(replies):
        blank_excerpt(sql, room_id, reply)


def blank_excerpt(sql: Sql, room_id: int, reply: int) -> None:
    """Take out of the events of the message `reply` what it shows of the one that it answers."""
    for row in _events_of(sql, room_id, reply):
        _blank(sql, room_id, row, without_excerpt)


def _events_of(sql: Sql, room_id: int, message_id: int) -> list[Row]:
    """The events that hold the whole message: the one that sent it and those that target it with text."""
    return list(
        sql.all(
            "SELECT seq, body, digest FROM event WHERE room_id = ? AND (seq = ? OR target = ?)",
            room_id, message_id, message_id,
        )
    )  # fmt: skip


def _blank(sql: Sql, room_id: int, row: Row, blanked: _Blanked) -> None:
    seq, encoded, digest = row
    body = json.own(encoded)
    if "user" not in body.get("message", {}):
        return  # it carries an id and perhaps counts, and no text
    first = digest if digest is not None else cursor.digest(encoded.encode())
    sql.run(
        "UPDATE event SET body = ?, digest = ? WHERE room_id = ? AND seq = ?",
        json.dumps(body | {"message": blanked(body["message"])}).decode(), first, room_id, seq,
    )  # fmt: skip

"""Present events and messages as they are served now, independent of when they were stored.

Nothing of a deleted message is served from the commit on, though its events are redacted later (`redaction`). A reply
shows its parent as it is now: an excerpt that was stored would outlive an edit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..protocol import json
from ..protocol.markup import text
from .maintenance.redaction import Pending, pending
from .shapes import Row, Sql

REDACTING = "EXISTS (SELECT 1 FROM redaction WHERE redaction.room_id = room.id)"
"""Of a room: whether events of it wait to be redacted."""
_MOST_NAMED = 500


def messages(sql: Sql, room_id: int, found: list[dict[str, Any]]) -> None:
    """Let the replies among `found` show their parents as these are now."""
    replies = [message for message in found if "reply_to" in message]
    if not replies:
        return
    parents = _parents(sql, room_id, {message["reply_to"]["id"] for message in replies})
    for message in replies:
        shown = message["reply_to"]
        now = parents.get(shown["id"], {"deleted": True})
        message["reply_to"] = {"id": shown["id"], "user": shown["user"], **now}


def events(sql: Sql, room_id: int, rows: Iterable[Row], *, redacting: bool) -> list[Row]:
    """Rows of seq, tag, command, at, body as they are served; `redacting` as of `REDACTING`."""
    hidden = pending(sql, room_id) if redacting else Pending(frozenset(), frozenset())
    found: list[Row] = [(*row[:4], hidden.redacted(row[4], None)[0]) for row in rows]
    # Quotation marks in a text are escaped, so this is the key and nothing that was said.
    bodies = {place: json.own(row[4]) for place, row in enumerate(found) if '"reply_to":{' in row[4]}
    messages(sql, room_id, [body["message"] for body in bodies.values()])
    for place, body in bodies.items():
        found[place] = (*found[place][:4], json.dumps(body).decode())
    return found


def parent(message: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the parent that a reply shows, beside its id and user."""
    return {"deleted": True} if message.get("deleted") else {"excerpt": text.excerpt_of(message)}


def _parents(sql: Sql, room_id: int, ids: set[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), _MOST_NAMED):
        some = wanted[start : start + _MOST_NAMED]
        rows = sql.all(
            f"SELECT id, body FROM message WHERE room_id = ? AND id IN ({', '.join('?' * len(some))})", room_id, *some
        )
        for number, body in rows:
            # Its author may be nameless by now.
            message = json.own(body)
            found[number] = {"user": message["user"], **parent(message)}
    return found

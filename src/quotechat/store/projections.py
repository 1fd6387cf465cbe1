"""Apply each event to messages, reactions and quotes, the tables that readers of a snapshot see, and to the counts.

Every projection is a function of its entry and of the results of earlier ones, so it runs twice: when the
event is appended, in the same transaction, and again when all is rebuilt from the log. Then the message that an
entry changes may be kept no longer; such an entry makes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..protocol import events, json
from .files.attaching import drop
from .shapes import Sql, deleted_stub, without_words_of_others

_LAST = "SELECT id FROM message WHERE room_id = ? AND id < ? AND deleted IS NULL ORDER BY id DESC LIMIT 1"
_NEWS = frozenset({
    events.MESSAGE_SENT, events.MESSAGE_DELETED, events.ROOM_CHANGED, events.MEMBER_JOINED, events.MEMBER_LEFT,
})  # fmt: skip
"""Events that can change an inbox."""


@dataclass(slots=True)
class Counts:
    """A room's newest message that is not deleted, its messages so far, and a number that moves with its news."""

    last: int = 0
    messages: int = 0
    news: int = 0


class Entry(NamedTuple):
    """One entry of the log: the event, and beside it fields that readers never see.

    `target` is the message that it changes, `identity` its author, `reaction` 1, -1 or 0. With an
    `emoji` it says whether that was added or taken back.
    """

    room_id: int
    seq: int
    command: str
    body: dict[str, Any]
    target: int | None = None
    identity: str | None = None
    reaction: int | None = None
    emoji: str | None = None


def project(sql: Sql, entry: Entry, counts: Counts, floor: int = 0) -> None:
    """Bring the tables and the room's `counts` up to `entry`; messages sent up to `floor` are kept no longer."""
    if entry.command in _NEWS:
        counts.news += 1
    if entry.target is not None and entry.target <= floor:
        return
    _PROJECTIONS[entry.command](sql, entry, counts)


def known(command: str) -> bool:
    """Return True if there are such events."""
    return command in _PROJECTIONS


def _message_sent(sql: Sql, entry: Entry, counts: Counts) -> None:
    message = entry.body["message"]
    counts.last, counts.messages = entry.seq, counts.messages + 1
    sql.run(
        "INSERT INTO message (room_id, id, identity, body, reply_to, n) VALUES (?, ?, ?, ?, ?, ?)",
        entry.room_id, entry.seq, entry.identity, json.dumps(without_words_of_others(message)).decode(),
        message.get("reply_to", {}).get("id"), counts.messages,
    )  # fmt: skip


_COUNTS = ("likes", "dislikes", "reactions")


def _message_edited(sql: Sql, entry: Entry, counts: Counts) -> None:
    # The counts stand in columns of their own.
    message = {name: value for name, value in entry.body["message"].items() if name not in _COUNTS}
    sql.run(
        "UPDATE message SET body = ?, edits = edits + 1 WHERE room_id = ? AND id = ?",
        json.dumps(without_words_of_others(message)).decode(), entry.room_id, entry.target,
    )  # fmt: skip


def _message_deleted(sql: Sql, entry: Entry, counts: Counts) -> None:
    key = (entry.room_id, entry.target)
    row = sql.one("SELECT body FROM message WHERE room_id = ? AND id = ?", *key)
    assert row is not None, "a deletion without its message"
    if '"files":[' in row[0]:
        drop(sql, "room_id = ? AND message_id = ?", *key)
    stub = json.dumps(deleted_stub(json.own(row[0])) | _moderated(entry)).decode()
    sql.run(
        "UPDATE message SET body = ?, likes = 0, dislikes = 0, reactions = NULL, deleted = ?, reply_to = NULL"
        " WHERE room_id = ? AND id = ?", stub, entry.seq, *key,
    )  # fmt: skip
    for table in ("reaction", "emoji_reaction"):
        sql.run(f"DELETE FROM {table} WHERE room_id = ? AND message_id = ?", *key)
    if counts.last == entry.target:
        before = sql.one(_LAST, *key)
        counts.last = 0 if before is None else before[0]


def _moderated(entry: Entry) -> dict[str, Any]:
    return {"moderated": True} if entry.body["message"].get("moderated") else {}


def _reactions_changed(sql: Sql, entry: Entry, counts: Counts) -> None:
    now, key = entry.body["message"], (entry.room_id, entry.target)
    if entry.emoji is not None:
        _emoji_changed(sql, entry, now.get("reactions"))
        return
    sql.run(
        "UPDATE message SET likes = ?, dislikes = ? WHERE room_id = ? AND id = ?",
        now["likes"], now["dislikes"], *key,
    )  # fmt: skip
    if entry.reaction == 0:
        sql.run(
            "DELETE FROM reaction WHERE room_id = ? AND message_id = ? AND identity = ?", *key, entry.identity
        )
    else:
        sql.run(
            "INSERT INTO reaction (room_id, message_id, identity, value) VALUES (?, ?, ?, ?) ON CONFLICT"
            " (room_id, message_id, identity) DO UPDATE SET value = excluded.value",
            *key, entry.identity, entry.reaction,
        )  # fmt: skip


def _emoji_changed(sql: Sql, entry: Entry, now: dict[str, int] | None) -> None:
    key = (entry.room_id, entry.target)
    kept = json.dumps(now).decode() if now else None
    sql.run("UPDATE message SET reactions = ? WHERE room_id = ? AND id = ?", kept, *key)
    own = (*key, entry.identity, entry.emoji)
    if entry.reaction == 0:
        sql.run(
            "DELETE FROM emoji_reaction WHERE room_id = ? AND message_id = ? AND identity = ? AND emoji = ?", *own
        )
    else:
        sql.run(
            "INSERT INTO emoji_reaction (room_id, message_id, identity, emoji) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (room_id, message_id, identity, emoji) DO NOTHING", *own,
        )  # fmt: skip


def _quote_added(sql: Sql, entry: Entry, counts: Counts) -> None:
    quote = entry.body["quote"]
    sql.run(
        "INSERT INTO quote (id, room_id, seq, identity, body) VALUES (?, ?, ?, ?, ?)",
        quote["id"], entry.room_id, entry.seq, entry.identity, json.dumps(quote).decode(),
    )  # fmt: skip


def _quote_removed(sql: Sql, entry: Entry, counts: Counts) -> None:
    quote = entry.body["quote"]
    sql.run(
        "UPDATE quote SET body = ?, removed = ? WHERE id = ?", json.dumps(quote).decode(), entry.seq, quote["id"]
    )  # fmt: skip


def _belonging_changed(sql: Sql, entry: Entry, counts: Counts) -> None:
    """Do nothing: the settings and members of a room, and acts, are in tables of their own or only in the log."""


_PROJECTIONS: dict[str, Callable[[Sql, Entry, Counts], None]] = {
    events.MESSAGE_SENT: _message_sent,
    events.MESSAGE_EDITED: _message_edited,
    events.MESSAGE_DELETED: _message_deleted,
    events.REACTIONS_CHANGED: _reactions_changed,
    events.QUOTE_ADDED: _quote_added,
    events.QUOTE_REMOVED: _quote_removed,
    events.AUDIT: _belonging_changed,
    events.ROOM_CHANGED: _belonging_changed,
    events.MEMBER_JOINED: _belonging_changed,
    events.MEMBER_CHANGED: _belonging_changed,
    events.MEMBER_LEFT: _belonging_changed,
}

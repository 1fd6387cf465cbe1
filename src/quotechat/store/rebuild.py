"""Make the projections anew from the log: messages, reactions and quotes are what the events say.

Shipped quotes have no event and stay. `sent`, `scheduled` and `name` are not projections: what they hold is
private, and the log does not tell it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..protocol import events, json
from .ledger import Sql, deleted_stub, set_reaction

_COUNTS = ("likes", "dislikes")


def rebuild(sql: Sql, progress: Callable[[int, int], None]) -> int:
    """Drop and rebuild, in one open write transaction; how many events were replayed.

    `progress` is called with the events done and all there are, now and then.
    """
    count = sql.one("SELECT count(*) FROM event")
    assert count is not None
    for statement in ("DELETE FROM message", "DELETE FROM reaction", "DELETE FROM quote WHERE seq IS NOT NULL"):
        sql.run(statement)
    done = 0
    rows = sql.all("SELECT room_id, seq, command, body, target, identity, reaction FROM event ORDER BY room_id, seq")
    for room_id, seq, command, body, target, identity, reaction in rows:
        _REPLAY[command](sql, room_id, seq, json.loads(body), target, identity, reaction)
        done += 1
        if done % 1000 == 0:
            progress(done, count[0])
    progress(done, count[0])
    return done


def _sent(sql: Sql, room_id: int, seq: int, body: Any, target: Any, identity: str | None, reaction: Any) -> None:
    message = body["message"]
    sql.run(
        "INSERT INTO message (room_id, id, identity, body, reply_to) VALUES (?, ?, ?, ?, ?)",
        room_id, seq, identity, json.dumps(message).decode(), message.get("reply_to", {}).get("id"),
    )  # fmt: skip


def _edited(sql: Sql, room_id: int, seq: int, body: Any, target: Any, identity: str | None, reaction: Any) -> None:
    message = {name: value for name, value in body["message"].items() if name not in _COUNTS}
    sql.run(
        "UPDATE message SET body = ? WHERE room_id = ? AND id = ?", json.dumps(message).decode(), room_id, target
    )


def _deleted(sql: Sql, room_id: int, seq: int, body: Any, target: Any, identity: str | None, reaction: Any) -> None:
    row = sql.one("SELECT body FROM message WHERE room_id = ? AND id = ?", room_id, target)
    assert row is not None, "a deletion without its message"
    stub = json.dumps(deleted_stub(json.loads(row[0]))).decode()
    sql.run(
        "UPDATE message SET body = ?, likes = 0, dislikes = 0, deleted = ?, reply_to = NULL"
        " WHERE room_id = ? AND id = ?", stub, seq, room_id, target,
    )  # fmt: skip
    sql.run("DELETE FROM reaction WHERE room_id = ? AND message_id = ?", room_id, target)


def _reacted(sql: Sql, room_id: int, seq: int, body: Any, target: Any, identity: str, reaction: int) -> None:
    counts = body["message"]
    set_reaction(sql, room_id, target, identity, reaction, counts["likes"], counts["dislikes"])


def _quoted(sql: Sql, room_id: int, seq: int, body: Any, target: Any, identity: str | None, reaction: Any) -> None:
    quote = body["quote"]
    sql.run(
        "INSERT INTO quote (id, room_id, seq, identity, body) VALUES (?, ?, ?, ?, ?)",
        quote["id"], room_id, seq, identity, json.dumps(quote).decode(),
    )  # fmt: skip


_REPLAY: dict[str, Callable[..., None]] = {
    events.MESSAGE_SENT: _sent,
    events.MESSAGE_EDITED: _edited,
    events.MESSAGE_DELETED: _deleted,
    events.REACTIONS_CHANGED: _reacted,
    events.QUOTE_ADDED: _quoted,
}

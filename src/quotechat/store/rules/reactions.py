"""The rule of reactions: a person has one like or dislike on a message, and any number of emoji, each once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from ...protocol import events, json
from ...protocol.commands import React, Reaction
from ...protocol.errors import Conflict, MessageUnknown
from ...protocol.rights.principal import has_own_id
from ..base import Stored
from ..shapes import Sql
from .asked import Asked

MOST_EMOJI = 20
"""Different emoji on one message."""
_VALUES = {"like": 1, "dislike": -1, "none": 0}
_COUNTS = "SELECT likes, dislikes, deleted, reactions FROM message WHERE room_id = ? AND id = ?"
_LIKE = "SELECT value FROM reaction WHERE room_id = ? AND message_id = ? AND identity = ?"
_EMOJI = "SELECT 1 FROM emoji_reaction WHERE room_id = ? AND message_id = ? AND identity = ? AND emoji = ?"
_HAS_CLAIMED = (
    "SELECT c.identity FROM claim c JOIN account a ON a.id = c.account_id WHERE a.identity = ? LIMIT 1"
)
_OF_CLAIMED = (
    " JOIN claim c ON c.identity = r.identity JOIN account a ON a.id = c.account_id"
    " WHERE r.room_id = ? AND r.message_id = ? AND a.identity = ?"
)
_CLAIMED_LIKE = f"SELECT r.identity FROM reaction r{_OF_CLAIMED} ORDER BY r.identity LIMIT 1"
_CLAIMED_EMOJI = f"SELECT r.identity FROM emoji_reaction r{_OF_CLAIMED} AND r.emoji = ? ORDER BY r.identity LIMIT 1"


class _Change(NamedTuple):
    """What a reaction changes: the body of the event, 1, -1 or 0, and the emoji that was added (1) or taken back."""

    body: dict[str, Any]
    reaction: int
    emoji: str | None = None


def react(asked: Asked, command: React) -> Stored:
    """Set or take back a reaction."""
    holder = _holder(asked, command.message)
    change = _change(asked.ledger.sql, asked.room.id, holder, command.message)
    if change is None:
        return _last(asked, command.message.id)
    return asked._replace(write=replace(asked.write, identity=holder)).append(
        events.REACTIONS_CHANGED, change.body, target=command.message.id, reaction=change.reaction, emoji=change.emoji
    )


def _holder(asked: Asked, said: Reaction) -> str:
    """Return the identity that has the reaction, or gets it: a visitor's whom the sender has claimed, or the sender's.

    So a person who had an account only later does not count twice, and takes back what it set before.
    """
    identity, sql = asked.need_identity(), asked.ledger.sql
    if not has_own_id(identity) or sql.one(_HAS_CLAIMED, identity) is None:
        return identity
    own, claimed, emoji = (_EMOJI, _CLAIMED_EMOJI, (said.reaction,)) if said.is_emoji else (_LIKE, _CLAIMED_LIKE, ())
    values = (asked.room.id, said.id, identity, *emoji)
    row = sql.one(claimed, *values) if sql.one(own, *values) is None else None
    return identity if row is None else str(row[0])


def _last(asked: Asked, message_id: int) -> Stored:
    """It is so already: the answer names the event that last touched the message, and none is added."""
    row = asked.ledger.sql.one(
        # The numbers by the index first: else SQLite looks through all that came later in the room.
        "SELECT max(seq) FROM event WHERE room_id = ? AND command = ?"
        " AND seq IN (SELECT seq FROM event WHERE room_id = ? AND target = ?)",
        asked.room.id, events.REACTIONS_CHANGED, asked.room.id, message_id,
    )  # fmt: skip
    return asked.ledger.stored(asked.room, row[0] if row and row[0] is not None else message_id)


def _change(sql: Sql, room_id: int, identity: str, asked: Reaction) -> _Change | None:
    """Return the change that `asked` makes, or None if it makes none. Raises MessageUnknown, Conflict."""
    row = sql.one(_COUNTS, room_id, asked.id)
    if row is None:
        raise MessageUnknown(asked.id)
    likes, dislikes, deleted, reactions = row
    if deleted is not None:
        raise Conflict("This message is deleted.")
    counts: dict[str, int] = json.own(reactions) if reactions else {}
    if asked.is_emoji:
        return _emoji(sql, (room_id, asked.id, identity), asked, (likes, dislikes), counts)
    value = _VALUES[asked.reaction]
    was = sql.one(_LIKE, room_id, asked.id, identity)
    before = was[0] if was else 0
    if value == before:
        return None
    likes += (value == 1) - (before == 1)
    dislikes += (value == -1) - (before == -1)
    return _Change(_body(asked.id, likes, dislikes, counts), value)


def _emoji(
    sql: Sql, key: tuple[int, int, str], asked: Reaction, likes: tuple[int, int], counts: dict[str, int]
) -> _Change | None:
    emoji, on = asked.reaction, asked.on is not False
    if on == (sql.one(_EMOJI, *key, emoji) is not None):
        return None
    if on and emoji not in counts and len(counts) >= MOST_EMOJI:
        raise Conflict(f"A message can have {MOST_EMOJI} different emoji.")
    counts[emoji] = counts.get(emoji, 0) + (1 if on else -1)
    if not counts[emoji]:
        del counts[emoji]
    return _Change(_body(asked.id, *likes, counts), int(on), emoji)


def _body(message_id: int, likes: int, dislikes: int, counts: dict[str, int]) -> dict[str, Any]:
    message: dict[str, Any] = {"id": message_id, "likes": likes, "dislikes": dislikes}
    if counts:
        message["reactions"] = counts
    return {"message": message}


def likely_reads(asked: Reaction, identity: str, room_id: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the single-row reads that `react` makes, as (statement, values)."""
    yield _COUNTS, (room_id, asked.id)
    if has_own_id(identity):
        yield _HAS_CLAIMED, (identity,)
    if asked.is_emoji:
        yield _EMOJI, (room_id, asked.id, identity, asked.reaction)
    else:
        yield _LIKE, (room_id, asked.id, identity)

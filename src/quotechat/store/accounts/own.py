"""All that a store keeps of one account, for its owner: no secrets, and nothing that is another's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...protocol import events, json
from ..shapes import PART, Sql
from . import callers, sessions
from .accounts import Account

VERSION = 1


def lines(sql: Sql, account: Account) -> Iterator[dict[str, Any]]:
    """Yield the lines of the export: account, sessions, tokens, then messages and reactions of every room."""
    identities = sorted({account.identity} | callers.claimed(sql, account.identity))
    yield {"command": "export-own", "version": VERSION, "identities": identities}
    yield {
        "command": "account", "id": account.key, "name": account.name, "role": account.role,
        "at": events.rfc3339(account.made_at), "settings": json.loads(account.settings.encode()),
    }  # fmt: skip
    for session in sessions.of_account(sql, account.id):
        yield {
            "command": "session", "id": session.id, "label": session.label, "at": events.rfc3339(session.at),
            "used_at": events.rfc3339(session.used_at), "agent": session.agent, "address": session.address,
        }  # fmt: skip
    for token in sessions.tokens_of(sql, account.id):
        yield {"command": "token", "id": token.id, "name": token.name, "at": events.rfc3339(token.at)}
    rooms = list(sql.all("SELECT id, name FROM room ORDER BY name"))
    for room_id, room in rooms:
        if PART not in room:
            yield from _of_room(sql, room_id, room, identities)


def _of_room(sql: Sql, room_id: int, room: str, identities: list[str]) -> Iterator[dict[str, Any]]:
    marks = ", ".join("?" * len(identities))
    messages = sql.all(
        f"SELECT body FROM message WHERE room_id = ? AND deleted IS NULL AND identity IN ({marks}) ORDER BY id",
        room_id, *identities,
    )  # fmt: skip
    for (body,) in messages:
        yield {"command": "message", "room": room, "message": json.own(body)}
    reactions = sql.all(
        f"SELECT message_id, value FROM reaction WHERE room_id = ? AND identity IN ({marks}) ORDER BY message_id",
        room_id, *identities,
    )  # fmt: skip
    for message_id, value in reactions:
        reaction = "like" if value > 0 else "dislike"
        yield {"command": "reaction", "room": room, "id": message_id, "reaction": reaction}
    emoji = sql.all(
        f"SELECT message_id, emoji FROM emoji_reaction WHERE room_id = ? AND identity IN ({marks})"
        " ORDER BY message_id, emoji", room_id, *identities,
    )  # fmt: skip
    for message_id, reaction in emoji:
        yield {"command": "reaction", "room": room, "id": message_id, "reaction": reaction}

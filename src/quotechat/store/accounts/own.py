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
    """Yield the lines of the export: account, sessions, tokens, memberships, then what is in each room."""
    identities = sorted({account.identity} | callers.claimed(sql, account.identity))
    yield {"command": "export-own", "version": VERSION, "identities": identities}
    yield {
        "command": "account", "id": account.key, "name": account.name, "role": account.role,
        "at": events.rfc3339(account.made_at), "settings": json.loads(account.settings.encode()),
    }  # fmt: skip
    for session in sessions.of_account(sql, account.id):
        about = {"agent": session.agent, "address": session.address}
        yield {
            "command": "session", "id": session.id, "label": session.label, "at": events.rfc3339(session.at),
            "used_at": events.rfc3339(session.used_at), **{key: value for key, value in about.items() if value},
        }  # fmt: skip
    for token in sessions.tokens_of(sql, account.id):
        yield {"command": "token", "id": token.id, "name": token.name, "at": events.rfc3339(token.at)}
    yield from _memberships(sql, account)
    rooms = list(sql.all("SELECT id, name FROM room ORDER BY name"))
    for room_id, room in rooms:
        if PART not in room:
            yield from _of_room(sql, room_id, room, identities)


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
    files = sql.all(
        "SELECT id, name, type, size, at, message_id FROM file WHERE room_id = ? AND hash IS NOT NULL"
        f" AND identity IN ({marks}) ORDER BY at, id", room_id, *identities,
    )  # fmt: skip
    for file_id, name, kind, size, at, message_id in files:
        file = {"id": file_id, "name": name, "type": kind, "size": size}
        sent = {} if message_id is None else {"message": message_id}
        yield {"command": "file", "room": room, "file": file, "at": events.rfc3339(at), **sent}

"""The permissions of a principal: pure tables, one for rooms, one for the whole server.

The setting `access` decides before that if a visitor may use the server at all; the tables begin behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from .principal import Principal

READ: Final = "read"
WRITE: Final = "write"
WRITE_RESTRICTED: Final = "write-restricted"
"""Write in a room whose `posting` is `managers`."""
CHANGE_OWN: Final = "change-own"
"""Edit and delete one's own messages, and react."""
DELETE_OTHERS: Final = "delete-others"
MANAGE: Final = "manage"
"""Change the room's kind, its members and its hooks."""
MENTION_FEW: Final = "mention-few"
"""Mention ``@room`` in a room with at most 20 members."""
MENTION_ALL: Final = "mention-all"
LIST_MEMBERS: Final = "list-members"

CREATE_ROOM: Final = "create-room"
CREATE_CLOSED: Final = "create-closed"
BEGIN_DIRECT: Final = "begin-direct"
INVITE: Final = "invite"
CREATE_BOT: Final = "create-bot"
ADMINISTER: Final = "administer"

_OWN = {READ, WRITE, CHANGE_OWN}
_MEMBER = _OWN | {MENTION_FEW, LIST_MEMBERS}
_MANAGER = _MEMBER | {WRITE_RESTRICTED, DELETE_OTHERS, MANAGE, MENTION_ALL}

#: By standing: the actions allowed in an open room, and in a closed or direct one.
_ROOMS: Mapping[str, tuple[set[str], set[str]]] = {
    "visitor": (_OWN, set()),
    "guest": (set(), set()),
    "member": (_MEMBER, set()),
    "admin": (_MANAGER, set()),
    "guest in": (_OWN | {LIST_MEMBERS}, _OWN | {LIST_MEMBERS}),
    "member in": (_MEMBER, _MEMBER),
    "manager in": (_MANAGER, _MANAGER),
}


def allows(principal: Principal, action: str, room_kind: str = "open", membership: str | None = None) -> bool:
    """Return True if `principal` may do `action` in a room of `room_kind` in which it is `membership`.

    `room_kind` is ``open``, ``closed``, ``direct`` or ``log``; `membership` is None, ``member`` or ``manager``. The
    rooms and scopes of a token are not looked at.
    """
    return _allows(principal.role, action, room_kind, membership)


def may_read(role: str, room_kind: str, membership: str | None) -> bool:
    """Return True if an account of `role`, or a visitor, may read a room of `room_kind`; see `allows`."""
    return _allows(role, READ, room_kind, membership)


@lru_cache(1024)  # asked at every read, and several times for each message
def _allows(role: str, action: str, room_kind: str, membership: str | None) -> bool:
    if room_kind == "log":
        return action == READ and role in ("admin", "owner")
    column = 0 if room_kind == "open" else 1
    return any(action in _ROOMS[standing][column] for standing in _standings(role, membership))


def _standings(role: str, membership: str | None) -> list[str]:
    base = {"owner": "admin", "bot": "member"}.get(role, role)
    if membership is None:
        return [base]
    return [base, "guest in" if role == "guest" else f"{membership} in"]


#: By role: the actions on the whole server, each with the setting of the site that must be `all` for it.
_SERVER: Mapping[str, Mapping[str, str | None]] = {
    "visitor": {CREATE_ROOM: "rooms_by"},
    "guest": {BEGIN_DIRECT: None},
    "bot": {CREATE_ROOM: "rooms_by"},
    "member": {CREATE_ROOM: "rooms_by", CREATE_CLOSED: "rooms_by", BEGIN_DIRECT: "directs", INVITE: "invites_by",
               CREATE_BOT: "bots_by"},
    "admin": dict.fromkeys((CREATE_ROOM, CREATE_CLOSED, BEGIN_DIRECT, INVITE, CREATE_BOT, ADMINISTER)),
}


def allows_on_server(principal: Principal, action: str, site: Mapping[str, str]) -> bool:
    """Return True if `principal` may do `action`, which is about no room; `site` are the settings of the site.

    If `directs` is ``none``, nobody begins direct rooms, administrators and guests neither.
    """
    actions = _SERVER["admin" if principal.role == "owner" else principal.role]
    if action not in actions or (action == BEGIN_DIRECT and site["directs"] == "none"):
        return False
    setting = actions[action]
    return setting is None or site[setting] == "all"


#: Commands for which a token needs the scope `write`.
_WRITE: Final = frozenset({
    "send-message", "edit-message", "delete-message", "react", "cancel-scheduled", "add-quote", "remove-quote",
    "join", "mark-read", "set-level", "typing",
})  # fmt: skip
_READ: Final = frozenset({"subscribe", "unsubscribe", "ping"})


def scope_of(command: str) -> str:
    """Return the scope that a token needs for the command of that name; one that is not listed needs `manage`."""
    if command in _READ:
        return "read"
    return "write" if command in _WRITE else "manage"

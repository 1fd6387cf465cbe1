"""The rules of rooms: make one, begin a direct one, change the settings of one."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from typing import Any

from msgspec import UNSET, structs

from ...protocol import commands, events, rooms
from ...protocol.commands import AboutChange, SetRoom
from ...protocol.errors import AccountUnknown, Conflict, Forbidden, Invalid, Unauthenticated
from ...protocol.rights.permissions import BEGIN_DIRECT, CREATE_CLOSED, CREATE_ROOM, allows_on_server
from .. import listing, members
from ..accounts import accounts, callers
from ..accounts.accounts import Account
from ..accounts.callers import Standing
from ..administration import site
from ..base import BeginDirect, Created, CreateRoom, Stored, Write
from ..ledger import Ledger
from ..rooms import make_room, random_tail
from ..shapes import Sql
from .asked import Asked, Settings
from .members import check_joined, enter

MOST_OTHERS = 9
_TAIL = 6
_LONGEST_WISH = 63 - 1 - _TAIL


def create(ledger: Ledger, command: CreateRoom, write: Write, settings: Settings) -> Created:
    """Make a room; its creator is its manager, and the members of a closed one are its first events.

    Return the room that the same form has made, as of a double click, if its creator is still in it.
    """
    standing = callers.standing(ledger.sql, write, 0)
    closed = command.kind == rooms.CLOSED
    _need_right(ledger.sql, standing, write, CREATE_CLOSED if closed else CREATE_ROOM)
    creator = _own(ledger.sql, standing)
    invited = [each for each in _accounts(ledger.sql, command.members, write.at) if each != creator]
    name, is_there = _closed_name(ledger, command, creator) if closed else (_open_name(command.name), False)
    if is_there and creator is not None:
        return Created(listing.one(ledger.sql, name, creator.id), duplicate=True)
    check_joined(ledger.sql, *[each.id for each in (creator, *invited) if each is not None])
    room = make_room(ledger, name, command.title, write.at, most=settings.most_rooms, kind=command.kind)
    asked = Asked(ledger, room, write, settings, standing)
    if creator is not None:
        enter(asked, creator, "manager")
        asked.tell("room-made")
    for account in invited:
        enter(asked, account, "member")
    return Created(_as_created(asked, command.title, creator, "manager"))


def find_direct(sql: Sql, command: BeginDirect, write: Write) -> Created | None:
    """Return the direct room of these people, None if they have none. Raises as `begin_direct`."""
    return _direct_of(sql, *_people(sql, callers.standing(sql, write, 0), command, write))


def begin_direct(ledger: Ledger, command: BeginDirect, write: Write, settings: Settings) -> Created:
    """Return the direct room of these people, which is made if it is not there."""
    sql = ledger.sql
    standing = callers.standing(sql, write, 0)
    own, others = _people(sql, standing, command, write)
    # The lock keeps other transactions from making the same room.
    sql.alone("direct")
    there = _direct_of(sql, own, others)
    if there is not None:
        return there
    _need_right(sql, standing, write, BEGIN_DIRECT)
    for other in others:
        if own.role == "guest" and not members.share_a_room(sql, own.id, other.id):
            raise AccountUnknown()
        if members.is_blocked(sql, own.id, other.id):
            raise Forbidden(f"{other.name} takes no direct messages from you.")
    check_joined(sql, own.id, *[each.id for each in others])
    name = rooms.DIRECT_PREFIX + random_tail(12)
    pair = _pair([own, *others])
    room = make_room(ledger, name, None, write.at, most=settings.most_directs, kind=rooms.DIRECT, pair=pair)
    asked = Asked(ledger, room, write, settings, standing)
    for account in (own, *others):
        enter(asked, account, "member")
    return Created(_as_created(asked, None, own, "member", others))


def change(asked: Asked, command: SetRoom) -> Stored:
    """Change the settings of a room; the event has all of them."""
    room, wanted = asked.room, command.about
    row = asked.ledger.sql.one("SELECT title FROM room WHERE id = ?", room.id)
    assert row is not None
    _check(asked, wanted)
    after = _changed(asked.about, wanted)
    kind = room.kind if wanted.kind is UNSET else wanted.kind
    if kind == rooms.CLOSED:
        after = structs.replace(after, default=False)
    title = row[0] if wanted.title is UNSET else wanted.title or None
    if room.kind == rooms.OPEN and kind == rooms.CLOSED:
        _keep_a_manager(asked)
    room.kind, room.about = kind, rooms.dumped(after)
    asked.ledger.sql.run(
        "UPDATE room SET title = ?, kind = ?, about = ? WHERE id = ?", title, kind, room.about, room.id
    )
    asked.tell("room-changed")
    return asked.append(events.ROOM_CHANGED, {"about": rooms.shown(room.name, kind, title, after)} | asked.by)


# --- Inside -----------------------------------------------------------------------------------------


def _check(asked: Asked, wanted: AboutChange) -> None:
    """Raise Forbidden, Invalid or Conflict for a change that cannot be made here."""
    room = asked.room
    if wanted.default is not UNSET and not (asked.write.operator or asked.standing.principal.is_admin):
        raise Forbidden("Only administrators choose the rooms that everybody joins.")
    if room.kind == rooms.DIRECT:
        raise Conflict("A direct room never changes.")
    if wanted.default is True and (wanted.kind == rooms.CLOSED or (wanted.kind is UNSET and room.kind != rooms.OPEN)):
        raise Invalid("default", "Everybody joins open rooms only.")
    if room.name == commands.LOBBY and (wanted.kind == rooms.CLOSED or wanted.archived is True):
        raise Conflict("The lobby stays open.")
    if room.kind == rooms.CLOSED and wanted.kind == rooms.OPEN and not wanted.everything:
        raise Invalid("everything", "All that was ever said here opens too: agree with everything: true.")


def _changed(about: rooms.About, wanted: AboutChange) -> rooms.About:
    given: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("posting", "slow", "default", "archived")
        if getattr(wanted, name) is not UNSET
    }
    if wanted.topic is not UNSET:
        given["topic"] = wanted.topic or ""
    return structs.replace(about, **given)


def _keep_a_manager(asked: Asked) -> None:
    """Make the account that closes a room its manager, if it has none. Raises Conflict."""
    if members.has_manager(asked.ledger.sql, asked.room.id, asked.write.at):
        return
    own = _own(asked.ledger.sql, asked.standing)
    if own is None:
        raise Conflict("A closed room needs a manager.")
    if asked.standing.membership is None:
        enter(asked, own, "manager")
    else:
        asked.ledger.sql.run(
            "UPDATE member SET role = 'manager' WHERE account_id = ? AND room_id = ?", own.id, asked.room.id
        )


def _need_right(sql: Sql, standing: Standing, write: Write, action: str) -> None:
    if not write.operator and not allows_on_server(standing.principal, action, site.all_of(sql)):
        raise Forbidden(_REASONS[action])


_REASONS = {
    CREATE_ROOM: "Only administrators create rooms here.",
    CREATE_CLOSED: "You may not create closed rooms here.",
    BEGIN_DIRECT: "You may not begin direct messages here.",
}


def _own(sql: Sql, standing: Standing) -> Account | None:
    account = standing.principal.account
    return None if account is None else accounts.by_id(sql, account)


def _accounts(sql: Sql, ids: tuple[str, ...], at: int) -> list[Account]:
    """Return the accounts of those ids, each once. Raises AccountUnknown if one is not there, or may not act."""
    found = [accounts.by_key(sql, each) for each in dict.fromkeys(ids)]
    if not all(account.is_active(at) for account in found):
        raise AccountUnknown()
    return found


def _open_name(name: str) -> str:
    if name.startswith(rooms.DIRECT_PREFIX):
        raise Invalid("name", f"Names that begin with {rooms.DIRECT_PREFIX} are those of direct rooms.")
    return name


def _closed_name(ledger: Ledger, command: CreateRoom, creator: Account | None) -> tuple[str, bool]:
    """Return the name of a closed room, and True if its form has made it before and its creator is still in it."""
    if command.form is not None and creator is not None:
        name = _tailed(command.name, b32encode(command.form).decode().lower()[:_TAIL])
        # The lock keeps another transaction from making it at the same moment.
        ledger.sql.alone(f"room {name}")
        found = members.membership(ledger.sql, name, creator.id)
        if found is None or found.role is not None:
            return name, found is not None
    return _tailed(command.name, random_tail(_TAIL)), False


def _tailed(wish: str, tail: str) -> str:
    """Return the name of a closed room: neither the name nor a refusal reveals other rooms."""
    if len(wish) > _LONGEST_WISH:
        raise Invalid("name", f"The name of a closed room has at most {_LONGEST_WISH} characters; a tail is added.")
    return f"{_open_name(wish)}-{tail}"


def _people(sql: Sql, standing: Standing, command: BeginDirect, write: Write) -> tuple[Account, list[Account]]:
    """Return the caller and the others of a direct room. Raises Unauthenticated, AccountUnknown, Invalid."""
    own = _own(sql, standing)
    if own is None:
        raise Unauthenticated("This needs an account: sign in, or send a token.")
    others = [each for each in _accounts(sql, command.members, write.at) if each != own]
    if len(others) > MOST_OTHERS:
        raise Invalid("members", f"A direct room has at most {MOST_OTHERS} others.")
    return own, others


def _direct_of(sql: Sql, own: Account, others: list[Account]) -> Created | None:
    there = sql.one("SELECT name FROM room WHERE pair = ?", _pair([own, *others]))
    return None if there is None else Created(listing.one(sql, there[0], own.id), duplicate=True)


def _pair(people: list[Account]) -> bytes:
    """Return the key of a direct room, equal for the same people."""
    return hashlib.blake2b("\n".join(sorted(each.key for each in people)).encode(), digest_size=16).digest()


def _as_created(
    asked: Asked, title: str | None, own: Account | None, role: str, others: list[Account] | None = None
) -> dict[str, Any]:
    """Return the new room as its creator sees it."""
    room, at = asked.room, asked.write.at
    you = None if own is None else listing.Own(role, at, room.head, room.counts.messages, None, None)
    count = members.count(asked.ledger.sql, room.id) if room.kind == rooms.CLOSED else None
    return listing.shown(room, title, at, you, count, None if others is None else [(a.key, a.name) for a in others])

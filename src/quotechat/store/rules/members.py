"""The rules of membership: join, add, change, remove. In closed and direct rooms each is an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...protocol import commands, events, moments, names, rooms
from ...protocol.commands import AddMember, Join, RemoveMember, SetMember
from ...protocol.errors import AccountUnknown, Conflict, Forbidden
from ...protocol.rights.principal import Principal
from .. import members
from ..accounts import accounts
from ..accounts.accounts import Account
from ..accounts.callers import Standing
from ..base import Accepted, BeginDirect, CreateRoom, Stored, Write
from ..ledger import Ledger
from ..members import Member
from ..shapes import DELETED_ACCOUNT, Sql
from . import places, rights
from .asked import Asked, Settings

MOST_MUTED_DAYS = 365


def join(asked: Asked, command: Join) -> Accepted:
    """Become a member of an open room."""
    account = rights.need_account(asked)
    if asked.standing.membership is None:
        enter_quietly(asked, account)
    return Accepted({"inbox": places.entry(asked, account).shown()})


def enter_quietly(asked: Asked, account: int) -> None:
    """Make an account a member of an open room. Raises Conflict if it is in too many."""
    check_joined(asked.ledger.sql, account)
    _insert(asked, account, "member")


def join_by_speaking(asked: Asked) -> None:
    """Make the sender of a message a member of the open room; it has read its own message."""
    account = asked.standing.principal.account
    if account is None:
        return
    sql, room = asked.ledger.sql, asked.room
    if asked.standing.membership is None and members.joined(sql, account) < members.MOST_JOINED:
        _insert(asked, account, "member")
    if asked.about.slow:
        sql.run("UPDATE member SET spoke_at = ? WHERE account_id = ? AND room_id = ?", asked.write.at, account, room.id)


def add(asked: Asked, command: AddMember) -> Stored | Accepted:
    """Add an account to the room."""
    _check_changes(asked)
    account = _account(asked, command.member)
    there = members.one(asked.ledger.sql, asked.room.id, account.key)
    role = command.member.role
    if there is not None:
        return _set_role(asked, there, role or there.role)
    _check_role(account.role, role or "member")
    asked.tell("let-in" if asked.write.operator else "member-added", account=account.key)
    return enter(asked, account, role or "member")


def enter(asked: Asked, account: Account, role: str) -> Stored | Accepted:
    """Make an account, which is none yet, a member. Raises Conflict if the room or the account has too many."""
    sql, room = asked.ledger.sql, asked.room
    check_joined(sql, account.id)
    if rooms.is_private(room.kind) and members.count(sql, room.id) >= members.MOST_MEMBERS:
        raise Conflict(f"A closed room has at most {members.MOST_MEMBERS:,} members.")
    member = Member(account.id, account.key, account.name, account.role, role)
    outcome = _tell(asked, events.MEMBER_JOINED, member, {"member": member.shown()})
    _insert(asked, account.id, role)
    return outcome


def change(asked: Asked, command: SetMember) -> Stored | Accepted:
    """Change the role of a member, or mute it. In an open room an account need not have joined before."""
    wanted, sql, room = command.member, asked.ledger.sql, asked.room
    _check_changes(asked)
    until = _muted_until(asked, wanted)
    member = members.one(sql, room.id, wanted.id)
    if member is None:
        if rooms.is_private(room.kind):
            raise AccountUnknown()
        account = _account(asked, commands.NewMember(id=wanted.id))
        _check_role(account.role, _role(wanted.role, "member"))
        enter(asked, account, "member")
        member = Member(account.id, account.key, account.name, account.role, "member")
    outcome = _set_role(asked, member, _role(wanted.role, member.role))
    if isinstance(wanted.muted_until, str) or wanted.muted_until is None:
        _mute(asked, member, until)
    return outcome


def remove(asked: Asked, command: RemoveMember) -> Stored | Accepted:
    """Remove a member, or leave."""
    own = command.member.id == asked.standing.principal.id
    if not own:
        rights.need_scope(asked, "manage")
    _check_changes(asked)
    member = members.one(asked.ledger.sql, asked.room.id, command.member.id)
    if member is None:
        return Accepted({})
    _keep_a_manager(asked, member)
    _keep_a_mute(asked, member, own=own)
    if not own:
        asked.tell("member-removed", account=member.id)
    return let_go(asked, member, "left" if own else "removed")


def let_go(asked: Asked, member: Member, reason: str) -> Stored | Accepted:
    """End a membership, and delete the rows that depend on it."""
    sql, room = asked.ledger.sql, asked.room
    outcome = _tell(asked, events.MEMBER_LEFT, member, _left(member, reason))
    members.remove(sql, room.id, member.account)
    sql.run("DELETE FROM mention WHERE account_id = ? AND room_id = ?", member.account, room.id)
    asked.ledger.touch(member.account)
    return outcome


def check_joined(sql: Sql, *numbers: int) -> None:
    """Raise Conflict if an account is in too many rooms; for several at once, before their room is made."""
    if any(members.joined(sql, number) >= members.MOST_JOINED for number in numbers):
        raise Conflict(f"An account is in at most {members.MOST_JOINED:,} rooms.")


def added(writes: Iterable[Write]) -> tuple[list[str], list[str]]:
    """Return the public ids, and the names as they are compared, of accounts that these writes may make members.

    They are locked with the senders: none of them is closed between the look at it and the commit.
    """
    keys, skeletons = list[str](), list[str]()
    for command in (write.command for write in writes):
        if isinstance(command, CreateRoom | BeginDirect):
            keys += command.members
        elif isinstance(command, AddMember | SetMember) and command.member.id is not None:
            keys.append(command.member.id)
        elif isinstance(command, AddMember):
            skeletons.append(names.skeleton(command.member.name or ""))
    return keys, skeletons


def private_rooms(sql: Sql, account: int) -> dict[int, str]:
    """Return the names of the private rooms of an account, by the store's keys of the rooms."""
    rows = sql.all(
        "SELECT r.id, r.name, r.kind FROM member m JOIN room r ON r.id = m.room_id WHERE m.account_id = ?", account
    )
    return {room_id: name for room_id, name, kind in list(rows) if rooms.is_private(kind)}


def leave_all(sql: Sql, account: Account, private: Mapping[int, str], at: int, *, nameless: bool = False) -> None:
    """End every membership of an account that closes, in one open write transaction; `nameless` if its name goes.

    `private` are all its private rooms, which `closing.hold` has locked: only in these an event is appended. Senders
    there wait, so for each room there are few statements.
    """
    user = DELETED_ACCOUNT if nameless else account.name
    member = Member(account.id, account.key, user, account.role, "member")
    ledger = Ledger(sql)
    ledger.read_rooms(private.values())
    for room_id in sorted(private):
        command = RemoveMember(member=commands.MemberId(account.key), room=private[room_id])
        write = Write(command, at, operator=True)
        asked = Asked(ledger, ledger.room(command.room), write, Settings(), Standing(Principal(None)))
        _tell(asked, events.MEMBER_LEFT, member, _left(member, "closed"))
    if private:
        ledger.touch(account.id)
    ledger.flush()
    for table in ("member", "mention", "blocked", "notice"):
        sql.run(f"DELETE FROM {table} WHERE account_id = ?", account.id)


# --- Inside -----------------------------------------------------------------------------------------


def _left(member: Member, reason: str) -> dict[str, Any]:
    """Return the body of the event that a member has left."""
    return {"member": {"id": member.id, "user": member.name}, "reason": reason}


def _set_role(asked: Asked, member: Member, role: str) -> Stored | Accepted:
    changed = member._replace(role=role)
    if role == member.role:
        return Accepted({"member": changed.shown()})
    _check_role(member.account_role, role)
    _keep_a_manager(asked, member)
    asked.ledger.sql.run(
        "UPDATE member SET role = ? WHERE account_id = ? AND room_id = ?", role, member.account, asked.room.id
    )
    asked.ledger.touch(member.account)
    return _tell(asked, events.MEMBER_CHANGED, changed, {"member": changed.shown()})


def _keep_a_mute(asked: Asked, member: Member, *, own: bool) -> None:
    """Raise Forbidden or Conflict if a muted member would leave an open room: it could come back and speak."""
    if rooms.is_private(asked.room.kind) or member.account_role == "guest" or asked.write.operator:
        return
    row = asked.ledger.sql.one(
        "SELECT coalesce(muted_until, 0) FROM member WHERE account_id = ? AND room_id = ?",
        member.account, asked.room.id,
    )  # fmt: skip
    left = (0 if row is None else row[0]) - asked.write.at
    if left > 0 and own:
        raise Forbidden("You are muted in this room, and can leave it when that is over.", retry_in_ms=left)
    if left > 0:
        raise Conflict("A muted member could come back and speak: end the mute first, or let it be.")


def _mute(asked: Asked, member: Member, until: int | None) -> None:
    """Mute a member until then; only the member is notified."""
    sql, room = asked.ledger.sql, asked.room
    sql.run(
        "UPDATE member SET muted_until = ? WHERE account_id = ? AND room_id = ?", until, member.account, room.id
    )
    if until is not None:
        asked.tell("muted", account=member.id, detail=events.rfc3339(until))
        sql.run(
            "INSERT INTO notice (account_id, at, what, text) VALUES (?, ?, ?, ?)",
            member.account, asked.write.at, "muted", f"{room.name}, until {events.rfc3339(until)}",
        )  # fmt: skip
    asked.ledger.touch(member.account)


def _muted_until(asked: Asked, wanted: commands.MemberChange) -> int | None:
    if not isinstance(wanted.muted_until, str):
        return None
    return moments.due(wanted.muted_until, asked.write.at, MOST_MUTED_DAYS, "muted_until")


def _insert(asked: Asked, account: int, role: str) -> None:
    """Add the row of a member; all earlier messages count as read."""
    room = asked.room
    members.add(asked.ledger.sql, room.id, account, role, (room.head, room.counts.messages), asked.write.at)
    asked.ledger.touch(account)


def _tell(asked: Asked, event: str, member: Member, body: dict[str, Any]) -> Stored | Accepted:
    """Append the event of a membership, if the room's log has its members."""
    if rooms.is_private(asked.room.kind):
        return asked.append(event, body | asked.by)
    return Accepted({} if event == events.MEMBER_LEFT else {"member": member.shown()})


def _account(asked: Asked, wanted: commands.NewMember) -> Account:
    """Return an account that may act. Raises AccountUnknown."""
    sql = asked.ledger.sql
    found = accounts.by_key(sql, wanted.id) if wanted.id is not None else accounts.by_name(sql, wanted.name or "")
    if found is None or not found.is_active(asked.write.at):
        raise AccountUnknown()
    return found


def _role(wanted: object, otherwise: str) -> str:
    return wanted if isinstance(wanted, str) else otherwise


def _check_changes(asked: Asked) -> None:
    if asked.room.kind == rooms.DIRECT:
        raise Conflict("The members of a direct room never change.")


def _check_role(account_role: str, role: str) -> None:
    if account_role == "guest" and role == "manager":
        raise Conflict("A guest manages no room.")


def _keep_a_manager(asked: Asked, member: Member) -> None:
    """Raise Conflict if the room would have no manager any more."""
    if member.role != "manager":
        return
    if not members.has_manager(asked.ledger.sql, asked.room.id, asked.write.at, but=member.account):
        raise Conflict("This is the only manager of the room; make another one first.")

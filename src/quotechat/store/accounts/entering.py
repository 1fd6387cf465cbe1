"""Let an account into rooms that an invitation names, or that the application around gives it."""

from __future__ import annotations

from collections.abc import Iterable

from ...protocol import rooms
from ...protocol.commands import AddMember, NewMember
from ...protocol.errors import Conflict, Forbidden, LinkUnknown, RoomUnknown
from ...protocol.rights.permissions import MANAGE, READ, allows
from ...protocol.rights.principal import Principal
from .. import members
from ..base import Write
from ..ledger import Ledger
from ..rules.asked import Asked, Settings
from ..rules.members import enter
from ..shapes import Sql
from . import accounts
from .accounts import Account
from .callers import Standing


def check(sql: Sql, by: Principal | None, names: Iterable[str]) -> None:
    """Raise RoomUnknown, Conflict or Forbidden if `by` may not let others into a room; None is the operator."""
    for name in names:
        found = members.membership(sql, name, by.account if by is not None else None)
        if found is None or found.kind == rooms.LOG:
            raise RoomUnknown(name)
        if by is not None and not allows(by, READ, found.kind, found.role):
            raise RoomUnknown(name)
        if found.kind == rooms.DIRECT:
            raise Conflict("The members of a direct room never change.", "rooms")
        if by is not None and not allows(by, MANAGE, found.kind, found.role):
            raise Forbidden(f"Only managers of {name} let people in there.")


def let_in(sql: Sql, account: Account, names: Iterable[str], at: int, by: int | None = None) -> None:
    """Make `account` a member of those rooms that are still there, and that the account `by` still manages.

    `by` is None for the operator and the application around. Raises LinkUnknown if the account `by` may not act.
    """
    inviter = None if by is None else accounts.by_id(sql, by)
    if inviter is not None and not inviter.is_active(at):
        raise LinkUnknown()
    maker = None if inviter is None else _principal(inviter)
    wanted = []
    for name in sorted(set(names)):
        found = members.membership(sql, name, by)
        if found is None or found.kind in (rooms.DIRECT, rooms.LOG):
            continue
        if maker is None or allows(maker, MANAGE, found.kind, found.role):
            wanted.append((found.room_id, name))
    for room_id, _ in sorted(wanted):
        # It locks the room, in every dialect.
        sql.run("UPDATE room SET floor = floor WHERE id = ?", room_id)
    ledger = Ledger(sql)
    for room_id, name in wanted:
        if members.one(sql, room_id, account.key) is not None:
            continue
        write = Write(AddMember(member=NewMember(id=account.key), room=name), at, operator=True)
        standing = Standing(maker or Principal(None))
        asked = Asked(ledger, ledger.room(name), write, Settings(), standing)
        enter(asked, account, "member")
        asked.tell("member-added" if maker is not None else "let-in", account=account.key)
    ledger.flush()


def _principal(account: Account) -> Principal:
    return Principal(account.identity, account.id, account.key, account.name, account.role)

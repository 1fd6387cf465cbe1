"""Close an account for good, with all its memberships."""

from __future__ import annotations

from ..programs import subscribers
from ..rules.members import hold_rooms, leave_all
from ..shapes import Sql
from . import accounts
from .accounts import Account


def hold(sql: Sql, account: Account) -> None:
    """Lock the scheduled messages, rooms and subscribers that `close` changes, before any account, as others do.

    A transaction that changes the account's row before it closes the account calls this first.
    """
    closing = (account, *accounts.bots_of(sql, account.id))
    for each in closing:
        accounts.hold_scheduled(sql, each)
    hold_rooms(sql, *closing)
    subscribers.hold_all(sql, *(each.id for each in closing))


def close(sql: Sql, account: Account, at: int, *, claims: bool = False) -> None:
    """Close `account` and its bots: their rooms are told that they left; `claims` as in `accounts.close`.

    Raises Conflict for the last owner, and then all is undone.
    """
    hold(sql, account)
    for each in (account, *accounts.bots_of(sql, account.id)):
        leave_all(sql, each, at, nameless=claims and each is account)
    accounts.close(sql, account, at, claims=claims)

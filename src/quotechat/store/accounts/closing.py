"""Close an account for good, with all its memberships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..programs import subscribers
from ..rules.members import leave_all, private_rooms
from ..shapes import Sql
from . import accounts
from .accounts import Account


class Held(NamedTuple):
    """What `hold` has locked: an account with its bots, and the private rooms of each, by the store's keys."""

    accounts: tuple[Account, ...]
    rooms: Mapping[int, Mapping[int, str]]


def hold(sql: Sql, account: Account) -> Held:
    """Lock the scheduled messages, rooms, subscribers and accounts that `close` changes, in the order of all others.

    After it these accounts get no further bot and no further room. A transaction that changes the account's row before
    it closes the account calls this first.
    """
    sql.alone("account")  # as others that make, hand over and close accounts: before any row
    closing = (account, *accounts.bots_of(sql, account.id))
    ids = sorted(each.id for each in closing)
    sql.run("SAVEPOINT held")
    while True:
        for each in closing:
            accounts.hold_scheduled(sql, each)
        wanted = {room for number in ids for room in private_rooms(sql, number)}
        for room in sorted(wanted):
            sql.run("UPDATE room SET floor = floor WHERE id = ?", room)  # it locks the room, in every dialect
        subscribers.hold_all(sql, *ids)
        for number in ids:
            sql.run("UPDATE account SET revision = revision WHERE id = ?", number)
        found = {number: private_rooms(sql, number) for number in ids}
        if wanted.issuperset(room for of_one in found.values() for room in of_one):
            return Held(closing, found)
        # They joined another one meanwhile. All are locked anew: a lock out of their order could wait in a circle.
        sql.run("ROLLBACK TO SAVEPOINT held")


def close(sql: Sql, account: Account, at: int, *, claims: bool = False) -> None:
    """Close `account` and its bots: their rooms are told that they left; `claims` as in `accounts.close`.

    Raises Conflict for the last owner, and then all is undone.
    """
    held = hold(sql, account)
    for each in held.accounts:
        leave_all(sql, each, held.rooms[each.id], at, nameless=claims and each is account)
    accounts.close(sql, account, at, claims=claims)

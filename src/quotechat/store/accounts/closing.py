"""Close an account for good, with all its memberships."""

from __future__ import annotations

from ..rules.members import leave_all
from ..shapes import Sql
from . import accounts
from .accounts import Account


def close(sql: Sql, account: Account, at: int, *, claims: bool = False) -> None:
    """Close `account` and its bots: their rooms are told that they left; `claims` as in `accounts.close`.

    Raises Conflict for the last owner, and then all is undone.
    """
    # Rooms are locked before accounts, as by a batch of writes.
    for each in (account, *accounts.bots_of(sql, account.id)):
        leave_all(sql, each, at, nameless=claims and each is account)
    accounts.close(sql, account, at, claims=claims)

"""Bans of accounts, until a time or for good. A bot may do nothing while it or its keeper is banned.

Whether a bot may act stands in its own row (`accounts.is_active`), so that no check needs two. Its own ban is kept
beside that: it outlasts its keeper's.
"""

from __future__ import annotations

from ..shapes import Sql
from . import accounts
from .accounts import Account

_BANNED = (
    "UPDATE account SET state = 'banned', until = ?, revision = revision + 1 WHERE id = ? AND state <> 'closed'"
)
_FREE = "UPDATE account SET state = 'active', until = NULL, revision = revision + 1 WHERE id = ? AND state = 'banned'"
_OF_BOT = (
    "SELECT until FROM own_ban WHERE account_id = ? UNION ALL"
    " SELECT k.until FROM account b JOIN account k ON k.id = b.keeper WHERE b.id = ? AND k.state = 'banned'"
)


def ban(sql: Sql, account: Account, until: int | None, at: int) -> None:
    """Ban an account and its bots, until a time or for good. Raises Conflict if there would be no owner.

    One that is closed stays closed.
    `at` is the time now. Times are milliseconds since 1970.
    """
    sql.alone("account")
    accounts.keep_an_owner(sql, account, at)
    if account.role == "bot":
        sql.run(
            "INSERT INTO own_ban (account_id, until) VALUES (?, ?)"
            " ON CONFLICT (account_id) DO UPDATE SET until = excluded.until", account.id, until,
        )  # fmt: skip
        settle(sql, account.id)
        return
    sql.run(_BANNED, until, account.id)
    for bot in accounts.bots_of(sql, account.id):
        settle(sql, bot.id)


def unban(sql: Sql, account: Account) -> None:
    """Lift the ban of an account and its bots, except of bots with a ban of their own, or of their keeper."""
    sql.alone("account")
    if account.role == "bot":
        sql.run("DELETE FROM own_ban WHERE account_id = ?", account.id)
        settle(sql, account.id)
        return
    sql.run(_FREE, account.id)
    for bot in accounts.bots_of(sql, account.id):
        settle(sql, bot.id)


def settle(sql: Sql, bot: int) -> None:
    """Set the ban of a bot from its own ban and that of its keeper: the later end counts."""
    ends = [row[0] for row in sql.all(_OF_BOT, bot, bot)]
    if ends:
        sql.run(_BANNED, None if None in ends else max(ends), bot)
    else:
        sql.run(_FREE, bot)

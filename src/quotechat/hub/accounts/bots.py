"""Bots: accounts of programs, which act by tokens alone, each with a keeper that answers for it.

`by` is the account that asks; None stands for the operator, who may do everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...protocol.errors import AccountUnknown, Conflict, Forbidden
from ...protocol.rights.permissions import CREATE_BOT
from ...protocol.rights.principal import SCOPES, Principal
from ...store.accounts import accounts, bans, callers, closing, sessions
from ...store.accounts.accounts import Account
from ...store.accounts.sessions import Token
from ...store.administration import audit
from ...store.base import Transactions
from ...store.shapes import Sql
from .credentials import mint

MOST_BOTS = 5
"""Bots of a member; administrators have as many as they want."""
_KEEPERS = ("member", "admin", "owner")


class Made(NamedTuple):
    """A bot with its first token, whose text is not kept."""

    account: Account
    token: Token
    text: str


class Bots:
    """See above; `access_changed` is called after each change that may end held connections."""

    def __init__(
        self, store: Transactions, clock: Callable[[], int], access_changed: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._clock = clock
        self._access_changed = access_changed

    def listed(self, by: Principal) -> list[Account]:
        """Return the bots, the newest first: all for an administrator, else one's own."""
        return self._store.read_with(lambda sql: accounts.bots_of(sql, None if by.is_admin else by.account))

    def every(self) -> list[Account]:
        """Return all bots, the newest first."""
        return self._store.read_with(accounts.bots_of)

    def own(self, account_id: int) -> list[Account]:
        """Return the bots that an account keeps."""
        return self._store.read_with(lambda sql: accounts.bots_of(sql, account_id))

    def make(
        self, by: Principal | None, name: str, rooms: tuple[str, ...] | None = None, keeper: str | None = None,
        scopes: tuple[str, ...] = SCOPES,
    ) -> Made:  # fmt: skip
        """Make a bot and its first token, for `rooms` or for all. `keeper` is an id, the asker's if it is None.

        Raises Invalid, Conflict, AccountUnknown, and Forbidden if `by` may make none, or another is to be the keeper.
        """

        def work(sql: Sql) -> Made:
            now, maker = self._clock(), None if by is None else by.account
            kept_by = self._keeper(sql, by, keeper)
            bot = accounts.make(sql, name, "bot", now, made_by=maker, keeper=kept_by)
            token, text = mint(bot.id, "first", now, scopes, rooms)
            sessions.add_token(sql, token)
            audit.tell(sql, now, "account-made", by=by, account=bot.key, detail="bot")
            return Made(bot, token, text)

        return self._store.write_with(work)

    def hand_over(self, by: Principal | None, key: str, keeper: str) -> Account:
        """Give a bot another keeper. Raises AccountUnknown, Forbidden, Conflict."""

        def work(sql: Sql) -> Account:
            bot = self._changeable(sql, by, key)
            sql.alone("account")
            accounts.hand_over(sql, bot, self._with_room(sql, accounts.by_key(sql, keeper)))
            bans.settle(sql, bot.id)  # that of its keeper until now ends for it
            return accounts.by_key(sql, key)

        return self._store.write_with(work)

    def close(self, by: Principal | None, key: str) -> None:
        """Close a bot for good. Raises AccountUnknown, Forbidden."""

        def work(sql: Sql) -> None:
            closing.close(sql, self._changeable(sql, by, key), self._clock())
            audit.tell(sql, self._clock(), "account-closed", by=by, account=key)

        self._store.write_with(work)
        self._access_changed()

    # --- Their tokens -------------------------------------------------------------------------------

    def tokens(self, by: Principal, key: str) -> list[Token]:
        """Return the tokens of a bot, the newest first. Raises AccountUnknown, Forbidden."""
        return self._store.read_with(lambda sql: sessions.tokens_of(sql, self._changeable(sql, by, key).id))

    def add_token(
        self, by: Principal, key: str, name: str, scopes: tuple[str, ...], rooms: tuple[str, ...] | None,
        lasts_ms: int | None,
    ) -> tuple[Token, str]:  # fmt: skip
        """Make another token of a bot, and its text. Raises Invalid, AccountUnknown, Forbidden, Conflict."""

        def work(sql: Sql) -> tuple[Token, str]:
            bot = self._changeable(sql, by, key)
            if bot.settings == accounts.HOOK:
                # With another one it would be a bot, which perhaps its keeper may not make.
                raise Conflict("A hook has one token, that of its address, which writes in its room alone.")
            token, text = mint(bot.id, name, self._clock(), scopes, rooms, lasts_ms)
            sessions.add_token(sql, token)
            audit.tell(sql, self._clock(), "token-made", by=by, account=key, detail=token.id)
            return token, text

        return self._store.write_with(work)

    def revoke_token(self, by: Principal, key: str, token_id: str) -> None:
        """Revoke a token of a bot. Raises AccountUnknown, Forbidden, TokenUnknown."""

        def work(sql: Sql) -> None:
            sessions.revoke_token(sql, self._changeable(sql, by, key).id, token_id)
            audit.tell(sql, self._clock(), "token-revoked", by=by, account=key, detail=token_id)

        self._store.write_with(work)
        self._access_changed()

    # --- Inside -------------------------------------------------------------------------------------

    def _changeable(self, sql: Sql, by: Principal | None, key: str) -> Account:
        """Return a bot that `by` may change. Raises AccountUnknown, Forbidden."""
        by, bot = callers.present(sql, by, self._clock()), accounts.by_key(sql, key)
        if bot.role != "bot" or bot.state == "closed":
            raise AccountUnknown()
        if by is not None and not by.is_admin and bot.keeper != by.account:
            raise Forbidden("Only its keeper and administrators may do this.")
        return bot

    def _keeper(self, sql: Sql, by: Principal | None, keeper: str | None) -> int | None:
        sql.alone("account")
        by = callers.present_allowed(sql, by, self._clock(), CREATE_BOT)
        if keeper is None:
            return None if by is None else self._with_room(sql, accounts.by_id(sql, by.account or 0))
        found = accounts.by_key(sql, keeper)
        if by is not None and not by.is_admin and found.id != by.account:
            raise Forbidden("Only administrators make bots for others.")
        return self._with_room(sql, found)

    def _with_room(self, sql: Sql, keeper: Account) -> int:
        """Return the key of `keeper`, if it may have one more. Raises Conflict."""
        if keeper.role not in _KEEPERS or not keeper.is_active(self._clock()):
            raise Conflict("This account cannot keep bots.", "keeper")
        if keeper.role == "member" and _count(sql, keeper) >= MOST_BOTS:
            raise Conflict(f"A member may keep {MOST_BOTS} bots.", "keeper")
        return keeper.id


def _count(sql: Sql, keeper: Account) -> int:
    """Count the bots of an account, without its hooks."""
    return sum(bot.settings != accounts.HOOK for bot in accounts.bots_of(sql, keeper.id))

"""The tokens of an account: made, and revoked by its owner or by themselves."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.rights.principal import SCOPES, Principal
from ...store.accounts import accounts, sessions
from ...store.accounts.sessions import Token
from ...store.administration import audit
from ...store.base import Transactions
from ...store.shapes import Sql
from .credentials import mint


class OwnTokens:
    """The part of `Accounts` about tokens; `told` is called after each change that may end held connections."""

    def __init__(
        self, store: Transactions, clock: Callable[[], int], told: Callable[[], None] = lambda: None
    ) -> None:
        self.store = store
        self.clock = clock
        self.told = told

    def new_token(
        self, account_id: int, name: str, scopes: tuple[str, ...] = SCOPES, rooms: tuple[str, ...] | None = None,
        lasts_ms: int | None = None,
    ) -> tuple[Token, str]:  # fmt: skip
        """Make a new token and its text, which is not kept. Raises Conflict."""
        now = self.clock()
        token, text = mint(account_id, name, now, scopes, rooms, lasts_ms)

        def work(sql: Sql) -> None:
            sessions.add_token(sql, token)
            key = accounts.by_id(sql, account_id).key
            audit.tell(sql, now, "token-made", by=key, account=key, detail=token.id)

        self.store.write_with(work)
        return token, text

    def revoke_token(self, account_id: int, token_id: str) -> None:
        """Revoke one of the account's tokens. Raises TokenUnknown."""
        self.store.write_with(lambda sql: self._revoke(sql, account_id, token_id))
        self.told()

    def revoke_proof(self, principal: Principal) -> None:
        """Revoke the token by which `principal` asks. Raises TokenUnknown if another request did."""

        def work(sql: Sql) -> None:
            own = sessions.tokens_of(sql, principal.account or 0)
            token_id = next((each.id for each in own if each.hash == principal.proof), "")
            self._revoke(sql, principal.account or 0, token_id)

        self.store.write_with(work)
        self.told()

    def _revoke(self, sql: Sql, account_id: int, token_id: str) -> None:
        sessions.revoke_token(sql, account_id, token_id)
        key = accounts.by_id(sql, account_id).key
        audit.tell(sql, self.clock(), "token-revoked", by=key, account=key, detail=token_id)

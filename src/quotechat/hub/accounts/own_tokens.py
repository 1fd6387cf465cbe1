"""The sessions and tokens of an account: ended, made, and revoked by its owner or by themselves."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.rights.principal import SCOPES, Principal
from ...store.accounts import accounts, sessions, tickets
from ...store.accounts.sessions import Token
from ...store.administration import audit
from ...store.base import Transactions
from ...store.shapes import Sql
from .credentials import mint


class OwnTokens:
    """The part of `Accounts` about these.

    `access_changed` is called after each change that may end held connections.
    """

    def __init__(
        self, store: Transactions, clock: Callable[[], int], access_changed: Callable[[], None] = lambda: None
    ) -> None:
        self.store = store
        self.clock = clock
        self.access_changed = access_changed

    # --- Sessions -----------------------------------------------------------------------------------

    def sign_out(self, digest: bytes) -> None:
        """End one session."""
        self.store.write_with(lambda sql: sessions.end(sql, digest))
        self.access_changed()

    def sign_out_other(self, account_id: int, digest: bytes) -> None:
        """End another session of an account, and the links for devices: that session may have made one."""

        def work(sql: Sql) -> None:
            accounts.hold(sql, account_id)  # first: that session may be making a link right now
            found = sessions.find(sql, digest)
            sessions.end(sql, digest)
            tickets.revoke_kind(sql, "device", account_id)
            if found is not None:
                key = found[1].key
                audit.tell(sql, self.clock(), "session-ended", by=key, account=key, detail=found[0].label)

        self.store.write_with(work)
        self.access_changed()

    def sign_out_everywhere(self, account_id: int, but: bytes = b"") -> None:
        """End the sessions of an account, all or all but one."""

        def work(sql: Sql) -> None:
            sessions.end_all(sql, account_id, but)
            tickets.revoke_kind(sql, "device", account_id)
            key = accounts.by_id(sql, account_id).key
            audit.tell(sql, self.clock(), "session-ended", by=key, account=key, detail="all others" if but else "all")

        self.store.write_with(work)
        self.access_changed()

    # --- Tokens -------------------------------------------------------------------------------------

    def new_token(
        self, account_id: int, name: str, scopes: tuple[str, ...] = SCOPES, rooms: tuple[str, ...] | None = None,
        lasts_ms: int | None = None, proof: bytes | None = None,
    ) -> tuple[Token, str]:  # fmt: skip
        """Make a new token and its text, which is not kept.

        Raises Invalid, Conflict, and Unauthenticated if `proof`, the hash of the session that asks, has ended.
        """
        now = self.clock()
        token, text = mint(account_id, name, now, scopes, rooms, lasts_ms)

        def work(sql: Sql) -> None:
            if proof is not None:
                sessions.hold(sql, account_id, proof, now)
            sessions.add_token(sql, token)
            key = accounts.by_id(sql, account_id).key
            audit.tell(sql, now, "token-made", by=key, account=key, detail=token.id)

        self.store.write_with(work)
        return token, text

    def revoke_token(self, account_id: int, token_id: str) -> None:
        """Revoke one of the account's tokens. Raises TokenUnknown."""
        self.store.write_with(lambda sql: self._revoke(sql, account_id, token_id))
        self.access_changed()

    def revoke_proof(self, principal: Principal) -> None:
        """Revoke the token of the request itself. Raises TokenUnknown if another request did so first."""

        def work(sql: Sql) -> None:
            own = sessions.tokens_of(sql, principal.account or 0)
            token_id = next((each.id for each in own if each.hash == principal.proof), "")
            self._revoke(sql, principal.account or 0, token_id)

        self.store.write_with(work)
        self.access_changed()

    def _revoke(self, sql: Sql, account_id: int, token_id: str) -> None:
        sessions.revoke_token(sql, account_id, token_id)
        key = accounts.by_id(sql, account_id).key
        audit.tell(sql, self.clock(), "token-revoked", by=key, account=key, detail=token_id)

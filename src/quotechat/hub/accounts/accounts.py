"""Signing in, and an account's own actions: begin, end, prove. Administration of others is in `people`.

Every method is one or two short transactions of the store; a password is hashed outside of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from ...protocol import names
from ...protocol.errors import (  # fmt: skip
    Forbidden,
    LinkUnknown,
    Overloaded,
    ProofNeeded,
    RateLimited,
    SignInFailed,
    Unauthenticated,
)
from ...protocol.events import rfc3339
from ...protocol.rights.principal import Principal
from ...store.accounts import accounts, attempts, callers, closing, entering, personal, sessions, tickets
from ...store.accounts.accounts import Account
from ...store.accounts.sessions import Session, hashed
from ...store.accounts.tickets import Ticket
from ...store.administration import audit, site
from ...store.base import CLOCKS_MS, Transactions
from ...store.maintenance import erasing
from ...store.shapes import Sql
from .clients import AGENT_CHARS, Client, SignedIn, label_of, text_of
from .credentials import DAY_MS, Rules, most_uses
from .own_tokens import OwnTokens
from .passwords import Passwords

DEVICE_MS = 600_000
"""Milliseconds for which a link for another device is valid."""
TOLD_EVERY_MS = 60_000
PROOF_MS = 600_000
"""Milliseconds for which a given password counts as proof."""
_AT_ONCE, _EVERY_MS = 10, 20_000
"""Tries to sign in of an address, or of a known device: at once, and then one every so often."""
_LINKS_AT_ONCE, _LINKS_EVERY_MS = 10, 6_000
_NAME_CHARS = 200


class Accounts(OwnTokens):
    """The calls of the web and the command line.

    `access_changed` is called after each change that may end held connections.
    """

    def __init__(
        self, store: Transactions, passwords: Passwords, rules: Rules, clock: Callable[[], int],
        access_changed: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        super().__init__(store, clock, access_changed)
        self.passwords = passwords
        self.rules = rules

    # --- Beginning ----------------------------------------------------------------------------------

    def sign_in(self, name: object, password: object, client: Client) -> SignedIn:
        """Begin a session. Raises SignInFailed for any wrong input, RateLimited, Overloaded, Forbidden if banned."""
        name, password = text_of(name, "name"), text_of(password, "password")
        account = self._verified(name[:_NAME_CHARS], password, client)
        now = self.clock()
        if account.state == "banned" and not account.is_active(now):
            until = "" if account.until is None else f" until {rfc3339(account.until)}"
            raise Forbidden(f"This account is banned{until}.")

        def work(sql: Sql) -> SignedIn:
            signed_in = self._begin(sql, account, client)
            if account.key not in client.known:
                personal.notify(sql, account.id, now, "signed-in", signed_in.session.label)
                audit.tell(sql, now, "signed-in", by=account.key, account=account.key, detail=signed_in.session.label)
            return signed_in

        return self.store.write_with(work)

    def set_up(self, code: object, name: object, password: object, client: Client) -> SignedIn:
        """Make the first owner, by a setup link. Raises LinkUnknown, Invalid, Conflict."""

        def work(sql: Sql, hash_: str) -> Account:
            sql.alone("account")
            tickets.use(sql, "setup", text_of(code, "code"), self.clock())
            if accounts.has_owner(sql, self.clock()):
                raise LinkUnknown()
            made = self._make(sql, text_of(name, "name"), "owner", hash_, client)
            tickets.revoke_kind(sql, "setup")
            audit.tell(sql, self.clock(), "account-made", account=made.key, detail="owner")
            return made

        return self._by_link("setup", code, name, password, client, work)

    def join(self, code: object, name: object, password: object, client: Client) -> SignedIn:
        """Make an account, by an invitation. Raises LinkUnknown, Invalid, Conflict."""

        def work(sql: Sql, hash_: str) -> Account:
            sql.alone("account")  # as others that close accounts and revoke their links: before the link
            most = most_uses(self.rules.access)
            ticket = tickets.use(sql, "join", text_of(code, "code"), self.clock(), most)
            made = self._make(sql, text_of(name, "name"), ticket.role or "member", hash_, client, ticket.made_by)
            inviter = accounts.names_of(sql, {ticket.made_by}).get(ticket.made_by) if ticket.made_by else None
            detail = f"invitation {ticket.id}"
            entering.let_in(sql, made, (ticket.rooms or "").split(), self.clock(), ticket.made_by)
            audit.tell(sql, self.clock(), "account-made", by=inviter, account=made.key, detail=detail)
            return made

        return self._by_link("join", code, name, password, client, work)

    def reset(self, code: object, password: object, client: Client) -> SignedIn:
        """Choose a new password, by a reset link; every other session ends. Raises LinkUnknown, Invalid."""

        def work(sql: Sql, hash_: str) -> Account:
            ticket = tickets.use(sql, "reset", text_of(code, "code"), self.clock())
            account = accounts.by_id(sql, ticket.account_id or 0)
            if not account.is_active(self.clock()):
                raise LinkUnknown()
            accounts.set_password(sql, account, hash_)
            sessions.end_all(sql, account.id)
            for kind in ("reset", "device"):
                tickets.revoke_kind(sql, kind, account.id)
            attempts.clear(sql, attempts.key("name", account.skeleton))
            audit.tell(sql, self.clock(), "password-reset", by=account.key, account=account.key)
            return account._replace(password=hash_)

        signed_in = self._by_link("reset", code, "", password, client, work)
        self.access_changed()
        return signed_in

    def device_link(self, session: Session) -> tuple[Ticket, str]:
        """Make a link by which its owner signs in on another device, once; and its code, which is not kept.

        Raises Unauthenticated if the session has ended.
        """
        number, now = session.account_id, self.clock()

        def work(sql: Sql) -> tuple[Ticket, str]:
            sessions.hold(sql, number, session.hash, now)
            return tickets.make(sql, "device", now, DEVICE_MS, account_id=number, made_by=number)

        return self.store.write_with(work)

    def use_device(self, code: object, client: Client) -> SignedIn:
        """Begin a session by a link that the account made on another device. Raises LinkUnknown, RateLimited."""
        text = text_of(code, "code")
        self._check_link("device", text, client)

        def work(sql: Sql) -> SignedIn:
            now = self.clock()
            account = accounts.by_id(sql, tickets.use(sql, "device", text, now).account_id or 0)
            if not account.is_active(now):
                raise LinkUnknown()
            signed_in = self._begin(sql, account, client, proved=False)
            personal.notify(sql, account.id, now, "signed-in", signed_in.session.label)
            audit.tell(sql, now, "signed-in", by=account.key, account=account.key, detail=signed_in.session.label)
            return signed_in

        return self.store.write_with(work)

    # --- Proof, and the actions that need it --------------------------------------------------------

    def prove(self, session: Session, password: object, client: Client) -> SignedIn:
        """Note that the password was given: the session goes on under a new secret, and the old one is refused.

        Raises SignInFailed, RateLimited, and Unauthenticated if another request was quicker or the session has ended.
        """
        account, now, secret = self.confirm(session, password, client), self.clock(), secrets.token_urlsafe(32)
        new = session._replace(hash=hashed(secret), proved_at=now)
        # Connections that rest on the old secret are ended by the next check, not at once: by then the answer is on its
        # way, and the other pages of this browser find the new secret.
        if not self.store.write_with(lambda sql: sessions.renew(sql, session.hash, new.hash, now)):
            raise Unauthenticated("This session has ended, or the password was just given elsewhere: try again.")
        return SignedIn(account, new, secret)

    def confirm(self, session: Session, password: object, client: Client) -> Account:
        """Return the account of `session` if that is its password. Raises SignInFailed, RateLimited."""
        text = text_of(password, "password")
        account = self.store.read_with(lambda sql: accounts.by_id(sql, session.account_id))
        if self._verified(account.name, text, client).id != account.id:
            raise SignInFailed()
        return account

    def need_proof(self, session: Session, what: str) -> None:
        """Raise ProofNeeded if the password was not given lately; `what` names the action that needs it."""
        if self.proved_until(session) is None:
            raise ProofNeeded(what)

    def proved_until(self, session: Session) -> int | None:
        """Return the time until which the session is proved, None if it is not."""
        until = (session.proved_at or 0) + PROOF_MS
        return until if until > self.clock() else None

    def change_password(self, session: Session, password: object, client: Client, *, end_tokens: bool = False) -> None:
        """Set a new password; every other session ends, and tokens if asked. Raises Invalid.

        Raises Unauthenticated if the session has ended: then somebody else may have chosen a new one already.
        """
        account = self.store.read_with(lambda sql: accounts.by_id(sql, session.account_id))
        hash_ = self.passwords.hash(self._checked(password, account.name, client))

        def work(sql: Sql) -> None:
            sessions.hold(sql, account.id, session.hash, self.clock())
            tickets.revoke_kind(sql, "reset", account.id)
            accounts.set_password(sql, account, hash_)
            sessions.end_all(sql, account.id, session.hash)
            tickets.revoke_kind(sql, "device", account.id)
            if end_tokens:
                sessions.revoke_tokens(sql, account.id)
            audit.tell(sql, self.clock(), "password-changed", by=account.key, account=account.key)

        self.store.write_with(work)
        self.access_changed()

    def change_name(self, principal: Principal, name: object, visitor: str | None) -> Account:
        """Give the asker another name, once a day. Raises Invalid, Conflict, RateLimited."""
        return self.change(principal, text_of(name, "name"), {}, visitor)

    def change(self, principal: Principal, name: object, settings: dict[str, Any], visitor: str | None) -> Account:
        """Change the asker's name, once a day, and settings: all or nothing. Raises as `change_name`.

        None for the name leaves it as it is by then: another may change it while the request waits.
        """
        assert principal.account is not None
        now, number, wanted = self.clock(), principal.account, None if name is None else text_of(name, "name")

        def work(sql: Sql) -> Account:
            if wanted is not None:
                sql.alone("account")  # as others that close or rename: before the account's row
            accounts.hold(sql, number)
            callers.present(sql, principal, now)
            account = accounts.by_id(sql, number)
            text = account.name if wanted is None else wanted
            if text != account.name:
                left = (account.named_at or 0) + accounts.RENAME_EVERY_MS - now
                if 0 < left <= accounts.RENAME_EVERY_MS + CLOCKS_MS:  # more, if the clock was set back
                    raise RateLimited(left, "A name can be changed once a day.")
                accounts.rename(sql, account, text, now, held=self._held(visitor))
            if text != account.name:
                audit.tell(sql, now, "name-changed", by=account.key, account=account.key, detail=text)
            if settings:
                accounts.change_settings(sql, account, settings)
            return accounts.by_id(sql, number)

        changed = self.store.write_with(work)
        self.access_changed()
        return changed

    def close(self, principal: Principal, *, erase: bool = False) -> None:
        """Close the asker's own account for good, `erase` its messages too. Raises Conflict for the last owner."""
        assert principal.account is not None
        now, number = self.clock(), principal.account

        def work(sql: Sql) -> None:
            sql.alone("account")  # as others that close or rename: before the account's row
            account = accounts.by_id(sql, number)
            closing.hold(sql, account)
            if principal.proof is not None:
                sessions.hold(sql, number, principal.proof, now)
            closing.close(sql, account, now, claims=erase)
            if erase:
                erasing.begin(sql, account, now, nameless=True)
            detail = "with its messages" if erase else None
            audit.tell(sql, now, "account-closed", by=account.key, account=account.key, detail=detail)

        self.store.write_with(work)
        self.access_changed()

    def claim(self, principal: Principal, visitor: str) -> int:
        """Make a visitor's messages the caller's own; return their number. Raises Conflict."""
        assert principal.account is not None
        number = principal.account

        def work(sql: Sql) -> None:
            callers.present(sql, principal, self.clock())
            accounts.claim(sql, accounts.by_id(sql, number), visitor)

        self.store.write_with(work)
        return self.store.read_with(lambda sql: accounts.written_by(sql, visitor))

    def exported(self, principal: Principal) -> None:
        """Record in the audit log that the caller has exported its data."""
        self.store.write_with(
            lambda sql: audit.tell(sql, self.clock(), "data-exported", by=principal, account=principal.id)
        )

    # --- Inside -------------------------------------------------------------------------------------

    def _verified(self, name: str, password: str, client: Client) -> Account:
        """Find the account of that name and password. An unknown name takes the same time."""
        now = self.clock()
        account = self.store.read_with(lambda sql: accounts.by_name(sql, name))
        known = account is not None and client.device is not None and account.key in client.known
        of_name = attempts.key("name", names.skeleton(name))
        wait = self.store.write_with(lambda sql: self._admit(sql, client, of_name, now, known=known))
        if wait:
            raise RateLimited(wait, "Too many tries; wait a little.")
        usable = account if account is not None and account.state != "closed" else None
        try:
            right = self.passwords.matches(usable.password if usable else None, password)
        except Overloaded:
            self.store.write_with(lambda sql: attempts.forgive(sql, of_name, now))
            raise
        if not right or usable is None:
            self.store.write_with(lambda sql: self._tell_failed(sql, account, of_name, now))
            raise SignInFailed()
        is_weak = usable.password is not None and self.passwords.is_weak(usable.password)
        stronger = self.passwords.hash(password) if is_weak else None

        def cleared(sql: Sql) -> None:
            attempts.clear(sql, of_name)
            if stronger is not None:
                accounts.rehash(sql, usable, stronger)

        self.store.write_with(cleared)
        return usable if stronger is None else usable._replace(password=stronger)

    def _tell_failed(self, sql: Sql, account: Account | None, of_name: bytes, now: int) -> None:
        """Record failures in the audit log, once a minute for a name. An unknown name costs the same writes."""
        of = attempts.key("told", of_name.hex())
        count = attempts.gather(sql, of, now, TOLD_EVERY_MS)
        if count and account is not None:
            audit.tell(sql, now, "sign-ins-failed", account=account.key, detail=str(count))

    def _admit(self, sql: Sql, client: Client, of_name: bytes, now: int, *, known: bool) -> int:
        """Return the milliseconds to wait before this attempt, or 0. A known device has an allowance of its own."""
        if known:
            of = attempts.key("device", client.device or "")
            return attempts.take(sql, of, now, at_once=_AT_ONCE, every_ms=_EVERY_MS) if self.rules.limits else 0
        wait = attempts.begin(sql, of_name, now)
        if wait or not self.rules.limits:
            return wait
        of = attempts.key("address", client.address)
        wait = attempts.take(sql, of, now, at_once=_AT_ONCE, every_ms=_EVERY_MS)
        if wait:
            attempts.forgive(sql, of_name, now)
        return wait

    def _by_link(
        self, kind: str, code: object, name: object, password: object, client: Client,
        work: Callable[[Sql, str], Account],
    ) -> SignedIn:  # fmt: skip
        """Use a link: no password is hashed and no name is looked up before the code is known to be valid."""
        self._check_link(kind, text_of(code, "code"), client)
        said = accounts.clean_name(text_of(name, "name")) if kind != "reset" else ""
        hash_ = self.passwords.hash(self._checked(password, said, client))

        def whole(sql: Sql) -> SignedIn:
            return self._begin(sql, work(sql, hash_), client)

        return self.store.write_with(whole)

    def _check_link(self, kind: str, code: str, client: Client) -> None:
        """Raise LinkUnknown if a link cannot be used, RateLimited if too many were tried."""
        now = self.clock()
        if self.rules.limits:
            of = attempts.key("link", client.address)
            wait = self.store.write_with(
                lambda sql: attempts.take(sql, of, now, at_once=_LINKS_AT_ONCE, every_ms=_LINKS_EVERY_MS)
            )
            if wait:
                raise RateLimited(wait, "Too many tries; wait a little.")
        self.store.read_with(lambda sql: tickets.check(sql, kind, code, now, most_uses(self.rules.access)))

    def _make(
        self, sql: Sql, name: str, role: str, hash_: str, client: Client, made_by: int | None = None
    ) -> Account:
        held = self._held(client.visitor)
        return accounts.make(sql, name, role, self.clock(), password=hash_, made_by=made_by, held=held)

    def _held(self, visitor: str | None) -> tuple[str | None, int]:
        """Return the visitor and the time since which visitors' names are taken; (None, 0) if visitors cannot write."""
        return (visitor, self.clock() - self.rules.name_hold_ms) if self.rules.access == "open" else (None, 0)

    def _begin(self, sql: Sql, account: Account, client: Client, *, proved: bool = True) -> SignedIn:
        """Begin a session; `proved` if the password was given.

        Raises SignInFailed if the password was changed after `account` was read.
        """
        now, secret = self.clock(), secrets.token_urlsafe(32)
        # Changed first, so that this transaction and one that sets the password wait for each other: a session by the
        # old password ends with the others, or never begins.
        sql.run("UPDATE account SET seen_at = ? WHERE id = ?", now, account.id)
        if accounts.by_id(sql, account.id).password != account.password:
            raise SignInFailed()
        if client.session is not None:
            sessions.end(sql, client.session)
        session = Session(
            hashed(secret), account.id, label_of(client.agent), now, now, now if proved else None,
            now + self.rules.session_days * DAY_MS,
            client.agent[:AGENT_CHARS] or None, client.place or None,
        )  # fmt: skip
        sessions.start(sql, session)
        return SignedIn(account, session, secret)

    def _checked(self, password: object, name: str, client: Client) -> str:
        title = self.store.read_with(site.all_of)["title"]
        return self.passwords.check(password, name, title, client.host, "quotechat")

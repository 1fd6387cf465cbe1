"""Accounts of others: actions of administrators on the pages, and of the operator on the command line.

`by` is the administrator; None stands for the operator, who may do everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...protocol.errors import AccountUnknown, Conflict, Forbidden, Invalid
from ...protocol.events import rfc3339
from ...protocol.limits import MOST_ROOMS
from ...protocol.rights.permissions import INVITE
from ...protocol.rights.principal import ROLES, Principal, outranks
from ...store.accounts import accounts, bans, callers, closing, entering, sessions, tickets
from ...store.accounts.accounts import Account
from ...store.accounts.tickets import Ticket
from ...store.administration import audit, site
from ...store.base import Transactions
from ...store.maintenance import erasing
from ...store.shapes import Sql
from .credentials import DAY_MS, most_uses

SETUP_MS = DAY_MS
RESET_MS = DAY_MS
LEAST_MS, MOST_MS = 3_600_000, 30 * DAY_MS
"""For how long an invitation may last."""
MOST_NOTE = 200
"""Characters of what an invitation is for."""
_MOST_SHOWN = 200
_GIVEN = ("owner", "admin", "member", "guest")
"""Roles that an account can be given: bots come with their tokens."""


class Invited(NamedTuple):
    """A link that has been made; `code` is not kept."""

    ticket: Ticket
    code: str


class People:
    """See above; `access_changed` is called after each change that may end held connections."""

    def __init__(
        self, store: Transactions, clock: Callable[[], int], access_changed: Callable[[], None] = lambda: None,
        access: str = "open",
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._access_changed = access_changed
        self._access = access

    # --- Looking ------------------------------------------------------------------------------------

    def listed(
        self, search: str = "", limit: int = _MOST_SHOWN, before: str | None = None, by: Principal | None = None
    ) -> list[Account]:
        """Accounts that are not closed and that `by` may see, the newest first, one more than `limit`.

        A guest sees those with whom it shares a room. Raises AccountUnknown.
        """

        def work(sql: Sql) -> list[Account]:
            below = None if before is None else self._seen(sql, by, before).id
            return accounts.listed(sql, search, limit + 1, below, _seen_by(by))

        return self._store.read_with(work)

    def one(self, key: str, by: Principal | None = None) -> Account:
        """Return one account by its public id. Raises AccountUnknown, also if `by` may not see it."""
        return self._store.read_with(lambda sql: self._seen(sql, by, key))

    def named(self, name: str) -> Account | None:
        """Return one account by its name."""
        return self._store.read_with(lambda sql: accounts.by_name(sql, name))

    def any_there(self) -> bool:
        """Return True if there is any account."""
        return self._store.read_with(accounts.any_there)

    def has_owner(self) -> bool:
        """Return True if there is an owner that can act."""
        return self._store.read_with(lambda sql: accounts.has_owner(sql, self._clock()))

    def ids(self, keys: set[int]) -> dict[int, str]:
        """Public ids by the store's own keys."""
        return self._store.read_with(lambda sql: accounts.names_of(sql, keys))

    # --- Links --------------------------------------------------------------------------------------

    def setup_link(self) -> Invited:
        """Make a link that makes the first owner. Raises Conflict if there is one."""

        def work(sql: Sql) -> Invited:
            if accounts.has_owner(sql, self._clock()):
                raise Conflict("There is an owner already.")
            return Invited(*tickets.make(sql, "setup", self._clock(), SETUP_MS))

        return self._store.write_with(work)

    def invite(
        self, by: Principal | None, *, role: str = "member", uses: int = 1, lasts_ms: int = 7 * DAY_MS,
        note: str | None = None, rooms: tuple[str, ...] = (),
    ) -> Invited:  # fmt: skip
        """Make an invitation, into `rooms` too. Raises Invalid, RoomUnknown, Conflict, Forbidden."""
        if role not in ("member", "guest"):
            raise Invalid("role", "An invitation is for members or guests.")
        if role == "guest" and not rooms:
            raise Invalid("rooms", "A guest sees only rooms that it is let into: name one.")
        if len(rooms) > MOST_ROOMS:
            raise Invalid("rooms", f"An invitation is into {MOST_ROOMS} rooms at most.")
        most = most_uses(self._access)
        if not 1 <= uses <= most:
            raise Invalid("uses", f"An invitation has 1 to {most} uses." if most > 1
                          else "On a private server an invitation is for one.")  # fmt: skip
        if note is not None and len(note) > MOST_NOTE:
            raise Invalid("note", f"A note is a text of at most {MOST_NOTE} characters.")
        if not LEAST_MS <= lasts_ms <= MOST_MS:
            raise Invalid("expires_in", "An invitation lasts between an hour and 30 days.")
        made_by = None if by is None else by.account

        def work(sql: Sql) -> Invited:
            sql.alone("account")  # before the maker is read: who ends it or its right revokes what it has made by then
            now = self._clock()
            entering.check(sql, callers.present_allowed(sql, by, now, INVITE), rooms)
            made = tickets.make(
                sql, "join", now, lasts_ms, uses=uses, role=role, rooms=rooms, made_by=made_by, note=note
            )
            audit.tell(sql, now, "invitation-made", by=by, detail=made[0].id)
            return Invited(*made)

        return self._store.write_with(work)

    def invitations(self, by: Principal) -> list[Ticket]:
        """Return the invitations that can be used: all for an administrator, else one's own."""
        made_by = None if by.is_admin else by.account
        most = most_uses(self._access)
        return self._store.read_with(lambda sql: tickets.listed(sql, "join", self._clock(), made_by, most))

    def revoke_invitation(self, by: Principal, ticket_id: str) -> None:
        """Revoke one. Raises LinkUnknown."""

        def work(sql: Sql) -> None:
            present = callers.present(sql, by, self._clock())
            tickets.revoke(sql, ticket_id, None if present is None or present.is_admin else present.account)

        self._store.write_with(work)

    def reset_link(self, by: Principal | None, key: str) -> Invited:
        """Make a link by which an account chooses a new password. Raises AccountUnknown, Forbidden, Conflict."""

        def work(sql: Sql) -> Invited:
            sql.alone("account")  # as `invite`
            account = self._below(sql, by, key)
            if account.state == "closed" or account.role == "bot":
                raise Conflict("This account has no password.")
            made = self._reset(sql, account, by)
            audit.tell(sql, self._clock(), "password-reset", by=by, account=key, detail="link made")
            return made

        return self._store.write_with(work)

    # --- Changing -----------------------------------------------------------------------------------

    def make(self, by: Principal | None, name: str, role: str, password: str | None = None) -> tuple[Account, Invited]:
        """Make a new account, and a link by which its owner chooses a password. `password` is a hash."""

        def work(sql: Sql) -> tuple[Account, Invited]:
            sql.alone("account")  # as `invite`
            _check_role(callers.present(sql, by, self._clock()), role)
            account = accounts.make(
                sql, name, role, self._clock(), password=password, made_by=None if by is None else by.account
            )
            made = self._reset(sql, account, by)
            audit.tell(sql, self._clock(), "account-made", by=by, account=account.key, detail=role)
            return account, made

        return self._store.write_with(work)

    def change(
        self, by: Principal | None, key: str, *, name: str | None = None, role: str | None = None,
        closed: bool = False, erase: bool = False,
    ) -> Account:  # fmt: skip
        """Change some of an account, all or nothing; with `erase` the messages of one that is closed are deleted.

        Raises AccountUnknown, Forbidden, Conflict, Invalid.
        """
        if role is not None:
            _check_role(by, role)

        def work(sql: Sql, account: Account) -> None:
            if closed:
                closing.hold(sql, account)
            if role is not None:
                _check_role(callers.present(sql, by, self._clock()), role)
                _give_role(sql, account, role, self._clock())
            if name is not None:
                accounts.rename(sql, account, name, self._clock())
            if closed:
                closing.close(sql, accounts.by_id(sql, account.id), self._clock(), claims=erase)
            if closed and erase:
                erasing.begin(sql, account, self._clock(), nameless=True)
            acts = {"role-changed": role, "name-changed": name, "account-closed": _how(erase=erase) if closed else None}
            for what, detail in acts.items():
                if detail is not None:
                    audit.tell(sql, self._clock(), what, by=by, account=key, detail=detail or None)

        return self._changed(by, key, work)

    def set_role(self, by: Principal | None, key: str, role: str) -> Account:
        """Give another role; links that it forbids end. Raises as `change`."""
        return self.change(by, key, role=role)

    def rename(self, by: Principal | None, key: str, name: str) -> Account:
        """Give another name. Raises as `change`."""
        return self.change(by, key, name=name)

    def sign_out(self, by: Principal | None, key: str) -> None:
        """End all sessions of an account."""

        def work(sql: Sql, account: Account) -> None:
            sessions.end_all(sql, account.id)
            tickets.revoke_kind(sql, "device", account.id)
            audit.tell(sql, self._clock(), "session-ended", by=by, account=key, detail="all")

        self._changed(by, key, work)

    def ban(
        self, by: Principal | None, key: str, until: int | None, *, erase: bool = False, reason: str | None = None
    ) -> None:
        """Ban an account, until a time or for good; sessions and links end, tokens work again after the ban.

        With `erase` its messages are deleted. Raises as `change`.
        """

        def work(sql: Sql, account: Account) -> None:
            bans.ban(sql, account, until, self._clock())
            # With an invitation of its own it could come back at once, under another name.
            tickets.revoke_made_by(sql, account.id)
            sessions.end_all(sql, account.id)
            if erase:
                erasing.begin(sql, account, self._clock(), nameless=False)
            said = (None if until is None else f"until {rfc3339(until)}", _how(erase=erase), reason)
            detail = "; ".join(each for each in said if each) or None
            audit.tell(sql, self._clock(), "banned", by=by, account=key, detail=detail)

        self._changed(by, key, work)

    def unban(self, by: Principal | None, key: str) -> None:
        """Lift the ban of an account."""

        def work(sql: Sql, account: Account) -> None:
            bans.unban(sql, account)
            audit.tell(sql, self._clock(), "unbanned", by=by, account=key)

        self._changed(by, key, work)

    def close(self, by: Principal | None, key: str, *, erase: bool = False) -> Account:
        """Close an account for good, `erase` its messages too."""
        return self.change(by, key, closed=True, erase=erase)

    # --- The site -----------------------------------------------------------------------------------

    def site(self) -> dict[str, str]:
        """Return the settings of the site."""
        return self._store.read_with(site.all_of)

    def change_site(self, by: Principal | None, changed: dict[str, object]) -> dict[str, str]:
        """Set some of them; all as they are then. Raises Invalid."""
        values = site.clean(changed)

        def work(sql: Sql) -> dict[str, str]:
            callers.present_admin(sql, by, self._clock())
            site.change(sql, values)
            if values:
                audit.tell(sql, self._clock(), "site-changed", by=by, detail=", ".join(values))
            return site.all_of(sql)

        return self._store.write_with(work)

    # --- Inside -------------------------------------------------------------------------------------

    def _seen(self, sql: Sql, by: Principal | None, key: str) -> Account:
        account, guest = accounts.by_key(sql, key), _seen_by(by)
        if guest is not None and not accounts.share_a_room(sql, guest, account.id):
            raise AccountUnknown()
        return account

    def _changed(self, by: Principal | None, key: str, change: Callable[[Sql, Account], None]) -> Account:
        def work(sql: Sql) -> Account:
            sql.alone("account")  # before the account is read: another request may be closing it
            account = self._below(sql, by, key)
            if account.state == "closed":
                raise Conflict("This account is closed.")
            change(sql, account)
            return accounts.by_key(sql, key)

        changed = self._store.write_with(work)
        self._access_changed()
        return changed

    def _below(self, sql: Sql, by: Principal | None, key: str) -> Account:
        """Return the account, which `by` may change. Raises AccountUnknown, Forbidden."""
        by, account = callers.present(sql, by, self._clock()), accounts.by_key(sql, key)
        if by is not None and not outranks(by.role, account.role):
            raise Forbidden("Only an owner changes administrators and owners.")
        return account

    def _reset(self, sql: Sql, account: Account, by: Principal | None) -> Invited:
        made_by = None if by is None else by.account
        made = tickets.make(sql, "reset", self._clock(), RESET_MS, account_id=account.id, made_by=made_by)
        return Invited(*made)


def _give_role(sql: Sql, account: Account, role: str, at: int) -> None:
    accounts.hold(sql, account.id)
    # An administrator may have made one for a member who now becomes an owner.
    tickets.revoke_kind(sql, "reset", account.id)
    if ROLES.index(role) < ROLES.index(account.role):
        tickets.revoke_made_by(sql, account.id)
    accounts.set_role(sql, account, role, at)


def _seen_by(by: Principal | None) -> int | None:
    """Return the key of a guest, which sees only some accounts; None for others."""
    return by.account if by is not None and by.role == "guest" else None


def _how(*, erase: bool) -> str:
    return "with its messages" if erase else ""


def _check_role(by: Principal | None, role: str) -> None:
    if role not in ROLES:
        raise Invalid("role", f"A role is one of: {', '.join(_GIVEN)}.")
    if role not in _GIVEN:
        raise Invalid("role", "Bots come with their tokens.")
    if by is not None and not outranks(by.role, role) and not (by.role == "admin" and role == "admin"):
        raise Forbidden("Only an owner makes owners.")

"""Accounts of users whom the application around the chat knows: made at first sight, and ended when it says so.

A user has one row among the sessions, by which held connections are recognised and ended at every worker.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NamedTuple

from ...protocol.errors import Conflict, Refused, Unauthenticated
from ...protocol.rights.principal import HOST, Principal
from ...store.accounts import accounts, entering, sessions
from ...store.accounts.accounts import Account
from ...store.accounts.sessions import Session, hashed
from ...store.administration import audit
from ...store.base import Transactions
from ...store.shapes import Sql
from .credentials import DAY_MS, TOUCH_MS, principal_of, touch

LABEL = "host"
"""The label of the row among the sessions."""
ROLES = ("guest", "member", "admin")
"""Roles that the application may give."""
_LASTS_MS = 400 * DAY_MS
_MOST_TRIES = 20


class User(NamedTuple):
    """A user of the application around the chat: `role` is ``guest``, ``member`` or ``admin``."""

    id: str
    name: str | None = None
    role: str = "member"
    rooms: tuple[str, ...] = ()
    """Closed rooms of which the user is to be a member."""


class Hosted:
    """See above; `access_changed` is called after each change that may end held connections."""

    def __init__(
        self, store: Transactions, clock: Callable[[], int], access_changed: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._clock = clock
        self._access_changed = access_changed

    def seen(self, user: User) -> Principal:
        """Return the principal of `user`, whose account is made or changed if it has to be. Raises Unauthenticated."""
        if user.role not in ROLES:
            raise ValueError(f"a role is one of {', '.join(ROLES)}, not {user.role!r}")
        identity, now = f"{HOST}{user.id}", self._clock()
        found = self._store.read_with(lambda sql: _find(sql, identity))
        number = 0 if found is None else found[0].id
        missing = self._store.read_with(lambda sql: _missing(sql, number, user.rooms)) if user.rooms else []
        if missing:
            self._store.write_with(lambda sql: self._let_in(sql, user, identity, now))
            found = None
        if found is None or _differs(found[0], user) or found[1] is None:
            found = self._store.write_with(lambda sql: self._keep(sql, user, identity, now))
        elif now - found[1].used_at >= TOUCH_MS:
            digest = found[1].hash
            touch(self._store, lambda sql: sessions.touch(sql, digest, now, ""))
        account, session = found
        if not account.is_active(now):
            raise Unauthenticated("This account may not be used any more.")
        assert session is not None
        return principal_of(account, session.hash, session.ends_at)

    def account(self, user_id: str) -> Account:
        """Return the account of a user, which is made if it has not been seen yet."""
        found = self._store.read_with(lambda sql: accounts.by_identity(sql, f"{HOST}{user_id}"))
        if found is None:
            self.seen(User(user_id))
            return self.account(user_id)
        return found

    def end(self, user_id: str) -> None:
        """End all held connections of the user: polls, streams, sockets."""

        def work(sql: Sql) -> None:
            found = _find(sql, f"{HOST}{user_id}")
            if found is not None:
                sessions.end_all(sql, found[0].id)

        self._store.write_with(work)
        self._access_changed()

    def _keep(self, sql: Sql, user: User, identity: str, now: int) -> tuple[Account, Session | None]:
        sql.alone("account")
        found = _find(sql, identity)  # again: another request may have made it
        account = self._make(sql, user, identity, now) if found is None else found[0]
        if account.state == "closed":
            return account, None
        if _differs(account, user):
            if _has_other_role(account, user):
                accounts.set_role(sql, account, user.role, now)
                audit.tell(sql, now, "role-changed", account=account.key, detail=user.role)
            if user.name is not None and not _is_named(account, user.name):
                _named(user.name, account.key, lambda name: accounts.rename(sql, account, name, now))
        session = found[1] if found is not None else None
        if session is None:
            session = Session(hashed(secrets.token_urlsafe(32)), account.id, LABEL, now, now, None, now + _LASTS_MS,
                              None, None)  # fmt: skip
            sessions.start(sql, session)
        else:
            sessions.touch(sql, session.hash, now, "")
        return accounts.by_id(sql, account.id), session._replace(used_at=now)

    def _let_in(self, sql: Sql, user: User, identity: str, now: int) -> None:
        account, _ = self._keep(sql, user, identity, now)
        if account.is_active(now):
            entering.let_in(sql, account, _missing(sql, account.id, user.rooms), now)

    def _make(self, sql: Sql, user: User, identity: str, now: int) -> Account:
        made: list[Account] = []

        def make(name: str) -> None:
            made.append(accounts.make(sql, name, user.role, now, identity=identity))

        _named(user.name or user.id, user.id, make)
        audit.tell(sql, now, "account-made", account=made[0].key, detail="application")
        return made[0]


def _find(sql: Sql, identity: str) -> tuple[Account, Session | None] | None:
    account = accounts.by_identity(sql, identity)
    if account is None:
        return None
    return account, next((each for each in sessions.of_account(sql, account.id) if each.label == LABEL), None)


def _missing(sql: Sql, account: int, names: tuple[str, ...]) -> list[str]:
    """Return those of the rooms `names` that exist and of which the account is no member."""
    rows = sql.all(
        "SELECT r.name FROM room r LEFT JOIN member m ON m.room_id = r.id AND m.account_id = ?"
        f" WHERE r.name IN ({', '.join('?' * len(names))}) AND r.kind IN ('open', 'closed') AND m.account_id IS NULL",
        account, *names,
    )  # fmt: skip
    return [name for (name,) in rows]


def _differs(account: Account, user: User) -> bool:
    return _has_other_role(account, user) or (user.name is not None and not _is_named(account, user.name))


def _has_other_role(account: Account, user: User) -> bool:
    """Return True if the role is to change; an owner, made by the operator, stays an owner."""
    return account.role not in (user.role, "owner")


def _is_named(account: Account, name: str) -> bool:
    """Return True if the account has `name`, or `name` with a number behind it since it was taken."""
    rest = account.name.removeprefix(name)
    return rest == "" or account.name == _fallback(account.key) or (rest[:1] == " " and rest[1:].isdigit())


def _named(wish: str, key: str, give: Callable[[str], None]) -> None:
    """Give the name `wish`, or the next that is free; one that is no name here is replaced. Raises Conflict."""
    for number in range(1, _MOST_TRIES + 1):
        name = wish if number == 1 else f"{wish} {number}"
        try:
            give(name)
        except Conflict:
            continue
        except Refused:
            wish = _fallback(key)
            continue
        return
    raise Conflict("There is no name left for this user.", "name")


def _fallback(key: str) -> str:
    return f"User {hashed(key).hex()[:8]}"

"""Find the caller by the secret of a session or a token, and check the sessions and tokens of held connections."""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from ...protocol.errors import Invalid, Refused, Unauthenticated
from ...protocol.limits import MOST_ROOMS
from ...protocol.names import clean_name
from ...protocol.rights.principal import SCOPES, Principal
from ...store import visibility
from ...store.accounts import accounts, sessions, tickets
from ...store.accounts.accounts import Account
from ...store.accounts.sessions import Session, Token, hashed
from ...store.base import Transactions
from ...store.shapes import Sql

DAY_MS = 86_400_000
TOUCH_MS = 3_600_000
"""Milliseconds between two updates of the time at which a session or token was used."""
_TOUCH_SECONDS = 0.5
"""Seconds for which such an update waits for other writers: the next request tries it again."""
TOKEN_PREFIX = "qct_"
LEAST_MS, MOST_MS = 3_600_000, 2 * 365 * DAY_MS
"""Milliseconds for which a token lasts that does not last for good."""


class Rules(NamedTuple):
    """The operator's settings for sessions."""

    access: str = "open"
    session_days: int = 180
    idle_days: int = 30
    limits: bool = True
    name_hold_ms: int = DAY_MS


def most_uses(access: str) -> int:
    """Return for how many people an invitation is, at most: in private access for one, whenever it was made."""
    return 1 if access == "private" else tickets.MOST_USES


class Credentials:
    """Looks up sessions and tokens in the store, each time anew: nothing is cached that could be outdated."""

    def __init__(self, store: Transactions, rules: Rules, clock: Callable[[], int]) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock

    def by_session(self, secret: str) -> tuple[Principal, Session] | None:
        """Return the principal and session of a cookie; None if there is no valid one."""
        digest, now = hashed(secret), self._clock()
        found = self._store.read_with(lambda sql: sessions.find(sql, digest))
        if found is None:
            return None
        session, account = found
        ends_at = min(session.ends_at, session.used_at + self._rules.idle_days * DAY_MS)
        if now >= ends_at or not account.is_active(now):
            return None
        return principal_of(account, digest, ends_at), session

    def by_token(self, text: str) -> Principal:
        """Return the principal of a bearer token. Raises Unauthenticated."""
        number, _, secret = text.removeprefix(TOKEN_PREFIX).partition("_")
        found = self._store.read_with(lambda sql: sessions.find_token(sql, number)) if number and secret else None
        now = self._clock()
        if found is None or not hmac.compare_digest(found[0].hash, hashed(secret)):
            raise Unauthenticated("This token is not valid, or not any more.")
        token, account = found
        if (token.ends_at is not None and now >= token.ends_at) or not account.is_active(now):
            raise Unauthenticated("This token is not valid, or not any more.")
        if token.used_at is None or now - token.used_at >= TOUCH_MS:
            touch(self._store, lambda sql: sessions.touch_token(sql, token.id, now))
        return principal_of(account, token.hash, token.ends_at)._replace(
            scopes=frozenset(token.scopes.split()),
            rooms=None if token.rooms is None else frozenset(token.rooms.split()),
        )

    def touch(self, session: Session, address: str) -> None:
        """Note, at most once an hour, that a session is used."""
        now = self._clock()
        if now - session.used_at >= TOUCH_MS:
            touch(self._store, lambda sql: sessions.touch(sql, session.hash, now, address))

    def revision(self) -> int:
        """Return a number that changes whenever a session, token, account or guest loses a right."""
        return self._store.read_with(sessions.access_revision)

    def now(self) -> int:
        """Read the clock by which sessions and tokens end: milliseconds since 1970."""
        return self._clock()

    def current(self, principals: Collection[Principal]) -> dict[Principal, Principal | None]:
        """Return the present state of `principals`, which have accounts; None for one that has ended."""
        now, idle = self._clock(), self._rules.idle_days * DAY_MS
        keys = sorted({each.account for each in principals if each.account is not None})
        proofs = sorted({each.proof for each in principals if each.proof is not None})
        standing, living = self._store.read_with(
            lambda sql: (sessions.standings(sql, keys), sessions.living(sql, proofs, now, idle) if proofs else {})
        )
        found: dict[Principal, Principal | None] = {}
        for each in principals:
            there = standing.get(each.account or 0)
            ended = there is None or not accounts.is_active(there.state, there.until, now)
            if there is None or ended or (each.proof is not None and each.proof not in living):
                found[each] = None
            else:
                ends_at = each.ends_at if each.proof is None else living[each.proof]
                found[each] = each._replace(name=there.name, role=there.role, ends_at=ends_at)
        return found

    def lost(self, held: Mapping[Principal, Collection[str]]) -> dict[Principal, set[str]]:
        """Return the rooms in `held` that their principals may no longer read; see `visibility.lost`."""
        if not any(visibility.is_silent(principal, room) for principal, rooms in held.items() for room in rooms):
            return {}
        return self._store.read_with(lambda sql: visibility.lost(sql, held))


def touch(store: Transactions, work: Callable[[Sql], None]) -> None:
    """Note that a session or token is used, unless nothing can be stored now: that refuses no request to read."""
    with contextlib.suppress(Refused):
        store.write_with(work, patience=_TOUCH_SECONDS)


def mint(
    account_id: int, name: str, now: int, scopes: tuple[str, ...] = SCOPES, rooms: tuple[str, ...] | None = None,
    lasts_ms: int | None = None,
) -> tuple[Token, str]:  # fmt: skip
    """Make a token, and its text, which is not kept. Raises Invalid."""
    if lasts_ms is not None and not LEAST_MS <= lasts_ms <= MOST_MS:
        raise Invalid("expires_in", "A token lasts between an hour and two years.")
    if rooms is not None and not 1 <= len(rooms) <= MOST_ROOMS:
        raise Invalid("rooms", f"1 to {MOST_ROOMS} rooms; leave it out for all.")
    name = clean_name(name, "name", 100)
    number, secret = accounts.public_id()[:8], secrets.token_urlsafe(32)
    token = Token(
        number, hashed(secret), account_id, name, " ".join(scopes), None if rooms is None else " ".join(rooms), now,
        None, None if lasts_ms is None else now + lasts_ms,
    )  # fmt: skip
    return token, f"{TOKEN_PREFIX}{number}_{secret}"


def principal_of(account: Account, proof: bytes | None, ends_at: int | None) -> Principal:
    """Return the principal that an account is, by a session or a token."""
    return Principal(
        account.identity, account.id, account.key, account.name, account.role, proof=proof, ends_at=ends_at
    )

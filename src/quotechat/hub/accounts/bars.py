"""Keep a visitor, or all visitors at an address, from writing for a time; `store.accounts.bars` checks writes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from ...protocol.errors import Invalid, MessageUnknown
from ...protocol.events import rfc3339
from ...protocol.rights.principal import Principal
from ...protocol.rooms import OPEN
from ...store.accounts import bars, callers
from ...store.accounts.bars import Bar
from ...store.administration import audit
from ...store.base import Transactions
from ...store.shapes import Sql

_NUMBER = re.compile(r"[0-9]{1,15}")
MOST_MS = 30 * 86_400_000
"""The longest bar of an address: afterwards it may be another person's."""


class Bars:
    """The bars of the server; `by` is the calling administrator, None stands for the operator."""

    def __init__(self, store: Transactions, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    def put(self, by: Principal | None, where: str, until: int | None, reason: str | None) -> None:
        """Bar an address, or the visitor that sent the message ROOM:ID, for 30 days if `until` is None.

        Raises Invalid, MessageUnknown.
        """
        now = self._clock()
        until = now + MOST_MS if until is None else until
        if until > now + MOST_MS:
            raise Invalid("until", "A bar holds for 30 days at most.")
        made_by = 0 if by is None or by.account is None else by.account

        def work(sql: Sql) -> None:
            callers.present_admin(sql, by, now)
            key = _key(sql, where)
            bars.put(sql, Bar(key, until, made_by, reason))
            said = "; ".join(each for each in (key, f"until {rfc3339(until)}", reason) if each)
            audit.tell(sql, now, "banned", by=by, detail=said)

        self._store.write_with(work)

    def lift(self, by: Principal | None, where: str) -> None:
        """Lift the bar of an address, a listed visitor, or the sender of ROOM:ID. Raises Invalid, MessageUnknown."""
        now = self._clock()

        def work(sql: Sql) -> None:
            callers.present_admin(sql, by, now)
            key = _key(sql, where)
            if bars.lift(sql, key):
                audit.tell(sql, now, "unbanned", by=by, detail=key)

        self._store.write_with(work)

    def listed(self) -> list[Bar]:
        """Return the bars that hold, by address."""
        return self._store.read_with(lambda sql: bars.listed(sql, self._clock()))


def _key(sql: Sql, where: str) -> str:
    """Return the key of an address, of a listed visitor, or of the sender of ROOM:ID."""
    room, _, number = where.partition(":")
    if _NUMBER.fullmatch(number):
        return _author(sql, room, int(number))
    return where if bars.is_visitor(where) else key_of(where)


def _author(sql: Sql, room: str, number: int) -> str:
    """Return the key of the visitor that sent a message in an open room. Raises MessageUnknown, Invalid."""
    row = sql.one(
        "SELECT m.identity FROM message m JOIN room r ON r.id = m.room_id WHERE r.name = ? AND r.kind = ? AND m.id = ?",
        room, OPEN, number,
    )  # fmt: skip
    if row is None:
        raise MessageUnknown(number)
    if row[0] is None:
        raise Invalid("address", "It was sent without an identity: bar its address.")
    if ":" in row[0]:
        raise Invalid("address", "Its author is no visitor: ban the account.")
    return bars.key_of(row[0])


def key_of(address: str) -> str:
    """Return the key of an address: itself, or its /64 for IPv6. Raises Invalid, also for a private one."""
    try:
        found = ipaddress.ip_address(address.strip().partition("/")[0])
    except ValueError:
        raise Invalid("address", "This is no IP address.") from None
    mapped = getattr(found, "ipv4_mapped", None)
    found = found if mapped is None else mapped
    if not found.is_global:
        raise Invalid("address", "A private address may be everybody's, behind a proxy or in a school.")
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return str(found)

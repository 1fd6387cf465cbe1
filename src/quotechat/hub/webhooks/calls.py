"""One call of a webhook, and its policy: which accounts may have webhooks, and which networks they may call."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ... import outbound
from ...outbound import Answer, Failed, Network, Resolve, ReusedConnection, Unsafe
from ...protocol import webhooks
from ...protocol.rights.principal import Principal
from ...store.accounts import accounts
from ...store.programs.webhooks import Webhook
from ...store.shapes import Sql
from ..accounts.credentials import principal_of

OFF, ADMINS, MEMBERS = "off", "admins", "members"
UNSAFE = "unsafe"
"""The error of a call that was not made: the address leads to a network that is not public."""


class Policy(NamedTuple):
    """The operator's settings: `makers` is `off`, `admins` or `members`; `networks` may be called besides."""

    makers: str = ADMINS
    networks: tuple[Network, ...] = ()

    def allows(self, by: Principal | None) -> bool:
        """Return True if `by` may have webhooks; None stands for the operator."""
        if self.makers == OFF:
            return False
        return by is None or by.is_admin or (self.makers == MEMBERS and by.role == "member")

    def networks_of(self, maker: Principal | None) -> tuple[Network, ...]:
        """Return the networks that are not global and that webhooks of `maker` may call."""
        return self.networks if maker is None or maker.is_admin else ()


def policy(makers: str, networks: Iterable[str]) -> Policy:
    """Return the policy of these settings."""
    return Policy(makers, tuple(map(ipaddress.ip_network, networks)))


class Called(NamedTuple):
    """The outcome of a call: its answer or its error, and the milliseconds that it took."""

    answer: Answer | None
    error: str | None
    ms: int

    @property
    def status(self) -> int | None:
        """Return the status of the answer, if there was one."""
        return None if self.answer is None else self.answer.status


def maker_of(sql: Sql, webhook: Webhook, now: int) -> Principal | None:
    """Return the account that answers for the address of a webhook, as it is now; None stands for the operator."""
    if webhook.made_by is None:
        return None
    found = accounts.by_id(sql, webhook.made_by)
    # A banned or closed account may have no webhooks, as a visitor.
    return principal_of(found, None, None)._replace(role=found.role if found.is_active(now) else "visitor")


class Reach(NamedTuple):
    """How receivers are reached: the time for one call, and the addresses of names."""

    seconds: float = outbound.SECONDS
    resolve: Resolve = outbound.lookup


class Calls:
    """Calls of one webhook, one after the other, over one connection if the receiver keeps it."""

    def __init__(self, webhook: Webhook, networks: Sequence[Network], reach: Reach | None = None) -> None:
        self._webhook = webhook
        self._networks = networks
        self._reach = reach or Reach()
        self._connection: ReusedConnection | None = None

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def call(self, webhook_id: str, content: bytes, now: int) -> Called:
        """Send `content` once, signed at `now`."""
        begun = time.monotonic()
        head = webhooks.headers(self._webhook.secrets(now), webhook_id, now, content)
        answer, error = None, None
        try:
            if self._connection is None:
                target, (seconds, resolve) = outbound.parse(self._webhook.url), self._reach
                self._connection = ReusedConnection(target, self._networks, seconds=seconds, resolve=resolve)
            answer = self._connection.post(head, content, webhooks.may_answer)
        except Unsafe:
            error = UNSAFE
        except Failed as failed:
            error = str(failed)
        return Called(answer, error, round((time.monotonic() - begun) * 1000))


def call(webhook: Webhook, webhook_id: str, content: bytes, networks: Sequence[Network], now: int) -> Called:
    """Send `content` once, signed at `now`."""
    with Calls(webhook, networks) as calls:
        return calls.call(webhook_id, content, now)

"""Who asks: one value, made once for each request and handed down. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

SCOPES: Final = ("read", "write", "manage")
ROLES: Final = ("guest", "bot", "member", "admin", "owner")
"""Roles of accounts, the weakest first; whoever has no account is a ``visitor``."""
ACCOUNT: Final = "acct:"
"""What the identity of an account begins with."""
HOST: Final = "host:"
"""What the identity of a user of the application around us begins with."""

_ALL = frozenset(SCOPES)


class Principal(NamedTuple):
    """Who asks, in which role, with which scopes, and with what it can be ended."""

    identity: str | None
    """``acct:<id>``, ``host:<id>``, 32 hexadecimal digits of a visitor, or None."""
    account: int | None = None
    """The account's key in the store; None for a visitor."""
    id: str | None = None
    """The account's public id."""
    name: str | None = None
    """The name that it must write under."""
    role: str = "visitor"
    scopes: frozenset[str] = _ALL
    """What a token may do; all for a session."""
    rooms: frozenset[str] | None = None
    """The rooms that a token is for; None for all."""
    proof: bytes | None = None
    """The hash of the session or token: what ends with it."""
    ends_at: int | None = None
    """When the session or token ends, in milliseconds since 1970."""

    @property
    def has_account(self) -> bool:
        """Whether an account asks."""
        return self.account is not None

    @property
    def is_known(self) -> bool:
        """Whether this server, or the application around it, knows who asks."""
        return self.has_account or (self.identity or "").startswith(HOST)

    @property
    def is_admin(self) -> bool:
        """Whether it may administer the server."""
        return self.role in ("admin", "owner")


VISITOR: Final = Principal(None)
"""Nobody in particular."""


def account_id(identity: str | None) -> str | None:
    """The public id in the identity of an account; None for every other identity."""
    return identity[len(ACCOUNT) :] if identity is not None and identity.startswith(ACCOUNT) else None


def outranks(role: str, other: str) -> bool:
    """Whether `role` may change an account that has the role `other`: an owner any, an admin those below it."""
    return role == "owner" or (role == "admin" and other not in ("admin", "owner"))

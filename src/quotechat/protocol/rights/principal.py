"""The caller of a request: one value, made once for each request and handed down. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

SCOPES: Final = ("read", "write", "manage")
ROLES: Final = ("guest", "bot", "member", "admin", "owner")
"""Roles of accounts, the weakest first; a person without an account is a ``visitor``."""
ACCOUNT: Final = "acct:"
"""The prefix of the identity of an account."""
HOST: Final = "host:"
"""The prefix of the identity of a user of the application around us."""

_ALL = frozenset(SCOPES)


class Principal(NamedTuple):
    """A caller, with role and scopes, and the session or token by which it can be ended."""

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
    """The scopes of a token; all for a session."""
    rooms: frozenset[str] | None = None
    """The rooms that a token is for; None for all."""
    proof: bytes | None = None
    """The hash of the session or token; when that ends, the caller's connections end."""
    ends_at: int | None = None
    """When the session or token ends, in milliseconds since 1970."""

    @property
    def has_account(self) -> bool:
        """Return True if the caller has an account."""
        return self.account is not None

    @property
    def is_known(self) -> bool:
        """Return True if this server, or the application around it, knows the caller."""
        return self.has_account or (self.identity or "").startswith(HOST)

    @property
    def is_admin(self) -> bool:
        """Return True if the caller may administer the server."""
        return self.role in ("admin", "owner")


VISITOR: Final = Principal(None)
"""Nobody in particular."""


def account_id(identity: str | None) -> str | None:
    """Return the public id in the identity of an account; None for every other identity."""
    return identity[len(ACCOUNT) :] if identity is not None and identity.startswith(ACCOUNT) else None


def has_own_id(identity: str | None) -> bool:
    """Return True for an account, and for a user of the application around us: its name may change, the id does not."""
    return identity is not None and identity.startswith((ACCOUNT, HOST))


def outranks(role: str, other: str) -> bool:
    """Return True if `role` may change an account that has the role `other`: an owner any, an admin those below it."""
    return role == "owner" or (role == "admin" and other not in ("admin", "owner"))

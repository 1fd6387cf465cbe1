"""The browsers and programs that sign in: their known attributes and their names."""

from __future__ import annotations

from typing import NamedTuple

from ...protocol.errors import Invalid
from ...store.accounts.accounts import Account
from ...store.accounts.sessions import Session

AGENT_CHARS = 120


class Client(NamedTuple):
    """The browser or program that signs in."""

    address: str = ""
    agent: str = ""
    host: str = ""
    place: str = ""
    """The address without its last part, as lists of sessions show it."""
    device: str | None = None
    """The random id in its device cookie."""
    known: frozenset[str] = frozenset()
    """Public ids of accounts that have signed in on the device."""
    visitor: str | None = None
    """The identity of its visitor cookie."""
    session: bytes | None = None
    """The hash of its present session, which ends when another begins."""


class SignedIn(NamedTuple):
    """A session that has begun; `secret` is for its cookie."""

    account: Account
    session: Session
    secret: str


def label_of(agent: str) -> str:
    """Return the name of a device, as far as its user agent tells."""
    kinds = {"Firefox/": "Firefox", "Edg/": "Edge", "OPR/": "Opera", "Chrome/": "Chrome", "Safari/": "Safari",
             "curl/": "curl"}  # fmt: skip
    systems = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "Mac OS": "macOS",
               "Linux": "Linux"}  # fmt: skip
    kind = next((name for sign, name in kinds.items() if sign in agent), "")
    system = next((name for sign, name in systems.items() if sign in agent), "")
    if kind and system:
        return f"{kind} on {system}"
    return kind or system or "A program"


def text_of(value: object, field: str) -> str:
    """Return `value` if it is a text. Raises Invalid."""
    if not isinstance(value, str):
        raise Invalid(field, f"{field} is missing, or no text.")
    return value

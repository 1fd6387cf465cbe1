"""Kinds of rooms and their settings. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from . import decoding

OPEN: Final = "open"
CLOSED: Final = "closed"
DIRECT: Final = "direct"
LOG: Final = "log"
Kind = Literal["open", "closed", "direct", "log"]
AUDIT: Final = "@audit"
"""The log of administration. No client can make a room of that name."""
DIRECT_PREFIX: Final = "dm-"
MOST_TOPIC: Final = 500
MOST_SLOW: Final = 3600


class About(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The settings of a room beside name, title and kind, as they are stored."""

    topic: Annotated[str, Meta(max_length=MOST_TOPIC)] = ""
    posting: Literal["all", "managers"] = "all"
    """The roles that may write."""
    slow: Annotated[int, Meta(ge=0, le=MOST_SLOW)] = 0
    """Seconds between two messages of one member."""
    default: bool = False
    """True if every new member joins."""
    archived: bool = False
    """True if nobody may write."""


decoding.prepare([About])


@lru_cache(1024)
def parsed(about: str) -> About:
    """Return the settings in a room's row. Raises msgspec.ValidationError, msgspec.DecodeError."""
    return msgspec.json.decode(about, type=About)


def dumped(about: About) -> str:
    """Return `about` as a room's row keeps it, without default settings."""
    return msgspec.json.encode(about).decode()


def shown(name: str, kind: str, title: str | None, about: About) -> dict[str, Any]:
    """Return the settings of a room as readers see them, without default settings."""
    fields: dict[str, Any] = {"name": name}
    if kind != OPEN:
        fields["kind"] = kind
    if title:
        fields["title"] = title
    kept: dict[str, Any] = msgspec.to_builtins(about)
    return fields | kept


def is_private(kind: str) -> bool:
    """Return True if only members see rooms of this kind, and membership stands in their log."""
    return kind in (CLOSED, DIRECT)

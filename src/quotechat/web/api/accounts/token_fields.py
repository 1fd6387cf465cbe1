"""Fields of requests about accounts and tokens: name, scopes, rooms, how long it lasts, what happens to messages."""

from __future__ import annotations

from typing import Any

from ....protocol import limits
from ....protocol.errors import Invalid
from ....protocol.names import clean_name, clean_room
from ....protocol.rights.principal import SCOPES
from . import showing


def name(fields: dict[str, Any]) -> str:
    """Return the field `name`. Raises Invalid."""
    found = fields.get("name")
    if not isinstance(found, str):
        raise Invalid("name", "name is missing, or no text.")
    return clean_name(found, "name", 100)


def scopes(fields: dict[str, Any]) -> tuple[str, ...]:
    """Return the field `scopes`, all if it is missing. Raises Invalid."""
    found = _listed(fields, "scopes")
    if found is not None and (not found or set(found) - set(SCOPES)):
        raise Invalid("scopes", f"Scopes are some of: {', '.join(SCOPES)}.")
    return tuple(each for each in SCOPES if found is None or each in found)


def rooms(fields: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the field `rooms`, None for all. Raises Invalid."""
    found = _listed(fields, "rooms")
    if found is None:
        return None
    if not 1 <= len(found) <= limits.MOST_ROOMS:
        raise Invalid("rooms", f"1 to {limits.MOST_ROOMS} rooms; leave it out for all.")
    return tuple(clean_room(each, "rooms") for each in found)


def lasts(fields: dict[str, Any], now: int) -> int | None:
    """Return the milliseconds that `expires_in` gives from `now` on, None for ever. Raises Invalid."""
    if fields.get("expires_in") is None:
        return None
    return showing.span(fields["expires_in"], "expires_in", now)


def erase(fields: dict[str, Any]) -> bool:
    """Return True if the field `messages` is ``delete``. Raises Invalid."""
    found = fields.get("messages", "keep")
    if found not in ("keep", "delete"):
        raise Invalid("messages", "messages is keep or delete.")
    return bool(found == "delete")


def _listed(fields: dict[str, Any], field: str) -> list[str] | None:
    found = fields.get(field)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Invalid(field, f"{field} is a list of texts.")
    return found

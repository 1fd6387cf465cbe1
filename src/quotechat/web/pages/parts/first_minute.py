"""The text of an empty room: the people who can join, its address, and the way for a program to write there."""

from __future__ import annotations

import ipaddress
import shlex
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flask import request

from ....protocol.rights.permissions import INVITE
from ...http import authentication, security, site
from ...http.services import services
from ...http.site import url_for


class Welcome(NamedTuple):
    """The text of an empty room, as its template takes it."""

    address: str
    """The URL of the room for others."""
    reaches: str
    """``everybody`` who knows the address, ``people`` with an account, or nobody beyond ``this-computer``."""
    curl: str
    qr: str | None = None
    can_invite: bool = False


def welcome(room: str, about: dict[str, Any]) -> Welcome | None:
    """Return the text of the empty `room`; None for a room whose members were chosen."""
    if about.get("kind", "open") != "open":
        return None
    public: str = services().settings.public_url
    base = public or request.host_url.rstrip("/") + site.base()
    address = base + (url_for("pages.room", name=room) if room != "lobby" else url_for("pages.auto")).removeprefix(
        site.base()
    )
    is_open = authentication.services().access == "open"
    local = is_local(urlsplit(base).hostname or "")
    return Welcome(
        address, "this-computer" if local else "everybody" if is_open else "people", _line(base, room, is_open),
        None if local else _qr(address), site.has("own_pages.admin") and _may_invite(),
    )  # fmt: skip


def is_local(host: str) -> bool:
    """Return True if only the computer itself reaches this name or address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _may_invite() -> bool:
    principal = security.principal()
    return principal.is_admin and authentication.may(principal, INVITE)


def _line(base: str, room: str, is_open: bool) -> str:
    messages = f"{base}/api/v1/rooms/{room}/messages"
    if is_open:
        return f"curl -d Hello {shlex.quote(f'{messages}?user=Me')}"
    return f'curl -H "Authorization: Bearer $TOKEN" -d Hello {shlex.quote(messages)}'


@lru_cache(100)
def _qr(address: str) -> str:
    import segno

    return str(segno.make(address, error="m").svg_data_uri(scale=4))

"""Check that the page that asks is ours (protocol §7, Same origin).

`Origin` is compared as a serialized origin (RFC 6454 §6.2), which has one spelling, not as a URL.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flask import request

from ...protocol.errors import OriginRefused
from .services import services

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([1-9][0-9]{0,4}))?")
_REFERRER = re.compile("https?://[^/]*")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{0,5}))?")
_USUAL = {"http": "80", "https": "443"}


class _Place(NamedTuple):
    """A host, and a port that is None for the usual one: 80, and 443, since a proxy may end TLS without a word."""

    host: str
    port: str | None


def is_listed() -> bool:
    """Return True if the page that asks is of an origin that the settings list."""
    return request.headers.get("Origin", "") in services().settings.origins


def check() -> None:
    """Let other origins' pages read only. Raises OriginRefused, before anything is done."""
    upgrades = "websocket" in request.headers.get("Upgrade", "").lower()
    if (request.method not in _SAFE or upgrades) and not is_listed():
        _check()


def is_our_page() -> bool:
    """Return True if a page of ours asks: a browser says so in one of three headers, and no other page can."""
    if _fetch_site():
        return _fetch_site() == "same-origin"
    # Without TLS a browser's reads have neither of the other two.
    referrer = _REFERRER.match(request.headers.get("Referer", ""))
    origin = _origin(request.headers.get("Origin", referrer[0] if referrer else ""))
    return origin is not None and origin == _here()


def _check() -> None:
    text, site = request.headers.get("Origin"), _fetch_site()
    if site in ("cross-site", "same-site"):
        raise OriginRefused()
    if text is None:
        return
    origin, here = _origin(text), _here()
    if origin is None or here is None:
        raise OriginRefused()
    if request.is_secure and not text.startswith("https://"):
        # A page that came in the clear may have any author.
        raise OriginRefused()
    if origin == here:
        return
    same_host = origin.host == here.host
    # The browser compared scheme, host and port itself (Fetch Metadata §2.3); a proxy on the way may lose the port.
    # The host must match all the same: that holds off a name that was bound anew to this server's address.
    if same_host and site == "same-origin":
        return
    if same_host or site == "same-origin":
        raise OriginRefused(
            f"The page is at {text}, but the server is asked for the Host {request.host[:80]!r}: the proxy must pass"
            " it on (nginx: proxy_set_header Host $http_host;). `quotechat doctor` checks it."
        )
    raise OriginRefused()


def _fetch_site() -> str:
    # Scripts cannot set it (Fetch Metadata §2.3).
    return request.headers.get("Sec-Fetch-Site", "").strip().lower()


def _origin(text: str) -> _Place | None:
    """Return the place of a serialized origin; None for ``null`` and for text that no browser would send."""
    found = _ORIGIN.fullmatch(text)
    if found is None or found[3] == _USUAL[found[1]] or int(found[3] or 1) > 65_535:
        return None
    return _Place(found[2], found[3])


def _here() -> _Place | None:
    """Return the place that this request asks."""
    found = _HOST.fullmatch(request.host.lower())
    if found is None:
        return None
    return _Place(found[1], None if not found[2] or found[2] in _USUAL.values() else found[2])

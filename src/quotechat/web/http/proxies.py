"""Read the headers of trusted proxies about a request (X-Forwarded-*), strictly."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from ...config import Settings

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORT = re.compile(r"[0-9]{1,5}")
#: `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`; a bare IPv6 address has no port.
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.%a-z]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
_USUAL = ("80", "443")


def install(app: Flask, settings: Settings) -> None:
    """Take address, scheme, host, port and prefix from as many proxies in front as the settings trust."""
    if settings.trusted_proxies:
        app.wsgi_app = _Trusted(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]  # Flask's own way to wrap it


def address() -> str:
    """Return the address that limits count this request for, as far as trusted proxies tell it.

    An IPv6 address stands for its /64 network, since a client that has one has all of them (RFC 6177 §2). A text that
    is no address counts as the peer that sent it.
    """
    environ = request.environ
    peer = environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR", "")
    found = _address(environ.get("REMOTE_ADDR", "")) or _address(peer)
    if found is None:  # a Unix socket has no addresses
        return ""
    if isinstance(found, ipaddress.IPv6Address) and not found.is_loopback:
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return str(found)


def _address(text: str) -> _Address | None:
    """Return the address in `text`, without port, brackets and zone; IPv4 in IPv6 is IPv4. None if there is none."""
    text = text.strip()
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port[1] or with_port[2]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return found if mapped is None else mapped


class _Trusted:
    """Werkzeug's ProxyFix, but for two headers: an address must be one, and a port is added only if none is there."""

    def __init__(self, app: Any, hops: int) -> None:
        self._app = app
        self._hops = hops
        self._fix = ProxyFix(self._fixed, x_for=0, x_proto=hops, x_host=hops, x_prefix=hops)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._fix(environ, start_response)

    def _fixed(self, environ: dict[str, Any], start_response: Any) -> Any:
        # Split by commas alone: a quotation mark of the client must not swallow what a proxy appended.
        found = self._forwarded(environ, "FOR")
        if found is not None and _address(found) is not None:
            environ["REMOTE_ADDR"] = found
        port = self._forwarded(environ, "PORT")
        host = environ.get("HTTP_HOST", "")
        # Some proxies name a port that is only their own: one in the Host is the one that the browser asked for.
        if port and _PORT.fullmatch(port) and port not in _USUAL and re.fullmatch(r"\[[^\]]*\]|[^:]+", host):
            environ["HTTP_HOST"], environ["SERVER_PORT"] = f"{host}:{port}", port
        return self._app(environ, start_response)

    def _forwarded(self, environ: dict[str, Any], name: str) -> str | None:
        """Return the value of the outermost trusted proxy in ``X-Forwarded-<name>``."""
        values = environ.get(f"HTTP_X_FORWARDED_{name}", "").split(",")
        return values[-self._hops].strip() if len(values) >= self._hops else None

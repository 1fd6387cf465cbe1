"""Names and addresses of hosts, as settings and headers give them."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import cast
from urllib.parse import urlsplit

from .fields import SettingsError, variable

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252}[a-z0-9_])?")


def clean_origin(text: str) -> str:
    """Return `text` as a browser sends it in ``Origin`` (RFC 6454 §6.2): lower case, no default port, no path."""
    fault = f"{variable('origins')} must hold origins such as https://chat.example.org, not {text!r}"
    try:
        parts = urlsplit(text.rstrip("/").lower())
        port = parts.port
    except ValueError:
        raise SettingsError(fault) from None
    extra = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or extra:
        raise SettingsError(fault)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, usual) else "")


def clean_network(text: str) -> str:
    """Return a network in CIDR notation. Raises SettingsError."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as fault:
        raise SettingsError(f"{variable('webhook_networks')} must hold networks such as 10.1.0.0/16: {fault}") from None


def clean_host(text: str) -> str:
    """Return a host name or address in lower case, without brackets. Raises SettingsError."""
    name = text.lower().strip("[]").rstrip(".")
    if not (is_address(name) or _HOST_NAME.fullmatch(name)):
        raise SettingsError(f"{variable('hosts')} must hold host names without port, not {text!r}")
    return name


def host_of(header: str) -> str | None:
    """Return the name or address in a ``Host`` header (RFC 9110 §7.2), or None if it is none."""
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]{0,5})?", header.lower())
    if not found:
        return None
    if found[1] is not None:
        return cast(str, found[1]) if is_address(found[1]) else None
    return cast(str, found[2]).rstrip(".") or None


def is_address(name: str) -> bool:
    """Return True for an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Return True if `name` is this machine by itself."""
    # RFC 6761 §6.3: every name under localhost is this machine.
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return is_address(name) and ipaddress.ip_address(name).is_loopback


def own_names(bound: str) -> set[str]:
    """Return the names under which this machine, bound to `bound`, is reached."""
    machine = socket.gethostname().lower()
    # On a local network a machine answers to its name and, by mDNS, to name.local.
    return {bound.lower(), machine, f"{machine.split('.')[0]}.local"}

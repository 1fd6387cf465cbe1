"""Addresses that may be called: as they are written, and those to which their name leads. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

MOST_URL = 2000
_LOWEST_PORT = 1024
_PORTS = frozenset({80, 443})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Networks that `is_global` takes for global, in this Python or an older one, and that no webhook may call.
_NOT_GLOBAL = tuple(map(ipaddress.ip_network, (
    "224.0.0.0/4", "192.88.99.0/24", "192.0.0.0/24", "240.0.0.0/4",
    "3fff::/20", "2001:db8::/32", "2001::/23",
)))  # fmt: skip
#: IPv6 that is routed between networks. All else, such as fec0::/10, multicast and 64:ff9b:1::/48, is not.
_ROUTED = ipaddress.IPv6Network("2000::/3")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Unsafe(ValueError):
    """The address may not be called; the text says why, without the address."""


class Target(NamedTuple):
    """A parsed address: `name` is in lower case, `path` begins with a slash."""

    secure: bool
    name: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Return it as the header `Host` has it."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"


def parse(url: str) -> Target:
    """Return the parts of `url`. Raises Unsafe for all but a plain https or http address."""
    if len(url) > MOST_URL or not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        raise Unsafe("It has characters that an address does not have, or is too long.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Unsafe("It is not an address.") from None
    if parts.scheme not in ("https", "http"):
        raise Unsafe("Only https.")
    if "@" in parts.netloc or "#" in url:
        raise Unsafe("No user, no password and no # in it.")
    secure = parts.scheme == "https"
    if port is None:
        port = 443 if secure else 80
    if port not in _PORTS and not _LOWEST_PORT <= port <= 65535:
        raise Unsafe("The port is 443, 80, or 1024 and above.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure, _name(parts.hostname or "", bracketed=parts.netloc.startswith("[")), port, path)


def is_safe(address: Address, networks: Iterable[Network] = ()) -> bool:
    """Return True if `address` may be called: it is global, or one of `networks` has it.

    Of an IPv6 form that stands for an IPv4 address, that one counts; of several, each.
    """
    inner = _inner(address)
    return all(_is_global(each) or _is_in(each, networks) for each in inner)


def check(target: Target, found: Iterable[str], networks: Sequence[Network] = ()) -> list[str]:
    """Return the addresses `found` for the name of `target`, if each may be called. Raises Unsafe."""
    addresses = [ipaddress.ip_address(each) for each in found]
    if not addresses:
        raise Unsafe("The name has no address.")
    if any(getattr(each, "scope_id", None) for each in addresses) or not all(
        is_safe(each, networks) for each in addresses
    ):
        raise Unsafe("It leads to an address that is not for everybody.")
    if not target.secure and not all(_is_in(inner, networks) for each in addresses for inner in _inner(each)):
        raise Unsafe(_ONLY_HTTPS)
    return [str(each) for each in addresses]


_ONLY_HTTPS = "Only https, but into networks that QUOTECHAT_WEBHOOK_NETWORKS names."


def check_scheme(target: Target, networks: Iterable[Network]) -> None:
    """Raise Unsafe for http that can lead nowhere, before the name is resolved."""
    if not target.secure and not networks:
        raise Unsafe(_ONLY_HTTPS)


def _name(name: str, *, bracketed: bool) -> str:
    """Return a host's name in lower case. Raises Unsafe, also for addresses that are written in an odd way."""
    if bracketed:
        try:
            # It would also read a zone, which names an interface of this machine.
            return str(ipaddress.IPv6Address(name.replace("%", "/")))
        except ValueError:
            raise Unsafe("The address in brackets is none.") from None
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Unsafe("The name of the host is none; others than ASCII are written xn--….")
    if _NUMBER.fullmatch(labels[-1]):
        # 2130706433, 0x7f.1 and 0177.0.0.1 are addresses to a resolver, and to no reader.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise Unsafe("The address is not written as four numbers.") from None
    return name


def _inner(address: Address) -> list[Address]:
    """Return the addresses that `address` stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    number = int(address)
    if any(address in network for network in (_MAPPED, _TRANSLATED, _COMPATIBLE, _NAT64)) and number > 1:
        return [_last_four(number)]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    if (number >> 32) & 0xFFFF_FFFF in _ISATAP:
        return [address, _last_four(number)]
    return [address]


def _last_four(number: int) -> Address:
    return ipaddress.IPv4Address(number & 0xFFFF_FFFF)


def _is_global(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _ROUTED:
        return False
    return address.is_global and not _is_in(address, _NOT_GLOBAL)


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)

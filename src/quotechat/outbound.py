"""One POST to another system, safely: no way into the networks around this server, and one deadline for all of it.

The address is parsed once, its name resolved once, every address that the name has is checked, and the connection goes
to an address that was checked. Redirects are not followed, proxies of the environment not asked.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

SECONDS = 15.0
"""For all of it: resolving, connecting, sending, and reading the answer."""
MOST_BYTES = 64 * 1024
"""Bytes of an answer that are read, and as many again of its head."""
MOST_URL = 2000
_LOWEST_PORT = 1024
_PORTS = frozenset({80, 443})
_MOST_RESOLVING = 32

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

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


class Failed(Exception):
    """No complete answer came: the text is one word for the step that failed."""


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


class Answer(NamedTuple):
    """The answer of a receiver: `body` is None if it was not asked for, or is too long."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


# --- Safe addresses ---------------------------------------------------------------------------------


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


def _check_scheme(target: Target, networks: Iterable[Network]) -> None:
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


def vet(target: Target, networks: Sequence[Network] = (), seconds: float = SECONDS) -> None:
    """Resolve the name of `target` now. Raises Unsafe if it may not be called, Failed if it has no address."""
    _check_scheme(target, networks)
    check(target, _resolved(lookup, target, time.monotonic() + seconds), networks)


# --- Going there ------------------------------------------------------------------------------------


def post(
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    networks: Sequence[Network] = (),
    *,
    wanted: Callable[[int, Mapping[str, str]], bool] = lambda status, headers: False,
    seconds: float = SECONDS,
    resolve: Resolve | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """POST `body`, and return the answer; its body is read if `wanted` says so of its status and headers.

    `resolve` returns the addresses of a name, `context` checks certificates. Raises Unsafe before a connection is made,
    and Failed if no complete answer came within `seconds`.
    """
    deadline = time.monotonic() + seconds
    _check_scheme(target, networks)
    addresses = check(target, _resolved(resolve or lookup, target, deadline), networks)
    connection = _connected(addresses, target.port, deadline)
    try:
        if target.secure:
            connection = _secured(connection, target.name, context or _context(), deadline)
        _send(connection, _head(target, headers, len(body)) + body, deadline)
        return _answer(connection, deadline, wanted)
    except (ssl.SSLError, ssl.CertificateError):
        raise Failed("tls") from None
    except TimeoutError:
        raise Failed("timeout") from None
    except ConnectionError:
        raise Failed("reset") from None
    except (OSError, http.client.HTTPException, ValueError):
        # A header that cannot be decoded is a ValueError.
        raise Failed("protocol") from None
    finally:
        with contextlib.suppress(OSError):
            connection.close()


def lookup(name: str, port: int) -> list[str]:
    """Return the addresses of `name`, as this machine resolves it. Raises OSError."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


_resolving = threading.BoundedSemaphore(_MOST_RESOLVING)


def _resolved(resolve: Resolve, target: Target, deadline: float) -> Sequence[str]:
    """Resolve the name on a thread of its own: a resolver may hang for longer than there is time."""
    try:
        return [str(ipaddress.ip_address(target.name))]
    except ValueError:
        pass
    if not _resolving.acquire(timeout=_left(deadline)):
        raise Failed("resolve")
    found: list[Sequence[str]] = []

    def work() -> None:
        try:
            found.append(resolve(target.name, target.port))
        except (OSError, UnicodeError):
            pass
        finally:
            _resolving.release()

    thread = threading.Thread(target=work, name="resolver", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if not found:
        raise Failed("resolve")
    return found[0]


def _connected(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first of `addresses` that takes it; each was checked."""
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=_left(deadline))
        except TimeoutError:
            raise Failed("timeout") from None
        except OSError:
            continue
    raise Failed("connect")


def _secured(connection: socket.socket, name: str, context: ssl.SSLContext, deadline: float) -> ssl.SSLSocket:
    connection.settimeout(_left(deadline))
    secured = context.wrap_socket(connection, server_hostname=name.removesuffix("."), do_handshake_on_connect=False)
    try:
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    return secured


@cache
def _context() -> ssl.SSLContext:
    # Reading the certificates of this machine takes longer than a connection.
    return ssl.create_default_context()


def _head(target: Target, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"POST {target.path} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {length}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("ascii")


def _send(connection: socket.socket, data: bytes, deadline: float) -> None:
    connection.settimeout(_left(deadline))
    connection.sendall(data)


def _answer(
    connection: socket.socket, deadline: float, wanted: Callable[[int, Mapping[str, str]], bool]
) -> Answer:
    bounded: Any = _Bounded(connection, deadline)
    response = http.client.HTTPResponse(bounded, method="POST")
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        if not wanted(response.status, headers):
            return Answer(response.status, headers, None)
        body = b""
        while len(body) <= MOST_BYTES and (part := response.read(MOST_BYTES + 1 - len(body))):
            body += part
        if len(body) > MOST_BYTES:
            return Answer(response.status, headers, None)
        if response.length:  # it ended before as much had come as it announced
            raise Failed("protocol")
        return Answer(response.status, headers, body)
    finally:
        response.close()


def _left(deadline: float) -> float:
    """Return the seconds that are left. Raises TimeoutError."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Bounded(io.RawIOBase):
    """The bytes of a connection, up to the deadline and to a number: a peer that drips ends as one that hangs."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = 2 * MOST_BYTES + 4096

    def makefile(self, *_: Any) -> Any:
        """Return itself buffered, as http.client wants it of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise http.client.LineTooLong("answer")
        self._connection.settimeout(_left(self._deadline))
        view = memoryview(buffer)[: self._left]
        count = self._connection.recv_into(view)
        self._left -= count
        return count

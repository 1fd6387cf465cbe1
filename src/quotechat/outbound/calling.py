"""POSTs to another system, safely: no way into the networks around this server, and one deadline for all of each.

The address is parsed once, its name resolved once for a connection, every address that the name has is checked, and the
connection goes to an address that was checked. Redirects are not followed, proxies of the environment not asked.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

from .addresses import Network, Target, Unsafe, check, check_scheme

SECONDS = 15.0
"""For all of it: resolving, connecting, sending, and reading the answer."""
MOST_BYTES = 64 * 1024
"""Bytes of an answer that are read, and as many again of its head."""
_MOST_READ = 2 * MOST_BYTES + 4096
_SHORT_BYTES, _BODY_SECONDS = 4096, 1.0
"""Bytes of a body that is read although it is not wanted, and the time for that: a new connection costs more."""
_MOST_RESOLVING = 32

Resolve = Callable[[str, int], Sequence[str]]


class Failed(Exception):
    """No complete answer came: the text is one word for the step that failed."""


class Answer(NamedTuple):
    """The answer of a receiver: `body` is None if it was not asked for, or is too long."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


def vet(target: Target, networks: Sequence[Network] = (), seconds: float = SECONDS) -> None:
    """Resolve the name of `target` now. Raises Unsafe if it may not be called, Failed if it has no address."""
    check_scheme(target, networks)
    check(target, _resolved(lookup, target, time.monotonic() + seconds), networks)


Wanted = Callable[[int, Mapping[str, str]], bool]
"""Returns True if the body of an answer with this status and these headers is to be read."""


def _no_body(_status: int, _headers: Mapping[str, str]) -> bool:
    return False


def post(
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    networks: Sequence[Network] = (),
    *,
    wanted: Wanted = _no_body,
    seconds: float = SECONDS,
    resolve: Resolve | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """POST `body` once, and return the answer; see `Line`."""
    with contextlib.closing(Line(target, networks, seconds=seconds, resolve=resolve, context=context)) as line:
        return line.post(headers, body, wanted, last=True)


class Line:
    """POSTs to one receiver that follow on each other, over one connection as long as the receiver keeps it.

    `resolve` returns the addresses of a name, `context` checks certificates. Each POST has `seconds`. The name is
    resolved, and its addresses checked, for each connection, so a kept one goes to an address that was checked.
    """

    def __init__(
        self,
        target: Target,
        networks: Sequence[Network] = (),
        *,
        seconds: float = SECONDS,
        resolve: Resolve | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._target = target
        self._networks = networks
        self._seconds = seconds
        self._resolve = resolve or lookup
        self._context = context
        self._kept: socket.socket | None = None

    def post(
        self, headers: Mapping[str, str], body: bytes, wanted: Wanted = _no_body, *, last: bool = False
    ) -> Answer:
        """POST `body`, and return the answer; its body is read if it is `wanted`. After the `last` one it closes.

        Raises Unsafe before a connection is made, and Failed if no complete answer came in time.
        """
        deadline = time.monotonic() + self._seconds
        request = _head(self._target, headers, len(body), last=last) + body
        try:
            kept = self._still_kept()
            if kept is not None:
                try:
                    return self._ask(kept, request, deadline, wanted, last=last)
                except _Closed:
                    pass  # it was idle, and its time was over at the receiver
            return self._ask(self._connected(deadline), request, deadline, wanted, last=last)
        except (ssl.SSLError, ssl.CertificateError):
            raise Failed("tls") from None
        except TimeoutError:
            raise Failed("timeout") from None
        except ConnectionError:
            raise Failed("reset") from None
        except (OSError, http.client.HTTPException, ValueError) as fault:
            if isinstance(fault, Unsafe):
                raise
            # A header that cannot be decoded is a ValueError.
            raise Failed("protocol") from None

    def close(self) -> None:
        """Close the connection."""
        _close(self._kept)
        self._kept = None

    def _still_kept(self) -> socket.socket | None:
        """Return the connection that was kept, unless something has come that was not asked for, such as its end."""
        kept, self._kept = self._kept, None
        if kept is not None and _is_readable(kept):
            _close(kept)
            return None
        return kept

    def _connected(self, deadline: float) -> socket.socket:
        target = self._target
        check_scheme(target, self._networks)
        addresses = check(target, _resolved(self._resolve, target, deadline), self._networks)
        connection = _connected(addresses, target.port, deadline)
        return _secured(connection, target.name, self._context or _context(), deadline) if target.secure else connection

    def _ask(
        self, connection: socket.socket, request: bytes, deadline: float, wanted: Wanted, *, last: bool
    ) -> Answer:
        """Send the request and return the answer; the connection is kept or closed."""
        keeps = False
        try:
            reading = _Bounded(connection, deadline)
            try:
                connection.sendall(request)
                answer, keeps = _answer(reading, wanted)
            except ConnectionError:
                raise (_Closed if not reading.has_begun else ConnectionResetError) from None
        finally:
            if keeps and not last:
                self._kept = connection
            else:
                _close(connection)
        return answer


class _Closed(ConnectionError):
    """The receiver has closed the connection before a byte of its answer."""


def _close(connection: socket.socket | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.close()


def _is_readable(connection: socket.socket) -> bool:
    """Return True if something has come, or the end."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


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


def _head(target: Target, headers: Mapping[str, str], length: int, *, last: bool) -> bytes:
    lines = [f"POST {target.path} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {length}", *(["Connection: close"] if last else []), "", ""]
    return "\r\n".join(lines).encode("ascii")


def _answer(reading: _Bounded, wanted: Wanted) -> tuple[Answer, bool]:
    """Return the answer, and True if the connection can be asked again."""
    response = http.client.HTTPResponse(cast(Any, reading), method="POST")
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    if not wanted(response.status, headers):
        return Answer(response.status, headers, None), _is_whole(response, reading)
    body = b""
    while len(body) <= MOST_BYTES and (part := response.read(MOST_BYTES + 1 - len(body))):
        body += part
    if len(body) > MOST_BYTES:
        return Answer(response.status, headers, None), False
    if response.length:  # it ended before as much had come as it announced
        raise Failed("protocol")
    return Answer(response.status, headers, body), not response.will_close and not reading.has_more()


def _is_whole(response: http.client.HTTPResponse, reading: _Bounded) -> bool:
    """Read a short body that is not wanted, so that the connection can be kept; return True if it can."""
    if response.will_close or response.length is None or response.length > _SHORT_BYTES:
        return False
    reading.hurry(_BODY_SECONDS)
    try:
        response.read()
    except (OSError, http.client.HTTPException):
        return False
    return not reading.has_more()


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
        self._left = _MOST_READ
        self._ended = False
        self._reader = _Reader(self)
        connection.settimeout(_left(deadline))

    def makefile(self, *_: Any) -> _Reader:
        """Return itself buffered, as http.client wants it of a socket."""
        return self._reader

    @property
    def has_begun(self) -> bool:
        """Return True if anything has come."""
        return self._left < _MOST_READ

    def hurry(self, seconds: float) -> None:
        """Let it end within so many seconds."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def has_more(self) -> bool:
        """Return True if more has come than the answer: the next one would begin with it."""
        self._ended = True
        return bool(self._reader.peek(1))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._ended:
            return 0
        if self._left <= 0:
            raise http.client.LineTooLong("answer")
        if self.has_begun:  # it has its time already for the first part
            self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


class _Reader(io.BufferedReader):
    """Stays open when http.client has read an answer, to show if there is more."""

    def close(self) -> None:
        pass

"""POSTs to another system, safely: no way into the networks around this server, and one deadline for all of each.

The address is parsed once, its name resolved once for a connection, every address that the name has is checked, and the
connection goes to an address that was checked. Redirects are not followed, proxies of the environment not asked.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from .addresses import Network, Target, check, check_scheme
from .answering import Answer, Malformed, Reading, Wanted, answer, seconds_left

SECONDS = 15.0
"""For all of it: resolving, connecting, sending, and reading the answer."""
_MOST_RESOLVING = 32

Resolve = Callable[[str, int], Sequence[str]]


class Failed(Exception):
    """No complete answer came: the text is one word for the step that failed."""


def vet(target: Target, networks: Sequence[Network] = (), seconds: float = SECONDS) -> None:
    """Resolve the name of `target` now. Raises Unsafe if it may not be called, Failed if it has no address."""
    check_scheme(target, networks)
    check(target, _resolve(lookup, target, time.monotonic() + seconds), networks)


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
    """POST `body` once, over a connection of its own, and return the answer; see `ReusedConnection.post`."""
    connection = ReusedConnection(target, networks, seconds=seconds, resolve=resolve, context=context)
    with contextlib.closing(connection):
        return connection.post(headers, body, wanted, last=True)


class ReusedConnection:
    """Successive POSTs to one receiver, over one connection for as long as the receiver keeps it open.

    `resolve` returns the addresses of a name, `context` checks certificates. Each POST has `seconds`. The name is
    resolved, and its addresses are checked, for each new connection: a reused one leads to an address that was checked.
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
        """POST `body`, and return the answer, whose body is read if it is `wanted`. The `last` POST closes.

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
                    pass  # the receiver closed it while it was idle
            return self._ask(self._connect(deadline), request, deadline, wanted, last=last)
        except (ssl.SSLError, ssl.CertificateError):
            raise Failed("tls") from None
        except TimeoutError:
            raise Failed("timeout") from None
        except ConnectionError:
            raise Failed("reset") from None
        except (OSError, Malformed):
            raise Failed("protocol") from None

    def close(self) -> None:
        """Close the connection."""
        _close(self._kept)
        self._kept = None

    def _still_kept(self) -> socket.socket | None:
        """Return the idle connection, unless the receiver has closed it or sent bytes that nobody asked for."""
        kept, self._kept = self._kept, None
        if kept is not None and _is_readable(kept):
            _close(kept)
            return None
        return kept

    def _connect(self, deadline: float) -> socket.socket:
        target = self._target
        check_scheme(target, self._networks)
        addresses = check(target, _resolve(self._resolve, target, deadline), self._networks)
        connection = _connect_to_first(addresses, target.port, deadline)
        if not target.secure:
            return connection
        return _start_tls(connection, target.name, self._context or _context(), deadline)

    def _ask(
        self, connection: socket.socket, request: bytes, deadline: float, wanted: Wanted, *, last: bool
    ) -> Answer:
        """Send the request and return the answer; the connection is kept or closed."""
        keeps = False
        try:
            reading = Reading(connection, deadline)
            try:
                connection.sendall(request)
                found, keeps = answer(reading, wanted)
            except (ConnectionError, ssl.SSLEOFError):
                raise (_Closed if not reading.has_begun else ConnectionResetError) from None
        finally:
            if keeps and not last:
                self._kept = connection
            else:
                _close(connection)
        return found


class _Closed(ConnectionError):
    """The receiver closed the connection before the first byte of its answer."""


def _close(connection: socket.socket | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.close()


def _is_readable(connection: socket.socket) -> bool:
    """Return True if a read would not block: bytes have come, or the end of the stream."""
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def lookup(name: str, port: int) -> list[str]:
    """Return the addresses of `name`, as this machine resolves it. Raises OSError."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


_resolving = threading.BoundedSemaphore(_MOST_RESOLVING)


def _resolve(resolve: Resolve, target: Target, deadline: float) -> Sequence[str]:
    """Resolve the name on a thread of its own: a resolver may hang for longer than there is time."""
    try:
        return [str(ipaddress.ip_address(target.name))]
    except ValueError:
        pass
    if not _resolving.acquire(timeout=seconds_left(deadline)):
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


def _connect_to_first(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first of `addresses` that takes it; each was checked."""
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=seconds_left(deadline))
        except TimeoutError:
            raise Failed("timeout") from None
        except OSError:
            continue
    raise Failed("connect")


def _start_tls(connection: socket.socket, name: str, context: ssl.SSLContext, deadline: float) -> ssl.SSLSocket:
    connection.settimeout(seconds_left(deadline))
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

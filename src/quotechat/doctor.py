"""Tests the real way to a server, proxies and all, and says which line of their configuration to change.

It is a client like any other, on the standard library alone. It writes nothing into any room. Each check is one
function; its findings may serve later ones.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

LONGEST_WAIT = 25.0
"""Seconds that the server holds a poll at the most; it may answer after 0.8 of them."""
CLOCK_SECONDS = 2.0
"""By which two clocks may differ without a word."""
_ROOM = "/api/v1/rooms/lobby/events"

State = Literal["ok", "warning", "wrong"]


class Finding(NamedTuple):
    """The result of one check; `fix` are the lines to change, by the proxy that has them."""

    check: str
    state: State
    told: str
    fix: dict[str, str] = {}  # noqa: RUF012  # a NamedTuple's default, never changed


class Stop(Exception):
    """Nothing more can be found out."""


HOST = {
    "nginx": "proxy_set_header Host $http_host;",
    "Caddy": "header_up Host {http.request.hostport}    # under reverse_proxy; it is the default",
}
VERSION = {"nginx": "proxy_http_version 1.1;", "Caddy": "versions 1.1    # under reverse_proxy, transport http"}
UPGRADE = {
    "nginx": "proxy_set_header Upgrade $http_upgrade;\n"
    "proxy_set_header Connection $connection_upgrade;\n"
    "map $http_upgrade $connection_upgrade { default upgrade; '' close; }    # once, in http",
    "Caddy": "reverse_proxy 127.0.0.1:8000    # it upgrades by itself: take away what removes the headers",
}
BUFFERING = {
    "nginx": "proxy_buffering off;    # and no proxy_ignore_headers X-Accel-Buffering; gzip gathers where it is on",
    "Caddy": "flush_interval -1    # under reverse_proxy",
}
TIMEOUT = {
    "nginx": "proxy_read_timeout 75s;",
    "Caddy": "response_header_timeout 75s    # and read_timeout 75s: under reverse_proxy, transport http",
}
FORWARDED = {
    "nginx": "proxy_set_header X-Forwarded-Proto $scheme;\n"
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "quotechat": "QUOTECHAT_TRUSTED_PROXIES=1",
}

TOKEN = {"quotechat": "export QUOTECHAT_TOKEN=$(quotechat sign-in NAME --account)    # and again"}


class Doctor:
    """One examination of the server at `url`.

    `hold` is for how many seconds connections are held open, `patience` how many seconds an answer that should
    come at once may take. `token` is that of an account, for a server that only people with accounts may read.
    """

    def __init__(self, url: str, *, hold: float = 30.0, patience: float = 5.0, token: str | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not the address of a server: {url!r}")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._secure else 80)
        self._authority = parts.netloc.rpartition("@")[2].lower()
        self._origin = f"{parts.scheme}://{self._authority}"
        self._base = parts.path.rstrip("/")
        self._hold = hold
        self._patience = patience
        self._credentials = {"Authorization": f"Bearer {token}"} if token else {}
        self._seen: dict[str, Any] = {}
        self._upstream_is_old = False

    def examine(self) -> Iterator[Finding]:
        """Yield the findings, each as soon as there is one. Raises OSError if no server answers at all."""
        with contextlib.suppress(Stop):
            yield from self._reached()
            yield self._host_header()
            yield from self._forwarded()
            yield self._version()
            yield self._clock()
            yield from self._let_in()
            yield from self._held()

    # --- Read from one answer ---------------------------------------------------------------------

    def _reached(self) -> Iterator[Finding]:
        began = time.time()
        status, body = self._get("/api/v1/seen")
        if status == 200 and "version" in body:
            self._seen = {**body, "asked": (began + time.time()) / 2}
            yield Finding("server", "ok", f"quotechat {body['version']} answers")
            return
        if body.get("field") == "Host":
            told = f"the server does not serve the Host that it gets: {body.get('detail')}"
            names = f"QUOTECHAT_HOSTS={self._host}    # where the proxy passes the right one already"
            yield Finding("Host", "wrong", told, {**HOST, "quotechat": names})
        elif status in (502, 503, 504) and "code" not in body:
            yield Finding("server", "wrong", f"a proxy answers {status}: it does not reach quotechat")
        else:
            yield Finding("server", "wrong", f"what answers ({status}) is no quotechat, or one without /api/v1/seen")
        raise Stop

    def _host_header(self) -> Finding:
        usual = {"http": ":80", "https": ":443"}["https" if self._secure else "http"]
        seen = str(self._seen["host"]).lower()
        if seen.removesuffix(usual) == self._authority.removesuffix(usual):
            return Finding("Host", "ok", f"passed on as {seen}")
        told = f"the server gets {seen!r}, not {self._authority!r}: browsers' writes and WebSockets will be refused"
        return Finding("Host", "wrong", told, HOST)

    def _forwarded(self) -> Iterator[Finding]:
        if self._secure and self._seen["scheme"] != "https":
            told = "the server believes that you came without TLS, so its cookies are not marked Secure"
            yield Finding("scheme", "warning", told, FORWARDED)

    def _version(self) -> Finding:
        spoken = self._seen["http"]
        if spoken == "HTTP/1.0":
            self._upstream_is_old = True
            told = "the server is asked in HTTP/1.0, which has no streams and no WebSockets"
            return Finding("HTTP version", "wrong", told, VERSION)
        return Finding("HTTP version", "ok", f"{spoken} to the server")

    def _clock(self) -> Finding:
        there = datetime.fromisoformat(self._seen["at"]).timestamp()
        ahead = there - self._seen["asked"]
        way = "ahead" if ahead > 0 else "behind"
        told = f"the server's is {abs(ahead):.1f} s {way} ({datetime.now(UTC):%H:%M:%S} UTC here)"
        if abs(ahead) < CLOCK_SECONDS:
            return Finding("clock", "ok", told)
        fix = {"system": "timedatectl set-ntp true    # on the machine whose clock is wrong"}
        return Finding("clock", "warning", f"{told}: times and scheduling look wrong", fix)

    def _let_in(self) -> Iterator[Finding]:
        """Look whether the lobby may be read: a refusal of the server is no fault of a proxy."""
        status, body = self._get(f"{_ROOM}?limit=1")
        if status not in (401, 403, 404):
            return
        if self._credentials:
            told = f"the server does not let this token read the lobby ({status}): {body.get('detail')}"
            yield Finding("account", "wrong", told)
        else:
            told = f"only accounts may read here ({status}): WebSocket, stream and long poll were not looked at"
            yield Finding("account", "warning", told, TOKEN)
        raise Stop

    # --- Connections that have to last ------------------------------------------------------------

    def _held(self) -> Iterator[Finding]:
        """WebSocket, stream and long poll, held at the same time."""
        checks = [self._websocket, self._stream, self._long_poll]
        found: list[list[Finding]] = [[] for _ in checks]

        def run(check: Callable[[], Iterator[Finding]], into: list[Finding]) -> None:
            try:
                into.extend(check())
            except (OSError, http.client.HTTPException, ValueError) as fault:
                name = check.__name__.strip("_").replace("_", " ")
                into.append(Finding(name, "wrong", str(fault) or type(fault).__name__))

        threads = [
            threading.Thread(target=run, args=pair, daemon=True) for pair in zip(checks, found, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread, findings in zip(threads, found, strict=True):
            thread.join()
            yield from findings

    def _websocket(self) -> Iterator[Finding]:
        sock = self._connect(self._patience)
        with sock:
            key = base64.b64encode(os.urandom(16)).decode()
            lines = (
                f"GET {self._base}/api/v1/ws?room=lobby HTTP/1.1",
                f"Host: {self._authority}", f"Origin: {self._origin}",
                "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
                *(f"{name}: {value}" for name, value in self._credentials.items()),
            )  # fmt: skip
            sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            head = _until(sock, b"\r\n\r\n")
            status = head.split(b" ", 2)[1:2]
            if status != [b"101"]:
                yield self._not_upgraded(head)
                return
            yield Finding("WebSocket", "ok", "upgraded")
            lasted = _outlasts(sock, self._hold)
        yield self._lasted("WebSocket", lasted)

    def _not_upgraded(self, head: bytes) -> Finding:
        status = head.split(b" ", 2)[1].decode("latin-1") if head.startswith(b"HTTP/") else "nothing"
        if self._upstream_is_old:
            return Finding("WebSocket", "wrong", f"not upgraded ({status}): see HTTP version", VERSION)
        if status == "403":
            return Finding("WebSocket", "wrong", "refused as another site's page (403): see Host", HOST)
        told = f"not upgraded ({status}): the proxy keeps the upgrade to itself"
        return Finding("WebSocket", "wrong", told, UPGRADE)

    def _stream(self) -> Iterator[Finding]:
        with contextlib.ExitStack() as stack:
            timeout = max(self._patience, 2.5)  # the server looks once a second whether a second has passed
            connection = stack.enter_context(contextlib.closing(self._connection(timeout)))
            headers = {"Host": self._authority, "Accept": "application/x-ndjson", "Accept-Encoding": "gzip"}
            headers |= self._credentials
            # Something each second: data that comes with the header passes even if a proxy buffers the rest.
            connection.request("GET", f"{self._base}{_ROOM}?heartbeat=1", headers=headers)
            sock = connection.sock
            try:
                response = stack.enter_context(connection.getresponse())
                began, flows = time.monotonic(), response.status == 200 and _three_lines(response)
            except TimeoutError:
                told = f"nothing came for {timeout:g} s, though the server sends each second: it is gathered"
                yield Finding("stream", "wrong", told, BUFFERING)
                return
            if response.status != 200:
                old = self._upstream_is_old
                told = f"refused ({response.status}){': see HTTP version' if old else ''}"
                yield Finding("stream", "wrong", told, VERSION if old else {})
                return
            if not flows:
                yield self._lasted("stream", time.monotonic() - began)
                return
            yield Finding("stream", "ok", "flows as it is sent")
            lasted = _outlasts(sock, self._hold - (time.monotonic() - began))
        yield self._lasted("stream", lasted)

    def _long_poll(self) -> Iterator[Finding]:
        began, longest = time.monotonic(), 0.0
        wait = min(self._hold, LONGEST_WAIT)
        while time.monotonic() - began < self._hold:
            asked = time.monotonic()
            try:
                status, page = self._get(f"{_ROOM}?after=now&wait={wait:g}", wait + self._patience)
            except OSError as fault:
                status, page = 0, {"detail": str(fault)}
            held = time.monotonic() - asked
            if status != 200 or "cursor" not in page:
                yield self._poll_was_cut(held, status)
                return
            longest = max(longest, held)
            if held >= 0.79 * wait:
                yield Finding("long poll", "ok", f"held for {held:.0f} s")
                return
            if "retry_in_ms" in page:
                yield Finding("long poll", "warning", "the server holds no more polls just now: ask again later")
                return
        told = f"too much is said in the lobby to hold one: {longest:.0f} s was the longest; ask again later"
        yield Finding("long poll", "warning", told)

    def _poll_was_cut(self, held: float, status: int) -> Finding:
        if status == 429 or status == 503:
            return Finding("long poll", "warning", f"refused ({status}): ask again later")
        return self._lasted("long poll", held, f"with {status}" if status else "without an answer")

    def _lasted(self, check: str, seconds: float | None, how: str = "") -> Finding:
        if seconds is None:
            return Finding(check, "ok", f"stayed open for {self._hold:g} s")
        told = f"cut after {seconds:.1f} s {how}".rstrip()
        return Finding(check, "wrong", f"{told}: the proxy waits for less long than the server is silent", TIMEOUT)

    # --- Asking -----------------------------------------------------------------------------------

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _connect(self, timeout: float) -> socket.socket:
        sock = socket.create_connection((self._host, self._port), timeout)
        if self._secure:
            return ssl.create_default_context().wrap_socket(sock, server_hostname=self._host)
        return sock

    def _get(self, path: str, timeout: float = 10.0) -> tuple[int, dict[str, Any]]:
        """Return status and JSON object of an answer; an empty object if it is none."""
        with contextlib.closing(self._connection(timeout)) as connection:
            try:
                headers = {"Host": self._authority, "Accept": "application/json", **self._credentials}
                connection.request("GET", self._base + path, headers=headers)
                response = connection.getresponse()
                text = response.read()
            except http.client.HTTPException as fault:
                raise ConnectionError(str(fault) or type(fault).__name__) from fault
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        return response.status, found if isinstance(found, dict) else {}


def _three_lines(response: http.client.HTTPResponse) -> bool:
    """Return True if three lines come: more than one send of the server. Raises TimeoutError if they are held back."""
    # As browsers do, gzip was asked for: a proxy that compresses gathers most of all.
    zipped = response.headers.get("Content-Encoding") == "gzip"
    unzip = zlib.decompressobj(wbits=31)
    lines = 0
    while lines < 3:
        try:
            data = response.read1(4096)
        except (http.client.HTTPException, ConnectionError):
            data = b""
        if not data:
            return False
        lines += (unzip.decompress(data) if zipped else data).count(b"\n")
    return True


def _until(sock: socket.socket, end: bytes) -> bytes:
    """Read up to `end`, or until nothing more comes."""
    found = b""
    with contextlib.suppress(TimeoutError):
        while end not in found and (data := sock.recv(4096)):
            found += data
    return found


def _outlasts(sock: socket.socket, seconds: float) -> float | None:
    """Read for so many seconds; after how many the other side ended it, or None."""
    began = time.monotonic()
    while (left := began + seconds - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data = sock.recv(4096)
        except TimeoutError:
            break
        except OSError:
            data = b""
        # A close frame is an end too (RFC 6455 §5.5.1).
        if not data or data[:1] == b"\x88":
            return time.monotonic() - began
    return None

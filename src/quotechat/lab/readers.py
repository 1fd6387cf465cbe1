"""The readers that the lab compares, and the network between them and the server, which can be cut."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from simple_websocket import Client, ConnectionClosed

TIMEOUT = 40.0
"""Seconds that an answer may take."""
_MOST_LOST = 5
"""Connections that a reader may lose one after the other without any answer; a server ends those at rest."""


class Cost(NamedTuple):
    """The cost of a reader until `at`, when its last answer or frame had come."""

    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    at: float = 0.0

    def since(self, before: Cost) -> Cost:
        """Return the difference to `before`, and in `at` the seconds that it took."""
        return Cost(*(now - then for now, then in zip(self, before, strict=True)))  # type: ignore[arg-type]  # alike


class Network:
    """The readers' network. Senders have another one."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.cut_begun = threading.Event()
        self.up.set()
        self._sockets: list[socket.socket] = []

    def add(self, sock: socket.socket) -> None:
        """Let `cut` end this connection."""
        self._sockets.append(sock)

    def cut(self, seconds: float) -> None:
        """End all connections, and let readers make none for so many seconds."""
        self.up.clear()
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # some have ended by themselves
                sock.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()
        self.cut_begun.set()
        time.sleep(seconds)
        self.up.set()


class Reader(threading.Thread):
    """Reads the room from a cursor on, over one transport, until it is stopped."""

    name = ""

    def __init__(self, url: str, room: str, after: str, network: Network) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.network = network
        self.room = room
        self.after = after
        self.arrived: dict[str, float] = {}  # client_id → when, on the monotonic clock
        self.repeated = 0
        self.cost = self.begun = Cost()
        self.live = threading.Event()
        self.ending = False
        self.fault: Exception | None = None

    def run(self) -> None:
        try:
            lost = 0
            while not self.ending:
                before = self.cost
                try:
                    self.read()
                except _LOST:
                    lost = lost + 1 if self.cost is before else 1
                    if lost > _MOST_LOST and not self.ending:
                        raise
                self.network.up.wait()
        except Exception as fault:
            if not self.ending:
                self.fault = fault
        self.live.set()

    def read(self) -> None:
        """Read by one transport from the cursor on, until it is stopped. Raises one of `_LOST` with its connection."""
        raise NotImplementedError

    def apply(self, event: dict[str, Any]) -> None:
        """Apply one event; a gap is an error, since then something is missing."""
        seq, own = event["seq"], int(self.after.partition(".")[0])
        if seq != own + 1:
            raise AssertionError(f"event {seq} came after {own}")
        self.after = event["cursor"]
        client_id = event.get("message", {}).get("client_id")
        if client_id in self.arrived:
            self.repeated += 1
        elif client_id:
            self.arrived[client_id] = time.monotonic()

    def count(self, requests: int, bytes_in: int, bytes_out: int) -> None:
        """Add an answer or a frame that has come."""
        old = self.cost
        self.cost = Cost(
            old.requests + requests, old.bytes_in + bytes_in, old.bytes_out + bytes_out, time.monotonic()
        )

    def caught_up(self) -> None:
        """Mark the end of catching up: anything from here on is news or silence."""
        if not self.live.is_set():
            self.begun = self.cost
            self.live.set()


_LOST = (OSError, http.client.HTTPException)


class Poller(Reader):
    """Polls: held by the server for `wait` seconds, or again after `interval` seconds."""

    def __init__(
        self, url: str, room: str, after: str, network: Network, *, wait: int = 0, interval: float = 0.0
    ) -> None:
        super().__init__(url, room, after, network)
        self.name = "Long polling" if wait else "Short polling"
        self.wait = wait
        self.interval = interval

    def read(self) -> None:
        with contextlib.closing(connection(self.url)) as link:
            link.connect()
            self.network.add(link.sock)
            wait = 0
            while not self.ending:
                self._ask(link, wait)
                wait = self.wait

    def _ask(self, link: http.client.HTTPConnection, wait: int) -> None:
        path = f"/api/v1/rooms/{self.room}/events?after={self.after}&wait={wait}&measure=1"
        page, stamp = ask(link, "GET", path, again=False)
        found = dict(part.split("=") for part in stamp.split(", ")) if stamp else {}
        self.count(1, int(found.get("in", 0)), int(found.get("out", 0)))
        for event in page["events"]:
            self.apply(event)
        self.caught_up()
        if not page["more"]:
            time.sleep(page.get("retry_in_ms", 0) / 1000 or self.interval)


class Socket(Reader):
    """Holds one WebSocket open."""

    name = "WebSocket"

    def read(self) -> None:
        query = f"/api/v1/ws?room={self.room}&after={self.position()}"
        client = Client.connect(self.url.replace("http", "ws", 1) + query)
        self.network.add(client.sock)
        while not self.ending:
            try:
                text = client.receive(timeout=0.5)
            except ConnectionClosed as closed:
                raise ConnectionError(f"the WebSocket was closed: {closed}") from None
            if text is None:
                continue
            envelope = json.loads(text)
            self._count(text)
            if envelope["command"] == "caught-up":
                self.caught_up()
            elif "seq" in envelope:
                self.apply(envelope)
        client.close()

    def position(self) -> str:
        """Return the cursor to begin at when the socket is opened."""
        return self.after

    def _count(self, text: str) -> None:
        # A frame's head is two bytes, four from 126 bytes on, ten from 65,536 (RFC 6455 §5.2).
        size = len(text.encode())
        self.count(0, 0, size + (2 if size < 126 else 4 if size < 65_536 else 10))


class Naive(Socket):
    """As in a tutorial: keeps no cursor, and hears the events that come after it has connected."""

    name = "WebSocket without a cursor"

    def position(self) -> str:
        return "now"

    def apply(self, event: dict[str, Any]) -> None:
        self.after = f"{event['seq'] - 1}.{'0' * 16}"  # a gap is no error to it
        super().apply(event)


def connection(url: str) -> http.client.HTTPConnection:
    """Return a connection to the server at `url`, not yet open."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT)


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: dict[str, Any] | None = None,
    *, again: bool = True,
) -> tuple[Any, str]:
    """Return the JSON of the answer, and the bytes that it reports; if a connection is lost, ask `again` once."""
    headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
    except ConnectionError:
        if not again:
            raise
        # It was idle for longer than the server keeps it; the repeat has the same client_id.
        connection.close()
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
    found = json.loads(answer.read())
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {found.get('detail', answer.reason)}")
    return found, answer.headers.get("Quotechat-Bytes", "")

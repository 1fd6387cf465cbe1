"""The lab without a browser: three readers of one room, probes, and the cost of each transport.

Three more readers, of a room without writers, measure the cost of silence. It is a client like any other and
knows the server only by its protocol. Latencies are taken at this end. Bytes are those of HTTP as the server counts
them (``?measure=1``), and of WebSocket the frames that came.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from simple_websocket import Client, ConnectionClosed

ROOM = "lab"
SILENT_ROOM = "lab-silence"
_WAIT = 25
_TIMEOUT = 40.0
_GRACE = 1.5
"""Seconds beyond an interval that the last probe may take."""


class Row(NamedTuple):
    """One reader: milliseconds, counts, bytes, and the cost of a minute of silence, None if that took no answer."""

    reader: str
    p50: float
    p95: float
    max: float
    arrived: int
    missed: int
    repeated: int
    requests: int
    bytes_in: int
    bytes_out: int
    idle_requests: float | None
    idle_bytes: float | None


class Cost(NamedTuple):
    """The cost of a reader until `at`, when its last answer or frame had come."""

    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    at: float = 0.0

    def since(self, before: Cost) -> Cost:
        """Return the difference to `before`, and in `at` the seconds that it took."""
        return Cost(*(now - then for now, then in zip(self, before, strict=True)))  # type: ignore[arg-type]  # alike


class Reader(threading.Thread):
    """Reads the room from a cursor on, over one transport, until it is stopped."""

    name = ""

    def __init__(self, url: str, room: str, after: str) -> None:
        super().__init__(daemon=True)
        self.url = url
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
            self.read()
        except Exception as fault:
            if not self.ending:
                self.fault = fault
        self.live.set()

    def read(self) -> None:
        """Read by one transport, until it is stopped."""
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


class Poller(Reader):
    """Polls: held by the server for `wait` seconds, or again after `interval` seconds."""

    def __init__(self, url: str, room: str, after: str, *, wait: int = 0, interval: float = 0.0) -> None:
        super().__init__(url, room, after)
        self.name = "Long polling" if wait else "Short polling"
        self.wait = wait
        self.interval = interval

    def read(self) -> None:
        connection = _connection(self.url)
        wait = 0
        while not self.ending:
            path = f"/api/v1/rooms/{self.room}/events?after={self.after}&wait={wait}&measure=1"
            page, stamp = _ask(connection, "GET", path)
            found = dict(part.split("=") for part in stamp.split(", ")) if stamp else {}
            self.count(1, int(found.get("in", 0)), int(found.get("out", 0)))
            for event in page["events"]:
                self.apply(event)
            self.caught_up()
            wait = self.wait
            if not page["more"]:
                time.sleep(page.get("retry_in_ms", 0) / 1000 or self.interval)


class Socket(Reader):
    """Holds one WebSocket open."""

    name = "WebSocket"

    def read(self) -> None:
        query = f"/api/v1/ws?room={self.room}&after={self.after}"
        socket = Client.connect(self.url.replace("http", "ws", 1) + query)
        while not self.ending:
            try:
                text = socket.receive(timeout=0.5)
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
        socket.close()

    def _count(self, text: str) -> None:
        # A frame's head is two bytes, four from 126 bytes on, ten from 65,536 (RFC 6455 §5.2).
        size = len(text.encode())
        self.count(0, 0, size + (2 if size < 126 else 4 if size < 65_536 else 10))


def measure(
    url: str, *, probes: int, rate: float, interval: float, idle: float, progress: Callable[[int], None]
) -> list[Row]:
    """Return a row for each reader of the server at `url`; `progress` is called for each probe and each second after.

    Silence is measured beside the probes, for `idle` seconds or for as long as they take.
    Raises OSError if the server is not reached, RuntimeError if it refuses or a reader fails.
    """
    connection = _connection(url)
    readers = _readers(url, ROOM, _cursor(connection, ROOM, "Probes of the lab"), interval)
    silent_at = _cursor(connection, SILENT_ROOM, "Where the lab listens to silence")
    silent = _readers(url, SILENT_ROOM, silent_at, interval)
    for reader in readers + silent:
        reader.start()
    for reader in readers + silent:
        if not reader.live.wait(_TIMEOUT):
            raise RuntimeError(f"{reader.name} is not live after {_TIMEOUT:g} s")
        _check(reader)
    began = time.monotonic()
    sent = _send(connection, probes, rate, progress)
    deadline = time.monotonic() + interval + _GRACE
    while time.monotonic() < deadline and any(len(sent.keys() - reader.arrived) for reader in readers):
        time.sleep(0.01)
    costs = [reader.cost.since(reader.begun) for reader in readers]
    while (left := began + idle - time.monotonic()) > 0:
        time.sleep(min(1.0, left))
        progress(1)
    for reader in readers + silent:
        reader.ending = True
        _check(reader)
    return [_row(*each, sent) for each in zip(readers, costs, silent, strict=True)]


def _readers(url: str, room: str, after: str, interval: float) -> list[Reader]:
    return [
        Poller(url, room, after, interval=interval), Poller(url, room, after, wait=_WAIT), Socket(url, room, after)
    ]  # fmt: skip


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = ["reader", "p50 ms", "p95 ms", "max ms", "arrived", "missed", "repeated", "requests", "bytes in",
            "bytes out", "idle requests/min", "idle bytes/min"]  # fmt: skip
    cells = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        cells.append([row.reader, *map(_number, row[1:])])
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def _number(value: float | str | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def _send(
    connection: http.client.HTTPConnection, probes: int, rate: float, progress: Callable[[int], None]
) -> dict[str, float]:
    """Send the probes and return when each went, by its client_id."""
    sent: dict[str, float] = {}
    # A name of its own for each run: a name in use is kept for its owner.
    user = f"Lab {secrets.token_hex(2)}"
    next_at = time.monotonic()
    for number in range(1, probes + 1):
        client_id = secrets.token_hex(8)
        body = {"user": user, "message": f"probe {number}", "client_id": client_id}
        sent[client_id] = time.monotonic()
        _ask(connection, "POST", f"/api/v1/rooms/{ROOM}/messages", body)
        progress(1)
        next_at += 1 / rate
        time.sleep(max(0.0, next_at - time.monotonic()))
    return sent


def _row(reader: Reader, cost: Cost, silent: Reader, sent: dict[str, float]) -> Row:
    latencies = sorted(1000 * (reader.arrived[key] - at) for key, at in sent.items() if key in reader.arrived)

    def percentile(share: float) -> float:
        return latencies[max(0, math.ceil(share * len(latencies)) - 1)] if latencies else math.nan

    quiet = silent.cost.since(silent.begun)
    # From one answer or frame to another: a request that is still held has cost a part only.
    minute = 60 / quiet.at if quiet.at else None
    no_requests = 0.0 if isinstance(silent, Socket) else None
    return Row(
        reader.name, percentile(0.5), percentile(0.95), percentile(1), len(latencies), len(sent) - len(latencies),
        reader.repeated, cost.requests, cost.bytes_in, cost.bytes_out,
        quiet.requests * minute if minute else no_requests,
        (quiet.bytes_in + quiet.bytes_out) * minute if minute else None,
    )  # fmt: skip


def _check(reader: Reader) -> None:
    if reader.fault is not None:
        raise RuntimeError(f"{reader.name} failed: {reader.fault}")


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "127.0.0.1", parts.port, timeout=_TIMEOUT)


def _cursor(connection: http.client.HTTPConnection, room: str, title: str) -> str:
    """Return the cursor at a room's end; the room is created if there is none."""
    try:
        return str(_ask(connection, "GET", f"/api/v1/rooms/{room}?limit=1")[0]["cursor"])
    except RuntimeError:
        # Another run may create it at the same moment; then the next line finds it.
        with contextlib.suppress(RuntimeError):
            _ask(connection, "POST", "/api/v1/rooms", {"name": room, "title": title})
        return str(_ask(connection, "GET", f"/api/v1/rooms/{room}?limit=1")[0]["cursor"])


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[Any, str]:
    """Return the JSON of the answer, and the bytes that it reports."""
    headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
    except ConnectionError:
        # It was idle for longer than the server keeps it; the repeat has the same client_id.
        connection.close()
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
    found = json.loads(answer.read())
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {found.get('detail', answer.reason)}")
    return found, answer.headers.get("Quotechat-Bytes", "")

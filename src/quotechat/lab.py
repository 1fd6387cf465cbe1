"""The lab without a browser: three readers of one room, probes, and what each way of reading costs.

It is a client like any other and knows the server only by its protocol. Latencies are taken at this end.
Bytes are those of HTTP as the server counts them (``?measure=1``), and of WebSocket the frames that came.
"""

from __future__ import annotations

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
_WAIT = 25
_TIMEOUT = 40.0
_GRACE = 1.5
"""Seconds beyond an interval that the last probe may take."""


class Row(NamedTuple):
    """One reader: milliseconds, counts, bytes, and what a minute of silence costs."""

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
    idle_requests: float
    idle_bytes: float


class Reader(threading.Thread):
    """Reads the room from a cursor on, over one transport, until it is stopped."""

    name = ""

    def __init__(self, url: str, after: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.after = after
        self.arrived: dict[str, float] = {}  # client_id → when, on the monotonic clock
        self.repeated = self.requests = self.bytes_in = self.bytes_out = 0
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
        """What a transport does."""
        raise NotImplementedError

    def apply(self, event: dict[str, Any]) -> None:
        """One event; a gap is an error, since then something is missing."""
        seq, own = event["seq"], int(self.after.partition(".")[0])
        if seq != own + 1:
            raise AssertionError(f"event {seq} came after {own}")
        self.after = event["cursor"]
        client_id = event.get("message", {}).get("client_id")
        if client_id in self.arrived:
            self.repeated += 1
        elif client_id:
            self.arrived[client_id] = time.monotonic()

    def costs(self) -> tuple[int, int, int]:
        return self.requests, self.bytes_in, self.bytes_out


class Poller(Reader):
    """Polls: held by the server for `wait` seconds, or again after `interval` seconds."""

    def __init__(self, url: str, after: str, *, wait: int = 0, interval: float = 0.0) -> None:
        super().__init__(url, after)
        self.name = "Long polling" if wait else "Short polling"
        self.wait = wait
        self.interval = interval

    def read(self) -> None:
        connection = _connection(self.url)
        wait = 0
        while not self.ending:
            path = f"/api/v1/rooms/{ROOM}/events?after={self.after}&wait={wait}&measure=1"
            page, stamp = _ask(connection, "GET", path)
            self.requests += 1
            found = dict(part.split("=") for part in stamp.split(", ")) if stamp else {}
            self.bytes_in += int(found.get("in", 0))
            self.bytes_out += int(found.get("out", 0))
            for event in page["events"]:
                self.apply(event)
            self.live.set()
            wait = self.wait
            if not page["more"]:
                time.sleep(page.get("retry_in_ms", 0) / 1000 or self.interval)


class Socket(Reader):
    """Holds one WebSocket open."""

    name = "WebSocket"

    def read(self) -> None:
        query = f"/api/v1/ws?room={ROOM}&after={self.after}"
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
                self.live.set()
            elif "seq" in envelope:
                self.apply(envelope)
        socket.close()

    def _count(self, text: str) -> None:
        # A frame's head is two bytes, four from 126 bytes on, ten from 65,536 (RFC 6455 §5.2).
        size = len(text.encode())
        self.bytes_out += size + (2 if size < 126 else 4 if size < 65_536 else 10)


def measure(
    url: str, *, probes: int, rate: float, interval: float, idle: float, progress: Callable[[str, int], None]
) -> list[Row]:
    """A row for each reader of the server at `url`; `progress` hears of each second of silence and each probe.

    Raises OSError where the server is not reached, RuntimeError where it refuses or a reader fails.
    """
    connection = _connection(url)
    after = _cursor(connection)
    readers: list[Reader] = [
        Poller(url, after, interval=interval), Poller(url, after, wait=_WAIT), Socket(url, after)
    ]  # fmt: skip
    for reader in readers:
        reader.start()
    for reader in readers:
        if not reader.live.wait(_TIMEOUT):
            raise RuntimeError(f"{reader.name} is not live after {_TIMEOUT:g} s")
        _check(reader)
    silence = [reader.costs() for reader in readers]
    for _ in range(math.ceil(idle)):
        time.sleep(idle / math.ceil(idle))
        progress("silence", 1)
    idled = [_gained(before, reader) for before, reader in zip(silence, readers, strict=True)]
    began = [reader.costs() for reader in readers]
    sent = _send(connection, probes, rate, progress)
    deadline = time.monotonic() + interval + _GRACE
    while time.monotonic() < deadline and any(len(reader.arrived) < probes for reader in readers):
        time.sleep(0.01)
    for reader in readers:
        reader.ending = True
        _check(reader)
    return [
        _row(reader, sent, _gained(before, reader), quiet, idle)
        for reader, before, quiet in zip(readers, began, idled, strict=True)
    ]


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    head = ["reader", "p50 ms", "p95 ms", "max ms", "arrived", "missed", "repeated", "requests", "bytes in",
            "bytes out", "idle requests/min", "idle bytes/min"]  # fmt: skip
    cells = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        numbers = [f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in row[1:]]
        cells.append([row.reader, *numbers])
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def _send(
    connection: http.client.HTTPConnection, probes: int, rate: float, progress: Callable[[str, int], None]
) -> dict[str, float]:
    sent: dict[str, float] = {}
    next_at = time.monotonic()
    for number in range(1, probes + 1):
        client_id = secrets.token_hex(8)
        body = {"user": "Lab", "message": f"probe {number}", "client_id": client_id}
        sent[client_id] = time.monotonic()
        _ask(connection, "POST", f"/api/v1/rooms/{ROOM}/messages", body)
        progress("probes", 1)
        next_at += 1 / rate
        time.sleep(max(0.0, next_at - time.monotonic()))
    return sent


def _row(
    reader: Reader, sent: dict[str, float], cost: tuple[int, ...], quiet: tuple[int, ...], idle: float
) -> Row:
    latencies = sorted(1000 * (reader.arrived[key] - at) for key, at in sent.items() if key in reader.arrived)

    def percentile(share: float) -> float:
        return latencies[max(0, math.ceil(share * len(latencies)) - 1)] if latencies else math.nan

    minute = 60 / idle
    return Row(
        reader.name, percentile(0.5), percentile(0.95), percentile(1), len(latencies), len(sent) - len(latencies),
        reader.repeated, cost[0], cost[1], cost[2], quiet[0] * minute, (quiet[1] + quiet[2]) * minute,
    )  # fmt: skip


def _gained(before: tuple[int, ...], reader: Reader) -> tuple[int, ...]:
    return tuple(now - then for now, then in zip(reader.costs(), before, strict=True))


def _check(reader: Reader) -> None:
    if reader.fault is not None:
        raise RuntimeError(f"{reader.name} failed: {reader.fault}")


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "127.0.0.1", parts.port, timeout=_TIMEOUT)


def _cursor(connection: http.client.HTTPConnection) -> str:
    """Where the lab's room ends; the room is created where it is not there."""
    try:
        return str(_ask(connection, "GET", f"/api/v1/rooms/{ROOM}?limit=1")[0]["cursor"])
    except RuntimeError:
        _ask(connection, "POST", "/api/v1/rooms", {"name": ROOM, "title": "Probes of the lab"})
        return str(_ask(connection, "GET", f"/api/v1/rooms/{ROOM}?limit=1")[0]["cursor"])


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[Any, str]:
    """The JSON of the answer, and what it says of its bytes."""
    headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
    except ConnectionError:
        # It was idle for longer than the server keeps it; what is sent again has the same client_id.
        connection.close()
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
    found = json.loads(answer.read())
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {found.get('detail', answer.reason)}")
    return found, answer.headers.get("Quotechat-Bytes", "")

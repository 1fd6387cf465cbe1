"""The lab without a browser: readers of one room, probes, and the cost of each transport.

With a cut, a reader without a cursor stands beside the three that have one. As many more readers, of a room without
writers, measure the cost of silence. It is a client like any other and knows the server only by its protocol. Latencies
are taken at this end. Bytes are those of HTTP as the server counts them (``?measure=1``), and of WebSocket the frames
that came.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from .readers import TIMEOUT, Cost, Naive, Network, Poller, Reader, Socket, ask, connection

ROOM = "lab"
SILENT_ROOM = "lab-silence"
_WAIT = 25
_GRACE = 10.0
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


def measure(
    url: str, *, probes: int, rate: float, interval: float, idle: float, cut: float, progress: Callable[[int], None]
) -> list[Row]:
    """Return a row for each reader of the server at `url`; `progress` is called for each probe and each second after.

    If `cut` is more than 0, the readers' network is cut after half of the probes, for so many seconds, and a reader
    without a cursor is the last row. Silence is measured beside the probes, for `idle` seconds or for as long as they
    take.
    Raises OSError if the server is not reached, RuntimeError if it refuses or a reader fails.
    """
    sender, network = connection(url), Network()
    kinds = _keeping(interval) + ([Naive] if cut else [])
    after = _cursor(sender, ROOM, "Probes of the lab")
    readers = [kind(url, ROOM, after, network) for kind in kinds]
    after = _cursor(sender, SILENT_ROOM, "Where the lab listens to silence")
    silent = [kind(url, SILENT_ROOM, after, Network()) for kind in kinds]
    for reader in readers + silent:
        reader.start()
    for reader in readers + silent:
        if not reader.live.wait(TIMEOUT):
            raise RuntimeError(f"{reader.name} is not live after {TIMEOUT:g} s")
        _check(reader)
    began = time.monotonic()
    cutting = threading.Thread(target=network.cut, args=[cut], daemon=True) if cut else None
    sent = _send(sender, probes, rate, progress, cutting, network)
    if cutting:
        cutting.join()
    deadline = time.monotonic() + interval + _GRACE
    keeping = [reader for reader in readers if not isinstance(reader, Naive)]
    while time.monotonic() < deadline and any(len(sent.keys() - reader.arrived) for reader in keeping):
        time.sleep(0.01)
    costs = [reader.cost.since(reader.begun) for reader in readers]
    while (left := began + idle - time.monotonic()) > 0:
        time.sleep(min(1.0, left))
        progress(1)
    for reader in readers + silent:
        reader.ending = True
        _check(reader)
    return [_row(*each, sent) for each in zip(readers, costs, silent, strict=True)]


def is_wrong(row: Row) -> bool:
    """Return True if a reader that keeps a cursor missed or repeated a probe."""
    return row.reader != Naive.name and bool(row.missed or row.repeated)


def _keeping(interval: float) -> list[Callable[..., Reader]]:
    """Return the readers that keep a cursor."""
    return [partial(Poller, interval=interval), partial(Poller, wait=_WAIT), Socket]


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
    sender: http.client.HTTPConnection, probes: int, rate: float, progress: Callable[[int], None],
    halfway: threading.Thread | None, network: Network,
) -> dict[str, float]:
    """Send the probes and return when each went, by its client_id; start the thread `halfway`, which cuts `network`."""
    sent: dict[str, float] = {}
    # A name of its own for each run: a name in use is kept for its owner.
    user = f"Lab {secrets.token_hex(2)}"
    next_at = time.monotonic()
    for number in range(1, probes + 1):
        client_id = secrets.token_hex(8)
        body = {"user": user, "message": f"probe {number}", "client_id": client_id}
        sent[client_id] = time.monotonic()
        if halfway is not None and number == probes // 2 + 1:
            halfway.start()
            network.cut_begun.wait()  # the first probe of a cut is sent within it
            sent[client_id] = time.monotonic()
        ask(sender, "POST", f"/api/v1/rooms/{ROOM}/messages", body)
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


def _cursor(sender: http.client.HTTPConnection, room: str, title: str) -> str:
    """Return the cursor at a room's end; the room is created if there is none."""
    try:
        return str(ask(sender, "GET", f"/api/v1/rooms/{room}?limit=1")[0]["cursor"])
    except RuntimeError:
        # Another run may create it at the same moment; then the next line finds it.
        with contextlib.suppress(RuntimeError):
            ask(sender, "POST", "/api/v1/rooms", {"name": room, "title": title})
        return str(ask(sender, "GET", f"/api/v1/rooms/{room}?limit=1")[0]["cursor"])

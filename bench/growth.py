"""How cost grows: `make bench-growth` measures it and draws docs/images/growth.svg.

CPU per delivery over readers, rooms and message rate, and the time of a read over the length of the log. Each point is
one run of `BENCH_SECONDS`.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import requests

from bench.__main__ import HERE, QUOTECHAT, SECONDS, Server, free_port, running
from bench.claims import serving
from bench.load import Readers, Senders
from quotechat.protocol.commands import NewMessage, SendMessage
from quotechat.protocol.cursor import Cursor
from quotechat.store.base import Write
from quotechat.store.sqlite.store import SqliteStore

PLOT = HERE.parent / "docs" / "images" / "growth.svg"


class Curve(NamedTuple):
    """What grows, what it is measured in, and the points."""

    title: str
    unit: str
    points: list[tuple[float, float]]


def used(server: Server, readers: Readers, senders: list[Senders], deliveries: Callable[[], int]) -> float:
    """CPU seconds per million deliveries."""
    cpu = server.cpu()
    for each in senders:
        each.start()
    readers.read(SECONDS * 3, lambda: all(each.ended() for each in senders) and readers.deliveries >= deliveries())
    return (server.cpu() - cpu) / max(1, readers.deliveries) * 1e6


def by_readers(count: int) -> float:
    with running(QUOTECHAT) as server, contextlib.closing(server.readers(count)) as readers:
        senders = server.senders(1, 20.0)
        return used(server, readers, [senders], lambda: senders.sent * count)


def by_rate(rate: float) -> float:
    with running(QUOTECHAT) as server, contextlib.closing(server.readers(200)) as readers:
        senders = server.senders(4, rate)
        return used(server, readers, [senders], lambda: senders.sent * 200)


def by_rooms(count: int) -> float:
    """200 readers and 40 messages a second, spread over so many rooms."""
    with running(QUOTECHAT) as server:
        names = [f"room-{number}" for number in range(count)]
        for name in names:
            url = f"http://127.0.0.1:{server.port}/api/v1/rooms"
            requests.post(url, json={"name": name}, timeout=10).raise_for_status()
        with contextlib.closing(Readers()) as readers:
            for number in range(200):
                server.join(readers, f"/api/v1/ws?room={names[number % count]}")
            readers.read(1.0)
            readers.deliveries = 0
            spoken = names[:20]
            paths, rate = [f"/api/v1/rooms/{name}/messages" for name in spoken], 40.0 / len(spoken)
            senders = [Senders(server.port, path, count=1, rate=rate, seconds=SECONDS) for path in paths]
            each = 200 // count
            return used(server, readers, senders, lambda: sum(sender.sent for sender in senders) * each)


def by_length(size: int) -> float:
    """Milliseconds of a GET for 50 events near the head of a log of `size`, the median."""
    with tempfile.TemporaryDirectory() as data:
        store = SqliteStore(Path(data, "quotechat.db"))
        store.found(0)
        for start in range(0, size, 500):
            count = min(500, size - start)
            store.commit([Write(SendMessage(message=NewMessage("Ada", f"Message {n}")), n) for n in range(count)])
        assert store.read("lobby", Cursor(size - 50), 50).cursor.startswith(f"{size}.")
        store.close()
        port = free_port()
        with serving(data, port):
            session, took = requests.Session(), []
            for _ in range(200):
                began = time.perf_counter()
                session.get(f"http://127.0.0.1:{port}/api/v1/rooms/lobby/events?after={size - 50}", timeout=10)
                took.append((time.perf_counter() - began) * 1000)
            return statistics.median(took)


# --- The picture ----------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 420, 240, 56, 44, 36


def picture(curves: list[Curve]) -> str:
    """All curves, two in a row, the horizontal axis logarithmic."""
    rows = -(-len(curves) // 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH} {rows * _HEIGHT}" font-family="sans-serif"'
        ' font-size="12" fill="#1f2a26"><rect width="100%" height="100%" fill="#f7f9f5"/>'
    ]
    for number, curve in enumerate(curves):
        left, top = number % 2 * _WIDTH, number // 2 * _HEIGHT
        parts.append(f'<g transform="translate({left} {top})">{_panel(curve)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(curve: Curve) -> str:
    xs, most = [math.log10(x) for x, _ in curve.points], max(y for _, y in curve.points) * 1.15
    wide, high = _WIDTH - _LEFT - 40, _HEIGHT - _TOP - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return _LEFT + (math.log10(x) - xs[0]) / (xs[-1] - xs[0]) * wide, _TOP + high - y / most * high

    points = [at(x, y) for x, y in curve.points]
    base = _TOP + high
    lines = [
        f'<text x="{_LEFT}" y="20" font-weight="bold">{curve.title}</text>',
        f'<path d="M{_LEFT} {_TOP}V{base}H{_LEFT + wide}" fill="none" stroke="#8a958f"/>',
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" stroke="#1c5a4d"'
        ' stroke-width="2"/>',
        f'<text x="8" y="{_TOP - 4}" fill="#5a665f">{curve.unit}</text>',
    ]
    for (x, y), (left, top) in zip(curve.points, points, strict=True):
        lines.append(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="#1c5a4d"/>')
        lines.append(f'<text x="{left:.1f}" y="{top - 8:.1f}" text-anchor="middle">{y:.1f}</text>')
        lines.append(f'<text x="{left:.1f}" y="{base + 18}" text-anchor="middle" fill="#5a665f">{x:,.0f}</text>')
    return "\n".join(lines)


def main() -> None:
    cost = "CPU-s per million deliveries"
    measured = [
        ("Readers, at 20 messages a second", cost, by_readers, (10, 50, 200, 1000, 4000)),
        ("Messages a second, to 200 readers", cost, by_rate, (10, 50, 200, 800)),
        ("Rooms that 200 readers are spread over", cost, by_rooms, (1, 10, 100)),
        ("Events in the log, reading near its head", "ms for a GET", by_length, (1000, 10_000, 100_000, 1_000_000)),
    ]
    curves = []
    for title, unit, measure, steps in measured:
        curve = Curve(title, unit, [(step, measure(step)) for step in steps])
        print(f"{title} ({unit}): " + ", ".join(f"{x:,.0f}: {y:.1f}" for x, y in curve.points), flush=True)
        curves.append(curve)
    PLOT.write_text(picture(curves), "utf-8")


if __name__ == "__main__":
    main()

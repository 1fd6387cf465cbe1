"""Streams beside WebSockets: `make bench-streams`. What does a reader cost, by the way it reads?

Each kind is measured alone, on a server of its own: so many readers join, memory is read before and after, and
messages come at a fixed rate; then all kinds together. CPU is user and system time of all the server's processes, less
what the same messages cost with one reader.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psutil

from bench.load import HANDSHAKE, Readers, Senders

READERS = int(os.environ.get("BENCH_READERS", "1000"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
RATE = 10.0
EVENTS = "/api/v1/rooms/lobby/events?after=now"
MESSAGES = "/api/v1/rooms/lobby/messages?user=bench"

KINDS = {
    "WebSocket": f"GET /api/v1/ws?room=lobby HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}\r\n",
    "NDJSON": f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n",
    "SSE": f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
}


class Streams(Readers):
    """Readers that have joined when they are added, however they read."""

    def add(self, port: int, request: bytes, then: bytes = b"") -> None:
        self.again = _never  # the base class would wait for a 101 here
        super().add(port, request, then)
        self.again = None
        sock = list(self._all.values())[-1].sock
        sock.settimeout(30)
        head = b""
        while b"\r\n\r\n" not in head:
            data = sock.recv(1)
            assert data, f"refused: {head!r}"
            head += data
        assert head.startswith((b"HTTP/1.1 101", b"HTTP/1.1 200")), head
        sock.setblocking(False)


def _never(body: bytes) -> bytes:
    raise AssertionError("a stream is not asked again")


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, psutil.Process]]:
    """A fresh server: its port and its master."""
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        listener.close()
        command = [sys.executable, "-m", "quotechat", "serve", "--port", str(port), "--data", directory]
        process = subprocess.Popen(
            command, env={**os.environ, "QUOTECHAT_LIMITS": "off"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _until(lambda: _answers(port))
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return sock.recv(100).startswith(b"HTTP/1.1 200")
    return False


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.05)


def _all(master: psutil.Process) -> list[psutil.Process]:
    return [master, *master.children(recursive=True)]


def cpu(master: psutil.Process) -> float:
    """Seconds, of all its processes."""
    return sum(each.cpu_times().user + each.cpu_times().system for each in _all(master))


def memory(master: psutil.Process) -> int:
    """Bytes that are its own (unique set size), of all its processes."""
    return sum(each.memory_full_info().uss for each in _all(master))


class Measured(NamedTuple):
    """What `count` readers of each kind cost, and what they got."""

    kilobytes: float
    cpu: float
    deliveries: int
    missed: int
    latencies: list[float]


def measure(kinds: list[str], count: int) -> Measured:
    """Measured on a fresh server."""
    with serving() as (port, master):
        readers = Streams()
        try:
            # What is made once, with the first readers of each kind and the first messages, is nobody's.
            with contextlib.closing(Streams()) as first:
                for kind in kinds * 30:
                    first.add(port, KINDS[kind].encode())
                _send(first, port, 0.5)
            before = memory(master)
            for _ in range(count):
                for kind in kinds:
                    readers.add(port, KINDS[kind].encode())
            readers.read(1.0)
            each = (memory(master) - before) / max(1, len(readers)) / 1000
            readers.deliveries = 0
            began = cpu(master)
            sent = _send(readers, port, SECONDS)
            used, missed = cpu(master) - began, sent * len(readers) - readers.deliveries
            return Measured(each, used, readers.deliveries, missed, readers.latencies)
        finally:
            readers.close()


def _send(readers: Streams, port: int, seconds: float) -> int:
    """Let messages come, and be read; how many were sent."""
    senders = Senders(port, MESSAGES, count=2, rate=RATE, seconds=seconds)
    senders.start()
    readers.read(seconds + 20, lambda: senders.ended() and readers.deliveries >= senders.sent * len(readers))
    return senders.sent


def main() -> None:
    """Print the table."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * READERS + 500)), hard))
    print(f"{READERS} readers of each kind, {RATE:g} messages a second for {SECONDS:g} s\n")
    print("| readers | kB each | deliveries | missed | CPU s | µs CPU per delivery | p50 ms | p99 ms |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    idle = measure(["WebSocket"], 1).cpu
    for kinds in [[kind] for kind in KINDS] + [list(KINDS)]:
        each, used, deliveries, missed, latencies = measure(kinds, READERS)
        ordered = sorted(latencies)
        p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
        name = f"{READERS} {kinds[0]}" if len(kinds) == 1 else f"{READERS} of each together"
        cost = (used - idle) / deliveries * 1e6
        print(f"| {name} | {each:.1f} | {deliveries:,} | {missed} | {used:.2f} | {cost:.2f} | {p50:.1f} | {p99:.1f} |")
    print(f"\nWith one reader the same messages cost {idle:.2f} s of CPU.")


if __name__ == "__main__":
    main()

"""What a closed room costs beside an open one, and accounts beside visitors, also at rest: `make bench-closed`.

One server for each, all at once, each with one worker and as many WebSockets that read one room, every account by a
token of its own. They get blocks of messages in turns, so that other load on the machine meets all of them. Each
message is delivered to all before the next is sent: none goes out together with another. CPU is that of the worker's
process, per delivery. READERS and TURNS set the numbers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import requests

from bench.__main__ import free_port
from bench.claims import serving
from bench.load import HANDSHAKE, Readers, Way, by_post
from bench.message import send, used
from quotechat.config import Settings
from quotechat.hub.accounts.credentials import mint
from quotechat.store import members
from quotechat.store.accounts import accounts, sessions
from quotechat.store.open import open_store
from quotechat.store.shapes import Sql

READERS = int(os.environ.get("READERS") or "1000")
TURNS = int(os.environ.get("TURNS") or "15")
MESSAGES = 10
"""In one turn."""
WARM_UP = 2
REST_SECONDS = 4.0
PAIRS = (("closed, accounts", "open, accounts"), ("open, accounts", "open, visitors"))
KINDS = ("open, visitors", "open, accounts", "closed, accounts")


class Measured(NamedTuple):
    """A server that is measured: its port, its worker, the path of its room, and the header of the sender."""

    port: int
    worker: int
    room: str
    header: str
    delivered: Any
    """How many messages its readers have got so far, together."""


def people(data: Path, count: int) -> list[tuple[int, str]]:
    """Make so many accounts, the first of them an owner; the key and the token of each."""
    now = time.time_ns() // 1_000_000

    def work(sql: Sql) -> list[tuple[int, str]]:
        made = []
        for number in range(count):
            name, role = (f"Reader {number}", "member") if number else ("Bench", "owner")
            account = accounts.make(sql, name, role, now)
            token, secret = mint(account.id, "bench", now)
            sessions.add_token(sql, token)
            made.append((account.id, secret))
        return made

    with contextlib.closing(open_store(Settings(data=data))) as store:
        return store.write_with(work)


def closed_room(data: Path, port: int, found: list[tuple[int, str]]) -> str:
    """Make a closed room of all these accounts; its name."""
    headers = {"Authorization": f"Bearer {found[0][1]}"}
    url = f"http://127.0.0.1:{port}/api/v1/rooms"
    made = requests.post(url, json={"name": "bench", "kind": "closed"}, headers=headers, timeout=30)
    name = str(made.json()["name"])

    def work(sql: Sql) -> None:
        row = sql.one("SELECT id, head FROM room WHERE name = ?", name)
        assert row is not None
        for number, _ in found[1:]:
            members.add(sql, row[0], number, "member", (row[1], 0), 0)

    with contextlib.closing(open_store(Settings(data=data))) as store:
        store.write_with(work)
    return name


@contextlib.contextmanager
def running(kind: str) -> Iterator[Measured]:
    """Serve one kind of room to its readers."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        with serving(directory, port) as process:
            requests.get(f"http://127.0.0.1:{port}/healthz", timeout=30).raise_for_status()
            worker = psutil.Process(process.pid).children()[0]
            found = people(data, READERS) if "accounts" in kind else []
            room = closed_room(data, port, found) if "closed" in kind else "lobby"
            headers = [f"Authorization: Bearer {secret}\r\n" for _, secret in found] or [""] * READERS
            with reading(port, room, headers) as delivered:
                yield Measured(port, worker.pid, f"/api/v1/rooms/{room}/messages", headers[0], delivered)


@contextlib.contextmanager
def reading(port: int, room: str, headers: list[str]) -> Iterator[Any]:
    """Let a WebSocket read with each of `headers`, in a process of their own; what counts their deliveries."""
    joined, delivered = multiprocessing.Event(), multiprocessing.Value("L", 0, lock=False)
    process = multiprocessing.Process(target=_read, args=(port, room, headers, joined, delivered), daemon=True)
    process.start()
    try:
        assert joined.wait(120), "the readers did not join"
        yield delivered
    finally:
        process.terminate()
        process.join()


def _read(port: int, room: str, headers: list[str], joined: Any, delivered: Any) -> None:
    readers = Readers(stays=True)
    for header in headers:
        request = f"GET /api/v1/ws?room={room} HTTP/1.1\r\nHost: localhost\r\n{header}{HANDSHAKE}\r\n"
        readers.add(port, request.encode())
    readers.read(1)
    joined.set()
    with contextlib.suppress(ConnectionError):
        readers.read(3600, lambda: _note(readers, delivered))


def _note(readers: Readers, delivered: Any) -> bool:
    delivered.value = readers.deliveries
    return False


def turn(server: Measured) -> float:
    """Send one block; microseconds of the worker's CPU for each delivery."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        way = by_post(sock, server.port, server.room, server.header)
        deliver(server, way, WARM_UP)
        before, _ = used(server.worker)
        deliver(server, way, MESSAGES)
        after, _ = used(server.worker)
    return (after - before) * 1e6 / (MESSAGES * READERS)


def at_rest(server: Measured) -> float:
    """Send nothing for some seconds; milliseconds of the worker's CPU in one of them."""
    before, _ = used(server.worker)
    began = time.monotonic()
    time.sleep(REST_SECONDS)
    after, _ = used(server.worker)
    return (after - before) * 1e3 / (time.monotonic() - began)


def deliver(server: Measured, way: Way, count: int) -> None:
    """Send so many messages, each when all readers have the one before."""
    for _ in range(count):
        wanted = server.delivered.value + READERS
        send([way], 1, 0)
        deadline = time.monotonic() + 60
        while server.delivered.value < wanted:
            assert time.monotonic() < deadline, "the readers did not get a message"
            time.sleep(0.002)


def main() -> None:
    """Measure, and print the medians and the ratios, turn by turn."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * READERS + 500)), hard))
    print(f"Python {sys.version.split()[0]}, {READERS} readers, {TURNS} turns, load average {os.getloadavg()[0]:.1f}")
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(running(kind)) for kind in KINDS}
        for kind, server in servers.items():
            print(f"{kind:18} {at_rest(server):6.1f} ms of CPU a second at rest")
        found: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(TURNS):
            # Not always in the same order: one may warm the caches of the next.
            for kind in sorted(KINDS, reverse=bool(number % 2)):
                found[kind].append(turn(servers[kind]))
    for kind, costs in found.items():
        print(f"{kind:18} {statistics.median(costs):6.2f} µs of CPU a delivery")
    for one, other in PAIRS:
        ratios = [mine / theirs for mine, theirs in zip(found[one], found[other], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{one} / {other}: {middle:.3f} ({low:.3f}–{high:.3f})")
    print(f"load average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

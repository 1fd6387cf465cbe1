"""CPU of one request of each kind, in turns with other versions: `make bench-kinds`, or `python -m bench.kinds`.

As `bench.message`: each tree, given as NAME=TREE, is a checkout whose `src` is served by one worker, all at once, and
each gets its blocks of requests in turns. CPU and switches of threads are those of the worker's process; there are no
limits.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import socket
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.__main__ import HERE
from bench.load import HANDSHAKE
from bench.message import Cost, Running, Scene, quartiles, running, used

LOBBY = "/api/v1/rooms/lobby"
CLOSE = "Connection: close\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_numbers = itertools.count()


class Kind(NamedTuple):
    """`ask` makes so many requests of this kind to a port."""

    ask: Callable[[int, int], None]
    requests: int
    """In one turn."""


class Connection:
    """One connection, with one request at a time."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def get(self, path: str, more: str = "") -> bytes:
        """Ask for `path`; return the body of the answer. `more` are lines of the header, with their ends."""
        self.begin(path, more)
        return self.answer()

    def begin(self, path: str, more: str = "") -> None:
        """Ask for `path`."""
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())

    def post(self, more: str = "") -> bytes:
        """Send a message; return its event."""
        body = json.dumps({"user": "Bench", "message": f"{next(_numbers)} {'x' * 90}"}).encode()
        head = f"POST {LOBBY}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
        self.sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return self.answer()

    def answer(self) -> bytes:
        """Return the body of the next answer."""
        came = b""
        while True:
            data = self.sock.recv(65_536)
            if not data:
                raise ConnectionError(f"closed after {came[:200]!r}")
            came += data
            head, found, body = came.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if found and length and len(body) >= int(length[1]):
                assert head[9:11] == b"20", head
                return body


def on_one(ask: Callable[[Connection], object], port: int, count: int) -> None:
    """Repeat a request on one connection."""
    with Connection(port) as connection:
        for _ in range(count):
            ask(connection)


def on_new_ones(ask: Callable[[Connection], object], port: int, count: int) -> None:
    """Make each request on a connection of its own."""
    for _ in range(count):
        with Connection(port) as connection:
            ask(connection)


def in_turns(port: int, count: int) -> None:
    """Read and send in turns, on one connection."""
    with Connection(port) as connection:
        for _ in range(count // 2):
            connection.get(f"{LOBBY}?limit=1")
            connection.post()


def web_socket(connection: Connection) -> None:
    """Begin a WebSocket and close it."""
    connection.begin("/api/v1/ws?room=lobby&after=now", HANDSHAKE)
    came = b""
    while b"caught-up" not in came:
        came += connection.sock.recv(4096)
    connection.sock.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
    while connection.sock.recv(4096):
        pass


def polls(pollers: int, port: int, count: int) -> None:
    """Hold polls; a message ends all of them, and they begin again."""
    with contextlib.ExitStack() as stack:
        sender, *waiting = [stack.enter_context(Connection(port)) for _ in range(pollers + 1)]
        cursor = json.loads(sender.post())["cursor"]
        for _ in range(count // pollers):
            for each in waiting:
                each.begin(f"{LOBBY}/events?wait=25&after={cursor}")
            time.sleep(0.02)  # nearly all of them are held by then
            sender.post()
            cursor = json.loads([each.answer() for each in waiting][-1])["cursor"]


KINDS = {
    "request, kept connection": Kind(partial(on_one, lambda each: each.get("/healthz")), 100),
    "request, new connection": Kind(partial(on_new_ones, lambda each: each.get("/healthz", CLOSE)), 100),
    "page, new connection": Kind(partial(on_new_ones, lambda each: each.get("/", CLOSE)), 30),
    "message, repeated, kept": Kind(partial(on_one, Connection.post), 100),
    "message, repeated, new": Kind(partial(on_new_ones, Connection.post), 100),
    "message, not repeated": Kind(partial(on_one, lambda each: each.post(f"X-Number: {next(_numbers)}\r\n")), 60),
    "read and message in turns": Kind(in_turns, 80),
    "WebSocket, begun and closed": Kind(partial(on_new_ones, web_socket), 40),
    "held poll": Kind(partial(polls, 1), 40),
    "50 held polls": Kind(partial(polls, 50), 200),
}


def measure(servers: dict[str, Running], kind: Kind, turns: int) -> dict[str, list[Cost]]:
    """Measure all `servers` beside each other: a block of requests to each, in turns."""
    found: dict[str, list[Cost]] = {name: [] for name in servers}
    for server in servers.values():
        kind.ask(server.port, kind.requests)
    for turn in range(turns):
        for name in sorted(servers, reverse=bool(turn % 2)):
            server = servers[name]
            before = used(server.worker)
            kind.ask(server.port, kind.requests)
            time.sleep(0.05)  # the end of a connection costs something too
            after = used(server.worker)
            cpu, switches = ((new - old) / kind.requests for new, old in zip(after, before, strict=True))
            found[name].append(Cost(cpu * 1000, switches))
    return found


def row(name: str, found: dict[str, list[Cost]]) -> str:
    """Return a line of the table: the median of each tree, and its ratio to the first one, turn by turn."""
    base = next(iter(found.values()))
    cells = []
    for costs in found.values():
        cpu, switches = (statistics.median(each) for each in zip(*costs, strict=True))
        ratio = quartiles([cost.cpu / first.cpu for cost, first in zip(costs, base, strict=True)])
        cells.append(f"{cpu:.2f} ms, {switches:.1f} switches")
        if costs is not base:
            cells.append(f"{ratio[1]:.2f} ({ratio[0]:.2f}–{ratio[2]:.2f})")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="CPU of one request of each kind, in turns with other versions.")
    parser.add_argument("trees", nargs="*", metavar="NAME=TREE", help="checkouts to compare; this one without any")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this one; may be repeated")
    options = parser.parse_args()
    named = [each.partition("=") for each in options.trees or [f"this={HERE.parent}"]]
    trees = {name: Path(tree) for name, _, tree in named}
    print(f"Python {sys.version.split()[0]}, {options.turns} turns, load average {os.getloadavg()[0]:.1f}")
    print(f"| | {' | '.join([name if name in list(trees)[:1] else f'{name} | of the first' for name in trees])} |")
    with contextlib.ExitStack() as stack:
        nobody = Scene(False, 0, 0, 0, 0)
        servers = {name: stack.enter_context(running(tree, nobody)) for name, tree in trees.items()}
        for name in options.kind or KINDS:
            print(row(name, measure(servers, KINDS[name], options.turns)), flush=True)


if __name__ == "__main__":
    main()

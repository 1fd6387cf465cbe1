"""CPU of one message, in turns with other versions: `make bench-message`, or `python -m bench.message [NAME=TREE …]`.

Each tree is a checkout whose `src` is served by one worker. All are served at once and get blocks of messages in turns,
so that other load on the machine meets all of them. Readers are WebSockets in a process of their own. CPU is user and
system time of the worker's process, and switches are those of its threads. Limits are off.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import requests

from bench.__main__ import HERE, free_port, wait_for
from bench.claims import serving
from bench.load import HANDSHAKE, Readers, Way, by_post, by_socket, say_in, text
from quotechat.protocol.commands import NewMessage, SendMessage
from quotechat.store.base import Write
from quotechat.store.sqlite.store import SqliteStore
from tools.private_nginx import around

POST = "/api/v1/rooms/lobby/messages"
SOCKET = "/api/v1/ws"
ENVELOPE = '{"command":"send-message","room":"lobby","message":%s}'
WARM_UP = 10
"""Messages of a connection before those that count."""


class Scene(NamedTuple):
    """So many senders by POST or by WebSocket, and readers.

    All senders send at once, `rate` times a second, or when all have their answers if it is 0.
    """

    by_socket: bool
    senders: int
    readers: int
    rate: float
    messages: int
    """In one turn."""
    nginx: bool = False
    """Senders come through nginx, as deploy/nginx.conf has it but for TLS."""
    rooms: int = 1
    """By WebSocket, each message of a connection goes to the next one."""


SCENES = {
    "POST": Scene(False, 1, 0, 0, 100),
    "POST through nginx": Scene(False, 1, 0, 0, 100, nginx=True),
    "4 by POST through nginx": Scene(False, 4, 0, 0, 200, nginx=True),
    "4 by POST": Scene(False, 4, 0, 0, 200),
    "POST, 50 readers": Scene(False, 1, 50, 0, 100),
    "POST at 100/s, 20 readers": Scene(False, 1, 20, 100, 50),
    "WebSocket": Scene(True, 1, 0, 0, 100),
    "4 by WebSocket": Scene(True, 4, 0, 0, 200),
    "16 by WebSocket": Scene(True, 16, 0, 0, 400),
    "POST at 50/s, 200 readers": Scene(False, 1, 200, 50, 50),
    "POST at 10/s, 1,000 readers": Scene(False, 1, 1000, 10, 20),
    "4 by POST, 200 readers": Scene(False, 4, 200, 0, 800),
    "4 by POST, 1,000 readers": Scene(False, 4, 1000, 0, 800),
    "4 by WebSocket, 200 readers": Scene(True, 4, 200, 0, 800),
    "4 by WebSocket, 1,000 readers": Scene(True, 4, 1000, 0, 800),
    "4 by WebSocket, 10 rooms": Scene(True, 4, 0, 0, 200, rooms=10),
    "4 by WebSocket, 100 rooms": Scene(True, 4, 0, 0, 200, rooms=100),
    "4 by WebSocket, 999 rooms": Scene(True, 4, 0, 0, 1000, rooms=999),
}


class Cost(NamedTuple):
    """Of one message: milliseconds of CPU, and switches of threads."""

    cpu: float
    switches: float


class Running(NamedTuple):
    """A server that is measured: the port for its senders, and the number of its worker's process."""

    port: int
    worker: int

    @contextlib.contextmanager
    def senders(self, scene: Scene) -> Iterator[list[Way]]:
        """Connect, and send until the worker knows the connections."""
        with contextlib.ExitStack() as stack:
            ways = []
            for number in range(scene.senders):
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=30))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ways.append(way(sock, self.port, scene, number) if scene.by_socket else by_post(sock, self.port, POST))
            send(ways, WARM_UP, 0)
            yield ways


def way(sock: socket.socket, port: int, scene: Scene, first: int) -> Way:
    """Send over a WebSocket, to one room after the other."""
    one = by_socket(sock, port, SOCKET, ENVELOPE)
    if scene.rooms == 1:
        return one
    rooms = itertools.cycle([f"room-{(first + number) % scene.rooms}" for number in range(scene.rooms)])

    def say(message: dict[str, str]) -> None:
        say_in(sock, ENVELOPE.replace("lobby", next(rooms)), message)

    return Way(say, one.wait)


@contextlib.contextmanager
def running(tree: Path, scene: Scene) -> Iterator[Running]:
    """Serve `tree` with one worker, on an empty directory, to the readers of `scene`."""
    port = free_port()
    settings = {"PYTHONPATH": str(tree / "src"), "QUOTECHAT_TRUSTED_PROXIES": "1" if scene.nginx else "0"}
    with tempfile.TemporaryDirectory() as data, serving(data, port, **settings) as process:
        requests.get(f"http://127.0.0.1:{port}/healthz", timeout=30).raise_for_status()
        worker = psutil.Process(process.pid).children()[0]
        for number in range(scene.rooms if scene.rooms > 1 else 0):
            name = {"name": f"room-{number}"}
            # The lobby counts too, and a server has 1,000 rooms at most.
            requests.post(f"http://127.0.0.1:{port}/api/v1/rooms", json=name, timeout=30).raise_for_status()
        with reading(port, scene.readers), proxied(port) if scene.nginx else contextlib.nullcontext(port) as front:
            yield Running(front, worker.pid)


@contextlib.contextmanager
def proxied(port: int) -> Iterator[int]:
    """Put nginx in front of the server at `port`, as deploy/nginx.conf has it but for TLS; its port."""
    front = free_port()
    site = (HERE.parent / "deploy" / "nginx.conf").read_text("utf-8")
    site = site.replace("server 127.0.0.1:8000;", f"server 127.0.0.1:{port};")
    site = site.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{front};")
    site = site.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    site = re.sub(r"(?m)^ *(listen \[::\].*|ssl_.*);.*\n", "", site).replace("rate=200r/s", "rate=100000r/s")
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "nginx.conf")
        config.write_text(around(Path(directory), site), "utf-8")
        command = ["nginx", "-p", directory, "-e", "stderr", "-c", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(front, process)
            yield front
        finally:
            process.terminate()
            process.wait(30)


def measure(trees: dict[str, Path], scene: Scene, turns: int) -> dict[str, list[Cost]]:
    """Measure all `trees` beside each other: a block of messages to each, in turns."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(running(tree, scene)) for name, tree in trees.items()}
        found: dict[str, list[Cost]] = {name: [] for name in trees}
        for turn in range(turns):
            # Not always in the same order: one may warm the caches of the next.
            for name in sorted(trees, reverse=bool(turn % 2)):
                server = servers[name]
                with server.senders(scene) as ways:
                    before = used(server.worker)
                    send(ways, scene.messages // scene.senders, scene.rate)
                    after = used(server.worker)
                cpu, switches = ((new - old) / scene.messages for new, old in zip(after, before, strict=True))
                found[name].append(Cost(cpu * 1000, switches))
        return found


def send(ways: list[Way], count: int, rate: float) -> None:
    """Send `count` messages over each of `ways`."""
    began = time.monotonic()
    for number in range(count):
        if rate:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        for way in ways:
            way.say({"user": "Bench", "message": text()})
        for way in ways:
            way.wait()


def used(worker: int) -> tuple[float, float]:
    """Return the seconds of CPU and the switches of threads of the process until now."""
    seconds, switches = 0.0, 0
    for task in Path(f"/proc/{worker}/task").iterdir():
        seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
        lines = (task / "status").read_text().splitlines()
        switches += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return seconds, float(switches)


@contextlib.contextmanager
def reading(port: int, count: int) -> Iterator[None]:
    """Let `count` WebSockets read in a process of their own."""
    if not count:
        yield
        return
    joined = multiprocessing.Event()
    process = multiprocessing.Process(target=_read, args=(port, count, joined), daemon=True)
    process.start()
    try:
        assert joined.wait(30), "the readers did not join"
        yield
    finally:
        process.terminate()
        process.join()


def _read(port: int, count: int, joined: Any) -> None:
    readers = Readers(stays=True)
    request = f"GET {SOCKET}?room=lobby HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}\r\n".encode()
    for _ in range(count):
        readers.add(port, request)
    readers.read(0.3)
    joined.set()
    with contextlib.suppress(ConnectionError):
        readers.read(600)


def report(scene: str, found: dict[str, list[Cost]]) -> None:
    """Print the medians, and the ratio to the first tree, taken turn by turn."""
    base = next(iter(found.values()))
    for name, costs in found.items():
        cpu = quartiles([cost.cpu for cost in costs])
        ratio = quartiles([cost.cpu / first.cpu for cost, first in zip(costs, base, strict=True)])
        switches = statistics.median(cost.switches for cost in costs)
        print(
            f"{scene:26} {name:8} {cpu[1]:.3f} ms ({cpu[0]:.3f}–{cpu[2]:.3f}), {switches:.1f} switches,"
            f" {ratio[1]:.2f} of the first ({ratio[0]:.2f}–{ratio[2]:.2f})",
            flush=True,
        )


def quartiles(values: list[float]) -> list[float]:
    """Return the first quartile, the median and the third quartile."""
    return statistics.quantiles(values, n=4)


def after_pauses() -> None:
    """Print the CPU of a commit of one message on this thread, in a loop and after pauses; nothing is flushed."""
    with tempfile.TemporaryDirectory() as data:
        path = Path(data, "quotechat.db")
        store = SqliteStore(path)
        store.found(0)
        store._writer.execute("PRAGMA synchronous = OFF")
        for pause in (0.0, 0.001, 0.01):
            took = []
            for _ in range(300):
                time.sleep(pause)
                write = Write(SendMessage(message=NewMessage("Bench", text())), 0)
                began = time.thread_time()
                store.commit([write])
                took.append(time.thread_time() - began)
            print(f"a commit {pause * 1000:.0f} ms after the one before: {statistics.median(took) * 1e6:.0f} µs")
        store.close()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="CPU of one message, in turns with other versions.")
    parser.add_argument("trees", nargs="*", metavar="NAME=TREE", help="checkouts to compare; this one without any")
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--scene", action="append", choices=SCENES, help="only this one; may be repeated")
    parser.add_argument("--pauses", action="store_true", help="only a commit in a loop, and after pauses")
    options = parser.parse_args()
    if options.pauses:
        after_pauses()
        return
    named = [each.partition("=") for each in options.trees or [f"this={HERE.parent}"]]
    trees = {name: Path(tree) for name, _, tree in named}
    print(f"Python {sys.version.split()[0]}, {options.turns} turns, load average {os.getloadavg()[0]:.1f}")
    for scene in options.scene or SCENES:
        report(scene, measure(trees, SCENES[scene], options.turns))


if __name__ == "__main__":
    main()

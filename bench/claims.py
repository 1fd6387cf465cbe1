"""What quotechat holds, measured one by one: `make bench-claims`, or `python -m bench.claims [NAME …]`.

Each line is one claim: what was tried, what is aimed at, what was found. Servers run on the default settings but for
the limits per client, which are off, and what a line says.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import requests

from bench.__main__ import HERE, QUOTECHAT, Server, free_port, running, wait_for
from bench.load import HANDSHAKE, Readers, Senders
from quotechat.protocol.commands import NewMessage, SendMessage
from quotechat.store.base import Write
from quotechat.store.sqlite.store import SqliteStore

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
MESSAGES = "/api/v1/rooms/lobby/messages"
EVENTS = "/api/v1/rooms/lobby/events"


def line(tried: str, aim: str, found: str) -> None:
    print(f"| {tried} | {aim} | {found} |", flush=True)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"


def share(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[int(part * (len(ordered) - 1))]


def all_read(senders: Senders, readers: Readers, count: int) -> bool:
    """Whether the senders are done and all of `count` readers have everything."""
    return senders.ended() and readers.deliveries >= senders.sent * count


@contextlib.contextmanager
def serving(data: str, port: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """quotechat at `port`, on the directory `data`."""
    env = {**os.environ, "QUOTECHAT_LIMITS": "off", "PYTHONPATH": str(HERE.parent / "src"), **settings}
    command = [sys.executable, "-m", "quotechat", "serve", "--port", str(port), "--data", data]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def stalled_sockets(port: int, count: int, path: str) -> list[socket.socket]:
    """WebSockets of readers that have stopped to read."""
    found = []
    for _ in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{HANDSHAKE}\r\n".encode())
        assert b" 101 " in sock.recv(100)
        found.append(sock)
    return found


# --- Claims ---------------------------------------------------------------------------------------


def stalled() -> None:
    """Readers that do not read, beside others that do."""
    grown: dict[int, float] = {}
    for count in (0, 1, 100):
        with running(QUOTECHAT) as server, contextlib.closing(server.readers(1000 - count)) as readers:
            silent = stalled_sockets(server.port, count, QUOTECHAT.socket)
            time.sleep(0.5)
            before = server.memory()
            senders = server.senders(1, 10.0, 2 * SECONDS)
            senders.start()
            readers.read(4 * SECONDS, senders.ended)
            latencies = list(readers.latencies)
            # Enough that the kernel's buffers are full and the rest would be the server's to keep.
            many = server.senders(4, 0.0, SECONDS)
            many.start()
            readers.read(4 * SECONDS, many.ended)
            grown[count] = (server.memory() - before) / 1e6
            for sock in silent:
                sock.close()
            tried = f"{count} of 1,000 readers stalled, 10 messages a second: p99 of the others"
            line(tried, "as without", ms(share(latencies, 0.99) / 1000))
            if count == 100:
                line(f"the same after {many.sent:,} messages more: memory grown beyond that without them", "< 1 MB",
                     f"{grown[100] - grown[0]:,.1f} MB (of {grown[100]:,.1f} MB)")  # fmt: skip


def held_polls() -> None:
    """1,000 held polls on the default settings, and POSTs beside them."""
    with running(QUOTECHAT) as server:
        readers = Readers()
        for _ in range(1000):
            request = f"GET {EVENTS}?after=now&wait=25 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
            readers.add_poll(server.port, request.encode())
        url = f"http://127.0.0.1:{server.port}"
        while "quotechat_held_polls 1000" not in requests.get(f"{url}/metrics", timeout=10).text:
            time.sleep(0.1)
        requests.post(f"{url}/api/v1/rooms", json={"name": "tea"}, timeout=10).raise_for_status()
        for what, post in (("a session", requests.Session().post), ("a connection each", requests.post)):
            took = []
            for number in range(200):
                began = time.monotonic()
                body = {"user": "Bench", "message": str(number)}
                post(f"{url}/api/v1/rooms/tea/messages", json=body, timeout=10).raise_for_status()
                took.append(time.monotonic() - began)
            line(f"1,000 held polls; p99 of POSTs in another room, {what}", "< 100 ms", ms(share(took, 0.99)))
        readers.close()


def workers() -> None:
    """Four workers on one file: any may be posted to, readers are at all."""
    for notifier, aim in (("on", "p99 < 50 ms, none lost"), ("off", "< 1 s, none lost")):
        with tempfile.TemporaryDirectory() as data:
            port = free_port()
            command = "quotechat" if notifier == "on" else "bench.silent"
            env = {**os.environ, "QUOTECHAT_LIMITS": "off", "PYTHONPATH": str(HERE.parent / "src")}
            process = subprocess.Popen(
                [sys.executable, "-m", command, "serve", "--port", str(port), "--data", data, "--workers", "4"],
                env=env, cwd=HERE.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                wait_for(port, process)
                time.sleep(1.5)
                server = Server(QUOTECHAT, port, process)
                with contextlib.closing(server.readers(200)) as readers:
                    readers.sample_all()
                    senders = server.senders(8, 40.0, 2 * SECONDS)
                    senders.start()
                    readers.read(4 * SECONDS, partial(all_read, senders, readers, 200))
                    lost = senders.sent * 200 - readers.deliveries
                    slowest = max(readers.latencies) / 1000
                    found = f"p99 {ms(share(readers.latencies, 0.99) / 1000)}, max {ms(slowest)}, {lost} lost"
                    line(f"4 workers, one file, notifier {notifier}: 200 readers, 40 messages a second", aim, found)
            finally:
                process.terminate()
                process.wait(30)


def appends() -> None:
    """Sixteen senders, then 64, as fast as they are answered, without readers."""
    for many, count in ((16, 1), (16, 4), (64, 1), (64, 4)):
        with tempfile.TemporaryDirectory() as data:
            port = free_port()
            with serving(data, port, QUOTECHAT_WORKERS=str(count)):
                time.sleep(1)
                senders = Senders(port, MESSAGES, count=many, rate=0, seconds=SECONDS)
                senders.start()
                while not senders.ended():
                    time.sleep(0.1)
                found = f"{senders.sent / SECONDS:,.0f} a second, slowest answer {ms(senders.slowest)}"
                line(f"{many} senders by POST, {count} worker{'s' if count > 1 else ''}", "slowest < 1 s", found)


def long_room() -> None:
    """A room of a million events costs what one of a thousand does: two servers, asked in turns."""
    most = int(os.environ.get("BENCH_EVENTS", "1000000"))
    with contextlib.ExitStack() as stack:
        asked: list[tuple[str, str]] = []
        for size in (1000, most):
            data, port = stack.enter_context(tempfile.TemporaryDirectory()), free_port()
            _fill(Path(data, "quotechat.db"), size)
            began = time.monotonic()
            # Without search: its index would still be taking them in, beside what is measured.
            stack.enter_context(serving(data, port, QUOTECHAT_SEARCH="off"))
            url = f"http://127.0.0.1:{port}/api/v1/rooms/lobby"
            cursor = requests.get(url, timeout=10).json()["cursor"]
            started = time.monotonic() - began
            assert cursor.startswith(f"{size}.")
            asked.append((f"{url}?limit=50", f"{url}/events?after={size - 50}"))
        for what, short, long in zip(("a snapshot", "50 events near the head"), *asked, strict=True):
            few, many = _medians(short, long)
            line(f"{most:,} events: {what}, against 1,000", "± 20 %", f"{many / few:.2f} times ({ms(few)})")
    line(f"{most:,} events: from the command to the first snapshot", "< 1 s", f"{started:.2f} s")


def _fill(path: Path, size: int) -> None:
    """Make a store at `path` with `size` messages in the room `lobby`."""
    store = SqliteStore(path)
    store.found(0)
    for first in range(0, size, 500):
        store.commit(
            [Write(SendMessage(message=NewMessage(f"Person {n % 50}", f"Message {n} {'x' * 60}")), n)
             for n in range(first, min(size, first + 500))]
        )  # fmt: skip
    store.close()


def _medians(*urls: str) -> list[float]:
    """Return the median time of a GET of each address, in seconds; they are asked in turns."""
    session = requests.Session()
    took: list[list[float]] = [[] for _ in urls]
    for _ in range(1000):
        for url, times in zip(urls, took, strict=True):
            began = time.perf_counter()
            session.get(url, timeout=10).raise_for_status()
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in took]


def many_sockets() -> None:
    """20,000 sockets on two workers, as far as descriptors go."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (65_536, max(hard, 65_536)))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(20_000, soft - 1000)
    with tempfile.TemporaryDirectory() as data:
        port = free_port()
        env = {"QUOTECHAT_WORKERS": "2", "QUOTECHAT_SOCKETS_PER_WORKER": "15000"}
        with serving(data, port, **env) as process:
            time.sleep(1.5)
            server = Server(QUOTECHAT, port, process)
            before = server.memory()
            with contextlib.closing(server.readers(wanted)) as readers:
                each = (server.memory() - before) / wanted / 1000
                senders = server.senders(1, 2.0, 1.0)
                senders.start()
                readers.read(30, partial(all_read, senders, readers, wanted))
                missing = senders.sent * wanted - readers.deliveries
                line(f"{wanted:,} WebSockets on two workers ({soft:,} descriptors a process)", "20,000, all reached",
                     f"{each:.1f} kB each, {missing} deliveries missing")  # fmt: skip


CLAIMS = (stalled, held_polls, workers, appends, long_room, many_sockets)


def main(names: list[str]) -> None:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} × {cpu[1] if cpu else 'unknown'}\n")
    print("| what | aim | found |\n|---|---|---|")
    for claim in CLAIMS:
        if not names or claim.__name__ in names:
            claim()


if __name__ == "__main__":
    main(sys.argv[1:])

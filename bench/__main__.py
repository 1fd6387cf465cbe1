"""quotechat beside what people would pick instead: `make bench`, or `python -m bench [NAME …]`.

What is found goes to the standard error as it comes; the tables are printed at the end, the one with the aims first.
RUNS (environment) goes over all of it so many times: each row is then that of the run with the median of its first
column. BEFORE names checkouts of other versions to measure beside this one: `BEFORE="v0.1=../v0.1 last=../last"`.

Every server does the same work in the same run, one after the other: senders POST messages of about 100
characters, readers get each of them. Measured is the CPU time of all the server's processes, user and system.
The peers keep nothing; quotechat answers a POST only when the message is on the disk, fsync and all.
"""

from __future__ import annotations

import contextlib
import os
import platform
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.load import HANDSHAKE, Readers, Senders

HERE = Path(__file__).parent
PEERS = HERE / "peers"
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
RUNS = int(os.environ.get("RUNS", "1"))
IDLE = [1000, 10_000]
FIXED = [(200, 50.0), (1000, 10.0), (20, 100.0)]
SATURATED = [200, 1000]
POLLERS, POLLED_RATE = 200, 10.0


@dataclass(frozen=True)
class Peer:
    """A server to measure; `{port}` and `{tmp}` stand in its command."""

    name: str
    command: list[str]
    post: str = "/messages"
    socket: str = "/ws"
    then: bytes = b""
    poll: str | None = None
    say: tuple[str, str] | None = None
    """Where messages are taken over WebSockets, and the envelope around one."""
    resume: str | None = None
    """The socket's path for a reader who comes back, with `{cursor}`."""
    post_port: int = 0
    cwd: Path = PEERS
    source: Path = HERE.parent / "src"


def gunicorn(app: str) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "1100", "--worker-connections", "4000",
            "--log-level", "warning", "-b", "127.0.0.1:{port}", app]  # fmt: skip


# An unmasked text frame is refused by some servers: this is "40" with the mask 0 (RFC 6455 §5.3).
NAMESPACE = b"\x81\x82\0\0\0\x0040"
LOBBY = "/api/v1/rooms/lobby"
SERVE = ["serve", "--port", "{port}", "--data", "{tmp}"]
QUOTECHAT = Peer(
    "quotechat, durable", [sys.executable, "-m", "quotechat", *SERVE], f"{LOBBY}/messages", "/api/v1/ws?room=lobby",
    poll=f"{LOBBY}/events?wait=25&after=", say=("/api/v1/ws", '{"command":"send-message","message":%s}'),
    resume="/api/v1/ws?room=lobby&after={cursor}", cwd=HERE.parent,
)  # fmt: skip
BEFORE = [
    replace(QUOTECHAT, name=f"quotechat {name}", source=Path(tree).absolute() / "src", cwd=Path(tree).absolute())
    for name, _, tree in (each.partition("=") for each in os.environ.get("BEFORE", "").split())
]
ALL = [
    QUOTECHAT,
    *BEFORE,
    replace(QUOTECHAT, name="quotechat without fsync", command=[sys.executable, "-m", "bench.undurable", *SERVE]),
    Peer("Node, ws", ["node", "node_ws.js", "{port}"], say=("/say", '{"command":"send-message","message":%s}')),
    Peer("Node, Express + websocket", ["node", "express.js", "{port}"], poll="/events?after="),
    Peer("Node, socket.io", ["node", "socketio.js", "{port}"],
         socket="/socket.io/?EIO=4&transport=websocket", then=NAMESPACE),
    Peer("Flask-SocketIO, gevent", [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1", "--worker-connections",
         "20000", "--log-level", "warning", "-b", "127.0.0.1:{port}", "flask_socketio_app:app"],
         socket="/socket.io/?EIO=4&transport=websocket", then=NAMESPACE),
    Peer("flask-sock, naive", gunicorn("flask_sock_app:app"), poll="/events?after="),
    Peer("Starlette, uvicorn", [sys.executable, "-m", "uvicorn", "--log-level", "warning", "--port", "{port}",
         "starlette_app:app"], poll="/events?after="),
    Peer("websockets, broadcast()", [sys.executable, "websockets_app.py", "{port}"], post_port=1),
    Peer("nginx, nchan", ["nginx", "-p", "{tmp}", "-c", "{tmp}/nchan.conf"]),
    Peer("floor in C: one send each", ["{tmp}/floor", "{port}"]),
    Peer("floor in C: 4 ms gathered", ["{tmp}/floor", "{port}", "4"]),
]  # fmt: skip


class Server:
    """A peer that runs, and what it costs."""

    def __init__(self, peer: Peer, port: int, process: subprocess.Popen[bytes]) -> None:
        self.peer = peer
        self.port = port
        self._process = psutil.Process(process.pid)

    def processes(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds, of all its processes."""
        return sum(sum(each.cpu_times()[:2]) for each in self.processes())

    def memory(self) -> int:
        """Bytes, shared ones counted in shares."""
        return sum(each.memory_full_info().pss for each in self.processes())

    def readers(self, count: int) -> Readers:
        """So many WebSockets that read."""
        readers = Readers()
        for _ in range(count):
            self.join(readers, self.peer.socket)
        readers.read(1.0)
        readers.deliveries = 0
        return readers

    def back(self, cursor: str) -> Readers:
        """One WebSocket that was away: it goes on from `cursor`, where the peer has such a thing."""
        readers = Readers()
        self.join(readers, (self.peer.resume or self.peer.socket).format(cursor=cursor))
        return readers

    def join(self, readers: Readers, path: str) -> None:
        """One more of `readers`, a WebSocket at `path`."""
        handshake = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{HANDSHAKE}\r\n"
        readers.add(self.port, handshake.encode(), self.peer.then)

    def pollers(self, count: int) -> Readers:
        """So many long polls, each again when it is answered."""

        def request(after: str) -> bytes:
            return f"GET {self.peer.poll}{after} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()

        def again(body: bytes) -> bytes:
            cursor = re.search(rb'"cursor": ?"([^"]+)"[^{}]*}$', body)
            assert cursor is not None, body[-200:]
            return request(cursor[1].decode())

        readers = Readers(again)
        for _ in range(count):
            readers.add(self.port, request("0"))
        readers.read(1.0)
        return readers

    def senders(self, count: int, rate: float, seconds: float = SECONDS, *, by_socket: bool = False) -> Senders:
        if by_socket:
            assert self.peer.say is not None
            path, envelope = self.peer.say
            return Senders(self.port, path, count=count, rate=rate, seconds=seconds, envelope=envelope)
        return Senders(self.port + self.peer.post_port, self.peer.post, count=count, rate=rate, seconds=seconds)


def at_a_rate(readers: int, rate: float) -> str:
    """Return the title of that table."""
    return f"{readers:,} WebSockets, {rate:g} messages a second by POST"


def saturated(readers: int, transport: str) -> str:
    """Return the title of that table."""
    return f"{readers:,} WebSockets, four senders by {transport} as fast as they are answered"


def at_rest(readers: int) -> str:
    """Return the title of that table."""
    return f"{readers:,} idle WebSockets"


POLLS = f"{POLLERS} long polls, {POLLED_RATE:g} messages a second by POST"


class Aim(NamedTuple):
    """Of the first column of a table: so much at `most`, and so much of what Node's ws takes in the same run."""

    title: str
    most: float | None = None
    of_ws: float | None = None


AIMS = [
    Aim(at_a_rate(200, 50), 9, 0.65),
    Aim(at_a_rate(1000, 10), 8),
    Aim(at_a_rate(20, 100), 27, 0.8),
    Aim(saturated(200, "POST"), 1.4),
    Aim(saturated(1000, "POST"), 0.9),
    Aim(saturated(200, "WebSocket"), None, 0.2),
    Aim(saturated(1000, "WebSocket"), None, 0.15),
    Aim(POLLS, 30),
    *(Aim(at_rest(count), 9) for count in IDLE),
]


@contextlib.contextmanager
def running(peer: Peer) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="quotechat-bench-", dir=os.environ.get("BENCH_DIR")) as tmp:
        if peer.command[0].startswith("{tmp}/"):
            name = peer.command[0].removeprefix("{tmp}/")
            subprocess.run(["cc", "-O2", "-o", f"{tmp}/{name}", str(PEERS / f"{name}.c")], check=True)
        port = free_port()
        for name in [part.rpartition("/")[2] for part in peer.command if part.endswith(".conf")]:
            conf = (PEERS / name).read_text().replace("{tmp}", tmp).replace("{port}", str(port))
            Path(tmp, name).write_text(conf)
        command = [part.format(port=port, tmp=tmp) for part in peer.command]
        env = {**os.environ, "QUOTECHAT_LIMITS": "off", "PYTHONPATH": str(peer.source)}
        process = subprocess.Popen(command, cwd=peer.cwd, env=env, stdout=subprocess.DEVNULL)
        try:
            for each in {port, port + peer.post_port}:
                wait_for(each, process)
            time.sleep(0.5)
            yield Server(peer, port, process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """A port that is free with the next one, below those that connections take for themselves."""
    while True:
        port = random.randint(20_000, 30_000)
        with contextlib.suppress(OSError):
            for each in (port, port + 1):
                socket.create_server(("127.0.0.1", each)).close()
            return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server does not start") from None
            time.sleep(0.05)


def fan_out(server: Server, readers: Readers, senders: Senders) -> str:
    """CPU seconds per million deliveries, deliveries a second, p50 and p99 in ms; and what is missing."""
    count, began, cpu = len(readers), time.monotonic(), server.cpu()
    senders.start()
    readers.read(SECONDS * 3, senders.ended)
    took = time.monotonic() - began
    sent = senders.sent
    readers.read(5, lambda: readers.deliveries >= sent * count)
    used = server.cpu() - cpu
    found = sorted(readers.latencies)
    lost = sent * count - readers.deliveries
    cells = [f"{used / max(1, readers.deliveries) * 1e6:,.1f}", f"{readers.deliveries / took:,.0f}"]
    cells += [f"{found[int(share * (len(found) - 1))]:,.1f}" if found else "–" for share in (0.5, 0.99)]
    return " | ".join(cells) + (f" ({lost:,} missing)" if lost else "")


@dataclass
class Report:
    """The tables, and what was found in each run."""

    columns: dict[str, str] = field(default_factory=dict)
    """Of each table, by its title."""
    found: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """The row of each run, by table and peer."""
    title: str = ""

    def table(self, title: str, columns: str) -> None:
        """Begin a table, or go on with it in the next run."""
        self.title = title
        self.columns[title] = columns
        print(f"\n{title}: {columns}", file=sys.stderr, flush=True)

    def row(self, peer: Peer, what: Callable[[Server], str]) -> None:
        """Measure `peer`, and add what was found."""
        try:
            with running(peer) as server:
                found = what(server)
        except (OSError, RuntimeError, AssertionError, psutil.Error) as fault:
            found = f"not measured: {type(fault).__name__}: {str(fault)[:80]}"
        self.found.setdefault((self.title, peer.name), []).append(found)
        print(f"| {peer.name} | {found} |", file=sys.stderr, flush=True)

    def first(self, title: str, name: str) -> float | None:
        """Return the first figure of a row, None if it was not measured."""
        return _figure(self._median(title, name))

    def _median(self, title: str, name: str) -> str:
        """Return the row of the run with the median of the first column."""
        runs = self.found.get((title, name), ["not measured"])
        measured = sorted((each for each in runs if _figure(each) is not None), key=lambda each: _figure(each) or 0)
        return measured[(len(measured) - 1) // 2] if measured else runs[-1]

    def tables(self) -> list[str]:
        """Return the tables, line by line."""
        lines = []
        for title, columns in self.columns.items():
            lines.append(f"\n### {title}\n\n| | {columns} |\n|---|{'---:|' * len(columns.split(' | '))}")
            lines += [f"| {name} | {self._median(table, name)} |" for table, name in self.found if table == title]
        return lines

    def aims(self) -> list[str]:
        """Return the table of `AIMS`."""
        names = [QUOTECHAT.name, "Node, ws", "Node, Express + websocket", "nginx, nchan", "floor in C: one send each"]
        head = ["", names[0], "aim", "of ws", "aim", *names[1:]]
        lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
        for aim in AIMS:
            figures = [self.first(aim.title, name) for name in names]
            ours, ws = figures[:2]
            ratio = ours / ws if ours is not None and ws else None
            cells = [aim.title, _cell(ours), _cell(aim.most), _cell(ratio, 2), _cell(aim.of_ws, 2)]
            lines.append(f"| {' | '.join([*cells, *map(_cell, figures[1:])])} |")
        return lines


def _figure(found: str) -> float | None:
    """Return the first number of a row, None if there is none."""
    figure = found.partition(" ")[0].replace(",", "")
    return float(figure) if re.fullmatch(r"-?[0-9.]+", figure) else None


def _cell(figure: float | None, digits: int = 1) -> str:
    return "" if figure is None else f"{figure:,.{digits}f}"


def sockets(count: int, senders: int, rate: float, *, by_socket: bool = False) -> Callable[[Server], str]:
    def measure(server: Server) -> str:
        with contextlib.closing(server.readers(count)) as readers:
            return fan_out(server, readers, server.senders(senders, rate, by_socket=by_socket))

    return measure


def idle(count: int) -> Callable[[Server], str]:
    def measure(server: Server) -> str:
        # What a server loads for its first reader is not what each one costs.
        server.readers(1).close()
        before = server.memory()
        with contextlib.closing(server.readers(count)) as readers:
            used = (server.memory() - before) / count / 1000
            senders = server.senders(1, 1.0, 0.5)
            senders.start()
            readers.read(15, lambda: senders.ended() and readers.deliveries >= senders.sent * count)
            missing = senders.sent * count - readers.deliveries
            threads = sum(each.num_threads() for each in server.processes())
            return f"{used:,.1f} | {threads:,} | {'all' if not missing else f'all but {missing:,}'}"

    return measure


def away(server: Server) -> str:
    """What a reader gets of the messages that were sent while its connection was gone for two seconds."""
    with contextlib.closing(server.readers(1)) as readers:
        first = server.senders(1, 20.0, 1.0)
        first.start()
        readers.read(5, lambda: first.ended() and readers.deliveries >= first.sent)
        found = re.findall(rb'"cursor":"([^"]+)"', readers.received)
        cursor = found[-1].decode() if found else ""
    during = server.senders(1, 20.0, 2.0)
    during.start()
    while not during.ended():
        time.sleep(0.05)
    with contextlib.closing(server.back(cursor)) as readers:
        after = server.senders(1, 20.0, 1.0)
        after.start()
        readers.read(3, lambda: after.ended() and readers.deliveries >= during.sent + after.sent)
        return f"{during.sent} | {during.sent + after.sent - readers.deliveries}"


def polls(server: Server) -> str:
    with contextlib.closing(server.pollers(POLLERS)) as readers:
        readers.deliveries = readers.answers = 0
        found = fan_out(server, readers, server.senders(1, POLLED_RATE))
        return f"{found} | {readers.answers:,}"


def main(names: list[str]) -> None:
    peers = [peer for peer in ALL if not names or any(name.lower() in peer.name.lower() for name in names)]
    peers = [peer for peer in peers if shutil.which(peer.command[0]) or peer.command[0].startswith("{")]
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} × {cpu[1] if cpu else platform.machine()}, "
          f"Linux {platform.release()}, Python {platform.python_version()},"
          f" {RUNS} runs of {SECONDS:g} s each")  # fmt: skip
    report = Report()
    for run in range(RUNS):
        # Another one begins each time, since what was measured before it may count.
        once(report, peers[run:] + peers[:run], is_first=not run)
    print("\n### Against the aims\n\nCPU-seconds per million deliveries, at rest kB for each reader.\n")
    print("\n".join([*report.aims(), *report.tables()]))


def once(report: Report, peers: list[Peer], *, is_first: bool) -> None:
    """Measure `peers` one time; what hardly varies, and takes long, in the first run only."""
    columns = "CPU-s per million deliveries | deliveries/s | p50 ms | p99 ms"
    for readers, rate in FIXED:
        report.table(at_a_rate(readers, rate), columns)
        for peer in peers:
            report.row(peer, sockets(readers, 1, rate))
    for readers in SATURATED:
        report.table(saturated(readers, "POST"), columns)
        for peer in peers:
            report.row(peer, sockets(readers, 4, 0))
    for readers in SATURATED:
        report.table(saturated(readers, "WebSocket"), columns)
        for peer in peers:
            if peer.say:
                report.row(peer, sockets(readers, 4, 0, by_socket=True))
    report.table(POLLS, f"{columns} | answers")
    for peer in peers:
        if peer.poll:
            report.row(peer, polls)
    if not is_first:
        return
    for count in IDLE:
        report.table(at_rest(count), "kB each | threads | a message reaches")
        for peer in peers:
            report.row(peer, idle(count))
    report.table("A reader whose WebSocket is gone for two seconds", "sent meanwhile | lost")
    for peer in peers:
        if peer.name != "quotechat without fsync" and "floor" not in peer.name:
            report.row(peer, away)


if __name__ == "__main__":
    main(sys.argv[1:])

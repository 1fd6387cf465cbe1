"""quotechat on a private PostgreSQL, beside pgbench calling one function that does the same: `make bench-postgres`.

*pgbench* runs a plpgsql function that stores what a message leaves behind, in quotechat's own tables: it looks up the
client_id, takes the room's counter, inserts the event, the message and the client_id; one commit each. *quotechat* is
the whole way of a message from `Chat.submit` to its answer after the commit. All take turns in one run on one disk
with fsync on; each cell is the median of the rounds. Then: what NOTIFY costs, how long an append on one server takes
to a reader on another, and what reading near the head of a long log costs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import requests
from websockets.sync.client import connect

from quotechat.app import open_chat
from quotechat.config import Settings
from quotechat.hub.chat import Chat
from quotechat.protocol import commands
from quotechat.protocol.cursor import Cursor
from quotechat.store.postgres import batched_sql
from quotechat.store.postgres.channel import Channel
from quotechat.store.postgres.store import PostgresStore
from tools.private_postgres import Server, binaries, postgres

NOW = 1_800_000_000_000
TEXT = "x" * 120
BODY = f'{{"message":{{"id":1234567,"user":"bench","message":"{TEXT}","at":"2027-01-15T08:00:00.000Z"}}}}'
ROOMS = 100
SAME = f"""
CREATE FUNCTION append(room_ bigint, key_ text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE seq_ bigint;
BEGIN
    PERFORM 1 FROM room WHERE id = room_ FOR UPDATE;
    SELECT seq INTO seq_ FROM sent WHERE room_id = room_ AND sender = 'bench' AND client_id = key_;
    IF FOUND THEN RETURN seq_; END IF;
    UPDATE room SET head = head + 1 WHERE id = room_ RETURNING head INTO seq_;
    INSERT INTO event (room_id, seq, command, at, body, tag)
        VALUES (room_, seq_, 'message-sent', {NOW}, '{BODY}', '0123456789abcdef');
    INSERT INTO message (room_id, id, body) VALUES (room_, seq_, '{BODY}');
    INSERT INTO sent (room_id, sender, client_id, hash, at, seq)
        VALUES (room_, 'bench', key_, '0123456789abcdef', {NOW}, seq_);
    RETURN seq_;
END $$
"""


class Cell:
    """Appends per second and the time of an ack, of all rounds."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.p50: list[float] = []
        self.p99: list[float] = []

    def add(self, rate: float, p50: float, p99: float) -> None:
        self.rates.append(rate)
        self.p50.append(p50)
        self.p99.append(p99)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def __str__(self) -> str:
        times = f"{statistics.median(self.p50):8.2f} {statistics.median(self.p99):8.2f}"
        return f"{self.rate:9,.0f} {times}   ({', '.join(f'{rate:,.0f}' for rate in self.rates)})"


# --- Appends --------------------------------------------------------------------------------------


def pgbench(server: Server, rooms: int, clients: int, seconds: float) -> tuple[float, float, float]:
    """Appends per second, p50 and p99 ms, one commit each."""
    found = binaries()
    assert found is not None
    with tempfile.TemporaryDirectory() as name:
        script = Path(name, "append.sql")
        script.write_text(
            f"\\set room random(1, {rooms})\n\\set key random(1, 1000000000000)\n"
            "SELECT append(:room, 'p' || :client_id || '-' || :key);\n"
        )
        command = [
            str(found / "pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", f"{seconds:.0f}",
            "-f", str(script), "-l", "--log-prefix", f"{name}/log", "-h", "127.0.0.1", "-p", str(server.port),
            "-U", "quotechat", "raw",
        ]  # fmt: skip
        env = {**os.environ, "PGPASSWORD": server.password}
        said = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
        took = sorted(
            int(line.split()[2]) / 1000 for log in Path(name).glob("log*") for line in log.read_text().splitlines()
        )
    rate = re.search(r"tps = ([0-9.]+)", said)
    assert rate is not None, said
    return float(rate[1]), *_two(took)


def producers(chat: Chat, rooms: int, threads: int, seconds: float) -> tuple[float, float, float]:
    """As above, of `threads` that each wait for every answer."""
    began, took = time.perf_counter(), [list[float]() for _ in range(threads)]

    def produce(number: int) -> None:
        while (at := time.perf_counter()) < began + seconds:
            chat.submit(message(rooms, number + threads * len(took[number])), identity=None)
            took[number].append((time.perf_counter() - at) * 1000)

    running = [threading.Thread(target=produce, args=(number,)) for number in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    done = sorted(each for part in took for each in part)
    return len(done) / (time.perf_counter() - began), *_two(done)


def in_flight(chat: Chat, rooms: int, most: int, seconds: float) -> tuple[float, float, float]:
    """As above, of one producer that keeps `most` on their way, as a reactor does."""
    began, places, took = time.perf_counter(), threading.Semaphore(most), list[float]()
    count = 0

    def produce() -> None:
        at = time.perf_counter()

        def done(outcome: Any) -> None:
            assert not isinstance(outcome, Exception), outcome
            took.append((time.perf_counter() - at) * 1000)
            places.release()

        chat.submit_then(message(rooms, count), done, identity=None)

    while time.perf_counter() < began + seconds:
        places.acquire()
        count += 1
        produce()
    for _ in range(most):
        places.acquire()
    return len(took) / (time.perf_counter() - began), *_two(sorted(took))


def message(rooms: int, number: int) -> commands.SendMessage:
    """One of 120 characters, with a client_id of its own."""
    room = "lobby" if rooms == 1 else f"room-{number % rooms}"
    new = commands.NewMessage("bench", TEXT)
    return commands.SendMessage(message=new, room=room, client_id=f"{number}-{time.monotonic_ns()}")


@contextmanager
def chat_on(url: str, **more: Any) -> Iterator[Chat]:
    """A hub in this process, as one worker has it."""
    chat = open_chat(Settings(database=url, limits=False, **more))
    chat.start()
    try:
        yield chat
    finally:
        chat.close()


def measure_appends(server: Server, seconds: float, rounds: int) -> None:
    """The table of appends."""
    PostgresStore(server.fresh("raw")).close()
    with psycopg.connect(server.database("raw")) as raw:
        raw.execute(SAME)
        raw.execute(
            "INSERT INTO room (name, chain, floor_chain, created_at)"
            f" SELECT 'room-' || n, '', '', 0 FROM generate_series(1, {ROOMS}) n"
        )
    cells: dict[str, Cell] = {}
    with chat_on(server.fresh("chat")) as chat:
        for number in range(ROOMS):
            chat.create_room(f"room-{number}", None)
        ways: dict[str, Callable[[int], tuple[float, float, float]]] = {
            "pgbench, 1 client": lambda rooms: pgbench(server, rooms, 1, seconds),
            "pgbench, 8 clients": lambda rooms: pgbench(server, rooms, 8, seconds),
            "quotechat, 1 producer": lambda rooms: producers(chat, rooms, 1, seconds),
            "quotechat, 8 producers": lambda rooms: producers(chat, rooms, 8, seconds),
            "quotechat, 256 in flight": lambda rooms: in_flight(chat, rooms, 256, seconds),
        }
        for turn in range(rounds):
            for rooms in (1, ROOMS):
                for way, measure in ways.items():
                    name = f"{way}, {rooms} room{'s' * (rooms > 1)}"
                    print(f"round {turn + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
                    cells.setdefault(name, Cell()).add(*measure(rooms))
    print(f"{'':36} {'/s':>9} {'p50 ms':>8} {'p99 ms':>8}   (rounds)")
    for name, cell in cells.items():
        print(f"{name:36} {cell}")
    for rooms, aim in (("1 room", 4.0), (f"{ROOMS} rooms", 1.5)):
        ratio = cells[f"quotechat, 256 in flight, {rooms}"].rate / cells[f"pgbench, 8 clients, {rooms}"].rate
        print(f"256 in flight / pgbench, 8 clients, {rooms}: {ratio:.2f} (aim: {aim:g})")


# --- NOTIFY ---------------------------------------------------------------------------------------


def measure_notify(server: Server, seconds: float, rounds: int, listeners: int = 30) -> None:
    """Appends per second of 8 producers in 100 rooms: none notifies, each commit does, notices that are gathered."""
    url = server.fresh("notify")
    send = batched_sql.BatchedSql.send

    def send_and_notify(self: batched_sql.BatchedSql) -> None:
        if self._written:
            self._connection.execute("SELECT pg_notify('quotechat', 'x lobby')")
        send(self)

    found: dict[str, list[float]] = {"none": [], "in every commit": [], "gathered": []}
    with ExitStack() as stack:
        with chat_on(url) as chat:
            for number in range(ROOMS):
                chat.create_room(f"room-{number}", None)
        for _ in range(listeners):
            stack.callback(Channel(url, listen=True).close)
        for _ in range(rounds):
            for way, rates in found.items():
                with chat_on(url) as chat:
                    if way != "gathered":
                        chat._notifier.notify = lambda rooms: None  # type: ignore[union-attr, method-assign]
                    batched_sql.BatchedSql.send = send_and_notify if way == "in every commit" else send  # type: ignore[method-assign]
                    rates.append(producers(chat, ROOMS, 8, seconds)[0])
                    batched_sql.BatchedSql.send = send  # type: ignore[method-assign]
    print(f"\nNOTIFY, 8 producers, {ROOMS} rooms, {listeners} that listen beside our own:")
    for way, rates in found.items():
        print(f"  {way:16} {statistics.median(rates):8,.0f} /s   ({', '.join(f'{rate:,.0f}' for rate in rates)})")


# --- From one server to another -------------------------------------------------------------------


@contextmanager
def serving(url: str, directory: str) -> Iterator[str]:
    """The address of a server process."""
    env = {**os.environ, "QUOTECHAT_DATABASE": url, "QUOTECHAT_LIMITS": "off", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "quotechat", "serve", "--port", "0", "--data", directory]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        address = re.search(r"http://\S+:[0-9]+", line)
        assert address is not None, line
        yield address[0]
    finally:
        process.terminate()
        process.wait()


def measure_distance(server: Server, count: int = 500, rate: float = 50.0) -> None:
    """Milliseconds from the ack of one server to the reader at another, and from the request."""
    url = server.fresh("distance")
    with tempfile.TemporaryDirectory() as name, serving(url, name) as one, serving(url, name) as two:
        session = requests.Session()
        got: dict[str, float] = {}
        with connect(f"{two.replace('http', 'ws', 1)}/api/v1/ws?room=lobby&after=now") as socket:

            def read() -> None:
                while len(got) < count:
                    envelope = json.loads(socket.recv(timeout=20))
                    if envelope["command"] == "message-sent":
                        got[envelope["message"]["message"]] = time.perf_counter()

            reading = threading.Thread(target=read)
            reading.start()
            asked, acked = dict[str, float](), dict[str, float]()
            for number in range(count):
                began = asked[str(number)] = time.perf_counter()
                session.post(f"{one}/api/v1/rooms/lobby/messages", json={"user": "A", "message": str(number)})
                acked[str(number)] = time.perf_counter()
                time.sleep(max(0.0, began + 1 / rate - time.perf_counter()))
            reading.join()
    print(f"\nFrom one server to a WebSocket at another, {rate:g} messages a second:")
    for what, since in (("from the ack", acked), ("from the request", asked)):
        p50, p99 = _two(sorted((got[key] - since[key]) * 1000 for key in got))
        print(f"  {what:16} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


# --- Long logs ------------------------------------------------------------------------------------

FILL = """
INSERT INTO event (room_id, seq, command, at, body, tag)
    SELECT 1, n, 'message-sent', 1800000000000, replace(%(body)s, '1234567', n::text), to_char(n, 'FM0000000000000000')
    FROM generate_series((SELECT head + 1 FROM room WHERE id = 1), %(most)s) n;
INSERT INTO message (room_id, id, body)
    SELECT 1, n, replace(%(message)s, '1234567', n::text)
    FROM generate_series((SELECT head + 1 FROM room WHERE id = 1), %(most)s) n;
UPDATE room SET head = %(most)s, chain = decode(rpad(to_char(%(most)s, 'FM0000000000000000'), 64, '0'), 'hex')
    WHERE id = 1;
"""
PLANS = {
    "events": "SELECT seq, tag, command, at, body FROM event WHERE room_id = 1 AND seq > {} ORDER BY seq LIMIT 10",
    "messages": "SELECT id, body FROM message WHERE room_id = 1 AND id < {} ORDER BY id DESC LIMIT 51",
}


def measure_reads(server: Server, sizes: tuple[int, ...] = (10_000, 1_000_000), times: int = 1000) -> None:
    """Reads near the head, their time and plan, at logs of different length."""
    url = server.fresh("reads")
    store = PostgresStore(url)
    store.found(NOW)
    print("\nReads near the head:")
    with psycopg.connect(url, autocommit=True) as other, psycopg.ClientCursor(other) as cursor:
        for size in sizes:
            values = {"body": BODY, "message": json.dumps(json.loads(BODY)["message"]), "most": size}
            cursor.execute(FILL, values)
            cursor.execute("VACUUM ANALYZE event, message")
            ways: dict[str, Callable[[], object]] = {
                "head": lambda: store.head("lobby"),
                "10 events": lambda size=size: store.read("lobby", Cursor(size - 10), 500),  # type: ignore[misc]
                "snapshot of 50": lambda: store.snapshot("lobby", 50),
            }
            cells = []
            for way, work in ways.items():
                took = []
                for _ in range(times):
                    began = time.perf_counter()
                    work()
                    took.append((time.perf_counter() - began) * 1000)
                p50, p99 = _two(sorted(took))
                cells.append(f"{way} {p50:.2f} / {p99:.2f} ms")
            print(f"  {size:9,} events: {', '.join(cells)} (p50 / p99)")
            for name, statement in PLANS.items():
                rows = cursor.execute(f"EXPLAIN (COSTS off) {statement.format(size - 10)}").fetchall()
                steps = [row[0].strip(" ->") for row in rows if "->" in row[0]]
                print(f"    {name}: {', '.join(steps)}")
    store.close()


def _two(took: list[float]) -> tuple[float, float]:
    return took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="quotechat on PostgreSQL, beside pgbench.")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if binaries() is None:
        sys.exit("PostgreSQL is missing (Debian: postgresql)")
    with postgres() as server:
        version = server.sql("SHOW server_version")[0][0]
        print(f"PostgreSQL {version}, fsync on, psycopg {psycopg.__version__}, Python {platform.python_version()}")
        measure_appends(server, options.seconds, options.rounds)
        measure_notify(server, options.seconds, options.rounds)
        measure_distance(server)
        measure_reads(server)


if __name__ == "__main__":
    main()

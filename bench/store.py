"""Appends per second with group commit, beside raw SQLite with the same pragmas: `make bench-store`.

*raw* stores what a message leaves behind, in quotechat's own tables, and does nothing else: it looks up the
client_id, takes the room's counter, inserts the event, the message and the client_id, and commits, one by
one or 128 in a transaction. *bare* is less than any chat needs: the lookup, the counter and one row.
*quotechat* is the whole way of a message from `Chat.submit` to its answer after the commit: limits and
text, hash chain, log and projections. All take turns in one run on one disk; each cell is the median of
the rounds.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from quotechat.app import open_chat
from quotechat.config import Settings
from quotechat.hub.chat import Chat
from quotechat.protocol import commands
from quotechat.store.sqlite.store import SqliteStore

TEXT = "x" * 120
HASH = b"h" * 32
BODY = f'{{"message":{{"id":1234567,"user":"bench","message":"{TEXT}","at":"2027-01-15T08:00:00.000Z"}}}}'
Execute = Callable[..., sqlite3.Cursor]


BARE = """
CREATE TABLE room (id INTEGER PRIMARY KEY, head INTEGER NOT NULL) STRICT;
CREATE TABLE event (room_id INTEGER, seq INTEGER, client_id TEXT, at INTEGER, body TEXT,
    PRIMARY KEY (room_id, seq)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX event_client ON event (room_id, client_id);
INSERT INTO room VALUES (1, 0);
"""
NOW = 1_800_000_000_000


def bare(execute: Execute, key: str) -> None:
    """One row."""
    execute("SELECT seq FROM event WHERE room_id = 1 AND client_id = ?", (key,)).fetchone()
    seq = execute("UPDATE room SET head = head + 1 WHERE id = 1 RETURNING head").fetchone()[0]
    execute("INSERT INTO event VALUES (1, ?, ?, ?, ?)", (seq, key, NOW, TEXT))


def same_rows(execute: Execute, key: str) -> None:
    """What quotechat stores of a message, from values that are ready."""
    execute("SELECT seq FROM sent WHERE room_id = 1 AND sender = 'bench' AND client_id = ?", (key,)).fetchone()
    seq = execute("UPDATE room SET head = head + 1, chain = ? WHERE id = 1 RETURNING head", (HASH,)).fetchone()[0]
    execute("INSERT INTO message (room_id, id, body) VALUES (1, ?, ?)", (seq, BODY))
    execute(
        "INSERT INTO event (room_id, seq, command, at, body, tag) VALUES (1, ?, 'message-sent', ?, ?, ?)",
        (seq, NOW, BODY, "0123456789abcdef"),
    )
    execute(
        "INSERT INTO sent (room_id, sender, client_id, hash, at, seq) VALUES (1, 'bench', ?, ?, ?, ?)",
        (key, HASH, NOW, seq),
    )


def loop(directory: Path, append: Callable[[Execute, str], None], batch: int, seconds: float) -> float:
    """Appends per second of a bare loop that commits `batch` at a time."""
    path = directory / f"loop-{time.monotonic_ns()}.db"
    if append is same_rows:
        # Its schema as it is.
        store = SqliteStore(path)
        store.found(NOW)
        store.close()
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    if append is bare:
        connection.executescript(BARE)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(batch):
            append(connection.execute, f"key-{count}")
            count += 1
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return count / took


def producers(chat: Chat, threads: int, seconds: float) -> float:
    """Appends per second of `threads` that each wait for every answer."""
    end, counts = time.perf_counter() + seconds, [0] * threads

    def produce(number: int) -> None:
        while time.perf_counter() < end:
            chat.submit(message(f"{number}-{counts[number]}-{end:.3f}".replace(".", "_")), identity=None)
            counts[number] += 1

    return _timed(lambda: _together(produce, threads), lambda: sum(counts))


def in_flight(chat: Chat, most: int, seconds: float) -> float:
    """Appends per second of one producer that keeps `most` on their way, as a reactor does."""
    end, places, count = time.perf_counter() + seconds, threading.Semaphore(most), 0

    def produce() -> None:
        nonlocal count
        while time.perf_counter() < end:
            places.acquire()
            chat.submit_then(message(f"f{count}-{int(end * 1000)}"), lambda _: places.release(), identity=None)
            count += 1
        for _ in range(most):
            places.acquire()

    return _timed(produce, lambda: count)


def message(key: str) -> commands.SendMessage:
    """One of 120 characters."""
    return commands.SendMessage(message=commands.NewMessage("bench", TEXT), client_id=key)


def _together(work: Callable[[int], None], threads: int) -> None:
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()


def _timed(work: Callable[[], None], count: Callable[[], int]) -> float:
    began = time.perf_counter()
    work()
    return count() / (time.perf_counter() - began)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Appends per second, beside raw SQLite.")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quotechat-bench-", dir=".") as name:
        # Of 80 threads 70 may send at once: 64 producers all find a place.
        chat = open_chat(Settings(data=Path(name) / "data", limits=False, threads=80))
        chat.start()
        seconds = options.seconds
        cells: dict[str, Callable[[], float]] = {
            "bare, commit one by one": lambda: loop(Path(name), bare, 1, seconds),
            "bare, 128 a commit": lambda: loop(Path(name), bare, 128, seconds),
            "raw, commit one by one": lambda: loop(Path(name), same_rows, 1, seconds),
            "raw, 128 a commit": lambda: loop(Path(name), same_rows, 128, seconds),
            "quotechat, 1 producer": lambda: producers(chat, 1, seconds),
            "quotechat, 8 producers": lambda: producers(chat, 8, seconds),
            "quotechat, 16 producers": lambda: producers(chat, 16, seconds),
            "quotechat, 64 producers": lambda: producers(chat, 64, seconds),
            "quotechat, 8 in flight": lambda: in_flight(chat, 8, seconds),
            "quotechat, 256 in flight": lambda: in_flight(chat, 256, seconds),
        }
        found: dict[str, list[float]] = {cell: [] for cell in cells}
        for turn in range(options.rounds):
            for cell, measure in cells.items():
                print(f"round {turn + 1} of {options.rounds}: {cell}", file=sys.stderr, flush=True)
                found[cell].append(measure())
        chat.close()
    median = {cell: statistics.median(rates) for cell, rates in found.items()}
    print(f"SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}, synchronous=FULL")
    for cell, rate in median.items():
        print(f"{cell:26} {rate:8,.0f} /s   (rounds: {', '.join(f'{each:,.0f}' for each in found[cell])})")
    few, many = median["quotechat, 8 in flight"], median["quotechat, 256 in flight"]
    for name in ("raw", "bare"):
        ratios = few / median[f"{name}, commit one by one"], many / median[f"{name}, 128 a commit"]
        print(f"8 in flight / {name}, one by one:  {ratios[0]:.2f}")
        print(f"256 in flight / {name}, 128:       {ratios[1]:.2f}")
    print("To hold against raw: 1.5 and 0.4.")


if __name__ == "__main__":
    main()

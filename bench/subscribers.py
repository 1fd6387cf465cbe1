"""What subscribers cost: ``python -m bench.subscribers``, or make bench-subscribers.

First named cursors at rest: bytes on disk, memory, and statements of a message with and without them. Then webhooks: so
many for one room, each gets every message; CPU of a delivery in the process that sends, and deliveries a second. The
receiver is a process of its own, and keeps connections unless KEEPS is no. READERS, WEBHOOKS and MESSAGES set the
numbers.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import selectors
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from quotechat.app import open_chat
from quotechat.config import Settings
from quotechat.hub.chat import Chat
from quotechat.hub.webhooks.calls import policy
from quotechat.hub.webhooks.sender import Sender
from quotechat.protocol.commands import NewMessage, SendMessage
from quotechat.protocol.cursor import Cursor
from quotechat.store.accounts import accounts
from quotechat.store.programs import subscribers, webhooks
from quotechat.store.shapes import Sql

READERS = int(os.environ.get("READERS") or 10_000)
WEBHOOKS = int(os.environ.get("WEBHOOKS") or 200)
MESSAGES = int(os.environ.get("MESSAGES") or 20)
_TRIED = 300
KEEPS = os.environ.get("KEEPS", "yes") != "no"
_ANSWER = b"HTTP/1.1 204 No Content\r\n%b\r\n" % (b"" if KEEPS else b"Connection: close\r\n")


def main() -> None:
    at_rest()
    sent()


# --- Named cursors at rest --------------------------------------------------------------------------


def at_rest() -> None:
    """Print what `READERS` named cursors cost while nobody asks."""
    with tempfile.TemporaryDirectory() as directory:
        statements = Counted()
        chat = opened(Path(directory))
        empty = tried(chat, statements)
        size, memory = database_bytes(Path(directory)), rss()
        began = time.perf_counter()
        chat.write_with(lambda sql: fill(sql, READERS))
        made = time.perf_counter() - began
        grown, more = database_bytes(Path(directory)) - size, rss() - memory
        full = tried(chat, statements)
        chat.close()
    print(f"{READERS:,} named cursors, made in {made:.1f} s: {grown / READERS:.0f} bytes each on disk")
    print(f"  memory of the process: {more / 1024:+.1f} MB")
    print(f"  statements of a message: {empty[0]:.2f} without them, {full[0]:.2f} with")
    print(f"  CPU of a message: {empty[1] * 1000:.3f} ms without them, {full[1] * 1000:.3f} ms with")


class Counted:
    """Counts the statements of all connections that are opened from here on."""

    def __init__(self) -> None:
        self.count = 0
        connect = sqlite3.connect

        def counting(*arguments: Any, **about: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **about)
            connection.set_trace_callback(self._one)
            return connection

        sqlite3.connect = counting  # type: ignore[assignment]  # for this process, until it ends

    def _one(self, statement: str) -> None:
        self.count += 1


def tried(chat: Chat, statements: Counted) -> tuple[float, float]:
    """Send some messages; statements and CPU of one."""
    before, began = statements.count, cpu()
    for _ in range(_TRIED):
        say(chat)
    return (statements.count - before) / _TRIED, (cpu() - began) / _TRIED


def fill(sql: Sql, count: int) -> None:
    """Make so many named cursors in the lobby, twenty for each account."""
    for number in range(count):
        if number % subscribers.MOST == 0:
            bot = accounts.make(sql, f"Reader {number}", "bot", 1)
        made = subscribers.make(sql, bot.id, f"name-{number}", 1, all_rooms=False)
        subscribers.place(sql, made, "lobby", Cursor(0, "0" * 16))


# --- Webhooks ---------------------------------------------------------------------------------------


def sent() -> None:
    """Print what it costs to send `MESSAGES` messages to `WEBHOOKS` webhooks."""
    port, told = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=receive, args=(told,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{port.recv()}/"
    with tempfile.TemporaryDirectory() as directory:
        chat = opened(Path(directory))
        chat.write_with(lambda sql: hook(sql, url))
        for _ in range(MESSAGES):
            say(chat)
        used, began = cpu(), time.perf_counter()
        sender = Sender(chat, policy("admins", ["127.0.0.0/8"]))
        sender.start()
        until(lambda: behind(chat) == 0)
        seconds, used = time.perf_counter() - began, cpu() - used
        row = chat.read_with(lambda sql: sql.one("SELECT count(*) FROM delivery WHERE status = 204"))
        assert row is not None and row[0] == WEBHOOKS * min(MESSAGES, webhooks.TRIES), row
        chat.close()
    count = WEBHOOKS * MESSAGES
    rate = count / seconds
    print(f"{WEBHOOKS} webhooks × {MESSAGES} messages: {count:,} deliveries in {seconds:.1f} s, {rate:.0f} a second")
    print(f"  CPU of a delivery, without TLS: {used / count * 1000:.2f} ms")
    process.kill()


def hook(sql: Sql, url: str) -> None:
    for number in range(WEBHOOKS):
        bot = accounts.make(sql, f"Hook {number}", "bot", 1)
        made = webhooks.make(
            sql, "bench", bot.id, url, "whsec_" + "A" * 44, 1, made_by=None, all_rooms=False,
            commands=["message-sent"], mentions=False,
        )  # fmt: skip
        subscribers.place(sql, made.subscriber, "lobby", Cursor(0))


def behind(chat: Chat) -> int:
    row = chat.read_with(lambda sql: sql.one(
        "SELECT sum(r.head - p.seq) FROM subscribed p JOIN room r ON r.id = p.room_id"
    ))  # fmt: skip
    assert row is not None
    return int(row[0])


def receive(told: Connection) -> None:
    """Answer every request with 204, one loop for all."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    told.send(listening.getsockname()[1])
    chosen = selectors.DefaultSelector()
    chosen.register(listening, selectors.EVENT_READ)
    while True:
        for key, _ in chosen.select():
            if key.fileobj is listening:
                chosen.register(listening.accept()[0], selectors.EVENT_READ)
                continue
            connection: Any = key.fileobj
            got = connection.recv(65536)
            if b"\r\n\r\n" in got:
                connection.sendall(_ANSWER)
            if not (KEEPS and got) or b"\r\nConnection: close" in got:
                chosen.unregister(connection)
                connection.close()


# --- Both -------------------------------------------------------------------------------------------


def opened(data: Path) -> Chat:
    chat = open_chat(Settings(data=data, limits=False, search=False))
    chat.start()
    return chat


def say(chat: Chat) -> None:
    chat.submit(SendMessage(message=NewMessage(user="Bo", message="Hello"), room="lobby"), identity=None)


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss() -> float:
    """Resident memory, in kB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


def database_bytes(data: Path) -> int:
    return sum(each.stat().st_size for each in data.glob("*.db*"))


if __name__ == "__main__":
    main()

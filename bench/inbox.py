"""Inboxes at size: rooms, accounts that have joined all of them, and readers of their inboxes.

::

    make bench-inbox                               # 1,000 rooms x 1,000 accounts
    make bench-inbox ROOMS=100 ACCOUNTS=100

One worker on SQLite, limits off. Messages go into one room, which every account has joined, by POST of a visitor, so
many a second. CPU is user and system time of the worker's process, of which the server's part of a POST is most.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.__main__ import free_port
from bench.claims import serving
from bench.load import HANDSHAKE, by_post, text
from quotechat.app import open_chat
from quotechat.config import Settings
from quotechat.hub.accounts.credentials import mint
from quotechat.live import inbox_feed
from quotechat.live.reactor import open_reactor
from quotechat.protocol.commands import NewMessage, SendMessage
from quotechat.store.accounts import sessions
from quotechat.store.base import CreateRoom, Store, Write
from quotechat.store.following import inbox
from quotechat.store.open import open_store
from quotechat.store.shapes import Sql

ROOMS = int(os.environ.get("ROOMS") or 1000)
ACCOUNTS = int(os.environ.get("ACCOUNTS") or 1000)
MESSAGES, PER_SECOND = 100, 20
IDLE_SECONDS = 4
T0 = 1_750_000_000_000


def filled(data: Path) -> tuple[list[str], list[str], float]:
    """Make the rooms, the accounts and all memberships; a token and the cursor of each, and bytes of a membership."""
    with contextlib.closing(open_store(Settings(data=data, most_rooms=10 * ROOMS))) as store:
        for first in range(0, ROOMS, 100):
            names = (f"room{number}" for number in range(first, min(first + 100, ROOMS)))
            store.commit([Write(CreateRoom(name), T0, operator=True) for name in names])
        before = _pages(store)
        tokens = store.write_with(_accounts)
        size = (_pages(store) - before) / (ROOMS * ACCOUNTS)
        times, cursors = [], []
        for account in range(1, ACCOUNTS + 1):
            began = time.thread_time()
            cursors.append(store.read_with(lambda sql, account=account: inbox.read(sql, account)).cursor)
            times.append(time.thread_time() - began)
        print(f"one inbox of {ROOMS} rooms: {1000 * statistics.median(times):.2f} ms of CPU (median of {ACCOUNTS})")
        return tokens, cursors, size


def _pages(store: Store) -> int:
    row = store.read_with(lambda sql: sql.one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    assert row is not None
    return int(row[0])


def _accounts(sql: Sql) -> list[str]:
    """Accounts as `accounts.make` leaves them, a thousand times as fast."""
    tokens = []
    rooms = [row[0] for row in sql.all("SELECT id FROM room WHERE name LIKE 'room%' ORDER BY id")]
    for number in range(1, ACCOUNTS + 1):
        key = f"{number:012d}".translate(str.maketrans("0189", "abcd"))
        sql.run(
            "INSERT INTO account (id, key, identity, name, skeleton, role, made_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            number, key, f"acct:{key}", f"Person {number}", f"person{number}", "member", T0,
        )  # fmt: skip
        token, secret = mint(number, "bench", T0)
        sessions.add_token(sql, token)
        tokens.append(secret)
        for room in rooms:
            sql.run(
                "INSERT INTO member (account_id, room_id, role, read_id, read_n, at) VALUES (?, ?, 'member', 0, 0, ?)",
                number, room, T0,
            )  # fmt: skip
    return tokens


# --- Readers ----------------------------------------------------------------------------------------


def connected(port: int, head: str, token: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(f"{head} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n".encode())
    return sock


def polls(port: int, tokens: list[str], cursors: list[str]) -> Iterator[socket.socket]:
    """Held polls of the inbox, at its cursor."""
    for token, cursor in zip(tokens, cursors, strict=True):
        sock = connected(port, f"GET /api/v1/inbox?after={cursor}&wait=25", token)
        sock.sendall(b"\r\n")
        yield sock


def followers(port: int, tokens: list[str], cursors: list[str]) -> Iterator[socket.socket]:
    """WebSockets that follow the inbox from its cursor."""
    for token, cursor in zip(tokens, cursors, strict=True):
        sock = connected(port, "GET /api/v1/ws", token)
        sock.sendall(f"{HANDSHAKE}\r\n".encode())
        assert b" 101 " in sock.recv(4096)
        asked = b'{"command":"subscribe","room":"@inbox","after":"%b"}' % cursor.encode()
        mask = b"\0\0\0\0"
        sock.sendall(bytes([0x81, 0x80 | len(asked)]) + mask + asked)
        yield sock


def drained(readers: list[socket.socket], seconds: float) -> int:
    """Take all that comes in that time; its bytes."""
    found, end = 0, time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for each in readers:
            each.setblocking(False)
            selector.register(each, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                with contextlib.suppress(BlockingIOError):
                    found += len(key.fileobj.recv(65_536))  # type: ignore[union-attr]
    return found


def begun(readers: list[socket.socket], seconds: float = 120) -> None:
    """Wait until each has been told that it has caught up."""
    waiting, end = set(readers), time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for each in readers:
            selector.register(each, selectors.EVENT_READ)
        while waiting and time.monotonic() < end:
            for key, _ in selector.select(1):
                if b"caught-up" in key.fileobj.recv(65_536):  # type: ignore[union-attr]
                    waiting.discard(key.fileobj)  # type: ignore[arg-type]
    assert not waiting, f"{len(waiting)} have not caught up"


# --- Measuring --------------------------------------------------------------------------------------


def cost(worker: psutil.Process, port: int, readers: list[socket.socket]) -> tuple[float, int]:
    """Milliseconds of CPU for one message, and the bytes that all readers got for it."""
    drained(readers, 1.0)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        way = by_post(sock, port, "/api/v1/rooms/room0/messages")
        before, taken = sum(worker.cpu_times()[:2]), 0
        for _ in range(MESSAGES):
            way.say({"user": "Visitor", "message": text()})
            way.wait()
            taken += drained(readers, 1 / PER_SECOND)
        taken += drained(readers, 0.5)
        return 1000 * (sum(worker.cpu_times()[:2]) - before) / MESSAGES, taken // MESSAGES


def paired(rounds: int = 12, messages: int = 250) -> None:
    """Print what a message costs where inboxes are not wired and where they are without a reader, turn by turn."""
    with tempfile.TemporaryDirectory(prefix="quotechat-inbox-") as directory, contextlib.ExitStack() as stack:
        chats = []
        for wired in (False, True):
            chat = open_chat(Settings(data=Path(directory) / str(wired), limits=False, search=False))
            stack.callback(chat.close)
            if wired:
                inbox_feed.open_feed(open_reactor(chat), chat)
            chat.start()
            chats.append(chat)
        spent: list[list[float]] = [[], []]
        hello = SendMessage(message=NewMessage(user="Bo", message="Hello"), room="lobby")
        for number in range(rounds + 1):
            for chat, times in zip(chats, spent, strict=True):
                began = time.process_time()
                for _ in range(messages):
                    chat.submit(hello, identity=None)
                if number:  # the first round warms up
                    times.append(1000 * (time.process_time() - began) / messages)
        without, wired_cost = (statistics.median(times) for times in spent)
        apart = statistics.median([b - a for a, b in zip(*spent, strict=True)])
        print(f"a message without inboxes in the process: {without:.3f} ms of CPU, with them and no reader:"
              f" {wired_cost:.3f} ms; median of {rounds} differences {1000 * apart:+.1f} µs")  # fmt: skip


def main() -> None:
    paired()
    with tempfile.TemporaryDirectory(prefix="quotechat-inbox-") as directory:
        began = time.monotonic()
        tokens, cursors, size = filled(Path(directory))
        print(f"{ROOMS} rooms x {ACCOUNTS} accounts made in {time.monotonic() - began:.0f} s: {size:.0f} bytes for each"
              " membership, with its index")  # fmt: skip
        port = free_port()
        with serving(directory, port) as process:
            worker = _worker(process.pid)
            print(f"a message without a reader of an inbox: {cost(worker, port, [])[0]:.2f} ms of CPU")
            # What was said meanwhile is behind them, so each begins where the store is now.
            cursors = _cursors(Path(directory))
            memory = worker.memory_info().rss
            held = list(polls(port, tokens, cursors))
            drained(held, 2.0)
            print(f"{len(held)} held polls of inboxes: {worker.num_threads()} threads in all,"
                  f" {(worker.memory_info().rss - memory) / len(held) / 1024:.1f} kB each")  # fmt: skip
            for each in held:
                each.close()
            drained([], 1.5)
            memory = worker.memory_info().rss
            before = sum(worker.cpu_times()[:2])
            following = list(followers(port, tokens, cursors))
            begun(following)
            used = 1000 * (sum(worker.cpu_times()[:2]) - before) / len(following)
            print(f"{len(following)} sockets that follow inboxes: {used:.1f} ms of CPU to begin each,"
                  f" {(worker.memory_info().rss - memory) / len(following) / 1024:.1f} kB each")  # fmt: skip
            before = sum(worker.cpu_times()[:2])
            drained(following, IDLE_SECONDS)
            idle = 1000 * (sum(worker.cpu_times()[:2]) - before) / IDLE_SECONDS
            print(f"these sockets, and no message: {idle:.0f} ms of CPU a second")
            spent, taken = cost(worker, port, following)
            print(f"a message with {len(following)} of them, {PER_SECOND} a second: {spent:.2f} ms of CPU with that,"
                  f" {taken / len(following):.0f} bytes to each")  # fmt: skip
            for each in following:
                each.close()
            drained([], 1.5)
            print(f"and without them again: {cost(worker, port, [])[0]:.2f} ms of CPU")


def _worker(master: int) -> psutil.Process:
    """Return the one worker, which on a busy machine is forked some time after the port is open."""
    while not (found := psutil.Process(master).children()):
        time.sleep(0.05)
    return found[0]


def _cursors(data: Path) -> list[str]:
    with contextlib.closing(open_store(Settings(data=data))) as store:
        return [
            store.read_with(lambda sql, account=account: inbox.read(sql, account)).cursor  # type: ignore[misc]
            for account in range(1, ACCOUNTS + 1)
        ]


if __name__ == "__main__":
    sys.exit(main())

"""Messages for the search at size, from a seed, and the index of them; two runs have the same.

The words have a Zipf distribution, a tenth of the messages is in Cyrillic or Chinese. ``DATA`` names a directory that
is kept, and used again by the next run; without it, all is made in a temporary one. ``DATABASE`` names a PostgreSQL,
``DATABASE=private`` starts one that goes with the run.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quotechat.config import Settings
from quotechat.protocol import commands, cursor, events, json
from quotechat.store.base import CreateRoom, Write
from quotechat.store.open import open_index, open_store
from quotechat.store.search.following import follow, reached
from tools.private_postgres import postgres

ROOMS = 20
T0 = 1_750_000_000_000
GAP_MS = 30_000
AT_ONCE = 1000
"""Events of one step of the index, as `quotechat search rebuild` takes them."""
_SENT = "SELECT count(*) FROM message WHERE room_id IN (SELECT id FROM room WHERE name LIKE 'room%')"
_HEADS = "SELECT name, id, head, chain FROM room WHERE name LIKE 'room%'"
_MOVED = "UPDATE room SET head = %s, chain = %s, last = %s, messages = %s, news = %s, moved_at = %s WHERE id = %s"
_COPIED = (
    ("event", "room_id, seq, command, at, body, tag, identity", range(7)),
    ("message", "room_id, id, identity, body, n", (0, 1, 6, 7, 1)),
)
"""Tables that `copy_in` fills, their columns, and the places of these in the row of `_sent`."""
_VOCABULARY = 30_000
_TELL_EVERY = 10.0


@dataclass
class Corpus:
    """A store with its index, and the seconds that each took to be made, 0 if it was there; `cpu` of this process."""

    settings: Settings
    store: Any
    index: Any
    sent: float
    built: float
    cpu: float

    @property
    def kind(self) -> str:
        """Return the name of the database."""
        import sqlite3

        return "PostgreSQL" if self.settings.database else f"SQLite {sqlite3.sqlite_version}"


@contextlib.contextmanager
def corpus(messages: int) -> Iterator[Corpus]:
    """Open a store with so many messages, all of them indexed."""
    with contextlib.ExitStack() as opened:
        kept, database = os.environ.get("DATA"), os.environ.get("DATABASE", "")
        directory = kept or opened.enter_context(tempfile.TemporaryDirectory(prefix="quotechat-search-"))
        if database == "private":
            database = opened.enter_context(postgres()).url
        settings = Settings(data=Path(directory) / "data", database=database, most_rooms=10_000, limits=False)
        store = opened.enter_context(contextlib.closing(open_store(settings)))
        index = opened.enter_context(contextlib.closing(open_index(settings, store)))
        sent = fill(store, messages, settings.database)
        began = time.process_time()
        built = build(store, index)
        yield Corpus(settings, store, index, sent, built, time.process_time() - began)


def texts(seed: int = 7) -> Iterator[str]:
    """Yield texts without end."""
    chance = random.Random(seed)
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(_VOCABULARY)))
    signs = [chr(0x4E00 + (number * 37) % 3000) for number in range(300)] + ["汉", "字"]

    def word() -> int:
        return bisect.bisect(weights, chance.random() * weights[-1])

    while True:
        kind = chance.random()
        if kind < 0.05:
            yield "".join(chance.choice(signs) for _ in range(chance.randint(3, 25)))
        elif kind < 0.1:
            yield " ".join(f"Слово{word()}" for _ in range(chance.randint(2, 15)))
        else:
            yield " ".join(f"W{word()}a" for _ in range(chance.randint(2, 22))) + chance.choice((".", "!", "?", ""))


def fill(store: Any, messages: int, database: str = "") -> float:
    """Send all messages that are not there yet; return the seconds that it took.

    Into PostgreSQL, `database`, all but the first thousand are copied.
    """
    began = time.monotonic()
    store.found(T0)
    if not store.read_with(lambda sql: sql.one("SELECT 1 FROM room WHERE name = 'room0'")):
        store.commit([Write(CreateRoom(f"room{number}"), T0) for number in range(ROOMS)])
    done = store.read_with(lambda sql: sql.one(_SENT))[0]
    if done >= messages:
        return 0.0
    said = itertools.islice(texts(), done, None)
    for start in range(done, messages, 1000):
        if database and start:
            copy_in(store, database, said, start, messages)
            break
        writes = []
        for number in range(start, min(start + 1000, messages)):
            message = commands.NewMessage(f"user{number % 50}", next(said))
            command = commands.SendMessage(message=message, room=f"room{number % ROOMS}")
            writes.append(Write(command, T0 + GAP_MS * (number + 1), f"{number % 50:032}"))
        store.commit(writes)
        tell(f"sent {start + len(writes):,}")
    return time.monotonic() - began


def copy_in(store: Any, database: str, said: Iterator[str], start: int, end: int) -> None:
    """Copy the messages from `start` to `end` into PostgreSQL, with the chain that sending them makes."""
    import psycopg

    rows = store.read_with(lambda sql: list(sql.all(_HEADS)))
    rooms = {name: [key, head, bytes(chain), 0] for name, key, head, chain in rows}
    while start < end:
        stop = min(start + 50_000, end)
        sent = [_sent(rooms, number, next(said)) for number in range(start, stop)]
        with psycopg.connect(database) as connection, connection.cursor() as cursor_:
            for table, columns, pick in _COPIED:
                with cursor_.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for each in sent:
                        copy.write_row([each[column] for column in pick])
            for key, head, chain, at in rooms.values():
                cursor_.execute(_MOVED, (head, chain, head, head, head, at, key))
        start = stop
        tell(f"copied {start:,}")


def _sent(rooms: dict[str, list[Any]], number: int, said: str) -> tuple[Any, ...]:
    """Return the columns of an event and its message; move the room's head."""
    room, at, user = rooms[f"room{number % ROOMS}"], T0 + GAP_MS * (number + 1), f"user{number % 50}"
    seq = room[1] + 1
    message = {"id": seq, "user": user, "message": said, "at": events.rfc3339(at)}
    body = json.dumps({"message": message})
    chain = cursor.extend(room[2], seq, cursor.digest(body))
    room[1:] = [seq, chain, at]
    identity = f"{number % 50:032}"
    shown = json.dumps(message).decode()
    return room[0], seq, events.MESSAGE_SENT, at, body.decode(), cursor.tag(chain), identity, shown


def build(store: Any, index: Any) -> float:
    """Index all; return the seconds that it took."""
    began, steps = time.monotonic(), 0
    while True:
        done = index.step(lambda log, writer: follow(log, writer, AT_ONCE))
        read, end = reached(store, index)
        # None: the server of another run on this directory indexes.
        if not done.more if done is not None else read == end:
            return time.monotonic() - began if steps else 0.0
        steps += 1
        tell(f"indexed {read:,} of {end:,}")


_began = _told = time.monotonic()


def tell(line: str) -> None:
    """Say how far it is, every ten seconds."""
    global _told
    now = time.monotonic()
    if now - _told >= _TELL_EVERY:
        _told = now
        print(f"{now - _began:7.0f} s: {line}", file=sys.stderr, flush=True)

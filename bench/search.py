"""The search at size: time to build, bytes, times of ten questions, beside LIKE and two tokenizers of FTS5.

::

    make bench-search MESSAGES=100000            # SQLite; DATABASE=postgresql://… for PostgreSQL
    make bench-search HOSTILE=10000              # besides, so many questions of the grammar fuzzer

All is made in a temporary directory, from a seed, so two runs ask the same of the same. The messages have words of a
Zipf distribution, a tenth of them in Cyrillic or Chinese.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from quotechat.config import Settings
from quotechat.protocol import commands
from quotechat.protocol.errors import Refused
from quotechat.protocol.rights.principal import Principal
from quotechat.protocol.search import question
from quotechat.store.base import CreateRoom, Write
from quotechat.store.open import open_index, open_store
from quotechat.store.search import asking
from quotechat.store.search.following import follow, reached

MESSAGES = int(os.environ.get("MESSAGES") or 100_000)
HOSTILE = int(os.environ.get("HOSTILE") or 0)
DATABASE = os.environ.get("DATABASE", "")
ROOMS = 20
VOCABULARY = 30_000
T0 = 1_750_000_000_000
GAP_MS = 30_000
TIMES = 20
"""How often each question is asked."""

QUESTIONS = {
    "a common word": "w0a",
    "a rare word": "w20000a",
    "two words": "w10a w200a",
    "a phrase": '"w0a w1a"',
    "a beginning": "w12",
    "two characters of Chinese": "汉字",
    "Cyrillic": "слово5",
    "a common word without another": "w0a -w1a",
    "one room, one person": "in:room3 from:user7 w2a",
    "a month, best first": "after:2025-07-01 before:2025-08-01 w5a w6a",
}
PLAIN = tuple(QUESTIONS)[:7]
"""Those that the others can be asked too."""


def texts(seed: int = 7) -> Iterator[str]:
    """Yield texts without end."""
    chance = random.Random(seed)
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))
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


def fill(store: Any) -> float:
    """Send all messages; the seconds that it took."""
    began = time.monotonic()
    store.found(T0)
    store.commit([Write(CreateRoom(f"room{number}"), T0) for number in range(ROOMS)])
    said, at = texts(), T0
    for start in range(0, MESSAGES, 1000):
        writes = []
        for number in range(start, min(start + 1000, MESSAGES)):
            at += GAP_MS
            message = commands.NewMessage(f"user{number % 50}", next(said))
            command = commands.SendMessage(message=message, room=f"room{number % ROOMS}")
            writes.append(Write(command, at, f"{number % 50:032}"))
        store.commit(writes)
        told(f"sent {start + 1000:,}")
    return time.monotonic() - began


def build(store: Any, index: Any) -> float:
    """Index all; the seconds that it took."""
    began = time.monotonic()
    while (done := index.step(lambda log, writer: follow(log, writer, 1000))) is None or done.more:
        told("indexed {:,} of {:,}".format(*reached(store, index)))
    return time.monotonic() - began


def ask(store: Any, index: Any, asked: str, *, best: bool = False, enough: Callable[[], bool] = lambda: False) -> Any:
    search = asking.Search(store, index, question.parse(asked), Principal(None))
    return (search.best if best else search.newest)(None, 20, enough)


def timed(work: Callable[[], Any]) -> tuple[float, float, float]:
    """p50 and p99 of `TIMES` runs, and p50 of this process's own time, in milliseconds."""
    spent, own = [], []
    for _ in range(TIMES):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        spent.append(1000 * (time.perf_counter() - began))
        own.append(1000 * (time.process_time() - cpu))
    return statistics.median(spent), sorted(spent)[-max(1, TIMES // 100)], statistics.median(own)


def others(directory: Path) -> dict[str, tuple[float, int, Callable[[str], list[int]]]]:
    """Seconds to build, bytes, and how to ask LIKE and two tokenizers of FTS5, all on the texts alone."""
    said = list(enumerate(itertools.islice(texts(), MESSAGES)))
    found: dict[str, tuple[float, int, Callable[[str], list[int]]]] = {}
    plain = sqlite3.connect(directory / "like.db")
    plain.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
    plain.executemany("INSERT INTO t VALUES (?, ?)", said)
    plain.commit()

    def like(asked: str) -> list[int]:
        parts = [asked.strip('"')] if asked.startswith('"') else asked.split()
        condition = " AND ".join("text LIKE ?" for _ in parts)
        values = [f"%{part}%" for part in parts]
        return [row[0] for row in plain.execute(f"SELECT n FROM t WHERE {condition} ORDER BY n DESC", values)]

    found["LIKE"] = (0.0, 0, like)
    for tokenizer in ("unicode61", "trigram"):
        path = directory / f"{tokenizer}.db"
        sql = sqlite3.connect(path)
        began = time.monotonic()
        sql.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, content='', tokenize='{tokenizer}')")
        sql.executemany("INSERT INTO t (rowid, text) VALUES (?, ?)", said)
        sql.commit()
        spent = time.monotonic() - began

        def matching(asked: str, sql: sqlite3.Connection = sql) -> list[int]:
            parts = [asked] if asked.startswith('"') else [f'"{part}"' for part in asked.split()]
            rows = sql.execute("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rowid DESC", (" AND ".join(parts),))
            return [row[0] for row in rows]

        found[f"FTS5 {tokenizer}"] = (spent, path.stat().st_size, matching)
    return found


def right() -> dict[str, set[int]]:
    """The numbers of the messages that each plain question has to find, by a look at all texts."""
    asked = {name: question.parse(QUESTIONS[name]) for name in PLAIN}
    found: dict[str, set[int]] = {name: set() for name in PLAIN}
    for number, text in enumerate(itertools.islice(texts(), MESSAGES)):
        for name, each in asked.items():
            if question.found(each, text) is not None:
                found[name].add(number)
    return found


def compare(directory: Path) -> None:
    truth = right()
    print("\n| beside it | built, s | bytes | " + " | ".join(PLAIN) + " |")
    print("|---|---:|---:|" + "---:|" * len(PLAIN))
    print("| hits that are right | | | " + " | ".join(f"{len(truth[name]):,}" for name in PLAIN) + " |")
    for label, (spent, size, matching) in others(directory).items():
        cells = []
        for name in PLAIN:
            hits = set(matching(QUESTIONS[name]))
            began = time.perf_counter()
            matching(QUESTIONS[name])
            ms = 1000 * (time.perf_counter() - began)
            recall = len(hits & truth[name]) / max(1, len(truth[name]))
            cells.append(f"{ms:.1f} ms, {recall:.0%}, {len(hits - truth[name]):,} wrong")
        print(f"| {label} | {spent:.1f} | {size:,} | " + " | ".join(cells) + " |", flush=True)


def hostile(store: Any, index: Any) -> None:
    """Ask what the grammar fuzzer makes, with the bound of time that the server sets."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuzz"))
    from questions import questions

    slowest, worst, refused = 0.0, "", 0
    for asked in itertools.islice(questions(), HOSTILE):
        began = time.perf_counter()
        with contextlib.suppress(Refused):
            try:
                ask(store, index, asked, enough=_clock())
            except Refused:
                refused += 1
                raise
        spent = 1000 * (time.perf_counter() - began)
        if spent > slowest:
            slowest, worst = spent, asked
    print(f"\n{HOSTILE:,} hostile questions: {refused:,} refused, none failed; slowest {slowest:.0f} ms: {worst!r}")


def _clock() -> Callable[[], bool]:
    end = time.monotonic() + 0.1
    return lambda: time.monotonic() > end


def told(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line:<60}", end="", file=sys.stderr, flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="quotechat-search-") as name:
        directory = Path(name)
        settings = Settings(data=directory / "data", database=DATABASE, most_rooms=10_000)
        with contextlib.ExitStack() as opened:
            store = opened.enter_context(contextlib.closing(open_store(settings)))
            index = opened.enter_context(contextlib.closing(open_index(settings, store)))
            sent = fill(store)
            built = build(store, index)
            log = sum(each.stat().st_size for each in (directory / "data").glob("quotechat.db*")) if not DATABASE else 0
            index.tidy()
            load = os.getloadavg()[0]
            kind = "PostgreSQL" if DATABASE else f"SQLite {sqlite3.sqlite_version}"
            print(f"{MESSAGES:,} messages, {kind}; load {load:.1f}")
            print(f"sent in {sent:.1f} s, indexed in {built:.1f} s: {MESSAGES / built:,.0f} a second")
            share = f", {index.size() / log:.0%} of the log's {log:,}" if log else ""
            print(f"the index has {index.size():,} bytes{share}\n")
            print("| question | hits on the page | more | p50, ms | p99, ms | CPU, ms |\n|---|---:|---|---:|---:|---:|")
            for label, asked in QUESTIONS.items():
                best = "best" in label
                page = ask(store, index, asked, best=best)
                half, most, own = timed(lambda asked=asked, best=best: ask(store, index, asked, best=best))
                times = f"{half:.1f} | {most:.1f} | {own:.1f}"
                print(f"| {label} | {len(page['hits'])} | {page['has_more']} | {times} |", flush=True)
            if not DATABASE:
                compare(directory)
            if HOSTILE:
                hostile(store, index)


if __name__ == "__main__":
    main()

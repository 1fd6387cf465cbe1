"""The search at size: time to build, bytes, times of ten questions, beside LIKE and two tokenizers of FTS5.

::

    make bench-search MESSAGES=1000000                # SQLite; takes some ten minutes
    make bench-search DATABASE=private                # a PostgreSQL of its own; or postgresql://…
    make bench-search DATA=/var/tmp/searched          # keeps the messages there for the next run
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.corpus import Corpus, corpus, texts
from quotechat.hub.search import Search
from quotechat.protocol.rights.principal import Principal
from quotechat.protocol.search import question

MESSAGES = int(os.environ.get("MESSAGES") or 100_000)
TIMES = int(os.environ.get("TIMES") or 100)
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
    "one room, one person": "in:room3 from:user13 w2a",
    "a month, best first": "after:2025-07-01 before:2025-08-01 w5a w6a",
}
PLAIN = tuple(QUESTIONS)[:7]
"""Those that the others can be asked too."""


def timed(work: Callable[[], Any]) -> tuple[float, float, float]:
    """Return p50 and p99 of `TIMES` runs, and p50 of this thread's own time, in milliseconds."""
    spent, own = [], []
    for _ in range(TIMES):
        began, cpu = time.perf_counter(), time.thread_time()
        work()
        spent.append(1000 * (time.perf_counter() - began))
        own.append(1000 * (time.thread_time() - cpu))
    return statistics.median(spent), sorted(spent)[-max(1, TIMES // 100)], statistics.median(own)


def others(directory: Path) -> dict[str, tuple[float, int, Callable[[str, int], list[int]]]]:
    """Return seconds to build, bytes, and how to ask LIKE and two tokenizers of FTS5, all on the texts alone."""
    said = list(enumerate(itertools.islice(texts(), MESSAGES)))
    found: dict[str, tuple[float, int, Callable[[str, int], list[int]]]] = {}
    plain = sqlite3.connect(directory / "like.db")
    plain.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
    plain.executemany("INSERT INTO t VALUES (?, ?)", said)
    plain.commit()

    def like(asked: str, most: int) -> list[int]:
        parts = [asked.strip('"')] if asked.startswith('"') else asked.split()
        condition = " AND ".join("text LIKE ?" for _ in parts)
        values = [f"%{part}%" for part in parts]
        found = plain.execute(f"SELECT n FROM t WHERE {condition} ORDER BY n DESC LIMIT ?", (*values, most))
        return [row[0] for row in found]

    found["LIKE"] = (0.0, 0, like)
    for tokenizer in ("unicode61", "trigram"):
        path = directory / f"{tokenizer}.db"
        sql = sqlite3.connect(path)
        began = time.thread_time()
        sql.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, content='', tokenize='{tokenizer}')")
        sql.executemany("INSERT INTO t (rowid, text) VALUES (?, ?)", said)
        sql.commit()
        spent = time.thread_time() - began

        def matching(asked: str, most: int, sql: sqlite3.Connection = sql) -> list[int]:
            parts = [asked] if asked.startswith('"') else [f'"{part}"' for part in asked.split()]
            statement = "SELECT rowid FROM t WHERE t MATCH ? ORDER BY rowid DESC LIMIT ?"
            return [row[0] for row in sql.execute(statement, (" AND ".join(parts), most))]

        found[f"FTS5 {tokenizer}"] = (spent, path.stat().st_size, matching)
    return found


def right() -> dict[str, set[int]]:
    """Return the numbers of the messages that each plain question has to find, by a look at all texts."""
    asked = {name: (QUESTIONS[name].strip('"').split(), question.parse(QUESTIONS[name])) for name in PLAIN}
    found: dict[str, set[int]] = {name: set() for name in PLAIN}
    for number, text in enumerate(itertools.islice(texts(), MESSAGES)):
        lower = text.lower()
        for name, (words, each) in asked.items():
            if all(word in lower for word in words) and question.found(each, text) is not None:
                found[name].add(number)
    return found


def compare(directory: Path) -> None:
    """Print what the others find, and the CPU time of their first 20 hits."""
    truth = right()
    print("\n| beside it | built, s of CPU | bytes | " + " | ".join(PLAIN) + " |")
    print("|---|---:|---:|" + "---:|" * len(PLAIN))
    print("| hits that are right | | | " + " | ".join(f"{len(truth[name]):,}" for name in PLAIN) + " |")
    for label, (spent, size, matching) in others(directory).items():
        cells = []
        for name in PLAIN:
            hits = set(matching(QUESTIONS[name], MESSAGES))
            began = time.thread_time()
            matching(QUESTIONS[name], 20)
            ms = 1000 * (time.thread_time() - began)
            recall = len(hits & truth[name]) / max(1, len(truth[name]))
            cells.append(f"{ms:.1f} ms, {recall:.0%}, {len(hits - truth[name]):,} wrong")
        print(f"| {label} | {spent:.1f} | {size:,} | " + " | ".join(cells) + " |", flush=True)


def ours(made: Corpus) -> None:
    """Print what it takes to build and to ask, within the time that the server gives a question."""
    directory, search = made.settings.data, Search(made.store, made.index)
    log = sum(each.stat().st_size for each in directory.glob("quotechat.db*")) if not made.settings.database else 0
    made.index.tidy()
    print(f"{MESSAGES:,} messages, {made.kind}; load {os.getloadavg()[0]:.1f}")
    if made.built:
        print(f"sent in {made.sent:.1f} s, indexed in {made.built:.1f} s, {made.cpu:.1f} s of CPU")
    share = f", {made.index.size() / log:.0%} of the log's {log:,}" if log else ""
    print(f"the index has {made.index.size():,} bytes{share}\n")
    print("| question | hits on the page | more | p50, ms | p99, ms | CPU, ms |\n|---|---:|---|---:|---:|---:|")
    for label, asked in QUESTIONS.items():

        def ask(asked: str = asked, order: Any = "best" if "best" in label else "newest") -> dict[str, Any]:
            return search.messages(Principal(None), asked, before=None, limit=20, order=order)

        page = ask()
        half, most, own = timed(ask)
        more = f"{page['has_more']}" + (f", to {page['searched']['through'][:10]}" if "searched" in page else "")
        print(f"| {label} | {len(page['hits'])} | {more} | {half:.1f} | {most:.1f} | {own:.1f} |", flush=True)


def main() -> None:
    with corpus(MESSAGES) as made:
        ours(made)
        if not made.settings.database:
            with tempfile.TemporaryDirectory(prefix="quotechat-search-") as name:
                compare(Path(name))


if __name__ == "__main__":
    main()

"""Hostile questions over HTTP: no answer is an error of the server, and none takes longer than MOST_MS of CPU time.

::

    make fuzz-search                                   # 10,000 questions of 100,000 messages in SQLite
    make fuzz-search DATABASE=private                  # a PostgreSQL of its own; or postgresql://… on this machine
    make fuzz-search QUESTIONS=1000 MESSAGES=1000000 DATA=/var/tmp/searched

The grammar (tests/fuzz/questions.py) knows all that means something to our parser, to FTS5, to PostgreSQL and to SQL,
and words of the messages, of which the newest are as long as they may be. Each question is asked of the API or of the
page, in either order, and the page that an answer names next is asked for too. Measured is the CPU time of the thread
that answers and of PostgreSQL's processes: the time on the clock is that of the machine too, and is printed beside it.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from bench.corpus import GAP_MS, T0, Corpus, build, corpus, tell
from quotechat import create_app
from quotechat.protocol import commands
from quotechat.protocol.errors import Refused
from quotechat.store.base import CreateRoom, Write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuzz"))
from questions import questions

MESSAGES = int(os.environ.get("MESSAGES") or 100_000)
QUESTIONS = int(os.environ.get("QUESTIONS") or 10_000)
MOST_MS = 200.0
_BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type IN ('client backend', 'parallel worker')"
)
_API, _PAGE = "/api/v1/search", "/search"


LONG = (
    "a " * 2000, "汉" * 4000, "汉字" * 2000, "👍" * 4000, "ж" * 4000, "e\u0301" * 2000, "w0a w1a " * 500, "w12" * 1300,
    "слово1 " * 570, "'\"*^:()" * 500,
)  # fmt: skip
"""Of each 40 messages, the newest of all: what takes longest to compare."""


class Asked(NamedTuple):
    """One request: its status, milliseconds of CPU and of the clock, and if the answer is of a part alone."""

    path: str
    status: int
    cpu: float
    wall: float
    part: bool


def requests(number: int, asked: str, chance: random.Random) -> str:
    """Return the path of the request for a question."""
    order = chance.choice(("", "", "&order=best"))
    limit = chance.choice(("", "&limit=1", "&limit=50"))
    return f"{_PAGE if number % 10 == 0 else _API}?q={quote(asked)}{order}{limit}"


def ask(client: Any, path: str, others: Others) -> tuple[Asked, dict[str, Any]]:
    """Make one request."""
    began, cpu, theirs = time.perf_counter(), time.thread_time(), others.seconds()
    answer = client.get(path)
    spent = time.thread_time() - cpu + others.seconds() - theirs
    wall = time.perf_counter() - began
    body = answer.get_json() if answer.is_json and answer.status_code == 200 else {}
    return Asked(path, answer.status_code, 1000 * spent, 1000 * wall, "searched" in body), body


def send_long(made: Corpus) -> None:
    """Send the long messages, unless they are there."""
    at = T0 + GAP_MS * (MESSAGES + 10)
    if isinstance(made.store.commit([Write(CreateRoom("long"), at)])[0], Refused):
        return
    writes = []
    for number in range(40 * len(LONG)):
        message = commands.NewMessage("user1", LONG[number % len(LONG)])
        writes.append(Write(commands.SendMessage(message=message, room="long"), at + 1000 * number, "1" * 32))
    made.store.commit(writes)
    build(made.store, made.index)


class Others:
    """The CPU time of the processes of PostgreSQL that serve us, as far as they run on this machine."""

    def __init__(self, made: Corpus) -> None:
        self._made = made
        self._files: list[Path] = []
        self.look()

    def look(self) -> None:
        """Find them anew: the store opens connections as it needs them."""
        if self._made.settings.database:
            found = self._made.store.read_with(lambda sql: list(sql.all(_BACKENDS)))
            self._files = [Path(f"/proc/{pid}/schedstat") for (pid,) in found]

    def seconds(self) -> float:
        """Return the seconds that they took until now."""
        total = 0
        for file in self._files:
            with contextlib.suppress(OSError):
                total += int(file.read_text().split()[0])
        return total / 1e9


def run(made: Corpus) -> Iterator[Asked]:
    """Ask all, and yield what became of each."""
    app = create_app(made.settings)
    others, chance = Others(made), random.Random(5)
    gc.freeze()  # as a worker does
    try:
        client = app.test_client()
        for number, asked in enumerate(itertools.islice(questions(), QUESTIONS)):
            if number % 100 == 0:
                others.look()
            path = requests(number, asked, chance)
            done, body = ask(client, path, others)
            yield done
            if "before" in body and number % 4 == 0:
                yield ask(client, f"{path}&before={quote(body['before'])}", others)[0]
    finally:
        app.extensions["quotechat"].close()


def told(made: Corpus, all_asked: list[Asked]) -> int:
    """Print what came of them; return how many broke the bounds."""
    statuses = {status: sum(each.status == status for each in all_asked) for status in {e.status for e in all_asked}}
    cpu, wall = (sorted(getattr(each, name) for each in all_asked) for name in ("cpu", "wall"))
    failed = [each for each in all_asked if each.status >= 500]
    slow = [each for each in all_asked if each.cpu > MOST_MS]
    print(f"{MESSAGES:,} messages, {made.kind}; load {os.getloadavg()[0]:.1f}")
    kinds = ", ".join(f"{count:,} were {status}" for status, count in sorted(statuses.items()))
    print(f"{len(all_asked):,} requests of {QUESTIONS:,} hostile questions: {kinds}")
    print(f"{sum(each.part for each in all_asked):,} answers said how far the search came\n")
    print("| | p50, ms | p99, ms | p99.9, ms | most, ms | over 200 ms |\n|---|---:|---:|---:|---:|---:|")
    for name, times in (("CPU", cpu), ("clock", wall)):
        part = [times[int((len(times) - 1) * share)] for share in (0.5, 0.99, 0.999, 1)]
        over = sum(each > MOST_MS for each in times)
        print(f"| {name} | " + " | ".join(f"{each:.1f}" for each in part) + f" | {over} |")
    for each in [*failed, *sorted(slow, key=lambda asked: -asked.cpu)][:20]:
        print(f"\n{each.status}, {each.cpu:.0f} ms of CPU, {each.wall:.0f} ms: {each.path}")
    slowest = max(all_asked, key=lambda each: each.cpu)
    print(f"\nthe slowest: {slowest.cpu:.0f} ms of CPU, {slowest.wall:.0f} ms: {slowest.path}")
    return len(failed) + len(slow)


def main() -> int:
    with corpus(MESSAGES) as made:
        send_long(made)
        all_asked: list[Asked] = []
        with contextlib.suppress(KeyboardInterrupt):  # what was asked until then is told
            for each in run(made):
                all_asked.append(each)
                tell(f"{len(all_asked):,} requests")
        return min(1, told(made, all_asked))


if __name__ == "__main__":
    raise SystemExit(main())

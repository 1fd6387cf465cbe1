"""`quotechat move` of a long log, SQLite to PostgreSQL and back, with a reader: `make bench-move EVENTS=1000000`.

The log is of 120-character messages with client_ids, and a reaction or an edit to each tenth. A reader has half of it
from a server on SQLite; the server ends, all is moved, the reader goes on from its cursor on a server on PostgreSQL,
and once more on SQLite. `PARTS` chooses: `move` goes there and back, `kill` there with a SIGKILL half-way, `file` is
export, import and verify. Each command is a process of its own; both databases flush (fsync on).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import requests

from quotechat.protocol import commands
from quotechat.store.base import Write
from quotechat.store.sqlite.store import SqliteStore
from tools.private_postgres import Server, postgres

NOW = 1_800_000_000_000
BATCH = 2000


def fill(data: Path, events: int) -> None:
    """A log of so many events, as a server would have stored them."""
    data.mkdir(mode=0o700)
    with closing(SqliteStore(data / "quotechat.db")) as store:
        store.found(NOW)
        store.secret()
        for first in range(1, events + 1, BATCH):
            numbers = range(first, min(first + BATCH, events + 1))
            store.commit([Write(_command(seq), NOW + seq, "ann") for seq in numbers])


def _command(seq: int) -> Any:
    if seq % 20 == 10:
        return commands.React(message=commands.Reaction(seq - 1, "like"))
    if seq % 20 == 0:
        return commands.EditMessage(message=commands.EditedMessage(seq - 1, f"edited {seq}"))
    return commands.SendMessage(message=commands.NewMessage("Ann", f"{seq} ".ljust(120, "x")), client_id=f"k{seq}")


class Reader:
    """Reads the lobby by polling, and holds that each event is the next."""

    def __init__(self) -> None:
        self.seq, self.cursor = 0, "0"

    def read(self, url: str, until: int) -> None:
        """Read on to `until`."""
        while self.seq < until:
            answer = requests.get(f"{url}/api/v1/rooms/lobby/events?after={self.cursor}&limit=500", timeout=30)
            answer.raise_for_status()
            page = answer.json()
            for event in page["events"]:
                assert event["seq"] == self.seq + 1, f"{event['seq']} came after {self.seq}"
                self.seq = event["seq"]
            self.cursor = page["cursor"]


def command(*arguments: str, database: str = "") -> subprocess.Popen[str]:
    """A command of quotechat, as a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUOTECHAT_")}
    env = {**kept, "QUOTECHAT_LIMITS": "off", "PYTHONUNBUFFERED": "1", "QUOTECHAT_DATABASE": database}
    return subprocess.Popen(
        [sys.executable, "-m", "quotechat", *arguments], env=env, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def timed(*arguments: str, database: str = "") -> tuple[float, str]:
    """Seconds that a command takes, and what it says."""
    began = time.monotonic()
    process = command(*arguments, database=database)
    said, _ = process.communicate()
    if process.returncode:
        sys.exit(f"quotechat {' '.join(arguments)}: {said}")
    return time.monotonic() - began, said


@contextmanager
def serving(data: Path, database: str = "") -> Iterator[str]:
    """The URL of a server."""
    process = command("serve", "--port", "0", "--data", str(data), database=database)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://\S+:[0-9]+", line)
            if found:
                yield found[0]
                break
    finally:
        process.terminate()
        process.communicate()


def loaded(database: str) -> int:
    """How many events are there so far."""
    try:
        with psycopg.connect(database) as connection:
            row = connection.execute("SELECT coalesce(max(head), 0) FROM room").fetchone()
            return int(row[0]) if row else 0
    except psycopg.errors.UndefinedTable:
        return 0


def killed(data: Path, database: str, at: int) -> tuple[float, int]:
    """Move, and kill it when so many events are there: seconds until then, and what is there."""
    began = time.monotonic()
    process = command("move", "--to", database, "--data", str(data))
    while loaded(database) < at and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return time.monotonic() - began, loaded(database)


def heads(data: Path, database: str = "") -> list[Any]:
    """What `quotechat rooms --json` tells."""
    _, said = timed("rooms", "--json", "--data", str(data), database=database)
    return [json.loads(line) for line in said.splitlines()]


def measure(events: int, parts: list[str], one: Path, directory: Path, server: Server) -> None:
    """All of it, told as it goes."""

    def tell(what: str, seconds: float, count: int = events) -> None:
        print(f"{what:44} {seconds:8.1f} s  {count / seconds:10,.0f} events/s", flush=True)

    if not one.exists():
        began = time.monotonic()
        fill(one, events)
        tell("filled SQLite", time.monotonic() - began)
    wanted = heads(one)
    if "move" in parts:
        reader, back, database = Reader(), directory / "back", server.fresh("moved")
        with serving(one) as url:
            reader.read(url, events // 2)
        tell("move to PostgreSQL", timed("move", "--to", database, "--data", str(one))[0])
        with serving(directory / "unused", database) as url:
            reader.read(url, events * 3 // 4)
        tell("move back to SQLite", timed("move", "--to", str(back), database=database)[0])
        with serving(back) as url:
            reader.read(url, events)
        assert heads(one, database) == heads(back) == wanted
        print(f"the reader had {reader.seq:,} events, each the next, from three servers, and ends at {reader.cursor}")
        tell("verify, SQLite", timed("verify", "--data", str(back))[0])
        tell("verify, PostgreSQL", timed("verify", database=database)[0])
    if "kill" in parts:
        database = server.fresh("killed")
        seconds, there = killed(one, database, events // 2)
        tell(f"move to PostgreSQL, killed at {there:,}", seconds, there)
        tell("the same again, to the end", timed("move", "--to", database, "--data", str(one))[0], events - there)
        assert heads(one, database) == wanted
    if "file" in parts:
        file = directory / "all.ndjson"
        tell("export --all", timed("export", "--all", str(file), "--data", str(one))[0])
        print(f"{'':44} {file.stat().st_size / 1e6:8.0f} MB")
        tell("import into SQLite", timed("import", str(file), "--data", str(directory / "imported"))[0])
        assert heads(directory / "imported") == wanted
    print(f"every copy ends at {wanted[0]['head']}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=int(os.environ.get("EVENTS") or 100_000))
    parser.add_argument("--data", type=Path, help="The filled data directory; it is made, and kept, where it is given.")
    parser.add_argument("parts", nargs="*", default=(os.environ.get("PARTS") or "move kill file").split())
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quotechat-move-") as directory, postgres() as server:
        measure(given.events, given.parts, given.data or Path(directory, "one"), Path(directory), server)


if __name__ == "__main__":
    main()

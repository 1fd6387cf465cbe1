"""The operator's commands that check the data and mend it, in place: verify, migrate, rebuild, retain."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

import click

from ...config import Settings
from ..console import age, counted, now_ms, progress, reporting_faults
from ..options import option, settings_of

_EVENTS_A_STEP = 500
_PAUSE = 0.02
"""Seconds between two steps of a redaction."""
_FORGET_SECONDS = 5.0
"""For how long to try to overwrite SQLite's log, while readers come and go."""


@click.command()
@click.option("--files", is_flag=True, help="Read every file too, and compare it with its hash.")
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def verify(files: bool, data: str | None) -> None:
    """Walk the hash chain of every room; exit with 1 if a history is not complete.

    The server may run: one moment of the data is looked at, and nothing is changed.
    """
    from ...store import reading
    from ...store.files import moving
    from ...store.files.contents import places_of
    from ...store.open import look

    problems, settings, contents = [], settings_of(data=data), 0
    with reporting_faults(), look(settings) as sql, progress("events") as follow:
        events = reading.census(sql).events
        for done, step in enumerate(reading.verify(sql), 1):
            if done % 1000 == 0:
                follow(done, events)
            if step.problem is not None:
                problems.append(f"{step.room}: event {step.seq} of {step.head}: {step.problem}")
        follow(events, events)
        if files:
            contents = moving.count(sql)
            with progress("contents") as look_at:
                problems += moving.check(sql, places_of(settings), look_at)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo(f"All {events} events are whole." + (f" So are {counted(contents, 'file')}." if files else ""))


@click.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def migrate(data: str | None) -> None:
    """Bring the tables of an older version up to date, in one transaction, as a server does when it starts.

    For an operator who wants that done before. Tables that a newer version has written are refused.
    """
    from ...store.open import look, open_store
    from ...store.transfer import inventory

    settings = settings_of(data=data)
    with reporting_faults():
        open_store(settings, make=False).close()
        with look(settings) as sql:
            schema = inventory.schema(sql)
    click.echo(f"The tables are up to date: schema {schema}.")


@click.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def rebuild(data: str | None) -> None:
    """Make messages, reactions and quotes anew from the log, in one transaction.

    The server may run: its readers go on, its writers wait until all is done, and after 10 s are told to ask again.
    """
    from ...store.open import open_store

    settings = settings_of(data=data)
    with (
        reporting_faults(),
        progress("events") as follow,
        contextlib.closing(open_store(settings, make=False)) as store,
    ):
        count = store.rebuild(follow)
    click.echo(f"All {count} events are replayed.")


@click.command()
@click.argument("rooms", metavar="[ROOM]...", nargs=-1)
@click.option("--keep", required=True, type=age, metavar="AGE", help="Keep what is younger: 90d, 12h, 30m.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def retain(rooms: tuple[str, ...], keep: int, dry_run: bool, data: str | None) -> None:
    """Forget events of each ROOM (of all) that are older than AGE, and the messages that they sent, for good.

    Only ever the oldest: events behind a younger one stay. Readers whose cursor is older than the oldest kept event get
    410 cursor-expired. Quotes stay in the collection, and client_ids are remembered as long as ever.

    The server may run: it goes on between small steps. Interrupted, the command goes on from there when it is
    given again. A SQLite file does not shrink; its space is used again.
    """
    from ...store.maintenance import retention
    from ...store.open import look
    from ...store.transfer import copying

    settings, before = settings_of(data=data), now_ms() - keep
    with reporting_faults(), look(settings) as sql:
        prefixes = {room.name: retention.older(sql, room.name, before) for room in copying.rooms(sql, rooms)}
    gone = {room: prefix.last - prefix.first + 1 for room, prefix in prefixes.items()}
    if not dry_run:
        gone = _cut(settings, gone, before)
    for room, prefix in prefixes.items():
        there_were = counted(prefix.head - prefix.first + 1, "event")
        click.echo(f"{room}: {gone[room]:,} of {there_were} {'would be cut' if dry_run else 'cut'}")


def _cut(settings: Settings, counts: dict[str, int], before: int) -> dict[str, int]:
    """Cut the events of each room, about `counts`, some at a time; return how many were cut."""
    from ...store.open import open_store

    all_there_are, cut = sum(counts.values()), dict.fromkeys(counts, 0)
    with (
        reporting_faults(),
        progress("events") as follow,
        contextlib.closing(open_store(settings, make=False)) as store,
    ):
        for room in counts:
            while True:
                began = time.monotonic()
                gone = store.cut(room, before, _EVENTS_A_STEP)
                if gone == 0:
                    break
                cut[room] += gone
                done = sum(cut.values())
                follow(done, max(done, all_there_are))
                # Other writers get at least half of the time.
                time.sleep(time.monotonic() - began)
        while store.redact():
            time.sleep(_PAUSE)
        if any(cut.values()) and not _within(_FORGET_SECONDS, store.forget):
            click.echo("warning: a reader is in the way; the text is in SQLite's log until the next deletion", err=True)
    return cut


def _within(seconds: float, attempt: Callable[[], bool]) -> bool:
    """Call `attempt` until it succeeds or so many seconds have gone; return True if it did."""
    deadline = time.monotonic() + seconds
    while not attempt():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True

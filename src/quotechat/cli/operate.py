"""The operator's commands that look at the data and mend it, where it lies: verify, rebuild."""

from __future__ import annotations

import contextlib
import sys

import click

from .options import option, settings_of
from .telling import progress, told


@click.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def verify(data: str | None) -> None:
    """Walk the hash chain of every room; exit with 1 where history is not whole.

    The server may run: one moment of the data is looked at, and nothing is changed.
    """
    from ..store import reading
    from ..store.open import look

    problems = []
    with told(), look(settings_of(data=data)) as sql, progress("events") as follow:
        events = reading.census(sql).events
        for done, step in enumerate(reading.verify(sql), 1):
            if done % 1000 == 0:
                follow(done, events)
            if step.problem is not None:
                problems.append(f"{step.room}: event {step.seq} of {step.head}: {step.problem}")
        follow(events, events)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo(f"All {events} events are whole.")


@click.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def rebuild(data: str | None) -> None:
    """Make messages, reactions and quotes anew from the log, in one transaction.

    The server may run: its readers go on, its writers wait until all is done, and after 10 s are told to ask again.
    """
    from ..store.open import open_store

    settings = settings_of(data=data)
    with told(), progress("events") as follow, contextlib.closing(open_store(settings, make=False)) as store:
        count = store.rebuild(follow)
    click.echo(f"All {count} events are replayed.")

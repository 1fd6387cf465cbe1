"""The operator's commands about files of messages: check and sweep."""

from __future__ import annotations

import contextlib
import sys

import click

from ..console import counted, now_ms, progress, reporting_faults
from ..options import option, settings_of


@click.group()
def files() -> None:
    """Look after the files of messages."""


@files.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def check(data: str | None) -> None:
    """Read every file and compare it with its hash; exit with 1 if one is missing or damaged.

    The server may run.
    """
    from ...store.files import moving
    from ...store.files.contents import places_of
    from ...store.open import look

    settings = settings_of(data=data)
    with reporting_faults(), look(settings) as sql, progress("contents") as follow:
        problems = list(moving.check(sql, places_of(settings), follow))
        count = moving.count(sql)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo(f"All {counted(count, 'file')} are whole.")


@files.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def sweep(data: str | None) -> None:
    """Remove all bytes that belong to no file, as a server does once a day; it may run.

    A process that is killed at the wrong moment leaves some. Uploads that wait for longer than a day go too.
    """
    from ...store.files import sweeping
    from ...store.files.contents import places_of
    from ...store.open import open_store

    settings = settings_of(data=data)
    with reporting_faults(), contextlib.closing(open_store(settings, make=False)) as store:
        count = sweeping.remove_all(places_of(settings), store, now_ms())
    click.echo(f"{counted(count, 'rest')} removed.")

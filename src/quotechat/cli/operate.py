"""The operator's commands: what is done to the data itself, beside the server or without it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from itertools import groupby

import click

from .options import option, settings_of


@click.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def verify(data: str | None) -> None:
    """Walk the hash chain of every room; exit with 1 where history is not whole."""
    from quotechat.app import database_path
    from quotechat.store.sqlite import SqliteStore

    path = database_path(settings_of(data=data))
    if not path.is_file():
        raise click.ClickException(f"there is no database at {path}")
    with contextlib.closing(SqliteStore(path)) as store:
        events, problems = _walk(store.verify())
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo(f"All {events} events are whole.")


@click.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def rebuild(data: str | None) -> None:
    """Make messages, reactions and quotes anew from the log, in one transaction."""
    from quotechat.app import database_path
    from quotechat.store.sqlite import SqliteStore

    path = database_path(settings_of(data=data))
    if not path.is_file():
        raise click.ClickException(f"there is no database at {path}")
    bar = click.progressbar(length=1, label="events", file=sys.stderr)

    def progress(done: int, all_there_are: int) -> None:
        bar.length = max(all_there_are, 1)
        bar.update(done - bar.pos)

    with contextlib.closing(SqliteStore(path)) as store, bar:
        count = store.rebuild(progress)
    click.echo(f"All {count} events are replayed.")


def _walk(steps: Iterator[tuple[str, int, int, str | None]]) -> tuple[int, list[str]]:
    """Follow a verification, with a bar per room; how many events there are, and what is wrong."""
    problems: list[str] = []
    heads: dict[str, int] = {}
    for room, seqs in groupby(steps, key=lambda step: step[0]):
        with contextlib.ExitStack() as stack:
            bar, done = None, 0
            for _, seq, head, problem in seqs:
                heads[room] = head
                # Made at the first step, which is the first to know the length.
                bar = bar or stack.enter_context(click.progressbar(length=head, label=room, file=sys.stderr))
                bar.update(seq - done)
                done = seq
                if problem is not None:
                    problems.append(f"{room}: event {seq} of {head}: {problem}")
    return sum(heads.values()), problems

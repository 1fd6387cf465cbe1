"""The operator's commands that carry data elsewhere: backup, restore."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ..store.base import Census
from .options import option, settings_of
from .telling import counted, progress, told


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def backup(file: Path, data: str | None) -> None:
    """Copy everything into the new FILE, and check the copy.

    The server may run: it goes on writing meanwhile. FILE holds the secret that signs identities; keep it as private
    as the data. What exists is not overwritten.
    """
    from ..store.backup import back_up
    from ..store.open import database_path, secret_path

    settings = settings_of(data=data)
    with told(), progress("pages") as follow:
        found = back_up(database_path(settings), secret_path(settings), file, follow, time.time_ns() // 1_000_000)
    click.echo(f"{file} holds {_described(found)}. Every chain is whole.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@option("data", "Directory to restore into, empty or not there yet.", metavar="DIR")
def restore(file: Path, data: str | None) -> None:
    """Make an empty data directory from FILE, which `quotechat backup` made.

    The server must not run. What was written after the backup is lost: clients whose cursor is beyond it get 410 and
    take a new snapshot, even where other events have their numbers by then.
    """
    from ..store.backup import restore as run
    from ..store.open import database_path, secret_path

    settings = settings_of(data=data)
    with told(), progress("bytes") as follow:
        found = run(file, database_path(settings), secret_path(settings), follow)
    click.echo(f"{settings.data} holds {_described(found)}. Every chain is whole.")


def _described(found: Census) -> str:
    return ", ".join(
        (
            counted(found.rooms, "room"),
            counted(found.events, "event"),
            counted(found.messages, "message"),
            counted(found.quotes, "quote"),
            f"{found.waiting:,} waiting",
        )
    )

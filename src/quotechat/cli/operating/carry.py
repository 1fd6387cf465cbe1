"""The operator's commands that carry data elsewhere: backup, restore, export, import, move."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from ...config import Settings, SettingsError
from ...store.base import Census, Impossible
from ...store.disk.files import part_of
from ..console import counted, now_ms, progress, reporting_faults
from ..options import option, settings_of


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def backup(file: Path, data: str | None) -> None:
    """Copy everything into the new FILE, and check the copy. For SQLite; of PostgreSQL, pg_dump makes backups.

    The server may run: it goes on writing meanwhile. FILE holds the secret that signs identities; keep it as private
    as the data. A FILE that exists is not overwritten. If contents of files are missing or damaged, FILE holds all
    else, and the exit code is 1.
    """
    from ...store.files.contents import places_of
    from ...store.open import database_path, secret_path
    from ...store.transfer.backup import back_up

    settings = _of_sqlite(settings_of(data=data), "backup")
    with reporting_faults(), progress("pages") as follow:
        found = back_up(
            database_path(settings), secret_path(settings), file, follow, now_ms(), places_of(settings)
        )
    click.echo(f"{file} holds {_described(found)}. Every chain is whole.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@option("data", "Directory to restore into, empty or not there yet.", metavar="DIR")
def restore(file: Path, data: str | None) -> None:
    """Make an empty data directory from FILE, which `quotechat backup` made. For SQLite.

    The server must not run. Events after the backup are lost: clients whose cursor is beyond it get 410 and
    take a new snapshot, even if other events have their numbers by then.
    """
    from ...store.open import database_path, secret_path
    from ...store.transfer.backup import restore as run

    settings = _of_sqlite(settings_of(data=data), "restore")
    with reporting_faults(), progress("bytes") as follow:
        found = run(file, database_path(settings), secret_path(settings), follow)
    click.echo(f"{settings.data} holds {_described(found)}. Every chain is whole.")


@click.command()
@click.argument("what", metavar="[ROOM] [FILE]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every room, the quotes, and the secret; without ROOM.")
@click.option("--without-files", "bare", is_flag=True, help="Leave out the files of messages, which may be large.")
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def export(what: tuple[str, ...], everything: bool, bare: bool, data: str | None) -> None:
    """Write ROOM, or with --all all that there is, as lines of JSON into the new FILE, or to standard output.

    Events are the envelopes that readers get, each with its cursor; beside them stands all that `quotechat import`
    needs to go on with the room: owners, used client_ids, scheduled messages; with --all, the
    secret that signs identities too. So keep it private. The server may run: one moment of the data is written.
    If contents of files are missing or damaged, all else is written, and the exit code is 1.
    """
    from ...store.files.contents import places_of
    from ...store.files.moving import check_copied
    from ...store.open import look, secret_of
    from ...store.transfer import copying, exports

    only, rest = ((), what) if everything else (what[:1], what[1:])
    if not (everything or only):
        raise click.UsageError("name a room, or give --all")
    if len(rest) > 1:
        raise click.UsageError("--all is without a room" if everything else "one room and one file at most")
    settings, file = settings_of(data=data), Path(rest[0]) if rest else None
    quiet = file is None and sys.stdout.isatty()
    lost: list[bytes] = []
    with reporting_faults(), look(settings) as sql, _new(file) as out, progress("lines", quiet=quiet) as follow:
        rooms = copying.rooms(sql, only)
        events = sum(each.head - each.floor for each in rooms)
        header = exports.Header({each.name: each.cursor for each in rooms}, events)
        places = None if bare else places_of(settings)
        records = copying.dump(sql, secret_of(settings, sql), only, places=places, lost=lost)
        for done, line in enumerate(exports.lines(header, records)):
            out.write(line)
            if done % 1000 == 0:
                follow(min(done, events), events)
        follow(events, events)
    if lost:
        with reporting_faults(), look(settings) as sql:
            check_copied(str(file or "the export"), sql, lost)
    where = "" if file is None else f"{file} holds "
    click.echo(f"{where}{counted(len(rooms), 'room')}, {counted(events, 'event')}.", err=file is None)


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--as", "name", metavar="NAME", help="What the room is to be called, where the file has but one.")
@option("data", "Directory to import into; it is made where it is not there.", metavar="DIR")
def import_(file: BinaryIO, name: str | None, data: str | None) -> None:
    """Store the rooms in FILE (- for standard input), which `quotechat export` made.

    Numbers, times and cursors stay: a client goes on where it was. The chain is checked; a room is seen only when it
    is whole, and one that there is with another history is not overwritten. Interrupted, or given a FILE that is
    broken, the command says so, and goes on from there when it is given again. The server may run, but for a FILE
    with the secret if it has stored messages of its own: an empty server takes over the identities of FILE.
    """
    from ...protocol import names
    from ...protocol.rooms import AUDIT
    from ...store.open import open_store
    from ...store.transfer import copying, exports, loading

    settings = settings_of(data=data)
    with reporting_faults():
        header = exports.header_of(file.readline())
        if name is not None and len(header.rooms) != 1:
            raise click.UsageError("--as is for a file with one room")
        for room in header.rooms.keys() - {AUDIT} if name is None else [name]:
            names.clean_room(room, "room")
        with contextlib.closing(open_store(settings)) as store, progress("events") as follow:
            try:
                loaded = loading.load(store, exports.records(header, file, name), follow, header.events)
            except copying.Broken as fault:
                raise Impossible(
                    f"{str(fault).rstrip('.')}. What was whole before that is stored, and nothing else is seen; given"
                    " again, with a whole file, the command goes on from there"
                ) from fault
    for each in loaded:
        events = counted(each.room.head - each.room.floor, "event")
        done = "there already" if each.there else "imported"
        click.echo(f"{each.room.name}: {events}, {done}; at {each.room.cursor}")


@click.command()
@click.option("--to", "target", required=True, metavar="URL|DIR", help="A postgresql:// URL, or a data directory.")
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def move(target: str, data: str | None) -> None:
    """Copy everything into another store: from SQLite to PostgreSQL, back, or to another of its kind.

    Every cursor, identity and scheduled message goes on there; counts and chains are compared at the end, and until
    then nothing is to be seen there. What is here stays as it is. Beside a server that runs, all is copied but for the
    end, with exit code 1: stop the server and give the command again, and the rest follows. Interrupted, it
    goes on from there in the same way.
    """
    from ...store.transfer.moving import move as run

    source = settings_of(data=data)
    with reporting_faults():
        found = run(source, _target(source, target), progress)
    click.echo(f"{_place(target)} holds {_described(found)}. Every chain is whole, and the same.")
    setting = "QUOTECHAT_DATABASE=" if _is_url(target) else "--data "
    click.echo(f"Start the server with {setting}{_place(target)}")


def _of_sqlite(settings: Settings, command: str) -> Settings:
    if settings.database:
        raise click.ClickException(
            f"QUOTECHAT_DATABASE is set, and `quotechat {command}` is for SQLite: pg_dump makes backups of PostgreSQL,"
            " `quotechat export --all` and `quotechat move` copy any store"
        )
    return settings


def _is_url(target: str) -> bool:
    return target.startswith(("postgresql://", "postgres://"))


def _target(source: Settings, target: str) -> Settings:
    if _is_url(target):
        return dataclasses.replace(source, database=target, listen_database="")
    if "://" in target:
        raise SettingsError(f"--to {target.partition('://')[0]}://… is neither a postgresql:// URL nor a directory")
    return dataclasses.replace(source, data=Path(target), database="", listen_database="")


def _place(target: str) -> str:
    """Return the target as it may be shown: without a password, before the host or as a parameter."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@|(?<=password=)[^&]+", _hidden, target)


def _hidden(found: re.Match[str]) -> str:
    return "…" if found[1] is None else f"{found[1]}:…@"


@contextlib.contextmanager
def _new(file: Path | None) -> Iterator[BinaryIO]:
    """Return the new `file`, which gets its name when it is complete and on the disk; or standard output."""
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.lexists(file):
        raise Impossible(f"{file} exists already")
    with part_of(file) as part, open(part, "wb") as out:
        yield out


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

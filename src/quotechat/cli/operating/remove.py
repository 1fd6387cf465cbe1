"""The operator's commands that remove messages, and rooms with all that is in them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

import click

from ..console import counted, now_ms, progress, reporting_faults
from ..options import option, settings_of
from .figures import rooms

_SHARE = 1.0
"""Pause after each step, as a share of its time: other writers get at least half of it."""


@click.group()
def messages() -> None:
    """Remove messages."""


@messages.command("remove")
@click.argument("room")
@click.argument("ids", metavar="ID...", type=click.IntRange(1, 2**53 - 1), nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def remove_messages(room: str, ids: tuple[int, ...], yes: bool, data: str | None) -> None:
    """Delete the messages ID of ROOM for good, of any sender, as if their senders had.

    The server may run: readers get the same event as for any deletion, within a second. Exits with 1 if a message is
    unknown; the others are deleted.
    """
    from ...protocol import commands
    from ...protocol.errors import Refused
    from ...store.base import Write
    from ...store.open import open_store

    _confirm(f"Delete {counted(len(ids), 'message')} of {room} for good?", yes)
    failed = False
    with reporting_faults(), contextlib.closing(open_store(settings_of(data=data), make=False)) as store:
        for number in ids:
            command = commands.DeleteMessage(room=room, message=commands.MessageId(number))
            outcome = store.commit([Write(command, now_ms(), operator=True)])[0]
            if isinstance(outcome, Refused):
                failed = True
                click.echo(f"{room}: message {number}: {outcome.detail}", err=True)
            else:
                click.echo(f"{room}: message {number} is deleted.")
        _finish(store.redact)
    if failed:
        sys.exit(1)


@rooms.command("remove")
@click.argument("names", metavar="ROOM...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def remove_rooms(names: tuple[str, ...], yes: bool, data: str | None) -> None:
    """Remove each ROOM for good, with its messages, client_ids and scheduled messages.

    Its quotes stay in the collection. Of the lobby a new, empty one takes its place. The server may run: readers of the
    room are told at once, 404 room-unknown, and a cursor of it is of another history in a room that is made anew under
    the name. What the room held is deleted in small steps, which the server goes on with if the command is interrupted.
    """
    from ...store.open import look, open_store
    from ...store.transfer import copying

    settings = settings_of(data=data)
    with reporting_faults(), look(settings) as sql:
        found = copying.rooms(sql, names)
    events = sum(room.head - room.floor for room in found)
    _confirm(f"Remove {', '.join(room.name for room in found)} with {counted(events, 'event')} for good?", yes)
    with reporting_faults(), contextlib.closing(open_store(settings, make=False)) as store:
        for room in found:
            store.remove_room(room.name, now_ms())
            click.echo(f"{room.name}: removed.")
        _finish(store.redact)


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def _finish(step: Callable[[], bool]) -> None:
    """Take all bounded steps, with a pause after each."""
    with progress("steps") as follow:
        done, more = 0, True
        while more:
            began = time.monotonic()
            more = step()
            done += 1
            follow(done, done + more)
            if more:
                time.sleep(_SHARE * (time.monotonic() - began))

"""The operator's commands about the members of a room: list, let in, put out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import click

from .console import now_ms, reporting_faults
from .operating.figures import rooms
from .options import option, settings_of

_data = option("data", "Directory that the server keeps its data in.", metavar="DIR")


@rooms.command()
@click.argument("room")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@_data
def members(room: str, as_json: bool, data: str | None) -> None:
    """List the members of ROOM: id, name and role."""
    from ..protocol.errors import RoomUnknown
    from ..store import members as rows
    from ..store.open import look

    with reporting_faults(), look(settings_of(data=data)) as sql:
        found = rows.membership(sql, room, None)
        if found is None:
            raise RoomUnknown(room)
        for each in rows.listed(sql, found.room_id):
            shown = each.shown()
            click.echo(json.dumps(shown, ensure_ascii=False) if as_json else "  ".join(map(str, shown.values())))


@rooms.command("let-in")
@click.argument("room")
@click.argument("name")
@click.option("--manager", is_flag=True, help="As a manager of the room.")
@_data
def let_in(room: str, name: str, manager: bool, data: str | None) -> None:
    """Make the account NAME a member of ROOM. A closed room sees it, as an event without a name for who did it.

    The server may run.
    """
    from ..protocol import commands

    role: Any = "manager" if manager else None
    _do(commands.AddMember(member=commands.NewMember(name=name, role=role), room=room), data)
    click.echo(f"{room}: {name} is in.")


@rooms.command("put-out")
@click.argument("room")
@click.argument("name")
@_data
def put_out(room: str, name: str, data: str | None) -> None:
    """End the membership of the account NAME in ROOM: nothing said there from now on reaches it.

    The server may run: what the account holds of a closed room is told within a second.
    """
    from ..protocol import commands
    from ..store.accounts import accounts
    from ..store.open import look

    with reporting_faults(), look(settings_of(data=data)) as sql:
        account = accounts.by_name(sql, name)
    if account is None:
        raise click.ClickException(f"there is no account {name}")
    _do(commands.RemoveMember(member=commands.MemberId(account.key), room=room), data)
    click.echo(f"{room}: {name} is out.")


def _do(command: Any, data: str | None) -> None:
    """Store a command of the operator; a refusal becomes the command's message."""
    from ..protocol.errors import Refused
    from ..store.base import Write
    from ..store.open import open_store

    with reporting_faults(), contextlib.closing(open_store(settings_of(data=data), make=False)) as store:
        outcome = store.commit([Write(command, now_ms(), operator=True)])[0]
        if isinstance(outcome, Refused):
            raise click.ClickException(outcome.detail)

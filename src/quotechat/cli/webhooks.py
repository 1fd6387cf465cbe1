"""The operator's commands about hooks and webhooks. At the data, with a running server or without."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import click

from .console import now_ms
from .users import account_of, base_of, data_option, opened


@click.group()
def hooks() -> None:
    """Hooks: addresses by which other systems write in a room."""


@hooks.command("add")
@click.argument("room", metavar="R")
@click.argument("name")
@data_option
def add_hook(room: str, name: str, data: str | None) -> None:
    """Make a hook for the room R that writes as NAME, and print its address, which is shown once."""
    from ..hub.programs.hooks import make_hook
    from ..protocol import commands
    from ..protocol.errors import Refused
    from ..store.base import Write

    with opened(data) as at_hand:
        kind = at_hand.store.read_with(lambda sql: _kind(sql, room))
        hook, secret = at_hand.store.write_with(lambda sql: make_hook(sql, None, room, name, now_ms()))
        if kind != "open":
            joins = commands.AddMember(member=commands.NewMember(id=hook.account.key), room=room)
            outcome = at_hand.store.commit([Write(joins, now_ms(), operator=True)])[0]
            if isinstance(outcome, Refused):
                at_hand.bots.close(None, hook.account.key)
                raise outcome
        click.echo(f"{base_of(at_hand.settings)}/hooks/{hook.token.id}/{secret}")


@click.group()
def webhooks() -> None:
    """Webhooks: addresses that the server calls with the events of rooms."""


@webhooks.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--bot", required=True, metavar="NAME", help="The bot that it is for.")
@click.option("--room", "rooms", multiple=True, metavar="R", help="For this room; all that the bot has joined without.")
@click.option("--command", "commands", multiple=True, metavar="C", help="Events of this kind; message-sent without.")
@click.option("--mentions", is_flag=True, help="Only what mentions the bot, or is direct.")
@data_option
def add(
    name: str, url: str, bot: str, rooms: tuple[str, ...], commands: tuple[str, ...], mentions: bool, data: str | None
) -> None:
    """Make a webhook NAME that leads to URL; print its id and the secret that it signs with, which is shown once."""
    from ..hub.webhooks.webhooks import Wanted

    with _opened(data) as (at_hand, made):
        wanted = Wanted(name, url, rooms or None, not rooms, commands or None, mentions)
        webhook, secret = made.make(None, account_of(at_hand.people, bot).key, wanted)
        click.echo(f"{webhook.webhook.key}  {secret}")


@webhooks.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@data_option
def list_webhooks(as_json: bool, data: str | None) -> None:
    """Every webhook: id, state, events that wait, bot, name."""
    with _opened(data) as (_, made):
        for each in made.listed(None):
            behind = sum(place.head - place.cursor.seq for place in each.positions.values())
            shown = {"id": each.webhook.key, "state": each.reason or "on", "behind": behind, "bot": each.bot.name,
                     "name": each.webhook.name}  # fmt: skip
            click.echo(json.dumps(shown, ensure_ascii=False) if as_json else "  ".join(map(str, shown.values())))


@webhooks.command("test")
@click.argument("key", metavar="ID")
@data_option
def test(key: str, data: str | None) -> None:
    """Call the webhook ID once, with an event of the type `webhook.test`; exit code 1 if it is not taken."""
    from ..protocol.webhooks import is_done

    with _opened(data) as (_, made):
        found = made.test(None, key)
        click.echo(f"{found.status or found.error} in {found.ms} ms")
        if found.status is None or not is_done(found.status):
            raise SystemExit(1)


@webhooks.command("enable")
@click.argument("key", metavar="ID")
@data_option
def enable(key: str, data: str | None) -> None:
    """Let the webhook ID go on from its position, at once."""
    with _opened(data) as (_, made):
        made.enable(None, key)


@webhooks.command("replay")
@click.argument("key", metavar="ID")
@click.argument("room")
@click.argument("after")
@data_option
def replay(key: str, room: str, after: str, data: str | None) -> None:
    """Send the events of ROOM after the cursor AFTER (or 0, or now) to the webhook ID again."""
    from ..protocol.cursor import parse

    with _opened(data) as (_, made):
        made.replay(None, key, room, parse(after))


@contextlib.contextmanager
def _opened(data: str | None) -> Iterator[tuple[Any, Any]]:
    """Open the store, and the calls on its webhooks."""
    from ..hub.webhooks.calls import policy
    from ..hub.webhooks.webhooks import Webhooks
    from ..protocol.cursor import Cursor, parse

    with opened(data) as at_hand:

        def placed(reader: Any, room: str, after: Any) -> Cursor:
            at_hand.store.head(room, reader)
            found = parse(at_hand.store.read(room, after, 0).cursor)
            assert isinstance(found, Cursor)
            return found

        settings = at_hand.settings
        yield at_hand, Webhooks(at_hand.store, placed, policy(settings.webhooks, settings.webhook_networks), now_ms)


def _kind(sql: Any, room: str) -> str:
    """Return the kind of a room. Raises RoomUnknown."""
    from ..protocol.errors import RoomUnknown
    from ..store import members

    found = members.membership(sql, room, None)
    if found is None or found.kind == "log":
        raise RoomUnknown(room)
    return found.kind

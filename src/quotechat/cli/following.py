"""``quotechat tail @inbox``: show the news in the rooms of an account, whenever they change."""

from __future__ import annotations

import json
from typing import Any

import click

from ..client import Backoff, Client
from ..protocol.markup import ansi


def tail(url: str, token: str | None, since: str | None, *, as_json: bool) -> None:
    """Print each room whose place in the inbox has changed; with `as_json` the whole inbox, on one line."""
    known: dict[str, Any] = {}
    with Client(url, token, backoff=Backoff(most=10)) as client:
        for inbox in client.inboxes(since or "0"):
            if as_json:
                click.echo(json.dumps(inbox, ensure_ascii=False))
                continue
            for room, entry in inbox["rooms"].items():
                if known.get(room) != entry and (room in known or entry.get("unread") or entry.get("mentions")):
                    click.echo(line(room, entry))
            known = inbox["rooms"]


def line(room: str, entry: dict[str, Any]) -> str:
    """Return one room as a line."""
    people = ", ".join(person["name"] for person in entry.get("with", []))
    name = ansi.safe(people or entry.get("title") or room)
    mentions = entry.get("mentions", 0)
    called = f", {mentions} mention{'s' if mentions != 1 else ''}" if mentions else ""
    return f"{name}: {entry.get('unread', 0)} unread{called}"

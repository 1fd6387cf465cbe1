"""Seed an empty store: the lobby, and quotes that came with the program."""

from __future__ import annotations

from importlib.resources import files

from ..protocol import commands, events, json
from ..protocol.rooms import LOG
from . import members, rooms
from .accounts import accounts
from .administration import audit
from .base import CreateRoom, Impossible, Write
from .ledger import Ledger
from .shapes import PART, Sql


def found(sql: Sql, at: int) -> None:
    """Create the lobby and load the first quotes, unless that was done before.

    Raises Impossible if nothing but an unfinished load is there.
    """
    names = [name for (name,) in sql.all("SELECT name FROM room WHERE kind <> ?", LOG)]
    if any(PART not in name for name in names):
        if accounts.any_there(sql):
            audit.ensure(sql, at)
        return
    if names:
        raise Impossible("an unfinished `quotechat move` or `import` lies here: give the command again, or begin anew")
    lobby = CreateRoom(commands.LOBBY)
    rooms.create_room(Ledger(sql), lobby, Write(lobby, at))
    for (account,) in sql.all("SELECT id FROM account WHERE role NOT IN ('guest', 'bot') AND state <> 'closed'"):
        members.join_default_rooms(sql, account, at)  # the operator made it before the first start
    for number, quote in enumerate(_first_quotes(), start=1):
        body = {"id": number, **quote, "at": events.rfc3339(at)}
        sql.run("INSERT INTO quote (id, body) VALUES (?, ?)", number, json.dumps(body).decode())


def _first_quotes() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((files(__package__) / "quotes.json").read_bytes())
    return found

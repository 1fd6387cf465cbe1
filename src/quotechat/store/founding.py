"""What an empty store begins with: the lobby, and quotes that came with the program."""

from __future__ import annotations

from importlib.resources import files

from ..protocol import commands, events, json
from . import rules
from .base import CreateRoom, Write
from .ledger import Ledger
from .shapes import Sql


def found(sql: Sql, at: int) -> None:
    """Create the lobby and load the first quotes, where that was never done."""
    if sql.one("SELECT 1 FROM room LIMIT 1") is not None:
        return
    lobby = CreateRoom(commands.LOBBY)
    rules.create_room(Ledger(sql), lobby, Write(lobby, at))
    for number, quote in enumerate(_first_quotes(), start=1):
        body = {"id": number, **quote, "at": events.rfc3339(at)}
        sql.run("INSERT INTO quote (id, body) VALUES (?, ?)", number, json.dumps(body).decode())


def _first_quotes() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((files(__package__) / "quotes.json").read_bytes())
    return found

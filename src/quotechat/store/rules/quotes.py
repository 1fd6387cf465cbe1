"""The rules of quotes: add, remove."""

from __future__ import annotations

from typing import Any

from ...protocol import events, json
from ...protocol.commands import AddQuote, RemoveQuote
from ...protocol.errors import Forbidden, QuoteUnknown
from ...protocol.rights.permissions import DELETE_OTHERS
from ..accounts import callers
from ..base import Stored
from ..maintenance.redaction import redact_quote
from ..shapes import removed_quote
from . import rights
from .asked import Asked


def add(asked: Asked, command: AddQuote) -> Stored:
    """Add a quote to the collection."""
    # Quotes of all rooms share their numbers, and only this room is locked.
    asked.ledger.sql.alone("quote")
    row = asked.ledger.sql.one("SELECT coalesce(max(id), 0) + 1 FROM quote")
    assert row is not None
    quote: dict[str, Any] = {"id": row[0], "quote": command.quote.quote, "author": command.quote.author}
    quote["at"] = events.rfc3339(asked.write.at)
    if command.client_id is not None:
        quote["client_id"] = command.client_id
    return asked.append(events.QUOTE_ADDED, {"quote": quote})


def remove(asked: Asked, command: RemoveQuote) -> Stored:
    """Remove one's own quote; managers, administrators of open rooms and the operator remove those of others."""
    quote_id, identity, sql = command.quote.id, asked.write.identity, asked.ledger.sql
    others = asked.may(DELETE_OTHERS)
    if not others:
        asked.need_identity()
    row = sql.one("SELECT room_id, identity, removed, body FROM quote WHERE id = ?", quote_id)
    # A quote whose event retention has deleted belongs to no room.
    if row is None or row[0] not in (None, asked.room.id):
        raise QuoteUnknown()
    own = identity is not None and callers.owns(sql, identity, row[1])
    if not (own or others):
        raise Forbidden("Only the one who added a quote, and managers of its room, can remove it.")
    if not own:
        rights.need_scope(asked, "manage")
    if row[2] is not None:
        return asked.ledger.stored(asked.room, row[2])
    redact_quote(sql, asked.room.id, quote_id)
    if not (own or asked.write.operator):
        asked.tell("quote-removed", detail=str(quote_id))
    return asked.append(events.QUOTE_REMOVED, {"quote": removed_quote(json.own(row[3]))})

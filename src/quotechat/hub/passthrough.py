"""Forward calls that the store answers alone: methods of one call, without feed, wait, limit or thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from ..protocol import commands
from ..protocol.errors import OutcomeUnknown, Overloaded, RoomUnknown
from ..protocol.rights.principal import Principal
from ..store.base import CommitFailed, Store
from ..store.shapes import Sql
from .writer import ANSWER_SECONDS

log = logging.getLogger(__name__)
T = TypeVar("T")


class Passthrough:
    """The part of `Chat` that passes each call on to its store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read_with(self, work: Callable[[Sql], T]) -> T:
        """See `Transactions`."""
        return self._store.read_with(work)

    def write_with(self, work: Callable[[Sql], T], *, patience: float | None = None) -> T:
        """See `Transactions`; without `patience` it waits no longer than a sender.

        Raises Overloaded if it broke, OutcomeUnknown if it may be stored all the same.
        """
        try:
            return self._store.write_with(work, patience=ANSWER_SECONDS if patience is None else patience)
        except CommitFailed as fault:
            log.error("a transaction failed: %s", fault)
            raise (Overloaded(detail="It could not be stored.") if fault.certain else OutcomeUnknown()) from fault

    def newest_quote(self) -> int:
        """Return the id of the newest quote, 0 if there is none."""
        return self._store.newest_quote()

    def removed_quotes(self) -> int:
        """Count the quotes that were removed: with `newest_quote`, it shows if anything has changed."""
        return self._store.removed_quotes()

    def quote_room(self, principal: Principal, quote_id: int) -> str:
        """Return the room whose log has the quote; the lobby if none has that `principal` may read.

        Raises QuoteUnknown.
        """
        room = self._store.quote_room(quote_id) or commands.LOBBY
        try:
            self._store.head(room, principal)
        except RoomUnknown:
            return commands.LOBBY
        return room

    def quotes(self, before: int | None, limit: int) -> dict[str, Any]:
        """Return {`quotes`, `has_more`}, the newest first; see `Store.quotes`."""
        return self._store.quotes(before, limit)

    def quote(self, quote_id: int) -> dict[str, Any]:
        """Return one quote. Raises QuoteUnknown."""
        return self._store.quote(quote_id)

    def random_quote(self) -> dict[str, Any]:
        """Any quote. Raises QuoteUnknown."""
        return self._store.random_quote()

    def check_readable(self) -> None:
        """Read from the store. Raises Refused if it is unavailable."""
        self._store.heads((commands.LOBBY,))

    def waiting(self) -> int:
        """Count the scheduled messages that wait."""
        return self._store.waiting()

    def secret(self) -> str:
        """Return the secret that signs identities; see `Store.secret`."""
        return self._store.secret()

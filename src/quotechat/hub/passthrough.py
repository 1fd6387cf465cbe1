"""Forward what the store answers alone. Here live methods of one call: no feed, no wait, no limit and no thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..protocol import commands
from ..protocol.errors import Unauthenticated
from ..store.base import Store
from ..store.shapes import Sql

T = TypeVar("T")


class Passthrough:
    """The part of `Chat` that passes each call on to its store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def snapshot(self, room: str, limit: int, identity: str | None = None) -> dict[str, Any]:
        """Return the latest messages and the cursor behind them, in one transaction; see `Store.snapshot`."""
        return self._store.snapshot(room, limit, identity)

    def messages(
        self, room: str, before: int | None, limit: int, identity: str | None = None
    ) -> dict[str, Any]:
        """Messages with ids below `before`, as they are now; see `Store.messages`."""
        return self._store.messages(room, before, limit, identity)

    def rooms(self) -> list[dict[str, Any]]:
        """Return all rooms, by name."""
        return self._store.rooms()

    def scheduled(self, room: str, identity: str | None) -> list[dict[str, Any]]:
        """Return the messages that wait for `identity`. Raises Unauthenticated, RoomUnknown."""
        if identity is None:
            raise Unauthenticated()
        return self._store.scheduled(room, identity)

    def read_with(self, work: Callable[[Sql], T]) -> T:
        """See `Transactions`."""
        return self._store.read_with(work)

    def write_with(self, work: Callable[[Sql], T]) -> T:
        """See `Transactions`."""
        return self._store.write_with(work)

    def newest_quote(self) -> int:
        """Return the id of the newest quote, 0 if there is none."""
        return self._store.newest_quote()

    def removed_quotes(self) -> int:
        """Count the quotes that were removed: with `newest_quote`, it shows if anything has changed."""
        return self._store.removed_quotes()

    def quote_room(self, quote_id: int) -> str:
        """Return the room whose log has the quote, the lobby if none has. Raises QuoteUnknown."""
        return self._store.quote_room(quote_id) or commands.LOBBY

    def quotes(self, before: int | None, limit: int, search: str = "") -> dict[str, Any]:
        """Return {`quotes`, `has_more`}, the newest first; see `Store.quotes`."""
        return self._store.quotes(before, limit, search)

    def quote(self, quote_id: int) -> dict[str, Any]:
        """Return one quote. Raises QuoteUnknown."""
        return self._store.quote(quote_id)

    def random_quote(self) -> dict[str, Any]:
        """Any quote. Raises QuoteUnknown."""
        return self._store.random_quote()

    def waiting(self) -> int:
        """Count the scheduled messages that wait."""
        return self._store.waiting()

    def secret(self) -> str:
        """Return the secret that signs identities; see `Store.secret`."""
        return self._store.secret()

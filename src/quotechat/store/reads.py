"""The reads of a store, the same of every database: one statement each, or several in one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from ..protocol.cursor import Cursor, Now
from ..protocol.rights.principal import Principal
from . import reading
from .base import PAGE_BYTES, Due, Head, Page, Typist, Write
from .rules import Settings, typists
from .shapes import BoundedSql

T = TypeVar("T")


class Reads(ABC):
    """The reading half of `base.Store`; a database says only how a read transaction is opened."""

    _settings: Settings

    @abstractmethod
    def read_with(self, work: Callable[[BoundedSql], T]) -> T:
        """See `base.Store`: several statements that see the same commits."""

    def _single(self, work: Callable[[BoundedSql], T]) -> T:
        """For one statement, which is its own snapshot."""
        return self.read_with(work)

    def head(self, room: str, reader: Principal | None = None) -> Head:
        return self._single(lambda sql: reading.head(sql, room, reader))

    def heads(self, rooms: Collection[str]) -> dict[str, Head]:
        return self._single(lambda sql: reading.heads(sql, rooms))

    def read(self, room: str, after: Cursor | Now, limit: int, most: int = PAGE_BYTES) -> Page:
        return self.read_with(lambda sql: reading.page(sql, room, after, limit, most))

    def snapshot(
        self, room: str, limit: int, identity: str | None = None, reader: Principal | None = None
    ) -> dict[str, Any]:
        return self.read_with(lambda sql: reading.snapshot(sql, room, limit, identity, reader))

    def messages(
        self, room: str, before: int | None, limit: int, identity: str | None = None, reader: Principal | None = None
    ) -> dict[str, Any]:
        return self.read_with(lambda sql: reading.messages(sql, room, before, limit, identity, reader))

    def rooms(self, reader: Principal | None = None) -> list[dict[str, Any]]:
        return self._single(lambda sql: reading.rooms(sql, reader))

    def scheduled(self, room: str, identity: str, reader: Principal | None = None) -> list[dict[str, Any]]:
        return self.read_with(lambda sql: reading.scheduled(sql, room, identity, reader))

    def typist(self, write: Write) -> Typist:
        return self.read_with(lambda sql: typists.typist(sql, write, self._settings))

    def due(self, now: int, limit: int) -> list[Due]:
        return self._single(lambda sql: reading.due(sql, now, limit))

    def waiting(self) -> int:
        return self._single(reading.waiting)

    def next_due(self) -> int | None:
        return self._single(reading.next_due)

    def newest_quote(self) -> int:
        return self._single(reading.newest_quote)

    def removed_quotes(self) -> int:
        return self._single(reading.removed_quotes)

    def quote_room(self, quote_id: int) -> str | None:
        return self._single(lambda sql: reading.quote_room(sql, quote_id))

    def quotes(self, before: int | None, limit: int) -> dict[str, Any]:
        return self._single(lambda sql: reading.quotes(sql, before, limit))

    def quote(self, quote_id: int) -> dict[str, Any]:
        return self._single(lambda sql: reading.quote(sql, quote_id))

    def random_quote(self) -> dict[str, Any]:
        return self.read_with(reading.random_quote)

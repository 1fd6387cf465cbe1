"""Search messages and quotes: how long one question may take, and the way without an index."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from ..protocol.errors import Invalid, NotFound
from ..protocol.rights.principal import Principal
from ..protocol.search import question
from ..store.base import Store
from ..store.search import asking, position, quotes
from ..store.search.index import Index

MOST_WORK = 0.06
"""Seconds of the thread's own time after which a search ends, and says how far it came."""
MOST_SECONDS = 0.1
"""Seconds on the clock, since a database works elsewhere: after `LEAST_LOOKED` hits of the index, so that a busy
machine finds no less among a few."""
LEAST_LOOKED = 500
MOST_SECONDS_OF_PARTS = 2.0
"""Seconds on the clock if whole parts of the index were looked through, with few hits or none."""
MOST_READ = 200_000
"""Documents that PostgreSQL may read for words by their beginning: they take it 40 to 100 ms, not measured here."""
LONGER = 5
"""Times as much for a later page of the best, which looks through the same messages as the first, or is refused."""

Order = Literal["newest", "best"]


class Search:
    """Ask `index`, None if search is off, and `store`."""

    def __init__(self, store: Store, index: Index | None) -> None:
        self._store = store
        self._index = index

    @property
    def is_on(self) -> bool:
        """Return True if messages can be searched."""
        return self._index is not None

    def messages(
        self, principal: Principal, asked: str, *, before: str | None, limit: int, order: Order
    ) -> dict[str, Any]:
        """Return {`hits`, `has_more`, `before`?, `searched`?, `incomplete`?}.

        Raises Invalid, ParameterInvalid, Overloaded.
        """
        if self._index is None:
            raise NotFound("Search is off on this server.")
        parsed = question.parse(asked)
        if order == "best" and not (parsed.rooms or parsed.dated):
            raise Invalid("order", "The best come first only with in: or a date.")
        search = asking.Search(self._store, self._index, parsed, principal)
        after = None if before is None else position.before_of(before)
        if order == "best":
            return search.best(after, limit, _clock(search), _clock(search, LONGER))
        return search.newest(after, limit, _clock(search))

    def quotes(self, before: int | None, limit: int, asked: str) -> quotes.Found:
        """Return the newest quotes that have all words of `asked`."""
        return quotes.search(self._store, self._index, question.words(asked), before, limit)


def _clock(search: asking.Search, times: int = 1) -> Callable[[], bool]:
    began, work = time.monotonic(), time.thread_time()

    def enough() -> bool:
        spent = time.monotonic() - began
        return (
            time.thread_time() - work > times * MOST_WORK
            or search.read > times * MOST_READ
            or (search.looked >= LEAST_LOOKED and spent > times * MOST_SECONDS)
            or (search.passed and spent > times * MOST_SECONDS_OF_PARTS)
        )

    return enough

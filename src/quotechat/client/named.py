"""Read by a named cursor: the server stores the positions, so a program need not store anything."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from .problems import Gap
from .shapes import Event

Ask = Callable[[str, str, dict[str, Any] | None], dict[str, Any]]
"""Asks the server (method, path, body) until there is an answer."""


class NamedCursor(Iterator[Event]):
    """The events after the positions of a named cursor, without end, in order for each room. Made by `Client.cursor`.

    Asking for the next event acknowledges the one before, so an event at which the program dies comes again. `done`
    acknowledges at once. Iterating raises `Gap`, once, if retention cut events before they were acknowledged, and goes
    on behind them; `Problem` if asking again cannot help. One thread iterates.
    """

    def __init__(
        self, name: str, ask: Ask, close: Callable[[], None], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.name = name
        self._path = f"/cursors/{quote(name, '')}"
        self._ask = ask
        self._sleep = sleep
        self._close = weakref.finalize(self, close)
        self._waiting: deque[Event] = deque()
        self._handed: Event | None = None

    def __next__(self) -> Event:
        self.done()
        while not self._waiting:
            self._look()
        self._handed = self._waiting.popleft()
        return self._handed

    def __enter__(self) -> NamedCursor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def done(self) -> None:
        """Acknowledge the last event that was returned, unless it is acknowledged: the work for it is done."""
        if self._handed is not None:
            self._acknowledge(self._handed.room, self._handed.cursor)
            self._handed = None

    def back(self, room: str, cursor: str) -> None:
        """Set the position in `room` to `cursor`, which may be a step back: later events are sent again."""
        self._waiting.clear()
        self._handed = None
        self._ask("PUT", f"{self._path}/position", {"rooms": {room: cursor}, "back": True})

    def close(self) -> None:
        """Close the connection. An unacknowledged event is sent again to the next reader of this name."""
        self._close()

    def _look(self) -> None:
        found = self._ask("GET", f"{self._path}/events?wait=25", None)
        for room, page in found["rooms"].items():
            if "gap" in page:
                self._acknowledge(room, str(page["gap"]["to"]))
                raise Gap(room, page["gap"]["from"], page["gap"]["to"])
        self._waiting.extend(Event.of(each) for page in found["rooms"].values() for each in page["events"])
        if not self._waiting and "retry_in_ms" in found:
            self._sleep(found["retry_in_ms"] / 1000)

    def _acknowledge(self, room: str, cursor: str) -> None:
        self._ask("PUT", f"{self._path}/position", {"rooms": {room: cursor}})

"""Commands of live sockets whose outcome has not come. No thread waits for them, so their time is looked at here."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from ..hub.writer import ANSWER_SECONDS
from ..protocol.errors import OutcomeUnknown, Refused
from ..store.base import Outcome
from .peer import Peer

Then = Callable[[Any], None]


class _Waiting(NamedTuple):
    then: Then
    peer: Peer
    until: float


class Unanswered:
    """The commands that the writer has, in the order in which it got them; on the reactor's thread alone.

    Each is answered once: with its outcome, or after `ANSWER_SECONDS`, like a sender that holds a thread, with
    OutcomeUnknown, since it is still queued and may be stored later.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._numbers = itertools.count()

    def number(self) -> int:
        """Return the number of the next command."""
        return next(self._numbers)

    def add(self, number: int, then: Then, peer: Peer, now: float) -> None:
        """Note that the writer has a command of `peer`, whose answer is for `then`; `now` as by time.monotonic."""
        self._waiting[number] = _Waiting(then, peer, now + ANSWER_SECONDS)

    def answer(self, number: int, outcome: Outcome | Refused) -> None:
        """Hand the outcome of a command on, unless its sender was told already that it is not known."""
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.then(outcome)

    def sweep(self, now: float, guard: Callable[[Peer, Then, Refused], None]) -> None:
        """Tell by `guard` the senders that have waited for too long."""
        late = [*itertools.takewhile(lambda each: now >= each[1].until, self._waiting.items())]
        for number, waiting in late:
            del self._waiting[number]
            guard(waiting.peer, waiting.then, OutcomeUnknown())

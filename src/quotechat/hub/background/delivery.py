"""Hand due messages to the writer, within the rate of their senders. When they are due is for the scheduler."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.errors import RateLimited, Refused
from ...store.base import Deliver, Due, Nothing, Write
from ..budgets.limits import Limits
from ..writer import PendingOutcome, Writer


class Delivery:
    """Delivers the messages that the `Scheduler` finds due. `clock` returns ms since 1970."""

    def __init__(self, writer: Writer, limits: Limits, clock: Callable[[], int]) -> None:
        self._writer = writer
        self._limits = limits
        self._clock = clock

    def may(self, due: Due) -> bool:
        """Take a token of the sender's own rate, as if the message were sent now."""
        try:
            self._limits.allow("message", due.identity, due.source or "")
        except RateLimited:
            return False
        return True

    def deliver(self, due: list[Due]) -> dict[int, str]:
        """Store those scheduled messages; which could not be stored now, with the code."""
        answers: list[tuple[Due, PendingOutcome]] = []
        now = self._clock()  # one time for all: in a slow room none overtakes another
        for each in due:
            answers.append((each, PendingOutcome()))
            self._writer.submit(Write(Deliver(each.id), now), answers[-1][1].done)
        refused: dict[int, str] = {}
        for each, answer in answers:
            outcome = answer.wait()
            if isinstance(outcome, Nothing | Refused):
                self._limits.refund("message", each.identity, each.source or "")
            if isinstance(outcome, Refused):
                refused[each.id] = outcome.code
        return refused

"""Scheduled messages: when one is due, it is handed to the writer.

Every worker does this; the store delivers each message once, for whichever asks. Messages sent now go first: due
messages are held to the rate of their own sender, and go to the writer in small portions with pauses between them.
Those that have to wait for that rate, or for their slow room, are tried in turn, after those that need not.
The clock is an argument.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from ...protocol.errors import Refused
from ...store.base import Due, Store
from ...supervision import Supervised

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds between two looks: another worker may have stored one that is due soon."""
MOST_AT_ONCE = 500
"""Messages of one look."""
_MOST_BEHIND = 20_000
"""Messages that have to wait, at most, behind which a look finds others."""
_TRY_AGAIN = 0.05
"""Seconds between two deliveries that follow on each other."""
_PORTION = 64
"""Messages that go to the writer at once: new messages of other senders wait for some milliseconds more."""
_LONGEST_PAUSE = 0.01
"""Seconds between two portions, at most."""
_TOKENS_EVERY = 0.2
"""Seconds between two checks while due messages wait for the rate of their sender."""
_OF_ITS_ROOM = "rate-limited"
"""The code of a message that has to wait since its room is slow."""
_Lane = tuple[str, int | None]
"""A sender, and its room that is slow; None if the sender waits for its own rate, in all rooms."""


class Scheduler:
    """Deliver due messages. `clock` gives ms since 1970.

    `may` returns True if the sender's rate allows one more now. `deliver` gets due messages and returns when they are
    stored, with the code of each that could not be stored.
    """

    def __init__(
        self,
        store: Store,
        may: Callable[[Due], bool],
        deliver: Callable[[list[Due]], dict[int, str]],
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._may = may
        self._deliver = deliver
        self._clock = clock
        self._wake = threading.Event()
        self._end = threading.Event()
        self._refused: dict[int, str] = {}
        self._failures = 0
        self._looks = 0
        self._waits: dict[_Lane, int] = {}
        """Those whose messages have to wait, with the number of the look at which one was tried last."""
        self._behind = 0
        """Due messages of those."""
        self.thread = Supervised("scheduler", self._run)

    def start(self) -> None:
        """Begin; overdue messages are delivered at once."""
        self.thread.start()

    def wake(self) -> None:
        """Look for due messages now: something was scheduled."""
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._wake.set()
        self.thread.join(5)

    def deliver_due(self) -> int:
        """Hand over the messages that are due and may be sent now; return how many."""
        due = self._store.due(self._clock(), MOST_AT_ONCE + min(self._behind, _MOST_BEHIND))
        self._looks += 1
        refused: dict[int, str] = {}
        handed = 0
        for portion in self._portions(self._in_turn(due)):
            answers = self._hand_over(portion)
            self._note_waits(portion, answers)
            refused |= answers
            handed += len(portion)
            # What a slow room puts off holds up no other room; any other refusal is that of the whole store.
            if any(code != _OF_ITS_ROOM for code in answers.values()):
                break
        for each in refused.keys() - self._refused.keys():
            log.warning("scheduled message %d could not be delivered yet: %s", each, refused[each])
        self._failures = self._failures + 1 if refused else 0
        self._remember(due, refused)
        return handed

    def _in_turn(self, due: list[Due]) -> list[Due]:
        """Return the messages of one look: those first that need not wait, then those tried the longest time ago."""
        return sorted(due, key=self._tried)[:MOST_AT_ONCE]

    def _tried(self, due: Due) -> int:
        """Return the number of the look at which this message, or one before it, had to wait; 0 if it need not."""
        return max(self._waits.get(lane, 0) for lane in _lanes(due))

    def _note_waits(self, portion: list[Due], answers: dict[int, str]) -> None:
        for each in portion:
            if answers.get(each.id) == _OF_ITS_ROOM:
                self._waits[each.identity, each.room_id] = self._looks
            else:
                self._waits.pop((each.identity, each.room_id), None)

    def _remember(self, due: list[Due], refused: dict[int, str]) -> None:
        """Forget what waits no longer: only what is still due may be tried again."""
        ids, lanes = {each.id for each in due}, {lane for each in due for lane in _lanes(each)}
        self._refused = {number: code for number, code in (self._refused | refused).items() if number in ids}
        self._waits = {lane: self._waits.get(lane, 0) for lane in self._waits.keys() & lanes}
        self._behind = sum(self._tried(each) > 0 for each in due)

    def _portions(self, due: list[Due]) -> Iterator[list[Due]]:
        """Yield messages whose sender may send now, in portions; other senders are passed over, to keep the order."""
        portion: list[Due] = []
        limited: set[str] = set()
        for each in due:
            if self._end.is_set():
                break
            # One before it waits for its room since this look, and must not be overtaken if that takes one by now.
            if each.identity in limited or self._waits.get((each.identity, each.room_id)) == self._looks:
                continue
            if not self._may(each):
                limited.add(each.identity)
                self._waits[each.identity, None] = self._looks
                continue
            self._waits.pop((each.identity, None), None)
            portion.append(each)
            if len(portion) >= _PORTION:
                yield portion
                portion = []
        if portion:
            yield portion

    def _hand_over(self, portion: list[Due]) -> dict[int, str]:
        """Deliver `portion`, and leave the writer to others for as long as it took."""
        began = time.monotonic()
        refused = self._deliver(portion)
        self._end.wait(min(time.monotonic() - began, _LONGEST_PAUSE))
        return refused

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                pause = self._look()
            except Refused as away:
                log.warning("scheduled messages could not be looked at: %s", away)
                pause = LOOK_EVERY
            except Exception:
                log.exception("scheduled messages could not be looked at")
                pause = LOOK_EVERY
            self._wake.wait(pause)
            self._wake.clear()

    def _look(self) -> float:
        """Deliver the due messages, and return the seconds until the next check; one query if nothing is due."""
        due = self._store.next_due()
        if due is None or due > self._clock():
            return self._pause(due, False)
        handed = self.deliver_due() > 0
        return self._pause(self._store.next_due(), handed)

    def _pause(self, due: int | None, handed: bool) -> float:
        """Return the seconds until the next look; `handed` is True if there was something to deliver at this one."""
        left: float = LOOK_EVERY if due is None else min(LOOK_EVERY, (due - self._clock()) / 1000)
        if handed:
            # Another try, but not at once, and later each time.
            return max(left, min(LOOK_EVERY, _TRY_AGAIN * 2.0 ** min(self._failures, 8)))
        # Due messages that were not handed over wait for tokens of their sender.
        return left if left > 0 else _TOKENS_EVERY


def _lanes(due: Due) -> tuple[_Lane, _Lane]:
    return (due.identity, due.room_id), (due.identity, None)

"""Which due messages go to the writer, in which portions, and when the next look is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

import pytest
from servers import until

from quotechat.hub.background import scheduler as module
from quotechat.hub.background.scheduler import Scheduler
from quotechat.protocol.errors import Overloaded
from quotechat.store.base import Due, Store

NOW = 1_800_000_000_000


class Shelf:
    """The two questions that a scheduler asks a store; with `faults`, as many are answered by a refusal first."""

    def __init__(self, due: list[Due] | None = None, next_due: int | None = None, faults: int = 0) -> None:
        self.waiting = due or []
        self.next_one = next_due
        self.faults = faults

    def due(self, now: int, most: int) -> list[Due]:
        if self.faults:
            self.faults -= 1
            raise Overloaded("busy", retry_in_ms=1)
        return self.waiting[:most]

    def next_due(self) -> int | None:
        return self.next_one


def scheduler(
    shelf: Shelf,
    may: Callable[[Due], bool] = lambda each: True,
    deliver: Callable[[list[Due]], dict[int, str]] = lambda portion: {},
) -> Scheduler:
    return Scheduler(cast(Store, shelf), may, deliver, lambda: NOW)


def test_due_messages_go_in_order_and_in_portions() -> None:
    """All are handed over, in the order of the store, some 64 at a time."""
    due = [Due(number, "ann") for number in range(200)]
    portions: list[list[Due]] = []
    assert scheduler(Shelf(due), deliver=lambda portion: portions.append(portion) or {}).deliver_due() == 200
    assert [each for portion in portions for each in portion] == due
    assert max(map(len, portions)) == module._PORTION


def test_a_sender_over_its_rate_is_passed_over_with_all_that_follows() -> None:
    """Ben's second message finds no token, so his third waits as well although it would; Ann's go."""
    due = [Due(number, sender) for number, sender in enumerate(["ben", "ann", "ben", "ann", "ben"])]
    answers = {0: True, 1: True, 2: False, 3: True, 4: True}
    handed: list[Due] = []
    tried = scheduler(Shelf(due), lambda each: answers[each.id], lambda portion: handed.extend(portion) or {})
    tried.deliver_due()
    assert [each.id for each in handed] == [0, 1, 3]


def test_a_portion_that_is_refused_ends_the_look(caplog: pytest.LogCaptureFixture) -> None:
    """The rest waits for the next look, and each refusal is logged once, not at every look."""
    due = [Due(number, "ann") for number in range(100)]
    asked: list[int] = []

    def deliver(portion: list[Due]) -> dict[int, str]:
        asked.append(len(portion))
        return {portion[0].id: "unavailable"}

    with caplog.at_level(logging.WARNING):
        tried = scheduler(Shelf(due), deliver=deliver)
        assert [tried.deliver_due(), tried.deliver_due()] == [64, 64]
    assert asked == [64, 64]
    assert len([line for line in caplog.records if "could not be delivered" in line.message]) == 1


@pytest.mark.parametrize(
    ("next_due", "handed", "pause"),
    [
        (None, False, module.LOOK_EVERY),
        (NOW + 60_000, False, module.LOOK_EVERY),
        (NOW + 200, False, 0.2),
        (NOW - 1, False, module._TOKENS_EVERY),
        (NOW - 1, True, module._TRY_AGAIN),
        (None, True, module.LOOK_EVERY),
    ],
)
def test_the_next_look_is_when_something_may_be_due(next_due: int | None, handed: bool, pause: float) -> None:
    """At the next due time, after half a second at most; not at once if a sender waits for tokens."""
    assert scheduler(Shelf())._pause(next_due, handed) == pytest.approx(pause)


@pytest.mark.parametrize(("next_due", "looks"), [(None, False), (NOW + 1, False), (NOW, True)])
def test_only_a_time_that_has_come_leads_to_a_look(next_due: int | None, looks: bool) -> None:
    """Where nothing is due, the store is asked for the next time and nothing else."""
    handed: list[Due] = []
    tried = scheduler(Shelf([Due(1, "ann")], next_due), deliver=lambda portion: handed.extend(portion) or {})
    tried._look()
    assert bool(handed) is looks


def test_looks_that_fail_come_less_often() -> None:
    """Twice the pause after each, up to that between two looks."""
    failing = scheduler(Shelf([Due(1, "ann")]), deliver=lambda portion: {1: "unavailable"})
    pauses = []
    for _ in range(6):
        failing.deliver_due()
        pauses.append(failing._pause(NOW - 1, True))
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5, 0.5])


def test_an_unavailable_store_is_asked_again() -> None:
    """The thread outlives a store that refuses, and then delivers."""
    handed: list[Due] = []
    shelf = Shelf([Due(1, "ann")], next_due=NOW, faults=1)

    def deliver(portion: list[Due]) -> dict[int, str]:
        handed.extend(portion)
        shelf.waiting, shelf.next_one = [], None
        return {}

    running = scheduler(shelf, deliver=deliver)
    running.start()
    try:
        until(lambda: handed, what="the delivery")
        assert handed == [Due(1, "ann")]
    finally:
        running.close()


def test_what_a_slow_room_puts_off_holds_up_no_other() -> None:
    """A whole portion waits for its rooms; those that are due behind it are handed over all the same."""
    due = [Due(number, f"sender-{number}") for number in range(100)]
    handed: list[Due] = []

    def deliver(portion: list[Due]) -> dict[int, str]:
        handed.extend(portion)
        return {each.id: "rate-limited" for each in portion if each.id < module._PORTION}

    assert scheduler(Shelf(due), deliver=deliver).deliver_due() == 100
    assert handed == due


@pytest.mark.parametrize("reason", ["room", "sender"])
def test_many_that_wait_hide_no_other(reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """More than one look has, for slow rooms or for their rates: one that is due after them goes at the next look.

    No look tries more than before, they are tried in turn, and no refusal is logged twice.
    """
    waiting = [Due(number, f"sender-{number}", room_id=1) for number in range(module.MOST_AT_ONCE + 100)]
    other = Due(999, "other", room_id=2)
    tried: list[Due] = []

    def may(each: Due) -> bool:
        if reason == "sender":
            tried.append(each)
        return reason == "room" or each == other

    def deliver(portion: list[Due]) -> dict[int, str]:
        if reason == "room":
            tried.extend(portion)
        return {each.id: "rate-limited" for each in portion if each != other}

    looking = scheduler(Shelf([*waiting, other]), may, deliver)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            looking.deliver_due()
        assert other in tried and len(tried) <= 2 * module.MOST_AT_ONCE
        looking.deliver_due()
    assert {*waiting} <= {*tried} and len(tried) <= 3 * module.MOST_AT_ONCE
    assert len(caplog.records) == (len(waiting) if reason == "room" else 0)


def test_what_a_slow_room_puts_off_is_not_overtaken() -> None:
    """The second message of each sender for the room is in a later portion, and is not tried at this look."""
    first, second = (
        [Due(start + number, f"sender-{number}", room_id=1) for number in range(module._PORTION)] for start in (0, 1000)
    )
    handed: list[Due] = []

    def deliver(portion: list[Due]) -> dict[int, str]:
        handed.extend(portion)
        return {each.id: "rate-limited" for each in portion if each in first}

    scheduler(Shelf(first + second), deliver=deliver).deliver_due()
    assert handed == first

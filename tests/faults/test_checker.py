"""The checker itself: a history that keeps all promises passes, and each broken promise is found by its check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from checker import CHECKS, LATE_SECONDS, Least, check, names
from history import SECOND, Change, Fault, Got, History, Look, Mark, Read, Send


def moment(seconds: float) -> int:
    return int(seconds * SECOND)


def event(seq: int, at: float, **changes: Any) -> Got:
    return Got(moment(at), seq, f"{seq}.{seq:016x}", f"k{seq}", seq)._replace(**changes)


def sent(seq: int, begun: float, **changes: Any) -> Send:
    made = Send("writer", "post", f"k{seq}", moment(begun), moment(begun + 0.5), "ok", seq, f"{seq}.{seq:016x}")
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def read(after: str, begun: float, *got: Got, **changes: Any) -> Read:
    position = got[-1].cursor if got else after
    made = Read("reader", "poll", after, moment(begun), False, moment(begun + 0.1), "ok", list(got), position)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def whole(upto: int = 3, **changes: Any) -> Read:
    return read("0", 90, *[event(seq, 90) for seq in range(1, upto + 1)], final=True, **changes)


def good() -> History:
    """Three messages, one after the other, and readers of each kind."""
    history = History()
    history.sends = [sent(1, 1), sent(2, 2), sent(3, 3)]
    history.reads = [
        read("0", 1.6, event(1, 1.6)),
        read(event(1, 0).cursor, 1.7, event(2, 2.6), event(3, 3.6), held=True, ended=moment(80), transport="ws",
             position=event(1, 0).cursor, caught_up_at=moment(1.8)),
        read(event(3, 0).cursor, 4),
        read("now", 4, position=event(3, 0).cursor),
        whole(),
        whole(transport="ws"),
    ]  # fmt: skip
    history.marks = [Mark("marker", 3, moment(4), moment(4.2), "ok")]
    history.looks = [
        Look("poll", moment(4.1), 2, 3, 3), Look("poll", moment(4.3), 3, 3, 3),
        Look("worker", moment(90), 3, 3, 3, final=True), Look("socket", 0, 3, 3, 3, final=True),
    ]  # fmt: skip
    history.changes = [
        Change("add-member", moment(1), moment(1.2), 1), Change("remove-member", moment(3), moment(3.2), 3),
        Change("add-member", moment(9), moment(9.2), 5),
    ]  # fmt: skip
    history.views = [
        read("0", 2, *[event(seq, 2.1) for seq in (1, 2, 3)], ended=moment(3.3), transport="ws", code="room-unknown"),
        read(event(3, 0).cursor, 4, code="room-unknown", outcome="fail", position=""),
        read(event(3, 0).cursor, 9.3, event(4, 9.3), event(5, 9.3)),
    ]  # fmt: skip
    return history


def told_too_much(history: History) -> None:
    history.views[0].got.append(event(4, 3.3))
    history.views[0].position = event(4, 0).cursor


def let_in_by_a_slow_server(history: History) -> None:
    history.views[1].position = event(3, 0).cursor


def never_told(history: History) -> None:
    history.views[0].ended = moment(20)


def forgotten(history: History) -> None:
    history.views[2] = read(event(3, 0).cursor, 9.3, code="room-unknown", outcome="fail")


def mark_lost(history: History) -> None:
    history.looks[1].read = 2


def inbox_behind(history: History) -> None:
    history.looks[-1].messages = 2


def missed(history: History) -> None:
    del history.reads[1].got[0]


def repeated(history: History) -> None:
    history.reads[1].got.insert(1, event(2, 2.7))


def jumped(history: History) -> None:
    history.reads[2].position = event(4, 0).cursor


def skipped_to_live(history: History) -> None:
    history.reads[1].position = event(3, 0).cursor


def two_orders(history: History) -> None:
    history.reads[0].got[0] = event(1, 1.6, mark=77)


def two_cursors(history: History) -> None:
    history.reads[0].got[0] = event(1, 1.6, cursor="1.ffffffffffffffff")
    history.reads[0].position = "1.ffffffffffffffff"


def ack_of_another_history(history: History) -> None:
    history.sends[1].cursor = "2.ffffffffffffffff"


def gone(history: History) -> None:
    history.sends.append(sent(4, 5))


def overwritten(history: History) -> None:
    history.sends[2].key = "k9"


def stored_after_all(history: History) -> None:
    history.sends[2].outcome = "fail"


def stored_twice(history: History) -> None:
    for each in history.reads[-2:]:
        each.got.append(event(4, 90, key="k1"))


def acked_twice(history: History) -> None:
    history.sends.append(sent(3, 5, key="k1"))


def behind(history: History) -> None:
    history.reads[2] = read(event(1, 0).cursor, 5)


def overtaken(history: History) -> None:
    history.sends[0].begun, history.sends[0].ended = moment(3.6), moment(3.9)


def needless(history: History) -> None:
    history.reads[2].reset = "history-changed"


def silent(history: History) -> None:
    history.reads[2].after = history.reads[2].position = "3.ffffffffffffffff"


def beyond_the_head(history: History) -> None:
    history.reads[2].after = history.reads[2].position = "9"


def slept(history: History) -> None:
    history.reads[1].got[1] = event(3, 3.5 + LATE_SECONDS + 1)


def slept_for_good(history: History) -> None:
    history.reads[1].got.pop()


def cut_short(history: History) -> None:
    history.reads[-1].outcome = "unknown"


def one_transport_differs(history: History) -> None:
    history.reads[-1].got.pop()


@pytest.mark.parametrize(
    ("break_it", "found_by"),
    [
        (told_too_much, "leak"), (let_in_by_a_slow_server, "served"), (never_told, "held"), (forgotten, "shut-out"),
        (mark_lost, "marked"), (inbox_behind, "inbox"),
        (missed, "gap"), (repeated, "gap"), (jumped, "gap"), (skipped_to_live, "gap"), (two_orders, "order"),
        (two_cursors, "cursor"), (ack_of_another_history, "cursor"), (gone, "lost"), (overwritten, "lost"),
        (stored_after_all, "refused"), (stored_twice, "twice"), (acked_twice, "twice"), (behind, "stale"),
        (overtaken, "real-time"), (needless, "reset"), (silent, "reset"), (beyond_the_head, "reset"),
        (slept, "late"), (slept_for_good, "late"), (cut_short, "final"), (one_transport_differs, "final"),
    ],
)  # fmt: skip
def test_each_broken_promise_is_found(break_it: Callable[[History], None], found_by: str) -> None:
    """One thing is wrong, and the check that is named for it says so."""
    history = good()
    break_it(history)
    assert found_by in names(check(history, Least(acked=3)))


def test_every_check_has_a_bad_history() -> None:
    """No check is there that was never seen to find anything."""
    (mark,) = test_each_broken_promise_is_found.pytestmark
    assert {found_by for _, found_by in mark.args[1]} == set(CHECKS)


def test_a_good_history_passes() -> None:
    """Nothing is found where nothing is wrong."""
    assert check(good(), Least(acked=3, events=3, final=2)) == []


def test_an_empty_history_proves_nothing() -> None:
    """Without acks, events and a last reading, the run is said to be vacuous, one line for each."""
    assert [each.check for each in check(History())] == ["vacuity"] * 3


def test_faults_and_unknowns_must_have_happened_where_they_are_the_point() -> None:
    """A scenario with faults in which none happened is vacuous."""
    assert names(check(good(), Least(acked=3, events=3, faults=1))) == {"vacuity"}
    assert names(check(good(), Least(acked=3, events=3, unknown=1))) == {"vacuity"}


def test_a_repeat_that_is_acknowledged_once_more_is_no_violation() -> None:
    """The first try was cut off and stored; the second, after another's ack, gets the first number."""
    history = good()
    history.sends[0].outcome = "unknown"
    history.sends.append(sent(1, 5, duplicate=True))
    assert check(history, Least(acked=3, events=3)) == []


def test_nobody_is_late_while_something_is_broken() -> None:
    """A worker was stopped: the delay is the fault's, and the data still must be right."""
    history = good()
    slept(history)
    history.faults = [Fault("stop", moment(3.2), moment(4))]
    assert check(history, Least(acked=3, events=3)) == []


def test_a_restored_log_is_another_one() -> None:
    """What was acknowledged before an old back-up was put back is not missed; its cursors must be refused."""
    history = good()
    history.reads[-2:] = [whole(1, epoch=1), whole(1, epoch=1, transport="ws")]
    history.epoch = 1
    assert check(history, Least(acked=3, events=3)) == []
    history.reads.append(read(event(3, 0).cursor, 50, epoch=1))
    assert names(check(history, Least(acked=3, events=3))) == {"reset"}

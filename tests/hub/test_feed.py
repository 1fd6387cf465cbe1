"""The tail in memory and its Condition."""

from __future__ import annotations

import threading
import time

import pytest

from quotechat.hub import feed as module
from quotechat.hub.feed import Feed
from quotechat.protocol.events import MESSAGE_DELETED, MESSAGE_EDITED, MESSAGE_SENT, Event, event
from quotechat.store.base import Head


def events(first: int, last: int, command: str = MESSAGE_SENT, size: int = 10) -> list[Event]:
    body = b'{"x":"' + b"y" * size + b'"}'
    return [event("lobby", seq, f"{seq}.{seq:016x}", command, 0, body) for seq in range(first, last + 1)]


@pytest.fixture
def feed() -> Feed:
    return Feed("lobby", Head(5, f"5.{5:016x}"))


def test_it_tells_what_it_has(feed: Feed) -> None:
    """After the head nothing, in the tail the events, before it None."""
    assert feed.publish(events(6, 9))
    assert feed.head == 9 and feed.cursor() == f"9.{9:016x}"
    assert [each.seq for each in feed.after(6) or ()] == [7, 8, 9]
    assert [each.seq for each in feed.after(5, limit=2) or ()] == [6, 7]
    assert feed.after(9) == [] and feed.after(4) is None
    assert feed.cursor_at(7) == f"7.{7:016x}" and feed.cursor_at(3) is None


def test_a_hole_is_not_published(feed: Feed) -> None:
    """The caller has to fill it from the store; what is known already is passed over."""
    assert not feed.publish(events(7, 8))
    assert feed.head == 5
    assert feed.publish(events(3, 6))
    assert [each.seq for each in feed.after(5) or ()] == [6]
    assert feed.publish(events(1, 6)) and feed.head == 6


def test_a_deletion_forgets_what_was_before(feed: Feed) -> None:
    """The deleted text may be in it; from the deletion on it goes on."""
    feed.publish(events(6, 8))
    feed.publish(events(9, 9, MESSAGE_DELETED) + events(10, 10))
    assert feed.after(7) is None
    assert [each.seq for each in feed.after(8) or ()] == [9, 10]


@pytest.mark.parametrize("size", [10, 50_000])
def test_the_tail_is_bounded(feed: Feed, size: int) -> None:
    """In events and in bytes, at twice the limit; the newest event always stays."""
    for seq in range(6, 3006):
        feed.publish(events(seq, seq, size=size))
    kept = len(feed._tail)
    assert 1 <= kept <= 2 * module.MOST_EVENTS
    assert sum(len(each.encoded) for each in feed._tail) <= 2 * module.MOST_BYTES + size
    assert [each.seq for each in feed.after(3005 - kept, kept, 10**9) or ()] == list(range(3006 - kept, 3006))


def test_no_wake_up_is_lost(feed: Feed) -> None:
    """Read, then wait beyond what was read: a publish between the two ends the wait at once."""
    feed.publish(events(6, 6))
    began = time.monotonic()
    assert feed.wait_beyond(5, 10) and time.monotonic() - began < 8
    seen: list[bool] = []
    waiting = threading.Thread(target=lambda: seen.append(feed.wait_beyond(6, 30)))
    waiting.start()
    feed.publish(events(7, 7))
    waiting.join(60)
    assert seen == [True]


def test_nobody_waits_after_the_end(feed: Feed) -> None:
    """Those who wait go, and those who come do not wait."""
    seen: list[bool] = []
    waiting = threading.Thread(target=lambda: seen.append(feed.wait_beyond(5, 10)))
    waiting.start()
    feed.end()
    waiting.join(60)
    assert seen == [False] and not feed.wait_beyond(5, 10)


def test_another_history_is_not_published(feed: Feed) -> None:
    """What continues a cursor that is not ours is for the store to judge, at any number."""
    feed.publish(events(6, 8))
    assert feed.publish(events(9, 9), f"8.{8:016x}")
    for after in ("9.ffffffffffffffff", "7.ffffffffffffffff", "12.ffffffffffffffff"):
        assert not feed.publish(events(int(after.partition(".")[0]) + 1, 13), after)
    assert feed.head == 9


def test_an_edit_takes_back_what_replies_show(feed: Feed) -> None:
    """What stands in memory before an edit may show the old text, if a reply to the message is there; else it stays."""

    def change(seq: int, number: int) -> Event:
        return event("lobby", seq, f"{seq}.{seq:016x}", MESSAGE_EDITED, 0, b'{"message":{"id":%d}}' % number)

    reply = b'{"message":{"id":7,"reply_to":{"id":2,"user":"Ann","excerpt":"old"}}}'
    feed.publish([*events(6, 6), event("lobby", 7, f"7.{7:016x}", MESSAGE_SENT, 0, reply)])
    feed.publish([change(8, 3)])
    assert [each.seq for each in feed.after(5) or ()] == [6, 7, 8]
    feed.publish([change(9, 2)])
    assert feed.after(5) is None and [each.seq for each in feed.after(8) or ()] == [9]
    feed.publish([event("lobby", 10, f"10.{10:016x}", MESSAGE_SENT, 0, reply), change(11, 2)])
    assert feed.after(9) is None and [each.seq for each in feed.after(10) or ()] == [11]

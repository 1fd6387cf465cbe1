"""What all feeds hold together is bounded, and those that nobody needs go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from servers import until
from test_chat import Opened, opened, said  # noqa: F401  # the fixture of the hub's tests

from quotechat.hub import feeds
from quotechat.hub.background import watcher
from quotechat.hub.feed import Feed
from quotechat.protocol import commands
from quotechat.protocol.cursor import START
from quotechat.protocol.events import event
from quotechat.store.base import Head, Store, Stored, Write
from quotechat.store.sqlite.store import SqliteStore


def filled(room: str, size: int, used_at: float) -> Feed:
    """A feed with one event of `size` bytes or more."""
    feed = Feed(room, Head(0, "0.0000000000000000"))
    feed.publish([event(room, 1, "1.0000000000000001", "message-sent", 0, b'{"a":"%b"}' % (b"x" * size))])
    feed.used_at = used_at
    return feed


def test_the_least_used_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tails have so many bytes together; what has been read lately stays, and a head is never forgotten."""
    monkeypatch.setattr(feeds, "MOST_BYTES", 50_000)
    held = [filled(f"r{number}", 5_000, used_at=number) for number in (3, 1, 4, 2, 5)]
    assert sum(feed.size for feed in held) > 50_000
    feeds.shrink(held)
    assert [feed.room for feed in held if feed.size] == ["r3", "r4", "r2", "r5"]
    assert sum(feed.size for feed in held) <= 50_000
    assert held[1].head == 1 and held[1].after(0) is None and held[1].after(1) == []


def test_what_is_followed_stays() -> None:
    """A feed goes when nobody follows it, waits on it, or has used it for a while."""
    held = {room: filled(room, 10, used_at=0.0) for room in ("left", "followed", "awaited", "recent")}
    held["awaited"].add_waiter(threading.Event())
    held["recent"].used_at = 50.0
    gone = feeds.idle(held.values(), lambda room: room == "followed", feeds.IDLE_SECONDS + 1)
    assert gone == [held["left"]]


def test_a_feed_that_went_begins_anew(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A reader that held it is sent on, and misses nothing."""
    monkeypatch.setattr(feeds, "IDLE_SECONDS", -1.0)
    monkeypatch.setattr(watcher, "_SPARE_EVERY", 0.01)
    chat = opened()
    first = chat.trusted("lobby").follow()
    until(lambda: first.ended, what="its end")
    monkeypatch.setattr(feeds, "IDLE_SECONDS", 60.0)
    chat.submit(said(), identity="ann")
    assert [each.seq for each in chat.trusted("lobby").read(START).events] == [1]
    assert chat.trusted("lobby").follow() is not first and chat.trusted("lobby").follow().head == 1


class Overtaken:
    """A store; once, something happens between a read and its answer."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.meanwhile: Callable[[], object] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def read(self, *given: Any) -> Any:
        page = self.store.read(*given)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return page


def test_a_page_that_was_overtaken_is_read_on(tmp_path: Path) -> None:
    """Another thread publishes a deletion, which drops the tail: what the page has beyond that is not lost."""
    at = 1_800_000_000_000
    with closing(SqliteStore(tmp_path / "quotechat.db")) as store:
        store.found(at)
        overtaken = Overtaken(store)
        held = feeds.Feeds(cast(Store, overtaken))
        feed = held.open("lobby")

        def stored(command: commands.Write) -> Stored:
            [outcome] = store.commit([Write(command, at, "ann")])
            assert isinstance(outcome, Stored)
            return outcome

        sent, deleted = stored(said("one")), stored(commands.DeleteMessage(message=commands.MessageId(1)))
        stored(said("two"))
        overtaken.meanwhile = lambda: feed.publish([sent.event, deleted.event], sent.after)
        held.check()
        found = feed.after(2)
        assert feed.head == 3 and found is not None and [each.seq for each in found] == [3]

"""The front door, on a real store."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bad_disk import failing_commits
from servers import until

from quotechat.hub import passthrough
from quotechat.hub.background import scheduler
from quotechat.hub.background.delivery import Delivery
from quotechat.hub.background.watcher import Watcher
from quotechat.hub.budgets.limits import Budget, Limits, Rate
from quotechat.hub.chat import Chat
from quotechat.protocol import commands
from quotechat.protocol.cursor import NOW, START, Cursor, parse
from quotechat.protocol.errors import (
    CursorAhead,
    CursorExpired,
    Draining,
    HistoryChanged,
    MalformedEnvelope,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    Refused,
    StorageFull,
)  # fmt: skip
from quotechat.store.base import CommitFailed, Deliver, Due, Outcome, Scheduled, Write
from quotechat.store.sqlite.store import SqliteStore

Opened = Callable[..., Chat]


class Clock:
    """Milliseconds since 1970 that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


def said(text: str = "hi", **more: Any) -> commands.SendMessage:
    return commands.SendMessage(message=commands.NewMessage("Ann", text, **more))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    chats: list[Chat] = []

    def open_chat(clock: Clock | None = None, limits: Limits | None = None, **options: Any) -> Chat:
        rates = {"message": Rate(1e9, 1e9), "room": Rate(10, 1)}
        limits = limits or Limits(rates, dict.fromkeys(("socket", "poll", "sender"), Budget(9, 9)))
        store = SqliteStore(tmp_path / "quotechat.db")
        store.found(1_800_000_000_000)
        chat = Chat(store, limits, clock=clock or Clock(), **options)
        chat.start()
        chats.append(chat)
        return chat

    yield open_chat
    for chat in chats:
        chat.close()


def never_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process look for commits of others, not even at its start."""
    monkeypatch.setattr(Watcher, "_watch", lambda watcher: watcher._closed.wait())


def test_a_feed_has_no_hole_where_another_process_wrote(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others committed before our own commit is published with it, without any look or wake-up."""
    never_look(monkeypatch)
    ours, theirs = opened(), opened()
    feed = ours.trusted("lobby").follow()
    for text in "ab":
        theirs.submit(said(text), identity=None)
    ours.submit(said("c"), identity=None)
    assert feed.wait_beyond(2, 60)
    assert [event.seq for event in feed.after(0) or ()] == [1, 2, 3]


def test_what_another_process_acknowledged_is_read_at_once(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 4 does not rest on any wake-up."""
    never_look(monkeypatch)
    ours, theirs = opened(), opened()
    ours.trusted("lobby").follow()
    stored = theirs.submit(said(), identity=None)
    page = ours.trusted("lobby").read(START)
    assert [event.seq for event in page.events] == [1] and page.cursor == stored.cursor  # type: ignore[union-attr]


@pytest.mark.parametrize("known", [0, 2])
@pytest.mark.parametrize("kept", [0, 2])
def test_a_room_goes_on_where_more_was_cut_than_this_worker_knew(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, known: int, kept: int
) -> None:
    """Another process wrote, and events are forgotten that this one has never seen: only those are missing."""
    never_look(monkeypatch)
    ours, theirs = opened(), opened()
    for _ in range(known):
        ours.submit(said(), identity=None)
    feed = ours.trusted("lobby").follow()
    for _ in range(5):
        theirs.submit(said("theirs"), identity=None)
    assert feed.head == known
    store = SqliteStore(tmp_path / "quotechat.db")
    assert store.cut("lobby", 2**60, known + 5 - kept) == known + 5 - kept
    store.close()
    stored = ours.submit(said("ours"), identity=None)
    until(lambda: feed.ended)
    assert ours.trusted("lobby").follow().cursor() == stored.cursor  # type: ignore[union-attr]
    page = ours.trusted("lobby").read(START)
    assert [event.seq for event in page.events] == list(range(known + 6 - kept, known + 7))
    with pytest.raises(CursorExpired):
        ours.trusted("lobby").read(Cursor(known + 4 - kept))


def test_what_is_forgotten_is_read_from_memory_no_more(opened: Opened, tmp_path: Path) -> None:
    """The floor holds at once, also for a worker that has the events in its tail."""
    chat = opened()
    chat.trusted("lobby").follow()
    cursors = [parse(chat.submit(said(text), identity=None).cursor) for text in "abcd"]  # type: ignore[union-attr]
    store = SqliteStore(tmp_path / "quotechat.db")
    assert [event.seq for event in chat.trusted("lobby").read(cursors[0]).events] == [2, 3, 4]
    store.cut("lobby", 2**60, 2)
    store.close()
    with pytest.raises(CursorExpired):
        chat.trusted("lobby").read(cursors[0])
    assert [event.seq for event in chat.trusted("lobby").read(cursors[1]).events] == [3, 4]
    assert [event.seq for event in chat.trusted("lobby").read(START).events] == [3, 4]


def test_a_wake_up_that_is_lost_costs_at_most_a_second(opened: Opened) -> None:
    """Without a notifier, the look at the store finds it, long before the hold would have ended."""
    ours, theirs = opened(), opened()
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(ours.wait(ours.trusted("lobby"), NOW, 9, 25)))
    waiting.start()
    until(lambda: ours.figures()["held_polls"] == 1, what="a held poll")
    theirs.submit(said(), identity=None)
    waiting.join(15)
    assert found and [event.seq for event in found[0].events] == [1]


def test_a_due_message_is_delivered_once_by_whomever(opened: Opened) -> None:
    """Two processes look; the clock is an argument, and nothing comes before its time."""
    clock = Clock()
    first, second = opened(clock), opened(clock)
    for _ in range(20):
        first.submit(said("later", send_at="+1h"), identity="ann")
    clock.now += 3_599_999
    assert first._scheduler.deliver_due() == 0 and first.trusted("lobby").read(START).events == []
    clock.now += 1
    until(lambda: len(second.trusted("lobby").read(START).events) >= 20, what="the delivery")
    assert first._scheduler.deliver_due() == second._scheduler.deliver_due() == 0
    assert len(first.trusted("lobby").read(START).events) == 20


def test_a_delivery_that_fails_is_tried_again_without_haste(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full disk the message waits, the processor is not kept busy, and then it is delivered."""
    clock, asked, full = Clock(), [], True
    chat = opened(clock)
    commit = chat._store.commit

    def no_space(writes: Any) -> Any:
        asked.append(writes)
        if full:
            raise StorageFull()
        return commit(writes)

    chat.submit(said("later", send_at="+1h"), identity="ann")
    monkeypatch.setattr(chat._store, "commit", no_space)
    clock.now += 3_600_000
    until(lambda: len(asked) >= 3, what="three attempts")
    began, before = time.monotonic(), len(asked)
    until(lambda: len(asked) >= before + 2, what="two more")
    assert time.monotonic() - began >= 0.05
    full = False
    until(lambda: chat.trusted("lobby").read(START).events, what="the delivery")


def test_due_messages_keep_to_the_rate_of_their_sender(opened: Opened) -> None:
    """Two at once, then as tokens come back; another sender's is not behind them, and the order stays."""
    clock, seconds = Clock(), [0.0]
    chat = opened(clock, limits=Limits({"message": Rate(2, 1)}, {}, clock=lambda: seconds[0]))

    def texts() -> list[str]:
        return [event.envelope["message"]["message"] for event in chat.trusted("lobby").read(START).events]

    for number in range(5):
        chat.submit(said(f"{number}", send_at="+1h"), identity="ann", address="10.0.0.1")
        seconds[0] += 1
    other = commands.NewMessage("Bob", "other", send_at="+1h")
    chat.submit(commands.SendMessage(message=other), identity="bob", address="10.0.0.2")
    seconds[0] += 10
    clock.now += 3_600_000
    for count, last in ((3, "1"), (5, "3"), (6, "4")):
        until(lambda count=count: len(texts()) >= count, what="what the rates allow")  # type: ignore[misc]
        assert chat._scheduler.deliver_due() == 0 and len(texts()) == count
        assert [text for text in texts() if text != "other"][-1] == last
        seconds[0] += 2


def test_due_messages_keep_nobody_waiting(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person sends while hundreds fall due is stored behind one portion of these, not behind all."""
    clock = Clock()
    with contextlib.closing(SqliteStore(tmp_path / "quotechat.db")) as store:
        store.found(clock.now)
        later = [commands.NewMessage(f"Ann {number % 10}", f"{number}", send_at="+1h") for number in range(300)]
        writes = [Write(commands.SendMessage(message=each), clock.now, each.user) for each in later]
        assert all(isinstance(each, Scheduled) for each in store.commit(writes))
    deliver, commit = Delivery.deliver, SqliteStore.commit
    portions, stored_by_then = list[int](), list[bool]()
    asked: list[Future[Any]] = []

    def one_portion(self: Delivery, due: list[Due]) -> dict[int, str]:
        portions.append(len(due))
        answers = deliver(self, due)
        stored_by_then.append(chat.trusted("lobby").head().seq >= sum(portions))
        return answers

    def in_its_midst(self: SqliteStore, writes: Sequence[Write]) -> list[Outcome | Refused]:
        if not asked and isinstance(writes[0].command, Deliver):
            until(lambda: len(writes) + len(chat._writer._queue) == portions[0], what="that all are queued")
            asked.append(person.submit(chat.submit, said("now"), identity="bo"))
            until(lambda: any(each.write.identity == "bo" for each in chat._writer._queue), what="the message")
        return commit(self, writes)

    monkeypatch.setattr(Delivery, "deliver", one_portion)
    monkeypatch.setattr(SqliteStore, "commit", in_its_midst)
    chat = opened(clock)
    with ThreadPoolExecutor(1) as person:
        clock.now += 3_600_000
        chat._scheduler.wake()
        until(lambda: asked, what="the first portion")
        stored = asked[0].result(60)
    assert stored.seq == portions[0] + 1 < 100
    until(lambda: chat.trusted("lobby").head().seq == 301, what="all others")
    assert all(stored_by_then)  # a portion is handed over when the one before is stored


def test_an_overdue_message_is_delivered_after_a_restart(opened: Opened) -> None:
    """At once, with its own client_id."""
    clock = Clock()
    before = opened(clock)
    command = commands.SendMessage(message=commands.NewMessage("Ann", "hi", send_at="+1h"), client_id="k")
    before.submit(command, identity="ann")
    before.close()
    clock.now += 7_200_000
    after = opened(clock)
    until(lambda: after.trusted("lobby").read(START).events, what="the delivery")
    assert after.trusted("lobby").read(START).events[0].envelope["message"]["client_id"] == "k"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process's local time is that of Berlin."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")  # by its rule: not every machine has the list of names
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


@pytest.mark.usefixtures("berlin")
def test_the_hour_that_comes_twice(opened: Opened) -> None:
    """In October 02:30 is two moments an hour apart; the offset tells which, and a day is 24 hours."""
    clock = Clock()
    clock.now = at("2026-10-24T12:00:00+02:00")
    assert [time.localtime(clock.now / 1000 + days * 86_400).tm_isdst for days in (0, 1)] == [1, 0]
    chat = opened(clock)
    for when in ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T11:00:00Z", "+1d"):
        chat.submit(said(when, send_at=when), identity="ann")
    seen = []
    for moment in ("2026-10-25T00:29:59Z", "2026-10-25T00:30:00Z", "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z",
                   "2026-10-25T09:59:59Z", "2026-10-25T10:00:00Z", "2026-10-25T11:00:00Z"):  # fmt: skip
        clock.now = at(moment)
        chat._scheduler.deliver_due()
        seen.append([event.envelope["message"]["message"] for event in chat.trusted("lobby").read(START).events])
    first, second, third, day = "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T11:00:00Z", "+1d"
    assert seen == [[], [first], [first], [first, second], [first, second], [first, second, day],
                    [first, second, day, third]]  # fmt: skip


@pytest.mark.usefixtures("berlin")
def test_the_hour_that_is_left_out(opened: Opened) -> None:
    """In March local clocks skip from 02:00 to 03:00: nothing due then is skipped or early."""
    clock = Clock()
    clock.now = at("2026-03-29T00:30:00Z")
    assert [time.localtime(clock.now / 1000 + hours * 3600).tm_hour for hours in (0, 1)] == [1, 3]
    chat = opened(clock)
    for when in ("+45m", "2026-03-29T03:15:00+02:00", "2026-03-29T02:15:00+01:00"):  # the same moment
        chat.submit(said(when, send_at=when), identity="ann")
    clock.now = at("2026-03-29T01:14:59Z")
    assert chat._scheduler.deliver_due() == 0
    clock.now += 1000
    until(lambda: len(chat.trusted("lobby").read(START).events) == 3, what="all three")


def test_a_clock_that_is_set_back_sends_nothing_twice(opened: Opened) -> None:
    """NTP may move it: what was delivered stays so."""
    clock = Clock()
    chat = opened(clock)
    chat.submit(said("later", send_at="+1h"), identity="ann")
    clock.now += 3_600_000
    until(lambda: chat.trusted("lobby").read(START).events, what="the delivery")
    clock.now -= 7_200_000
    assert chat._scheduler.deliver_due() == 0
    clock.now += 7_200_000
    assert chat._scheduler.deliver_due() == 0 and len(chat.trusted("lobby").read(START).events) == 1


def test_over_the_budget_the_answer_is_early(opened: Opened) -> None:
    """Empty, with a time to come back; the one that waits goes on waiting."""
    chat = opened(held_polls=1)
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(chat.wait(chat.trusted("lobby"), NOW, 9, 10)))
    waiting.start()
    until(lambda: chat.figures()["held_polls"] == 1, what="a held poll")
    early = chat.wait(chat.trusted("lobby"), NOW, 9, 10)
    assert early.events == [] and early.retry_in_ms
    chat.drain()
    waiting.join(60)
    assert found[0].events == [] and found[0].retry_in_ms


def test_nothing_is_accepted_while_draining(opened: Opened) -> None:
    """What is asked then is refused and not stored; what was asked before is."""
    chat = opened()
    chat.submit(said(), identity=None)
    chat.drain()
    with pytest.raises(Draining):
        chat.submit(said(), identity=None)
    with pytest.raises(Draining):
        chat.create_room("tea", None)
    assert len(chat.trusted("lobby").read(START).events) == 1


def test_what_began_before_the_drain_is_stored(opened: Opened) -> None:
    """A request in flight finishes, and one that began a moment later does not begin."""
    chat = opened()
    before = time.monotonic()
    chat.drain()
    chat.submit(said(), identity=None, first_byte_at=before)
    with pytest.raises(Draining):
        chat.submit(said(), identity=None, first_byte_at=time.monotonic())
    assert len(chat.trusted("lobby").read(START).events) == 1


def test_a_drain_may_leave_a_while(opened: Opened) -> None:
    """Within the grace a request may still begin; who waits is let go at once all the same."""
    chat = opened()
    before = time.monotonic()
    chat.drain(grace=60.0)
    chat.submit(said(), identity=None)
    assert chat.wait(chat.trusted("lobby"), START, 500, 5).events
    assert chat.wait(chat.trusted("lobby"), NOW, 500, 60).retry_in_ms is not None and time.monotonic() - before < 50
    with pytest.raises(Draining):
        chat.submit(said(), identity=None, first_byte_at=time.monotonic() + 61)


def test_what_belongs_on_a_socket_is_refused(opened: Opened) -> None:
    """Subscribe is no write."""
    with pytest.raises(MalformedEnvelope):
        opened().submit(commands.Subscribe(), identity=None)


def test_a_bucket_fills_again() -> None:
    """A burst, then as many as a second brings; each client has its own."""
    now = 0.0
    limits = Limits({"message": Rate(2, 0.5)}, {}, clock=lambda: now)
    limits.allow("message", "a")
    limits.allow("message", "a")
    with pytest.raises(RateLimited) as refused:
        limits.allow("message", "a")
    assert 1990 <= (refused.value.retry_in_ms or 0) <= 2001
    limits.allow("message", "b")
    now = 2.0
    limits.allow("message", "a")


def test_a_budget_is_given_back() -> None:
    """Per client 429, for all 503."""
    limits = Limits({}, {"socket": Budget(1, 2)})
    limits.enter("socket", "a")
    with pytest.raises(RateLimited):
        limits.enter("socket", "a")
    limits.enter("socket", "b")
    with pytest.raises(Overloaded):
        limits.enter("socket", "c")
    limits.leave("socket", "a")
    limits.enter("socket", "c")
    assert limits.held("socket") == 2


@pytest.mark.parametrize("written", [0, 1, 2, 3])
@pytest.mark.parametrize("by", ["others", "us"])
def test_an_older_copy_is_noticed(opened: Opened, tmp_path: Path, written: int, by: str) -> None:
    """A store that lost its end, whatever was written since: readers get 410, and memory holds nothing of before."""
    chat, other = opened(), opened()
    cursors = [chat.submit(said(text), identity=None).cursor for text in "abcd"]  # type: ignore[union-attr]
    feed = chat.trusted("lobby").follow()
    waits: list[Any] = []

    def wait() -> None:
        try:
            waits.append(chat.wait(chat.trusted("lobby"), position(cursors[-1]), 9, 25))
        except Refused as refused:
            waits.append(refused.code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: chat.figures()["held_polls"] == 1, what="a held poll")
    with contextlib.closing(sqlite3.connect(tmp_path / "quotechat.db")) as copy, copy:
        tag = cursors[1].partition(".")[2]
        copy.execute("DELETE FROM event WHERE seq > 2")
        copy.execute("DELETE FROM message WHERE id > 2")
        copy.execute("UPDATE room SET head = 2, chain = ?", (bytes.fromhex(tag) + bytes(24),))
    for number in range(written):
        (chat if by == "us" else other).submit(said(f"new {number}"), identity=None)
    waiting.join(60)
    # It may have been told in the midst of the writes, when its cursor still was ahead.
    assert waits and waits in (["cursor-ahead"], ["history-changed"][: written - 1])
    assert chat.trusted("lobby").follow() is not feed
    found = chat.trusted("lobby").read(START).events
    assert [event.envelope["message"]["message"] for event in found] == [
        "a", "b", *(f"new {number}" for number in range(written)),
    ]  # fmt: skip
    with pytest.raises(HistoryChanged if written >= 2 else CursorAhead):
        chat.trusted("lobby").read(position(cursors[3]))
    assert chat.trusted("lobby").read(position(cursors[1])).cursor == chat.trusted("lobby").read(NOW).cursor


def position(text: str) -> Cursor:
    found = parse(text)
    assert isinstance(found, Cursor)
    return found


def test_all_kinds_share_one_budget() -> None:
    """Each kind that is held takes a descriptor: together they have so many, and one address half of them."""
    limits = Limits({}, dict.fromkeys(("socket", "poll", "sender"), Budget(2, 100)), per_address=50, most_held=8)
    kinds = ["socket", "poll", "sender", "poll"]
    for number, kind in enumerate(kinds):
        limits.enter(kind, f"ann{number}", "a")
    with pytest.raises(RateLimited):
        limits.enter("socket", "ann9", "a")
    for number, kind in enumerate(kinds):
        limits.enter(kind, f"bob{number}", "b")
    for kind in kinds:
        with pytest.raises(Overloaded):
            limits.enter(kind, "cid", "c")
    limits.leave("poll", "bob1", "b")
    limits.enter("socket", "cid", "c")


def test_an_address_has_limits_whoever_it_says_it_is() -> None:
    """New identities do not bring new allowances without end; another address is not touched."""
    now = 0.0
    limits = Limits({"message": Rate(2, 0.5)}, {"socket": Budget(1, 9)}, per_address=3, clock=lambda: now)
    for number in range(6):
        limits.allow("message", f"id {number // 2}", "10.0.0.1")
    with pytest.raises(RateLimited) as refused:
        limits.allow("message", "id 9", "10.0.0.1")
    assert 600 < (refused.value.retry_in_ms or 0) < 700  # three clients' share of one token
    limits.allow("message", "id 9", "10.0.0.2")
    now = 0.7
    limits.allow("message", "id 8", "10.0.0.1")
    for number in range(3):
        limits.enter("socket", f"id {number}", "10.0.0.1")
    with pytest.raises(RateLimited):
        limits.enter("socket", "id 4", "10.0.0.1")
    limits.leave("socket", "id 0", "10.0.0.1")
    limits.enter("socket", "id 4", "10.0.0.1")
    assert limits.held("socket") == 3


def test_a_refusal_costs_nothing() -> None:
    """Who is refused because of the address keeps its own allowance."""
    limits = Limits({"message": Rate(1, 0.001)}, {}, per_address=1, clock=lambda: 0.0)
    limits.allow("message", "a", "10.0.0.1")
    with pytest.raises(RateLimited):
        limits.allow("message", "b", "10.0.0.1")
    limits.allow("message", "b", "10.0.0.2")


def test_a_scheduled_message_that_cannot_be_read_is_told_of_once(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again, later each time, and holds up no other."""
    clock = Clock()
    chat = opened(clock)
    for text in ("broken", "good"):
        chat.submit(said(text, send_at="+10m"), identity="ann")
    with contextlib.closing(sqlite3.connect(tmp_path / "quotechat.db")) as connection, connection:
        connection.execute("UPDATE scheduled SET message = 'broken' WHERE id = 1")
    clock.now += 11 * 60_000
    began, tried = time.monotonic(), chat.figures()["commits"]
    until(lambda: chat.figures()["commits"] >= tried + 6, what="six tries")
    assert time.monotonic() - began > 1.0, "it did not wait between them"
    assert [event.envelope["message"]["message"] for event in chat.trusted("lobby").read(START).events] == ["good"]
    assert sum("could not be delivered yet" in record.message for record in caplog.records) == 1


def test_a_flush_that_fails_for_an_account_ends_the_process_too(opened: Opened) -> None:
    """As one that fails for a message: nothing that it writes from then on can be trusted."""
    chat = opened()
    with failing_commits(chat._store), pytest.raises(OutcomeUnknown):
        chat.write_with(lambda sql: sql.run("UPDATE room SET floor = floor"))
    assert chat.lost
    with pytest.raises(Draining):
        chat.submit(said(), identity=None)


def test_scheduled_messages_of_a_slow_room_keep_their_order(opened: Opened) -> None:
    """Though the room takes the next one from a moment on that falls between two of them."""
    clock = Clock()
    chat = opened(clock)
    chat.operate(commands.SetRoom(about=commands.AboutChange(slow=10)))
    chat.submit(said(), identity="ann")
    waiting = [chat.submit(said(text, send_at="+1d"), identity="ann") for text in ("one", "two")]
    ids = [outcome.scheduled["id"] for outcome in waiting]  # type: ignore[union-attr]
    times = itertools.count(clock.now + 9_999)
    refused = Delivery(chat._writer, chat.limits, lambda: next(times)).deliver([Due(each, "ann") for each in ids])
    assert refused == dict.fromkeys(ids, "rate-limited")


def test_messages_that_wait_for_a_slow_room_hide_no_other(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """More senders wait there than one look has messages."""
    monkeypatch.setattr(scheduler, "MOST_AT_ONCE", 2)
    clock = Clock()
    chat = opened(clock)
    chat.create_room("tea", None)
    chat.operate(commands.SetRoom(about=commands.AboutChange(slow=3600)))

    def send(name: str, room: str = "lobby", send_at: str | None = None) -> None:
        message = commands.NewMessage(name, "hi", send_at=send_at)
        chat.submit(commands.SendMessage(message=message, room=room), identity=name.lower())

    for name in ("Ann", "Bo", "Cy"):
        send(name)
        send(name, send_at="+10m")
    send("Dee", "tea", "+11m")
    clock.now += 12 * 60_000
    until(lambda: chat.trusted("tea").read(START).events, what="the message for the other room")
    assert chat.waiting() == 3


def test_changes_that_wait_leave_threads_for_readers(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process has the lock, a change of an account is `overloaded`, as a message is, before all wait."""
    monkeypatch.setattr(passthrough, "ANSWER_SECONDS", 600.0)
    chat, done = opened(threads=2), list[str]()
    waiting = threading.Thread(target=lambda: done.append(chat.write_with(lambda sql: "changed")))
    with open(tmp_path / "quotechat.lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting.start()
        until(lambda: chat._places._senders == 1, what="one that waits")
        with pytest.raises(Overloaded):
            chat.write_with(lambda sql: None)
        assert chat.read_with(lambda sql: sql.one("SELECT 1")) == (1,)
    waiting.join(60)
    assert done == ["changed"]


@pytest.mark.parametrize(("certain", "code"), [(True, "overloaded"), (False, "outcome-unknown")])
def test_a_transaction_that_breaks_is_a_refusal(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, certain: bool, code: str
) -> None:
    """As for a message: 503 if nothing is stored, or if nobody knows; what broke stands in the log."""
    chat = opened()

    def broken(work: object, **_: object) -> None:
        raise CommitFailed("the database has gone", certain=certain)

    monkeypatch.setattr(chat._store, "write_with", broken)
    with pytest.raises(Refused) as refused:
        chat.write_with(lambda sql: None)
    assert refused.value.code == code and refused.value.retry_in_ms and "gone" not in refused.value.detail

"""Wake-ups between machines, on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from servers import until

from quotechat import supervision
from quotechat.hub.background import notices
from quotechat.hub.background.notices import Notices
from quotechat.hub.budgets.limits import Budget, Limits, Rate
from quotechat.hub.chat import Chat
from quotechat.protocol import commands
from quotechat.protocol.cursor import NOW
from quotechat.protocol.errors import Overloaded
from quotechat.store.postgres.channel import Channel
from quotechat.store.postgres.store import PostgresStore

Opened = Callable[[], Chat]


@pytest.fixture
def opened(tables: str) -> Iterator[Opened]:
    chats: list[Chat] = []

    def open_chat() -> Chat:
        store = PostgresStore(tables)
        store.found(1_800_000_000_000)
        limits = Limits({"message": Rate(1e9, 1e9)}, {kind: Budget(9, 9) for kind in ("poll", "socket", "sender")})
        notifier = Notices(lambda: Channel(tables, listen=True), lambda: Channel(tables))
        chat = Chat(store, limits, notifier=notifier)
        chat.start()
        chats.append(chat)
        until(lambda: notifier._listener is not None and not notifier._missed, what="listening")
        return chat

    yield open_chat
    for chat in chats:
        chat.close()


def said(text: str = "hi") -> commands.SendMessage:
    return commands.SendMessage(message=commands.NewMessage("Ann", text))


def woken(reader: Chat, act: Callable[[], object], seconds: float = 25) -> float:
    """Seconds from `act` until the reader, which waits, has an event."""
    found: list[Any] = []
    handle = reader.trusted("lobby")
    waiting = threading.Thread(target=lambda: found.append((reader.wait(handle, NOW, 9, seconds), time.monotonic())))
    waiting.start()
    until(lambda: reader.figures()["held_polls"] == 1, what="a held poll")
    act()
    began = time.monotonic()
    waiting.join(seconds)
    assert found and found[0][0].events
    return float(found[0][1] - began)


@pytest.fixture
def no_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by itself."""
    monkeypatch.setattr(notices.Notices.wait, "__defaults__", (3600.0,))


@pytest.mark.usefixtures("no_net")
def test_a_notice_wakes_another_machine(opened: Opened) -> None:
    """Without any look: what one commits, the other's reader has."""
    ours, theirs = opened(), opened()
    ours.trusted("lobby").follow()
    assert woken(ours, lambda: theirs.submit(said(), identity=None)) < 10


@pytest.mark.usefixtures("no_net")
def test_listening_begins_anew(opened: Opened, tables: str) -> None:
    """The backend that listens is ended: what is missed meanwhile is looked for, what follows is heard."""
    ours, theirs = opened(), opened()
    ours.trusted("lobby").follow()
    notifier = ours._notifier
    assert isinstance(notifier, Notices)
    before = notifier._listener

    def end_listeners() -> None:
        with psycopg.connect(tables, autocommit=True) as other:
            ended = other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            ).fetchall()
        assert len(ended) == 2
        theirs.submit(said(), identity=None)

    woken(ours, end_listeners)
    until(lambda: notifier._listener not in (None, before), what="a new connection that listens")
    assert woken(ours, lambda: theirs.submit(said(), identity=None)) < 10


def test_notices_that_are_lost_cost_at_most_a_second(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker notifies: the look finds it."""
    monkeypatch.setattr(Notices, "notify", lambda *_: None)
    ours, theirs = opened(), opened()
    ours.trusted("lobby").follow()
    assert woken(ours, lambda: theirs.submit(said(), identity=None)) < 10


def test_a_connection_that_is_deaf_is_made_anew(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is open and says nothing: our own ping does not come back, so another takes its place."""
    monkeypatch.setattr(notices, "PING", 0.2)
    monkeypatch.setattr(notices, "ECHO", 0.3)
    monkeypatch.setattr(notices, "POLL_EVERY", 0.05)
    ours = opened()
    notifier = ours._notifier
    assert isinstance(notifier, Notices)
    # On a busy machine a ping may be late, and another one is in its place for a moment.
    deaf = until(lambda: notifier._listener, what="a connection that listens")
    deaf.heard = list  # type: ignore[method-assign]  # nothing, ever
    until(lambda: notifier._listener not in (None, deaf), what="a new connection that listens")
    heard = notifier._heard_ourselves
    until(lambda: notifier._heard_ourselves > heard, what="our own ping")


def test_many_rings_are_one_notice(tables: str) -> None:
    """What is asked for within a tick leaves together, rooms named; of very many rooms, for all."""
    PostgresStore(tables).close()
    sent: list[str] = []

    class Counting(Channel):
        def notify(self, payload: str) -> None:
            sent.append(payload)
            super().notify(payload)

    ours = Notices(lambda: Channel(tables, listen=True), lambda: Counting(tables))
    other = Notices(lambda: Channel(tables, listen=True), lambda: Channel(tables))
    try:
        for notifier in (ours, other):
            assert notifier.wait(60) is None  # it listens, and all has to be looked at once
        rooms = {"room-0", "room-1", "room-2"}
        for number in range(300):
            ours.notify([f"room-{number % 3}"])
        heard: set[str] | None = set()
        while heard != rooms:  # of a busy machine the tick may be over before all have notified
            found = other.wait(60)
            assert found and found <= rooms, found
            heard |= found
        assert len(sent) < 30
        ours.notify(f"room-{number}" for number in range(100))
        heard = other.wait(60)
        while heard is not None and heard <= rooms:
            assert heard, "the last notice never came"
            heard = other.wait(60)
        assert heard is None and sent[-1].endswith(" *")
    finally:
        ours.close()
        other.close()


def test_the_notifier_begins_again(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault outside of its own handling is counted, told as a part that is not ready, and over after a pause."""
    ours, reader = opened(), opened()
    faults = [OSError("a clock that fails")]
    pause = time.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread().name == "notifier" and faults:
            raise faults.pop()
        pause(seconds)

    monkeypatch.setattr("quotechat.hub.background.notices.time.sleep", sleep)
    seen = threading.Event()

    class Ending(threading.Event):
        """As a thread has it that pauses: the pause lasts until it has been seen."""

        def wait(self, timeout: float | None = None) -> bool:
            seen.wait(120)
            return self.is_set()

    for chat in (ours, reader):
        assert isinstance(chat._notifier, Notices)
        chat._notifier.thread._ending = Ending()
    before = supervision.counted().get("notifier", 0)
    ours.submit(said(), identity=None)
    until(lambda: "restarting" in (ours.parts()["notifier"], reader.parts()["notifier"]), what="the fault")
    seen.set()
    until(lambda: ours.parts() | reader.parts() == dict.fromkeys(ours.parts(), "ok"), what="the next begin")
    assert supervision.counted()["notifier"] == before + 1
    assert woken(reader, lambda: ours.submit(said(), identity=None)) < 10


class Busy:
    """A connection on which the same notices come again and again."""

    def __init__(self, *payloads: str) -> None:
        self.payloads = list(payloads)
        self.ours, self.theirs = socket.socketpair()
        self.theirs.send(b"\0")

    def fileno(self) -> int:
        return self.ours.fileno()

    def heard(self) -> list[str]:
        return self.payloads

    def notify(self, payload: str) -> None:
        raise Overloaded()

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@contextlib.contextmanager
def hearing(*payloads: str) -> Iterator[Notices]:
    """A notifier without its thread, whose connection is busy."""
    busy = Busy(*payloads)
    notifier = Notices(lambda: busy, lambda: busy)
    notifier._begun, notifier._listener = True, busy
    try:
        yield notifier
    finally:
        notifier.close()


def test_notices_of_one_room_put_off_no_look_at_all() -> None:
    """However many come, every room is looked at in time: a notice of another may be lost, and some news have none."""
    with hearing("another tea") as notifier:
        assert notifier.wait(3600) == {"tea"}
    with hearing("another tea") as notifier:
        until(lambda: notifier.wait(0.1) is None, what="a look at all rooms")


def test_an_empty_notice_says_nothing() -> None:
    """Another program may send one."""
    with hearing("", "another tea") as notifier:
        assert notifier.wait(3600) == {"tea"}


def test_rooms_whose_notice_failed_are_in_the_next_one() -> None:
    """The connection that sends is made anew, and says what the one before could not."""
    sent: list[str] = []

    class Noting(Busy):
        def notify(self, payload: str) -> None:
            sent.append(payload)

    senders = iter([Busy(), Noting()])
    notifier = Notices(Busy, lambda: next(senders))
    notifier.notify(("tea",))
    with pytest.raises(Overloaded):
        notifier._send()
    notifier.notify(("jam",))
    notifier._send()
    assert [payload.split()[1:] for payload in sent] == [["jam", "tea"]]
    notifier.close()

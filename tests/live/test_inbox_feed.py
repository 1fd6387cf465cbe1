"""What inboxes cost a worker, counted in statements and bytes: without a reader, for each that begins, and at rest."""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from servers import until

from quotechat.app import open_chat
from quotechat.config import Settings
from quotechat.hub.accounts.credentials import Credentials, Rules
from quotechat.hub.chat import Chat
from quotechat.live import inbox_feed
from quotechat.live.handoff import Handoff
from quotechat.live.inbox_feed import InboxFeed
from quotechat.live.peer import Peer
from quotechat.live.reactor import Reactor, open_reactor
from quotechat.protocol import commands
from quotechat.protocol.cursor import START, Now
from quotechat.protocol.rights.principal import Principal
from quotechat.store.accounts import accounts
from quotechat.store.base import CreateRoom, Write
from quotechat.store.shapes import Sql
from quotechat.web.transports.held_rooms import RoomsPoll, RoomsPolls
from quotechat.web.transports.kept import AnswerParts, Head

ROOMS, PEOPLE = 300, 8
BESIDE = ("watcher", "scheduler", "housekeeper")
"""Threads of a chat that look at the store now and then, whatever is said."""
T0 = 1_750_000_000_000


class Follower:
    """Notes what it is told of an inbox."""

    blocked = False

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def inbox_sends(self, encoded: bytes, position: str | None = None) -> None:
        self.told.append(json.loads(encoded))

    def commands(self) -> list[str]:
        return [each["command"] for each in self.told]

    def rooms(self) -> list[str]:
        """The rooms whose news it was told, in order."""
        return [room for each in self.told if each["command"] == "news" for room in each["rooms"]]


class HangingUp(Follower):
    """Closes the far end of another reader's socket when it is told something."""

    def __init__(self, far: socket.socket) -> None:
        super().__init__()
        self._far = far

    def inbox_sends(self, encoded: bytes, position: str | None = None) -> None:
        self._far.close()


class Gone(Peer):
    """A socket that follows an inbox."""

    def inbox_sends(self, encoded: bytes, position: str | None = None) -> None:
        self.send(encoded)

    def closed(self) -> None:
        self.reactor.inbox.unfollow(self)
        super().closed()


class Worker:
    """A chat, with the part of a worker that tells inboxes if it is `wired`; `ran` are its statements."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch, *, wired: bool) -> None:
        self.ran: list[str] = []
        connect = sqlite3.connect

        def tracing(database: Any, **about: Any) -> sqlite3.Connection:
            connection = connect(database, **about)
            if str(data) in str(database):
                connection.set_trace_callback(note)
            return connection

        def note(statement: str) -> None:
            if threading.current_thread().name not in BESIDE and not statement.startswith("PRAGMA"):
                self.ran.append(statement)

        # To the end of the test: a connection for readers is opened when the others are busy.
        monkeypatch.setattr(sqlite3, "connect", tracing)
        self.chat: Chat = open_chat(Settings(data=data, limits=False, search=False, most_rooms=2 * ROOMS))
        self.reactor: Reactor = open_reactor(self.chat)
        if wired:
            inbox_feed.open_feed(self.reactor, self.chat)
            # It begins with its first socket, and here is none.
            self.reactor._begun = True
            self.reactor.thread.start()
        self.chat.start()

    @property
    def feed(self) -> InboxFeed:
        return self.reactor.inbox

    def say(self, room: str = "lobby") -> None:
        message = commands.NewMessage(user="Bo", message="Hello")
        self.chat.submit(commands.SendMessage(message=message, room=room), identity=None)

    def statements_of_a_message(self) -> list[str]:
        """Return how each of them begins."""
        self.say()
        del self.ran[:]
        self.say()
        return [each[:20] for each in self.ran]

    def on_reactor(self, work: Callable[[], None]) -> None:
        """Do `work` on the reactor's thread; return when it is done."""
        done: list[bool] = []

        def both() -> None:
            work()
            done.append(True)

        self.reactor.call(both)
        until(lambda: bool(done))

    def begin(self, people: Sequence[Principal]) -> list[Follower]:
        """Let each follow its inbox, all in one turn of the loop; return them when they have caught up."""
        followers = [Follower() for _ in people]

        def begin() -> None:
            for follower, person in zip(followers, people, strict=True):
                self.feed.follow(follower, person, START)

        del self.ran[:]
        self.on_reactor(begin)
        until(lambda: all("caught-up" in each.commands() for each in followers))
        return followers


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    worker = Worker(tmp_path / "wired", monkeypatch, wired=True)
    with closing(worker.chat):
        yield worker
        for each in list(worker.feed._keys):
            worker.on_reactor(partial(worker.feed.unfollow, each))


def filled(sql: Sql) -> list[Principal]:
    """Let some people join all rooms."""
    people = [accounts.make(sql, f"Person {number}", "member", T0) for number in range(PEOPLE)]
    for person in people:
        sql.run(
            "INSERT INTO member (account_id, room_id, role, read_id, read_n, at)"
            " SELECT ?, id, 'member', 0, 0, ? FROM room WHERE name LIKE 'room%'", person.id, T0,
        )  # fmt: skip
    return [Principal(each.identity, each.id, each.key, each.name, each.role) for each in people]


def test_without_a_reader_a_message_costs_nothing_more(
    tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs the statements that it runs where there are no inboxes at all, and wakes nothing."""
    plain = Worker(tmp_path / "plain", monkeypatch, wired=False)
    with closing(plain.chat):
        expected = plain.statements_of_a_message()
    calls: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(worker.reactor, "call", lambda *arguments: calls.append(arguments))
        assert worker.statements_of_a_message() == expected and len(expected) > 3
    assert calls == []


def test_followers_share_the_rooms(worker: Worker) -> None:
    """Rooms are read once for all that begin together; nothing is read for those that have begun when another comes;
    and of a room each holds 16 bytes."""
    worker.chat._store.commit([Write(CreateRoom(f"room{number}"), T0, operator=True) for number in range(ROOMS)])
    people = worker.chat.write_with(filled)
    followers = worker.begin(people)
    assert sum("FROM room r WHERE r.id IN" in each for each in worker.ran) == 1
    for each in followers:
        whole, caught_up = each.told
        assert len(whole["rooms"]) == ROOMS + 1 and whole["complete"]
        assert caught_up == {"command": "caught-up", "room": "@inbox", "cursor": whole["cursor"]}
    for reading in worker.feed._readings.values():
        size = sum(map(sys.getsizeof, (reading.rooms, reading.own, reading.bits)))
        assert size < 17 * len(reading.rooms) + 400

    worker.on_reactor(partial(worker.feed.unfollow, followers.pop(0)))
    followers += worker.begin(people[:1])
    assert sum("level FROM member" in each for each in worker.ran) == 1
    worker.say("room7")
    for each in followers:
        until(lambda each=each: "news" in each.commands())  # type: ignore[misc]
        assert each.told[-1] == {"command": "news", "rooms": {"room7": {"last": 1, "messages": 1}}}


def test_what_was_read_for_those_who_have_gone_is_nobodys(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """All readers leave while one of them is read for, and its account comes back: it is told the news of its rooms."""
    worker.chat._store.commit([Write(CreateRoom("room1"), T0, operator=True)])
    ann, bo = worker.chat.write_with(filled)[:2]
    [there] = worker.begin([bo])
    began, goes_on, read = threading.Event(), threading.Event(), worker.feed._read

    def slow(*given: Any, **how: Any) -> Any:
        began.set()
        assert goes_on.wait(60)
        return read(*given, **how)

    gone, back = Follower(), Follower()
    with monkeypatch.context() as patch:
        patch.setattr(worker.feed, "_read", slow)
        worker.on_reactor(lambda: worker.feed.follow(gone, ann, START))
        assert began.wait(60)

        def change() -> None:
            for each in (gone, there):
                worker.feed.unfollow(each)
            worker.feed.follow(back, ann, START)

        worker.on_reactor(change)
    goes_on.set()
    until(lambda: "caught-up" in back.commands())
    worker.say("room1")
    until(lambda: "news" in back.commands(), what="the news of its room")
    assert gone.told == []


def test_a_reader_that_begins_during_a_read_is_told_by_the_next(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That read is of before a message that was acknowledged when it began."""
    worker.chat._store.commit([Write(CreateRoom("room1"), T0, operator=True)])
    ann, *_ = worker.chat.write_with(filled)
    read, began, goes_on = worker.feed._read, threading.Event(), threading.Event()

    def slow(*given: Any, **how: Any) -> Any:
        found = read(*given, **how)
        began.set()
        assert goes_on.wait(60)
        return found

    earlier, later = Follower(), Follower()
    monkeypatch.setattr(worker.feed, "_read", slow)
    worker.on_reactor(partial(worker.feed.follow, earlier, ann, START))
    assert began.wait(60)
    worker.say("room1")
    worker.on_reactor(partial(worker.feed.follow, later, ann, START))
    goes_on.set()
    until(lambda: "caught-up" in later.commands())
    assert later.told[0]["rooms"]["room1"].get("unread") == 1


def test_who_follows_hears_of_all_that_its_cursor_has(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the inbox is read for another reader before the next look at all rooms: a resume there asks for later."""
    worker.chat._store.commit([Write(CreateRoom("room1"), T0, operator=True)])
    ann, *_ = worker.chat.write_with(filled)
    (first,) = worker.begin([ann])
    worker.say("room1")
    until(lambda: any(each["command"] == "news" for each in first.told))
    monkeypatch.setattr(inbox_feed, "GATHER", 3600.0)  # no look from here on
    worker.say("room1")
    (other,) = worker.begin([ann])
    whole = next(each for each in other.told if each["command"] == "inbox")
    at: list[str | None] = []
    worker.on_reactor(lambda: at.append(worker.feed.cursor(first)))
    assert at == [whole["cursor"]]
    told = [each["rooms"]["room1"] for each in first.told if "room1" in each.get("rooms", {})]
    assert told[-1]["messages"] == whole["rooms"]["room1"]["messages"]


def test_a_reader_that_hangs_up_as_it_begins_costs_nobody_news(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket refuses the first bytes, in the read that finds news for the readers of other inboxes."""
    worker.chat._store.commit([Write(CreateRoom(f"room{number}"), T0, operator=True) for number in (1, 2)])
    ann, bo = worker.chat.write_with(filled)[:2]
    _, there = worker.begin([ann, bo])  # in this order they are told
    ours, far = socket.socketpair()
    ours.setblocking(False)
    gone = Gone(ours, far.close)
    worker.reactor.add(gone)
    monkeypatch.setattr(inbox_feed, "GATHER", 0.0)  # the read for a reader that begins finds the news too

    def begin() -> None:
        worker.say("room1")
        worker.feed.look()
        # In its order: the far end hangs up when this one is told, in the same turn of the loop.
        worker.feed.follow(HangingUp(far), ann, START)
        worker.feed.follow(gone, ann, START)

    worker.on_reactor(begin)
    until(lambda: gone.ending, what="the end of the one that hung up")
    worker.say("room2")
    until(lambda: "room2" in there.rooms(), what="the news of the second message")
    assert there.rooms() == ["room1", "room2"]
    assert gone not in worker.feed._keys


def test_a_poll_with_news_of_a_room_has_the_cursor_of_its_inbox(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the news comes before the inbox was read once: `now` is no cursor to go on from."""
    person, *_ = worker.chat.write_with(filled)
    found, gate = threading.Event(), threading.Event()
    read, take = worker.feed._read, RoomsPoll._found

    def taking(poll: RoomsPoll, pages: object) -> None:
        take(poll, pages)
        found.set()

    monkeypatch.setattr(worker.feed, "_read", lambda *tasks, **about: gate.wait(60) and read(*tasks, **about))
    monkeypatch.setattr(RoomsPoll, "_found", taking)
    credentials = Credentials(worker.chat, Rules(), worker.chat.now)
    polls, handle = RoomsPolls(worker.reactor, worker.chat, credentials), worker.chat.open(person, "lobby")
    worker.chat.listen(polls.news)
    ours, other = socket.socketpair()
    ours.setblocking(False)
    other.settimeout(60)
    with other:
        given, parts = Handoff(ignored, "", lambda: True, None, 0, None), AnswerParts(Head({}, []), None)
        places, inbox = {handle: handle.follow().cursor()}, (person, Now())
        poll = RoomsPoll(ours, ignored, given, parts, polls, places, 10, 50.0, inbox, False)
        worker.reactor.add(poll)
        worker.on_reactor(lambda: None)
        worker.say()
        assert found.wait(60)
        gate.set()
        answer = json.loads(other.recv(65_536).partition(b"\r\n\r\n")[2])
        worker.on_reactor(partial(worker.reactor.forget, poll))
    assert len(answer["rooms"]["lobby"]["events"]) == 1
    assert answer["inbox"]["rooms"] == {} and answer["inbox"]["cursor"] != "now"


def ignored(*_: Any) -> None:
    """What becomes of a connection is not looked at."""

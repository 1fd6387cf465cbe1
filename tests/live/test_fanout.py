"""Events to the peers that follow a room: encoded once, fairly, and each peer for itself."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from servers import until

from quotechat.hub.budgets.limits import Budget, Limits, Rate
from quotechat.hub.chat import Chat
from quotechat.live import fanout
from quotechat.live.peer import Peer, Subscription
from quotechat.live.reactor import Reactor, open_reactor
from quotechat.protocol import commands
from quotechat.protocol.cursor import Cursor
from quotechat.protocol.events import Event
from quotechat.protocol.rights.principal import VISITOR, Principal
from quotechat.store.accounts import accounts
from quotechat.store.base import Head
from quotechat.store.shapes import Sql
from quotechat.store.sqlite.store import SqliteStore

Sent = Callable[[], list[str]]
"""Tells all that a peer was sent so far."""


class Listener(Peer):
    """A peer that is sent ``room:seq`` for each event; `joined` has what was encoded, for all of them."""

    def __init__(self, sock: socket.socket, joined: list[list[str]]) -> None:
        super().__init__(sock, lambda: None)
        self._joined = joined

    def join(self, events: Sequence[Event]) -> bytes:
        self._joined.append([f"{event.room}:{event.seq}" for event in events])
        return "".join(f"{each} " for each in self._joined[-1]).encode()


class Broken(Listener):
    """A peer whose second send fails with an error of ours."""

    sends = 0

    def send(self, data: bytes) -> None:
        self.sends += 1
        if self.sends == 2:
            raise RuntimeError("broken for a test")
        super().send(data)


class Readers:
    """Peers of one reactor, and what each of them was sent."""

    def __init__(self, data: Path) -> None:
        store = SqliteStore(data / "quotechat.db")
        store.found(1_800_000_000_000)
        budgets = {kind: Budget(99, 99) for kind in ("poll", "socket", "sender")}
        self.chat = Chat(store, Limits({"message": Rate(1e9, 1e9), "room": Rate(9, 9)}, budgets))
        self.reactor: Reactor = open_reactor(self.chat)
        self.chat.start()
        self.joined: list[list[str]] = []
        self._far: list[socket.socket] = []

    def close(self) -> None:
        for far in self._far:
            far.close()
        self.chat.drain()
        self.chat.close()

    def say(self, room: str = "lobby") -> None:
        self.chat.submit(commands.SendMessage(message=commands.NewMessage("Ann", "x"), room=room), identity=None)

    def guest(self, room: str) -> Principal:
        """A guest that was let in to `room`."""

        def made(sql: Sql) -> Principal:
            account = accounts.make(sql, "Gus", "guest", 1_800_000_000_000)
            sql.run(
                "INSERT INTO member (account_id, room_id, role, read_id, read_n, at)"
                " SELECT ?, id, 'member', 0, 0, 0 FROM room WHERE name = ?", account.id, room,
            )  # fmt: skip
            return Principal(account.identity, account.id, account.key, account.name, account.role)

        return self.chat.write_with(made)

    def begin(
        self, *rooms: str, after: int = 0, kind: type[Listener] = Listener, reader: Principal = VISITOR
    ) -> tuple[Peer, Sent]:
        """A peer that follows `rooms` from `after` on."""
        near, far = socket.socketpair()
        near.setblocking(False)
        self._far.append(far)
        peer = kind(near, self.joined)
        handles = [self.chat.open(reader, room) for room in rooms]
        subscriptions = [Subscription(handle, handle.follow(), Cursor(after)) for handle in handles]
        self.reactor.add(peer)
        self.on_thread(lambda: [self.reactor.fanout.follow(peer, each) for each in subscriptions])
        got: list[str] = []

        def sent() -> list[str]:
            while select.select([far], [], [], 0)[0] and (data := far.recv(65536)):
                got.extend(data.decode().split())
            return got

        return peer, sent

    def on_thread(self, action: Callable[[], object]) -> None:
        """Do it on the reactor's thread, and wait for its end."""
        done: list[object] = []
        self.reactor.call(lambda: done.append(action()))
        until(lambda: done, what="the reactor")


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    with closing(Readers(tmp_path)) as made:
        yield made


def numbers(room: str, *seqs: int) -> list[str]:
    return [f"{room}:{seq}" for seq in seqs]


def test_an_event_is_encoded_once_for_all_that_wait(readers: Readers) -> None:
    """Each peer gets each event once, in order, and the events are joined once, not once a peer."""
    all_sent = [readers.begin("lobby")[1] for _ in range(20)]
    for seq in (1, 2, 3):
        readers.say()
        until(lambda seq=seq: all(len(sent()) == seq for sent in all_sent), what="the event")
    assert all(sent() == numbers("lobby", 1, 2, 3) for sent in all_sent)
    once = [[each] for each in numbers("lobby", 1, 2, 3)]
    # One that comes in the middle of a sweep goes to the rest of the peers in that turn, to the others in the next.
    assert [each for each in once if each in readers.joined] == once and len(readers.joined) <= 2 * len(once)


def test_a_peer_that_fails_ends_alone(readers: Readers, caplog: pytest.LogCaptureFixture) -> None:
    """It is closed, in the middle of a round; those before and behind it go on."""
    first = readers.begin("lobby")[1]
    broken, _ = readers.begin("lobby", kind=Broken)
    assert isinstance(broken, Broken)
    last = readers.begin("lobby")[1]
    for seq in (1, 2):
        readers.say()
        until(lambda seq=seq: len(first()) == len(last()) == broken.sends == seq, what="the event")
    assert first() == last() == numbers("lobby", 1, 2)
    until(lambda: broken.sock.fileno() == -1, what="its end")
    assert broken.subscriptions == {}
    assert "broken for a test" in caplog.text


def test_a_doubt_outlives_an_answer_that_was_read_before_it(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest loses an open room between the store's answer to a first doubt and the reactor's turn to hear it."""
    guest = readers.guest("lobby")
    peer, sent = readers.begin("lobby", reader=guest)
    store, began, goes_on = readers.chat._store, threading.Event(), threading.Event()
    look = store.head

    def slow(room: str, reader: Principal | None = None) -> Head:
        found = look(room, reader)
        if reader is guest and not began.is_set():
            began.set()
            assert goes_on.wait(60)
        return found

    monkeypatch.setattr(store, "head", slow)
    readers.on_thread(lambda: peer.room_lost("lobby"))
    assert began.wait(60)
    readers.chat.write_with(lambda sql: sql.run("DELETE FROM member"))
    readers.on_thread(lambda: peer.room_lost("lobby"))
    readers.say()
    goes_on.set()
    until(lambda: sent() or not peer.subscriptions, what="the end of its subscription")
    assert sent() == [] and not readers.reactor.fanout.has_followers("lobby")


def test_rooms_of_one_peer_take_turns(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room with much to tell does not keep the others waiting: a slice of each, one after the other."""
    monkeypatch.setattr(fanout, "SLICE_EVENTS", 2)
    readers.chat.create_room("tea", None)
    handles = [readers.chat.open(VISITOR, room) for room in ("lobby", "tea")]
    subscriptions = [Subscription(handle, handle.follow(), Cursor(0)) for handle in handles]
    for handle in handles:
        for _ in range(6):
            readers.say(handle.room)
    peer, sent = readers.begin()
    readers.on_thread(lambda: peer.send(b"- " * 1_000_000))  # more than its socket takes: both rooms wait for it
    for each in subscriptions:
        readers.on_thread(lambda each=each: readers.reactor.fanout.follow(peer, each))
    until(lambda: {"lobby:6", "tea:6"} <= set(sent()), what="all of both rooms")
    got = [each for each in sent() if each != "-"]
    assert got == [
        *numbers("lobby", 1, 2), *numbers("tea", 1, 2), *numbers("lobby", 3, 4), *numbers("tea", 3, 4),
        *numbers("lobby", 5, 6), *numbers("tea", 5, 6),
    ]  # fmt: skip


def test_a_later_subscription_to_a_room_takes_the_place_of_the_earlier(readers: Readers) -> None:
    """Nothing is sent twice, and nothing of a room that is followed no more."""
    peer, sent = readers.begin("lobby")
    handle = readers.chat.open(VISITOR, "lobby")
    again = Subscription(handle, handle.follow(), Cursor(0))
    readers.on_thread(lambda: readers.reactor.fanout.follow(peer, again))
    readers.say()
    until(lambda: sent(), what="the event")
    readers.on_thread(lambda: readers.reactor.fanout.unfollow(peer, "lobby"))
    assert not readers.reactor.fanout.has_followers("lobby")
    other = readers.begin("lobby", after=1)[1]
    readers.say()
    until(lambda: other(), what="the event of the other one")
    assert sent() == numbers("lobby", 1) and other() == numbers("lobby", 2)

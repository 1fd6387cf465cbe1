"""Beside another process: readers whose memory is behind the store, and senders that wait while it has the lock."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from servers import until

from quotechat.hub.budgets.limits import Budget, Limits, Rate
from quotechat.hub.chat import Chat
from quotechat.live import reactor as reactors
from quotechat.live import unanswered
from quotechat.live.peer import Peer, Subscription
from quotechat.live.reactor import Reactor
from quotechat.protocol import commands
from quotechat.protocol.cursor import Cursor
from quotechat.protocol.errors import OutcomeUnknown
from quotechat.protocol.events import Event
from quotechat.protocol.rights.principal import VISITOR
from quotechat.store.sqlite.store import SqliteStore


class Listener(Peer):
    """A peer that notes what it is told."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, lambda: None)
        self.seqs: list[int] = []
        self.caught_up_at: list[str] = []

    def join(self, events: Sequence[Event]) -> bytes:
        self.seqs += [event.seq for event in events]
        return b"."

    def caught_up(self, room: str, cursor: str) -> None:
        self.caught_up_at.append(cursor)


def chat(data: Path) -> Chat:
    store = SqliteStore(data / "quotechat.db")
    store.found(1_800_000_000_000)
    limits = Limits({"message": Rate(1e9, 1e9)}, {kind: Budget(9, 9) for kind in ("poll", "socket", "sender")})
    return Chat(store, limits)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Chat, Chat]]:
    """Two processes' worth of one store; the second one never looks for commits by itself."""
    with closing(chat(tmp_path)) as ours, closing(chat(tmp_path)) as theirs:
        ours.start()
        yield ours, theirs


def test_a_reader_catches_up_with_the_store_and_not_with_memory(two: tuple[Chat, Chat]) -> None:
    """It is told that it has caught up when it has all that was committed before it came, wherever that was."""
    ours, theirs = two
    ours.submit(commands.SendMessage(message=commands.NewMessage("Ann", "one")), identity=None)
    theirs.open(VISITOR, "lobby").follow()  # in memory from now on, with one event
    ours.submit(commands.SendMessage(message=commands.NewMessage("Ann", "two")), identity=None)
    reactor = Reactor(theirs)
    handle = theirs.open(VISITOR, "lobby")
    near, far = socket.socketpair()
    near.setblocking(False)
    with far:
        peer = Listener(near)
        reactor.add(peer)
        begin = Subscription(handle, handle.follow(), Cursor(1))
        reactor.call(lambda: reactor.fanout.follow(peer, begin))
        until(lambda: peer.caught_up_at, what="caught up")
        assert peer.seqs == [2] and peer.caught_up_at == [handle.head().cursor]
        reactor.call(lambda: reactor.forget(peer))
    reactor.drain()


def test_a_sender_that_holds_no_thread_waits_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process has the lock: `outcome-unknown` in time, once; a repeat gets the event that is stored."""
    monkeypatch.setattr(reactors, "SWEEP", 0.01)
    monkeypatch.setattr(unanswered, "ANSWER_SECONDS", 0.01)
    said = commands.SendMessage(message=commands.NewMessage("Ann", "one"), client_id="once")
    outcomes: list[Any] = []
    near, far = socket.socketpair()
    near.setblocking(False)
    with far, closing(chat(tmp_path)) as ours:
        ours.start()
        reactor, peer = Reactor(ours), Listener(near)
        send = partial(reactor.submit, said, outcomes.append, peer, identity=None)
        with open(tmp_path / "quotechat.lock", "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            reactor.add(peer)
            reactor.call(send)
            until(lambda: outcomes, what="an answer while nothing can be stored")
        [unknown] = outcomes
        assert isinstance(unknown, OutcomeUnknown)
        monkeypatch.setattr(unanswered, "ANSWER_SECONDS", 60.0)
        reactor.call(send)
        until(lambda: len(outcomes) > 1, what="the answer to the repeat")
        assert outcomes[1].duplicate and outcomes[1].event.seq == 1
        reactor.call(lambda: reactor.forget(peer))

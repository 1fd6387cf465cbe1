"""Frames are read as fast as a socket and its address may send them: a new socket has no new burst."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from servers import until

from quotechat.hub.budgets.frames import BURST, PER_SECOND, SOCKETS, Addresses, Allowance
from quotechat.hub.budgets.limits import Budget, Limits, Rate
from quotechat.hub.chat import Chat
from quotechat.live.connection import Connection
from quotechat.live.reactor import Reactor
from quotechat.store.sqlite.store import SqliteStore
from quotechat.web.transports.websocket_client import Client
from quotechat.web.transports.websocket_peer import Socket

PING, PONG = b"\x89\x80mask", b"\x8a\x00"


def test_an_allowance_comes_back() -> None:
    """After a burst there are so many a second; one that rests has a whole burst again and no more."""
    allowance = Allowance(0.0)
    allowance.take(BURST, 0.0)
    assert allowance.wait(0.0) == 0
    allowance.take(PER_SECOND * 3, 0.0)
    assert allowance.wait(0.0) == 3 and allowance.wait(2.0) == 1 and allowance.wait(3.0) <= 0
    allowance.take(BURST, 1000.0)
    assert allowance.wait(1000.0) == 0
    allowance.take(1, 1000.0)
    assert allowance.wait(1000.0) > 0


def test_an_address_has_that_of_so_many_sockets() -> None:
    """Of its own, whatever others send; the one that was used longest ago is forgotten first."""
    addresses = Addresses(most=2)
    for _ in range(SOCKETS):
        addresses.of("192.0.2.1", 0.0).take(BURST, 0.0)
    assert addresses.of("192.0.2.1", 0.0).wait(0.0) == 0
    addresses.of("192.0.2.1", 0.0).take(PER_SECOND * SOCKETS, 0.0)
    assert addresses.of("192.0.2.1", 0.0).wait(0.0) == 1
    assert addresses.of("192.0.2.2", 0.0).wait(0.0) < 0
    assert addresses.of("192.0.2.1", 0.0).wait(0.0) == 1
    addresses.of("192.0.2.3", 0.0)
    assert addresses.of("192.0.2.1", 0.0).wait(0.0) == 1


@pytest.fixture(params=[True, False], ids=["limits", "no limits"])
def reactor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reactor]:
    """One with limits for clients, and one without."""
    store = SqliteStore(tmp_path / "quotechat.db")
    store.found(1_800_000_000_000)
    limits = Limits({"message": Rate(1e9, 1e9)}, {"socket": Budget(9, 9)}, per_client=request.param)
    with closing(Chat(store, limits)) as chat:
        reactor = Reactor(chat)
        yield reactor


def test_a_new_socket_waits_for_those_before_it(reactor: Reactor) -> None:
    """Its first bytes too, and those that came with its handshake; all are answered in the end."""
    limited = reactor.chat.limits.per_client
    began = time.monotonic()
    allowance = reactor.frames.of("192.0.2.1", began)
    allowance.take(int((BURST + 0.3 * PER_SECOND) * SOCKETS), began)
    near, far = socket.socketpair()
    near.setblocking(False)
    far.settimeout(60)
    with far:
        far.sendall(PING)
        peer = Socket(near, lambda: None, Connection(1000), Client(None, "192.0.2.1"), ahead=PING)
        reactor.add(peer)
        came = b""
        while len(came) < 4:
            came += far.recv(100)
        assert came == PONG * 2
        assert not limited or time.monotonic() - began > 0.3
    until(lambda: not reactor.live["websocket"], what="the end of the socket")


@pytest.mark.parametrize("reactor", [True], indirect=True, ids=["limits"])
def test_sockets_that_waited_go_on_one_after_the_other(reactor: Reactor) -> None:
    """When the debt is paid the first one that is read makes a new one, for which the next waits."""
    began = time.monotonic()
    reactor.frames.of("192.0.2.1", began).take(int((BURST + 0.1 * PER_SECOND) * SOCKETS), began)
    pairs = [socket.socketpair() for _ in range(3)]
    for near, far in pairs:
        near.setblocking(False)
        far.settimeout(60)
        far.sendall(PING * 1500)
        reactor.add(Socket(near, lambda: None, Connection(1000), Client(None, "192.0.2.1")))
    for _, far in pairs:
        came = 0
        while came < 3000:
            came += len(far.recv(4096))
        far.close()
    # 0.1 s of debt and two times the 1,500 frames: the third one waits for both.
    assert time.monotonic() - began > 0.1 + 2 * 1500 / (PER_SECOND * SOCKETS) - 0.05
    until(lambda: not reactor.live["websocket"], what="the end of the sockets")

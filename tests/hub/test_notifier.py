"""The notifier of one machine: wake-ups and hints between its workers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from servers import until

from quotechat.hub.background import notifier as module
from quotechat.hub.background.notifier import SocketNotifier

LONG = 60.0
"""Seconds for which a wait would last if nothing ended it."""


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[SocketNotifier]:
    with closing(SocketNotifier(tmp_path / "bells")) as notifier:
        yield notifier


@pytest.fixture
def theirs(tmp_path: Path, ours: SocketNotifier) -> Iterator[SocketNotifier]:
    with closing(SocketNotifier(tmp_path / "bells")) as notifier:
        yield notifier


def waited(notifier: SocketNotifier) -> threading.Thread:
    """A thread in the wait of `notifier`."""
    thread = threading.Thread(target=notifier.wait, args=(LONG,), daemon=True)
    thread.start()
    return thread


def test_a_wake_up_ends_the_wait_of_another_and_not_ones_own(ours: SocketNotifier, theirs: SocketNotifier) -> None:
    """It may come before the wait or during it; the one that notifies is not woken by it."""
    theirs.notify(["lobby"])
    began = time.monotonic()
    ours.wait(LONG)
    assert time.monotonic() - began < LONG / 2
    thread = waited(ours)
    theirs.notify(["lobby"])
    thread.join(LONG / 2)
    assert not thread.is_alive()
    with pytest.raises(BlockingIOError):
        theirs._socket.recv(1)


def test_hints_are_handed_over_once(ours: SocketNotifier, theirs: SocketNotifier) -> None:
    """In order; one that is empty or too long is not, and a wake-up is none."""
    for hint in ("one", "", "x" * (module.MOST_HINT + 1), "two"):
        theirs.pass_on(hint)
    theirs.notify(())
    ours.wait(LONG)
    assert ours.hints() == ["one", "two"]
    assert ours.hints() == []


def test_hints_that_nobody_takes_are_bounded(ours: SocketNotifier, theirs: SocketNotifier) -> None:
    """The oldest go first."""
    for number in range(module.MOST_HINTS + 10):
        theirs.pass_on(str(number))
        ours.wait(0)
    found = ours.hints()
    assert len(found) == module.MOST_HINTS and found[-1] == str(module.MOST_HINTS + 9)


def test_a_full_queue_keeps_nobody_waiting(ours: SocketNotifier, theirs: SocketNotifier) -> None:
    """Wake-ups beyond the kernel's queue are dropped: the other one looks anyway."""
    for _ in range(5_000):
        theirs.notify(())
    ours.wait(LONG)
    with pytest.raises(BlockingIOError):
        ours._socket.recv(1)


def test_the_socket_of_a_killed_worker_is_taken_away(
    ours: SocketNotifier, theirs: SocketNotifier, tmp_path: Path
) -> None:
    """The next wake-up finds that nobody listens; those who do are woken all the same."""
    theirs._socket.close()  # as a kill leaves it: the name stays
    with closing(SocketNotifier(tmp_path / "bells")) as third:
        ours.notify(())
        assert not (tmp_path / "bells" / theirs._name).exists()
        began = time.monotonic()
        third.wait(LONG)
        assert time.monotonic() - began < LONG / 2
    theirs._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def test_stop_ends_this_wait_and_the_next_ones(ours: SocketNotifier) -> None:
    """One that begins a moment after `stop` ends at once as well."""
    thread = waited(ours)
    ours.stop()
    thread.join(LONG / 2)
    assert not thread.is_alive()
    ours.wait(LONG)


def test_a_notifier_that_is_closed_leaves_nothing(tmp_path: Path) -> None:
    """Its name is gone from the directory."""
    directory = tmp_path / "bells"
    SocketNotifier(directory).close()
    assert list(directory.iterdir()) == []


def test_a_directory_deeper_than_an_address_holds_works(tmp_path: Path) -> None:
    """A socket's address has 107 bytes."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with closing(SocketNotifier(deep / "bells")) as one, closing(SocketNotifier(deep / "bells")) as other:
        one.notify(())
        other.wait(LONG)
        one.pass_on("hint")
        until(lambda: other.wait(0) or other.hints() == ["hint"], what="the hint")

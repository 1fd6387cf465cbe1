"""Downloads: one that waits, for its content or for the answer about its reader's right, holds up no other peer."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import until

from quotechat.live import downloads as module
from quotechat.live.downloads import Download, Downloads
from quotechat.store.files.bucket import StorageUnavailable

DATA = os.urandom(600_000)
BLOCK = 200_000


class Far:
    """A content whose blocks after the first come as `wait` returns."""

    path = None
    is_far = True

    def __init__(self, wait: Callable[[], Any] = bool) -> None:
        self._wait = wait

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, BLOCK):
            self._wait()
            yield DATA[at : min(stop, at + BLOCK)]


class Here:
    """A file of this machine."""

    is_far = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        raise AssertionError("it goes to the socket by itself")


@pytest.fixture
def downloads() -> Iterator[Downloads]:
    made = Downloads()
    yield made
    made.close()


def read_all(peer: socket.socket) -> bytes:
    peer.settimeout(60)
    found = b""
    while block := peer.recv(65_536):
        found += block
    return found


def begin(downloads: Downloads, content: Any, left: list[int], may: Callable[[], bool] = lambda: True) -> socket.socket:
    """The peer of a download that has begun; `left` grows when it has ended."""
    sock, peer = socket.socketpair()
    sock.setblocking(False)
    download = Download(sock, b"HEAD", content, 0, len(DATA), lambda: left.append(1), DATA[:BLOCK], may)
    downloads.add(download)
    return peer


def test_one_that_waits_holds_up_no_other(downloads: Downloads) -> None:
    """Its storage does not answer: others get all of theirs meanwhile, and it goes on when the storage does."""
    going, left = threading.Event(), list[int]()
    slow = begin(downloads, Far(lambda: going.wait(60)), left)
    with slow:
        for _ in range(3):
            with begin(downloads, Far(), left) as peer:
                assert read_all(peer) == b"HEAD" + DATA
        going.set()
        assert read_all(slow) == b"HEAD" + DATA
    until(lambda: len(left) == 4)


def test_one_whose_storage_fails_or_whose_peer_goes_ends(downloads: Downloads) -> None:
    """The answer is cut off, which its length tells; a peer that leaves while it is waited for is let go."""

    def fail() -> None:
        raise StorageUnavailable()

    going, asked, left = threading.Event(), threading.Event(), list[int]()

    def wait() -> None:
        asked.set()
        going.wait(60)

    with begin(downloads, Far(fail), left) as peer:
        assert read_all(peer) == b"HEAD" + DATA[:BLOCK]
    gone = begin(downloads, Far(wait), left)
    assert gone.recv(4 + BLOCK, socket.MSG_WAITALL) == b"HEAD" + DATA[:BLOCK]
    assert asked.wait(60)
    gone.close()
    until(lambda: len(left) == 2)
    going.set()
    with begin(downloads, Far(), left) as peer:
        assert read_all(peer) == b"HEAD" + DATA


def test_a_slow_question_about_one_right_holds_up_no_other(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store does not answer for one reader: others get all of theirs meanwhile, and it goes on when it does."""
    going, asked, left = threading.Event(), threading.Event(), list[int]()

    def may() -> bool:
        asked.set()
        return going.wait(60)

    monkeypatch.setattr(module, "_ASK_SECONDS", 0.0)
    slow = begin(downloads, Far(), left, may)
    with slow:
        assert asked.wait(60)
        monkeypatch.setattr(module, "_ASK_SECONDS", 600.0)
        for _ in range(3):
            with begin(downloads, Far(), left) as peer:
                assert read_all(peer) == b"HEAD" + DATA
        going.set()
        assert read_all(slow) == b"HEAD" + DATA
    until(lambda: len(left) == 4)


def test_a_file_of_this_machine_waits_for_no_other(
    downloads: Downloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage elsewhere answers nobody: a reader of a file that is here is asked for its right, and gets all."""
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.0)
    here = tmp_path / "here"
    here.write_bytes(DATA)
    going, left = threading.Event(), list[int]()
    waiting = [begin(downloads, Far(lambda: going.wait(60)), left) for _ in range(module._PREPARERS[True])]
    with begin(downloads, Here(here), left) as peer:
        assert read_all(peer) == b"HEAD" + DATA
    going.set()
    for each in waiting:
        with each:
            assert read_all(each) == b"HEAD" + DATA
    until(lambda: len(left) == len(waiting) + 1)


def test_a_question_that_fails_ends_the_download(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception about one reader's right cuts its answer off, and the next one is sent."""
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.0)
    left = list[int]()

    def may() -> bool:
        raise ZeroDivisionError

    with begin(downloads, Far(), left, may) as peer:
        assert read_all(peer) == b""
    with begin(downloads, Far(), left) as peer:
        assert read_all(peer) == b"HEAD" + DATA
    until(lambda: len(left) == 2)


def test_a_reader_whose_right_ends_gets_no_more(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that is on its way to it: the answer is cut off."""
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.0)
    for allowed in (True, False):
        sock, peer = socket.socketpair()
        sock.setblocking(False)
        content: Any = Far()
        with peer:
            downloads.add(
                Download(sock, b"HEAD", content, 0, len(DATA), bool, DATA[:BLOCK], lambda allowed=allowed: allowed)
            )
            assert (read_all(peer) == b"HEAD" + DATA) is allowed

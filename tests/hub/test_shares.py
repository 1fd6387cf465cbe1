"""The file descriptors of a worker, shared among its connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from quotechat.app import _limits
from quotechat.config import Settings
from quotechat.hub.budgets import descriptors
from quotechat.protocol.errors import Overloaded, RateLimited
from quotechat.serving.server import _fit


def test_all_kinds_together_are_fewer_than_there_are() -> None:
    """Connections that are held, at their end and being answered, with what a worker opens besides."""
    for files in range(256, 40_000, 7):
        held = descriptors.held(files, 10_000)
        others = descriptors.answered(files, held, threads=64)
        free = files - held - others - descriptors.lingering(files)
        assert free >= (descriptors.KEPT_FREE if files >= 1024 else 100), files


@pytest.mark.parametrize(
    ("files", "held", "lingering", "answered"),
    [(256, 32, 32, 65), (1024, 256, 128, 128), (2048, 1024, 256, 256), (20_000, 10_000, 1000, 8488),
     (1_048_576, 10_000, 1000, 20_000)],
)  # fmt: skip
def test_the_shares(files: int, held: int, lingering: int, answered: int) -> None:
    """With few descriptors there is something of each kind; with many, each has its own bound."""
    assert descriptors.held(files, 10_000) == held
    assert descriptors.lingering(files) == lingering
    assert descriptors.answered(files, held, threads=64) == answered


def test_no_more_are_held_than_were_asked_for() -> None:
    """A setting below what the descriptors allow stands as it is, and nothing is said of it."""
    assert descriptors.held(1_048_576, 7) == 7
    assert _fit(Settings(sockets_per_worker=7), 256).sockets_per_worker == 7


def test_a_start_with_few_descriptors_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The sockets are as many as fit, and one line names both numbers."""
    assert _fit(Settings(), 2048).sockets_per_worker == 1024
    assert "2048 file descriptors allow 1024 sockets per worker, not 10000" in capsys.readouterr().err


def test_sockets_and_streams_share_one_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it is for one address, and beyond the whole nothing is held, of whatever kind it is."""
    monkeypatch.setattr(descriptors, "limit", lambda: 2048)
    limits = _limits(Settings(data=tmp_path))
    for number in range(512):
        limits.enter(("socket", "poll", "download", "sender")[number % 4], f"client {number // 40}", "192.0.2.1")
    with pytest.raises(RateLimited):
        limits.enter("poll", "another", "192.0.2.1")
    for number in range(512):
        limits.enter("socket", f"other {number // 20}", "192.0.2.2")
    for kind in ("socket", "poll", "download", "sender", "upload"):
        with pytest.raises(Overloaded):
            limits.enter(kind, "a third", "192.0.2.3")
    limits.leave("socket", "other 0", "192.0.2.2")
    limits.enter("poll", "a third", "192.0.2.3")
    limits.close()


def test_an_address_makes_the_rooms_of_two_clients(tmp_path: Path) -> None:
    """However many identities come from it; another address has its own share."""
    limits = _limits(Settings(data=tmp_path, rooms_per_hour=10))
    for number in range(20):
        limits.allow("room", f"client {number}", "192.0.2.1")
    with pytest.raises(RateLimited):
        limits.allow("room", "client 20", "192.0.2.1")
    limits.allow("room", "client 20", "192.0.2.2")
    limits.close()

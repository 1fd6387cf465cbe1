"""The write that tells whether writes can succeed, with a real supervised thread and no store."""

from __future__ import annotations

import threading

import pytest

from quotechat import supervision
from quotechat.hub.background import probe as module
from quotechat.hub.background.probe import WriteProbe
from quotechat.supervision import Supervised


def test_a_writer_that_restarts_meanwhile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread meets a fault after the write was queued: the answer is its state, at once, not that of later."""
    # The pause lasts until the end of the thread is asked for, however late this one looks.
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 600.0)
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    fault, end = threading.Event(), threading.Event()

    def work() -> None:
        if not fault.is_set():
            fault.wait(60)
            raise OSError("a fault")
        end.wait(60)

    writer = Supervised("writer", work)
    writer.start()
    probe = WriteProbe(lambda done: fault.set(), writer)
    assert probe.look() == "restarting"
    end.set()
    writer.join(60)
    assert probe.look() == "ended"

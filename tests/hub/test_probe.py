"""The write that tells whether writes can succeed, with a real supervised thread and no store."""

from __future__ import annotations

import threading

from quotechat.hub.background.probe import WriteProbe
from quotechat.supervision import Supervised


def test_a_writer_that_restarts_meanwhile_is_named() -> None:
    """The thread meets a fault after the write was queued: the answer is its state, at once, not that of later."""
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

"""Blinker signals for the application around the chat: stored events, sent after their commit.

They are sent by the process that stored the event, once, on a thread of their own: a slow receiver holds up
neither senders nor readers. Receivers get the application as the sender, within its context, and `event`, the
envelope that readers get (protocol §2). An exception of a receiver is logged.

A signal is sent at most once: it is lost if the process dies before. A receiver that must miss nothing reads the log
with a cursor, like every client.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Sequence

from blinker import Namespace
from flask import Flask

from .protocol import events
from .protocol.events import Event
from .supervision import Supervised

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Events that may wait for receivers; beyond it they are dropped, and that is logged."""

_signals = Namespace()
message_sent = _signals.signal(events.MESSAGE_SENT)
message_edited = _signals.signal(events.MESSAGE_EDITED)
message_deleted = _signals.signal(events.MESSAGE_DELETED)
reactions_changed = _signals.signal(events.REACTIONS_CHANGED)
quote_added = _signals.signal(events.QUOTE_ADDED)
quote_removed = _signals.signal(events.QUOTE_REMOVED)
room_changed = _signals.signal(events.ROOM_CHANGED)
member_joined = _signals.signal(events.MEMBER_JOINED)
member_changed = _signals.signal(events.MEMBER_CHANGED)
member_left = _signals.signal(events.MEMBER_LEFT)


class SignalSender:
    """Sends the signals of one application."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._waiting: queue.Queue[Event | None] = queue.Queue(MOST_WAITING)
        self.thread = Supervised("signals", self._run)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def committed(self, stored: Sequence[Event]) -> None:
        """For `Chat.on_commit`: never waits."""
        for event in stored:
            if not _signals.signal(event.command).receivers:
                continue
            try:
                self._waiting.put_nowait(event)
            except queue.Full:
                log.error("receivers of signals are %d events behind: one was dropped", MOST_WAITING)

    def close(self, seconds: float = 5.0) -> None:
        """Send the pending signals, then end."""
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:
            return
        self.thread.join(seconds)

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            for receiver in _signals.signal(event.command).receivers_for(self._app):
                self._tell(receiver, event)

    def _tell(self, receiver: object, event: Event) -> None:
        assert callable(receiver)
        try:
            with self._app.app_context():
                receiver(self._app, event=event.envelope)
        except Exception:
            log.exception("a receiver of %s failed", event.command)

"""Metrics for Prometheus: the plain counters of hub and reactor, of all workers together.

The code that works counts plain numbers only. They are carried over here, at each scrape and once a
second, so that a delivery costs nothing for it. Workers share files in a directory of the master's
(`serving/hooks.py`), in prometheus-client's multi-process mode; a scrape may be a second behind for the others.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from ... import supervision
from ...hub.chat import Chat
from ...hub.tally import Tally
from ...live.reactor import Reactor
from ..http import problems
from ..http.services import services_of

CARRY_EVERY = 1.0
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that prometheus-client reads, once, when it is imported."""

_GAUGES = {
    "held_polls": "Long-polls held now.",
    "sockets": "WebSockets open now.",
    "kept_senders": "Connections whose messages are taken without a thread.",
    "feeds": "Rooms whose tail is kept in memory, by every worker for itself.",
    "reactor_queue": "Actions that wait for the reactor's thread.",
    "workers": "Workers that serve.",
}
_COUNTERS = {
    "commits": "Transactions committed.",
    "stored": "Commands stored.",
    "appended": "Events appended to logs.",
    "resumes": "WebSockets and streams that began behind the head.",
}
_HISTOGRAMS = {
    "append_seconds": "From the queueing of a command to the end of its commit.",
    "batch_size": "Commands in one transaction.",
    "fanout_seconds": "From the news of events to the last send of the round that carried them.",
}

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # as it is published


class Metrics:
    """The metrics of one application; `text` is the answer."""

    def __init__(self, chat: Chat, reactor: Reactor) -> None:
        self._chat = chat
        self._reactor = reactor
        self._registry = CollectorRegistry()
        self._shared = os.environ.get(DIRECTORY)
        with self._alone():
            self._make()
        self._carried: dict[str | tuple[str, str | int], float] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()

    def _make(self) -> None:
        self._gauges = {name: self._gauge(name, text) for name, text in _GAUGES.items()}
        self._streams = self._gauge("streams", "Streams open now, by framing.", "framing")
        # The same for all workers: the one that looked last knows it.
        self._scheduled = Gauge(
            "quotechat_scheduled_waiting", "Scheduled messages that wait.", registry=self._registry,
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self._counters = {
            name: Counter(f"quotechat_{name}", text, registry=self._registry) for name, text in _COUNTERS.items()
        }
        self._problems = Counter("quotechat_problems", "Refusals, by code.", ["code"], registry=self._registry)
        self._faults = Counter(
            "quotechat_faults", "Exceptions that ended one connection or restarted a thread, by place.", ["place"],
            registry=self._registry,
        )  # fmt: skip
        self._tallies: dict[str, Tally] = {**self._chat.tallies(), "fanout_seconds": self._reactor.fanout.lag}
        self._histograms = {
            name: Histogram(f"quotechat_{name}", text, buckets=self._tallies[name].bounds, registry=self._registry)
            for name, text in _HISTOGRAMS.items()
        }

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other worker reads or writes the files: one that is just made, or half written, is no figure."""
        if self._shared is None:
            yield
            return
        with open(Path(self._shared, "lock"), "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed, by the end of a process too
            yield

    def start(self) -> None:
        """Carry over once a second, if other workers answer for this one too."""
        if self._shared:
            supervision.Supervised("metrics", self._run).start()

    def stop(self) -> None:
        """Carry over the last figures, and stop."""
        self._over.set()
        self.carry()

    def text(self) -> bytes:
        """Return the figures of all workers, in Prometheus' text format."""
        self.carry(self._chat.waiting())
        if not self._shared:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]  # as it is published
        with self._alone():
            return generate_latest(everyone)

    def carry(self, scheduled: int | None = None) -> None:
        """Bring Prometheus's figures up to the counters."""
        with self._lock, self._alone():
            figures = {**self._chat.figures(), **self._reactor.figures(), "workers": 1.0}
            if scheduled is not None:
                self._scheduled.set(scheduled)
            for name, gauge in self._gauges.items():
                if self._more(name, figures[name]) is not None:
                    gauge.set(figures[name])
            for framing in ("ndjson", "sse"):
                self._streams.labels(framing).set(self._reactor.live[framing])
            for name, counter in self._counters.items():
                if (more := self._more(name, figures[name])) is not None:
                    counter.inc(more)
            for code, count in problems.counted().items():
                if (more := self._more(f"problem {code}", count)) is not None:
                    self._problems.labels(code).inc(more)
            for place, count in supervision.counted().items():
                if (more := self._more(f"fault {place}", count)) is not None:
                    self._faults.labels(place).inc(more)
            for name, histogram in self._histograms.items():
                self._carry_tally(name, histogram, self._tallies[name])

    def _carry_tally(self, name: str, histogram: Histogram, tally: Tally) -> None:
        # The published way takes one observation at a time.
        for place, count in enumerate(tally.counts):
            if (more := self._more((name, place), count)) is not None:
                histogram._buckets[place].inc(more)
        if (more := self._more((name, "sum"), tally.total)) is not None:
            histogram._sum.inc(more)

    def _more(self, name: str | tuple[str, str | int], now: float) -> float | None:
        """By how much it has grown since it was carried over; None if it is the same, so that nothing is written."""
        before = self._carried.get(name)
        if before == now:
            return None
        self._carried[name] = now
        return max(0.0, now - (before or 0.0))

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"quotechat_{name}", text, labels, registry=self._registry, multiprocess_mode="livesum")

    def _run(self) -> None:
        while not self._over.wait(CARRY_EVERY):
            self.carry()


def install(app: Flask, chat: Chat) -> None:
    """Give `app` its figures."""
    ours = services_of(app)
    found = ours.metrics = Metrics(chat, ours.reactor)
    chat.on_drain(found.stop)
    found.start()



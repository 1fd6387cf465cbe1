"""A stop and a reload under load: who is told what, after how many milliseconds, and that nothing is lost.

Hundreds of sockets and held polls stand in one thread here, each a plain connection; writers go on all the while.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from checker import Least, Violation, check
from clients import Http
from deployment import Deployment, kill
from servers import until
from stage import Stage
from websocket_peer import Broken, WebSocket

from quotechat.client.backoff import Backoff

SECONDS = 15.0
_RESTART_PAUSE = 0.4
"""Seconds that our clients add to their jitter after 1012 (static/js/transports/websocket.js)."""


@dataclass
class Restart:
    """What came of one signal. All times are milliseconds after it; at `serving` the new workers were there."""

    signal: str
    sockets: int
    polls: int
    told: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    serving: float = 0.0
    hints: list[int] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    refused: int = 0
    posts: int = 0
    violations: list[Violation] = field(default_factory=list)

    @property
    def within(self) -> float:
        """When the last of all was told, counted from the signal, or at a reload from the new workers' start."""
        return max(self.told + self.answered) - self.serving


def restart(deployment: Deployment, data: Path, number: signal.Signals, sockets: int, polls: int) -> Restart:
    """Send `number` to the master while so many wait; then everybody comes back and reads the log whole."""
    stage = Stage(deployment, data, 1, 0)
    found = Restart(number.name, sockets, polls)
    with stage.serving():
        old = deployment.workers()
        herd = Herd(deployment.urls[0], sockets, polls)
        stage.senders(4, rate=10, transport="post")
        readers = stage.readers(["long", "ws", "ndjson"])
        until(lambda: min(each.seq for each in readers) > 5, what="some messages")
        with stage.history.fault(number.name):
            for master in deployment.masters():
                kill(master, number)
            herd.watch(found, lambda: _serving(deployment, old))
            if number == signal.SIGTERM:
                until(lambda: not deployment.workers(), 120, "the end")
                deployment.start()
            else:
                until(lambda: not set(old) & set(deployment.workers()), 120, "the old workers' end")
            herd.come_back(found)
    found.posts = len(stage.history.sends)
    found.refused = sum(send.outcome != "ok" for send in stage.history.sends if send.ended)
    found.violations = check(stage.history, Least(acked=10, events=10, faults=1, final=5))
    return found


def _serving(deployment: Deployment, old: list[int]) -> bool:
    """Whether new workers have opened the database, which is the last thing they do before they serve."""
    new = set(deployment.workers()) - set(old)
    return len(new) >= len(old) and all(_has_opened(pid) for pid in new)


def _has_opened(pid: int) -> bool:
    try:
        return any("quotechat.db" in os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


class Herd:
    """Many who wait, the polls in a room where nothing happens: what is said elsewhere would end them by itself."""

    def __init__(self, url: str, sockets: int, polls: int) -> None:
        self._url = url
        self._chance = random.Random(1)
        with contextlib.closing(Http()) as http:
            http.ask(url, "POST", "/api/v1/rooms", {"name": "quiet"})
        parts = urlsplit(url)
        asked = f"GET /api/v1/rooms/quiet/events?after=now&wait=25 HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
        self._sockets = {ws.socket.fileno(): ws for ws in (WebSocket(url, seconds=60) for _ in range(sockets))}
        self._polls: dict[int, socket.socket] = {}
        for _ in range(polls):
            poll = socket.create_connection((parts.hostname, parts.port or 80))
            poll.sendall(asked.encode())
            self._polls[poll.fileno()] = poll
        until(lambda: _held(url) >= polls, what="that all polls are held")
        assert not self._ready(0), "a poll was not held"

    def _ready(self, milliseconds: int) -> list[int]:
        waiting = select.poll()
        for number in [*self._sockets, *self._polls]:
            waiting.register(number, select.POLLIN)
        return [number for number, _ in waiting.poll(milliseconds)]

    def watch(self, found: Restart, serving: Callable[[], bool]) -> None:
        """Note when each socket gets its close frame and each poll its answer."""
        began = time.monotonic()
        while (self._sockets or self._polls) and time.monotonic() - began < SECONDS:
            ready = self._ready(20)
            now = (time.monotonic() - began) * 1000
            for number in ready:
                if number in self._polls:
                    found.answered.append(now)
                    found.hints.append(_hint(self._polls.pop(number)))
                elif _told(self._sockets[number]):
                    found.told.append(now)
                    self._sockets.pop(number).leave()
            if not found.serving and serving():
                found.serving = (time.monotonic() - began) * 1000
        assert not self._sockets and not self._polls, f"{len(self._sockets)}, {len(self._polls)} were told nothing"

    def come_back(self, found: Restart) -> None:
        """Each socket opens again after the pause that our clients make when they are told."""
        pauses = [Backoff(chance=self._chance.random).next(_RESTART_PAUSE) * 1000 for _ in found.told]
        due = sorted(told + pause for told, pause in zip(found.told, pauses, strict=True))
        began = time.monotonic()
        for moment in due:
            time.sleep(max(0.0, (moment - due[0]) / 1000 - (time.monotonic() - began)))
            WebSocket(self._url, "room=quiet&after=now").leave()
            found.back.append(moment)


def _held(url: str) -> int:
    """How many polls the workers hold together."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        found = re.search(r"^quotechat_held_polls\S* (\d+)", answer.read().decode(), re.MULTILINE)
    return int(found[1]) if found else 0


def _told(ws: WebSocket) -> bool:
    """Whether its connection has been closed, which must be said with 1012."""
    try:
        ws.receive(0)
    except Broken:
        assert ws.close_code == 1012, f"closed with {ws.close_code}"
        return True
    return False


def _hint(poll: socket.socket) -> int:
    """The `retry_in_ms` of the answer that came, which holds no event."""
    with poll:
        poll.settimeout(60)
        came = b""
        while not came.endswith(b"}"):
            part = poll.recv(65_536)
            assert part, came
            came += part
        head, _, body = came.partition(b"\r\n\r\n")
    page = json.loads(body)
    assert head.startswith(b"HTTP/1.1 200") and page["events"] == [], head
    return int(page["retry_in_ms"])

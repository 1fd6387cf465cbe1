"""Hundreds of scheduled messages, two workers, and kill -9 in the middle: each is delivered, once."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from deployment import Gunicorn
from servers import until

GUESTS = 10
EACH = int(os.environ.get("QUOTECHAT_TEST_SCHEDULED", "30"))
"""One identity may have 100 waiting."""
LATEST = timedelta(seconds=30)
"""Beside load. Alone it is some milliseconds."""
ROOM = "/api/v1/rooms/lobby"


def log(url: str) -> list[dict[str, Any]]:
    """Every event, from the oldest."""
    found: list[dict[str, Any]] = []
    after, more = "0", True
    while more:
        page = requests.get(f"{url}{ROOM}/events?after={after}", timeout=60).json()
        found += page["events"]
        after, more = page["cursor"], page["more"]
    return found


def schedule(url: str, guest: int, first: datetime) -> None:
    """Messages a tenth of a second apart, each by RFC 3339 time."""
    user = f"Guest {guest}"
    token = requests.post(f"{url}/api/v1/guests", json={"user": user}, timeout=60).json()["token"]
    session = requests.Session()
    # On connections of their own: a kept one that rests for 2 s on a busy machine is ended.
    session.headers.update({"Authorization": f"Bearer {token}", "Connection": "close"})
    for number in range(EACH):
        due = (first + timedelta(milliseconds=100 * number + 10 * guest)).isoformat(timespec="milliseconds")
        # Half of them have no client_id: once is not a matter of that.
        key = {"client_id": f"{guest}-{number}"} if number % 2 else {}
        body = {"user": user, "message": f"{due} {guest}-{number}", "send_at": due, **key}
        assert session.post(f"{url}{ROOM}/messages", json=body, timeout=60).status_code == 202


def margin(url: str) -> timedelta:
    """Return four times what this machine, as busy as it is, takes to schedule them all; 8 s at least."""
    began = time.monotonic()
    for _ in range(EACH):
        assert requests.get(f"{url}{ROOM}/events?after=now", timeout=60).ok  # slower than to schedule on a session
    return timedelta(seconds=max(8.0, 4 * GUESTS * (time.monotonic() - began)))


def head(url: str) -> int:
    """How many events there are."""
    return int(requests.get(f"{url}{ROOM}/events?after=now", timeout=60).json()["cursor"].partition(".")[0])


def test_each_scheduled_message_comes_once(tmp_path: Path) -> None:
    """Those that were due while nobody ran come at once, the others when they are due."""
    server = Gunicorn(tmp_path, workers=2)
    url = server.urls[0]
    try:
        server.start()
        first = datetime.now(UTC) + margin(url)
        with ThreadPoolExecutor(GUESTS) as pool:
            list(pool.map(lambda guest: schedule(url, guest, first), range(GUESTS)))
        ahead = (first - datetime.now(UTC)).total_seconds()
        assert ahead > 0, "something was due before all were scheduled"
        until(lambda: head(url) >= GUESTS * EACH * 0.4, ahead + 120, "four in ten")
        server.kill_all()
        killed = datetime.now(UTC)
        time.sleep(1)  # some become due while nobody runs
        server.start()
        up = datetime.now(UTC)
        until(lambda: head(url) >= GUESTS * EACH, 120, "all of them")
        time.sleep(1.5)  # for one that would come twice
        events = log(url)
    finally:
        server.kill_all()
    assert [event["seq"] for event in events] == list(range(1, GUESTS * EACH + 1))
    assert {event["message"]["message"].split()[1] for event in events} == {
        f"{guest}-{number}" for guest in range(GUESTS) for number in range(EACH)
    }
    for event in events:
        due, came = (datetime.fromisoformat(text) for text in (event["message"]["message"].split()[0], event["at"]))
        assert came >= due - timedelta(milliseconds=1)
        late = came - (due if came <= killed else max(due, up))
        assert late < LATEST, f"{late} late"

"""A worker without a descriptor to spare refuses what would hold one, and forgets nobody's place."""

from __future__ import annotations

import contextlib
import http.client
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from servers import Running, environment, quotechat, running, until

EVENTS = "/api/v1/rooms/lobby/events"


@contextlib.contextmanager
def without_descriptors(server: Running) -> Iterator[None]:
    """Let the worker open nothing more; what is open goes on."""
    (worker,) = until(server.workers, what="a worker")
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("target", "accept"), [
    (f"{EVENTS}?after=now&wait=20", "application/json"),
    (EVENTS, "text/event-stream"),
    (EVENTS, "application/x-ndjson"),
])  # fmt: skip
def test_places_come_back(tmp_path: Path, target: str, accept: str) -> None:
    """Polls and streams that could not be held are told 503, and hold no place from then on."""
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path))
    with running(command, env=environment(QUOTECHAT_POLLS_PER_CLIENT="3")) as server, contextlib.ExitStack() as stack:
        parts = urlsplit(server.url)
        asked = [http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60) for _ in range(8)]
        for connection in asked:
            stack.callback(connection.close)
            connection.request("GET", f"{EVENTS}?after=now")
            connection.getresponse().read()
        with without_descriptors(server):
            for connection in asked:
                connection.request("GET", target, headers={"Accept": accept})
                answer = connection.getresponse()
                assert (answer.status, answer.headers["X-Content-Type-Options"]) == (503, "nosniff")
                assert b'"overloaded"' in answer.read() and answer.headers["Retry-After"]
        for _ in range(3):
            held = stack.enter_context(requests.get(f"{server.url}{EVENTS}", stream=True, timeout=60,
                                                    headers={"Accept": "application/x-ndjson"}))  # fmt: skip
            assert held.status_code == 200
        refused = requests.get(f"{server.url}{EVENTS}", headers={"Accept": "application/x-ndjson"}, timeout=60)
        assert refused.status_code == 429


def test_a_stored_message_is_acknowledged(tmp_path: Path) -> None:
    """A connection that cannot be kept for the next message has its answer all the same, and so has the next."""
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path))
    with running(command, env=environment(QUOTECHAT_SOCKETS_PER_CLIENT="1")) as server, requests.Session() as session:
        url = f"{server.url}/api/v1/rooms/lobby/messages"
        assert session.post(url, json={"user": "Ann", "message": "first"}).status_code == 201
        with without_descriptors(server):
            for text in ("second", "third", "fourth"):
                assert session.post(url, json={"user": "Ann", "message": text}).status_code == 201
        assert session.post(url, json={"user": "Ann", "message": "fifth"}).status_code == 201

        def kept() -> bool:
            session.post(url, json={"user": "Ann", "message": "more"})
            time.sleep(0.2)
            figures = requests.get(f"{server.url}/metrics").text
            return re.search(r"^quotechat_kept_senders\S* 1", figures, re.MULTILINE) is not None

        until(kept, what="a kept connection")

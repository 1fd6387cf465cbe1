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


def is_refused(server: Running, target: str, accept: str) -> bool:
    """Whether an open connection got its answer, 503.

    False if it was at rest for two seconds, and so ended, or if the server needed another connection to its store, as
    it does while its own looks have those that are open: then it says 500.
    """
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", f"{EVENTS}?after=now")
        connection.getresponse().read()
        with without_descriptors(server):
            try:
                connection.request("GET", target, headers={"Accept": accept})
                answer = connection.getresponse()
            except ConnectionError:
                return False
            if answer.status == 500:
                return False
            assert (answer.status, answer.headers["X-Content-Type-Options"]) == (503, "nosniff")
            assert b'"overloaded"' in answer.read() and answer.headers["Retry-After"]
    return True


@pytest.mark.parametrize(("target", "accept"), [
    (f"{EVENTS}?after=now&wait=20", "application/json"),
    (EVENTS, "text/event-stream"),
    (EVENTS, "application/x-ndjson"),
])  # fmt: skip
def test_places_come_back(tmp_path: Path, target: str, accept: str) -> None:
    """Polls and streams that could not be held are told 503, and hold no place from then on."""
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path))
    with running(command, env=environment(QUOTECHAT_POLLS_PER_CLIENT="3")) as server, contextlib.ExitStack() as stack:
        for _ in range(8):
            until(lambda: is_refused(server, target, accept), what="a refusal")
        for _ in range(3):
            held = stack.enter_context(requests.get(f"{server.url}{EVENTS}", stream=True, timeout=60,
                                                    headers={"Accept": "application/x-ndjson"}))  # fmt: skip
            assert held.status_code == 200
        refused = requests.get(f"{server.url}{EVENTS}", headers={"Accept": "application/x-ndjson"}, timeout=60)
        assert refused.status_code == 429


def test_a_stored_message_is_acknowledged(tmp_path: Path) -> None:
    """A connection that cannot be kept for the next message has its answer all the same, and so has the next."""
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path))
    env = environment(QUOTECHAT_SOCKETS_PER_CLIENT="1", QUOTECHAT_MESSAGES_BURST="1000")
    with running(command, env=env) as server, requests.Session() as session:
        url = f"{server.url}/api/v1/rooms/lobby/messages"

        def acknowledged() -> bool:
            """False as above; in the place of a connection that was ended another one cannot be accepted."""
            assert session.post(url, json={"user": "Ann", "message": "first"}).status_code == 201
            with without_descriptors(server):
                for text in ("second", "third", "fourth"):
                    try:
                        answer = session.post(url, json={"user": "Ann", "message": text}, timeout=15)
                    except (requests.ConnectionError, requests.Timeout):
                        return False
                    if answer.status_code in (500, 503):
                        return False
                    assert answer.status_code == 201
            return True

        until(acknowledged, what="an acknowledgement of each")
        assert session.post(url, json={"user": "Ann", "message": "fifth"}).status_code == 201

        def kept() -> bool:
            session.post(url, json={"user": "Ann", "message": "more"})
            time.sleep(0.2)
            figures = requests.get(f"{server.url}/metrics").text
            return re.search(r"^quotechat_kept_senders\S* 1", figures, re.MULTILINE) is not None

        until(kept, what="a kept connection")

"""The order of checks: an unknown room comes before a limit, over every transport (docs/protocol.md, Accounts)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from servers import Running, environment, quotechat, running
from websockets.sync.client import connect


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose visitors have to wait after one message, and after the page of the reference."""
    env = environment(
        QUOTECHAT_MESSAGES_BURST="1", QUOTECHAT_MESSAGES_PER_SECOND="0.001", QUOTECHAT_READS_BURST="1000",
        QUOTECHAT_READS_PER_SECOND="1", QUOTECHAT_CLIENTS_PER_ADDRESS="1000",
    )  # fmt: skip
    data = tmp_path_factory.mktemp("data")
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=env) as server:
        yield server


class Visitor:
    """A visitor that has said one message, and has read too much."""

    def __init__(self, server: Running, name: str) -> None:
        self.message = {"user": name, "message": "Hello!"}
        self.url = server.url
        self.session = requests.Session()
        token = self.session.post(f"{server.url}/api/v1/guests", json={"user": name}).json()["token"]
        self.bearer = {"Authorization": f"Bearer {token}"}
        self.session.headers.update(self.bearer)
        assert self.say("lobby").status_code == 201
        assert self.session.get(f"{server.url}/reference").status_code == 200  # costs more rows than there are

    def say(self, room: str) -> requests.Response:
        return self.session.post(f"{self.url}/api/v1/rooms/{room}/messages", json=self.message)


REFUSALS = [("lobby", (429, "rate-limited")), ("nowhere", (404, "room-unknown"))]


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_limit_of_writing_is_told_of_rooms_that_are_there(spent: Running) -> None:
    """As a message, as a command and as the form of a page, on a connection that is kept."""
    visitor = Visitor(spent, "Azin")
    command = {"command": "send-message", "message": visitor.message}
    for room, expected in REFUSALS * 2:
        assert code(visitor.say(room)) == expected
        assert code(visitor.session.post(f"{spent.url}/api/v1/rooms/{room}/commands", json=command)) == expected
        form = visitor.session.post(f"{spent.url}/rooms/{room}/messages", data=visitor.message)
        assert form.status_code == expected[0]


def test_a_limit_of_reading_is_told_of_rooms_that_are_there(spent: Running) -> None:
    """Snapshots, messages, events and polls."""
    visitor = Visitor(spent, "Bo")
    for room, expected in REFUSALS:
        for path in ("", "/messages", "/events", "/events?wait=1"):
            assert code(visitor.session.get(f"{spent.url}/api/v1/rooms/{room}{path}")) == expected, path


def test_a_limit_on_a_websocket_is_told_of_rooms_that_are_there(spent: Running) -> None:
    """Commands that write and that subscribe: each has its answer, with its `client_id`."""
    visitor = Visitor(spent, "Cleo")
    address = f"{spent.url.replace('http', 'ws', 1)}/api/v1/ws"
    with connect(address, additional_headers=visitor.bearer) as ws:
        for room, (_, expected) in REFUSALS:
            send = {"command": "send-message", "room": room, "message": visitor.message, "client_id": f"{room}-send"}
            assert refusal(ws, send) == expected
            follow = {"command": "subscribe", "room": room, "after": "now", "client_id": f"{room}-follow"}
            assert refusal(ws, follow) == expected


def test_ones_own_scheduled_message_is_there_beyond_a_limit(spent: Running) -> None:
    """It can be cancelled in a room that is lost, so the limit is the answer, and not that nothing is there."""
    visitor = Visitor(spent, "Dora")
    path = f"{spent.url}/api/v1/rooms/nowhere"
    cancel = {"command": "cancel-scheduled", "scheduled": {"id": 1}, "client_id": "cancel", "room": "nowhere"}
    assert code(visitor.session.delete(f"{path}/scheduled/1")) == (429, "rate-limited")
    assert code(visitor.session.post(f"{path}/commands", json=cancel)) == (429, "rate-limited")
    with connect(f"{spent.url.replace('http', 'ws', 1)}/api/v1/ws", additional_headers=visitor.bearer) as ws:
        assert refusal(ws, cancel) == "rate-limited"


def refusal(ws: Any, envelope: dict[str, Any]) -> str:
    """The code with which the server refuses this."""
    ws.send(json.dumps(envelope))
    while True:
        found = json.loads(ws.recv(timeout=30))
        if found.get("client_id") == envelope["client_id"]:
            return str(found["error"]["code"])

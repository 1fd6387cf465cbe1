"""A line for each request, with the id that its answer has; nothing in it that is nobody's business."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from servers import Running, environment, quotechat, running, until
from websockets.sync.client import connect

from quotechat import create_app
from quotechat.config import Settings

SECRET = "violet-kumquat"
"""Stands in all that must not be logged."""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that logs everything."""
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_LOG_FORMAT="json", QUOTECHAT_LOG_REQUESTS="on")
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=env) as server:
        yield server


def lines(server: Running, request_id: str) -> list[dict[str, Any]]:
    """What was logged of one request."""
    return [json.loads(line) for line in list(server.lines) if request_id in line]


def line(server: Running, request_id: str) -> dict[str, Any]:
    """The one line of one request."""
    found = until(lambda: lines(server, request_id), what="the line")
    assert len(found) == 1
    return found[0]


def test_each_request_has_an_id(client: FlaskClient) -> None:
    """In the header and in a problem alike; another for each, and none that a client chose."""
    answers = [client.get(path, headers={"X-Request-Id": "mine"}) for path in ("/healthz", "/", "/x", "/api/v1/x")]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 4 and all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)
    assert answers[3].get_json()["request_id"] == ids[3]


def test_a_trusted_proxy_names_requests(tmp_path: Path) -> None:
    """Its id is taken where it is one, so that both logs tell of the same."""
    app = create_app(Settings(data=tmp_path, trusted_proxies=1))
    client = app.test_client()
    assert client.get("/healthz", headers={"X-Request-Id": "front-1.a_B"}).headers["X-Request-Id"] == "front-1.a_B"
    for wrong in ("", "a b", "x" * 65, "<script>"):
        assert client.get("/healthz", headers={"X-Request-Id": wrong}).headers["X-Request-Id"] != wrong
    app.extensions["quotechat"].close()


def test_a_fault_is_logged_with_its_id(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """Also where requests are not: the id that the client was told finds the traceback."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.extensions["quotechat"].rooms = lambda: 1 / 0
    answer = app.test_client().get(f"/api/v1/rooms?x={SECRET}")
    told = [record.about["request_id"] for record in caplog.records if hasattr(record, "about")]
    assert answer.status_code == 500 and told == [answer.get_json()["request_id"]] * 2
    assert SECRET not in caplog.text


def test_a_request_is_one_line(logged: Running) -> None:
    """Method, route, status, time, bytes, transport; not the address, let alone the query."""
    answer = requests.get(f"{logged.url}/api/v1/rooms/lobby?limit=3&x={SECRET}")
    found = line(logged, answer.headers["X-Request-Id"])
    expected = {"event": "request", "method": "GET", "route": "/api/v1/rooms/<room>", "status": 200,
                "bytes": len(answer.content), "transport": "http"}  # fmt: skip
    assert {name: found[name] for name in expected} == expected and found["ms"] > 0
    assert line(logged, requests.get(f"{logged.url}/{SECRET}").headers["X-Request-Id"])["route"] == "(none)"


def test_polls_and_messages_over_one_connection(logged: Running) -> None:
    """Those that the reactor answers have a line and an id each, too."""
    events, messages = (f"{logged.url}/api/v1/rooms/lobby/{name}" for name in ("events", "messages"))
    with requests.Session() as session:
        polls = [session.get(f"{events}?after={requests.get(events).json()['cursor']}&wait=0.2") for _ in range(3)]
    with requests.Session() as session:
        sends = [session.post(messages, json={"user": "Ann", "message": SECRET}) for _ in range(4)]
    answers = [(polls, "long-poll", 200), (sends, "http", 201)]
    assert len({answer.headers["X-Request-Id"] for answer in polls + sends}) == 7
    for group, transport, status in answers:
        for answer in group:
            found = line(logged, answer.headers["X-Request-Id"])
            assert (found["transport"], found["status"], found["bytes"]) == (transport, status, len(answer.content))
    assert all(line(logged, poll.headers["X-Request-Id"])["ms"] > 150 for poll in polls)


def test_live_connections_are_one_line_at_their_end(logged: Running) -> None:
    """How long, how much, how many events, and with which code it was closed."""

    def ended(transport: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in list(logged.lines) if '"event": "connection"' in line]
        return [each for each in found if each["transport"] == transport]

    api = f"{logged.url}/api/v1/rooms"
    requests.post(api, json={"name": "ends"})
    for _ in range(2):
        requests.post(f"{api}/ends/messages", json={"user": "Ann", "message": SECRET})
    url = logged.url.replace("http", "ws", 1) + "/api/v1/ws?room=ends&after=0"
    earlier = len(ended("websocket"))
    with connect(url) as ws:
        for _ in range(3):
            ws.recv(timeout=60)
        requests.post(f"{api}/ends/messages", json={"user": "Ann", "message": SECRET})
        ws.recv(timeout=60)
    found = until(lambda: ended("websocket")[earlier:], what="the line of the WebSocket")[0]
    assert (found["events"], found["code"], found["route"]) == (3, 1000, "/api/v1/ws")
    assert found["bytes_out"] > 500 and found["bytes_in"] > 0 and found["seconds"] >= 0
    for kind in ("application/x-ndjson", "text/event-stream"):
        with requests.get(f"{api}/ends/events?after=1", headers={"Accept": kind}, stream=True) as stream:
            request_id = stream.headers["X-Request-Id"]
            assert next(stream.iter_content(1000))
        requests.post(f"{api}/ends/messages", json={"user": "Ann", "message": SECRET})
        found = line(logged, request_id)
        assert found["event"] == "connection" and found["events"] >= 2 and found["bytes_out"] > 500


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/event-stream"])
def test_a_stream_that_is_left_at_once_has_had_its_events(logged: Running, kind: str) -> None:
    """What was there is sent with the begin of a stream, not after a look that a client may not wait for."""
    api, room = f"{logged.url}/api/v1/rooms", f"left-{kind[:4]}"
    requests.post(api, json={"name": room})
    for _ in range(2):
        requests.post(f"{api}/{room}/messages", json={"user": "Ann", "message": SECRET})
    for _ in range(10):
        with requests.get(f"{api}/{room}/events?after=0", headers={"Accept": kind}, stream=True) as stream:
            request_id = stream.headers["X-Request-Id"]
            assert next(stream.iter_content(1000))
        assert line(logged, request_id)["events"] == 2


def test_nothing_private_is_logged(logged: Running) -> None:
    """Not what was said, by whom, with which token or cookie, or in which query: good requests and bad ones."""
    api = f"{logged.url}/api/v1"
    token = requests.post(f"{api}/guests", json={"user": SECRET}).json()["token"]
    [(name, cookie)] = requests.get(logged.url).cookies.items()
    for headers in ({"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer {SECRET}"},
                    {"Cookie": f"{name}={cookie}"}, {"Cookie": f"quotechat={SECRET}"}):  # fmt: skip
        good = json.dumps({"user": SECRET, "message": SECRET})
        for body in (good, f'{{"{SECRET}', f'{{"message": "{SECRET}\\ud800"}}'):
            about = {**headers, "Content-Type": "application/json", "Idempotency-Key": SECRET, "X-Any": SECRET}
            requests.post(f"{api}/rooms/lobby/messages?user={SECRET}", data=body, headers=about)
            requests.post(f"{api}/rooms/lobby/commands", data=body, headers=about)
    requests.get(f"{api}/rooms/{SECRET}/events?after={SECRET}&{SECRET}")
    requests.get(f"{api}/quotes?q={SECRET}")
    with connect(logged.url.replace("http", "ws", 1) + f"/api/v1/ws?room={SECRET}") as ws:
        ws.recv(timeout=60)
        for text in (SECRET, f'{{"command": "{SECRET}"}}'):
            ws.send(text)
            ws.recv(timeout=60)
    last = requests.get(f"{logged.url}/healthz").headers["X-Request-Id"]
    line(logged, last)
    assert len(logged.lines) > 40
    for private in (SECRET, token, cookie):
        assert private not in logged.output


def test_every_line_is_json(logged: Running) -> None:
    """But what people are told at the start."""
    told = [each for each in logged.lines if not each.startswith("{")]
    assert len(told) <= 2 and all(each.startswith("quotechat") for each in told)

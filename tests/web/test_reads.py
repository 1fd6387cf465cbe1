"""Reading has a limit: whoever reads without end waits, and others do not pay for it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from people import owner
from servers import Running, environment, quotechat, running
from websockets.sync.client import connect

from quotechat import create_app
from quotechat.config import Settings
from quotechat.protocol import commands
from quotechat.store.base import Write
from quotechat.store.open import open_store

TARGETS = {
    "events": "/api/v1/rooms/lobby/events?after=0",
    "rooms": "/api/v1/events?after=lobby:0",
    "snapshot": "/api/v1/rooms/lobby?limit=200",
    "messages": "/api/v1/rooms/lobby/messages?limit=200",
    "search": "/api/v1/quotes?q=zzzz",
    "page": "/",
}


def serving(data: Path, **settings: str) -> Iterator[Running]:
    env = environment(QUOTECHAT_READS_BURST="1000", QUOTECHAT_READS_PER_SECOND="20", **settings)
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=env) as server:
        for number in range(15):
            body = {"user": "Ann", "message": f"{number}"}
            assert requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json=body).status_code == 201
        yield server


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Running]:
    yield from serving(tmp_path)


@pytest.fixture
def free(tmp_path: Path) -> Iterator[Running]:
    yield from serving(tmp_path, QUOTECHAT_LIMITS="off")


def reader(server: Running) -> dict[str, str]:
    """The header of a client that has read nothing yet."""
    token = requests.post(f"{server.url}/api/v1/guests", json={"user": "Bo"}).json()["token"]
    return {"Authorization": f"Bearer {token}"}


def test_mentions_are_limited_as_messages_are(tmp_path: Path) -> None:
    """They are messages: whoever has read too much of these waits for them too."""
    app = create_app(Settings(data=tmp_path, reads_burst=1000, reads_per_second=1))
    boss = owner(app)
    assert boss.ask("GET", "/mentions").status_code == 200
    identity = f"acct:{boss.ask('GET', '/me').get_json()['account']['id']}"
    app.extensions["quotechat"].limits.spend("read", identity, "", 2000)
    answer = boss.ask("GET", "/mentions")
    assert (answer.status_code, answer.get_json()["code"]) == (429, "rate-limited")
    app.extensions["quotechat"].close()


@pytest.mark.parametrize("path", ["/reference", "/rooms", "/api/v1/rooms"])
def test_long_pages_are_limited_too(tmp_path: Path, path: str) -> None:
    """The reference costs as much as many rows, and a list of rooms a row for each of them."""
    app = create_app(Settings(data=tmp_path, reads_burst=1000, reads_per_second=1))
    chat, boss = app.extensions["quotechat"], owner(app)
    identity = f"acct:{boss.ask('GET', '/me').get_json()['account']['id']}"
    before = chat.limits.left("read", identity)[1]
    assert boss.client.get(path).status_code == 200
    # A second gives one back.
    assert before - chat.limits.left("read", identity)[1] > (1990 if path == "/reference" else 4)
    chat.limits.spend("read", identity, "", 2000)
    assert boss.client.get(path).status_code == 429
    chat.close()


@pytest.mark.parametrize("path", ["/quotes?q=tea", "/api/v1/quotes?q=tea&limit=1"])
def test_a_search_pays_for_what_it_looks_through(tmp_path: Path, path: str) -> None:
    """Quotes that it looks through and does not show cost as well, and a search more than a list."""
    settings = Settings(data=tmp_path, reads_burst=1000, reads_per_second=1)
    with contextlib.closing(open_store(settings)) as store:
        store.found(0)
        add = commands.AddQuote(quote=commands.NewQuote("a cup of tea", "Ann"), room="lobby")
        store.commit([Write(add, 1000, "ann")] * 200)
    app = create_app(settings)
    chat, boss = app.extensions["quotechat"], owner(app)
    identity = f"acct:{boss.ask('GET', '/me').get_json()['account']['id']}"

    moment = chat.limits._clock()
    chat.limits._clock = lambda: moment  # nothing is filled up again

    def cost(asked: str) -> float:
        before = chat.limits.left("read", identity)[1]
        assert boss.client.get(asked).status_code == 200
        return float(before - chat.limits.left("read", identity)[1])

    # As much as 20 rows more, and one for each five of the two hundred that it looked through.
    assert cost(path) - cost(path.replace("q=tea", "")) == pytest.approx(60, abs=1)
    chat.close()


def test_each_way_of_reading_is_limited(limited: Running) -> None:
    """429 with the time after which it goes on; then it does. Another client, and writing, go on all the while."""
    for name, target in TARGETS.items():
        mine, others = reader(limited), reader(limited)
        with requests.Session() as session:  # quicker than tokens come back, on a busy machine too
            for _ in range(2000):
                answer = session.get(limited.url + target, headers=mine)
                if answer.status_code != 200:
                    break
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1, target
        assert requests.get(limited.url + target, headers=others).status_code == 200
        body = {"user": name, "message": "still"}
        assert requests.post(f"{limited.url}/api/v1/rooms/lobby/messages", json=body, headers=mine).status_code == 201
        time.sleep(int(answer.headers["Retry-After"]))
        assert requests.get(limited.url + target, headers=mine).status_code == 200


def test_subscribing_is_counted(limited: Running) -> None:
    """Over a socket it is an error that says when; the socket stays, and what it follows goes on."""
    with connect(f"{limited.url.replace('http', 'ws')}/api/v1/ws", additional_headers=reader(limited)) as ws:
        found = {"command": ""}
        asked = 0
        while found["command"] != "error":
            ws.send(json.dumps({"command": "subscribe", "after": "0"}))
            asked += 1
            while (found := json.loads(ws.recv(timeout=30)))["command"] not in ("caught-up", "error"):
                pass
        assert 10 < asked < 400
        assert found["error"]["code"] == "rate-limited" and found["error"]["retry_in_ms"] > 0  # type: ignore[index]
        body = {"user": "Ann", "message": "live"}
        requests.post(f"{limited.url}/api/v1/rooms/lobby/messages", json=body)
        assert json.loads(ws.recv(timeout=30))["message"]["message"] == "live"


def test_limits_off_is_off(free: Running) -> None:
    """As for every other limit of clients."""
    with requests.Session() as session:
        for _ in range(150):
            assert session.get(free.url + TARGETS["events"]).status_code == 200

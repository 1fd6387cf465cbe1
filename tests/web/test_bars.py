"""Addresses from which visitors may not write, in open access; on both stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from people import Browser, joined, owner
from test_audit import told

from quotechat import create_app
from quotechat.config import Settings


@pytest.fixture
def app(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Flask]:
    """An open server."""
    app = create_app(Settings(data=tmp_path / "data", database=new_database(), limits=False))
    yield app
    app.extensions["quotechat"].close()


def say(app: Flask, address: str, **headers: str) -> int:
    """The status of a message from that address."""
    answer = app.test_client().post(
        "/api/v1/rooms/lobby/messages", json={"user": "Eve", "message": "x"}, headers=headers,
        environ_base={"REMOTE_ADDR": address},
    )  # fmt: skip
    return int(answer.status_code)


def bar(browser: Browser, address: str, **about: Any) -> Any:
    return browser.ask("PUT", f"/bars/{address}", about)


def test_visitors_at_a_barred_address_write_nothing(app: Flask) -> None:
    """Neither messages nor rooms; reading goes on, other addresses and accounts do; until it is lifted or over."""
    boss = owner(app)
    assert say(app, "8.8.8.8") == say(app, "8.8.4.4") == 201
    assert bar(boss, "8.8.8.8", until="+1h", reason="spam").status_code == 204
    assert (say(app, "8.8.8.8"), say(app, "8.8.4.4")) == (403, 201)
    client, there = app.test_client(), {"environ_base": {"REMOTE_ADDR": "8.8.8.8"}}
    assert client.post("/api/v1/rooms", json={"name": "tea"}, **there).status_code == 403
    assert client.get("/api/v1/rooms/lobby", **there).status_code == 200
    token = boss.token()
    mine = client.post("/api/v1/rooms/lobby/messages", json={"message": "x"}, **there,
                       headers={"Authorization": f"Bearer {token}"})  # fmt: skip
    assert mine.status_code == 201
    [found] = boss.ask("GET", "/bars").get_json()["bars"]
    assert (found["address"], found["reason"]) == ("8.8.8.8", "spam")
    assert boss.ask("DELETE", "/bars/8.8.8.8").status_code == 204
    assert say(app, "8.8.8.8") == 201 and boss.ask("GET", "/bars").get_json() == {"bars": []}
    assert [each["what"] for each in told(boss) if "ban" in each["what"]] == ["banned", "unbanned"]
    bar(boss, "8.8.8.8", until="+1h")
    chat = app.extensions["quotechat"]
    later = chat.now() + 3_600_001
    chat._clock = lambda: later
    assert say(app, "8.8.8.8") == 201


def test_a_visitor_is_barred_by_what_it_said(app: Flask) -> None:
    """By its identity, from whatever address it writes; others at that address go on, and so do accounts."""
    boss, page = owner(app), app.test_client()
    tokens = [page.post("/api/v1/guests", json={"user": "Eve"}).get_json()["token"] for _ in range(2)]
    eve, other = ({"Authorization": f"Bearer {token}"} for token in tokens)
    sent = app.test_client().post("/api/v1/rooms/lobby/messages", json={"user": "Eve", "message": "x"}, headers=eve)
    number = sent.get_json()["seq"]
    assert bar(boss, f"lobby:{number}", until="+1h", reason="spam").status_code == 204
    assert say(app, "8.8.8.8", **eve) == say(app, "8.8.4.4", **eve) == 403
    other_one = app.test_client().post("/api/v1/rooms/lobby/messages", json={"user": "Al", "message": "x"},
                                       headers=other)  # fmt: skip
    assert other_one.status_code == 201
    assert page.get("/api/v1/rooms/lobby", headers=eve).status_code == 200
    [found] = boss.ask("GET", "/bars").get_json()["bars"]
    assert found["address"].startswith("visitor-") and found["reason"] == "spam"
    assert boss.ask("DELETE", f"/bars/{found['address']}").status_code == 204
    assert say(app, "8.8.8.8", **eve) == 201 and boss.ask("GET", "/bars").get_json() == {"bars": []}


def test_only_visitors_are_barred_by_what_they_said(app: Flask) -> None:
    """Not accounts, nor who has no identity; a message that is not there, or in a closed room, is unknown."""
    boss = owner(app)
    mine = boss.ask("POST", "/rooms/lobby/messages", {"message": "x"}).get_json()["seq"]
    nobody = app.test_client(use_cookies=False)
    theirs = nobody.post("/api/v1/rooms/lobby/messages", json={"user": "Nob", "message": "x"}).get_json()["seq"]
    closed = boss.ask("POST", "/rooms", {"name": "staff", "kind": "closed"}).get_json()["name"]
    hushed = boss.ask("POST", f"/rooms/{closed}/messages", {"message": "x"}).get_json()["seq"]
    for number in (mine, theirs):
        assert bar(boss, f"lobby:{number}").get_json()["field"] == "address"
    for where in ("lobby:99", f"{closed}:{hushed}", "nowhere:1", "lobby:999999999999999"):
        assert bar(boss, where).get_json()["code"] == "message-unknown"


def test_an_ipv6_address_stands_for_its_network(app: Flask) -> None:
    """A client that has one address of a /64 has all of them."""
    boss = owner(app)
    assert bar(boss, "2a00:1450:4001::7").status_code == 204
    assert say(app, "2a00:1450:4001::99") == 403 and say(app, "2a00:1450:4002::7") == 201
    assert boss.ask("GET", "/bars").get_json()["bars"][0]["address"] == "2a00:1450:4001::/64"
    assert boss.ask("DELETE", "/bars/2a00:1450:4001::/64").status_code == 204
    assert say(app, "2a00:1450:4001::99") == 201


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "192.168.0.1", "fd00::1", "::1", "nowhere", "8.8.8"])
def test_only_addresses_of_the_internet_are_barred(app: Flask, address: str) -> None:
    """Behind a private one may be everybody; and nobody but administrators bars."""
    boss = owner(app)
    assert bar(boss, address).get_json()["field"] == "address"
    assert bar(boss, "8.8.8.8", until="+31d").get_json()["field"] == "until"
    assert bar(joined(app, boss, "Bo"), "8.8.8.8").status_code == 403

"""A browser's identity: a cookie of this server's own, beside those of others on the same host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeSerializer

from quotechat import create_app
from quotechat.config import Settings

MESSAGES = "/api/v1/rooms/lobby/messages"
PAGE = {"Origin": "http://localhost"}


SIGNER = URLSafeSerializer("a secret that is no more", salt="quotechat.cookie")
GONE = SIGNER.dumps("0123456789abcdeffedcba9876543210")
Make = Callable[[str], Flask]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A server on a data directory of that name."""
    made: list[Flask] = []

    def server(name: str) -> Flask:
        made.append(create_app(Settings(data=tmp_path / name, limits=False)))
        return made[-1]

    yield server
    for app in made:
        app.extensions["quotechat"].close()


def browser(app: Flask, cookies: FlaskClient | None = None) -> FlaskClient:
    """A browser at `app`, with the cookies that it has from another server on this host."""
    client = app.test_client()
    if cookies is not None:
        client._cookies = cookies._cookies  # kept for a host, whatever the port
    return client


def say(client: FlaskClient, headers: dict[str, str] = PAGE) -> int:
    """The number of a new message."""
    seq: int = client.post(MESSAGES, json={"user": "Ann", "message": "x"}, headers=headers).get_json()["seq"]
    return seq


def test_two_servers_on_one_host(make: Make) -> None:
    """Neither replaces the other's cookie: one's own stays one's own on both, and so does the name."""
    one = browser(make("one"))
    two = browser(make("two"), one)
    mine = []
    for client in (one, two, one, two):
        client.get("/")
        client.post("/rooms/lobby/messages", data={"user": f"Ann {id(client)}", "message": "by form"})
        mine.append((client, say(client)))
    for client, seq in mine:
        assert client.patch(f"{MESSAGES}/{seq}", json={"message": "y"}, headers=PAGE).status_code == 200
        assert f'value="Ann {id(client)}"' in client.get("/").get_data(as_text=True)


def test_workers_and_restarts_have_the_same_name(make: Make) -> None:
    """It comes from the secret, which all share."""
    first, again, other = (make(name) for name in ("one", "one", "two"))
    names = [app.extensions["quotechat.services"].keys.cookie for app in (first, again, other)]
    assert names[0] == names[1] != names[2]
    assert make("one").test_client().get("/openapi.json").get_json()["components"]["securitySchemes"]["cookie"][
        "name"
    ] == names[0]


def test_the_cookie_of_an_older_version(make: Make) -> None:
    """It is honoured, and its identity goes on under the new name: nobody loses what is theirs."""
    app = make("one")
    secret = app.extensions["quotechat"].secret()
    old = URLSafeSerializer(secret, salt="quotechat.cookie").dumps("a" * 32)
    client = browser(app)
    client.set_cookie("quotechat", old)
    mine = say(client)
    client.get("/")
    kept = {each.key: each.value for each in client._cookies.values()}
    assert kept["quotechat"] == old and kept[app.extensions["quotechat.services"].keys.cookie] == old
    client.delete_cookie("quotechat")
    assert client.delete(f"{MESSAGES}/{mine}", headers=PAGE).status_code == 200
    # One that another server put there since changes nothing.
    client.set_cookie("quotechat", "another server's")
    assert client.delete(f"{MESSAGES}/{say(client)}", headers=PAGE).status_code == 200


@pytest.mark.parametrize("version", ["old", "new"])
def test_after_the_data_was_wiped(make: Make, version: str) -> None:
    """A page that is still open writes with a new identity from its next request on, and not without one."""
    client = browser(make("before"))
    client.get("/")
    if version == "old":
        client.set_cookie("quotechat", GONE)
    after = browser(make("after"), client)
    # Two requests at once: whichever answer comes last, both were one person's.
    other = browser(after.application)
    for each in client._cookies.values():
        other.set_cookie(each.key, each.value)
    mine = say(after)
    assert other.patch(f"{MESSAGES}/{mine}", json={"message": "x"}, headers=PAGE).status_code == 200
    assert {each.value for each in other._cookies.values()} == {each.value for each in after._cookies.values()}
    assert after.patch(f"{MESSAGES}/{mine}", json={"message": "y"}, headers=PAGE).status_code == 200
    assert after.get("/api/v1/rooms/lobby").get_json()["mine"]["messages"] == [mine]
    assert say(after) == mine + 3, "the same name again: it is still theirs"


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"Referer": "http://localhost/"}, True), ({"Referer": "http://localhost/rooms/lobby?x"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True), ({"Referer": "http://localhost", "Sec-Fetch-Site": "none"}, False),
        ({"Referer": "http://localhost.evil.example/"}, False), ({"Referer": "http://localhost@evil.example/"}, False),
        ({"Referer": "http://localhost:81/"}, False), ({"Referer": ""}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)  # fmt: skip
def test_reads_of_a_page_bring_the_new_cookie_too(make: Make, headers: dict[str, str], ours: bool) -> None:
    """Before its next WebSocket is opened, which cannot bring one."""
    client = browser(make("one"))
    client.set_cookie("quotechat-01234567", GONE)
    answer = client.get("/api/v1/rooms/lobby", headers=headers)
    assert ("Set-Cookie" in answer.headers) is ours


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Authorization": "Bearer x"}, {"Upgrade": "websocket"}]
)
def test_no_identity_for_what_is_no_page(make: Make, headers: dict[str, str]) -> None:
    """A program with a cookie that is not ours, another site, and what has a token get none."""
    client = browser(make("one"))
    client.set_cookie("quotechat", GONE)
    for answer in (client.get("/api/v1/rooms/lobby", headers=headers), client.delete(f"{MESSAGES}/1", headers=headers)):
        assert "Set-Cookie" not in answer.headers
        assert answer.status_code in (200, 400, 401, 403, 404, 405)


@pytest.mark.parametrize("cookie", ["", "quotechat=", "quotechat=x", "quotechat=a.b", "other=" + GONE])
def test_a_page_without_cookies(make: Make, cookie: str) -> None:
    """A browser that keeps none writes as ever: a new identity each time would hold its own name against it."""
    client = make("one").test_client(use_cookies=False)
    client.environ_base |= {"HTTP_COOKIE": cookie}
    answers = [client.post(MESSAGES, json={"user": "Ann", "message": "x"}, headers=PAGE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert not [answer for answer in answers if "Set-Cookie" in answer.headers]

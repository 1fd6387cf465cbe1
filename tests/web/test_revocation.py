"""Revoked is revoked: what is held for an account is told within a second, on every worker, over every transport."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path
from socket import create_connection
from socket import socket as Connection
from typing import Any

import pytest
import requests
from raising import keeping
from servers import Running, finished, quotechat, running
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from quotechat import create_app
from quotechat.config import Settings
from quotechat.live import handoff

PASSWORD = "correct horse battery 9"
WITHIN = 12.0
"""Seconds; the protocol promises 1, on a machine that is not loaded. By itself a hold ends after 16, a stream never."""


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str], store_kind: str
) -> Iterator[list[Running]]:
    """Two servers on one store: processes that know of each other by the store alone."""
    data, database = tmp_path_factory.mktemp("data"), new_database()
    command, env = keeping(data, QUOTECHAT_LIMITS="off", QUOTECHAT_ACCESS="invite", QUOTECHAT_DATABASE=database)
    with ExitStack() as stack:
        started = [stack.enter_context(running(command, env=env)) for _ in range(2)]
        add = quotechat("users", "add", "Boss", "--role", "owner", "--password-stdin", "--data", str(data))
        finished(add, given=PASSWORD, env=env).check_returncode()
        yield started


class Person:
    """A browser that is signed in at one server, and programs with its token."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.session = requests.Session()
        self.session.headers.update({"Origin": url, "Connection": "close"})
        answer = self.session.post(f"{url}/api/v1/sessions", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["account"]["id"]

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(method, f"{self.url}/api/v1{path}", json=body, timeout=60)

    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"quotechat-session={self.session.cookies['quotechat-session']}"}


@pytest.fixture
def pair(servers: list[Running]) -> tuple[Person, Person]:
    """The owner at the first server, and a new member at the second one."""
    boss = Person(servers[0].url, "Boss")
    name = f"M{time.monotonic_ns()}"
    link = boss.ask("POST", "/invitations", {}).json()["link"]
    body = {"code": link.partition("#")[2], "name": name, "password": PASSWORD}
    assert requests.post(f"{servers[1].url}/api/v1/joins", json=body, timeout=60).status_code == 201
    return boss, Person(servers[1].url, name)


class Held(threading.Thread):
    """Something that is held on a thread: what came, and when it ended."""

    def __init__(self, work: Callable[[Held], object]) -> None:
        super().__init__(daemon=True)
        self.work, self.begun = work, threading.Event()
        self.came: list[Any] = []
        self.ended_at = 0.0
        self.start()
        assert self.begun.wait(60)

    def run(self) -> None:
        try:
            self.work(self)
        finally:
            self.ended_at = time.monotonic()

    def within(self, since: float) -> None:
        """AssertionError where it was not told in time."""
        self.join(60)
        assert not self.is_alive(), "it is still held"
        assert self.ended_at - since < WITHIN


def poll(member: Person, path: str) -> Held:
    """A long-poll that is held: its status and code."""

    def work(held: Held) -> None:
        held.begun.set()
        while True:  # on a busy machine a hold may end by itself before there is anything to tell
            answer = requests.get(f"{member.url}/api/v1{path}", headers=member.cookie(), timeout=60)
            if answer.status_code != 200 or "message-sent" in answer.text:
                break
        held.came += [answer.status_code, answer.json().get("code")]

    held = Held(work)
    time.sleep(0.5)  # it has to be on its way
    return held


def stream(member: Person, accept: str) -> Held:
    """A stream: the last whole line of data, after which it ends."""

    def work(held: Held) -> None:
        headers = {**member.cookie(), "Accept": accept}
        url = f"{member.url}/api/v1/rooms/lobby/events"
        with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                text = line.decode().removeprefix("data: ")
                if text.startswith("{"):
                    held.came.append(json.loads(text))
                    held.begun.set()

    return Held(work)


def socket(member: Person) -> Held:
    """A WebSocket that follows the lobby: what came, and the code that it was closed with."""

    def work(held: Held) -> None:
        url = member.url.replace("http", "ws", 1) + "/api/v1/ws?room=lobby"
        with connect(url, additional_headers=member.cookie(), origin=member.url) as ws:  # type: ignore[arg-type]
            try:
                while True:
                    held.came.append(json.loads(ws.recv(timeout=60)))
                    held.begun.set()
            except ConnectionClosed as closed:
                held.came.append(closed.rcvd.code if closed.rcvd else None)

    return Held(work)


def _sign_out(boss: Person, member: Person) -> None:
    other = requests.Session()
    # The same session, ended at the other server.
    other.headers.update({"Origin": boss.url, **member.cookie()})
    assert other.delete(f"{boss.url}/api/v1/sessions/this", timeout=60).status_code == 204


def _ban(boss: Person, member: Person) -> None:
    assert boss.ask("PUT", f"/accounts/{member.id}/ban", {}).status_code == 204


def _close(boss: Person, member: Person) -> None:
    assert boss.ask("PATCH", f"/accounts/{member.id}", {"state": "closed"}).status_code == 200


def _new_password(boss: Person, member: Person) -> None:
    other = Person(boss.url, member.name)
    assert other.ask("PUT", "/me/password", {"password": "another horse 77 battery"}).status_code == 204


def _signed_out_by_an_administrator(boss: Person, member: Person) -> None:
    assert boss.ask("DELETE", f"/accounts/{member.id}/sessions").status_code == 204


def _proof(boss: Person, member: Person) -> None:
    """The session gets a new cookie; the old one, and what is held by it, ends."""
    other = requests.Session()
    other.headers.update({"Origin": boss.url, **member.cookie()})
    proved = other.post(f"{boss.url}/api/v1/sessions/proof", json={"password": PASSWORD}, timeout=60)
    assert proved.status_code == 200
    cookie = {"Cookie": f"quotechat-session={proved.cookies['quotechat-session']}"}
    assert requests.get(f"{member.url}/api/v1/rooms/lobby", headers=cookie, timeout=60).status_code == 200


@pytest.mark.parametrize("end", [_sign_out, _proof, _ban, _new_password, _signed_out_by_an_administrator])
def test_what_is_held_is_told_within_a_second(
    pair: tuple[Person, Person], end: Callable[[Person, Person], None]
) -> None:
    """Polls get 401, streams a `reset` and their end, sockets 4401; nothing that is said later arrives."""
    boss, member = pair
    polls = [poll(member, "/rooms/lobby/events?after=now&wait=20"), poll(member, "/events?after=lobby:now&wait=20")]
    streams = [stream(member, "application/x-ndjson"), stream(member, "text/event-stream")]
    ws = socket(member)
    end(boss, member)
    since = time.monotonic()
    # A request that begins now is refused, at both servers.
    for url in (boss.url, member.url):
        for path in ("/rooms/lobby", "/rooms/lobby/events?after=0", "/me"):
            assert requests.get(f"{url}/api/v1{path}", headers=member.cookie(), timeout=60).status_code == 401
    for held in (*polls, *streams, ws):
        held.within(since)
    boss.ask("POST", "/rooms/lobby/messages", {"message": "said later"})
    assert [held.came for held in polls] == [[401, "unauthenticated"]] * 2
    for held in streams:
        assert held.came[-1]["command"] == "reset" and held.came[-1]["error"]["code"] == "unauthenticated"
    assert ws.came[-1] == 4401
    assert not any("said later" in json.dumps(held.came) for held in (*streams, ws))


@pytest.mark.parametrize("path", ["/inbox?after={at}&wait=20", "/events?after=lobby:now&after=@inbox:{at}&wait=20"])
@pytest.mark.parametrize("end", [_ban, _close])
def test_an_account_that_ends_is_not_answered_with_its_inbox(
    pair: tuple[Person, Person], end: Callable[[Person, Person], None], path: str
) -> None:
    """Its end moves the inbox, and a poll that is held there gets 401 all the same."""
    boss, member = pair
    at = member.ask("GET", "/inbox").json()["cursor"]

    def work(held: Held) -> None:
        held.begun.set()
        url = f"{member.url}/api/v1{path.format(at=at)}"
        answer = requests.get(url, headers=member.cookie(), timeout=60)
        held.came += [answer.status_code, answer.json().get("code")]

    held = Held(work)
    time.sleep(0.5)  # it has to be on its way
    end(boss, member)
    held.within(time.monotonic())
    assert held.came == [401, "unauthenticated"]


def test_a_connection_that_sends_ends_with_its_session(pair: tuple[Person, Person]) -> None:
    """One kept connection, over which message after message goes: the first after the end is refused."""
    boss, member = pair
    with requests.Session() as kept:
        kept.headers.update({"Origin": member.url, **member.cookie()})
        send = f"{member.url}/api/v1/rooms/lobby/messages"
        for number in range(5):
            assert kept.post(send, json={"message": f"m{number}"}, timeout=60).status_code == 201
        _sign_out(boss, member)
        assert kept.post(send, json={"message": "after"}, timeout=60).status_code == 401
    found = boss.ask("GET", "/rooms/lobby").json()["messages"]
    assert [each["message"] for each in found if each["user"] == member.name] == [f"m{number}" for number in range(5)]


def connected(member: Person) -> Connection:
    """A new connection to the server of `member`."""
    host, port = member.url.removeprefix("http://").split(":")
    return create_connection((host, int(port)), timeout=60)


def asked(conn: Connection, member: Person, line: str, body: str = "", cookie: str = "") -> HTTPResponse:
    """The answer to a request over `conn`, which stays open; `cookie` stands for that of the session."""
    found = cookie or member.cookie()["Cookie"]
    conn.sendall(
        f"{line} HTTP/1.1\r\nHost: {member.url.removeprefix('http://')}\r\nOrigin: {member.url}\r\nCookie: {found}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    answer = HTTPResponse(conn, method=line.split()[0])
    answer.begin()
    assert answer.read() and not answer.will_close
    return answer


@pytest.mark.parametrize("line", ["GET /api/v1/me", "POST /api/v1/rooms/lobby/messages"])
@pytest.mark.parametrize("end", [_sign_out, _ban])
def test_an_idle_connection_ends_with_its_session(
    pair: tuple[Person, Person], end: Callable[[Person, Person], None], line: str
) -> None:
    """After a request that was answered whole; without an end it would be kept for a minute."""
    boss, member = pair
    with connected(member) as conn:
        body = '{"message": "Hello"}' if line.startswith("POST") else ""
        assert asked(conn, member, line, body).status in (200, 201)
        conn.settimeout(WITHIN)
        end(boss, member)
        assert conn.recv(1) == b""


def test_a_proof_does_not_end_its_own_connection(pair: tuple[Person, Person]) -> None:
    """The session goes on under a new cookie there; an idle connection of the old one ends."""
    _, member = pair
    with connected(member) as old, connected(member) as new:
        assert asked(old, member, "GET /api/v1/me").status == 200
        proof = asked(new, member, "POST /api/v1/sessions/proof", json.dumps({"password": PASSWORD}))
        assert proof.status == 200
        old.settimeout(WITHIN)
        assert old.recv(1) == b""
        new.settimeout(0.5)
        with pytest.raises(TimeoutError):
            new.recv(1)
        new.settimeout(60)
        cookie = str(proof.headers["Set-Cookie"]).partition(";")[0]
        assert asked(new, member, "GET /api/v1/me", cookie=cookie).status == 200


@pytest.mark.parametrize("proxies", [0, 1])
def test_connections_of_a_proxy_are_not_ended(tmp_path: Path, proxies: int) -> None:
    """A trusted proxy sends requests of many clients over one connection: it is of none of them."""
    app = create_app(Settings(data=tmp_path, trusted_proxies=proxies))
    assert (handoff.IDLE in app.extensions) == (proxies == 0)
    app.extensions["quotechat"].close()


def test_a_socket_whose_account_is_banned_stores_nothing(pair: tuple[Person, Person]) -> None:
    """Not even what comes before it has been told."""
    boss, member = pair
    url = member.url.replace("http", "ws", 1) + "/api/v1/ws"
    with connect(url, additional_headers=member.cookie(), origin=member.url) as ws:  # type: ignore[arg-type]
        ws.send(json.dumps({"command": "send-message", "message": {"message": "before"}}))
        assert json.loads(ws.recv(timeout=60))["command"] == "ack"
        _ban(boss, member)
        ws.send(json.dumps({"command": "send-message", "message": {"message": "after"}}))
        with pytest.raises(ConnectionClosed) as closed:
            assert json.loads(ws.recv(timeout=60))["error"]["code"] == "unauthenticated"
            ws.recv(timeout=60)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401
    found = boss.ask("GET", "/rooms/lobby").json()["messages"]
    assert [each["message"] for each in found if each["user"] == member.name] == ["before"]


def test_a_socket_follows_its_account(pair: tuple[Person, Person]) -> None:
    """A token that is revoked, and a name that is changed: the socket ends, or goes on under the new name."""
    boss, member = pair
    token = member.ask("POST", "/tokens", {"name": "t"}).json()
    headers = {"Authorization": f"Bearer {token['token']}"}
    url = member.url.replace("http", "ws", 1) + "/api/v1/ws"
    with connect(url, additional_headers=headers) as ws:
        renamed = f"{member.name}x"
        assert boss.ask("PATCH", f"/accounts/{member.id}", {"name": renamed}).status_code == 200
        until = time.monotonic() + 60
        while time.monotonic() < until:
            ws.send(json.dumps({"command": "send-message", "message": {"message": "hi"}}))
            if json.loads(ws.recv(timeout=60))["command"] == "ack":
                break
            time.sleep(0.1)
        found = boss.ask("GET", "/rooms/lobby").json()["messages"]
        assert found[-1]["user"] == renamed
        assert member.ask("DELETE", f"/tokens/{token['id']}").status_code == 204
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=60)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401

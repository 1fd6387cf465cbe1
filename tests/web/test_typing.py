"""Typing: who is told, over which transports, on two workers of one store; and that it is in no log."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from persons import Person, heard, streamed, two_servers
from servers import Running, until
from websockets.sync.client import ClientConnection, connect


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[list[Running]]:
    with two_servers(tmp_path_factory.mktemp("data"), new_database(), "Cleo") as started:
        yield started


@pytest.fixture(scope="module")
def ann(servers: list[Running]) -> Person:
    return Person(servers[0].url, "Ann")


@pytest.fixture(scope="module")
def cleo(servers: list[Running]) -> Person:
    return Person(servers[1].url, "Cleo")


def socket(person: Person | None, url: str) -> ClientConnection:
    """A socket of a person, or of a visitor, at the server with that address."""
    headers = {} if person is None else person.cookie
    return connect(f"{url.replace('http', 'ws')}/api/v1/ws", additional_headers=headers)


def follow(ws: ClientConnection, room: str, after: str = "now") -> None:
    ws.send(json.dumps({"command": "subscribe", "room": room, "after": after}))
    heard(ws, "caught-up")


def types(ws: ClientConnection, room: str, **about: Any) -> None:
    ws.send(json.dumps({"command": "typing", "room": room, **about}))


def told(typist: ClientConnection, reader: ClientConnection, room: str) -> dict[str, Any]:
    """What the reader is told; it may be lost, so it is typed again, as soon as that counts."""
    for _ in range(20):
        types(typist, room)
        with contextlib.suppress(TimeoutError):
            return heard(reader, "typing", 3)
    raise AssertionError("it was never told")


def refusal(ws: ClientConnection, room: str, **about: Any) -> str:
    """The code with which it is refused."""
    types(ws, room, client_id="t", **about)
    error = heard(ws, "error")
    assert error["client_id"] == "t"
    return str(error["error"]["code"])


def closed_room(owner: Person, *members: Person) -> str:
    body = {"kind": "closed", "name": "den", "members": [each.id for each in members]}
    name = owner.ask("POST", "/rooms", body).json()["name"]
    return str(name)


def test_all_that_follow_are_told(servers: list[Running], ann: Person, cleo: Person) -> None:
    """Sockets and streams, here and at another worker, with the same words; nothing is in the log, no ack comes."""
    before = ann.ask("GET", "/rooms/lobby").json()["cursor"]
    streams = {}
    for media in ("application/x-ndjson", "text/event-stream"):
        headers = {"Accept": media}
        answer = cleo.session.get(f"{cleo.url}/rooms/lobby/events", headers=headers, stream=True, timeout=60)
        streams[media] = (answer, streamed(answer))
        until(lambda lines=streams[media][1]: next(lines)["command"] == "caught-up")
    with socket(ann, servers[0].url) as here, socket(cleo, servers[1].url) as there:
        follow(here, "lobby")
        follow(there, "lobby")
        began = time.monotonic()
        expected = {"command": "typing", "room": "lobby", "who": [{"id": ann.id, "user": "Ann"}]}
        assert told(here, there, "lobby") == heard(here, "typing") == expected
        for answer, lines in streams.values():
            assert until(lambda lines=lines: next(line for line in lines if line["command"] == "typing")) == expected
            answer.close()
        types(here, "lobby")  # within two seconds: it does not count, and is not refused
        here.send(json.dumps({"command": "ping", "client_id": "p"}))
        found = json.loads(here.recv(timeout=60))
        # A machine that took longer for it cannot tell.
        assert found == {"command": "pong", "client_id": "p"} or time.monotonic() - began > 2
    assert ann.ask("GET", f"/rooms/lobby/events?after={before}").json()["events"] == []
    envelope = {"command": "typing", "room": "lobby"}
    assert ann.ask("POST", "/rooms/lobby/commands", envelope).json()["code"] == "malformed-envelope"


def test_several_are_told_together(servers: list[Running], cleo: Person) -> None:
    """Five at most in one telling; visitors by the name that they give."""
    names = [f"Visitor {number}" for number in range(7)]
    with ExitStack() as stack:
        there = stack.enter_context(socket(cleo, servers[1].url))
        follow(there, "lobby")
        visitors = {name: stack.enter_context(socket(None, servers[0].url)) for name in names}
        told: list[dict[str, str]] = []
        for _ in range(20):  # it may be lost, so it is typed again, as soon as that counts
            for name, ws in visitors.items():
                types(ws, "lobby", user=name)
            with contextlib.suppress(TimeoutError):
                while len(told) < 5:
                    who = heard(there, "typing", 3)["who"]
                    assert len(who) <= 5
                    told += who
                break
        assert len(told) >= 5
    assert all(each.keys() == {"user"} and each["user"] in names for each in told)


def test_only_those_that_may_write_are_told_of(servers: list[Running], ann: Person, cleo: Person) -> None:
    """Refused as a message would be: unknown and others' rooms alike, archived ones, mutes, names of others."""
    den = closed_room(ann)
    url = servers[1].url

    def asked(person: Person | None, room: str, **about: Any) -> str:
        with socket(person, url) as ws:
            return refusal(ws, room, **about)

    assert asked(cleo, den) == asked(cleo, "nobody-uses-this") == asked(None, den) == "room-unknown"
    assert asked(None, "lobby") == "invalid"
    assert asked(None, "lobby", user="Ann") == "conflict"
    assert asked(cleo, "lobby", user="Ann") == "forbidden"
    ann.ask("POST", "/rooms", {"name": "quiet"})
    ann.ask("PATCH", "/rooms/quiet", {"posting": "managers"})
    assert asked(cleo, "quiet") == "forbidden"
    ann.ask("PATCH", "/rooms/quiet", {"archived": True})
    assert asked(ann, "quiet") == "conflict"
    direct = ann.ask("POST", "/directs", {"members": [cleo.id]}).json()["name"]
    ann.ask("PUT", f"/me/blocks/{cleo.id}")
    assert asked(cleo, direct) == "forbidden"
    ann.ask("DELETE", f"/me/blocks/{cleo.id}")


def test_one_that_was_removed_hears_of_nobody(servers: list[Running], ann: Person, cleo: Person) -> None:
    """Of what is typed after its `member-left`, on no socket; those that stay are told."""
    bo = Person(servers[1].url, "Bo")
    den = closed_room(ann, cleo, bo)
    with socket(ann, servers[0].url) as here, socket(cleo, servers[1].url) as gone, socket(bo, bo.url[:-7]) as stays:
        for ws in (here, gone, stays):
            follow(ws, den)
        assert ann.ask("DELETE", f"/rooms/{den}/members/{cleo.id}").status_code == 204
        assert told(here, stays, den)["who"] == [{"id": ann.id, "user": "Ann"}]
        commands = [json.loads(gone.recv(timeout=30))["command"] for _ in range(2)]
        gone.send(json.dumps({"command": "ping"}))
        assert [*commands, json.loads(gone.recv(timeout=30))["command"]] == ["member-left", "reset", "pong"]


def test_polls_carry_no_typing(servers: list[Running], ann: Person, cleo: Person) -> None:
    """A held poll goes on; it is answered by the message that follows."""
    found: list[Any] = []
    cursor = cleo.ask("GET", "/rooms/lobby").json()["cursor"]
    poll = threading.Thread(
        target=lambda: found.append(cleo.ask("GET", f"/rooms/lobby/events?after={cursor}&wait=25").json())
    )
    poll.start()
    with socket(ann, servers[0].url) as here, socket(cleo, servers[1].url) as there:
        follow(there, "lobby")
        told(here, there, "lobby")
        assert found == []
        ann.say("lobby", "said")
        poll.join(60)
    assert [event["message"]["message"] for event in found[0]["events"]] == ["said"]


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)
def test_a_room_with_many_readers_is_told_nothing(servers: list[Running], ann: Person) -> None:
    """More than a hundred connections at one worker: each telling would be a send to every one."""
    ann.ask("POST", "/rooms", {"name": "hall"})
    readers = [requests.get(f"{ann.url}/rooms/hall/events", headers={"Accept": "application/x-ndjson"}, stream=True,
                            timeout=60) for _ in range(99)]  # fmt: skip
    with socket(ann, servers[0].url) as one, socket(ann, servers[0].url) as more:
        follow(one, "hall")
        assert told(one, one, "hall")["room"] == "hall"
        follow(more, "hall")
        types(more, "hall")
        with socket(ann, servers[0].url) as other:
            follow(other, "lobby")
            # It is told later than what was typed in the hall would be.
            told(other, other, "lobby")
        more.send(json.dumps({"command": "ping", "client_id": "p"}))
        assert json.loads(more.recv(timeout=30))["command"] == "pong"
    for reader in readers:
        reader.close()

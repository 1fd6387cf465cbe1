"""Mentions and blocks when rights change: what is not the caller's to see is in no list, and stops no reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conforming import check_answers
from flask import Flask
from people import Browser, joined, owner

from quotechat import create_app
from quotechat.config import Settings


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Flask]:
    """One application for the module; its answers conform to their description."""
    data: Path = tmp_path_factory.mktemp("data")
    app = create_app(Settings(data=data, database=new_database(), limits=False))
    check_answers(app)
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture(scope="module")
def azin(app: Flask) -> Browser:
    """The owner."""
    return owner(app)


@pytest.fixture(scope="module")
def bea(app: Flask, azin: Browser) -> Browser:
    return joined(app, azin, "Bea")


@pytest.fixture(scope="module")
def cai(app: Flask, azin: Browser) -> Browser:
    return joined(app, azin, "Cai")


def account(browser: Browser) -> str:
    return str(browser.ask("GET", "/me").get_json()["account"]["id"])


def room(browser: Browser, name: str, **about: Any) -> str:
    made = browser.ask("POST", "/rooms", {"name": name, **about})
    assert made.status_code == 201, made.get_json()
    return str(made.get_json()["name"])


def say(browser: Browser, name: str, text: str) -> int:
    sent = browser.ask("POST", f"/rooms/{name}/messages", {"message": text})
    assert sent.status_code == 201, sent.get_json()
    return int(sent.get_json()["seq"])


def mentioned(browser: Browser) -> list[tuple[str, str]]:
    """The rooms and texts of the mentions of the account that is signed in."""
    found = browser.ask("GET", "/mentions").get_json()["mentions"]
    return [(each["room"], each["message"]["message"]) for each in found]


def inbox(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = browser.ask("GET", "/inbox").get_json()
    return found


def test_a_room_that_closes_takes_its_mentions_along(azin: Browser, bea: Browser) -> None:
    """Whoever is mentioned in an open room, and not in it when it closes, reads that message no more."""
    name = room(azin, "closing")
    say(azin, name, "@Bea come in")
    assert (name, "@Bea come in") in mentioned(bea) and name in inbox(bea)["rooms"]
    assert azin.ask("PATCH", f"/rooms/{name}", {"kind": "closed"}).status_code == 200
    assert name not in dict(mentioned(bea)) and name not in inbox(bea)["rooms"]


def test_an_account_that_becomes_a_guest_sees_its_own_rooms_alone(app: Flask, azin: Browser) -> None:
    """Neither mentions nor inbox have open rooms that a guest was not let into."""
    gus = joined(app, azin, "Gus")
    name = room(azin, "outside")
    for where in (name, "lobby"):
        say(azin, where, "@Gus hello")
    assert {name, "lobby"} <= dict(mentioned(gus)).keys()
    assert azin.ask("PATCH", f"/accounts/{account(gus)}", {"role": "guest"}).status_code == 200
    assert gus.sign_in("Gus").status_code == 201
    assert dict(mentioned(gus)).keys() == {"lobby"} and inbox(gus)["rooms"].keys() == {"lobby"}


def test_a_page_of_mentions_does_not_tell_of_other_rooms(azin: Browser, bea: Browser) -> None:
    """`before` a message of a closed room answers what it answers for a name that nobody uses."""
    say(azin, "lobby", "@Bea look")
    name = room(azin, "staff", kind="closed")
    number = say(azin, name, "hush")
    nobody = name[:-6] + ("aaaaaa" if not name.endswith("aaaaaa") else "bbbbbb")
    answers = [bea.ask("GET", f"/mentions?before={each}:{number}").get_json() for each in (name, nobody)]
    assert answers[0] == answers[1] == {"mentions": [], "has_more": False}
    assert bea.ask("GET", "/mentions?before=lobby:%D9%A1").status_code == 400


def test_a_page_of_mentions_is_bounded_in_bytes(azin: Browser, bea: Browser) -> None:
    """It ends with the message that brings it to 256 KiB and says that there is more; a token for a room likewise."""
    name, other = room(azin, "large"), room(azin, "besides")
    numbers = []
    for _ in range(20):
        numbers.append(say(azin, name, "@Bea " + "\U0001f600" * 3990))
        say(azin, other, "@Bea hi")
    for headers in ({}, {"Authorization": f"Bearer {bea.token(rooms=[name])}"}):
        found: list[dict[str, Any]] = []
        path = "/mentions?limit=200"
        while path:
            answer = bea.ask("GET", path, **headers)
            assert len(answer.data) < 300_000
            page = answer.get_json()
            found += page["mentions"]
            last = found[-1]
            path = f"/mentions?limit=200&before={last['room']}:{last['message']['id']}" if page["has_more"] else ""
        assert [each["message"]["id"] for each in found if each["room"] == name] == numbers[::-1]
        assert bool(headers) == ({each["room"] for each in found} == {name})


def test_a_blocked_person_calls_nobody_by_calling_all(azin: Browser, bea: Browser, cai: Browser) -> None:
    """`@room` by somebody who is blocked is no mention, as the name itself is none; for others it is."""
    name = room(azin, "called")
    for browser in (azin, bea, cai):
        assert browser.ask("PUT", f"/rooms/{name}/members/me").status_code == 200
    bea.ask("PUT", f"/me/blocks/{account(cai)}")
    say(cai, name, "@room tea is ready")
    assert name not in dict(mentioned(bea)) and "mentions" not in inbox(bea)["rooms"][name]
    assert (name, "@room tea is ready") in mentioned(azin) and inbox(azin)["rooms"][name]["mentions"] == 1
    bea.ask("DELETE", f"/me/blocks/{account(cai)}")
    assert inbox(bea)["rooms"][name]["mentions"] == 1


def test_a_blocked_person_says_nothing_by_editing(bea: Browser, cai: Browser) -> None:
    """In a direct room it may neither send nor edit; it may still delete what it said."""
    name = bea.ask("POST", "/directs", {"members": [account(cai)]}).get_json()["name"]
    number = say(cai, name, "hi")
    bea.ask("PUT", f"/me/blocks/{account(cai)}")
    edited = cai.ask("PATCH", f"/rooms/{name}/messages/{number}", {"message": "now this"})
    assert (edited.status_code, edited.get_json()["code"]) == (403, "forbidden")
    assert cai.ask("DELETE", f"/rooms/{name}/messages/{number}").status_code == 200
    bea.ask("DELETE", f"/me/blocks/{account(cai)}")


def test_a_guest_blocks_only_people_that_it_sees(app: Flask, azin: Browser) -> None:
    """Others are 404 `account-unknown`, as those that are not there."""
    hal, ida = joined(app, azin, "Hal"), joined(app, azin, "Ida")
    for each in (hal, ida):
        each.ask("DELETE", "/rooms/lobby/members/me")
    azin.ask("PATCH", f"/accounts/{account(hal)}", {"role": "guest"})
    assert hal.sign_in("Hal").status_code == 201
    refused = hal.ask("PUT", f"/me/blocks/{account(ida)}")
    assert (refused.status_code, refused.get_json()["code"]) == (404, "account-unknown")


def test_a_new_name_is_new_in_the_inboxes_of_direct_rooms(app: Flask, azin: Browser, bea: Browser) -> None:
    """Its cursor moves for those who share a direct room with the account, and for nobody else."""
    lee, max_ = joined(app, azin, "Lee"), joined(app, azin, "Max")
    name = lee.ask("POST", "/directs", {"members": [account(bea)]}).get_json()["name"]
    before, others = inbox(bea)["cursor"], inbox(max_)["cursor"]
    assert lee.ask("PATCH", "/me", {"name": "Leona"}).status_code == 200
    assert inbox(bea)["cursor"] != before and inbox(max_)["cursor"] == others
    assert inbox(bea)["rooms"][name]["with"] == [{"id": account(lee), "name": "Leona"}]

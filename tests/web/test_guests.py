"""Guests: accounts that see the rooms that they were let into, and nothing else; by invitations into rooms."""

from __future__ import annotations

from typing import Any

from flask import Flask
from people import PASSWORD, Browser, joined, owner
from test_audit import app as app
from test_audit import number, told


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def invited(app: Flask, inviter: Browser, name: str, **about: Any) -> Browser:
    """A browser in which somebody has joined by an invitation of that kind."""
    made = inviter.ask("POST", "/invitations", about)
    assert made.status_code == 201, made.get_json()
    browser = Browser(app)
    body = {"code": made.get_json()["link"].partition("#")[2], "name": name, "password": PASSWORD}
    assert browser.ask("POST", "/joins", body).status_code == 201
    return browser


def rooms_of(browser: Browser) -> list[str]:
    return [each["name"] for each in browser.ask("GET", "/rooms").get_json()["rooms"]]


def test_a_guest_sees_the_rooms_that_it_was_let_into(app: Flask) -> None:
    """Reading, writing, and people: whom it shares a room with. The rest is as unknown as what is not there."""
    boss = owner(app)
    cleo = joined(app, boss, "Cleo")
    closed = boss.ask("POST", "/rooms", {"name": "staff", "kind": "closed"}).get_json()["name"]
    boss.ask("POST", "/rooms", {"name": "tea"})
    made = boss.ask("POST", "/invitations", {"role": "guest", "rooms": [closed, "tea"]}).get_json()
    assert (made["role"], made["rooms"]) == ("guest", [closed, "tea"])
    gil = invited(app, boss, "Gil", role="guest", rooms=[closed, "tea"])
    assert rooms_of(gil) == sorted([closed, "tea"])
    assert gil.ask("POST", f"/rooms/{closed}/messages", {"message": "hi"}).status_code == 201
    assert gil.ask("POST", "/rooms/tea/messages", {"message": "hi"}).status_code == 201
    for method, path, body in (("GET", "/rooms/lobby", None), ("POST", "/rooms/lobby/messages", {"message": "x"})):
        assert code(gil.ask(method, path, body)) == (404, "room-unknown")
    first = gil.client.get("/")  # it comes to its rooms, not to a lobby that it does not have
    assert (first.status_code, first.headers["Location"]) == (303, "/rooms")
    assert gil.client.get("/?room=lobby").status_code == gil.client.get("/rooms/lobby").status_code == 404
    assert code(gil.ask("POST", "/rooms", {"name": "mine"})) == (403, "forbidden")
    assert [each["name"] for each in gil.ask("GET", "/accounts").get_json()["accounts"]] == ["Gil", "Azin"]
    assert code(gil.ask("GET", f"/accounts/{number(cleo)}")) == (404, "account-unknown")
    assert gil.ask("GET", f"/accounts/{number(boss)}").status_code == 200
    page = gil.client.get("/people").get_data(as_text=True)
    assert "Azin" in page and "Cleo" not in page
    assert [each["what"] for each in told(boss)].count("member-added") == 2


def test_an_invitation_lets_into_rooms_that_its_maker_manages(app: Flask) -> None:
    """When it is made and when it is used; one that is hidden, or not there, is unknown."""
    boss = owner(app)
    boss.ask("PATCH", "/site", {"invites_by": "all"})
    bo = joined(app, boss, "Bo")
    mine = bo.ask("POST", "/rooms", {"name": "mine", "kind": "closed"}).get_json()["name"]
    assert code(boss.ask("POST", "/invitations", {"rooms": [mine]})) == (404, "room-unknown")
    assert code(boss.ask("POST", "/invitations", {"rooms": ["none"]})) == (404, "room-unknown")
    assert code(boss.ask("POST", "/invitations", {"rooms": ["@audit"]})) in ((404, "room-unknown"), (422, "invalid"))
    assert code(bo.ask("POST", "/invitations", {"rooms": ["lobby"]})) == (403, "forbidden")
    assert boss.ask("POST", "/invitations", {"role": "guest"}).get_json()["field"] == "rooms"
    assert boss.ask("POST", "/invitations", {"role": "admin"}).get_json()["field"] == "role"
    assert sorted(rooms_of(invited(app, bo, "Dee", rooms=[mine]))) == sorted(["lobby", mine])
    link = bo.ask("POST", "/invitations", {"rooms": [mine]}).get_json()["link"].partition("#")[2]
    dee = number_of(bo, "Dee")
    assert bo.ask("PUT", f"/rooms/{mine}/members/{dee}", {"role": "manager"}).status_code == 200
    assert bo.ask("DELETE", f"/rooms/{mine}/members/me").status_code == 204
    late = Browser(app)
    assert late.ask("POST", "/joins", {"code": link, "name": "Eve", "password": PASSWORD}).status_code == 201
    assert rooms_of(late) == ["lobby"]


def number_of(browser: Browser, name: str) -> str:
    """The public id of the account of that name."""
    return str(browser.ask("GET", f"/accounts?q={name}").get_json()["accounts"][0]["id"])

"""Closed rooms, direct rooms and members over HTTP; each cell of the table of permissions against the server."""

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
from quotechat.protocol.rights import permissions as p
from quotechat.protocol.rights.principal import Principal
from quotechat.store.accounts import accounts, bans
from quotechat.store.base import CreateRoom, Write

T = "/rooms/"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Flask]:
    """One application for the module; its answers conform to their description."""
    data: Path = tmp_path_factory.mktemp("data")
    app = create_app(Settings(data=data, database=new_database(), limits=False))
    check_answers(app)
    yield app
    app.extensions["quotechat"].close()


class People:
    """Browsers of an owner, three members and a guest; `ids` are their accounts'."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.all = {"Azin": owner(app)}
        for name in ("Bea", "Cai", "Dee"):
            self.all[name] = joined(app, self.all["Azin"], name)
        self.all["Gil"] = joined(app, self.all["Azin"], "Gil")
        chat = app.extensions["quotechat"]
        chat.write_with(lambda sql: sql.run("UPDATE account SET role = 'guest' WHERE name = 'Gil'"))
        chat.write_with(lambda sql: sql.run(
            "DELETE FROM member WHERE account_id = (SELECT id FROM account WHERE name = 'Gil')"
        ))  # fmt: skip
        found = chat.read_with(lambda sql: {each.name: each.key for each in accounts.listed(sql)})
        self.ids: dict[str, str] = found
        self.stranger = Browser(app)

    def __getitem__(self, name: str) -> Browser:
        return self.all[name]


@pytest.fixture(scope="module")
def people(app: Flask) -> People:
    return People(app)


def closed(people: People, by: str = "Bea", *others: str) -> str:
    body = {"kind": "closed", "name": "staff", "members": [people.ids[name] for name in others]}
    answer = people[by].ask("POST", "/rooms", body)
    assert answer.status_code == 201, answer.get_json()
    return str(answer.get_json()["name"])


def test_a_closed_room_from_its_making_to_its_end(people: People) -> None:
    """Its maker manages it; members come, get roles and go; each answer says what is so then."""
    bea, cai = people["Bea"], people["Cai"]
    answer = bea.ask("POST", "/rooms", {"name": "staff", "title": "Staff", "kind": "closed"})
    made = answer.get_json()
    room = made["name"]
    assert made["kind"] == "closed" and made["members"] == 1 and made["you"]["role"] == "manager"
    assert answer.headers["Location"].endswith(f"/rooms/{room}")
    assert cai.ask("GET", T + room).status_code == 404
    put = bea.ask("PUT", f"{T}{room}/members/{people.ids['Cai']}", {})
    assert put.get_json()["member"] == {"id": people.ids["Cai"], "user": "Cai", "role": "member"}
    assert put.get_json()["seq"] == 2
    snapshot = cai.ask("GET", T + room).get_json()
    assert snapshot["about"]["title"] == "Staff" and snapshot["about"]["you"]["role"] == "member"
    added = [bea.ask("PUT", f"{T}{room}/members/{people.ids['Azin']}", {}, **{"Idempotency-Key": "k"}) for _ in "ab"]
    assert [each.get_json().get("duplicate") for each in added] == [None, True]
    bea.ask("DELETE", f"{T}{room}/members/{people.ids['Azin']}")
    names = [each["user"] for each in cai.ask("GET", f"{T}{room}/members").get_json()["members"]]
    assert names == ["Bea", "Cai"]
    assert cai.ask("PATCH", T + room, {"topic": "x"}).status_code == 403
    changed = bea.ask("PATCH", T + room, {"topic": "Holidays", "slow": 5}).get_json()
    assert changed["about"] == {"name": room, "kind": "closed", "title": "Staff", "topic": "Holidays", "slow": 5}
    muted = bea.ask("PUT", f"{T}{room}/members/{people.ids['Cai']}", {"muted_until": "+1h"})
    assert muted.status_code == 200
    refused = cai.ask("POST", f"{T}{room}/messages", {"message": "hi"})
    assert refused.status_code == 403 and 0 < refused.get_json()["retry_in_ms"] <= 3_600_000
    assert bea.ask("DELETE", f"{T}{room}/members/me").status_code == 409
    assert bea.ask("PUT", f"{T}{room}/members/{people.ids['Cai']}", {"role": "manager"}).status_code == 200
    assert bea.ask("DELETE", f"{T}{room}/members/me").status_code == 204
    assert bea.ask("GET", T + room).get_json()["code"] == "room-unknown"


def test_a_member_is_added_and_muted_by_one_request(people: People) -> None:
    """Under one idempotency key too; a repeat gets the same event, and neither is half done."""
    room = closed(people)
    path, body, key = f"{T}{room}/members/{people.ids['Dee']}", {"muted_until": "+1h"}, {"Idempotency-Key": "k"}
    first, again = (people["Bea"].ask("PUT", path, body, **key).get_json() for _ in "ab")
    assert first["seq"] == 2 and again == {**first, "duplicate": True}
    assert people["Dee"].ask("POST", f"{T}{room}/messages", {"message": "hi"}).status_code == 403
    changed = people["Bea"].ask("PUT", path, {"role": "manager", "muted_until": None}, **{"Idempotency-Key": "k2"})
    assert (changed.get_json()["seq"], changed.get_json()["member"]["role"]) == (3, "manager")
    assert people["Dee"].ask("POST", f"{T}{room}/messages", {"message": "hi"}).status_code == 201


def test_a_mute_that_cannot_be_changes_nothing(people: People) -> None:
    """The role beside it is not given either; who may not mute is told that first."""
    room = closed(people, "Bea", "Cai", "Dee")
    body = {"role": "manager", "muted_until": "yesterday"}
    for until in ("yesterday", "2020-01-01T00:00:00Z", 5):
        refused = people["Bea"].ask("PUT", f"{T}{room}/members/{people.ids['Dee']}", {**body, "muted_until": until})
        assert (refused.status_code, refused.get_json()["field"]) == (422, "muted_until")
    assert people["Cai"].ask("PUT", f"{T}{room}/members/{people.ids['Dee']}", body).status_code == 403
    assert people["Azin"].ask("PUT", f"{T}{room}/members/{people.ids['Dee']}", body).status_code == 404
    found = people["Bea"].ask("GET", f"{T}{room}/members").get_json()["members"]
    assert {each["user"]: each["role"] for each in found} == {"Bea": "manager", "Cai": "member", "Dee": "member"}


def test_a_banned_manager_is_put_out(people: People) -> None:
    """The last manager is the last that can act: one that is banned is in nobody's way, and counts after the ban."""
    chat, room = people.app.extensions["quotechat"], closed(people, "Bea", "Cai", "Dee")
    now = chat.now()
    for name in ("Cai", "Dee"):
        assert people["Bea"].ask("PUT", f"{T}{room}/members/{people.ids[name]}", {"role": "manager"}).status_code == 200

    def ban(name: str, until: int | None) -> None:
        chat.write_with(lambda sql: bans.ban(sql, accounts.by_key(sql, people.ids[name]), until, now))

    try:
        ban("Cai", None)
        ban("Dee", None)
        assert people["Bea"].ask("DELETE", f"{T}{room}/members/me").status_code == 409
        assert people["Bea"].ask("DELETE", f"{T}{room}/members/{people.ids['Cai']}").status_code == 204
        ban("Dee", now - 1)
        assert people["Bea"].ask("DELETE", f"{T}{room}/members/me").status_code == 204
    finally:
        for name in ("Cai", "Dee"):
            chat.write_with(lambda sql, name=name: bans.unban(sql, accounts.by_key(sql, people.ids[name])))


def test_a_direct_room_is_one(people: People) -> None:
    """201 at first, 200 from then on, whoever begins it; it is listed with the others in it."""
    asked = {"members": [people.ids["Cai"]]}
    first = people["Bea"].ask("POST", "/directs", asked)
    again = people["Cai"].ask("POST", "/directs", {"members": [people.ids["Bea"]]})
    assert (first.status_code, again.status_code) == (201, 200)
    room = first.get_json()["name"]
    assert again.get_json()["name"] == room and again.get_json()["with"][0]["name"] == "Bea"
    listed = {each["name"]: each for each in people["Cai"].ask("GET", "/rooms?joined=1").get_json()["rooms"]}
    assert listed[room]["kind"] == "direct" and "lobby" in listed
    assert room not in str(people["Azin"].ask("GET", "/rooms").get_json())
    assert people["Bea"].ask("POST", "/directs", {"members": ["aaaaaaaaaaaa"]}).status_code == 404
    assert people["Bea"].ask("POST", "/directs", {"members": [people.ids["Cai"]] * 10}).status_code == 422
    assert people.stranger.ask("POST", "/directs", asked).status_code == 401


def test_an_open_room_is_joined_and_left(people: People) -> None:
    """Without an event; a new account is in the lobby; names of direct rooms are nobody's."""
    dee = people["Dee"]
    assert people["Bea"].ask("POST", "/rooms", {"name": "dm-tea"}).status_code == 422
    assert people["Bea"].ask("POST", "/rooms", {"name": "garden"}).status_code == 201
    answer = dee.ask("PUT", f"{T}garden/members/me")
    assert answer.get_json() == {"member": {"id": people.ids["Dee"], "user": "Dee", "role": "member"}}
    assert dee.ask("GET", T + "garden").get_json()["about"]["you"]["read"] == {"id": 0, "messages": 0}
    assert dee.ask("DELETE", f"{T}garden/members/me").status_code == 204
    assert "you" not in dee.ask("GET", T + "garden").get_json()["about"]
    assert "you" in dee.ask("GET", T + "lobby").get_json()["about"]
    assert people.stranger.ask("PUT", f"{T}garden/members/me").status_code == 401
    assert people.stranger.ask("GET", f"{T}garden/members").status_code == 401


def test_nobody_leaves_an_open_room_to_be_heard_again(people: People) -> None:
    """A muted member stays muted, and the pace of a slow room holds for one that leaves and joins again."""
    bea, cai, me = people["Bea"], people["Cai"], people.ids["Cai"]
    for name in ("quiet", "slow"):
        assert bea.ask("POST", "/rooms", {"name": name}).status_code == 201
    bea.ask("PUT", f"{T}quiet/members/{me}", {"muted_until": "+1h"})
    left = cai.ask("DELETE", f"{T}quiet/members/me")
    assert (left.status_code, left.get_json()["code"]) == (403, "forbidden")
    assert left.get_json()["retry_in_ms"] > 3_000_000
    assert bea.ask("DELETE", f"{T}quiet/members/{me}").status_code == 409
    cai.ask("PUT", f"{T}quiet/members/me")
    assert cai.ask("POST", f"{T}quiet/messages", {"message": "x"}).status_code == 403
    bea.ask("PUT", f"{T}quiet/members/{me}", {"muted_until": None})
    assert cai.ask("DELETE", f"{T}quiet/members/me").status_code == 204

    bea.ask("PATCH", f"{T}slow", {"slow": 3600})
    assert cai.ask("POST", f"{T}slow/messages", {"message": "x"}).status_code == 201
    assert cai.ask("DELETE", f"{T}slow/members/me").status_code == 204
    assert cai.ask("PUT", f"{T}slow/members/me").status_code == 200
    assert cai.ask("POST", f"{T}slow/messages", {"message": "y"}).status_code == 429


def test_a_token_leaves_and_does_not_manage(people: People) -> None:
    """To leave needs `write`; to remove others, and to delete what they said, `manage`."""
    room = closed(people, "Bea", "Cai", "Dee")
    assert people["Bea"].ask("PUT", f"{T}{room}/members/{people.ids['Cai']}", {"role": "manager"}).status_code == 200
    said = people["Dee"].ask("POST", f"{T}{room}/messages", {"message": "hi"}).get_json()["message"]["id"]
    token = people["Cai"].token(scopes=["read", "write"])
    program, headers = Browser(people.app), {"Authorization": f"Bearer {token}"}
    for method, path in (("DELETE", f"members/{people.ids['Dee']}"), ("DELETE", f"messages/{said}")):
        answer = program.ask(method, f"{T}{room}/{path}", **headers)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "scope-missing"), path
    assert program.ask("DELETE", f"{T}{room}/members/me", **headers).status_code == 204


# --- The table ----------------------------------------------------------------------------------------


def test_a_token_leaves_by_its_own_id(people: People) -> None:
    """As by `me`: with the scope `write`, and nobody else."""
    bearer = {"Authorization": f"Bearer {people['Dee'].token(scopes=['write'])}"}
    room = closed(people, "Bea", "Cai", "Dee")
    other = Browser(people.app).ask("DELETE", f"{T}{room}/members/{people.ids['Cai']}", **bearer)
    assert (other.status_code, other.get_json()["field"]) == (403, "manage")
    assert Browser(people.app).ask("DELETE", f"{T}{room}/members/{people.ids['Dee']}", **bearer).status_code == 204
    assert people["Dee"].ask("GET", f"{T}{room}").status_code == 404


def test_each_cell_of_the_table_holds(people: People) -> None:
    """For each standing, kind of room and action: the server does what the table allows, and nothing else."""
    chat = people.app.extensions["quotechat"]
    roles = {"Azin": "owner", "Bea": "member", "Cai": "member", "Dee": "member", "Gil": "guest"}
    wrong = []
    for kind in ("open", "closed", "direct"):
        room, places = _room(people, kind)
        for name, place in places.items():
            browser = people.stranger if name == "" else people[name]
            caller = Principal(None) if name == "" else Principal("acct:x", 1, "x", name, roles[name])
            for action, act in _actions(people, room, name).items():
                expected = p.allows(caller, action, kind, place)
                status = act(browser).status_code
                if (status < 400) != expected:
                    wrong.append((kind, name, place, action, status))
                visible = p.allows(caller, p.READ, kind, place)
                if not visible and status not in (404, 401):
                    wrong.append((kind, name, place, action, status))
    assert wrong == []
    assert chat.draining is False


def _room(people: People, kind: str) -> tuple[str, dict[str, str | None]]:
    """A room of that kind, and the place in it of each name; the visitor is the empty one."""
    if kind == "direct":
        body = {"members": [people.ids["Cai"], people.ids["Gil"]]}
        room = people["Bea"].ask("POST", "/directs", body)
        if room.status_code >= 400:
            raise AssertionError(room.get_json())
        return room.get_json()["name"], {"": None, "Azin": None, "Dee": None, "Bea": "member", "Cai": "member",
                                         "Gil": "member"}  # fmt: skip
    made = people["Bea"].ask("POST", "/rooms", {"name": "cells", "kind": kind}).get_json()["name"]
    places: dict[str, str | None] = dict.fromkeys(("", "Azin", "Dee", "Gil")) | {"Cai": "member", "Bea": "manager"}
    assert people["Bea"].ask("PUT", f"{T}{made}/members/{people.ids['Cai']}", {}).status_code == 200
    return made, places


def _actions(people: People, room: str, name: str) -> dict[str, Callable[[Browser], Any]]:
    """A request for each action of the table that the API has."""
    chat = people.app.extensions["quotechat"]
    signed = {} if name else {"user": "Zed"}
    others = _said(people, room)
    return {
        p.READ: lambda browser: browser.ask("GET", T + room),
        p.WRITE: lambda browser: browser.ask("POST", f"{T}{room}/messages", {"message": "hi", **signed}),
        p.LIST_MEMBERS: lambda browser: browser.ask("GET", f"{T}{room}/members"),
        p.CHANGE_OWN: lambda browser: browser.ask(
            "PUT", f"{T}{room}/messages/{others}/reaction", {"reaction": "like"}, **_visitor(people, name)
        ),
        p.DELETE_OTHERS: lambda browser: browser.ask("DELETE", f"{T}{room}/messages/{others}"),
        p.MANAGE: lambda browser: browser.ask("PATCH", T + room, {"topic": name or "visitor"}),
        p.WRITE_RESTRICTED: lambda browser: _restricted(chat, browser, room, signed),
    }


def _visitor(people: People, name: str) -> dict[str, str]:
    """The header by which a visitor is somebody; accounts have their session."""
    if name:
        return {}
    token = people.stranger.ask("POST", "/guests", {"user": "Zed"}).get_json()["token"]
    return {"Authorization": f"Bearer {token}"}


def _said(people: People, room: str) -> int:
    """The id of a message that none of those who try has sent."""
    chat = people.app.extensions["quotechat"]

    def work(sql: Any) -> int:
        row = sql.one("SELECT id FROM room WHERE name = ?", room)
        sql.run("UPDATE message SET identity = 'somebody else' WHERE room_id = ?", row[0])
        return int(sql.one("SELECT coalesce(max(id), 0) FROM message WHERE room_id = ? AND deleted IS NULL", row[0])[0])

    if not chat.write_with(work):
        speaker = people["Cai"]
        assert speaker.ask("POST", f"{T}{room}/messages", {"message": "first"}).status_code == 201
    return int(chat.write_with(work))


def _restricted(chat: Any, browser: Browser, room: str, signed: dict[str, str]) -> Any:
    """A message while only managers may write."""

    def post(posting: str) -> None:
        chat.write_with(lambda sql: sql.run("UPDATE room SET about = ? WHERE name = ?", posting, room))

    post('{"posting":"managers"}')
    try:
        return browser.ask("POST", f"{T}{room}/messages", {"message": "hi", **signed})
    finally:
        post("{}")


@pytest.mark.parametrize("whom", ["all", "admins"])
def test_each_cell_of_the_servers_table_holds(people: People, whom: str) -> None:
    """Who creates rooms and begins direct messages, by role, as the site says."""
    roles = {"": "visitor", "Azin": "owner", "Bea": "member", "Gil": "guest"}
    closed(people, "Bea", "Gil", "Dee")
    set_ = people["Azin"].ask("PATCH", "/site", {"rooms_by": whom, "directs": whom})
    assert set_.status_code == 200
    site = set_.get_json()
    # Each time other people: a direct room that is there is found whatever the site says.
    begun = {
        ("all", ""): "Dee", ("all", "Azin"): "Gil", ("all", "Bea"): "Azin Gil", ("all", "Gil"): "Dee",
        ("admins", ""): "Dee", ("admins", "Azin"): "Dee", ("admins", "Bea"): "Azin Dee", ("admins", "Gil"): "Dee Bea",
    }  # fmt: skip
    wrong = []
    for name, role in roles.items():
        browser = people[name] if name else people.stranger
        asked: dict[str, tuple[str, Any]] = {
            p.CREATE_ROOM: ("/rooms", {"name": f"cell-{whom}-{role}"}),
            p.CREATE_CLOSED: ("/rooms", {"kind": "closed"}),
            p.BEGIN_DIRECT: ("/directs", {"members": [people.ids[each] for each in begun[whom, name].split()]}),
        }
        for action, (path, body) in asked.items():
            status = browser.ask("POST", path, body).status_code
            if (status < 400) != p.allows_on_server(Principal(None, role=role), action, site):
                wrong.append((role, action, status))
    people["Azin"].ask("PATCH", "/site", {"rooms_by": "all", "directs": "all"})
    assert wrong == []


def test_what_is_not_there_and_what_is_not_yours_answer_alike(people: People) -> None:
    """Byte for byte but for the name, for every method of every address of a room."""
    room = closed(people)
    free = "staff-aaaaaa"
    asked: list[tuple[str, str, Any]] = [
        ("GET", "", None), ("GET", "/messages", None), ("GET", "/events", None), ("GET", "/members", None),
        ("GET", "/scheduled", None), ("POST", "/messages", {"message": "hi"}), ("PATCH", "", {"topic": "x"}),
        ("PUT", "/members/me", None), ("DELETE", "/members/me", None), ("PATCH", "/messages/1", {"message": "x"}),
        ("DELETE", "/messages/1", None), ("PUT", "/messages/1/reaction", {"reaction": "like"}),
        ("PUT", f"/members/{people.ids['Dee']}", {}), ("DELETE", f"/members/{people.ids['Dee']}", None),
        ("POST", "/commands", {"command": "join"}), ("POST", "/commands", {"command": "ping"}),
        ("DELETE", "/scheduled/1", None), ("POST", "/messages", {"message": "hi", "send_at": "+1h"}),
    ]  # fmt: skip
    for browser in (people["Azin"], people["Dee"], people["Gil"]):
        for method, path, body in asked:
            found = [browser.ask(method, f"{T}{name}{path}", body) for name in (room, free)]
            told = [
                (each.status_code, {k: v for k, v in each.get_json().items() if k != "request_id"}) for each in found
            ]
            told[0][1]["detail"] = told[0][1]["detail"].replace(room, free)
            assert told[0] == told[1] and told[0][0] == 404, (method, path, told)


def test_rooms_are_made_as_the_site_says(people: People, app: Flask) -> None:
    """By administrators alone, if so; a visitor makes no closed room."""
    assert people.stranger.ask("POST", "/rooms", {"name": "x", "kind": "closed"}).status_code == 403
    assert people["Azin"].ask("PATCH", "/site", {"rooms_by": "admins", "directs": "none"}).status_code == 200
    try:
        assert people["Bea"].ask("POST", "/rooms", {"kind": "closed"}).status_code == 403
        for name in ("Bea", "Azin", "Gil"):  # of people who have no direct room together
            body = {"members": [each for other, each in people.ids.items() if other != name]}
            assert people[name].ask("POST", "/directs", body).status_code == 403
        assert people["Azin"].ask("POST", "/rooms", {"kind": "closed"}).status_code == 201
    finally:
        people["Azin"].ask("PATCH", "/site", {"rooms_by": "all", "directs": "all"})
    outcome = app.extensions["quotechat"]._store.commit([Write(CreateRoom("by-nobody"), 1_800_000_000_000)])
    assert outcome[0].room["name"] == "by-nobody"


def test_a_flag_is_0_or_1(people: People) -> None:
    """Another value is refused, with its name."""
    answer = people["Cai"].ask("GET", "/rooms?joined=true")
    assert (answer.status_code, answer.get_json()["field"]) == (400, "joined")
    assert people["Cai"].ask("GET", "/rooms?joined=0").status_code == 200

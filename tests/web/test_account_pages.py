"""The pages of accounts, as forms: everything works without JavaScript; and what a stranger sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from people import ORIGIN, PASSWORD, Browser, joined, owner, setup_code
from servers import ROOT

from quotechat import create_app
from quotechat.config import Settings
from quotechat.hub.writer import PendingOutcome
from quotechat.store.base import Deliver, Write
from quotechat.web.http import gate
from quotechat.web.pages import own
from quotechat.web.spec.described import calls

NEW = "another horse 77 battery"


@pytest.fixture(scope="module")
def store_kind() -> str:
    """One store: the pages are forms over what tests/web/test_accounts.py asks of both stores."""
    return "sqlite"


@pytest.fixture
def app(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Flask]:
    app = create_app(Settings(data=tmp_path / "data", database=new_database(), limits=False, access="invite"))
    yield app
    app.extensions["quotechat"].close()


def post(browser: Browser, path: str, **form: str) -> Any:
    return browser.client.post(path, data=form, headers=ORIGIN)


def link_on(answer: Any) -> str:
    """The code of the link that a page shows."""
    return re.search(r"<code>[^<#]*#([a-z2-7-]+)</code>", answer.get_data(as_text=True))[1]  # type: ignore[index]


# --- In and out -------------------------------------------------------------------------------------


def test_from_the_setup_link_to_two_people(app: Flask) -> None:
    """The owner sets up, invites by a page, and somebody joins; each page is a form."""
    boss, guest = Browser(app), Browser(app)
    page = boss.client.get("/setup").get_data(as_text=True)
    assert 'name="code"' in page and 'name="password"' in page and "js/account.js" in page
    assert post(boss, "/setup", code=setup_code(app), name="Azin", password=PASSWORD).status_code == 303
    link = post(boss, "/admin/invitations", uses="1", expires_in="+7d", note="for Bo")
    assert "data:image/svg+xml" in link.get_data(as_text=True)
    joined_ = post(guest, "/join", code=link_on(link), name="Bo", password=PASSWORD)
    assert (joined_.status_code, joined_.headers["Location"]) == (303, "/")
    assert guest.client.get("/").status_code == 200
    people = guest.client.get("/people").get_data(as_text=True)
    assert "Azin" in people and "Bo" in people and "Ban" not in people
    assert "Ban" in boss.client.get("/people").get_data(as_text=True)


def test_what_was_typed_is_kept_but_for_the_password(app: Flask) -> None:
    """A refused form says why beside its field, and does not send the password back."""
    owner(app)
    answer = post(Browser(app), "/join", code="wr-ong", name="Bo <b>", password="my secret words 1")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 404 and "This link is not valid" in page
    assert 'value="wr-ong"' in page and "Bo &lt;b&gt;" in page and "my secret words" not in page
    answer = post(Browser(app), "/sign-in", name="Azin", password="wrong", next="/rooms/tea")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 401 and 'value="Azin"' in page and 'value="/rooms/tea"' in page
    assert "Name or password is wrong." in page


def test_a_long_name_is_refused_and_not_cut(app: Flask) -> None:
    """With how long it is, beside the field; an attribute of the field would cut what is pasted without a word."""
    boss = Browser(app)
    assert "maxlength" not in boss.client.get("/setup").get_data(as_text=True)
    answer = post(boss, "/setup", code=setup_code(app), name="x" * 41, password=PASSWORD)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "Longer than 40 characters: it has 41." in page and "x" * 41 in page


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("/rooms/tea?before=7", "/rooms/tea?before=7"), ("//evil.example/x", "/"), ("/\\evil.example", "/"),
        ("https://evil.example/", "/"), ("", "/"), ("/a\r\nSet-Cookie: x=1", "/"), ("/" + "x" * 2000, "/"),
    ],
)  # fmt: skip
def test_after_signing_in_one_is_back_where_one_was(app: Flask, asked: str, there: str) -> None:
    """On this server only."""
    owner(app)
    answer = post(Browser(app), "/sign-in", name="Azin", password=PASSWORD, next=asked)
    assert (answer.status_code, answer.headers["Location"]) == (303, there)


def test_signing_out_by_the_page(app: Flask) -> None:
    """The session is gone from the store, not only its cookie."""
    browser = owner(app)
    cookie = browser.client.get_cookie("quotechat-session")
    assert cookie is not None
    assert post(browser, "/sign-out").headers["Location"] == "/sign-in"
    other = app.test_client()
    other.set_cookie("quotechat-session", cookie.value)
    assert other.get("/").status_code == 303


def test_a_form_of_another_page_signs_nobody_in_or_out(app: Flask) -> None:
    """Also signing in is refused from elsewhere: one would be somebody else without knowing."""
    browser = owner(app)
    for path in ("/sign-in", "/sign-out", "/setup", "/join", "/reset"):
        answer = browser.client.post(path, data={}, headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403, path


# --- /me, /people, /admin ---------------------------------------------------------------------------


def test_ones_own_page(app: Flask) -> None:
    """Name, password, devices, tokens, and the end of the account, each by a form."""
    boss = owner(app)
    member, other = joined(app, boss, "Bo"), Browser(app)
    other.sign_in("Bo")
    assert "Firefox" not in member.client.get("/me").get_data(as_text=True)
    assert post(member, "/me/name", name="Bob").status_code == 200
    assert post(member, "/me/name", name="Bo").status_code == 429
    wrong = post(member, "/me/password", old="wrong", password=NEW)
    assert wrong.status_code == 401 and "Name or password is wrong" in wrong.get_data(as_text=True)
    weak = post(member, "/me/password", old=PASSWORD, password="short")
    assert weak.status_code == 422 and 'aria-invalid="true"' in weak.get_data(as_text=True)
    assert post(member, "/me/password", old=PASSWORD, password=NEW).status_code == 200
    assert other.client.get("/me").status_code == 303
    shown = post(member, "/me/tokens", name="curl", old=NEW).get_data(as_text=True)
    token = re.search(r"qct_[\w-]+", shown)[0]  # type: ignore[index]
    bearer = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/me", headers=bearer).get_json()["account"]["name"] == "Bob"
    assert post(member, f"/me/tokens/{token.split('_')[1]}/revoke").status_code == 200
    assert app.test_client().get("/api/v1/me", headers=bearer).status_code == 401
    other.sign_in("Bob", NEW)
    assert post(member, "/me/sessions/others/end").status_code == 422
    assert other.client.get("/me").status_code == 200
    assert post(member, "/me/sessions/others/end", old=NEW).status_code == 200
    assert other.client.get("/me").status_code == 303
    assert post(member, "/me/close", old="wrong").status_code == 401
    assert post(member, "/me/close", old=NEW).headers["Location"] == "/sign-in"
    assert post(boss, "/me/close", old=PASSWORD).status_code == 409


def test_ones_settings_are_changed_by_the_page(app: Flask) -> None:
    """The level of all rooms without one of their own, and presence; each alone too. What is set already is marked."""
    boss = owner(app)

    def marked() -> list[str]:
        page = boss.client.get("/me").get_data(as_text=True)
        form = page[page.index('action="/me/settings"') :].partition("</form>")[0]
        return re.findall(r'name="(?:level|presence)" value="([a-z]+)" checked', form)

    def stored() -> Any:
        return boss.ask("GET", "/me").get_json()["settings"]

    assert marked() == ["mentions", "on"] and stored() == {}
    answer = post(boss, "/me/settings", level="nothing", presence="off")
    assert answer.status_code == 200 and "Saved." in answer.get_data(as_text=True)
    assert marked() == ["nothing", "off"] and stored() == {"level": "nothing", "presence": "off"}
    assert boss.ask("GET", "/inbox").get_json()["rooms"]["lobby"]["level"] == "nothing"
    post(boss, "/me/settings", level="everything")
    assert marked() == ["everything", "off"]
    wrong = post(boss, "/me/settings", level="hidden", presence="on")
    assert wrong.status_code == 422 and 'role="alert"' in wrong.get_data(as_text=True)
    assert marked() == ["everything", "off"] and boss.ask("GET", "/me").get_json()["account"]["name"] == "Azin"


def test_what_one_scheduled_is_put_away_by_the_page(app: Flask) -> None:
    """Also of a room that one was put out of, by the form and by the call; a second click changes nothing."""
    boss = owner(app)
    guest = joined(app, boss, "Bo")
    there = {"name": "staff", "kind": "closed", "members": [id_of(guest)]}
    room = boss.ask("POST", "/rooms", there).get_json()["name"]
    numbers = [
        guest.ask("POST", f"/rooms/{room}/messages", {"message": text, "send_at": "+1h"}).get_json()["scheduled"]["id"]
        for text in ("*one*", "two", "three")
    ]
    assert boss.ask("DELETE", f"/rooms/{room}/members/{id_of(guest)}").status_code < 300
    app.extensions["quotechat"].write_with(
        lambda sql: sql.run("UPDATE scheduled SET state = 'refused', code = 'room-unknown' WHERE id = ?", numbers[0])
    )
    page = guest.client.get("/me").get_data(as_text=True)
    assert page.count(">Cancel</button>") == 2 and page.count(">Dismiss</button>") == 1
    assert "not sent: the room is not there for you any more" in page and ">one<" in page
    for _ in range(2):
        answer = post(guest, f"/me/scheduled/{numbers[0]}/cancel", room=room)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/me")
    taken = guest.ask("DELETE", f"/rooms/{room}/scheduled/{numbers[1]}")
    assert taken.status_code == 200 and taken.get_json()["scheduled"]["message"]["message"] == "two"
    assert [each["id"] for each in guest.ask("GET", "/me/scheduled").get_json()["scheduled"]] == numbers[2:]
    assert post(boss, f"/me/scheduled/{numbers[2]}/cancel", room=room).status_code == 403
    for path in (f"/rooms/{room}/scheduled", f"/rooms/{room}"):
        assert guest.ask("GET", path).get_json()["code"] == "room-unknown"


DUE = [
    ("conflict", "the room is archived, or somebody else has the name"),
    ("forbidden", "you were not allowed to write there"),
    ("invalid", "a file of it is not there any more"),
    ("room-unknown", "the room is not there for you any more"),
    ("unauthenticated", "your account was banned then"),
]


@pytest.mark.parametrize(("code", "reason"), DUE)
def test_why_what_was_due_was_not_sent(app: Flask, code: str, reason: str) -> None:
    """Each refusal of a due message is told in words, and by what it may mean."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    number = id_of(bo)
    room = boss.ask("POST", "/rooms", {"name": "staff", "kind": "closed", "members": [number]}).get_json()["name"]
    file = bo.client.post(f"/api/v1/rooms/{room}/files", query_string={"name": "a"}, data=b"a", headers=ORIGIN)
    body = {"message": "due", "send_at": "+1h", "files": [file.get_json()["file"]["id"]]}
    waits = bo.ask("POST", f"/rooms/{room}/messages", body).get_json()["scheduled"]["id"]
    chat = app.extensions["quotechat"]
    {
        "conflict": lambda: boss.ask("PATCH", f"/rooms/{room}", {"archived": True}),
        "forbidden": lambda: boss.ask("PATCH", f"/rooms/{room}", {"posting": "managers"}),
        "invalid": lambda: chat.write_with(lambda sql: sql.run("DELETE FROM file")),
        "room-unknown": lambda: boss.ask("DELETE", f"/rooms/{room}/members/{number}"),
        "unauthenticated": lambda: post(boss, f"/people/{number}", do="ban"),
    }[code]()
    PendingOutcome().of(lambda done: chat._writer.submit(Write(Deliver(waits), chat.now()), done))
    post(boss, f"/people/{number}", do="unban")
    bo.sign_in("Bo")
    assert [each["code"] for each in bo.ask("GET", "/me/scheduled").get_json()["scheduled"]] == [code]
    assert f"not sent: {reason}<" in bo.client.get("/me").get_data(as_text=True)


def test_the_pages_of_rooms_give_the_same_reasons() -> None:
    """The script of a room has the words of /me for each code."""
    script = (ROOT / "static/js/outbox/scheduled.js").read_text("utf-8").partition("const REASONS = {")[2]
    script = script.partition("};")[0]
    assert re.findall(r'"?([a-z-]+)"?: "([^"]*)"', script) == list(own._REASONS.items()) == DUE


def test_a_visitor_is_asked_about_messages_from_before(tmp_path: Path, new_database: Callable[[], str]) -> None:
    """Who wrote without an account comes to the page that makes those messages theirs, once; each answer knows it."""
    app = create_app(Settings(data=tmp_path / "open", database=new_database(), limits=False))
    try:
        browser = Browser(app)
        browser.client.get("/")
        assert post(browser, "/rooms/lobby/messages", user="Azin", message="as a visitor").status_code == 303
        made = post(browser, "/setup", code=setup_code(app), name="Azin", password=PASSWORD)
        assert made.headers["Location"] == "/me"
        assert "One message was written in this browser" in browser.client.get("/me").get_data(as_text=True)
        tags = {path: browser.ask("GET", path).headers["ETag"] for path in ("/rooms/lobby", "/rooms/lobby/messages")}
        assert post(browser, "/me/claims").status_code == 200
        for path, tag in tags.items():
            assert browser.ask("GET", path, **{"If-None-Match": tag}).get_json()["mine"]["messages"] == [1], path
        assert "Make them mine" not in browser.client.get("/me").get_data(as_text=True)
        assert browser.ask("GET", "/rooms/lobby").get_json()["mine"]["messages"] == [1]
    finally:
        app.extensions["quotechat"].close()


def test_administration_by_pages(app: Flask) -> None:
    """A link for a new password, a ban and its end, the site; members are told that it is not for them."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    number = member.ask("GET", "/me").get_json()["account"]["id"]
    link = link_on(post(boss, f"/people/{number}", do="reset"))
    assert post(Browser(app), "/reset", code=link, password=NEW).status_code == 303
    assert post(boss, f"/people/{number}", do="ban").status_code == 200
    assert "banned" in post(Browser(app), "/sign-in", name="Bo", password=NEW).get_data(as_text=True)
    post(boss, f"/people/{number}", do="unban")
    again = Browser(app)
    assert post(again, "/sign-in", name="Bo", password=NEW).status_code == 303
    assert post(boss, "/admin/site", title="Class 7b", contact="javascript:1").status_code == 422
    post(boss, "/admin/site", title="Class 7b", contact="mailto:azin@example.org")
    page = Browser(app).client.get("/sign-in").get_data(as_text=True)
    assert "Class 7b" in page and "mailto:azin@example.org" in page
    for path in ("/admin", f"/people/{number}", "/admin/site"):
        answer = again.client.get(path) if path == "/admin" else post(again, path, do="ban")
        assert answer.status_code == 403, path


def test_a_link_for_a_password_is_made_by_who_proves_it(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes after signing in, the page asks for the administrator's password, and then makes the link."""
    boss = owner(app)
    number = joined(app, boss, "Bo").ask("GET", "/me").get_json()["account"]["id"]
    accounts = app.extensions["quotechat.services"].accounts.accounts
    later = accounts.clock() + 600_001
    monkeypatch.setattr(accounts, "clock", lambda: later)
    for about, status in (({}, 403), ({"old": "wrong"}, 401)):
        asked = post(boss, f"/people/{number}", do="reset", **about)
        page = asked.get_data(as_text=True)
        assert asked.status_code == status and 'name="old"' in page and "/reset#" not in page
    assert link_on(post(boss, f"/people/{number}", do="reset", old=PASSWORD))


def id_of(browser: Browser) -> str:
    return str(browser.ask("GET", "/me").get_json()["account"]["id"])


def test_each_account_has_a_page(app: Flask) -> None:
    """It leads to a direct message, and is there for all who may see the account; others get what an unused id gets."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    number = id_of(boss)
    assert f"/people/{number}" in member.client.get("/people").get_data(as_text=True)
    page = member.client.get(f"/people/{number}").get_data(as_text=True)
    assert "Azin" in page and 'aria-label="Message Azin"' in page and "Ban" not in page and "Change role" not in page
    for nobody in ("aaaaaaaaaaaa", "x", "%00"):
        assert member.client.get(f"/people/{nobody}").status_code == 404
        assert post(member, f"/people/{nobody}", do="block").status_code == 404
    own = member.client.get(f"/people/{id_of(member)}").get_data(as_text=True)
    assert "Message Bo" not in own and 'value="block"' not in own
    assert Browser(app).client.get(f"/people/{number}").headers["Location"].startswith("/sign-in")


def test_a_member_blocks_by_the_page_of_an_account(app: Flask) -> None:
    """The page, /me and the API show the same; the block ends by either page."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    number = id_of(boss)
    for page in (f"/people/{number}", "/me"):
        assert 'value="unblock"' in post(member, f"/people/{number}", do="block").get_data(as_text=True)
        assert [each["id"] for each in member.ask("GET", "/me/blocks").get_json()["blocked"]] == [number]
        shown = member.client.get(page).get_data(as_text=True)
        (action,) = re.findall(r'action="([^"]+)"[^>]*>\s*<button type="submit" name="do" value="unblock"', shown)
        assert 'value="block"' in post(member, action, do="unblock").get_data(as_text=True)
        assert member.ask("GET", "/me/blocks").get_json() == {"blocked": []}
    assert post(member, f"/people/{id_of(member)}", do="block").status_code == 409


def test_a_role_is_given_by_the_page_of_an_account(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """By administrators, after their password; the form that asks for it keeps the role that was chosen."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    number = id_of(member)
    assert post(member, f"/people/{number}", do="role", role="owner").status_code == 403
    assert post(boss, f"/people/{number}", do="role", role="king").status_code == 422
    assert post(boss, f"/people/{number}", do="role", role="guest").status_code == 200
    accounts = app.extensions["quotechat.services"].accounts.accounts
    later = accounts.clock() + 600_001
    monkeypatch.setattr(accounts, "clock", lambda: later)
    asked = post(boss, f"/people/{number}", do="role", role="admin")
    assert asked.status_code == 403 and 'name="role" value="admin">' in asked.get_data(as_text=True)
    assert boss.ask("GET", f"/accounts/{number}").get_json()["role"] == "guest"
    assert post(boss, f"/people/{number}", do="role", role="admin", old=PASSWORD).status_code == 200
    assert boss.ask("GET", f"/accounts/{number}").get_json()["role"] == "admin"


def test_the_page_of_the_site_has_all_its_settings_and_figures(app: Flask) -> None:
    """Each setting of `/site` has a field there; accounts and files are counted."""
    boss = owner(app)
    page = boss.client.get("/admin").get_data(as_text=True)
    for name in boss.ask("GET", "/site").get_json():
        assert f'name="{name}"' in page, name
    assert "1 account<" in page and "0 files of 0 B" in page
    assert post(boss, "/admin/site", directs="none").status_code == 200
    assert boss.ask("GET", "/site").get_json()["directs"] == "none"


# --- What a stranger sees ---------------------------------------------------------------------------

FOR_ALL = {
    "/healthz", "/readyz", "/openapi.json", "/asyncapi.json", "/api/v1/seen", "/metrics", "/reference", "/sign-in",
    "/join", "/reset", "/setup", "/device", "/robots.txt", "/learn", "/learn/<step>",
}  # fmt: skip
BEGINNINGS = {"/api/v1/sessions", "/api/v1/setup", "/api/v1/joins", "/api/v1/resets", "/api/v1/devices/use"}


def filled(rule: str, room: str) -> str:
    """An address of that rule."""
    return re.sub(r"<[^>]*?(\w+)>", lambda found: room if found[1] in ("room", "name") else "11111111", rule)


def told(answer: Any, room: str) -> tuple[Any, ...]:
    """What a stranger learns, without what differs between any two requests."""
    headers = sorted((name, value) for name, value in answer.headers if name not in ("Date", "X-Request-Id"))
    body = answer.get_data(as_text=True)
    body = re.sub(r'"request_id":"[^"]*"', "", body).replace(room, "ROOM")
    return answer.status_code, [(name, value.replace(room, "ROOM")) for name, value in headers], body


def test_only_what_is_served_needs_no_account(app: Flask) -> None:
    """Each exception names an address that is there: for one that is not, a stranger gets the answer for all others."""
    rules = [rule.rule for rule in app.url_map.iter_rules()]
    assert {*rules, "/favicon.ico"} >= gate._FOR_ALL | gate._OWN_GUARD | gate._TO_SIGN_IN
    for each in gate._FOR_ALL_BELOW:
        assert any(rule.startswith(each) for rule in rules), each
    for path in ("/sw.js", "/.well-known/security.txt", "/none"):
        answer = app.test_client().get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 303 and answer.headers["Location"].startswith("/sign-in?next="), path


def test_a_stranger_gets_the_same_answer_everywhere(app: Flask) -> None:
    """Every path and method of the API is 401, every page 303, whether the room is there or not; also none such."""
    boss = owner(app)
    boss.ask("POST", "/rooms", {"name": "staff"})
    boss.ask("POST", "/rooms/staff/messages", {"message": "secret plans"})
    stranger = app.test_client()
    guest = {"Authorization": "Bearer qct_aaaaaaaa_" + "x" * 43}
    walked = 0
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(("/static/", "/hooks/")):  # a hook's secret is its right
            continue
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            if rule.rule in FOR_ALL or (rule.rule in BEGINNINGS and method == "POST"):
                continue
            answers = []
            for room in ("staff", "zzzzz"):
                path = filled(rule.rule, room)
                answer = stranger.open(path, method=method, json={} if method in ("POST", "PUT", "PATCH") else None)
                answers.append(told(answer, room))
                if rule.rule.startswith("/api/"):
                    assert answer.status_code == 401, (method, path, answer.status_code)
                    if method != "HEAD":
                        assert answer.get_json()["code"] == "unauthenticated"
                    assert stranger.open(path, method=method, headers=guest).status_code == 401
                else:
                    assert answer.status_code == 303, (method, path, answer.status_code)
                    assert answer.headers["Location"].startswith("/sign-in")
                assert "secret plans" not in answers[-1][2]
                walked += 1
            assert answers[0] == answers[1], rule.rule
    assert walked > 100
    assert stranger.get("/api/v1/no/such/address").status_code == 401
    assert stranger.get("/no-such-page").status_code == 303
    documented = {rule.rule for rule, _, _, _ in calls(app)}
    assert {"/api/v1/rooms/<room>/events", "/api/v1/ws"} <= documented


def test_a_stranger_opens_no_stream_and_no_socket(app: Flask) -> None:
    """401 before anything else is looked at: NDJSON, events, the handshake, with a guest's token of before too."""
    owner(app)
    stranger = app.test_client()
    token = app.extensions["quotechat.services"].keys.signers["token"].dumps(["ab" * 16, "Guest"])
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        for accept in ("application/x-ndjson", "text/event-stream", "application/json"):
            for room in ("lobby", "none"):
                answer = stranger.get(f"/api/v1/rooms/{room}/events", headers={"Accept": accept, **headers})
                assert answer.status_code == 401 and answer.get_json()["code"] == "unauthenticated"
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
        answer = stranger.get("/api/v1/ws?room=lobby", headers={**upgrade, **headers})
        assert answer.status_code == 401
        assert stranger.post("/api/v1/guests", json={"user": "Eve"}, headers=headers).status_code == 401

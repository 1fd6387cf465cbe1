"""Accounts over HTTP: setup, joining, signing in and out, tokens, administration; on both stores."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import prepared
import psycopg
import pytest
from argon2 import PasswordHasher, extract_parameters
from conforming import check_answers
from flask import Flask
from people import ORIGIN, PASSWORD, Browser, joined, owner, setup_code

from quotechat import create_app
from quotechat.config import Settings
from quotechat.hub.accounts import credentials
from quotechat.hub.accounts.passwords import Passwords


@pytest.fixture
def make_app(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Callable[..., Flask]]:
    """Applications on one store; what they answer is what their documents say."""
    apps: list[Flask] = []
    settings = Settings(data=tmp_path / "data", database=new_database(), limits=False)

    def make(**changed: Any) -> Flask:
        app = create_app(replace(settings, **changed))
        check_answers(app)
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.extensions["quotechat"].close()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(access="invite")


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


# --- The first owner --------------------------------------------------------------------------------


def test_a_setup_link_makes_the_first_owner_once(app: Flask) -> None:
    """Several links may be out; the first that is used makes all of them worthless."""
    first, second = setup_code(app), setup_code(app)
    browser = owner(app)
    me = browser.ask("GET", "/me").get_json()
    assert (me["account"]["name"], me["account"]["role"], me["access"]) == ("Azin", "owner", "invite")
    assert me["scopes"] == ["read", "write", "manage"] and me["session"]["this"]
    for each in (first, second, "wrong", "a" * 32):
        answer = Browser(app).ask("POST", "/setup", {"code": each, "name": "Eve", "password": PASSWORD})
        assert code(answer) == (404, "link-unknown")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "at least 10"), ("x" * 1001, "at most 1000"), ("password1234", "guess"), ("Azin-Azin-1", "guess"),
        ("quotechat2026", "guess"), ("1234567890", "guess"), (12345678901, "no text"), (None, "missing"),
    ],
)  # fmt: skip
def test_passwords_that_are_guessed_too_easily_are_refused(app: Flask, password: Any, why: str) -> None:
    """Short, common, or made of what everybody knows: 422, which says why; the link is not used up."""
    setup = setup_code(app)
    answer = Browser(app).ask("POST", "/setup", {"code": setup, "name": "Azin", "password": password})
    assert code(answer) == (422, "invalid")
    assert answer.get_json()["field"] == "password" and why in answer.get_json()["detail"]
    again = Browser(app).ask("POST", "/setup", {"code": setup, "name": "Azin", "password": PASSWORD})
    assert again.status_code == 201


# --- Joining ----------------------------------------------------------------------------------------


def test_an_invitation_makes_as_many_accounts_as_it_says(app: Flask) -> None:
    """Then it is unknown, as one that was revoked, has ended, or never was."""
    admin = owner(app)
    made = admin.ask("POST", "/invitations", {"uses": 2, "note": "7b"}).get_json()
    link = made["link"].partition("#")[2]
    assert made["link"].startswith("http://localhost/join#") and made["by"] == me(admin)["id"]

    def join(name: str) -> Any:
        return Browser(app).ask("POST", "/joins", {"code": link, "name": name, "password": PASSWORD})

    assert join("Bo").get_json()["account"]["role"] == "member"
    # Only who has a valid code is told that a name is taken; and the code is not used up by it.
    assert code(join("BO")) == (409, "conflict")
    assert join("Chidi").status_code == 201
    assert code(join("Dee")) == code(join("Bo")) == (404, "link-unknown")
    again = admin.ask("POST", "/invitations", {}).get_json()
    listed = admin.ask("GET", "/invitations").get_json()["invitations"]
    assert [each["id"] for each in listed] == [again["id"]] and "link" not in listed[0]
    assert admin.ask("DELETE", f"/invitations/{again['id']}").status_code == 204
    link = again["link"].partition("#")[2]
    assert code(join("Dee")) == (404, "link-unknown")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"uses": 0}, "uses"), ({"uses": 1001}, "uses"), ({"uses": True}, "uses"),
        ({"expires_in": "+59m"}, "expires_in"),
        ({"expires_in": "+31d"}, "expires_in"), ({"expires_in": "soon"}, "expires_in"),
        ({"role": "owner"}, "role"),
        ({"role": 1}, "role"), ({"note": "x" * 201}, "note"),
    ],
)  # fmt: skip
def test_an_invitation_has_bounds(app: Flask, body: dict[str, Any], field: str) -> None:
    """What is out of them is refused, with its field."""
    answer = owner(app).ask("POST", "/invitations", body)
    assert code(answer) == (422, "invalid") and answer.get_json()["field"] == field


def test_who_invites_is_for_the_site_to_say(app: Flask) -> None:
    """Members do where the owner lets them; each sees his own links, administrators all."""
    admin = owner(app)
    member = joined(app, admin, "Bo")
    assert code(member.ask("POST", "/invitations", {})) == (403, "forbidden")
    assert admin.ask("PATCH", "/site", {"invites_by": "all", "title": "Class 7b"}).status_code == 200
    own = member.ask("POST", "/invitations", {}).get_json()
    admin.ask("POST", "/invitations", {})
    assert [each["id"] for each in member.ask("GET", "/invitations").get_json()["invitations"]] == [own["id"]]
    assert len(admin.ask("GET", "/invitations").get_json()["invitations"]) == 2
    assert member.ask("GET", "/me").get_json()["site"]["title"] == "Class 7b"
    assert code(member.ask("PATCH", "/site", {"title": "Mine"})) == (403, "forbidden")


@pytest.mark.parametrize("access", ["open", "invite"])
def test_who_creates_rooms_is_for_the_site_to_say(make_app: Callable[..., Flask], access: str) -> None:
    """Where only administrators do, members, their tokens and visitors get 403 and no form; by the API and the page."""
    app = make_app(access=access)
    admin = owner(app)
    member = joined(app, admin, "Bo")
    token = {"Authorization": f"Bearer {member.token()}"}
    visitor = Browser(app)
    others = [member, visitor] if access == "open" else [member]

    def make(browser: Browser, name: str, **headers: str) -> Any:
        return browser.ask("POST", "/rooms", {"name": name}, **headers)

    def make_by_page(browser: Browser, name: str) -> Any:
        return browser.client.post("/rooms", data={"name": name}, headers=ORIGIN)

    def offers(browser: Browser) -> bool:
        """Whether a room links to the page that creates one, and that page has its form."""
        room, page = (browser.client.get(path).get_data(as_text=True) for path in ("/rooms/lobby", "/new-room"))
        return 'href="/new-room"' in room and 'action="/rooms"' in page

    for number, browser in enumerate(others):
        assert make(browser, f"early-{number}").status_code == 201
        assert make_by_page(browser, f"early-page-{number}").status_code == 303
        assert offers(browser)
    assert admin.ask("PATCH", "/site", {"rooms_by": "admins"}).status_code == 200
    there = admin.ask("GET", "/rooms").get_json()
    for browser in others:
        assert code(make(browser, "tea")) == (403, "forbidden")
        refused = make_by_page(browser, "tea")
        assert refused.status_code == 403 and "Only administrators" in refused.get_data(as_text=True)
        for page in (refused, *map(browser.client.get, ("/rooms/lobby", "/rooms/tea", "/new-room"))):
            text = page.get_data(as_text=True)
            assert 'action="/rooms"' not in text and 'href="/new-room"' not in text
    assert code(make(Browser(app), "tea", **token)) == (403, "forbidden")
    assert admin.ask("GET", "/rooms").get_json() == there
    assert make(admin, "tea").status_code == 201 and make_by_page(admin, "coffee").status_code == 303
    assert offers(admin)


def test_on_a_private_server_an_invitation_is_for_one(make_app: Callable[..., Flask]) -> None:
    """More uses are refused."""
    admin = owner(make_app(access="private"))
    assert code(admin.ask("POST", "/invitations", {"uses": 2})) == (422, "invalid")
    assert admin.ask("POST", "/invitations", {"uses": 1}).status_code == 201


def test_an_invitation_for_several_is_for_one_when_a_server_is_private(make_app: Callable[..., Flask]) -> None:
    """One made before that was used is used up, and is not listed; in another access it is what it was."""
    invite, private = make_app(access="invite"), make_app(access="private")
    admin = owner(invite)
    made = [admin.ask("POST", "/invitations", {"uses": 3}).get_json() for _ in range(2)]

    def join(app: Flask, number: int, name: str) -> Any:
        link = made[number]["link"].partition("#")[2]
        return Browser(app).ask("POST", "/joins", {"code": link, "name": name, "password": PASSWORD})

    def listed(app: Flask) -> list[str]:
        browser = Browser(app)
        browser.sign_in("Azin")
        return [each["id"] for each in browser.ask("GET", "/invitations").get_json()["invitations"]]

    assert join(invite, 0, "Bo").status_code == 201
    assert listed(private) == [made[1]["id"]] and len(listed(invite)) == 2
    assert code(join(private, 0, "Chidi")) == (404, "link-unknown")
    assert join(private, 1, "Chidi").status_code == 201
    assert code(join(private, 1, "Dee")) == (404, "link-unknown") and listed(private) == []
    assert join(invite, 1, "Dee").status_code == 201


# --- Sessions ---------------------------------------------------------------------------------------


def test_signing_in_and_out(app: Flask) -> None:
    """The same person in two browsers; one is signed out, and the other is not."""
    one = owner(app)
    two = Browser(app)
    assert two.sign_in("azin").get_json()["account"]["name"] == "Azin"
    listed = one.ask("GET", "/sessions").get_json()["sessions"]
    assert len(listed) == 2 and [each.get("this") for each in listed].count(True) == 1
    other = next(each["id"] for each in listed if not each.get("this"))
    assert one.ask("DELETE", f"/sessions/{other}").status_code == 204
    assert code(two.ask("GET", "/sessions")) == (401, "unauthenticated")
    assert one.ask("DELETE", "/sessions/zzzzzzzz").status_code == 404
    acts = one.ask("GET", "/rooms/@audit/events?after=0").get_json()["events"]
    assert acts[-1]["audit"]["what"] == "session-ended"
    assert one.ask("DELETE", "/sessions/this").status_code == 204
    assert code(one.ask("GET", "/sessions")) == (401, "unauthenticated")


def test_the_cookie_of_a_session_is_kept_from_scripts_and_other_sites(app: Flask) -> None:
    """HttpOnly, Lax; over https Secure and with a prefix that no other host can set; new at each sign-in."""
    browser = owner(app)
    first = browser.client.get_cookie("quotechat-session")
    assert first is not None and first.http_only and first.same_site == "Lax" and not first.secure
    again = browser.sign_in("Azin")
    assert again.status_code == 201
    second = browser.client.get_cookie("quotechat-session")
    assert second is not None and second.value != first.value
    stale = app.test_client()
    stale.set_cookie("quotechat-session", first.value)
    assert stale.get("/api/v1/me").status_code == 401
    secure = app.test_client().post(
        "/api/v1/sessions", json={"name": "Azin", "password": PASSWORD}, base_url="https://localhost"
    )
    cookies = secure.headers.getlist("Set-Cookie")
    host = next(each for each in cookies if each.startswith("__Host-quotechat-session="))
    assert "Secure" in host and "HttpOnly" in host and "Path=/;" in host and "Domain" not in host


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("203.0.113.9", "203.0.113.0"), ("2001:db8:1:2::7", "2001:db8:1::"), ("2001:db8::7", "2001:db8::"),
        ("::1", "::"),
    ],
)  # fmt: skip
def test_the_list_of_sessions_shows_networks(app: Flask, address: str, shown: str) -> None:
    """The /24 of an address, and the /48 of one of IPv6, however that is written."""
    owner(app)
    asked = {"json": {"name": "Azin", "password": PASSWORD}, "environ_base": {"REMOTE_ADDR": address}}
    answer = app.test_client().post("/api/v1/sessions", **asked)
    assert answer.get_json()["session"]["address"] == shown


def test_a_write_with_a_session_comes_from_our_page(app: Flask) -> None:
    """With neither Origin nor Sec-Fetch-Site it is refused: a browser sends one. Programs use a token."""
    browser = owner(app)
    send = "/api/v1/rooms/lobby/messages"
    assert browser.client.post(send, json={"message": "hi"}).get_json()["code"] == "origin-refused"
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}):
        assert browser.client.post(send, json={"message": "hi"}, headers=headers).status_code == 403
    referrer = {"Referer": "http://localhost/"}
    assert browser.client.post(send, json={"message": "hi"}, headers=referrer).get_json()["code"] == "origin-refused"
    for good in (ORIGIN, {"Sec-Fetch-Site": "same-origin"}):
        assert browser.client.post(send, json={"message": "hi"}, headers=good).status_code == 201
    token = {"Authorization": f"Bearer {browser.token()}"}
    assert app.test_client().post(send, json={"message": "hi"}, headers=token).status_code == 201


def test_what_matters_needs_the_password_again(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes after it was given, 403 with what it is needed for; given again, it works."""
    browser = owner(app)
    accounts = app.extensions["quotechat.services"].accounts.accounts
    later = accounts.clock() + 600_001
    monkeypatch.setattr(accounts, "clock", lambda: later)
    asked = {
        ("PUT", "/me/password"): ({"password": "another horse 77 battery"}, "password"),
        ("POST", "/tokens"): ({"name": "x"}, "token"),
        ("DELETE", "/sessions"): (None, "sessions"),
        ("DELETE", "/me"): (None, "account"),
        ("POST", "/accounts"): ({"name": "Bo", "role": "admin"}, "role"),
        ("PATCH", f"/accounts/{me(browser)['id']}"): ({"role": "admin"}, "role"),
        ("POST", f"/accounts/{me(browser)['id']}/reset"): (None, "password"),
    }
    for (method, path), (body, field) in asked.items():
        answer = browser.ask(method, path, body)
        assert code(answer) == (403, "proof-needed") and answer.get_json()["field"] == field
    assert code(browser.ask("POST", "/sessions/proof", {"password": "wrong"})) == (401, "sign-in-failed")
    browser.prove()
    assert browser.ask("POST", "/tokens", {"name": "x"}).status_code == 201


def test_a_new_password_ends_every_other_session(app: Flask) -> None:
    """And tokens, if that is asked; the old password is worth nothing."""
    one, two = owner(app), Browser(app)
    two.sign_in("Azin")
    token = {"Authorization": f"Bearer {one.token()}"}
    new = "another horse 77 battery"
    assert one.ask("PUT", "/me/password", {"password": new}).status_code == 204
    assert one.ask("GET", "/me").status_code == 200 and two.ask("GET", "/me").status_code == 401
    assert app.test_client().get("/api/v1/me", headers=token).status_code == 200
    one.ask("PUT", "/me/password", {"password": new, "end_tokens": True})
    assert app.test_client().get("/api/v1/me", headers=token).status_code == 401
    assert code(Browser(app).sign_in("Azin")) == (401, "sign-in-failed")
    assert Browser(app).sign_in("Azin", new).status_code == 201


def test_a_restart_forgets_nobody(make_app: Callable[..., Flask]) -> None:
    """Another process on the same store knows every session and token; a session that is idle too long has ended."""
    app = make_app(access="invite")
    browser = owner(app)
    token = {"Authorization": f"Bearer {browser.token()}"}
    cookie = browser.client.get_cookie("quotechat-session")
    assert cookie is not None
    other = make_app(access="invite")
    client = other.test_client()
    client.set_cookie("quotechat-session", cookie.value)
    assert client.get("/api/v1/me").get_json()["account"]["name"] == "Azin"
    assert other.test_client().get("/api/v1/me", headers=token).get_json()["account"]["name"] == "Azin"
    credentials = other.extensions["quotechat.services"].accounts.credentials
    credentials._clock = lambda: time.time_ns() // 1_000_000 + 30 * 86_400_000
    assert client.get("/api/v1/me").status_code == 401


# --- Guessing ---------------------------------------------------------------------------------------


def test_one_answer_for_all_that_is_wrong(app: Flask) -> None:
    """Unknown name, wrong password, closed account: the same bytes but for the id of the request."""
    admin = owner(app)
    joined(app, admin, "Bo").token()
    gone = joined(app, admin, "Gone")
    gone.prove()
    assert gone.ask("DELETE", "/me").status_code == 202

    def told(name: str) -> Any:
        answer = Browser(app).sign_in(name, "wrong password")
        found = answer.get_json()
        del found["request_id"]
        return answer.status_code, found, {k: v for k, v in answer.headers if k not in ("X-Request-Id", "Date")}

    assert told("Bo") == told("Nobody") == told("Gone") == told("x" * 5000)
    assert told("Bo")[0] == 401


@pytest.mark.alone
def test_an_unknown_name_takes_as_long(make_app: Callable[..., Flask], store_kind: str) -> None:
    """The least time of the processor does not tell known and unknown names apart."""
    if store_kind == "postgres":
        pytest.skip("what takes the time is the hash, which no store makes")
    times: dict[str, list[float]] = {"Azin": [], "Nobody": []}
    with prepared.real_hashes():
        app = make_app(access="invite")
        owner(app)
        services = app.extensions["quotechat.services"].accounts
        client = Browser(app)
        for number in range(24):
            for name, found in times.items():
                services.accounts.store.write_with(lambda sql: sql.run("DELETE FROM attempt"))
                began = time.thread_time()
                assert client.sign_in(name, f"wrong {number}").status_code == 401
                found.append(time.thread_time() - began)
    known, unknown = map(min, times.values())
    assert 0.75 < known / unknown < 1.33


def test_an_unknown_name_costs_as_much(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """One password is verified, whether somebody has the name or nobody, and with the same parameters."""
    owner(app)
    verified = []
    verify = PasswordHasher.verify

    def spied(hasher: PasswordHasher, kept: str, password: bytes) -> bool:
        verified.append(extract_parameters(kept))
        return bool(verify(hasher, kept, password))

    monkeypatch.setattr(PasswordHasher, "verify", spied)
    for name in ("Azin", "Nobody"):
        assert Browser(app).sign_in(name, "wrong").status_code == 401
    assert len(verified) == 2 and verified[0] == verified[1]


def test_passwords_are_hashed_at_full_cost() -> None:
    """With argon2id and the parameters of OWASP: 19 MiB, twice, on one thread."""
    with prepared.real_hashes():
        assert Passwords().hash(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_counts_to_its_last_byte() -> None:
    """One that is longer than the longest is wrong, though all that would be hashed of it is right."""
    passwords, longest = Passwords(), "x" * 1000
    kept = passwords.hash(longest)
    assert passwords.matches(kept, longest) and not passwords.matches(kept, f"{longest}x")


def test_a_name_that_is_guessed_waits(app: Flask) -> None:
    """After five wrong passwords a strange device waits, with the right one too; a known device never does."""
    own = owner(app)
    accounts = app.extensions["quotechat.services"].accounts.accounts
    now = accounts.clock()
    accounts.clock = lambda: now  # no wait ends meanwhile
    stranger = Browser(app)
    for _ in range(5):
        assert code(stranger.sign_in("Azin", "wrong")) == (401, "sign-in-failed")
    refused = stranger.sign_in("Azin")
    assert code(refused) == (429, "rate-limited") and 0 < refused.get_json()["retry_in_ms"] <= 1000
    assert int(refused.headers["Retry-After"]) >= 1
    # Names that nobody has wait as well.
    for _ in range(5):
        Browser(app).sign_in("Nobody", "wrong")
    assert code(Browser(app).sign_in("Nobody", "wrong")) == (429, "rate-limited")
    own.ask("DELETE", "/sessions/this")
    assert own.sign_in("Azin").status_code == 201
    assert stranger.sign_in("Azin").status_code == 201


def test_two_workers_count_alike(make_app: Callable[..., Flask]) -> None:
    """Tries of an address and links that are guessed are counted in the store: ten at once, whatever worker."""
    workers = [make_app(access="invite", limits=True) for _ in range(2)]
    now = workers[0].extensions["quotechat"].now()
    for worker in workers:
        worker.extensions["quotechat.services"].accounts.accounts.clock = lambda: now
    owner(workers[0])
    answers = [Browser(workers[number % 2]).sign_in(f"N{number}", "wrong").status_code for number in range(12)]
    assert answers == [401] * 10 + [429] * 2
    body = {"code": "a" * 32, "name": "Eve", "password": PASSWORD}
    links = [Browser(workers[number % 2]).ask("POST", "/joins", body).status_code for number in range(12)]
    # The setup was a try of this address too.
    assert links == [404] * 9 + [429] * 3


# --- Tokens -----------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_does_what_its_scopes_say(app: Flask) -> None:
    """`read` reads, `write` writes, `manage` does the rest of the role; sessions and tokens need a session."""
    browser = owner(app)
    bearers = {
        scope: {"Authorization": f"Bearer {browser.token(scopes=[scope])}"} for scope in ("read", "write", "manage")
    }
    asked: list[tuple[str, str, Any, str]] = [
        ("GET", "/rooms", None, "read"),
        ("GET", "/rooms/lobby/events?after=0", None, "read"),
        ("POST", "/rooms/lobby/messages", {"message": "hi"}, "write"),
        ("POST", "/rooms/lobby/commands", {"command": "send-message", "message": {"message": "hi"}}, "write"),
        ("POST", "/rooms", {"name": "tea"}, "manage"),
        ("POST", "/invitations", {}, "manage"),
    ]
    client = app.test_client()
    for method, path, body, needed in asked:
        for scope, headers in bearers.items():
            answer = client.open(f"/api/v1{path}", method=method, json=body, headers=headers)
            if scope == needed:
                assert answer.status_code < 300, (path, scope, answer.get_json())
            else:
                assert code(answer) == (403, "scope-missing") and answer.get_json()["field"] == needed
    for method, path in (("GET", "/sessions"), ("GET", "/tokens")):
        answer = client.open(f"/api/v1{path}", method=method, headers=bearers["read"])
        assert code(answer) == (403, "scope-missing") and answer.get_json()["field"] == "session"
    listed = browser.ask("GET", "/tokens").get_json()["tokens"]
    assert len(listed) == 3 and not [each for each in listed if "token" in each]
    assert all("used_at" in each for each in listed)


@contextlib.contextmanager
def busy(app: Flask) -> Iterator[None]:
    """Another process writes for long."""
    settings = app.extensions["quotechat.services"].settings
    if settings.database:
        with psycopg.connect(settings.database) as other:
            other.execute("SELECT 1 FROM session FOR UPDATE")
            other.execute("SELECT 1 FROM token FOR UPDATE")
            yield
    else:
        with open(settings.data / "quotechat.lock") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            yield


def test_reading_goes_on_while_nothing_can_be_stored(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session and a token are let in, though that they are used cannot be noted now: the next request notes it."""
    monkeypatch.setattr(credentials, "_TOUCH_SECONDS", 0.05)
    browser = owner(app)
    bearer = {"Authorization": f"Bearer {browser.token()}"}
    chat = app.extensions["quotechat"]
    chat.write_with(lambda sql: sql.run("UPDATE session SET used_at = used_at - 7200000"))
    with busy(app):
        assert browser.ask("GET", "/me").status_code == 200
        assert app.test_client().get("/api/v1/me", headers=bearer).status_code == 200
    monkeypatch.setattr(credentials, "_TOUCH_SECONDS", 60.0)
    (token,) = browser.ask("GET", "/tokens").get_json()["tokens"]
    assert "used_at" not in token
    assert app.test_client().get("/api/v1/me", headers=bearer).status_code == 200
    (token,) = browser.ask("GET", "/tokens").get_json()["tokens"]
    assert "used_at" in token


def test_a_token_for_rooms_knows_no_others(app: Flask) -> None:
    """Another room is as unknown to it as one that is not there."""
    browser = owner(app)
    browser.ask("POST", "/rooms", {"name": "tea"})
    headers = {"Authorization": f"Bearer {browser.token(rooms=['tea'])}"}
    client = app.test_client()
    assert client.get("/api/v1/rooms/tea", headers=headers).status_code == 200
    for path in ("rooms/lobby", "rooms/none", "rooms/lobby/events", "rooms/lobby/messages", "rooms/lobby/scheduled",
                 "events?after=lobby:0", "events?after=tea:0&after=lobby:0"):  # fmt: skip
        assert code(client.get(f"/api/v1/{path}", headers=headers)) == (404, "room-unknown"), path
    assert [each["name"] for each in client.get("/api/v1/rooms", headers=headers).get_json()["rooms"]] == ["tea"]
    assert client.post("/api/v1/rooms/lobby/messages", json={"message": "hi"}, headers=headers).status_code == 404
    for path in ("/", "/rooms/lobby", "/polling?room=lobby", "/quotes"):
        assert client.get(path, headers=headers).status_code == 403, path
    quote = {"quote": "q", "author": "a"}
    assert code(client.post("/api/v1/quotes", json=quote, headers=headers)) == (404, "room-unknown")
    assert client.post("/api/v1/quotes", json={**quote, "room": "tea"}, headers=headers).status_code == 201
    assert client.post("/rooms/lobby/messages", data={"message": "hi"}, headers=headers).status_code == 403
    for name in ("lobby", "none"):
        assert code(client.post("/api/v1/rooms", json={"name": name}, headers=headers)) == (404, "room-unknown")
    assert code(client.post("/api/v1/rooms", json={"name": "tea"}, headers=headers)) == (409, "conflict")


def test_tokens_end(app: Flask) -> None:
    """Revoked by the account or by itself, or at their time: 401, even beside a cookie that is good."""
    browser = owner(app)
    first, second, third = browser.token(), browser.token(), browser.token(expires_in="+1h")
    listed = {each["at"]: each["id"] for each in browser.ask("GET", "/tokens").get_json()["tokens"]}
    assert len(listed) <= 3
    bearer = {"Authorization": f"Bearer {first}"}
    assert app.test_client().delete("/api/v1/tokens/this", headers=bearer).status_code == 204
    assert code(browser.ask("GET", "/me", None, **bearer)) == (401, "unauthenticated")
    assert browser.ask("DELETE", f"/tokens/{second.split('_')[1]}").status_code == 204
    assert code(browser.ask("DELETE", f"/tokens/{second.split('_')[1]}")) == (404, "token-unknown")
    credentials = app.extensions["quotechat.services"].accounts.credentials
    assert app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {third}"}).status_code == 200
    credentials._clock = lambda: time.time_ns() // 1_000_000 + 3_600_001
    assert app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {third}"}).status_code == 401
    for wrong in ("qct_", "qct_abcdefgh_", f"{second[:-1]}x", "qct_abcdefgh_" + "x" * 43):
        headers = {"Authorization": f"Bearer {wrong}"}
        assert app.test_client().get("/api/v1/me", headers=headers).status_code == 401


# --- What an account says ---------------------------------------------------------------------------


def test_an_account_signs_with_its_name(app: Flask) -> None:
    """`user` may be left out, over JSON, text, commands and forms; another name is refused; `by` is its id."""
    browser = owner(app)
    send = "/api/v1/rooms/lobby/messages"
    answers = [
        browser.ask("POST", "/rooms/lobby/messages", {"message": "json"}),
        browser.client.post(send, data="text", content_type="text/plain", headers=ORIGIN),
        browser.ask("POST", "/rooms/lobby/commands", {"command": "send-message", "message": {"message": "command"}}),
        browser.client.post("/rooms/lobby/messages", data={"message": "form"}, headers=ORIGIN),
    ]
    assert [each.status_code for each in answers] == [201, 201, 200, 303], answers[2].get_json()
    found = browser.ask("GET", "/rooms/lobby").get_json()
    assert [each["message"] for each in found["messages"]] == ["json", "text", "command", "form"]
    assert {each["user"] for each in found["messages"]} == {"Azin"}
    assert {each["by"] for each in found["messages"]} == {me(browser)["id"]}
    assert found["mine"]["messages"] == [1, 2, 3, 4]
    assert code(browser.ask("POST", "/rooms/lobby/messages", {"user": "Bo", "message": "hi"})) == (403, "forbidden")
    # The same person with a token: the same messages are its own.
    headers = {"Authorization": f"Bearer {browser.token()}"}
    assert app.test_client().get("/api/v1/rooms/lobby", headers=headers).get_json()["mine"]["messages"] == [1, 2, 3, 4]


def test_an_account_signs_with_a_long_name(make_app: Callable[..., Flask]) -> None:
    """Names of accounts have a bound of their own; that of the settings is for all others."""
    app = make_app(user_chars=10)
    boss = owner(app, "Azin, the first owner of this server")
    sent = boss.ask("POST", "/rooms/lobby/messages", {"message": "hi"})
    assert sent.status_code == 201, sent.get_json()
    refused = Browser(app).ask("POST", "/rooms/lobby/messages", {"user": "Bartholomew", "message": "hi"})
    assert (refused.status_code, refused.get_json()["field"]) == (422, "user")


def test_a_bad_token_is_refused_beside_a_good_cookie(make_app: Callable[..., Flask]) -> None:
    """In every access: the client would take itself for an account, or for a visitor, that it is not."""
    for access in ("open", "invite"):
        app = make_app(access=access)
        browser = owner(app) if access == "open" else Browser(app)
        browser.sign_in("Azin")
        assert browser.ask("GET", "/me").status_code == 200
        for token in ("qct_aaaaaaaa_wrong", "wrong"):
            answer = browser.ask("GET", "/me", Authorization=f"Bearer {token}")
            assert code(answer) == (401, "unauthenticated"), (access, token)


def test_what_waits_is_shown_for_all_rooms(app: Flask) -> None:
    """One's own scheduled messages of every room, the next first; a token sees those of its rooms, a stranger none."""
    browser = owner(app)
    other = joined(app, browser, "Bo")
    browser.ask("POST", "/rooms", {"name": "tea"})
    assert browser.ask("GET", "/me/scheduled").get_json() == {"scheduled": []}
    for who, room, text, later in ((browser, "tea", "third", "+3h"), (browser, "lobby", "first", "+1h"),
                                   (browser, "tea", "second", "+2h"), (other, "tea", "of Bo", "+1h")):  # fmt: skip
        body = {"message": text, "send_at": later, "client_id": text.replace(" ", "-")}
        assert who.ask("POST", f"/rooms/{room}/messages", body).status_code == 202

    def waiting(**headers: str) -> list[tuple[str, str]]:
        answer = app.test_client().get("/api/v1/me/scheduled", headers=headers)
        assert answer.status_code == 200, answer.get_json()
        return [(each["room"], each["message"]["message"]) for each in answer.get_json()["scheduled"]]

    found = browser.ask("GET", "/me/scheduled").get_json()["scheduled"]
    by_room = [browser.ask("GET", f"/rooms/{room}/scheduled").get_json()["scheduled"] for room in ("lobby", "tea")]
    assert found == by_room[0] + by_room[1]
    everywhere = [("lobby", "first"), ("tea", "second"), ("tea", "third")]
    assert waiting(Authorization=f"Bearer {browser.token()}") == everywhere
    assert waiting(Authorization=f"Bearer {browser.token(rooms=['lobby'])}") == everywhere[:1]
    writes = {"Authorization": f"Bearer {browser.token(scopes=['write'])}"}
    assert code(app.test_client().get("/api/v1/me/scheduled", headers=writes)) == (403, "scope-missing")
    assert app.test_client().get("/api/v1/me/scheduled").status_code == 401


def test_open_access_is_what_it_was(make_app: Callable[..., Flask]) -> None:
    """Visitors read and write, with and without a token; only the names of accounts are not theirs."""
    app = make_app()
    account = owner(app)
    guest = app.test_client().post("/api/v1/guests", json={"user": "Bo"}).get_json()["token"]
    headers = {"Authorization": f"Bearer {guest}"}
    client = app.test_client()
    send = "/api/v1/rooms/lobby/messages"
    assert client.post(send, json={"user": "Bo", "message": "guest"}, headers=headers).status_code == 201
    assert client.post(f"{send}?user=Me", data="curl", content_type="text/plain").status_code == 201
    refused = client.post(f"{send}?user=AZIN", data="it is me", content_type="text/plain")
    assert code(refused) == (409, "conflict") and refused.get_json()["field"] == "user"
    assert "sign in" in refused.get_json()["detail"]
    assert client.get("/api/v1/me").get_json() == {
        "access": "open", "site": {"title": "quotechat"}, "scopes": ["read", "write", "manage"], "settings": {},
    }  # fmt: skip
    # The account takes over what it wrote as a visitor.
    assert account.ask("POST", "/me/claims", {"token": guest}).get_json() == {"messages": 1}
    assert account.ask("GET", "/rooms/lobby").get_json()["mine"]["messages"] == [1]
    assert account.ask("DELETE", "/rooms/lobby/messages/1").status_code == 200


# --- Administration ---------------------------------------------------------------------------------


def me(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = browser.ask("GET", "/me").get_json()["account"]
    return found


def test_an_administrator_makes_accounts_and_never_learns_a_password(app: Flask) -> None:
    """The answer has a link by which its owner chooses one, once; a reset is the same."""
    admin = owner(app)
    made = admin.ask("POST", "/accounts", {"name": "Bo", "role": "member"}).get_json()
    new = Browser(app)
    body = {"code": made["link"].partition("#")[2], "password": "another horse 77 battery"}
    assert new.ask("POST", "/resets", body).status_code == 204
    assert me(new)["id"] == made["id"]
    assert code(Browser(app).ask("POST", "/resets", body)) == (404, "link-unknown")
    link = admin.ask("POST", f"/accounts/{made['id']}/reset").get_json()["link"]
    body = {"code": link.partition("#")[2], "password": PASSWORD}
    assert Browser(app).ask("POST", "/resets", body).status_code == 204
    assert new.ask("GET", "/me").status_code == 401  # every other session has ended
    assert Browser(app).sign_in("Bo").status_code == 201


def test_who_may_do_what_to_whom(app: Flask) -> None:
    """Members nothing; administrators to those below them; owners to all, but the last owner stays."""
    boss = owner(app)
    admin, member = joined(app, boss, "Ada"), joined(app, boss, "Bo")
    ids = {name: me(each)["id"] for name, each in (("boss", boss), ("ada", admin), ("bo", member))}
    assert boss.ask("PATCH", f"/accounts/{ids['ada']}", {"role": "admin"}).get_json()["role"] == "admin"
    for method, path, body in (
        ("POST", "/accounts", {"name": "X", "role": "member"}), ("PATCH", f"/accounts/{ids['ada']}", {"name": "Y"}),
        ("POST", f"/accounts/{ids['ada']}/reset", None), ("DELETE", f"/accounts/{ids['ada']}/sessions", None),
        ("PUT", f"/accounts/{ids['ada']}/ban", {}), ("DELETE", f"/accounts/{ids['ada']}/ban", None),
        ("GET", "/site", None),
    ):  # fmt: skip
        assert code(member.ask(method, path, body)) == (403, "forbidden"), path
    for path, body in ((f"/accounts/{ids['boss']}", {"name": "Z"}), (f"/accounts/{ids['boss']}", {"role": "member"}),
                       (f"/accounts/{ids['bo']}", {"role": "owner"})):  # fmt: skip
        assert code(admin.ask("PATCH", path, body)) == (403, "forbidden")
    assert admin.ask("PATCH", f"/accounts/{ids['bo']}", {"name": "Bob"}).get_json()["name"] == "Bob"
    for change in ({"role": "member"}, {"state": "closed"}):
        assert code(boss.ask("PATCH", f"/accounts/{ids['boss']}", change)) == (409, "conflict")
    assert code(boss.ask("PATCH", "/accounts/aaaaaaaaaaaa", {"name": "Q"})) == (404, "account-unknown")
    listed = member.ask("GET", "/accounts?limit=2").get_json()
    assert [each["name"] for each in listed["accounts"]] == ["Bob", "Ada"] and listed["has_more"]
    rest = member.ask("GET", f"/accounts?before={listed['accounts'][-1]['id']}").get_json()
    assert [each["name"] for each in rest["accounts"]] == ["Azin"] and "password" not in rest["accounts"][0]
    assert [each["name"] for each in admin.ask("GET", "/accounts?q=bO").get_json()["accounts"]] == ["Bob"]


def test_a_token_takes_no_account_over(app: Flask) -> None:
    """Passwords, sessions and roles, also of others, need a session, whatever the scopes of a token are."""
    boss = owner(app)
    bo = me(joined(app, boss, "Bo"))["id"]
    token = {"Authorization": f"Bearer {boss.token()}"}
    for method, path, body in (
        ("POST", f"/accounts/{me(boss)['id']}/reset", None), ("POST", f"/accounts/{bo}/reset", None),
        ("DELETE", f"/accounts/{bo}/sessions", None), ("PATCH", f"/accounts/{bo}", {"role": "admin"}),
    ):  # fmt: skip
        answer = Browser(app).ask(method, path, body, **token)
        assert code(answer) == (403, "scope-missing") and answer.get_json()["field"] == "session"


@pytest.mark.parametrize("scope", ["read", "write", "manage"])
def test_a_token_is_told_what_needs_a_session(app: Flask, scope: str) -> None:
    """Whatever its scopes are: another scope would not help it."""
    token = {"Authorization": f"Bearer {owner(app).token(scopes=[scope])}"}
    for method, path in (
        ("PUT", "/me/password"), ("DELETE", "/me"), ("GET", "/tokens"), ("POST", "/tokens"),
        ("GET", "/sessions"), ("DELETE", "/sessions"), ("POST", "/sessions/proof"), ("DELETE", "/sessions/this"),
    ):  # fmt: skip
        answer = Browser(app).ask(method, path, **token)
        assert code(answer) == (403, "scope-missing") and answer.get_json()["field"] == "session", path


def new_password(app: Flask, link: str) -> Any:
    """The answer to a reset link that is used."""
    return Browser(app).ask("POST", "/resets", {"code": link.partition("#")[2], "password": "another horse 77 battery"})


def test_links_end_with_the_right_to_make_them(app: Flask) -> None:
    """A ban or a lower role ends the links of an administrator; a new role ends those for the account's password."""
    boss = owner(app)
    ada, bo, cy = (joined(app, boss, name) for name in ("Ada", "Bo", "Cy"))
    ids = {name: me(each)["id"] for name, each in (("ada", ada), ("bo", bo), ("cy", cy))}
    roles = {"up": {"role": "admin"}, "down": {"role": "member"}}

    def made() -> tuple[str, str]:
        boss.ask("PATCH", f"/accounts/{ids['ada']}", roles["up"])
        invitation = ada.ask("POST", "/invitations", {}).get_json()["link"]
        return invitation, ada.ask("POST", f"/accounts/{ids['bo']}/reset").get_json()["link"]

    for method, path, body in (("PATCH", "", roles["down"]), ("PUT", "/ban", {})):
        invitation, reset = made()
        boss.ask(method, f"/accounts/{ids['ada']}{path}", body)
        joining = {"code": invitation.partition("#")[2], "name": "Eve", "password": PASSWORD}
        assert code(Browser(app).ask("POST", "/joins", joining)) == (404, "link-unknown")
        assert code(new_password(app, reset)) == (404, "link-unknown")
    link = boss.ask("POST", f"/accounts/{ids['cy']}/reset").get_json()["link"]
    boss.ask("PATCH", f"/accounts/{ids['cy']}", {"role": "owner"})
    assert code(new_password(app, link)) == (404, "link-unknown")


def test_no_session_begins_by_a_password_that_was_changed_meanwhile(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is changed between the check of the old one and the session: that session never begins."""
    browser = owner(app)
    accounts = app.extensions["quotechat.services"].accounts.accounts
    verified = accounts._verified

    def and_then_changed(*about: Any) -> Any:
        found = verified(*about)
        body = {"password": "another horse 77 battery"}
        assert browser.ask("PUT", "/me/password", body).status_code == 204
        return found

    monkeypatch.setattr(accounts, "_verified", and_then_changed)
    assert code(Browser(app).sign_in("Azin")) == (401, "sign-in-failed")
    assert len(browser.ask("GET", "/sessions").get_json()["sessions"]) == 1


def test_a_ban_is_told_to_whom_has_the_password(app: Flask) -> None:
    """Its sessions and tokens are worth nothing; signing in says so only after the right password."""
    admin = owner(app)
    member = joined(app, admin, "Bo")
    token = {"Authorization": f"Bearer {member.token()}"}
    number = me(member)["id"]
    assert admin.ask("PUT", f"/accounts/{number}/ban", {"until": "+1h"}).status_code == 204
    assert member.ask("GET", "/me").status_code == 401
    assert app.test_client().get("/api/v1/me", headers=token).status_code == 401
    assert code(Browser(app).sign_in("Bo", "wrong")) == (401, "sign-in-failed")
    told = Browser(app).sign_in("Bo")
    assert code(told) == (403, "forbidden") and "banned until" in told.get_json()["detail"]
    assert admin.ask("GET", f"/accounts/{number}").get_json()["state"] == "banned"
    assert admin.ask("DELETE", f"/accounts/{number}/ban").status_code == 204
    assert Browser(app).sign_in("Bo").status_code == 201
    assert app.test_client().get("/api/v1/me", headers=token).status_code == 200


# --- One's own --------------------------------------------------------------------------------------


def test_a_visitor_is_told_what_it_may(make_app: Callable[..., Flask]) -> None:
    """`/me` has the same fields for everybody but those of an account and of a session."""
    shown = make_app(access="open").test_client().get("/api/v1/me").get_json()
    assert sorted(shown) == ["access", "scopes", "settings", "site"] and shown["settings"] == {}


def test_a_name_is_changed_once_a_day(app: Flask) -> None:
    """The second time it is 429, with the time until it may be."""
    browser = owner(app)
    assert browser.ask("PATCH", "/me", {"name": "Azin Dee"}).get_json()["name"] == "Azin Dee"
    again = browser.ask("PATCH", "/me", {"name": "Azin"})
    assert code(again) == (429, "rate-limited") and again.get_json()["retry_in_ms"] > 86_000_000
    assert browser.ask("PATCH", "/me", {"settings": {"presence": "off"}}).status_code == 200
    assert browser.ask("GET", "/me").get_json()["settings"] == {"presence": "off"}
    assert code(browser.ask("PATCH", "/me", {"settings": {"x": 1}})) == (422, "invalid")


@pytest.mark.parametrize("form", [False, True])
def test_settings_are_saved_beside_a_rename(app: Flask, monkeypatch: pytest.MonkeyPatch, form: bool) -> None:
    """By the call and by the form: an administrator's new name of the account stays."""
    member = joined(app, owner(app), "Bo")
    people = app.extensions["quotechat.services"].accounts.people
    number = member.ask("GET", "/me").get_json()["account"]["id"]
    limits = app.extensions["quotechat"].limits
    allow = limits.allow

    def rename_and_allow(kind: str, *key: str) -> None:
        """Let the administrator be first: the request knows its account already, and has changed nothing."""
        if kind == "change":
            people.rename(None, number, "Bob")
        allow(kind, *key)

    monkeypatch.setattr(limits, "allow", rename_and_allow)
    if form:
        assert member.client.post("/me/settings", data={"presence": "off"}, headers=ORIGIN).status_code == 200
    else:
        answer = member.ask("PATCH", "/me", {"settings": {"presence": "off"}})
        assert (answer.status_code, answer.get_json()["name"]) == (200, "Bob")
    me = member.ask("GET", "/me").get_json()
    assert (me["account"]["name"], me["settings"]) == ("Bob", {"presence": "off"})
    assert member.client.post("/me/name", headers=ORIGIN).status_code == 422


def test_tries_to_take_a_name_are_limited(make_app: Callable[..., Flask]) -> None:
    """Refused ones count too, by the call and by the form: which names are taken tells a guest who is here."""
    app = make_app(limits=True, guests_per_hour=2)
    admin = owner(app)
    member = joined(app, admin, "Bo")
    assert code(member.ask("PATCH", "/me", {"name": "Azin"})) == (409, "conflict")
    form = member.client.post("/me/name", data={"name": "azin"}, headers=ORIGIN)
    assert form.status_code == 409
    third = member.ask("PATCH", "/me", {"name": "Azin"})
    assert code(third) == (429, "rate-limited") and "Retry-After" in third.headers
    assert member.client.post("/me/name", data={"name": "Bobo"}, headers=ORIGIN).status_code == 429
    assert member.ask("PATCH", "/me", {"settings": {"presence": "off"}}).status_code == 200
    assert admin.ask("PATCH", "/me", {"name": "Azin Dee"}).status_code == 200


def test_ones_own_data_holds_no_secret_and_nothing_of_others(app: Flask) -> None:
    """Lines of JSON: account, sessions, memberships; messages, reactions and files of all rooms, also of left ones."""
    admin = owner(app)
    member = joined(app, admin, "Bo")
    admin.ask("POST", "/rooms/lobby/messages", {"message": "of Azin"})
    member.ask("POST", "/rooms/lobby/messages", {"message": "of Bo"})
    member.ask("PUT", "/rooms/lobby/messages/1/reaction", {"reaction": "like"})
    key = member.ask("GET", "/me").get_json()["account"]["id"]
    left = admin.ask("POST", "/rooms", {"name": "was", "kind": "closed", "members": [key]}).get_json()["name"]
    files = f"/api/v1/rooms/{left}/files?name=a.txt"
    file = member.client.post(files, data=b"of Bo", headers=ORIGIN).get_json()["file"]
    member.ask("POST", f"/rooms/{left}/messages", {"message": "", "files": [file["id"]]})
    admin.ask("DELETE", f"/rooms/{left}/members/{key}")
    answer = member.ask("GET", "/me/export")
    lines = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    assert [(each["command"], each.get("room")) for each in lines] == [
        ("export-own", None), ("account", None), ("session", None), ("member", "lobby"), ("message", "lobby"),
        ("reaction", "lobby"), ("message", left), ("file", left),
    ]  # fmt: skip
    assert lines[3]["read"] == {"id": 0, "messages": 0} and lines[3]["role"] == "member"
    assert lines[-1]["file"] == file and lines[-1]["message"]
    text = answer.get_data(as_text=True)
    assert "of Bo" in text and "of Azin" not in text and "argon2" not in text
    cookie = member.client.get_cookie("quotechat-session")
    assert cookie is not None and cookie.value not in text


def test_a_closed_account_leaves_its_messages(app: Flask) -> None:
    """It is signed out everywhere, its name is kept from others; the last owner cannot go."""
    admin = owner(app)
    member = joined(app, admin, "Bo")
    member.ask("POST", "/rooms/lobby/messages", {"message": "stays"})
    assert code(member.ask("DELETE", "/me", {"messages": "some"})) == (422, "invalid")
    assert member.ask("DELETE", "/me", {"messages": "keep"}).status_code == 202
    assert member.ask("GET", "/me").status_code == 401
    assert admin.ask("GET", "/rooms/lobby").get_json()["messages"][0]["user"] == "Bo"
    assert code(admin.ask("POST", "/accounts", {"name": "Bo", "role": "member"})) == (409, "conflict")
    assert code(admin.ask("DELETE", "/me")) == (409, "conflict")

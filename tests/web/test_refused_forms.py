"""Forms without JavaScript that are refused: what was typed and chosen is there again, and each link leads on."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from people import ORIGIN, PASSWORD, Browser, owner

from quotechat import create_app
from quotechat.config import Settings
from quotechat.hub.chat import Chat
from quotechat.protocol.errors import OutcomeUnknown

PAGE = {**ORIGIN, "Accept": "text/html"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One application for all, with one store: pages are made of what any store answers."""
    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), limits=False))
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture(scope="module")
def boss(app: Flask) -> Browser:
    return owner(app)


@pytest.fixture
def visitor(app: Flask) -> Browser:
    """A browser that nobody has signed in with, which has a cookie."""
    browser = Browser(app)
    browser.client.get("/")
    return browser


def get(browser: Browser, path: str) -> str:
    return str(browser.client.get(path, headers=PAGE).get_data(as_text=True))


def post(browser: Browser, path: str, status: int, **form: Any) -> str:
    answer = browser.client.post(path, data=form, headers=PAGE)
    assert answer.status_code == status, (answer.status_code, answer.get_data(as_text=True))
    return str(answer.get_data(as_text=True))


def tag(page: str, **about: str) -> str:
    """The one tag of a page that has these attributes."""
    found = [each for each in re.findall(r"<(?:input|textarea|option|details)\b[^>]*>", page)
             if all(f'{name}="{value}"' in each for name, value in about.items())]  # fmt: skip
    assert len(found) == 1, (about, found)
    return str(found[0])


def form_of(page: str, action: str) -> str:
    """The form of a page that is sent to this address."""
    found = re.search(rf'<form[^>]*method="post" action="{re.escape(action)}".*?</form>', page, re.S)
    assert found, action
    return found[0]


def test_each_form_of_ones_own_page_keeps_its_own_fields(boss: Browser) -> None:
    """What was typed into one of them is in no other, neither after a refusal nor when it is done."""
    page = post(boss, "/me/tokens", 401, name="curl on my laptop", old="wrong")
    assert 'value="curl on my laptop"' in form_of(page, "/me/tokens")
    assert 'value="Azin"' in form_of(page, "/me/name")
    page = post(boss, "/me/tokens", 200, name="curl on my laptop", old=PASSWORD)
    assert 'value="Azin"' in form_of(page, "/me/name") and 'value=""' in tag(page, id="token-name")
    page = post(boss, "/me/bots", 401, name="Robo", old="wrong")
    assert 'value="Azin"' in form_of(page, "/me/name") and 'value="Robo"' in form_of(page, "/me/bots")


def test_a_refused_choice_about_ones_account_is_kept(boss: Browser) -> None:
    """After a wrong password tokens would be revoked, and messages deleted, as it was chosen; the form is open."""
    page = post(boss, "/me/password", 401, old="wrong", password="another horse 77 battery", end_tokens="1")
    assert "checked" in tag(page, name="end_tokens")
    page = post(boss, "/me/close", 401, old="wrong", messages="delete")
    assert "checked" in tag(page, value="delete") and "checked" not in tag(page, value="keep")
    assert re.search(r"<details open>\s*<summary>Delete my account", page)
    page = get(boss, "/me")
    assert "checked" not in tag(page, name="end_tokens") and "checked" in tag(page, value="keep")


def test_refused_settings_of_a_room_are_as_they_were_typed(boss: Browser) -> None:
    """Boxes too, of which a form tells those that are ticked; above them stands what is in force."""
    post(boss, "/rooms", 303, name="attic", title="Attic")
    boss.ask("PATCH", "/rooms/attic", {"archived": True, "default": True})
    asked = {"title": "Typed anew", "topic": "x" * 501, "was-archived": "1", "was-default": "1", "posting": "managers"}
    page = post(boss, "/rooms/attic/about", 422, **asked)
    assert "checked" not in tag(page, name="archived") and "checked" not in tag(page, name="default")
    assert "selected" in tag(page, value="managers") and "x" * 501 in page and 'value="Typed anew"' in page
    told = page.partition("<h2>Settings")[0]
    assert "Attic</p>" in told and "Typed anew" not in told and "It is archived" in told
    assert "checked" in tag(get(boss, "/rooms/attic/about"), name="archived")


_TICKED = ("checkbox", "radio")


class Filled(HTMLParser):
    """The fields of a form as a browser sends them if nobody touches it."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._select = self._area = ""
        self.feed(form)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        name, value = about.get("name") or "", about.get("value") or ""
        self._area = name if tag == "textarea" else ""
        if tag == "select":
            self._select = name
        elif tag == "option" and "selected" in about:
            self.fields[self._select] = value
        elif tag == "textarea" or (tag == "input" and (about["type"] not in _TICKED or "checked" in about)):
            self.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] = data.removeprefix("\n")


def test_a_form_saves_what_was_changed_in_it(boss: Browser) -> None:
    """What others have set since it was opened stays, also if it is refused first; without a change nothing is told."""
    post(boss, "/rooms", 303, name="cellar", title="Cellar")
    assert boss.ask("PATCH", "/rooms/cellar", {"topic": "Bottles"}).status_code == 200
    path = "/rooms/cellar/about"
    opened = Filled(form_of(get(boss, path), path)).fields
    meanwhile = {"posting": "managers", "slow": 30, "archived": True, "topic": "Barrels"}
    assert boss.ask("PATCH", "/rooms/cellar", meanwhile).status_code == 200
    again = Filled(form_of(post(boss, path, 422, **{**opened, "title": "x" * 300}), path)).fields
    post(boss, path, 303, **{**again, "title": "Wine"})
    room = boss.ask("GET", "/rooms/cellar").get_json()["about"]
    assert {name: room[name] for name in meanwhile} == meanwhile and room["title"] == "Wine"
    head = boss.ask("GET", "/rooms/cellar").get_json()["cursor"]
    post(boss, path, 303, **Filled(form_of(get(boss, path), path)).fields)
    assert boss.ask("GET", "/rooms/cellar").get_json()["cursor"] == head

    opened = Filled(form_of(get(boss, "/admin"), "/admin/site")).fields
    assert boss.ask("PATCH", "/site", {"invites_by": "all", "directs": "none"}).status_code == 200
    post(boss, "/admin/site", 200, **{**opened, "title": "Class 7b"})
    site = boss.ask("GET", "/site").get_json()
    assert (site["title"], site["invites_by"], site["directs"]) == ("Class 7b", "all", "none")

    opened = Filled(form_of(get(boss, "/me"), "/me/settings")).fields
    assert boss.ask("PATCH", "/me", {"settings": {"presence": "off"}}).status_code == 200
    post(boss, "/me/settings", 200, **{**opened, "level": "nothing"})
    assert boss.ask("GET", "/me").get_json()["settings"] == {"presence": "off", "level": "nothing"}


def test_a_note_that_is_too_long_is_refused(boss: Browser) -> None:
    """An invitation has a note as it was typed, or is not made."""
    page = post(boss, "/admin/invitations", 422, uses="2", expires_in="+1d", note="n" * 201)
    assert "n" * 201 in page and "at most 200 characters" in page
    assert "n" * 150 not in get(boss, "/admin")


def test_no_field_cuts_what_is_pasted(boss: Browser) -> None:
    """An attribute of a field would, without a word; the lab's word alone, a toy, has one."""
    for path in ("/", "/rooms/lobby/about", "/me", "/admin", "/admin/webhooks", "/new-room", "/quotes", "/search"):
        assert "maxlength" not in get(boss, path), path


def test_a_refused_message_leaves_a_page_whose_links_lead_on(boss: Browser, visitor: Browser) -> None:
    """It has the address of the form, which cannot be asked for: no link is relative to it."""
    post(boss, "/rooms", 303, name="links")
    for number in range(51):
        boss.ask("POST", "/rooms/links/messages", {"message": f"word {number}"})
    ways = {"auto": "/rooms/links", "short": "/polling?room=links", "websocket": "/websocket?room=links"}
    for way, path in ways.items():
        page = post(visitor, "/rooms/links/messages", 422, way=way, user="Ada\u202e", message="hello")
        assert ">\nhello</textarea>" in page
        earlier = html.unescape(re.search(r'id="earlier"[^>]*href="([^"]*)"', page)[1])  # type: ignore[index]
        again = html.unescape(re.search(r'<noscript>.*?<a href="([^"]*)">reload', page)[1])  # type: ignore[index]
        assert earlier.startswith(path) and again.startswith(path), way
        assert "word 0</div>" in get(visitor, earlier) and "word 50</div>" in get(visitor, again)


def test_a_refused_quote_is_still_the_one_to_post(boss: Browser, visitor: Browser) -> None:
    """With the room and the name that were chosen; the other quotes are a click away."""
    for number in range(12):
        body = {"quote": f"Wise word {number}", "author": "Anon"}
        assert boss.ask("POST", "/quotes", body).status_code == 201
    post(boss, "/rooms", 303, name="parlour")
    form = {"id": "7", "room": "parlour", "user": "Ada\u202e", "client_id": "share-1"}
    page = post(visitor, "/quotes/post", 422, **form)
    shown = form_of(page, "/quotes/post")
    assert 'name="id" value="7"' in shown and 'value="Ada\u202e"' in shown and 'value="share-1"' in shown
    assert re.search(r"<option selected>parlour</option>", shown) and "selected>lobby" not in shown
    for gone, words in (("999999", True), ("7", False)):
        assert ("This quote is not there any more" in get(visitor, f"/quotes?id={gone}")) == words
    assert 'href="/quotes?id=' in page and 'href="?' not in page


@pytest.mark.parametrize("path", ["/rooms/lobby/messages", "/quotes"])
def test_a_form_is_stored_once_and_never_refused_for_ever(
    path: str, visitor: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it is not known whether it is stored, its number stays; one that is used for something else is given up, and
    said so."""
    key = f"form-{path.count('/')}"
    fields = {"message": "first", "user": "Ada"} if "rooms" in path else {"quote": "First.", "author": "Ada"}

    def lost(*_: Any, **__: Any) -> None:
        raise OutcomeUnknown()

    with monkeypatch.context() as patched:
        patched.setattr(Chat, "submit", lost)
        page = post(visitor, path, 503, client_id=key, **fields)
    assert f'name="client_id" value="{key}"' in page
    post(visitor, path, 303, client_id=key, **fields)
    changed = {name: f"{value} changed" for name, value in fields.items() if name != "user"}
    page = post(visitor, path, 422, client_id=key, **{**fields, **changed})
    assert "something else before" in page and f'value="{key}"' not in page
    assert next(iter(changed.values())) in page
    (new,) = re.findall(r'name="client_id" value="([0-9a-f]{32})"', form_of(page, path))
    post(visitor, path, 303, client_id=new, **{**fields, **changed})


def test_forms_without_an_account_lead_to_sign_in(tmp_path: Path) -> None:
    """Where an account is needed: the same whatever the room, and to no address that only a form has."""
    app = create_app(Settings(data=tmp_path, limits=False, access="invite"))
    try:
        owner(app)
        stranger = Browser(app)
        for path in ("/rooms/lobby/messages", "/rooms/none/messages", "/rooms/lobby/join"):
            answer = stranger.client.post(path, data={"message": "a thought", "client_id": "k1"}, headers=PAGE)
            assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in"), path
    finally:
        app.extensions["quotechat"].close()


def test_a_page_of_an_account_leads_back_to_where_one_was(visitor: Browser) -> None:
    """After signing in, where reading needs none: to the page and its question, but to no form's address."""
    for path, there in (("/people?q=Az", "/sign-in?next=/people?q%3DAz"), ("/inbox", "/sign-in?next=/inbox")):
        assert visitor.client.get(path, headers=PAGE).headers["Location"] == there
    for path in ("/me/name", "/rooms/lobby/join", "/inbox/read", "/rooms/lobby/about"):
        assert visitor.client.post(path, data={"topic": "Tea"}, headers=PAGE).headers["Location"] == "/sign-in", path


def test_the_address_of_a_form_leads_to_its_page(boss: Browser) -> None:
    """For a browser that opens a refused form again; a program is told of the method, as at a form without a page."""
    pages = {
        "/rooms/lobby/messages": "/rooms/lobby", "/rooms/lobby/join": "/rooms/lobby/about", "/quotes/post": "/quotes",
        "/rooms/lobby/members/x": "/rooms/lobby/about", "/me/name": "/me", "/me/tokens/x/revoke": "/me",
        "/inbox/notices/3": "/inbox", "/admin/reports/3": "/admin", "/admin/webhooks/x": "/admin/webhooks",
    }  # fmt: skip
    for path, page in pages.items():
        answer = boss.client.get(path, headers=PAGE)
        assert (answer.status_code, answer.headers.get("Location")) == (303, page), path
    for path, headers in (("/sign-out", PAGE), ("/me/name", {}), ("/me/name", {"Accept": "application/json"})):
        assert boss.client.get(path, headers=headers).status_code == 405


def test_a_text_for_a_room_that_is_gone_is_shown_again(boss: Browser, visitor: Browser) -> None:
    """Also if it is closed to its writer meanwhile; but not to a page of another origin."""
    made = boss.client.post("/rooms", data={"name": "den", "kind": "closed"}, headers=PAGE).headers["Location"]
    for path in (made, "/rooms/none"):
        page = post(visitor, f"{path}/messages", 404, user="Ada", message="a long thought")
        assert "a long thought</textarea>" in page
    foreign = visitor.client.post(
        "/rooms/lobby/messages", data={"message": "buy this"}, headers={**PAGE, "Origin": "http://evil.example"}
    )
    assert foreign.status_code == 403 and "buy this" not in foreign.get_data(as_text=True)


def test_a_form_behind_a_prefix_goes_back_to_it(tmp_path: Path) -> None:
    """That of an invitation too, whose code is refused."""
    app = create_app(Settings(data=tmp_path, trusted_proxies=1))
    try:
        headers = {**PAGE, "X-Forwarded-Prefix": "/team"}
        for door in ("join", "reset", "setup", "device", "sign-in"):
            page = app.test_client().get(f"/{door}", headers=headers).get_data(as_text=True)
            assert f'method="post" action="/team/{door}"' in page
    finally:
        app.extensions["quotechat"].close()

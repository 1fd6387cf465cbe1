"""The frame of all pages, with the column of rooms; and the pages about rooms, as forms without JavaScript."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from posixpath import dirname, normpath
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask
from people import ORIGIN, Browser, joined, owner

from quotechat import assets, create_app
from quotechat.config import Settings
from quotechat.web.pages import rooms
from quotechat.web.pages.parts import frame


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One application for all; who asks, and which rooms there are, each test says itself."""
    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), limits=False))
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture(scope="module")
def boss(app: Flask) -> Browser:
    return owner(app)


@pytest.fixture(scope="module")
def bo(app: Flask, boss: Browser) -> Browser:
    return joined(app, boss, "Bo")


def get(browser: Browser, path: str) -> str:
    answer = browser.client.get(path, headers={"Accept": "text/html"})
    return str(answer.get_data(as_text=True))


def post(browser: Browser, path: str, **form: Any) -> Any:
    return browser.client.post(path, data=form, headers={**ORIGIN, "Accept": "text/html"})


def row(html: str, room: str) -> str:
    """The row of a room in the column."""
    found = re.search(rf'<li data-room="{room}"[^>]*>.*?</li>', html, re.S)
    return found[0] if found else ""


def identity(browser: Browser) -> str:
    return str(browser.ask("GET", "/me").get_json()["account"]["id"])


EVERYWHERE = ["/", "/polling", "/websocket", "/rooms/lobby", "/rooms/lobby/about", "/rooms", "/new-room", "/quotes",
              "/lab", "/learn", "/learn/4-websocket", "/reference", "/search", "/rooms/none", "/none"]  # fmt: skip
SIGNED_OUT = ["/sign-in", "/join"]
SIGNED_IN = ["/me", "/inbox", "/people", "/admin", "/admin/audit", "/admin/webhooks", "/directs"]


def test_every_page_stands_in_the_frame(app: Flask, boss: Browser) -> None:
    """One column with the lobby in it, one head, one main part, one heading, and a link that skips the column."""
    pages = [(Browser(app), EVERYWHERE + SIGNED_OUT), (boss, EVERYWHERE + SIGNED_IN)]
    for browser, path in [(browser, path) for browser, paths in pages for path in paths]:
        html = get(browser, path)
        for part in ('<nav id="rooms"', "<main", "<h1", 'class="skip"', '<header class="top"'):
            assert html.count(part) == 1, (path, part)
        assert "lobby</bdi>" in row(html, "lobby") and 'href="/rooms"' in html, path
        assert ('/sign-out"' in html, ">Sign in</a>" in html) == (browser is boss, browser is not boss), path


def test_the_column_says_what_is_new(app: Flask, boss: Browser, bo: Browser) -> None:
    """Unread and mentions in words and numbers, but not of the room that is shown; a muted room is pale."""
    for room in ("news", "noise"):
        boss.ask("POST", "/rooms", {"name": room})
        bo.ask("PUT", f"/rooms/{room}/members/me", {})
    bo.ask("PUT", "/rooms/noise/level", {"level": "nothing"})
    for text in ("hello", "@Bo, look"):
        boss.ask("POST", "/rooms/news/messages", {"message": text})
    boss.ask("POST", "/rooms/noise/messages", {"message": "la la"})
    html = get(bo, "/quotes")
    assert ">2 unread, 1 mention</span>" in row(html, "news") and '" news"' in row(html, "news")
    assert '"pale"' in row(html, "noise") and ">1 unread</span>" in row(html, "noise")
    assert re.search(r'class="drawer-news"[^>]*title="Something is new">', html)
    shown = row(get(bo, "/rooms/news"), "news")
    assert 'aria-current="page"' in shown and "unread" not in shown


def test_a_conversation_begins_by_a_form(app: Flask, boss: Browser, bo: Browser) -> None:
    """The same people find the same room, and it stands in both columns under the other's name."""
    html = get(boss, "/directs")
    assert "Bo</bdi>" in html and f'value="{identity(boss)}"' not in html
    assert 'aria-label="Message Bo"' in get(boss, "/people") and "Message Bo" not in get(bo, "/people")
    begun = post(boss, "/directs", member=identity(bo))
    room = begun.headers["Location"].removeprefix("/rooms/")
    assert begun.status_code == 303 and room.startswith("dm-")
    assert post(bo, "/directs", member=identity(boss)).headers["Location"] == begun.headers["Location"]
    assert "Bo</bdi>" in row(get(boss, "/quotes"), room) and "Azin</bdi>" in row(get(bo, "/quotes"), room)
    shown = get(boss, f"/rooms/{room}")
    assert "<title>Bo · quotechat" in shown and 'placeholder="Message Bo"' in shown
    alone = get(boss, post(boss, "/directs").headers["Location"])
    assert "<title>Notes to yourself" in alone and '<bdi id="room-name">Notes to yourself' in alone
    about = get(bo, f"/rooms/{room}/about")
    assert "About <bdi>Azin</bdi>" in about and "Leave the room" not in about and "<h2>Settings</h2>" not in about
    assert post(Browser(app), "/directs", member=identity(boss)).headers["Location"].startswith("/sign-in")


def test_a_search_for_others_keeps_those_who_are_chosen(app: Flask, boss: Browser, bo: Browser) -> None:
    """A group may be of people whom no one search finds; nobody is chosen who is not there."""
    joined(app, boss, "Cleo")
    html = get(boss, f"/directs?q=Cleo&member={identity(bo)}&member=aaaaaaaaaaaa&member={identity(boss)}")
    boxes = re.findall(r'<input type="checkbox" name="member"[^>]*>', html)
    assert len(boxes) == 2 and f'value="{identity(bo)}" checked' in boxes[0] and "checked" not in boxes[1]
    assert 'formaction="/directs"' in html and 'name="q" value="Cleo"' in html


def test_a_notice_is_taken_away_by_a_form(app: Flask, boss: Browser, bo: Browser) -> None:
    """By its account alone; twice is as good as once."""
    Browser(app).sign_in("Azin")
    action = re.search(r'action="(/inbox/notices/\d+)"', get(boss, "/inbox"))[1]  # type: ignore[index]
    for browser, there in ((bo, True), (boss, False), (boss, False)):
        assert post(browser, action).headers["Location"] == "/inbox"
        assert (action in get(boss, "/inbox")) == there


def test_a_closed_room_from_its_form_to_its_end(app: Flask, boss: Browser, bo: Browser) -> None:
    """Made by a form; its manager lets people in, changes what they may do, and those outside find nothing there."""
    made = post(boss, "/rooms", name="staff", title="Staff", kind="closed")
    room = made.headers["Location"].removeprefix("/rooms/")
    assert made.status_code == 303 and room.startswith("staff-")
    about = f"/rooms/{room}/about"
    assert bo.client.get(about).status_code == 404 and not row(get(bo, "/rooms"), room)
    assert post(boss, f"/rooms/{room}/members", member="@Bo").status_code == 303
    assert "<h2>2 members</h2>" in get(bo, about) and "Make a manager" not in get(bo, about)
    assert post(bo, about, title="Mine").status_code == 403
    changed = post(boss, about, title="The staff", topic="Who is on duty", posting="managers", slow="30")
    assert changed.status_code == 303
    told = get(bo, about)
    assert all(each in told for each in ("The staff", "Who is on duty", "Only its managers", "once in 30 seconds"))
    refused = post(boss, about, title="Typed anew", slow="99999")
    assert refused.status_code == 422 and 'value="Typed anew"' in refused.get_data(as_text=True)
    assert post(boss, f"/rooms/{room}/members/{identity(bo)}", do="manager").status_code == 303
    assert "Make a manager" in get(bo, about) or "No manager" in get(bo, about)
    assert post(bo, f"/rooms/{room}/leave").headers["Location"] == "/rooms"
    assert bo.client.get(about).status_code == 404


def test_an_open_room_is_joined_and_left_by_forms(boss: Browser, bo: Browser) -> None:
    """And what a member is told of is chosen there; a hidden room leaves the column."""
    assert post(boss, "/rooms", name="tea").status_code == 303
    assert not row(get(bo, "/quotes"), "tea") and "tea</bdi>" in get(bo, "/rooms")
    assert post(bo, "/rooms/tea/join").status_code == 303
    assert row(get(bo, "/quotes"), "tea")
    assert post(bo, "/rooms/tea/level", level="hidden").status_code == 303
    assert not row(get(bo, "/quotes"), "tea") and row(get(bo, "/rooms/tea"), "tea")
    assert post(bo, "/rooms/tea/leave").status_code == 303
    assert "Join the room" in get(bo, "/rooms/tea/about")


def test_a_refused_room_keeps_what_was_typed(boss: Browser) -> None:
    """A name that is taken is said beside its field."""
    refused = post(boss, "/rooms", name="lobby", title="My hall")
    html = refused.get_data(as_text=True)
    assert refused.status_code == 409 and 'value="My hall"' in html and 'aria-invalid="true"' in html


def test_a_room_whose_form_is_sent_twice_is_made_once(
    app: Flask, boss: Browser, bo: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a double click, which shows the second answer; somebody else, and another title, get a refusal."""
    monkeypatch.setattr(rooms, "_MOMENT_MS", 3_600_000)
    visitor = Browser(app)
    visitor.client.get("/")
    for browser, name in ((boss, "twice"), (visitor, "thrice")):
        made = [post(browser, "/rooms", name=name, title="Here") for _ in "ab"]
        assert [(each.status_code, each.headers.get("Location")) for each in made] == [(303, f"/rooms/{name}")] * 2
    assert post(bo, "/rooms", name="twice", title="Here").status_code == 409
    assert post(boss, "/rooms", name="twice", title="There").status_code == 409
    visitor.ask("POST", "/rooms/thrice/messages", {"user": "Ada", "message": "hi"})
    assert post(visitor, "/rooms", name="thrice", title="Here").status_code == 409
    monkeypatch.setattr(rooms, "_MOMENT_MS", 0)
    assert post(boss, "/rooms", name="twice", title="Here").status_code == 409


def test_a_closed_room_whose_form_is_sent_twice_is_made_once(app: Flask, boss: Browser, bo: Browser) -> None:
    """Its name has a tail of its own each time, so the number of the form tells; another form makes another room."""

    def form_id(browser: Browser) -> str:
        return str(re.search(r'name="client_id" value="([0-9a-f]{32})"', get(browser, "/new-room"))[1])  # type: ignore[index]

    def made(browser: Browser, **changed: str) -> str:
        answer = post(browser, "/rooms", **{"name": "den", "title": "Den", "kind": "closed", **changed})
        assert answer.status_code == 303
        return str(answer.headers["Location"])

    number, other = form_id(boss), form_id(boss)
    with ThreadPoolExecutor(4) as pool:  # at once, as two clicks are
        browsers = [Browser(app) for _ in range(4)]
        for each in browsers:
            assert each.sign_in("Azin").status_code == 201
        rooms_made = set(pool.map(lambda each: made(each, client_id=number), browsers))
    (room,) = rooms_made
    assert re.fullmatch("/rooms/den-[a-z2-7]{6}", room)
    others = [
        made(boss, client_id=other), made(boss, client_id=number, title="Cave"), made(bo, client_id=number),
        made(boss), made(boss, client_id=""),
    ]  # fmt: skip
    assert len({room, *others}) == 6
    acts = boss.ask("GET", "/rooms/@audit/events?after=0&limit=500").get_json()["events"]
    assert [each["audit"]["room"] for each in acts if each["audit"]["what"] == "room-made"].count(room[7:]) == 1
    for path, form in (("members", {"member": "Bo"}), (f"members/{identity(bo)}", {"do": "manager"}), ("leave", {})):
        assert post(boss, f"{room}/{path}", **form).status_code == 303
    assert made(boss, client_id=number) not in (room, *others), "it is not there any more for those who have left"


def test_many_rooms_are_cut_to_those_with_news(boss: Browser, bo: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room with news, and the one that is shown, are among those that the column still has."""
    monkeypatch.setattr(frame, "MOST_SHOWN", 3)
    for number in range(9):
        boss.ask("POST", "/rooms", {"name": f"z-{number}"})
        bo.ask("PUT", f"/rooms/z-{number}/members/me", {})
    boss.ask("POST", "/rooms/z-8/messages", {"message": "here"})
    bo.ask("PUT", "/rooms/news/read", {"id": 10**6})
    html = get(bo, "/rooms/z-7")
    assert html.count("<li data-room=") == 3
    assert "1 unread" in row(html, "z-8") and "aria-current" in row(html, "z-7")


def test_a_stranger_sees_no_rooms(tmp_path: Path) -> None:
    """Where an account is needed the column has places alone: nothing of rooms, nobody's name."""
    app = create_app(Settings(data=tmp_path, limits=False, access="invite"))
    owner(app)
    for path in ("/sign-in", "/learn", "/reference"):
        html = get(Browser(app), path).partition("<main")[0]
        assert 'id="rooms"' in html and "data-room=" not in html and 'href="/rooms' not in html and "Azin" not in html
    app.extensions["quotechat"].close()


# --- Static files -----------------------------------------------------------------------------------


def test_what_a_page_loads_is_kept_for_good(app: Flask) -> None:
    """Each file that a page names, and that its script loads later, is there, at an address of its content."""
    client = app.test_client()
    for path in ("/", "/quotes", "/lab", "/reference", "/learn/4-websocket"):
        html = client.get(path).get_data(as_text=True)
        named = re.findall(r'(?:src|href)="(/static/[^"]+)"', html)
        assert len([file for file in named if "/js/" in file]) == 1
        assert len(re.findall(r'rel="stylesheet"', html)) <= 3
        for file in named:
            with client.get(file) as answer:
                assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable", file
                assert "Cookie" not in answer.headers.get("Vary", "") and "Set-Cookie" not in answer.headers
                text = answer.get_data(as_text=True)
            later = re.findall(r'(?:^import[^"]*from |(?<!{)import\()"(\.[^"]+)"', text, re.M)
            found = {normpath(f"{dirname(file)}/{name}") for name in later}
            named.extend(found.difference(named))


def test_an_installed_page_opens_at_the_lobby(app: Flask) -> None:
    """What the manifest names is relative to its own address, which names its content."""
    client = app.test_client()
    address = re.search(r'rel="manifest" href="([^"]+)"', client.get("/").get_data(as_text=True))[1]  # type: ignore[index]
    with client.get(address) as answer:
        manifest = json.loads(answer.get_data())
    assert urljoin(address, manifest["start_url"]) == "/"
    for icon in manifest["icons"]:
        with client.get(urljoin(address, icon["src"])) as answer:
            assert answer.status_code == 200


def test_a_room_is_fetched_when_the_pointer_rests_on_its_link(app: Flask) -> None:
    """Each page names the rules for it, in a type that browsers take; they choose links of the column alone."""
    client = app.test_client()
    for path in ("/", "/quotes", "/learn"):
        address = json.loads(client.get(path).headers["Speculation-Rules"])
        with client.get(address) as answer:
            assert answer.content_type == "application/speculationrules+json"
            assert "immutable" in answer.headers["Cache-Control"]
            (rule,) = answer.get_json(force=True)["prefetch"]
        where, but = rule["where"]["and"]
        lists = re.findall(r"#([a-z-]+) a", where["selector_matches"])
        assert lists == ["room-list", "direct-list"] and "not" in but
        assert 'id="room-list"' in client.get("/").get_data(as_text=True)
    assert "Speculation-Rules" not in client.get("/api/v1/rooms").headers


def test_texts_are_compressed_for_those_that_ask(app: Flask) -> None:
    """What comes is the same file, made of others or not; a proxy keeps both apart, and a copy can be asked about."""
    client = app.test_client()
    for name in ("pages.css", "joined/main/js/main.js", "js/client.js", "favicon.svg"):
        address = f"/static/{assets.version()}/{name}"
        with client.get(address) as plain, client.get(address, headers={"Accept-Encoding": "br, gzip"}) as small:
            assert (plain.content_encoding, small.content_encoding) == (None, "gzip")
            assert gzip.decompress(small.data) == plain.data and small.content_type == plain.content_type
            assert small.headers["ETag"] != plain.headers["ETag"]
            for answer in (plain, small):
                assert "Accept-Encoding" in answer.vary and "immutable" in answer.headers["Cache-Control"]
        asked = {"Accept-Encoding": "gzip", "If-None-Match": small.headers["ETag"]}
        with client.get(address, headers=asked) as again:
            assert (again.status_code, again.data) == (304, b"")
        with client.get(address, headers={"Accept-Encoding": "gzip;q=0"}) as unwanted:
            assert unwanted.content_encoding is None
    address = f"/static/{assets.version()}/js/client.js"
    with client.get(address, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"}) as part:
        assert (part.status_code, part.content_encoding, len(part.data)) == (206, None, 10)


def test_a_file_of_another_version_is_not_kept(app: Flask) -> None:
    """A page that was loaded before an upgrade gets the file as it is now, and so does a page of another program."""
    client = app.test_client()
    for address in ("/static/v-0123456789abcdef/js/client.js", "/static/js/client.js", "/static/pages.css"):
        with client.get(address) as answer:
            assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache"), address
        with client.get(address, headers={"If-None-Match": answer.headers["ETag"]}) as answer:
            assert answer.status_code == 304
    assert client.get(f"/static/{assets.version()}/js/none.js").status_code == 404
    assert client.get("/static/v-0123456789abcdef/../../setup.cfg").status_code == 404


def test_any_change_of_a_file_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its content or of its name."""
    seen = set()
    for name, content in (("a.js", "1"), ("a.js", "2"), ("b.js", "2")):
        tree = tmp_path / f"{name}{content}"
        tree.mkdir()
        (tree / name).write_text(content)
        monkeypatch.setattr(assets, "static_dir", lambda tree=tree: tree)
        seen.add(assets.version.__wrapped__.__wrapped__())  # below what is in turn, and what is kept
    assert len(seen) == 3

"""The search over HTTP and as a page: what it takes, what it refuses, and who finds what."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from people import ORIGIN, joined, owner
from servers import until

from quotechat import create_app
from quotechat.cli import search as cli_search
from quotechat.config import Settings
from quotechat.hub.background import indexer
from quotechat.web.pages.parts.runs import show_marked

API = "/api/v1"


def made(tmp_path: Path, **settings: Any) -> Flask:
    return create_app(Settings(data=tmp_path, **settings))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = made(tmp_path, limits=False)
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """For tests that change nothing."""
    app = made(tmp_path_factory.mktemp("unchanged"), limits=False)
    yield app.test_client()
    app.extensions["quotechat"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def say(client: FlaskClient, text: str, room: str = "lobby", user: str = "Ann") -> int:
    answer = client.post(f"{API}/rooms/{room}/messages", json={"user": user, "message": text}, headers=ORIGIN)
    assert answer.status_code == 201, answer.get_json()
    return int(answer.get_json()["seq"])


def texts(client: Any, query: str) -> list[str]:
    answer = client.get(f"{API}/search?{query}")
    assert answer.status_code == 200, answer.get_json()
    return [hit["message"]["message"] for hit in answer.get_json()["hits"]]


def test_a_message_is_found_as_soon_as_it_is_stored(client: FlaskClient) -> None:
    """Right after its 201, and no more right after it was edited or deleted; with marks, and no cache keeps it."""
    client.get("/")  # a cookie
    number = say(client, "Tea is ready")
    answer = client.get(f"{API}/search?q=tea")
    assert answer.headers["Cache-Control"] == "no-store"
    [hit] = answer.get_json()["hits"]
    assert hit["room"] == "lobby" and hit["message"]["id"] == number and hit["marks"] == [[0, 3]]
    client.patch(f"{API}/rooms/lobby/messages/{number}", json={"message": "Coffee is ready"})
    assert texts(client, "q=tea") == [] and texts(client, "q=coffee") == ["Coffee is ready"]
    client.delete(f"{API}/rooms/lobby/messages/{number}")
    assert texts(client, "q=ready") == []


def test_a_busy_machine_finds_no_less(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time ends a search only after some hundred messages: among a few, all are found, however long it takes."""
    monkeypatch.setattr("quotechat.hub.search.MOST_SECONDS", -1.0)
    for number in range(3):
        say(client, f"late tea {number}")
    found = client.get(f"{API}/search?q=late").get_json()
    assert (len(found["hits"]), found["has_more"], "searched" in found) == (3, False, False)


def test_a_search_that_ends_in_time_goes_on_in_a_terminal(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer compares one message at least; `quotechat search` asks until it has as many hits as it wants."""
    monkeypatch.setattr("quotechat.hub.search.MOST_WORK", -1.0)
    for number in range(4):
        say(client, f"late tea {number}")

    def ask(before: str | None, limit: int) -> Any:
        return client.get(f"{API}/search?q=tea -1&limit={limit}" + (f"&before={before}" if before else "")).get_json()

    first = ask(None, 9)
    assert len(first["hits"]) == 1 and first["has_more"] and first["searched"]["through"]
    hits, _ = cli_search.gathered(ask, 2)
    assert [hit["message"]["message"] for hit in hits] == ["late tea 3", "late tea 2"]
    hits, last = cli_search.gathered(ask, 9)
    assert [hit["message"]["message"] for hit in hits] == ["late tea 3", "late tea 2", "late tea 0"]
    assert not last["has_more"] and "searched" not in last
    assert "Nothing was found yet" in client.get("/search?q=tea -3").text


def test_pages_follow_by_their_link(client: FlaskClient) -> None:
    """`Link` leads through all hits; above 50 a limit is cut."""
    for number in range(7):
        say(client, f"tea {number}")
    seen, target = [], f"{API}/search?q=tea&limit=3"
    while target:
        answer = client.get(target)
        seen += [hit["message"]["message"] for hit in answer.get_json()["hits"]]
        link = re.fullmatch('<(.*)>; rel="next"', answer.headers.get("Link", ""))
        target = link[1] if link else ""
    assert seen == [f"tea {number}" for number in reversed(range(7))]
    assert len(texts(client, "q=tea&limit=1000")) == 7


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("", 422, "q"), ("q=", 422, "q"), ("q=-tea", 422, "q"), (f"q={'a' * 201}", 422, "q"), ("q=on:today", 422, "q"),
        ("q=tea&order=best", 422, "order"), ("q=tea&order=worst", 400, "order"), ("q=tea&limit=0", 400, "limit"),
        ("q=tea&before=x", 400, "before"), ("q=a&q=b", 400, "q"), ("q=%ff", 400, "q"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(unchanged: FlaskClient, query: str, status: int, field: str) -> None:
    """With the field that is at fault."""
    answer = unchanged.get(f"{API}/search?{query}")
    assert (answer.status_code, answer.get_json()["field"]) == (status, field)


def test_a_search_takes_from_a_bucket_of_its_own(tmp_path: Path) -> None:
    """30 at once, then 429 with a time; pages and program share it, and writing goes on."""
    app = made(tmp_path)
    try:
        client = app.test_client()
        client.get("/")  # a cookie
        now = time.monotonic()
        app.extensions["quotechat"].limits._clock = lambda: now
        codes = [client.get(f"{API}/search?q=tea").status_code for _ in range(31)]
        assert codes == [200] * 30 + [429]
        refused = client.get("/search?q=keep+this")
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
        assert 'value="keep this"' in refused.get_data(as_text=True)
        assert say(client, "still")
    finally:
        app.extensions["quotechat"].close()


def test_the_page_works_without_scripts(client: FlaskClient) -> None:
    """A form that keeps what was typed; hits lead to the room at the message, with their words marked."""
    number = say(client, "The *tea* is <b>ready</b>")
    html = client.get('/search?q="tea+is"').get_data(as_text=True)
    assert "<mark><em>tea</em></mark><mark> is</mark> &lt;b&gt;ready&lt;/b&gt;" in html
    assert f'href="/rooms/lobby?before={number + 25}#m{number}"' in html
    assert 'value="&#34;tea is&#34;"' in html
    shown = client.get(f"/rooms/lobby?before={number + 25}").get_data(as_text=True)
    assert f'id="m{number}"' in shown
    wrong = client.get("/search?q=on:never")
    assert wrong.status_code == 422 and "never is no date" in wrong.get_data(as_text=True)
    assert "Nothing was found" in client.get("/search?q=zzz").get_data(as_text=True)


@pytest.mark.parametrize("path", ["/", "/quotes", "/lab", "/reference", "/rooms/none"])
def test_each_page_leads_to_the_search(unchanged: FlaskClient, path: str) -> None:
    """By a link."""
    assert 'href="/search"' in unchanged.get(path).get_data(as_text=True)


def test_search_can_be_off(tmp_path: Path) -> None:
    """Then there is no index, no link, and 404; quotes are found all the same."""
    app = made(tmp_path, search=False)
    try:
        client = app.test_client()
        say(client, "tea")
        assert client.get(f"{API}/search?q=tea").status_code == 404
        page = client.get("/search")
        assert page.status_code == 404 and "Search is off" in page.get_data(as_text=True)
        assert 'href="/search"' not in client.get("/").get_data(as_text=True)
        client.post(f"{API}/quotes", json={"quote": "Tea for two", "author": "Anon"})
        found = client.get(f"{API}/quotes?q=two+anon").get_json()["quotes"]
        assert [each["quote"] for each in found] == ["Tea for two"]
        assert not list(tmp_path.glob("search*"))
    finally:
        app.extensions["quotechat"].close()


def test_the_indexer_follows_by_itself(app: Flask, client: FlaskClient) -> None:
    """What is sent is in the index soon; when it was deleted under load it comes back, and no search is wrong."""
    chat = app.extensions["quotechat"]
    index = chat.search._index
    for number in range(20):
        say(client, f"tea {number}")

    def seq() -> int:
        with index.reading() as reader:
            return 0 if reader is None else reader.places().get(1, (0,))[0]

    until(lambda: seq() == 20, what="the index")
    for path in Path(app.config["QUOTECHAT"].data).glob("search.db*"):
        path.unlink()
    for number in range(20, 40):
        say(client, f"tea {number}")
        assert len(texts(client, "q=tea&limit=50")) == number + 1
    until(lambda: seq() == 40, what="the index, made anew")
    assert len(texts(client, "q=tea&limit=50")) == 40
    until(lambda: chat.parts()["indexer"] == "ok", what="that the indexer is well")


def test_words_that_are_gone_are_in_no_file_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted, or cut off with old events: no byte in the data directory; edited away: none in the index.

    The log keeps what was edited, as it always has. A server waits up to 20 s before it tidies its index.
    """
    monkeypatch.setattr(indexer, "TIDY_AFTER", 0.1)
    app = made(tmp_path, limits=False)
    try:
        client, chat = app.test_client(), app.extensions["quotechat"]
        client.get("/")  # a cookie
        words = ("zebrafish", "quagmire", "xylophone", "жирафов")
        ids = {word: say(client, f"{word} and more") for word in words}
        for number in range(30):
            say(client, f"filler {number}")

        def files(word: str, pattern: str = "**/*") -> list[str]:
            held = {}
            for path in tmp_path.glob(pattern):
                with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                    if path.is_file():
                        held[path.name] = path.read_bytes()
            kinds = (word.encode(), word.encode().hex().encode())
            return [name for name, found in held.items() if any(kind in found for kind in kinds)]

        until(lambda: all(files(word, "search.db*") for word in words), seconds=30, what="the index")
        client.patch(f"{API}/rooms/lobby/messages/{ids['quagmire']}", json={"message": "harmless"})
        for word in ("xylophone", "жирафов"):
            assert client.delete(f"{API}/rooms/lobby/messages/{ids[word]}").status_code == 200
        assert chat._store.cut("lobby", chat.now() + 1000, 1) == 1
        until(chat._store.forget, what="the log's own file to be cut, as `quotechat retain` does")
        until(lambda: not files("quagmire", "search.db*"), seconds=60, what="the edited word to be gone")
        for word in ("zebrafish", "xylophone", "жирафов"):
            until(lambda word=word: not files(word), seconds=60, what=f"{word} to be gone")
    finally:
        app.extensions["quotechat"].close()


def test_each_finds_what_it_may_read(tmp_path: Path) -> None:
    """Members, direct partners, an administrator, a guest and a visitor; one who was removed finds no more of it."""
    app = made(tmp_path, limits=False)
    try:
        azin = owner(app)
        bea, cai, gil = (joined(app, azin, name) for name in ("Bea", "Cai", "Gil"))
        chat = app.extensions["quotechat"]
        ids = dict(chat.read_with(lambda sql: list(sql.all("SELECT name, key FROM account"))))
        chat.write_with(lambda sql: sql.run("UPDATE account SET role = 'guest' WHERE name = 'Gil'"))
        chat.write_with(lambda sql: sql.run("DELETE FROM member WHERE account_id ="
                                            " (SELECT id FROM account WHERE name = 'Gil')"))  # fmt: skip
        closed = bea.ask("POST", "/rooms", {"name": "staff", "kind": "closed", "members": [ids["Cai"]]}).get_json()
        direct = bea.ask("POST", "/directs", {"members": [ids["Azin"]]}).get_json()
        say(bea.client, "open tea for @Cai", user="Bea")
        say(bea.client, "closed tea", closed["name"], user="Bea")
        say(bea.client, "direct tea", direct["name"], user="Bea")

        def found(client: FlaskClient, q: str = "tea") -> list[str]:
            return [text.partition(" ")[0] for text in texts(client, f"q={q}")]

        visitor = app.test_client()
        everything = ["direct", "closed", "open"]
        assert found(bea.client) == everything and found(bea.client, "from:me") == everything
        assert found(bea.client, "is:direct") == ["direct"] and found(bea.client, "tea -is:direct") == everything[1:]
        assert found(cai.client) == ["closed", "open"] and found(cai.client, "mentions:me") == ["open"]
        assert found(azin.client) == ["direct", "open"] and found(azin.client, "mentions:me") == []
        assert found(gil.client) == [] and found(visitor) == ["open"]
        for stranger in (azin.client, gil.client, visitor):
            none, there = (stranger.get(f"{API}/search?q=in:{room}") for room in ("nowhere", closed["name"]))
            assert none.get_data() == there.get_data()
        assert bea.ask("DELETE", f"/rooms/{closed['name']}/members/{ids['Cai']}").status_code == 204
        assert found(cai.client) == ["open"] and found(cai.client, f"in:{closed['name']}") == []
        assert found(bea.client) == everything
    finally:
        app.extensions["quotechat"].close()


def test_a_token_for_some_rooms_finds_these(app: Flask) -> None:
    """And with the scope `read` alone."""
    azin = owner(app)
    azin.ask("POST", "/rooms", {"name": "tea"})
    say(azin.client, "one tea", user="Azin")
    say(azin.client, "two tea", "tea", user="Azin")
    client = app.test_client()
    for about, expected in (({"rooms": ["tea"], "scopes": ["read"]}, ["two tea"]), ({}, ["two tea", "one tea"])):
        header = {"Authorization": f"Bearer {azin.token(**about)}"}
        answer = client.get(f"{API}/search?q=tea", headers=header).get_json()
        assert [hit["message"]["message"] for hit in answer["hits"]] == expected
    refused = client.get(f"{API}/search?q=a", headers={"Authorization": f"Bearer {azin.token(scopes=['write'])}"})
    assert refused.status_code == 403 and refused.get_json()["code"] == "scope-missing"


def test_strangers_are_asked_to_sign_in(tmp_path: Path) -> None:
    """Where accounts are needed: 401 over the API, and the page keeps the question for afterwards."""
    app = made(tmp_path, access="invite")
    try:
        client = app.test_client()
        assert client.get(f"{API}/search?q=tea").status_code == 401
        page = client.get("/search?q=tea")
        assert page.status_code == 303 and "search%3Fq%3Dtea" in page.headers["Location"]
    finally:
        app.extensions["quotechat"].close()


def test_marks_stand_around_parts_of_runs() -> None:
    """Across runs, at their ends, and over everything; nothing of the text is lost or unescaped."""
    message = {"runs": [{"text": "a<b"}, {"text": "cd", "bold": True}, {"text": "&e"}]}
    shown = "a&lt;<mark>b</mark><mark><strong>c</strong></mark><strong>d</strong>&amp;e"
    assert show_marked(message, [[2, 2]]) == shown
    assert show_marked({"message": "<i>"}, []) == "&lt;i&gt;"
    assert show_marked({"message": "ab"}, [[0, 9]]) == "<mark>ab</mark>"



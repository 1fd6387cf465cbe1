"""The chat in somebody else's application: under a prefix, and nothing of the host is changed."""

from __future__ import annotations

import contextlib
import html
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import host
import pytest
import requests
from flask import Flask, request
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from servers import ROOT, Running, environment, running, until
from websockets.sync.client import connect
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from quotechat import QuoteChat, create_app
from quotechat.assets import version
from quotechat.client import Client, NotFound
from quotechat.config import Settings

MESSAGES = "/chat/api/v1/rooms/lobby/messages"
COMMANDS = "/chat/api/v1/rooms/lobby/commands"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = host.make(settings=Settings(data=tmp_path / "data", limits=False))
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


# --- Under a prefix -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["/", "/polling", "/websocket", "/quotes", "/lab", "/rooms/lobby", "/rooms/none"])
def test_every_link_of_a_page_is_under_the_prefix(client: FlaskClient, page: str) -> None:
    """Links, forms, styles, scripts and the base of the API; and what they name is there."""
    text = client.get(f"/chat{page}", headers={"Accept": "text/html"}).get_data(as_text=True)
    links = re.findall(r'(?:href|src|action|data-base)="(/[^"]*)"', text)
    assert links and all(link.startswith("/chat/") for link in links), links
    for link in {link for link in links if "/static/" in link}:
        with client.get(link) as file:
            assert file.status_code == 200, link


def test_behind_a_proxy_with_a_prefix_of_its_own(tmp_path: Path) -> None:
    """X-Forwarded-Prefix is believed from trusted proxies only, and leads every link."""
    for trusted, expected in ((1, "/team/"), (0, "/")):
        app = create_app(Settings(data=tmp_path / str(trusted), trusted_proxies=trusted))
        headers = {"X-Forwarded-Prefix": "/team", "Accept": "text/html"}
        answer = app.test_client().get("/", headers=headers)
        text = answer.get_data(as_text=True)
        assert f'href="{expected}static/{version()}/pages.css"' in text
        assert f'data-base="{expected}api/v1"' in text
        assert f"Path={expected.rstrip('/') or '/'};" in answer.headers["Set-Cookie"] + ";"
        app.extensions["quotechat"].close()


def test_forms_and_locations(client: FlaskClient) -> None:
    """A form without script leads back under the prefix; a created room says where it is."""
    sent = client.post("/chat/rooms/lobby/messages", data={"user": "Ada", "message": "by form"})
    assert (sent.status_code, sent.headers["Location"]) == (303, "/chat/#m1")
    created = client.post("/chat/api/v1/rooms", json={"name": "tea"})
    assert created.headers["Location"] == "/chat/api/v1/rooms/tea"
    assert client.get(created.headers["Location"]).status_code == 200


def test_the_reference_names_addresses_that_are_there(app: Flask, client: FlaskClient) -> None:
    """Each line to copy is for an address under the prefix, and so is each link."""
    text = html.unescape(client.get("/chat/reference").get_data(as_text=True))
    lines = re.findall(r'data-copy="(curl [^\n]*)"', text)
    named = [found for line in lines for found in re.findall(r"https?://[^\s'\"]+", line)]
    assert len(lines) == len(named) > 20
    adapter = app.create_url_adapter(None) or app.url_map.bind("localhost")
    for address in named:
        path = urlsplit(address).path
        assert address.startswith("http://localhost/chat/") and _known(adapter, path), address
    links = re.findall(r'href="(/[^"]*)"', text)
    assert links and all(client.get(link).status_code == 200 for link in links if "/static/" not in link), links


def _known(adapter: MapAdapter, path: str) -> bool:
    """Whether there is more at `path` than the answer that there is nothing."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        with contextlib.suppress(HTTPException):
            if adapter.match(path, method, websocket=path.endswith("/ws"))[0] != "quotechat.unknown":
                return True
    return False


def test_openapi_under_the_prefix(client: FlaskClient) -> None:
    """Valid, of our paths alone, and server and path together lead to an answer."""
    document = client.get("/chat/openapi.json").get_json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["paths"] and all(path.startswith("/chat/") for path in document["paths"])
    base = document["servers"][0]["url"].rstrip("/")
    asked = [path for path, methods in document["paths"].items() if "get" in methods and "{" not in path]
    for path in asked:
        status = client.get(base + path).status_code
        # 400: a WebSocket that was not asked for; a poll without rooms. 401: what is an account's.
        # 422: a search without words.
        assert status in (200, 400, 401, 422), path
    assert len(asked) > 5


def test_specifications_behind_a_proxy_with_a_prefix(tmp_path: Path) -> None:
    """Where only the proxy knows the prefix, the documents have it from the request; each request has its own."""
    app = create_app(Settings(data=tmp_path, trusted_proxies=1))
    client = app.test_client()
    for prefix, server, path in (("/team", "/team", "/team/api/v1"), ("", "/", "/api/v1")):
        headers = {"X-Forwarded-Prefix": prefix} if prefix else {}
        assert client.get("/openapi.json", headers=headers).get_json()["servers"] == [{"url": server}]
        servers = client.get("/asyncapi.json", headers=headers).get_json()["servers"]
        assert {each["pathname"] for each in servers.values()} == {path}
        assert f"http://localhost{path}/rooms" in client.get("/reference", headers=headers).get_data(as_text=True)
    app.extensions["quotechat"].close()


# --- What stays the host's ------------------------------------------------------------------------


def test_the_host_keeps_its_ways(client: FlaskClient) -> None:
    """Its errors, headers, sessions and options are as they were; ours are on our paths only."""
    assert client.get("/nothing").get_data(as_text=True) == "the host's own 404"
    assert client.get("/break").get_data(as_text=True) == "the host's own 500"
    home = client.get("/")
    assert home.headers["Content-Security-Policy"] == "default-src 'self'"
    assert "X-Content-Type-Options" not in home.headers
    assert client.get("/").get_data(as_text=True) == "visits: 1"
    assert client.application.config["MAX_CONTENT_LENGTH"] is None
    page = client.get("/chat/")
    assert "trusted-types 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Host"] == "yes", "its after_request runs for us too"


def test_our_errors_are_problems(client: FlaskClient) -> None:
    """Refusals, unknown addresses and wrong methods under the prefix are answered by us."""
    unknown = client.get("/chat/api/v1/nothing")
    assert (unknown.status_code, unknown.get_json()["code"]) == (404, "not-found")
    wrong = client.put("/chat/api/v1/rooms")
    assert (wrong.status_code, wrong.get_json()["code"]) == (405, "method-not-allowed")
    assert wrong.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    refused = client.post(MESSAGES, json={"user": "Ada", "message": " "})
    assert (refused.status_code, refused.get_json()["field"]) == (422, "message")
    person = client.get("/chat/nothing", headers={"Accept": "text/html"})
    assert person.status_code == 404 and "<h1>" in person.get_data(as_text=True)
    large = client.post(MESSAGES, data=b"x" * 70_000, content_type="text/plain", query_string={"user": "Ada"})
    assert large.get_json()["code"] == "too-large"


def test_every_answer_of_ours_has_a_number(client: FlaskClient) -> None:
    """X-Request-Id, and the same in a problem: also where nothing is, and where the host's guard refuses."""
    for path, status in (("/chat/api/v1/rooms", 200), ("/chat/", 200), ("/chat/api/v1/rooms/none", 404)):
        answer = client.get(path)
        assert (answer.status_code, len(answer.headers["X-Request-Id"])) == (status, 16)
        if status == 404:
            assert answer.get_json()["request_id"] == answer.headers["X-Request-Id"]
    nothing = client.get("/chat/api/v1/nothing", headers={"X-Request-Id": "forged"})
    assert nothing.get_json()["request_id"] == nothing.headers["X-Request-Id"] != "forged"
    assert "X-Request-Id" not in client.get("/").headers
    client.set_cookie("barred", "1")
    assert client.get("/chat/api/v1/rooms").headers["X-Request-Id"]


def test_what_is_left_to_write(tmp_path: Path) -> None:
    """The RateLimit headers of limited writes, down to a 429; the host's user has limits of its own."""
    app = host.make(settings=Settings(data=tmp_path / "data", messages_burst=2, messages_per_second=0.01))
    client = app.test_client()
    answers = [client.post(MESSAGES, json={"user": "Ann", "message": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    left = [re.match(r'"message";r=([0-9]+);', answer.headers["RateLimit"]) for answer in answers]
    assert [found and found[1] for found in left] == ["1", "0", "0"]
    assert answers[0].headers["RateLimit-Policy"] == '"message";q=2;w=200'
    client.get("/login?user=ada")
    mine = client.post(MESSAGES, json={"user": "Ada", "message": "x"})
    assert mine.status_code == 201 and mine.headers["RateLimit"].startswith('"message";r=1;')
    assert "RateLimit" not in client.get("/chat/api/v1/rooms").headers and "RateLimit" not in client.get("/").headers
    app.extensions["quotechat"].close()


def test_the_host_s_guard_guards_the_chat(client: FlaskClient) -> None:
    """Its before_request runs before ours: who is barred there is barred here."""
    client.set_cookie("barred", "1")
    assert client.get("/").status_code == 401
    assert client.get("/chat/").status_code == 401
    assert client.post(MESSAGES, json={"user": "Ada", "message": "x"}).status_code == 401


def test_templates_and_static_files_do_not_mix(tmp_path: Path) -> None:
    """A host with templates and files of the same names has its own, and we have ours."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "static").mkdir()
    for name in ("base.html", "chat.html", "error.html", "_message.html"):
        (tmp_path / "templates" / name).write_text("the host's")
    (tmp_path / "static" / "favicon.svg").write_text("the host's")
    app = Flask("host", template_folder=str(tmp_path / "templates"), static_folder=str(tmp_path / "static"))
    app.jinja_env.variable_start_string = "[["
    QuoteChat(app, settings=Settings(data=tmp_path / "data"))
    client = app.test_client()
    assert 'id="composer"' in client.get("/chat/").get_data(as_text=True)
    with client.get("/static/favicon.svg") as theirs, client.get("/chat/static/favicon.svg") as ours:
        assert theirs.get_data(as_text=True) == "the host's"
        assert "<svg" in ours.get_data(as_text=True)
    app.extensions["quotechat"].close()


def test_several_applications_in_one_process(tmp_path: Path) -> None:
    """Each has its own store, prefix and identities."""
    apps = []
    for name in ("one", "two"):
        app = Flask(name)
        QuoteChat(app, url_prefix=f"/{name}", settings=Settings(data=tmp_path / name, limits=False))
        apps.append(app)
        client = app.test_client()
        sent = client.post(f"/{name}/api/v1/rooms/lobby/messages", json={"user": "Ada", "message": name})
        assert sent.status_code == 201
    for app in apps:
        snapshot = app.test_client().get(f"/{app.name}/api/v1/rooms/lobby").get_json()
        assert [message["message"] for message in snapshot["messages"]] == [app.name]
        app.extensions["quotechat"].close()


def test_a_prefix_that_is_none() -> None:
    """Refused where it is written, not when a page is asked for."""
    with pytest.raises(ValueError, match="/chat"):
        QuoteChat(url_prefix="chat/")


# --- Who is who -----------------------------------------------------------------------------------


def test_identify(client: FlaskClient) -> None:
    """The host's user owns what it sends, writes under its own name only, and needs no cookie of ours."""
    client.get("/login?user=ada")
    page = client.get("/chat/")
    assert 'name="user" value="Ada"' in page.get_data(as_text=True) and " readonly" in page.get_data(as_text=True)
    assert not [each for each in page.headers.getlist("Set-Cookie") if each.startswith("quotechat")]
    sent = client.post(MESSAGES, json={"user": "Ada", "message": "mine"})
    assert sent.status_code == 201
    other = client.post(MESSAGES, json={"user": "Bo", "message": "as Bo"})
    assert (other.status_code, other.get_json()["code"]) == (403, "forbidden")
    number = sent.get_json()["seq"]
    assert client.get("/chat/api/v1/rooms/lobby").get_json()["mine"]["messages"] == [number]
    client.get("/logout")
    client.get("/login?user=bo")
    assert client.delete(f"{MESSAGES}/{number}").status_code == 403
    client.get("/login?user=ada")
    assert client.delete(f"{MESSAGES}/{number}").status_code == 200


def test_a_token_beside_the_session_is_nobody_else(client: FlaskClient) -> None:
    """Where the host knows who asks, its word holds: no token gives another name, or another identity."""
    others = client.post("/chat/api/v1/guests", json={"user": "Boss"}).get_json()["token"]
    boss = {"Authorization": f"Bearer {others}"}
    theirs = client.post(MESSAGES, json={"user": "Boss", "message": "mine"}, headers=boss).get_json()["seq"]
    client.get("/login?user=mallory")
    asked = client.post("/chat/api/v1/guests", json={"user": "Boss2"})
    assert (asked.status_code, asked.get_json()["code"]) == (403, "forbidden")
    for headers in ({}, boss, {"Authorization": "Bearer no token of ours"}, {"Authorization": "Basic eDp5"}):
        forged = client.post(MESSAGES, json={"user": "Boss", "message": "x"}, headers=headers)
        assert (forged.status_code, forged.get_json()["code"]) == (403, "forbidden")
        envelope = {"command": "send-message", "message": {"user": "Boss", "message": "x"}}
        assert client.post(COMMANDS, json=envelope, headers=headers).status_code == 403
        text = {**headers, "Content-Type": "text/plain"}
        assert client.post(f"{MESSAGES}?user=Boss", data="x", headers=text).status_code == 403
        form = client.post("/chat/rooms/lobby/messages", data={"user": "Boss", "message": "x"}, headers=headers)
        assert form.status_code == 403
        assert client.patch(f"{MESSAGES}/{theirs}", json={"message": "y"}, headers=headers).status_code == 403
        assert client.delete(f"{MESSAGES}/{theirs}", headers=headers).status_code == 403
        edit = {"command": "edit-message", "message": {"id": theirs, "message": "y"}}
        assert client.post(COMMANDS, json=edit, headers=headers).status_code == 403
        # And who writes is the host's user, with the name that the host says where none is said.
        mine = client.post(MESSAGES, data="mine", headers=text).get_json()
        assert mine["message"]["user"] == "Mallory"
        assert client.delete(f"{MESSAGES}/{mine['seq']}").status_code == 200
    client.get("/logout")
    assert client.delete(f"{MESSAGES}/{theirs}", headers=boss).status_code == 200, "a guest's token is as good as ever"


@pytest.mark.parametrize("name", ["x" * 41, "Ann\u200b", " Ann", "\u202eAnn", "", "An\nn"])
def test_a_name_of_the_host_that_is_none_here(tmp_path: Path, name: str) -> None:
    """It frees nobody to write under any other: what would be signed is refused, and says why."""
    app, chat = Flask("host"), QuoteChat(settings=Settings(data=tmp_path, limits=False))
    chat.identify(lambda: ("id", name))
    chat.init_app(app)
    client = app.test_client()
    refused = client.post(MESSAGES, json={"user": "Boss", "message": "x"})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")
    assert "name" in refused.get_json()["detail"]
    assert client.get("/chat/").status_code == 200 and client.get(MESSAGES).get_json()["messages"] == []
    app.extensions["quotechat"].close()


# --- With a real server ---------------------------------------------------------------------------

CONFIG = """
import sys
sys.path[:0] = [{root!r} + "/src", {root!r} + "/tests/embedding"]
from quotechat.config import Settings
from quotechat.serving import gunicorn_settings, prepare
globals().update(gunicorn_settings(prepare(Settings.from_env())))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The host under gunicorn, as docs/how-to/embed.md tells."""
    directory = tmp_path_factory.mktemp("host")
    (directory / "gunicorn.conf.py").write_text(CONFIG.format(root=str(ROOT)))
    env = environment(QUOTECHAT_PORT="0", QUOTECHAT_DATA=str(directory / "data"), QUOTECHAT_LIMITS="off")
    command = [sys.executable, "-m", "gunicorn", "-c", str(directory / "gunicorn.conf.py"), "host:make()"]
    with running(command, env=env, cwd=directory) as server:
        yield server


@pytest.mark.parametrize("transport", ["long-poll", "stream", "short-poll"])
def test_transports_under_the_prefix(server: Running, transport: str) -> None:
    """The Python client with the prefix in its URL reads and writes over each transport."""
    with Client(f"{server.url}/chat", user="Ada") as client:
        reader = client.events(transport=transport, interval=0.05)  # type: ignore[arg-type]  # each is one
        seq = client.post(transport).seq
        assert next(reader).seq == seq
    with Client(server.url) as client, pytest.raises(NotFound):
        client.rooms()


def test_websockets_of_both(server: Running) -> None:
    """Ours is handed to the reactor; the host's own flask-sock route works as ever, with its own options."""
    address = server.url.replace("http", "ws")
    with connect(f"{address}/chat/api/v1/ws?room=lobby", subprotocols=["quotechat.v1"]) as ours:  # type: ignore[list-item]  # a str will do
        assert json.loads(ours.recv(60))["command"] == "caught-up"
        assert ours.subprotocol == "quotechat.v1"
        with connect(f"{address}/echo") as theirs:
            theirs.send("hello")
            assert theirs.recv(60) == "hello"
        ours.send(json.dumps({"command": "ping", "client_id": "p"}))
        assert json.loads(ours.recv(60)) == {"command": "pong", "client_id": "p"}


def test_asyncapi_names_the_socket(server: Running) -> None:
    """Server and channel together are an address at which a WebSocket opens, and a stream flows."""
    document = requests.get(f"{server.url}/chat/asyncapi.json").json()
    socket, http = (document["servers"][name] for name in ("websocket", "http"))
    channels = document["channels"]
    assert f"http://{socket['host']}" == server.url and http["host"] == socket["host"]
    address = f"{socket['protocol']}://{socket['host']}{socket['pathname']}{channels['socket']['address']}"
    with connect(f"{address}?room=lobby") as ws:
        assert json.loads(ws.recv(60))["command"] == "caught-up"
    address = f"{http['protocol']}://{http['host']}{http['pathname']}{channels['stream']['address']}"
    accept = {"Accept": "application/x-ndjson"}
    with requests.get(address.format(room="lobby"), headers=accept, stream=True, timeout=30) as stream:
        assert json.loads(next(stream.iter_lines()))["command"] == "heartbeat"


def test_a_name_holds_over_a_websocket(server: Running) -> None:
    """Who is signed in with the host cannot write under another name there either."""
    token = requests.post(f"{server.url}/chat/api/v1/guests", json={"user": "Bo"}).json()["token"]
    session = requests.Session()
    session.get(f"{server.url}/login?user=ada")
    cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    address = server.url.replace("http", "ws") + "/chat/api/v1/ws"
    for token_beside in ({}, {"Authorization": f"Bearer {token}"}, {"Authorization": "Bearer x"}):
        with connect(address, additional_headers={"Cookie": cookie, **token_beside}) as ws:
            for user, expected in (("Bo", "error"), ("Ada", "ack")):
                ws.send(json.dumps({"command": "send-message", "message": {"user": user, "message": "x"}}))
                assert json.loads(ws.recv(60))["command"] == expected


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Connection": "keep-alive, Upgrade"}, {"Connection": "Upgrade"}, {"Connection": "upgrade, keep-alive"},
        {"Connection": "keep-alive, Upgrade", "Upgrade": "x, websocket"}, {"Connection": "Upgrade", "Upgrade": "h2c"},
        {"Connection": "x-upgrade"}, {"Upgrade": "websocket"}, {"Connection": ""},
    ],
    ids=str,
)  # fmt: skip
def test_every_request_passes_the_host_s_guard(server: Running, headers: dict[str, str]) -> None:
    """Also on a connection that has sent before, byte for byte the same but for the length, whatever it says of itself.

    The host bars this user between two requests, without any change of the request.
    """
    session = guarded(server, "sender", headers)
    message = {"user": "Sender", "message": "x"}
    for _ in range(4):
        assert session.post(server.url + MESSAGES, json=message).status_code == 201
    bar(server, "sender")
    for _ in range(3):
        assert session.post(server.url + MESSAGES, json=message).status_code == 403


@pytest.mark.parametrize("headers", [{}, {"Connection": "keep-alive, Upgrade"}], ids=str)
@pytest.mark.parametrize(
    "address",
    [
        "/chat/api/v1/rooms/lobby/events?after=0&wait=5", "/chat/api/v1/rooms/lobby/events?after={cursor}&wait=0.05",
        "/chat/api/v1/events?after=lobby:0&wait=5", "/chat/api/v1/rooms/lobby/events?after=0",
    ],
)  # fmt: skip
def test_every_poll_passes_the_host_s_guard(server: Running, address: str, headers: dict[str, str]) -> None:
    """Held polls of one room and of several, and those that are answered at once, on a connection that polls on."""
    requests.post(server.url + MESSAGES, json={"user": "Someone", "message": "x"})
    cursor = requests.get(f"{server.url}/chat/api/v1/rooms/lobby").json()["cursor"]
    session = guarded(server, "poller", headers)
    for _ in range(4):
        assert session.get(server.url + address.format(cursor=cursor)).status_code == 200
    bar(server, "poller")
    for _ in range(3):
        assert session.get(server.url + address.format(cursor=cursor)).status_code == 403


def guarded(server: Running, user: str, headers: dict[str, str]) -> requests.Session:
    """One signed-in user of the host, who is not barred, and whose requests are alike."""
    requests.get(f"{server.url}/bar?user=")
    session = requests.Session()
    session.get(f"{server.url}/login?user={user}")
    session.headers.update(headers)
    return session


def bar(server: Running, user: str) -> None:
    """The host bars `user` from everything."""
    requests.get(f"{server.url}/bar?user={user}")


def test_signals_come_after_the_commit_and_hold_nobody_up(server: Running) -> None:
    """Each stored message is told once, in order, while senders have had their answers long before."""
    def told() -> list[str]:
        found: list[str] = requests.get(f"{server.url}/told").json()["told"]
        return found

    with Client(f"{server.url}/chat", user="Signaller") as client:
        client.post("the first")
        until(lambda: told()[-1:] == ["the first"], what="what other tests have sent")
        before = len(told())
        requests.get(f"{server.url}/hold")
        for number in range(3):
            client.post(f"signal {number}", client_id=f"signal-{number}")
            client.post(f"signal {number}", client_id=f"signal-{number}")
    assert told()[before:] == [], "the receiver is held up, and the senders have their answers"
    requests.get(f"{server.url}/release")
    until(lambda: len(told()) == before + 3, what="three signals")
    time.sleep(0.2)  # longer than one more would take
    assert told()[before:] == [f"signal {number}" for number in range(3)]


def test_it_stops_gently(tmp_path: Path) -> None:
    """SIGTERM to a host under our gunicorn settings answers held polls, as with `quotechat serve`."""
    (tmp_path / "gunicorn.conf.py").write_text(CONFIG.format(root=str(ROOT)))
    env = environment(QUOTECHAT_PORT="0", QUOTECHAT_DATA=str(tmp_path / "data"))
    command = [sys.executable, "-m", "gunicorn", "-c", str(tmp_path / "gunicorn.conf.py"), "host:make()"]
    answers: list[requests.Response] = []
    with running(command, env=env, cwd=tmp_path) as server:
        address = f"{server.url}/chat/api/v1/rooms/lobby/events?wait=25"
        poll = threading.Thread(target=lambda: answers.append(requests.get(address, timeout=60)))
        poll.start()
        until(lambda: "held_polls 1" in requests.get(f"{server.url}/chat/metrics").text, what="a held poll")
        began = time.monotonic()
        server.process.terminate()
        poll.join(60)
        assert time.monotonic() - began < 15, "the hold would have ended by itself"
        server.process.wait(60)
    assert answers and answers[0].json()["retry_in_ms"]


def test_access_inside_another_application(tmp_path: Path) -> None:
    """Users that the application knows are let in, others get 401, and there is no page to sign in."""
    host_app = Flask("host")
    chat = QuoteChat(url_prefix="/chat", settings=Settings(data=tmp_path / "data", limits=False, access="invite"))
    chat.identify(lambda: ("7", "Boss") if "X-User" in request.headers else None)
    chat.init_app(host_app)
    client, boss = host_app.test_client(), {"X-User": "7"}
    try:
        assert client.post(MESSAGES, json={"message": "hi"}, headers=boss).get_json()["message"]["user"] == "Boss"
        for path in ("/chat/api/v1/rooms/lobby", "/chat/api/v1/rooms/none", "/chat/rooms/lobby", "/chat/"):
            assert client.get(path).status_code == 401, path
            assert client.get(path, headers=boss).status_code in (200, 404), path
        for path in ("sign-in", "join", "setup", "reset", "me"):
            assert client.get(f"/chat/{path}", headers=boss).status_code == 404, path
        assert client.post("/chat/api/v1/sessions", json={}, headers=boss).status_code == 404
    finally:
        host_app.extensions["quotechat"].close()

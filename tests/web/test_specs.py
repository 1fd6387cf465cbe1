"""The specifications say what the server does: all of it, nothing else, and each example works."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from conforming import Conforming, strict
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from servers import ROOT, Running, environment, quotechat, running
from websockets.sync.client import connect

from quotechat import create_app
from quotechat.config import Settings
from quotechat.protocol import commands, events
from quotechat.protocol.types import wire
from quotechat.web.http import problems
from quotechat.web.spec import specs
from quotechat.web.spec.described import COMMANDS, FOR_MANAGERS, Call, Example, calls, envelope

ASYNCAPI_SCHEMA = ROOT / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"


@pytest.fixture(scope="module")
def store_kind() -> str:
    """One store.

    The specifications are made of types and routes; each store is held to what commands do (tests/store/contract.py).
    """
    return "sqlite"


def test_every_call_is_described(app: Flask) -> None:
    """Each method of each address but the pages' own is in the document, and nothing else is."""
    found = {(re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule.rule), method.lower()) for rule, method, _, _ in calls(app)}
    document = app.test_client().get("/openapi.json").get_json()
    told = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert told == found
    # What `calls` leaves out are pages.
    addresses = {path for path, _ in found}
    assert {"/api/v1/ws", "/healthz", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json"} <= addresses
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            assert re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule.rule) in addresses


def test_every_code_is_told_somewhere(app: Flask) -> None:
    """Each problem but a wrong method is among the answers of some call, with its status."""
    document = app.test_client().get("/openapi.json").get_json()
    told = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {}).get("application/problem+json")
                for code in content["schema"].get("properties", {}).get("code", {}).get("enum", []) if content else []:
                    assert problems._PROBLEMS[code][0] == int(status)
                    told.add(code)
    assert told == set(problems._PROBLEMS) - {"method-not-allowed"}


def test_openapi_is_valid(app: Flask) -> None:
    """By the schema of OpenAPI 3.1; each example by its own."""
    document = app.test_client().get("/openapi.json").get_json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"


def test_asyncapi_is_valid(app: Flask) -> None:
    """By the schema of AsyncAPI 3.0; each example by its own."""
    import jsonschema_rs

    if not ASYNCAPI_SCHEMA.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("node_modules/@asyncapi/specs is missing: npm ci")
    document = app.test_client().get("/asyncapi.json").get_json()
    meta = jsonschema_rs.Draft7Validator(json.loads(ASYNCAPI_SCHEMA.read_text("utf-8")))
    assert [error.message for error in meta.iter_errors(document)] == []
    checker = Conforming(app)
    for name, message in document["components"]["messages"].items():
        for example in message.get("examples", []):
            checker._validate(f"example {name}", message["payload"], document, example["payload"])
    _references_resolve(document, document)


def _references_resolve(part: Any, document: dict[str, Any]) -> None:
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        if isinstance(each, str) and part is not None and isinstance(part, dict) and part.get("$ref") == each:
            place: Any = document
            for step in each.removeprefix("#/").split("/"):
                place = place[step]
        else:
            _references_resolve(each, document)


def test_an_account_may_leave_its_name_out(client: FlaskClient) -> None:
    """`user` is no required field of a message to send, in both documents; of a message that was sent it is."""
    documents = (client.get(path).get_json() for path in ("/openapi.json", "/asyncapi.json"))
    http, sockets = (document["components"]["schemas"] for document in documents)
    for schema in (http["MessageBody"], http["NewMessage"], sockets["NewMessage"]):
        assert schema["required"] == ["message"]
        assert {"type": "null"} in schema["properties"]["user"]["anyOf"]
    assert "user" in http["Message"]["required"] and "user" in sockets["Message"]["required"]


def test_close_codes_are_in_asyncapi(client: FlaskClient) -> None:
    """Every code with which the server closes a WebSocket, that of a session that has ended too."""
    about = client.get("/asyncapi.json").get_json()["channels"]["socket"]["description"]
    for code in (1001, 1003, 1008, 1009, 1012, 1013, 4401):
        assert f"{code} " in about
    assert "4401 the session, token or account has ended" in about


def test_every_envelope_is_in_asyncapi(app: Flask) -> None:
    """Commands, events and answers: those of the code are those of the document."""
    document = app.test_client().get("/asyncapi.json").get_json()

    def told(operation: str) -> set[str]:
        return {each["$ref"].rpartition("/")[2] for each in document["operations"][operation]["messages"]}

    # `typing` names a command and an answer, and they carry different things.
    asked = {each.removesuffix("-command") for each in told("command")}
    assert asked == set(commands._KNOWN) == set(COMMANDS)
    happened = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
    assert {kind.__struct_config__.tag for kind in get_args(wire.Event)} == happened
    answers = {kind.__struct_config__.tag for kind in get_args(wire.Answer)}
    answers |= {kind.__struct_config__.tag for kind in specs.INBOX}
    assert told("tell") == happened | answers
    # Every answer is written as a literal somewhere in the transports.
    folders = (ROOT / "src" / "quotechat" / name for name in ("live", "web"))
    source = "".join(path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py"))
    assert set(re.findall(r'\{"command": ?"([a-z-]+)"', source)) - set(COMMANDS) == answers - {"typing"}


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json"])
def test_documents_are_sent_once(client: FlaskClient, path: str) -> None:
    """With an ETag, so that the second look costs next to nothing."""
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert first.headers["Cache-Control"] == "no-cache"


# --- Examples -------------------------------------------------------------------------------------


def _described() -> list[tuple[str, Example]]:
    """Every example, by way of an application that serves nothing."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        app = create_app(Settings(data=Path(directory)))
        app.extensions["quotechat"].close()
        return [
            (method, example)
            for _, method, call, _ in calls(app)
            for example in (call.examples if isinstance(call, Call) else ())
            # Those need a real server: tests/web/test_streams.py.
            if example.headers.get("Accept") not in ("application/x-ndjson", "text/event-stream")
        ]


EXAMPLES = _described()


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, dict[str, str]]]:
    """An application, and the header of somebody who can own things there."""
    data = tmp_path_factory.mktemp("data")
    app = create_app(Settings(data=data, limits=False, held_polls=4))
    token = app.test_client().post("/api/v1/guests", json={"user": "Azin"}).get_json()["token"]
    yield app, {"Authorization": f"Bearer {token}"}
    app.extensions["quotechat"].close()


def _fill(client: FlaskClient, owner: dict[str, str], room: str) -> dict[str, int]:
    """Somebody's own message, scheduled message and quote; their ids."""
    client.post("/api/v1/rooms", json={"name": room})
    said = client.post(f"/api/v1/rooms/{room}/messages", json={"user": "Azin", "message": "Hi"}, headers=owner)
    later = {"user": "Azin", "message": "Later", "send_at": "+1h"}
    waits = client.post(f"/api/v1/rooms/{room}/messages", json=later, headers=owner)
    quote = {"quote": "Less is more.", "author": "Mies", "room": room}
    added = client.post("/api/v1/quotes", json=quote, headers=owner)
    return {
        "message": said.get_json()["seq"], "scheduled": waits.get_json()["scheduled"]["id"],
        "quote": added.get_json()["id"],
    }  # fmt: skip


@pytest.mark.parametrize(("method", "example"), EXAMPLES, ids=lambda each: getattr(each, "path", each))
def test_example_works(settled: tuple[Flask, dict[str, str]], method: str, example: Example) -> None:
    """Sent as it is told, it gets the status that is told, and an answer of the declared shape."""
    app, owner = settled
    client = app.test_client()
    room = f"r{EXAMPLES.index((method, example))}"
    ids = _fill(client, owner, room)
    # Each in a room of its own; scheduled messages and quotes are numbered over all rooms.
    path = example.path.replace("lobby", room)
    written = json.dumps(example.body)
    for name in ("scheduled", "quote"):
        path = re.sub(rf"({name}s?)/1$", rf"\1/{ids[name]}", path)
        written = written.replace(f'"{name}": {{"id": 1}}', f'"{name}": {{"id": {ids[name]}}}')
    body = json.loads(written)
    sent = {"json": body} if isinstance(body, dict) else {"data": body} if body else {}
    answer = client.open(path, method=method, headers={**owner, **example.headers}, **sent)
    assert answer.status_code == example.status, answer.get_data()
    Conforming(app).check_answer(method, path.partition("?")[0], answer.status_code, answer.mimetype, answer.data)


def test_examples_of_commands_work(tmp_path: Path, app: Flask) -> None:
    """One after the other over one WebSocket; every envelope that comes is of the declared shape."""
    checker = Conforming(app)
    env = environment(QUOTECHAT_LIMITS="off")
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=env) as server:
        import requests

        token = requests.post(f"{server.url}/api/v1/guests", json={"user": "Azin"}).json()["token"]
        owner = {"Authorization": f"Bearer {token}"}
        for message in ({"user": "Azin", "message": "Hi"}, {"user": "Azin", "message": "Later", "send_at": "+1h"}):
            assert requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json=message, headers=owner).ok
        quote = {"quote": "Less is more.", "author": "Mies"}
        quote_id = requests.post(f"{server.url}/api/v1/quotes", json=quote, headers=owner).json()["id"]
        # What changes the message before what deletes it.
        names = sorted(COMMANDS.keys() - FOR_MANAGERS, key=lambda name: (name == "delete-message", name != "subscribe"))
        with connect(_socket(server), additional_headers=owner) as ws:
            for number, name in enumerate(names):
                asked = {**envelope(name), "client_id": f"n{number}"}
                ws.send(json.dumps(asked | ({"quote": {"id": quote_id}} if name == "remove-quote" else {})))
                while name != "typing":  # which has no answer
                    found = json.loads(ws.recv(timeout=30))
                    checker.check_envelope(json.dumps(found))
                    assert found["command"] != "error", found
                    if found.get("client_id") == f"n{number}" or (
                        name == "subscribe" and found["command"] == "caught-up"
                    ):
                        break


def _socket(server: Running) -> str:
    return server.url.replace("http", "ws", 1) + "/api/v1/ws"


def test_strictness_is_real(app: Flask) -> None:
    """A field that is not declared is found, one that is missing too, and a status that is not."""
    checker = Conforming(app)
    event = {"command": "caught-up", "room": "lobby", "cursor": "1." + "0" * 16}
    checker.check_envelope(json.dumps(event))
    for wrong in ({**event, "more": 1}, {**event, "cursor": "1"}, {"command": "caught-up"}, {"command": "fly"}):
        with pytest.raises(AssertionError):
            checker.check_envelope(json.dumps(wrong))
    with pytest.raises(AssertionError):
        checker.check_answer("GET", "/api/v1/rooms", 418, "application/json", b"{}")
    assert strict({"type": "object", "properties": {}})["additionalProperties"] is False

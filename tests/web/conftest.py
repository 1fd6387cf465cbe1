"""An application in this process, and real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from conforming import check_answers, documents
from flask import Flask
from flask.testing import FlaskClient
from raising import keeping
from servers import Running, environment, quotechat, running, until
from websockets.sync.connection import Connection

from quotechat import create_app
from quotechat.config import Settings

STORES = ["sqlite", "postgres"]


@pytest.fixture(scope="module", params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """Both stores, one after the other: every transport says the same on both."""
    return str(request.param)


@pytest.fixture(scope="module")
def new_database(request: pytest.FixtureRequest, store_kind: str) -> Callable[[], str]:
    """Each call gives what QUOTECHAT_DATABASE is for an empty store of this kind, beside an empty directory."""
    if store_kind == "sqlite":
        return lambda: ""
    make: Callable[[], str] = request.getfixturevalue("new_tables")
    return make


@pytest.fixture(autouse=True)
def _answers_conform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a real server answers to `requests` or sends over a WebSocket is what its specifications say."""
    send, recv = requests.Session.send, Connection.recv

    def sent(self: requests.Session, prepared: requests.PreparedRequest, **about: Any) -> requests.Response:
        answer = send(self, prepared, **about)
        assert answer.status_code not in (429, 503) or int(answer.headers["Retry-After"]) > 0
        if answer.status_code in (204, 304):
            assert not {"content-type", "content-length"} & {name.lower() for name in answer.headers}
        _remember(prepared, answer)
        if not about.get("stream") and prepared.method and prepared.url:
            media = answer.headers.get("Content-Type", "").partition(";")[0]
            path = urlsplit(prepared.url).path
            documents().check_answer(prepared.method, path, answer.status_code, media, answer.content)
        return answer

    def received(self: Connection, *arguments: Any, **about: Any) -> Any:
        while True:  # heartbeats come at any time, and are passed over
            text = recv(self, *arguments, **about)
            documents().check_envelope(text)
            if '"command":"heartbeat"' not in text:
                return text

    monkeypatch.setattr(requests.Session, "send", sent)
    monkeypatch.setattr(Connection, "recv", received)


#: What tests have sent or got that must not be in a log: tokens, cookies, texts of some length.
PRIVATE: set[str] = set()


def _remember(prepared: requests.PreparedRequest, answer: requests.Response) -> None:
    PRIVATE.update(answer.cookies.values())
    if "Authorization" in prepared.headers:
        PRIVATE.add(prepared.headers["Authorization"].removeprefix("Bearer "))
    try:
        sent = json.loads(prepared.body or b"{}")
    except ValueError:
        return
    inner = sent.get("message", sent.get("quote")) if isinstance(sent, dict) else None
    text = inner.get("message", inner.get("quote")) if isinstance(inner, dict) else inner
    if isinstance(text, str) and len(text) >= 8:
        PRIVATE.add(text)


@pytest.fixture
def app(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Flask]:
    """An application on an empty store, without limits per client."""
    app = create_app(Settings(data=tmp_path / "data", database=new_database(), limits=False))
    check_answers(app)
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[Running]:
    """One real server for a module's tests, without limits per client; its log has nothing private in it.

    A module with `KEEPING` has one that keeps its connections while the module is late.
    """
    settings = {
        "QUOTECHAT_LIMITS": "off", "QUOTECHAT_LOG_REQUESTS": "on", "QUOTECHAT_LOG_FORMAT": "json",
        "QUOTECHAT_DATABASE": new_database(),
    }  # fmt: skip
    PRIVATE.clear()
    data = tmp_path_factory.mktemp("data")
    command, env = quotechat("serve", "--port", "0", "--data", str(data)), environment(**settings)
    if getattr(request.module, "KEEPING", False):
        command, env = keeping(data, **settings)
    with running(command, env=env) as server:
        yield server
        # What is answered is logged afterwards, and read later still.
        until(lambda: not PRIVATE or '"event": "request"' in server.output, what="a line of a request")
        logged = server.output
    assert [text for text in PRIVATE if text in logged] == []

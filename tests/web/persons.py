"""Two real servers on one store, and people with accounts at them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests
from click.testing import CliRunner
from servers import Running, environment, quotechat, running

from quotechat.cli import main

PASSWORD = "correct horse battery 9"


@contextmanager
def two_servers(data: Path, database: str, *names: str) -> Iterator[list[Running]]:
    """Two servers on one store, in which Ann and Bo are owners, and `names` members."""
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_DATABASE=database)
    with ExitStack() as stack:
        command = quotechat("serve", "--port", "0", "--data", str(data))
        started = [stack.enter_context(running(command, env=env)) for _ in range(2)]
        for name, role in (("Ann", "owner"), ("Bo", "owner"), *((name, "member") for name in names)):
            add = ["users", "add", name, "--role", role, "--password-stdin", "--data", str(data)]
            added = CliRunner().invoke(main, add, input=PASSWORD, env={"QUOTECHAT_DATABASE": database})
            assert added.exit_code == 0, added.output
        yield started


class Person:
    """Somebody with an account, at one server."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = f"{url}/api/v1", name
        self.session = requests.Session()
        # A connection at rest is ended after two seconds, perhaps at the moment of the next request (RFC 9112 §9.3.1).
        self.session.headers.update({"Origin": url, "Connection": "close"})
        answer = self.session.post(f"{self.url}/sessions", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["account"]["id"]
        self.cookie = {"Cookie": f"quotechat-session={self.session.cookies['quotechat-session']}"}

    def ask(self, method: str, path: str, body: Any = None, **about: Any) -> requests.Response:
        return self.session.request(method, f"{self.url}{path}", json=body, timeout=60, **about)

    def inbox(self, query: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/inbox{query}").json()
        return found

    def entry(self, room: str) -> dict[str, Any]:
        found: dict[str, Any] = self.inbox()["rooms"].get(room, {})
        return found

    def say(self, room: str, text: str = "hi") -> int:
        answer = self.ask("POST", f"/rooms/{room}/messages", {"message": text})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["seq"])

    def command(self, command: str, room: str, **fields: Any) -> dict[str, Any]:
        answer = self.ask("POST", f"/rooms/{room}/commands", {"command": command, "room": room, **fields})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def heard(ws: Any, command: str, seconds: float = 60) -> dict[str, Any]:
    """The next envelope of that kind."""
    while True:
        envelope: dict[str, Any] = json.loads(ws.recv(timeout=seconds))
        if envelope["command"] == command:
            return envelope


def streamed(answer: requests.Response) -> Iterator[dict[str, Any]]:
    """The envelopes of a stream, in either form."""
    for line in answer.iter_lines(chunk_size=None):
        if line.removeprefix(b"data: ").startswith(b"{"):
            yield json.loads(line.removeprefix(b"data: "))

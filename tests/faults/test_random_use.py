"""Random use of a running server: commands by every way in, readers that change transport at will."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from typing import Any

import requests
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from servers import environment, quotechat, running, until
from websockets.sync.client import connect

KEYS = st.sampled_from(["", "", "k1", "k2"])
TEXTS = st.sampled_from(["one", "two", "**three**"])


class Room:
    """A server that lives for all examples; each example has a room of its own in it."""

    stack = contextlib.ExitStack()
    server: Any = None
    count = 0

    @classmethod
    def fresh(cls) -> str:
        if cls.server is None:
            data = cls.stack.enter_context(tempfile.TemporaryDirectory())
            env = environment(QUOTECHAT_LIMITS="off")
            command = quotechat("serve", "--port", "0", "--data", data, "--workers", "2")
            cls.server = cls.stack.enter_context(running(command, env=env))
        cls.count += 1
        name = f"room-{cls.count}"
        assert requests.post(f"{cls.server.url}/api/v1/rooms", json={"name": name}).status_code == 201
        return f"{cls.server.url}/api/v1/rooms/{name}"


class Use(RuleBasedStateMachine):
    """The model: a list of texts, and what each client_id stands for."""

    @initialize()
    def begin(self) -> None:
        self.room = Room.fresh()
        self.name = self.room.rpartition("/")[2]
        self.socket_url = f"{Room.server.url.replace('http', 'ws', 1)}/api/v1/ws?room={self.name}"
        self.log: list[str] = []
        self.keys: dict[str, tuple[str, int]] = {}
        self.cursor = str(requests.get(self.room).json()["cursor"])
        self.read: list[str] = []

    def expect(self, text: str, key: str) -> tuple[str, int]:
        """What the model says of sending this: the kind of answer and its seq."""
        if key in self.keys:
            known, seq = self.keys[key]
            return ("duplicate", seq) if known == text else ("reused", 0)
        self.log.append(text)
        if key:
            self.keys[key] = (text, len(self.log))
        return "new", len(self.log)

    @rule(text=TEXTS, key=KEYS)
    def post(self, text: str, key: str) -> None:
        kind, seq = self.expect(text, key)
        body = {"user": "Ann", "message": text} | ({"client_id": key} if key else {})
        answer = requests.post(f"{self.room}/messages", json=body)
        assert answer.status_code == {"new": 201, "duplicate": 200, "reused": 422}[kind]
        assert answer.json().get("seq", 0) == seq

    @rule(text=TEXTS, key=KEYS)
    def post_text(self, text: str, key: str) -> None:
        kind, seq = self.expect(text, key)
        headers = {"Content-Type": "text/plain"} | ({"Idempotency-Key": key} if key else {})
        answer = requests.post(f"{self.room}/messages?user=Ann", data=text, headers=headers)
        assert answer.status_code == {"new": 201, "duplicate": 200, "reused": 422}[kind]
        assert answer.json().get("seq", 0) == seq

    @rule(batch=st.lists(st.tuples(TEXTS, KEYS), min_size=1, max_size=4))
    def send(self, batch: list[tuple[str, str]]) -> None:
        with connect(self.socket_url) as ws:
            for text, key in batch:
                kind, seq = self.expect(text, key)
                envelope = {"command": "send-message", "room": self.name, "message": {"user": "Ann", "message": text}}
                ws.send(json.dumps(envelope | ({"client_id": key} if key else {})))
                while True:
                    answer = json.loads(ws.recv(timeout=60))
                    if answer["command"] in ("ack", "error"):
                        break
                assert (answer["command"] == "error") == (kind == "reused")
                assert answer.get("seq", 0) == seq and answer.get("duplicate", False) == (kind == "duplicate")

    @rule(limit=st.integers(1, 3), wait=st.sampled_from(["0", "0.2"]))
    def poll(self, limit: int, wait: str) -> None:
        page = requests.get(f"{self.room}/events?after={self.cursor}&limit={limit}&wait={wait}").json()
        self.take(page["events"])
        self.cursor = page["cursor"]
        assert page["more"] == (len(self.read) < len(self.log))

    @rule(most=st.integers(1, 5))
    def listen(self, most: int) -> None:
        with connect(f"{self.socket_url}&after={self.cursor}") as ws:
            for _ in range(most):
                envelope = json.loads(ws.recv(timeout=60))
                if envelope["command"] == "caught-up":
                    assert len(self.read) == len(self.log)
                    break
                if "seq" in envelope:
                    self.take([envelope])

    @rule(most=st.integers(1, 5), kind=st.sampled_from(["application/x-ndjson", "text/event-stream"]))
    def stream(self, most: int, kind: str) -> None:
        url = f"{self.room}/events?after={self.cursor}"
        with requests.get(url, headers={"Accept": kind}, stream=True, timeout=60) as stream:
            for line in stream.iter_lines(chunk_size=1):
                data = line.removeprefix(b"data: ")
                if not data.startswith(b"{"):
                    continue
                envelope = json.loads(data)
                if envelope["command"] == "caught-up":
                    assert len(self.read) == len(self.log)
                    break
                if "seq" in envelope:
                    self.take([envelope])
                    most -= 1
                if not most:
                    break

    @rule()
    def restart(self) -> None:
        """New workers, at a moment when this reader holds nothing but its cursor."""
        before = Room.server.workers()
        os.kill(Room.server.process.pid, signal.SIGHUP)
        until(lambda: not before & Room.server.workers(), 120, "new workers")

    @rule()
    def bad(self) -> None:
        headers = {"Content-Type": "application/json"}
        assert requests.post(f"{self.room}/messages", data=b"{", headers=headers).status_code == 400

    def take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            assert event["seq"] == len(self.read) + 1, "a gap or a repeat"
            self.read.append(event["message"]["message"])
            self.cursor = event["cursor"]

    @invariant()
    def what_is_read_is_the_log(self) -> None:
        if hasattr(self, "log"):
            assert self.read == self.log[: len(self.read)]
            head = requests.get(f"{self.room}/events").json()["cursor"]
            assert int(head.split(".")[0]) == len(self.log)


TestUse = Use.TestCase
TestUse.settings = settings(max_examples=4, stateful_step_count=15, deadline=None)


def teardown_module() -> None:
    """The server of all examples."""
    Room.stack.close()

"""PostgreSQL fails under two servers: killed, gone back to an older copy, not there at the start."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import postgres
import pytest
import requests
from servers import START_SECONDS, Running, environment, quotechat, running, until
from test_signed_in import stay_signed_in
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ROOM = "/api/v1/rooms/lobby"


@pytest.fixture(scope="module")
def database() -> Iterator[postgres.Server]:
    """A server of its own, which flushes as it should."""
    postgres.needed()
    with postgres.postgres() as server:
        yield server


def serve(
    database: postgres.Server, tmp_path: Path, *, before: Callable[[Running], object] = lambda server: None, **more: str
) -> contextlib.AbstractContextManager[Running]:
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_DATABASE=database.url, **more)
    return running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=env, before=before)


class Writer(threading.Thread):
    """Sends numbered messages, each again with the same client_id until it is acknowledged; notes what it is told."""

    def __init__(self, name: str, urls: list[str]) -> None:
        super().__init__(daemon=True)
        self.name, self.urls = name, urls
        self.acked: dict[str, int] = {}
        self.told: set[tuple[int, str]] = set()
        self.stop = threading.Event()

    def run(self) -> None:
        count = 0
        while not self.stop.is_set():
            count += 1
            key = f"{self.name}-{count}"
            body = {"user": f"Writer {self.name}", "message": key, "client_id": key}
            turn = count
            while key not in self.acked and not self.stop.is_set():
                turn += 1
                answer = requests.post(f"{self.urls[turn % 2]}{ROOM}/messages", json=body, timeout=60)
                if answer.status_code in (200, 201):
                    self.acked[key] = answer.json()["seq"]
                else:
                    self.told.add((answer.status_code, answer.json()["code"]))
                    assert int(answer.headers["Retry-After"]) >= 1
                    time.sleep(0.1)


class Reader(threading.Thread):
    """Reads from the start over one transport, and keeps the seqs as they come."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.seqs, self.connections = url, list[int](), 0
        self.after = "0"
        self.stop = threading.Event()

    def took(self, event: dict[str, Any]) -> None:
        self.seqs.append(event["seq"])
        self.after = event["cursor"]

    def run(self) -> None:
        while not self.stop.is_set():
            self.connections += 1
            self.read()

    def read(self) -> None:
        raise NotImplementedError


class Polls(Reader):
    def read(self) -> None:
        answer = requests.get(f"{self.url}{ROOM}/events?after={self.after}&wait=2", timeout=60)
        if answer.status_code == 503:
            time.sleep(0.1)
            return
        assert answer.status_code == 200
        for event in answer.json()["events"]:
            self.took(event)


class Streams(Reader):
    def read(self) -> None:
        headers = {"Accept": "application/x-ndjson"}
        url = f"{self.url}{ROOM}/events?after={self.after}"
        with requests.get(url, headers=headers, stream=True, timeout=60) as stream:
            for line in stream.iter_lines():
                envelope = json.loads(line)
                assert envelope["command"] != "reset"
                if "seq" in envelope:
                    self.took(envelope)
                if self.stop.is_set():
                    return


class Sockets(Reader):
    def read(self) -> None:
        url = f"{self.url.replace('http', 'ws', 1)}/api/v1/ws?room=lobby&after={self.after}"
        with connect(url) as socket, contextlib.suppress(ConnectionClosed):
            while not self.stop.is_set():
                with contextlib.suppress(TimeoutError):
                    envelope = json.loads(socket.recv(timeout=0.5))
                    assert envelope["command"] not in ("reset", "error")
                    if "seq" in envelope:
                        self.took(envelope)


def log(url: str) -> list[dict[str, Any]]:
    """Every event, from the oldest."""
    found: list[dict[str, Any]] = []
    after, more = "0", True
    while more:
        page = requests.get(f"{url}{ROOM}/events?after={after}", timeout=60).json()
        found += page["events"]
        after, more = page["cursor"], page["more"]
    return found


def test_killed_under_load(database: postgres.Server, tmp_path: Path) -> None:
    """kill -9 and a start again, twice: each ack is there once, every reader has all, nobody has died or been reset."""
    with serve(database, tmp_path) as one, serve(database, tmp_path) as two:
        for server in (one, two):
            until(lambda: answered(f"{server.url}/readyz"), what="an answer")  # noqa: B023  # called here
        workers = one.workers() | two.workers()
        urls = [one.url, two.url]
        writers = [Writer(str(number), urls) for number in range(4)]
        readers = [kind(url) for kind in (Polls, Streams, Sockets) for url in urls]
        for thread in (*writers, *readers):
            thread.start()
        # One that only came while the database was away would be refused.
        until(lambda: all(reader.seqs for reader in readers), 120, "an event for every reader")
        for _ in range(2):
            before = sum(len(writer.acked) for writer in writers)
            until(lambda: sum(len(writer.acked) for writer in writers) > before + 50, 120, "fifty more")  # noqa: B023  # called here
            database.stop(signal.SIGKILL)
            refused = requests.get(f"{one.url}{ROOM}", timeout=60)
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            time.sleep(0.5)
            database.start()
        before = sum(len(writer.acked) for writer in writers)
        until(lambda: sum(len(writer.acked) for writer in writers) > before + 50, 120, "fifty more")
        for writer in writers:
            writer.stop.set()
        for writer in writers:
            writer.join(120)
        found = log(one.url)
        for reader in readers:
            until(lambda: len(reader.seqs) >= len(found), 60, f"all of it by {type(reader).__name__}")  # noqa: B023
            reader.stop.set()
        assert all(thread.is_alive() or thread.stop.is_set() for thread in (*writers, *readers))
        assert one.workers() | two.workers() == workers
    texts = [event["message"]["message"] for event in found]
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1)) and len(set(texts)) == len(texts)
    acked = {key: seq for writer in writers for key, seq in writer.acked.items()}
    assert acked.items() <= dict(zip(texts, range(1, len(texts) + 1), strict=True)).items()
    assert all(reader.seqs == list(range(1, len(found) + 1)) for reader in readers)
    # Streams and sockets stayed where they were.
    assert [reader.connections for reader in readers[2:]] == [1, 1, 1, 1]
    told = {each for writer in writers for each in writer.told}
    assert told and told <= {(503, "overloaded"), (503, "outcome-unknown")}


@pytest.mark.parametrize("written", [0, 4])
def test_an_older_copy_takes_over(database: postgres.Server, tmp_path: Path, written: int) -> None:
    """What was after it is gone: every cursor of then is told so, over every transport, whatever was written since."""

    def say(text: str) -> str:
        # With a client_id, since it may have been stored without a word.
        body = {"user": "A", "message": text, "client_id": f"{text} of {written}".replace(" ", "-")}
        answer = requests.post(f"{server.url}{ROOM}/messages", json=body, timeout=60)
        return str(answer.json()["cursor"]) if answer.status_code in (200, 201) else ""

    data, copy = database.directory / "data", database.directory / "copy"
    with serve(database, tmp_path) as server:
        old = until(lambda: say("kept"), what="an answer")
        database.stop()
        shutil.copytree(data, copy, symlinks=True)
        if os.geteuid() == 0:
            for each in (copy, *copy.rglob("*")):
                shutil.chown(each, *postgres.somebody())
        database.start()
        for number in range(3):
            until(lambda: say(f"lost {number}"), what="an answer")  # noqa: B023  # called here
        lost = requests.get(f"{server.url}{ROOM}/events").json()["cursor"]
        url, kind = f"{server.url}{ROOM}/events?after={lost}", {"Accept": "application/x-ndjson"}
        stream = requests.get(url, headers=kind, stream=True, timeout=120)
        lines = stream.iter_lines()
        assert [json.loads(next(lines))["command"] for _ in range(2)] == ["heartbeat", "caught-up"]
        with connect(f"{server.url.replace('http', 'ws', 1)}/api/v1/ws?room=lobby&after={lost}") as socket:
            assert json.loads(socket.recv(timeout=60))["command"] == "caught-up"
            database.stop()
            shutil.rmtree(data)
            copy.rename(data)
            database.start()
            for number in range(written):
                until(lambda: say(f"new {number}"), what="an answer")  # noqa: B023  # called here
            while (reset := json.loads(socket.recv(timeout=60)))["command"] == "heartbeat":
                pass
            assert reset["command"] == "reset" and reset["error"]["code"] in ("history-changed", "cursor-ahead")
        commands = [json.loads(line)["command"] for line in lines]
        assert commands[-1] == "reset" and not {"message-sent"} & set(commands)
        gone = until(lambda: answered(f"{server.url}{ROOM}/events?after={lost}"), what="an answer")
        assert gone == (410, "history-changed" if written else "cursor-ahead")
        page = requests.get(f"{server.url}{ROOM}/events?after={old}").json()
        assert [event["message"]["message"] for event in page["events"]] == [f"new {n}" for n in range(written)]


def answered(url: str) -> tuple[int, str] | None:
    """Status and code of the answer, once the database is there."""
    answer = requests.get(url, timeout=60)
    return None if answer.status_code == 503 else (answer.status_code, answer.json().get("code", ""))


def test_a_start_without_database_waits(database: postgres.Server, tmp_path: Path) -> None:
    """It says what it waits for, without the password, and serves when the database is there."""
    database.stop()

    def start_it_later(server: Running) -> None:
        until(lambda: "waiting" in server.output or server.process.poll() is not None, START_SECONDS, "a word about it")
        database.start()

    with serve(database, tmp_path, before=start_it_later) as server:
        assert "Connection refused" in server.output
        assert database.password not in server.output
        until(lambda: answered(f"{server.url}/readyz"), what="an answer")
        until(lambda: requests.get(f"{server.url}/readyz").status_code == 200, what="that it is ready")
        database.stop()
        refused = requests.get(f"{server.url}/readyz", timeout=60)
        assert refused.status_code == 503 and refused.headers["Retry-After"]
        database.start()
        until(lambda: answered(f"{server.url}/readyz"), what="an answer")


def test_each_due_message_comes_once(database: postgres.Server, tmp_path: Path) -> None:
    """Two servers look at the same hour glass, and each message is delivered by one of them."""
    with serve(database, tmp_path) as one, serve(database, tmp_path) as two:
        before = len(log(one.url))
        token = requests.post(f"{one.url}/api/v1/guests", json={"user": "Sand"}).json()["token"]
        # Given by one, good at the other: the secret is the database's.
        sand = {"Authorization": f"Bearer {token}"}
        for number in range(50):
            body = {"user": "Sand", "message": f"{number}", "send_at": "+2s"}
            server = (one, two)[number % 2]
            assert requests.post(f"{server.url}{ROOM}/messages", json=body, headers=sand).status_code == 202
        found = until(lambda: (events := log(two.url)[before:]) and len(events) >= 50 and events, 60, "all of them")
        time.sleep(1.2)  # another look of both, at least
        assert sorted(int(event["message"]["message"]) for event in found) == list(range(50))
        assert len(log(one.url)) == before + 50


def test_kill_9_of_everything_signs_nobody_in_or_out(database: postgres.Server, tmp_path: Path) -> None:
    """SIGKILL to PostgreSQL and to every worker at once: sessions and tokens hold, and those that ended are over."""

    def database_too() -> None:
        database.stop(signal.SIGKILL)
        database.start()

    stay_signed_in(tmp_path, database.url, also=database_too, rounds=1)

"""Many at once: whoever reads, however, sees the one log."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import requests
from servers import Running, environment, quotechat, running, until
from websockets.sync.client import connect

EVENTS = "/api/v1/rooms/lobby/events"
MESSAGES = "/api/v1/rooms/lobby/messages"
SECONDS = float(os.environ.get("QUOTECHAT_TEST_SECONDS", "3"))


class Crowd:
    """Writers and readers over both transports, until `stop`; then every reader reads to the end."""

    def __init__(self, server: Running) -> None:
        self.url = server.url
        self.stop = threading.Event()
        self.written: list[tuple[int, str]] = []
        self.last = 0
        self.all_written = threading.Event()
        self.logs: list[list[dict[str, Any]]] = []
        self.faults: list[str] = []

    def run(self, *roles: Any) -> None:
        threads = [threading.Thread(target=self._safely, args=(role, number)) for number, role in enumerate(roles)]
        writers = [each for each, role in zip(threads, roles, strict=True) if role in (self.post, self.send)]
        for each in threads:
            each.start()
        time.sleep(SECONDS)  # the length of the test, not a wait for something
        until(lambda: len(self.written) > 16, what="more messages than there are writers")
        self.stop.set()
        for each in writers:
            each.join(120)
        self.last = max(seq for seq, _ in self.written)
        self.all_written.set()
        for each in threads:
            each.join(120)
            assert not each.is_alive(), "a reader did not reach the end"

    def post(self, number: int) -> None:
        with requests.Session() as session:
            for text in self._texts(number):
                found = session.post(self.url + MESSAGES, json={"user": f"P{number}", "message": text}, timeout=120)
                assert found.status_code == 201, found.text
                self.written.append((found.json()["seq"], text))

    def send(self, number: int) -> None:
        with connect(f"{self.url.replace('http', 'ws', 1)}/api/v1/ws") as ws:
            for text in self._texts(number):
                message = {"user": f"W{number}", "message": text}
                ws.send(json.dumps({"command": "send-message", "message": message}))
                found = json.loads(ws.recv(timeout=120))
                while found["command"] == "heartbeat":
                    found = json.loads(ws.recv(timeout=120))
                assert found["command"] == "ack", found
                self.written.append((found["seq"], text))

    def poll(self, number: int) -> None:
        log: list[dict[str, Any]] = []
        self.logs.append(log)
        after = "0"
        with requests.Session() as session:
            while not self._done(log):
                wait = 2 if number % 2 else 0
                found = session.get(f"{self.url}{EVENTS}?after={after}&wait={wait}", timeout=120).json()
                log += found["events"]
                after = found["cursor"]

    def listen(self, number: int) -> None:
        log: list[dict[str, Any]] = []
        self.logs.append(log)
        with connect(f"{self.url.replace('http', 'ws', 1)}/api/v1/ws?after=0") as ws:
            while not self._done(log):
                try:
                    envelope = json.loads(ws.recv(timeout=1))
                except TimeoutError:
                    continue
                if "seq" in envelope:
                    log.append(envelope)

    def _texts(self, number: int) -> Any:
        count = 0
        while not self.stop.is_set():
            count += 1
            yield f"{number}.{count}"

    def _done(self, log: list[dict[str, Any]]) -> bool:
        return self.all_written.is_set() and bool(log) and log[-1]["seq"] >= self.last

    def _safely(self, role: Any, number: int) -> None:
        try:
            role(number)
        except Exception as fault:
            self.faults.append(f"{role.__name__} {number}: {fault!r}")


def test_sixteen_writers_and_sixteen_readers(tmp_path: Path) -> None:
    """Over both transports, on two workers: every reader has the same dense log, and every
    acknowledged message stands where its ack said."""
    env = environment(QUOTECHAT_LIMITS="off")
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path), "--workers", "2")
    with running(command, env=env) as server:
        crowd = Crowd(server)
        crowd.run(*[crowd.post] * 8, *[crowd.send] * 8, *[crowd.poll] * 8, *[crowd.listen] * 8)
    assert crowd.faults == []
    assert len(crowd.logs) == 16 and len(crowd.written) > 16
    reference = max(crowd.logs, key=len)
    assert [event["seq"] for event in reference] == list(range(1, len(crowd.written) + 1))
    for log in crowd.logs:
        assert log == reference[: len(log)] and log[-1]["seq"] >= crowd.last
    assert sorted((event["seq"], event["message"]["message"]) for event in reference) == sorted(crowd.written)


def test_one_client_id_is_one_event(tmp_path: Path) -> None:
    """16 threads send the same message under the same client_id, on two workers: one event, 16 answers."""
    env = environment(QUOTECHAT_LIMITS="off")
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path), "--workers", "2")
    with running(command, env=env) as server:
        for turn in range(5):
            body = {"user": "Ann", "message": "once", "client_id": f"turn-{turn}"}
            start, answers = threading.Barrier(16), []

            def send(body: dict[str, str] = body, start: Any = start, answers: list[Any] = answers) -> None:
                start.wait()
                answers.append(requests.post(server.url + MESSAGES, json=body, timeout=120))

            threads = [threading.Thread(target=send) for _ in range(16)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            assert sorted(each.status_code for each in answers) == [200] * 15 + [201]
            assert {each.json()["seq"] for each in answers} == {turn + 1}

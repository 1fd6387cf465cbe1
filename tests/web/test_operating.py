"""What those who operate it see: health, readiness and figures, of one worker and of several."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from servers import Running, environment, quotechat, running, until
from websockets.sync.client import connect

from quotechat import create_app
from quotechat.config import Settings
from quotechat.serving import figures as shared_figures

MESSAGES = "/api/v1/rooms/lobby/messages"


def figures(text: str) -> dict[str, float]:
    """Samples by name and labels, as they stand; Prometheus' own parser must take them."""
    assert list(text_string_to_metric_families(text))
    return {name: float(value) for name, value in re.findall(r"^(quotechat_\S+) (\S+)$", text, re.MULTILINE)}


# --- Health ---------------------------------------------------------------------------------------


def test_ready_tells_each_part(client: FlaskClient) -> None:
    """All is well: 200, and the parts by name."""
    assert client.get("/healthz").get_json() == {"status": "ok"}
    threads = ("writer", "scheduler", "watcher", "housekeeper", "indexer", "reactor", "downloads", "webhooks")
    if client.application.config["QUOTECHAT"].database:
        threads += ("notifier",)
    parts = dict.fromkeys(("database", "serving", *threads), "ok")

    def ready() -> bool:
        answer = client.get("/readyz")
        assert answer.get_json()["parts"].keys() == parts.keys()
        return (answer.status_code, answer.get_json()) == (200, {"status": "ok", "parts": parts})

    until(ready, what="that all is well")  # a disk that is busy for two seconds counts as stuck


def test_an_indexer_that_restarts_makes_no_server_unready(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named among the parts; requests still come here."""
    chat = client.application.extensions["quotechat"]
    parts = {**chat.parts(), "indexer": "restarting"}
    monkeypatch.setattr(chat, "parts", lambda: parts)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["parts"]["indexer"]) == (200, "restarting")


@pytest.mark.parametrize(
    ("broken", "part", "state"),
    [
        (lambda chat: chat._scheduler.close(), "scheduler", "ended"),
        (lambda chat: chat._writer.close(), "writer", "ended"),
        (lambda chat: chat.drain(), "serving", "draining"),
        (lambda chat: setattr(chat, "check_readable", lambda: 1 / 0), "database", "failed"),
    ],
    ids=["scheduler", "writer", "draining", "database"],
)
def test_not_ready(app: Flask, broken: Any, part: str, state: str) -> None:
    """One part that fails is enough for 503; the process lives all the same."""
    broken(app.extensions["quotechat"])
    client = app.test_client()
    until(lambda: client.get("/readyz").get_json()["parts"][part] == state, what="that it is told")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "unready")
    assert answer.get_json()["parts"][part] == state and answer.headers["Retry-After"] == "1"
    assert client.get("/healthz").status_code == 200


# --- Who may ask ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("about", "status"),
    [
        ({}, 200),
        ({"environ_overrides": {"REMOTE_ADDR": "::1"}, "headers": {"Host": "[::1]:8000"}}, 200),
        ({"environ_overrides": {"REMOTE_ADDR": "192.0.2.1"}}, 403),
        ({"headers": {"X-Forwarded-For": "127.0.0.1"}}, 403),
        ({"headers": {"Forwarded": "for=127.0.0.1"}}, 403),
        ({"headers": {"Host": "192.0.2.7"}}, 403),
    ],
)
def test_only_this_machine_asks(client: FlaskClient, about: dict[str, Any], status: int) -> None:
    """Without a token: not from elsewhere, not through a proxy, not under another name."""
    assert client.get("/metrics", **about).status_code == status


def test_a_token_lets_others_ask(tmp_path: Path) -> None:
    """With it from anywhere, without it not even from here."""
    app = create_app(Settings(data=tmp_path, metrics_token="s3cret"))
    client = app.test_client()
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    for headers in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "s3cret"}):
        refused = client.get("/metrics", headers=headers)
        assert (refused.status_code, refused.get_json()["code"]) == (401, "unauthenticated")
    good = client.get("/metrics", headers={"Authorization": "Bearer s3cret"}, environ_overrides=elsewhere)
    assert good.status_code == 200 and "s3cret" not in good.get_data(as_text=True)
    app.extensions["quotechat"].close()


# --- Figures --------------------------------------------------------------------------------------


def test_figures_follow_what_happens(server: Running) -> None:
    """Each of them, told by what was done in between."""

    def now() -> dict[str, float]:
        return figures(requests.get(f"{server.url}/metrics").text)

    before = now()
    api = f"{server.url}/api/v1/rooms/lobby"
    token = requests.post(f"{server.url}/api/v1/guests", json={"user": "Ann"}).json()["token"]
    owner = {"Authorization": f"Bearer {token}"}
    url = server.url.replace("http", "ws", 1) + "/api/v1/ws?room=lobby&after=0"
    requests.post(f"{api}/messages", json={"user": "Ann", "message": "one"}, headers=owner)
    with connect(url) as ws, requests.get(
        f"{api}/events?after=0", headers={"Accept": "text/event-stream"}, stream=True
    ) as stream:
        while json.loads(ws.recv(timeout=60))["command"] != "caught-up":
            pass
        requests.post(f"{api}/messages", json={"user": "Ann", "message": "two"}, headers=owner)
        requests.post(f"{api}/messages", json={"user": "Ann", "message": "x", "send_at": "+1h"}, headers=owner)
        json.loads(ws.recv(timeout=60))
        # Many at once, so that several share a transaction.
        ws.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for number in range(20):
            ws.send(json.dumps({"command": "send-message", "message": {"user": "Bo", "message": str(number)}}))
        ws.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        # All of it, or its library does not come to read the close.
        answers = [json.loads(ws.recv(timeout=60))["command"] for _ in range(40)]
        assert sorted(answers) == ["ack"] * 20 + ["message-sent"] * 20
        assert requests.get(f"{api}/events?after=999999").status_code == 410
        counted = before.get("quotechat_appended_total", 0) + 22
        until(lambda: _where(now(), "quotechat_appended_total", counted), what="all that was sent")
        during = until(lambda: _where(now(), "quotechat_sockets", before.get("quotechat_sockets", 0) + 1))
        assert during['quotechat_streams{framing="sse"}'] == 1.0
        assert stream.status_code == 200
    grown = {name: value - before.get(name, 0.0) for name, value in during.items()}
    for name, least in {
        "quotechat_commits_total": 4, "quotechat_batch_size_count": 4, "quotechat_append_seconds_count": 23,
        "quotechat_append_seconds_sum": 1e-5,
        "quotechat_fanout_seconds_count": 1, "quotechat_resumes_total": 2, "quotechat_scheduled_waiting": 1,
        'quotechat_problems_total{code="cursor-ahead"}': 1,
    }.items():  # fmt: skip
        assert grown[name] >= least, (name, grown)
    assert (grown["quotechat_appended_total"], grown["quotechat_stored_total"]) == (22, 23)
    assert grown["quotechat_batch_size_sum"] == 23 > grown["quotechat_commits_total"]
    assert during["quotechat_workers"] == 1.0
    assert during['quotechat_append_seconds_bucket{le="+Inf"}'] == during["quotechat_append_seconds_count"]
    # A stream that ends unseen is noticed by the next write or look.
    until(lambda: now()["quotechat_sockets"] == before.get("quotechat_sockets", 0))


def _where(found: dict[str, float], name: str, value: float) -> dict[str, float] | None:
    return found if found.get(name) == value else None


@contextlib.contextmanager
def two_workers(data: Path) -> Iterator[Running]:
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_WORKERS="2")
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=env) as server:
        until(lambda: len(server.workers()) == 2, what="two workers")
        yield server


def _reading_waits(directory: Path, now: Callable[[], dict[str, float]]) -> None:
    """A file that another worker is just making would break a scrape that did not wait for it."""
    begun = directory / "counter_0.db"
    with open(directory / "lock", "ab") as lock, ThreadPoolExecutor() as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun.touch()
        asked = pool.submit(now)
        with pytest.raises(TimeoutError):
            asked.result(0.3)
        begun.unlink()
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert asked.result(60)["quotechat_workers"] == 2.0


def test_the_figures_of_a_new_worker_appear_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker that reads all figures while a worker begins finds each of its files whole, or not at all."""
    monkeypatch.setenv(shared_figures.VARIABLE, str(tmp_path))
    fill, seen = os.posix_fallocate, []

    def watched(number: int, offset: int, size: int) -> None:
        """Look at what a reader would find, before there is room and after."""
        seen.extend(file.stat().st_size for file in tmp_path.glob("*.db"))
        fill(number, offset, size)
        seen.extend(file.stat().st_size for file in tmp_path.glob("*.db"))

    monkeypatch.setattr(os, "posix_fallocate", watched)
    shared_figures.prepare()
    assert len(list(tmp_path.iterdir())) == 4
    assert seen and set(seen) == {shared_figures._FILE_BYTES}
    file = next(tmp_path.glob("counter_*.db"))
    file.write_bytes(b"counts" + file.read_bytes()[6:])
    shared_figures.prepare()  # of a worker with the number of one that died: its counts go on
    assert file.read_bytes().startswith(b"counts")


def test_workers_are_counted_together(tmp_path: Path) -> None:
    """Whoever answers, the figures are those of all; a dead worker's gauges go, its counts stay."""
    with two_workers(tmp_path) as server, contextlib.ExitStack() as stack:

        def now() -> dict[str, float]:
            return figures(requests.get(f"{server.url}/metrics", headers={"Connection": "close"}).text)

        until(lambda: now().get("quotechat_workers") == 2.0, what="both workers' figures")
        url = server.url.replace("http", "ws", 1) + "/api/v1/ws"
        for _ in range(12):
            stack.enter_context(connect(url))
        for number in range(8):
            message = {"user": "Ann", "message": str(number)}
            answer = requests.post(f"{server.url}{MESSAGES}", json=message, headers={"Connection": "close"})
            assert answer.status_code == 201
        # Whoever is asked, in the end.
        for _ in range(6):
            until(lambda: _where(now(), "quotechat_sockets", 12.0), what="all sockets")
            until(lambda: _where(now(), "quotechat_appended_total", 8.0), what="all events")
        (private,) = (tmp_path / "metrics").iterdir()
        assert stat.S_IMODE(private.stat().st_mode) == stat.S_IMODE(private.parent.stat().st_mode) == 0o700
        assert private.name == str(server.process.pid)
        _reading_waits(private, now)
        # The one that holds the most: the other may hold none.
        victim = max(server.workers(), key=lambda number: len(psutil.Process(number).net_connections("tcp")))
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in server.workers() and len(server.workers()) == 2, what="another worker")
        left = until(lambda: _where(now(), "quotechat_workers", 2.0), what="the new worker's figures")
        assert left["quotechat_sockets"] < 12 and left["quotechat_appended_total"] == 8.0
    # What is left of it is removed by the next start.
    with two_workers(tmp_path) as server:
        assert [each.name for each in (tmp_path / "metrics").iterdir()] == [str(server.process.pid)]

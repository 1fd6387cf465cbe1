"""A thread that meets a fault is logged, counted and begins again; until then /readyz is not ready."""

from __future__ import annotations

import fcntl
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from raising import Raising
from servers import Running, environment, quotechat, running, until
from websockets.sync.client import connect

MESSAGES = "/api/v1/rooms/lobby/messages"
THREADS = {
    "writer": "quotechat.hub.writer:Writer._commit",
    "scheduler": "quotechat.hub.background.scheduler:Scheduler._look",
    "watcher": "quotechat.hub.background.notifier:SocketNotifier.wait",
    "reactor": "quotechat.live.reactor:Reactor._sweep",
    "lingering": "quotechat.serving.lingering:Lingering._expire",
    "housekeeper": "quotechat.hub.background.housekeeping:Housekeeper._do_some",
    "indexer": "quotechat.hub.background.indexer:Indexer._step",
    "webhooks": "quotechat.hub.webhooks.sender:Sender.step",
    "downloads": "quotechat.live.downloads:Downloads._turn",
}
LATE = ("indexer", "webhooks")
"""Threads without which a server serves, and is ready."""
FILE = b"0123456789abcdef" * 20_000


def ready(server: Running) -> tuple[int, dict[str, Any]]:
    answer = requests.get(f"{server.url}/readyz", timeout=30)
    return answer.status_code, answer.json()["parts"]


def post(server: Running, text: str, token: str = "", **more: Any) -> requests.Response:
    body = {"user": "Ann", "message": text, "client_id": text, **more}
    headers = {"Connection": "close"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return requests.post(f"{server.url}{MESSAGES}", json=body, headers=headers, timeout=60)


def state(server: Running, thread: str) -> tuple[int, str | None]:
    """The status of /readyz, and what it says of `thread`."""
    status, parts = ready(server)
    return status, parts.get(thread)


def upload(server: Running, token: str) -> str:
    """The address of a file that is long enough for the thread of downloads."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{server.url}/api/v1/rooms/lobby/files?name=f", data=FILE, headers=headers, timeout=60)
    answer.raise_for_status()
    return f"{server.url}/api/v1/files/{answer.json()['file']['id']}"


def download(file: str, token: str) -> bytes:
    return requests.get(file, headers={"Authorization": f"Bearer {token}"}, timeout=60).content


@pytest.mark.parametrize("thread", list(THREADS))
def test_a_thread_begins_again(tmp_path: Path, thread: str) -> None:
    """Whatever it raised: not ready and named, then ready again; sending, reading, scheduling and downloads go on."""
    function = THREADS[thread]
    raising = Raising(tmp_path / "raising", function)
    command = raising.command("serve", "--port", "0", "--data", str(tmp_path / "data"))
    with running(command, env=raising.env(QUOTECHAT_LIMITS="off", QUOTECHAT_GUEST_FILES="on")) as server:
        with connect(f"{server.url.replace('http', 'ws', 1)}/api/v1/ws?room=lobby&after=0") as ws:
            assert json.loads(ws.recv(60))["command"] == "caught-up"
            token = requests.post(f"{server.url}/api/v1/guests", json={"user": "Ann"}, timeout=30).json()["token"]
            workers, file = server.workers(), upload(server, token)
            raising.hold()
            raising.arm(function, whatever=True)
            # What the writer and the one that lingers have to do: a peer whose connection is over, and who holds on.
            parts = urlsplit(server.url)
            with ThreadPoolExecutor(2) as pool, socket.create_connection((parts.hostname, parts.port)) as peer:
                peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                asked = pool.submit(post, server, "meanwhile", token)
                read = pool.submit(download, file, token)
                broken = (200 if thread in LATE else 503, "restarting")
                until(lambda: state(server, thread) == broken, what="that it is named")
                raising.release()
                first = asked.result(60)
                assert read.result(60) == FILE
            # The writer's fault meets this write or that of /readyz: it may be stored or not, and that is said at once.
            unknown = thread == "writer" and first.status_code == 503
            assert first.json()["code"] == "outcome-unknown" if unknown else first.status_code == 201
            until(lambda: state(server, thread) == (200, "ok"), what="that it is ready again")
            assert post(server, "meanwhile", token).status_code in (200, 201)
            post(server, "later", token, send_at="+1s").raise_for_status()
            texts: list[str] = []
            while texts[-1:] != ["later"]:
                envelope = json.loads(ws.recv(60))
                texts += [envelope["message"]["message"]] if "seq" in envelope else []
            assert texts == ["meanwhile", "later"]
        assert server.workers() == workers
        figures = requests.get(f"{server.url}/metrics", timeout=30).text
        assert f'quotechat_faults_total{{place="{thread}"}} 1.0' in figures
        until(lambda: f"the thread {thread} met a fault" in server.output, what="the log")
        assert server.output.count(f"the thread {thread} met a fault") == 1


def _unready(server: Running) -> dict[str, Any]:
    """The parts, while it is not ready."""
    status, parts = ready(server)
    return parts if status == 503 else {}


# --- A writer that cannot write -------------------------------------------------------------------


def test_a_write_that_cannot_succeed_is_not_ready(tmp_path: Path) -> None:
    """While the lock of the data directory is held, /readyz says that the writer is stuck, also when nobody sends."""
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=environment()) as server:
        until(lambda: ready(server)[0] == 200, what="that it is ready")
        with open(tmp_path / "quotechat.lock", "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert until(lambda: _unready(server), what="that it is not ready")["writer"] == "stuck"
            assert ready(server)[1]["writer"] == "stuck"
            assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200
        until(lambda: ready(server)[0] == 200, what="that it is ready again")


def test_senders_who_wait_leave_threads_for_readers(tmp_path: Path) -> None:
    """While nothing can be written, more senders than threads get 503 `overloaded`; reading is answered meanwhile."""
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_THREADS="8")
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=env) as server:
        post(server, "before").raise_for_status()
        with open(tmp_path / "quotechat.lock", "r+b") as lock, ThreadPoolExecutor(20) as pool:
            fcntl.flock(lock, fcntl.LOCK_EX)
            asked = [pool.submit(post, server, f"waits-{number}") for number in range(20)]
            until(lambda: sum(each.done() for each in asked) >= 13, what="the refusals")
            assert not all(each.done() for each in asked)
            for path in ("/healthz", "/api/v1/rooms", "/api/v1/rooms/lobby/events?after=0"):
                assert requests.get(server.url + path, timeout=30).status_code == 200
            fcntl.flock(lock, fcntl.LOCK_UN)
            answers = [each.result(60) for each in asked]
        refused = [each for each in answers if each.status_code == 503]
        assert len(refused) >= 13 and len(answers) - len(refused) >= 1
        for each in refused:
            assert each.json()["code"] == "overloaded" and int(each.headers["Retry-After"]) >= 1
        assert {each.status_code for each in answers} == {201, 503}

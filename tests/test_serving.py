"""Real gunicorn: starting, stopping and restarting lose no request and leave nobody waiting."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import logging
import os
import re
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn
from private_postgres import free_port
from raising import patient
from servers import ROOT, Running, delivered, environment, quotechat, running, until
from websockets.sync.client import connect

from quotechat.config import Settings
from quotechat.live.handoff import IdleConnections
from quotechat.serving import Handover, Lingering, find_chat, gunicorn_settings, sqlite_notice
from quotechat.serving.handover import LINGER_SECONDS, STOP_SECONDS
from quotechat.serving.worker import Worker

LOBBY = "/api/v1/rooms/lobby"


@contextlib.contextmanager
def served(data: Path, *flags: str) -> Iterator[Running]:
    command = quotechat("serve", "--port", "0", "--data", str(data), *flags)
    with running(command, env=environment(QUOTECHAT_LIMITS="off")) as server:
        yield server


@contextlib.contextmanager
def served_patiently(data: Path) -> Iterator[Running]:
    """What is on its way at the stop may take as long as this machine needs for it."""
    command, env = patient(data)
    with running(command, env=env) as server:
        yield server


def post(server: Running, text: str, client: requests.Session | None = None) -> requests.Response:
    body = {"user": "Azin", "message": text}
    return (client or requests).post(f"{server.url}{LOBBY}/messages", json=body, timeout=60)


def has_read(server: Running, sock: socket.socket) -> None:
    """Return when the server, of one worker, has read all that was sent on `sock`."""
    until(lambda: delivered(sock), what="the delivery")
    # The first may be accepted in the same turn of the loop, before `sock` is read; the second cannot.
    for _ in range(2):
        requests.get(f"{server.url}/healthz", timeout=60).raise_for_status()


def hold_poll(server: Running) -> tuple[requests.Response, float]:
    """A held poll's answer, and when it came."""
    answer = requests.get(f"{server.url}{LOBBY}/events?after=now&wait=25", timeout=60)
    return answer, time.monotonic()


@contextlib.contextmanager
def held_polls(server: Running, number: int) -> Iterator[list[Future[tuple[requests.Response, float]]]]:
    """`number` polls that the server holds; one that came later would be told "draining" instead."""
    post(server, "before").raise_for_status()
    with ThreadPoolExecutor(number) as pool:
        polls = [pool.submit(hold_poll, server) for _ in range(number)]
        told = f"quotechat_held_polls {number}"
        until(lambda: told in requests.get(f"{server.url}/metrics", timeout=60).text, what=f"{number} held polls")
        assert not any(poll.done() for poll in polls)
        yield polls


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_answers_held_polls(tmp_path: Path, number: signal.Signals) -> None:
    """On SIGTERM, and on Ctrl-C, held polls get an empty answer long before they would have, and the server ends."""
    with served(tmp_path) as server:
        with held_polls(server, 3) as polls:
            server.process.send_signal(number)
            told = time.monotonic()
            for poll in polls:
                answer, when = poll.result(60)
                assert answer.status_code == 200
                assert answer.json()["events"] == []
                assert answer.json()["retry_in_ms"] >= 0
                assert when - told < 12
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.output


def test_stop_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """A message with a 201 is there after the next start."""
    with served(tmp_path) as server:
        posted = post(server, "stay").json()
    with served(tmp_path) as server:
        events = requests.get(f"{server.url}{LOBBY}/events?after=0", timeout=60).json()["events"]
    assert [event["cursor"] for event in events] == [posted["cursor"]]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_hangup_refuses_nobody(tmp_path: Path, workers: str) -> None:
    """Through a SIGHUP every POST is stored, on new connections and on kept ones; polls come back."""
    with served(tmp_path, "--workers", workers) as server:
        until(lambda: len(server.workers()) == int(workers), what="the workers")
        with held_polls(server, 3) as polls, posting(server) as faults:
            old = server.workers()
            server.process.send_signal(signal.SIGHUP)
            until(lambda: not old & server.workers(), 120, "the old workers' end")
            for poll in polls:
                # One that is held meets what the posts above write, or the drain.
                assert poll.result(60)[0].status_code == 200
            assert len(server.workers()) == int(workers)
        assert faults == []
        assert "Traceback" not in server.output


def test_who_has_just_connected_is_answered(tmp_path: Path) -> None:
    """A worker that stops waits a moment for those who have not said anything yet."""
    with served_patiently(tmp_path) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=60) as silent, socket.create_connection(address, 60) as stream:
            asked = f"GET {LOBBY}/events?after=0 HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n"
            stream.sendall(asked.encode())
            came = b""
            while b"heartbeat" not in came:
                came += stream.recv(1000)
            server.process.send_signal(signal.SIGTERM)
            while not came.endswith(b"\r\n0\r\n\r\n"):
                came += stream.recv(1000)
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert silent.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (f"GET {LOBBY}/events?after=0&wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n", rb'"retry_in_ms":\d+}$'),
        (
            f"GET {LOBBY}/events?after=0 HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n",
            rb"\r\n0\r\n\r\n$",
        ),
        (
            "GET /api/v1/ws?room=lobby HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            rb"\x88.\x03\xf4[^\x88]*$",  # a close frame with 1012
        ),
    ],
    ids=["poll", "stream", "WebSocket"],
)
def test_the_first_one_is_told_too(tmp_path: Path, asked: str, answered: bytes) -> None:
    """Who was about to be the first to wait when the server stops is told as all who wait are."""
    with served_patiently(tmp_path) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=60) as sock:
            sock.sendall(asked[:20].encode())
            has_read(server, sock)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refused(address), what="the end of listening")
            sock.sendall(asked[20:].encode())
            came = b""
            while part := sock.recv(4096):
                came += part
        assert re.search(answered, came, re.DOTALL), came


@pytest.mark.parametrize("sends", [True, False], ids=["messages", "requests"])
def test_a_reload_refuses_nobody_on_an_old_connection(tmp_path: Path, sends: bool) -> None:
    """A client that asks all the while over one connection is answered each time, until an answer says "close"; the
    worker keeps it itself for messages, gunicorn for other requests."""
    with served(tmp_path) as server:
        until(server.workers, what="a worker")
        told = until(lambda: asking_through_a_reload(server, sends), 300, "a client that is quick enough")
        assert told[:5] == ["keep-alive"] * 5 and told[-1] == "close"


def asking_through_a_reload(server: Running, sends: bool) -> list[str | None]:
    """What each answer says of the connection; nothing if this client was late, and its connection idle."""
    body = json.dumps({"user": "Azin", "message": "all the while"}) if sends else None
    method, path = ("POST", f"{LOBBY}/messages") if sends else ("GET", "/healthz")
    told: list[str | None] = []
    answered = time.monotonic()
    with contextlib.closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
        while told[-1:] != ["close"]:
            try:
                # A connection that was closed without a word raises here.
                connection.request(method, path, body, {"Content-Type": "application/json"} if sends else {})
                answer = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                if time.monotonic() - answered < LINGER_SECONDS:
                    raise
                return []
            if answer.status == 408 and time.monotonic() - answered >= STOP_SECONDS:
                return []
            answered = time.monotonic()
            assert answer.status in (200, 201), answer.read()
            answer.read()
            told.append(answer.headers["Connection"])
            if len(told) == 5:
                server.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)  # its pace
    # The reload may be that of an attempt before, whose client was late.
    return told if len(told) > 5 else []


def test_a_server_that_stops_gives_up_its_address(tmp_path: Path) -> None:
    """At once, while it finishes what is on its way: who comes now hears so, and can ask elsewhere."""
    with served_patiently(tmp_path) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        body = b'{"user": "Azin", "message": "hi"}'
        head = f"POST {LOBBY}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(address, timeout=60) as sock:
            sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            has_read(server, sock)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refused(address), 12, "an address that is given up")
            sock.sendall(body)
            assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")


def refused(address: tuple[str, int]) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as sock:
        return sock.connect_ex(address) == errno.ECONNREFUSED


@contextlib.contextmanager
def posting(server: Running) -> Iterator[list[str]]:
    """Post all the while, over new and over kept connections; what was not stored."""
    over = threading.Event()
    faults: list[str] = []

    def post_on(kept: bool) -> None:
        client = requests.Session() if kept else None
        number, answered = 0, time.monotonic()
        while not over.wait(0.02):
            number += 1
            try:
                answer = post(server, f"{kept} {number}", client)
                # This client may be late with the rest of its request, on a busy machine.
                late = answer.status_code == 408 and time.monotonic() - answered >= STOP_SECONDS
                if answer.status_code != 201 and not late:
                    faults.append(f"kept={kept}: {answer.status_code} {answer.text}")
            except requests.RequestException as fault:
                # A connection that was idle for longer may be closed without a word.
                if time.monotonic() - answered < (LINGER_SECONDS if kept else STOP_SECONDS):
                    faults.append(f"kept={kept}: {fault!r}")
            answered = time.monotonic()

    threads = [threading.Thread(target=post_on, args=(kept,)) for kept in (True, False)]
    for thread in threads:
        thread.start()
    try:
        yield faults
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def test_a_killed_master_leaves_nobody(tmp_path: Path) -> None:
    """Its workers notice, and end within seconds even while clients keep asking: the address is free again."""
    # A port that no other program is given meanwhile.
    with served(tmp_path, "--workers", "2", "--port", str(free_port())) as server, posting(server):
        workers = until(lambda: len(server.workers()) == 2 and server.workers(), what="the workers")
        time.sleep(0.3)
        server.process.kill()
        until(lambda: not any(alive(pid) for pid in workers), what="the workers' end")
    with served(tmp_path, "--port", str(urlsplit(server.url).port)) as again:
        post(again, "next").raise_for_status()


def alive(pid: int) -> bool:
    """Whether it runs; what has ended and was not waited for does not (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_gunicorn_in_the_checkout_serves(tmp_path: Path) -> None:
    """``gunicorn wsgi:app`` works as it is, and its own flags win."""
    env = environment(QUOTECHAT_PORT="0", QUOTECHAT_DATA=str(tmp_path))
    del env["PYTHONPATH"]  # the files in the checkout find src by themselves
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--threads", "6"]
    with running(command, env=env, cwd=ROOT) as server:
        assert post(server, "hello").status_code == 201


def test_a_wrong_setting_stops_gunicorn_with_its_name(tmp_path: Path) -> None:
    """The message is one line and names the variable; there is no traceback."""
    env = environment(QUOTECHAT_PORT="http", QUOTECHAT_DATA=str(tmp_path))
    with pytest.raises(AssertionError, match="QUOTECHAT_PORT must be a whole number") as caught:
        with running([sys.executable, "-m", "gunicorn", "wsgi:app"], env=env, cwd=ROOT):
            pass
    assert "Traceback" not in str(caught.value)


def test_peers_that_do_not_close_stall_nobody(tmp_path: Path) -> None:
    """Ten peers that got "Connection: close" and hold on do not delay the next request."""
    with served(tmp_path) as server:
        parts = urlsplit(server.url)
        asked = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                peer = stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=60))
                peer.sendall(asked)
                assert peer.recv(4096)
            begun = time.monotonic()
            post(server, "next").raise_for_status()
            assert time.monotonic() - begun < 12


@pytest.mark.parametrize("drip", [False, True], ids=["silent", "dripping"])
@pytest.mark.parametrize("body", [False, True], ids=["header", "body"])
def test_unfinished_requests_end(tmp_path: Path, body: bool, drip: bool) -> None:
    """Whatever is missing, and however slowly it comes; held polls are whole requests and stay."""
    env = environment(QUOTECHAT_REQUEST_SECONDS="1")
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path), "--threads", "4"), env=env) as server:
        address = urlsplit(server.url)
        start = b"POST /api/v1/rooms/lobby/messages HTTP/1.1\r\nHost: " + address.netloc.encode() + b"\r\n"
        if body:
            start += b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        poll: list[float] = []

        def hold() -> None:
            held = whole("GET", f"{server.url}{LOBBY}/events?wait=3")
            assert held.json()["events"] == []
            poll.append(held.elapsed.total_seconds())

        holding = threading.Thread(target=hold)
        holding.start()
        began = time.monotonic()
        # More of them than there are threads.
        slow = [socket.create_connection((address.hostname, address.port or 80), timeout=60) for _ in range(6)]
        for sock in slow:
            sock.sendall(start)
        waiting = list(slow)
        while waiting and time.monotonic() - began < 40:
            for sock in select.select(waiting, [], [], 0.2)[0]:
                waiting.remove(sock)
            for sock in waiting if drip else []:
                with contextlib.suppress(OSError):
                    sock.sendall(b"x")
        took = time.monotonic() - began
        for sock in slow:
            sock.close()
        assert not waiting and 0.9 < took < 30
        holding.join()
        assert poll and poll[0] >= 2.3
        said = {"user": "Azin", "message": "next"}
        whole("POST", f"{server.url}{LOBBY}/messages", json=said).raise_for_status()


def whole(method: str, url: str, **about: Any) -> requests.Response:
    """The answer to a request that is sent anew while this client, on a busy machine, sends it too slowly."""
    for _ in range(20):
        with contextlib.suppress(requests.ConnectionError):
            answer = requests.request(method, url, timeout=60, **about)
            if answer.status_code != 408:
                return answer
    raise AssertionError("no request is answered")


def test_one_line_tells_the_url(tmp_path: Path) -> None:
    """At the start the server prints its URL, once."""
    with served(tmp_path) as server:
        assert server.output.count(server.url) == 1


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False),
        ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 0), True), ((3, 51, 2), True),
        ((3, 51, 3), False), ((3, 52, 0), False),
    ],
)
def test_sqlite_notice_names_the_affected_versions(version: tuple[int, int, int], affected: bool) -> None:
    """3.7.0 to 3.51.2 have the WAL-reset bug, but not the fixed 3.44.6 and 3.50.7."""
    assert (sqlite_notice(version) is not None) is affected


def test_handover_waits_for_every_successor() -> None:
    """An old worker serves on until all new ones are ready; new ones never wait for each other."""
    handover = Handover()
    assert not handover.pending(1)
    handover.open()
    assert not handover.pending(1)
    handover.begin(first_age=3, workers=2)
    handover.ready(3)
    assert handover.pending(1)
    assert not handover.pending(3)
    handover.ready(4)
    assert not handover.pending(1)
    assert handover.succeeded(2)
    assert not handover.succeeded(3)


def test_hub_is_found_behind_middleware() -> None:
    """Wrapped as Flask's own documents do it, or by a class of one's own."""

    class App:
        def __init__(self) -> None:
            self.extensions = {"quotechat": self}

        def wsgi_app(self) -> None: ...

    class Middleware:
        def __init__(self, app: object) -> None:
            self.app = app

    app = App()
    assert find_chat(app) is app
    assert find_chat(Middleware(Middleware(app))) is app
    assert find_chat(Middleware(app.wsgi_app)) is app
    assert find_chat(Middleware(None)) is None


def test_the_one_that_rested_longest_makes_room() -> None:
    """A worker with all its connections ends one that waits for a request, and none of which a request has come."""
    worker = Worker(0, 0, [], None, 30, Config(), logging.getLogger())
    worker.poller, worker._idle, read = selectors.DefaultSelector(), IdleConnections(), []
    worker.enqueue_req = read.append
    peers = []
    for _ in range(3):
        ours, theirs = socket.socketpair()
        conn = TConn(worker.cfg, ours, "", "")
        conn.timeout = time.monotonic() + 3600
        worker.keepalived_conns.append(conn)
        worker.poller.register(ours, selectors.EVENT_READ, None)
        peers.append(theirs)
    asked, ended, rests = worker.keepalived_conns
    with contextlib.ExitStack() as stack:
        for each in (worker.tmp, worker.poller, *peers, asked.sock, rests.sock):
            stack.enter_context(contextlib.closing(each))
        worker.nr_conns, worker.worker_connections = 3, 4
        worker.murder_keepalived()
        assert len(worker.keepalived_conns) == 3  # there is a place for one more
        worker.worker_connections = 3
        peers[0].sendall(b"GET")
        worker.murder_keepalived()
        assert read == [asked] and worker.nr_conns == 3
        worker.murder_keepalived()
        assert ended.sock.fileno() == -1 and worker.nr_conns == 2
        worker.murder_keepalived()
        assert [*worker.keepalived_conns] == [rests] and rests.sock.fileno() >= 0


def test_lingering_closes_after_its_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent arrives whole; the descriptor is free once the peer has closed."""
    monkeypatch.setattr(Lingering, "_SECONDS", 60.0)  # this test may take longer than the usual time
    ours, theirs = socket.socketpair()
    number = ours.fileno()
    ours.sendall(b"last words")
    Lingering().close(ours)
    with theirs:
        assert theirs.recv(100) == b"last words"
        assert theirs.recv(100) == b""
        assert os.stat(number)
    until(lambda: ours.fileno() == -1, what="the close")


def test_a_peer_that_has_gone_is_not_waited_for() -> None:
    """As the other end of a socket that was taken: the descriptor is free at once, without a turn of the thread."""
    ours, theirs = socket.socketpair()
    theirs.close()
    Lingering().close(ours)
    assert ours.fileno() == -1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-k", "sync"], "leave out the worker class"),
        (["-k", "gthread"], "leave out the worker class"),
        (["--certfile", "cert.pem", "--keyfile", "key.pem"], "certfile and keyfile are not for this server"),
    ],
)
def test_what_cannot_be_served_is_refused_at_start(tmp_path: Path, options: list[str], said: str) -> None:
    """Another worker class, or TLS in the server: one sentence says what to do, and nothing is served."""
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    env = environment(QUOTECHAT_DATA=str(tmp_path / "data"), QUOTECHAT_PORT="0")
    options = [str(tmp_path / each) if each.endswith(".pem") else each for each in options]
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", *options, "wsgi:app"], cwd=ROOT, env=env, capture_output=True, text=True,
        timeout=180,
    )  # fmt: skip
    assert done.returncode != 0 and f"quotechat: {said}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_development_server_works(tmp_path: Path) -> None:
    """`flask --app wsgi run` sends, polls and holds a WebSocket, as gunicorn does."""
    env = environment(QUOTECHAT_DATA=str(tmp_path))
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "run", "--port", "0"]
    with running(command, env=env) as server:
        room = f"{server.url}/api/v1/rooms/lobby"
        with connect(f"{server.url.replace('http', 'ws')}/api/v1/ws?room=lobby&after=0") as ws:
            assert json.loads(ws.recv(60))["command"] == "caught-up"
            sent = requests.post(f"{room}/messages", json={"user": "Ada", "message": "hi"}, timeout=60).json()
            assert json.loads(ws.recv(60)) == sent
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(requests.get, f"{room}/events", {"after": sent["cursor"], "wait": "25"}, timeout=60)
            second = requests.post(f"{room}/messages", json={"user": "Ada", "message": "again"}, timeout=60).json()
            assert held.result().json()["events"] == [second]


def test_gunicorn_knows_every_setting() -> None:
    """No name is misspelt: gunicorn takes them all."""
    from gunicorn.config import Config

    config = Config()
    for name, value in gunicorn_settings(Settings()).items():
        config.set(name, value)
    assert config.worker_class.__name__ == "Worker"

"""Many messages over one connection: whoever answers, gunicorn or the reactor, the answers are the same."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from raising import keeping, patient
from servers import Running, delivered, environment, quotechat, running, until, whole_log
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from quotechat import create_app
from quotechat.config import Settings
from quotechat.live.handoff import Handoff
from quotechat.live.reactor import Reactor
from quotechat.live.repeats import Repeats
from quotechat.protocol.errors import OutcomeUnknown
from quotechat.web.transports.kept import LEAVE_SECONDS, AnswerParts, Head
from quotechat.web.transports.sending import Sender, SenderContext

MESSAGES = "/api/v1/rooms/lobby/messages"
EVENTS = "/api/v1/rooms/lobby/events"
KEEPING = True


class Connection:
    """One connection on which requests are written byte by byte as a test wants them."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._came = b""

    def post(self, body: bytes, *headers: str, pieces: int = 1) -> tuple[int, dict[str, str], Any]:
        self.write(body, *headers, pieces=pieces)
        return self.answer()

    def write(self, body: bytes, *headers: str, pieces: int = 1) -> None:
        lines = [f"POST {MESSAGES} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
        request = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Accept: */*", "", ""]).encode() + body
        size = -(-len(request) // pieces)
        for start in range(0, len(request), size):
            with contextlib.suppress(ConnectionError):  # refused before all of it was sent: the answer says so
                self.sock.sendall(request[start : start + size])
            if pieces > 1:
                time.sleep(0.02)  # or the kernel joins them again

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and parsed body of the next answer."""
        while True:
            head, found, rest = self._came.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head) if found else None
            if length and len(rest) >= int(length[1]):
                self._came = rest[int(length[1]) :]
                status, *lines = head.decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines)
                return int(status.split()[1]), headers, json.loads(rest[: int(length[1])])
            data = self.sock.recv(65536)
            assert data, f"closed after {self._came!r}"
            self._came += data


@contextlib.contextmanager
def connected(server: Running) -> Iterator[Connection]:
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=30) as sock:
        yield Connection(sock)


def said(text: str, **more: Any) -> bytes:
    return json.dumps({"user": "Azin", "message": text, **more}).encode()


def kept(server: Running) -> int:
    """Connections that the reactor has for messages."""
    found = re.search(r"^quotechat_kept_senders (\d+)", requests.get(f"{server.url}/metrics").text, re.MULTILINE)
    assert found
    return int(found[1])


def test_all_answers_are_alike(server: Running) -> None:
    """The first, which gunicorn answers, and those from the third or fourth on, which it does not."""
    with connected(server) as connection:
        answers = [connection.post(said(f"word {number}")) for number in range(8)]
        until(lambda: kept(server) == 1, what="that the reactor has it")
    assert [status for status, _, _ in answers] == [201] * 8
    events = [event for _, _, event in answers]
    assert [event["message"]["message"] for event in events] == [f"word {number}" for number in range(8)]
    first = events[0]["seq"]
    assert [event["seq"] for event in events] == list(range(first, first + 8))
    page = requests.get(f"{server.url}{EVENTS}?after={first - 1}").json()
    assert page["events"] == events
    changing = ("Date", "Content-Length", "X-Request-Id")
    headers = [{name: value for name, value in each.items() if name not in changing} for _, each, _ in answers]
    assert all(each == headers[0] for each in headers)
    until(lambda: kept(server) == 0, what="the end of a connection that was closed")


BAD = [
    (b"{", 400, "malformed-json"),
    (b"[]", 422, "invalid"),
    (b'{"user": "A"}', 422, "invalid"),
    (b'{"user": "A\\u200b", "message": "x"}', 422, "invalid"),
    (b'{"user": "A", "message": "x", "user": "B"}', 400, "malformed-json"),
    (b'{"user": "A", "message": "x", "room": "tea"}', 400, "parameter-invalid"),
    (b'{"user": "A", "message": "x", "reply_to": 99999}', 422, "invalid"),
    (b'{"user": "A", "message": "x", "send_at": "+1m"}', 401, "unauthenticated"),
    (b'{"user": "A", "message": "x", "client_id": "taken"}', 422, "client-id-reused"),
    (b'{"user": "A", "message": "' + b"x" * 70_000 + b'"}', 413, "too-large"),
]


def test_refusals_are_those_of_a_first_request(server: Running) -> None:
    """Each bad message gets its own code, stores nothing, and the next good one is stored."""
    requests.post(f"{server.url}{MESSAGES}", json={"user": "A", "message": "first", "client_id": "taken"})
    for bad, status, code in BAD:
        with connected(server) as connection:
            for number in range(4):
                before = connection.post(said(f"good {number}"))[2]["seq"]
            found, _, problem = connection.post(bad)
            assert (found, problem["code"]) == (status, code), bad[:60]
            if status != 413:  # which ends the connection
                assert connection.post(said("good again"))[2]["seq"] == before + 1


def test_repeats_and_replies(server: Running) -> None:
    """A `client_id` again is 200 with `duplicate`; other fields mean what they always mean."""
    with connected(server) as connection:
        for number in range(4):
            connection.post(said(f"good {number}"))
        status, _, first = connection.post(said("once", client_id="once-1", color="teal"))
        assert (status, first["message"]["color"], first["message"]["client_id"]) == (201, "teal", "once-1")
        again = connection.post(said("once", client_id="once-1", color="teal"))
        assert again[::2] == (200, {**first, "duplicate": True})
        reply = connection.post(said("**yes**", reply_to=first["seq"]))[2]["message"]
        assert reply["reply_to"] == {"id": first["seq"], "user": "Azin", "excerpt": "once"}
        assert reply["runs"] == [{"text": "yes", "bold": True}]


def test_requests_that_do_not_wait(server: Running) -> None:
    """Several requests before the first answer: each is answered, in order."""
    with connected(server) as connection:
        for number in range(5):
            connection.post(said(f"one by one {number}"))
        for number in range(3):
            connection.write(said(f"at once {number}"))
        found = [connection.answer()[2]["message"]["message"] for _ in range(3)]
        assert found == ["at once 0", "at once 1", "at once 2"]


def test_pieces_and_other_headers(server: Running) -> None:
    """A header and body in pieces, other headers in between: each is answered as it is."""
    with connected(server) as connection:
        for number in range(12):
            status, _, event = connection.post(said(f"piece {number}"), pieces=1 + number % 3)
            assert (status, event["message"]["message"]) == (201, f"piece {number}")
        for number in range(6):
            header = f"X-Other: {number}"
            assert connection.post(said(f"other {number}"), header)[2]["message"]["message"] == f"other {number}"
        keyed = connection.post(said("keyed"), "Idempotency-Key: key-1")[2]
        assert connection.post(said("keyed"), "Idempotency-Key: key-1")[2] == {**keyed, "duplicate": True}


@pytest.mark.parametrize("takes_turns", [False, True])
def test_who_says_it(server: Running, takes_turns: bool) -> None:
    """The token of each request says who it is, also where a proxy sends those of several over one connection."""
    names = [f"Ada {takes_turns}", f"Ben {takes_turns}"]
    tokens = [requests.post(f"{server.url}/api/v1/guests", json={"user": name}).json()["token"] for name in names]
    with connected(server) as connection:
        for number in range(10):
            who = number % 2 if takes_turns else 0
            body = json.dumps({"user": names[who], "message": "mine"}).encode()
            status, _, event = connection.post(body, f"Authorization: Bearer {tokens[who]}")
            assert status == 201
            change = requests.patch(
                f"{server.url}{MESSAGES}/{event['seq']}", json={"message": "still mine"},
                headers={"Authorization": f"Bearer {tokens[who]}"},
            )  # fmt: skip
            assert change.status_code == 200


def test_a_proxy_sends_for_many(tmp_path: Path) -> None:
    """Over one connection, each request with an id of its own: no client is another, nor pays for another."""
    clients = [f"X-Forwarded-For: 192.0.2.{number}" for number in (1, 2)]
    command, env = keeping(
        tmp_path, QUOTECHAT_TRUSTED_PROXIES="1", QUOTECHAT_MESSAGES_BURST="6", QUOTECHAT_MESSAGES_PER_SECOND="0.001"
    )
    with running(command, env=env) as server, connected(server) as connection:
        for number in range(6):
            for client in clients if number < 4 else clients[:1]:
                status, headers, _ = connection.post(said(f"word {number}"), client, f"X-Request-Id: r{number}")
                assert (status, headers["X-Request-Id"]) == (201, f"r{number}")
                assert f"r={5 - number};" in headers["RateLimit"]
        until(lambda: kept(server) == 1, what="that the reactor has it")
        assert connection.post(said("too many"), clients[0], "X-Request-Id: last")[0] == 429
        status, headers, _ = connection.post(said("one more"), clients[1], "X-Request-Id: not ours!")
        assert status == 201 and re.fullmatch("[0-9a-f]{16}", headers["X-Request-Id"])


def test_limits_hold(tmp_path: Path) -> None:
    """Who sends too fast is told so, whoever answers; nothing is stored for it."""
    command, env = keeping(tmp_path, QUOTECHAT_MESSAGES_BURST="8", QUOTECHAT_MESSAGES_PER_SECOND="0.001")
    with running(command, env=env) as server:
        with connected(server) as connection:
            found = [connection.post(said(f"word {number}")) for number in range(12)]
        assert [status for status, _, _ in found] == [201] * 8 + [429] * 4
        assert all("Retry-After" in headers for _, headers, _ in found[8:])
        assert len(requests.get(f"{server.url}{EVENTS}?after=0").json()["events"]) == 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_restart_answers_what_was_sent(tmp_path: Path, number: signal.Signals) -> None:
    """Until its last answer a connection says what was stored; what was acknowledged is there after a restart."""
    acknowledged: list[int] = []
    command, env = keeping(tmp_path, QUOTECHAT_LIMITS="off")
    with running(command, env=env) as server:

        def send() -> None:
            with contextlib.suppress(AssertionError, OSError), connected(server) as connection:
                while True:
                    status, headers, event = connection.post(said(f"word {len(acknowledged)}"))
                    if status == 201:
                        acknowledged.append(event["seq"])
                    if headers["Connection"] == "close":
                        return

        sender = threading.Thread(target=send)
        sender.start()
        until(lambda: len(acknowledged) > 20, what="some messages")
        server.process.send_signal(number)
        sender.join(60)
        assert not sender.is_alive()
    with running(command, env=env) as server:
        stored = [event["seq"] for event in whole_log(server.url)]
    assert stored == list(range(1, len(stored) + 1))
    assert acknowledged == stored[: len(acknowledged)]
    assert len(stored) - len(acknowledged) <= 1


@pytest.mark.parametrize("before", [0, 6], ids=["fresh", "kept"])
@pytest.mark.parametrize("sent", [30, -5], ids=["half a header", "half a body"])
def test_what_is_on_its_way_finishes(tmp_path: Path, before: int, sent: int) -> None:
    """A request of which a part came before SIGTERM is stored and answered when the rest comes, and is the last."""
    command, env = patient(tmp_path)
    with running(command, env=env) as server, connected(server) as connection:
        for number in range(before):
            assert connection.post(said(f"before {number}"))[0] == 201
        body = said("on its way")
        request = f"POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
        request += b"Content-Length: %d\r\nAccept: */*\r\n\r\n" % len(body) + body
        begin_and_stop(server, connection, request[:sent])
        connection.sock.sendall(request[sent:])
        status, headers, event = connection.answer()
        assert (status, event["message"]["message"], headers["Connection"]) == (201, "on its way", "close")
        assert connection.sock.recv(10) == b""


def test_what_is_refused_on_its_way_is_told(tmp_path: Path) -> None:
    """A bad message of which half came before SIGTERM gets its own code, on a kept connection too."""
    command, env = patient(tmp_path)
    with running(command, env=env) as server, connected(server) as connection:
        for number in range(6):
            assert connection.post(said(f"before {number}"))[0] == 201
        body = said("x", color="none")
        head = f"POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\nAccept: */*\r\n\r\n"
        begin_and_stop(server, connection, head.encode() + body[:9])
        until(lambda: gone(server), what="an address that is given up")
        connection.sock.sendall(body[9:])
        status, headers, problem = connection.answer()
        assert (status, problem.get("field"), headers["Connection"]) == (422, "color", "close"), problem


def test_all_that_came_is_answered(tmp_path: Path) -> None:
    """Requests that did not wait, on a kept connection: those that were there at SIGTERM have their answers."""
    command, env = patient(tmp_path)
    with running(command, env=env) as server, connected(server) as connection:
        for number in range(6):
            assert connection.post(said(f"before {number}"))[0] == 201
        head = f"POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
        bodies = [said(f"at once {number}") for number in range(150)]
        many = [head + b"Content-Length: %d\r\nAccept: */*\r\n\r\n" % len(body) + body for body in bodies]
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)  # or it may have answered them all before it is told
        try:
            # A SIGTERM that came before it stands would be taken first.
            until(lambda: is_stopped(worker), what="a worker that stands")
            connection.sock.sendall(b"".join(many))
            until(lambda: delivered(connection.sock), what="bytes that have arrived")
            server.process.send_signal(signal.SIGTERM)
            until(lambda: is_told(worker), what="a worker that is told to stop")
        finally:
            os.kill(worker, signal.SIGCONT)
        found = [connection.answer() for _ in many]
        assert [status for status, _, _ in found] == [201] * 150
        assert found[-1][1]["Connection"] == "close" and connection.sock.recv(10) == b""


def is_stopped(process: int) -> bool:
    """Whether each thread of it stands still (proc(5), /proc/PID/stat)."""
    states = [each.read_text().rpartition(") ")[2][0] for each in Path(f"/proc/{process}/task").glob("*/stat")]
    return set(states) == {"T"}


def is_told(worker: int) -> bool:
    """Whether SIGTERM waits for a stopped process (proc(5), /proc/PID/status)."""
    found = re.search(r"^ShdPnd:\s*(\w+)$", Path(f"/proc/{worker}/status").read_text(), re.MULTILINE)
    assert found
    return bool(int(found[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_what_nobody_has_read_yet_is_on_its_way(app: Flask) -> None:
    """Bytes that wait in the socket when the worker drains are waited for like those that were read."""

    def never(*_: Any) -> Any:
        raise AssertionError("the request is not whole")

    reactor = Reactor(app.extensions["quotechat"])
    ours, other = socket.socketpair()
    ours.setblocking(False)
    request = f"POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    given = Handoff(never, "", lambda: True, None, 0, None)
    said = SenderContext(app.extensions["quotechat"], never, never, None, None, ("", ""), 65_536, 30.0, False)
    sent = Repeats[SenderContext]()
    sent.learn(request, "", said)
    sender = Sender(ours, lambda: None, given, said._replace(parts=AnswerParts(Head({}, []), None)), sent)
    reactor._add(sender)
    other.sendall(request[:-1])
    sender.restart()
    assert not sender.ending
    reactor.forget(sender)
    other.close()


def test_a_request_that_is_given_back_keeps_its_date(app: Flask) -> None:
    """Its first byte came before the drain, so it is answered, or refused for its own reason."""
    chat = app.extensions["quotechat"]
    reactor, given_back = Reactor(chat), list[tuple[bytes, float]]()
    unknown = b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n"
    parts = AnswerParts(Head({}, []), None)
    said = SenderContext(chat, None, None, None, None, ("", ""), 65_536, 30.0, False, parts)  # type: ignore[arg-type]

    def give_back(sock: socket.socket, *rest: Any) -> None:
        sock.close()
        given_back.append(rest)

    def sender(at: float | None, raw: bytes | None = None) -> tuple[Sender, socket.socket]:
        ours, other = socket.socketpair()
        ours.setblocking(False)
        given = Handoff(give_back, "", lambda: True, at, 0, raw)
        made = Sender(ours, lambda: None, given, said, Repeats[SenderContext]())
        reactor._add(made)
        return made, other

    with sender(7.0, unknown)[1]:
        assert given_back.pop() == (unknown, 7.0)
    read, other = sender(7.0)
    with other:
        other.sendall(unknown)
        before = time.monotonic()
        read._read()
        data, first_byte_at = given_back.pop()
        assert data == unknown and before <= first_byte_at <= time.monotonic()
    unread, other = sender(7.0)
    with other:
        other.sendall(unknown)
        unread.restart()
        data, first_byte_at = given_back.pop()
        assert data == unknown and first_byte_at < before


def test_what_may_be_stored_later_is_not_asked_again(tmp_path: Path) -> None:
    """On a kept connection: 503 `outcome-unknown` with `Retry-After`, and the end."""
    chat = create_app(Settings(data=tmp_path, limits=False)).extensions["quotechat"]
    reactor = Reactor(chat)
    ours, other = socket.socketpair()
    ours.setblocking(False)
    other.settimeout(60)
    parts = AnswerParts(Head({}, [("Content-Type", "application/json")]), None)

    def never(*_: Any) -> Any:
        raise AssertionError("asked again")

    given = Handoff(never, "", lambda: True, None, 0, None)
    said = SenderContext(chat, never, never, None, None, ("", ""), 65_536, 30.0, False, parts)
    sender = Sender(ours, lambda: None, given, said, Repeats[SenderContext]())
    reactor._add(sender)
    with other:
        sender._stored(1, OutcomeUnknown())
        status, headers, problem = Connection(other).answer()
        assert (status, problem["code"], headers["Connection"]) == (503, "outcome-unknown", "close")
        assert int(headers["Retry-After"]) >= 1 and other.recv(1) == b""
    reactor.forget(sender)
    chat.close()


def begin_and_stop(server: Running, connection: Connection, data: bytes) -> None:
    """Send the beginning of a request, and SIGTERM; return when the server has told its connections."""
    # Later than `connection`, so it is told after that.
    with connect(f"{server.url.replace('http', 'ws', 1)}/api/v1/ws?room=lobby") as other:
        connection.sock.sendall(data)
        arrived(server, connection)
        # Whatever the server does in the turn in which it reads is done when it answers this.
        other.send('{"command": "ping"}')
        until(lambda: json.loads(other.recv(timeout=60))["command"] == "pong", what="the answer")
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as told:
            while True:
                other.recv(timeout=60)
    assert told.value.rcvd is not None and told.value.rcvd.code == 1012


def gone(server: Running) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", int(server.url.rpartition(":")[2]))) == errno.ECONNREFUSED


def arrived(server: Running, connection: Connection) -> None:
    """Wait until the server has read what was sent (proc(5), /proc/net/tcp: the queue of its socket is empty)."""
    ours, theirs = connection.sock.getsockname()[1], int(server.url.rpartition(":")[2])

    def queued() -> str:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        found = [row for row in rows if row[1].endswith(f":{theirs:04X}") and row[2].endswith(f":{ours:04X}")]
        # The table changes while it is read: a row may be left out, or come twice.
        return found[0][4].partition(":")[2] if len(found) == 1 else "1"

    # In this order: bytes that the kernel has not passed on yet are in no queue of the server's.
    until(lambda: delivered(connection.sock), what="bytes that have arrived")
    until(lambda: int(queued(), 16) == 0, what="an empty queue")


def test_half_a_request_is_told_that_it_is_late(tmp_path: Path) -> None:
    """On a connection that is kept as on one that is new: 408, and the end."""
    command, env = keeping(tmp_path, QUOTECHAT_LIMITS="off", QUOTECHAT_REQUEST_SECONDS="1")
    with running(command, env=env) as server:

        def answered(before: int) -> tuple[int, dict[str, str], Any] | None:
            # A connection on which nothing comes for a second is ended; on a busy machine that is this one.
            with contextlib.suppress(AssertionError, ConnectionError), connected(server) as connection:
                for number in range(before):
                    assert connection.post(said(f"before {number}"))[0] == 201
                head = f"POST {MESSAGES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                connection.sock.sendall(f"{head}Content-Length: 50\r\nAccept: */*\r\n\r\nhalf".encode())
                connection.sock.settimeout(60)
                return connection.answer()
            return None

        for before in (0, 6):
            status, headers, problem = until(lambda before=before: answered(before), what="an answer")
            assert (status, headers["Connection"], problem["type"]) == (408, "close", "about:blank")


@pytest.mark.alone
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_handover_says_when_a_connection_ends(tmp_path: Path, workers: str) -> None:
    """Through SIGHUP every request on a kept connection is answered; the last answer says `Connection: close`."""
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path), "--workers", workers)
    with running(command, env=environment(QUOTECHAT_LIMITS="off")) as server:
        until(lambda: len(server.workers()) == int(workers), what="the workers")
        over = threading.Event()
        faults: list[str] = []
        ends: list[str] = []

        def send() -> None:
            while not over.is_set():
                asked, late = time.monotonic(), False
                try:
                    with connected(server) as connection:
                        last = False
                        # Idle most of the time, for less than the handover waits.
                        while not (last or over.wait(0.05)):
                            late, asked = time.monotonic() - asked > LEAVE_SECONDS / 2, time.monotonic()
                            status, headers, _ = connection.post(said("on and on"))
                            last = headers["Connection"] == "close"
                            if status != 201:
                                faults.append(str(status))
                        ends.append("close" if last else "over")
                except (AssertionError, OSError) as fault:
                    # On a busy machine this thread may wait for longer.
                    if not late and time.monotonic() - asked < LEAVE_SECONDS / 2:
                        faults.append(repr(fault))

        threads = [threading.Thread(target=send, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                until(lambda: kept(server) > 0, what="a kept connection")
                old = server.workers()
                server.process.send_signal(signal.SIGHUP)
                until(lambda old=old: not old & server.workers(), 120, "the old workers' end")
        finally:
            over.set()
        for thread in threads:
            thread.join(60)
        assert faults == []
        assert ends.count("close") >= 8

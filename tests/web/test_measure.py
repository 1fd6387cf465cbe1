"""What the lab shows is true: bytes as they are on the wire, and rows that a run gives."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import requests
from servers import Running, environment
from websockets.sync.client import connect


@pytest.fixture(scope="module")
def store_kind() -> str:
    """One store: what is measured here is on the wire."""
    return "sqlite"


def test_bytes_are_those_on_the_wire(server: Running) -> None:
    """Of a request and its answer, to the byte, with news and without."""
    address = urlsplit(server.url)
    for after in ("now", "0"):
        requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json={"user": "T", "message": "hi"})
        asked = (
            f"GET /api/v1/rooms/lobby/events?after={after}&measure=1 HTTP/1.1\r\nHost: {address.netloc}\r\n"
            "Accept: application/json\r\nUser-Agent: test\r\n\r\n"
        ).encode()
        with socket.create_connection((address.hostname, address.port or 80)) as sock:
            sock.sendall(asked)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += sock.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]  # it has one
            while len(body) < length:
                body += sock.recv(65536)
        assert f"Quotechat-Bytes: in={len(asked)}, out={len(head) + 4 + length}".encode() in head


def test_a_socket_tells_its_bytes(server: Running) -> None:
    """Frames, in and out, and only when it is asked to."""
    with connect(server.url.replace("http", "ws", 1) + "/api/v1/ws") as ws:
        ws.send('{"command":"ping"}')
        plain = ws.recv(timeout=30)
        assert json.loads(plain) == {"command": "pong"}
        ping = '{"command":"ping","measure":true}'
        ws.send(ping)
        # A client's frame has a mask of four bytes as well (RFC 6455 §5.2).
        incoming = 6 + len('{"command":"ping"}') + 6 + len(ping)
        assert json.loads(ws.recv(timeout=30)) == {"command": "pong", "bytes": {"in": incoming, "out": 2 + len(plain)}}


def test_the_lab_in_a_terminal(server: Running) -> None:
    """Every probe arrives over every transport, once, though the connections are cut; a short poll asks the most. The
    reader without a cursor misses some that were sent within the cut."""
    command = [sys.executable, "-m", "quotechat", "lab", server.url, "--probes", "20", "--rate", "8", "--idle", "1",
               "--interval", "1.5", "--cut", "1", "--json"]  # fmt: skip
    found = []
    for _ in range(3):  # a machine that stalls for a second shows nothing of what a second differs in
        ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=180, check=False)
        assert ran.returncode == 0, ran.stderr
        rows = {row["reader"]: row for row in json.loads(ran.stdout)}
        assert list(rows) == ["Short polling", "Long polling", "WebSocket", "WebSocket without a cursor"]
        naive = rows.pop("WebSocket without a cursor")
        assert naive["arrived"] == 20 - naive["missed"]
        for row in rows.values():
            assert (row["arrived"], row["missed"], row["repeated"]) == (20, 0, 0)
            assert row["p50"] <= row["p95"] <= row["max"] and row["bytes_out"] > 20 * 100
        short, held, socket_ = rows.values()
        assert socket_["idle_requests"] == 0
        found.append((1 <= naive["missed"] < 20, short["p50"] > max(held["p50"], socket_["p50"]),
                      (short["idle_requests"] or 0) > 0))  # fmt: skip
        if all(found[-1]):
            break
    assert all(found[-1]), found


@pytest.mark.long
def test_silence_is_measured_and_names_differ(server: Running) -> None:
    """Two runs at once, as in a class: none is refused, and a held poll and a socket show what silence costs."""
    command = [sys.executable, "-m", "quotechat", "lab", server.url, "--probes", "2", "--idle", "28", "--json"]
    runs = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [json.loads(run.communicate(timeout=300)[0]) for run in runs]
    for rows in found:
        assert [row["missed"] for row in rows] == [0, 0, 0]
        short, held, socket_ = rows
        assert short["idle_requests"] > held["idle_requests"] > socket_["idle_requests"] == 0
        # A hold ends after 20 to 25 s; a heartbeat comes every 20 s and has less than 150 bytes.
        assert 2 <= held["idle_requests"] <= 3.1
        assert 0 < socket_["idle_bytes"] < 450 < held["idle_bytes"]
    events = requests.get(f"{server.url}/api/v1/rooms/lab/events?after=0").json()["events"]
    names = {event["message"]["user"] for event in events[-4:]}
    assert len(names) == 2
    assert all(re.fullmatch("Lab [0-9a-f]{4}", name) for name in names)


def test_the_lab_of_no_server() -> None:
    """It says so, and ends with an error."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, so that nobody else listens there either
        command = [sys.executable, "-m", "quotechat", "lab", f"http://127.0.0.1:{nobody.getsockname()[1]}"]
        ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=180, check=False)
    assert ran.returncode == 1 and "could not be measured" in ran.stderr

"""The WebSocket, before a real server, with an independent client and with raw sockets."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from servers import Running, environment, quotechat, running, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from quotechat.live.connection import Connection

SHORTEST = {"command": "send-message", "message": {"user": "Azin", "message": "Hello!"}}


def url(server: Running, query: str = "") -> str:
    return f"{server.url.replace('http', 'ws', 1)}/api/v1/ws{query}"


@contextlib.contextmanager
def joined(server: Running, query: str = "", **options: Any) -> Iterator[Any]:
    with connect(url(server, query), **options) as ws:
        yield ws


def tell(ws: Any, envelope: Any) -> None:
    ws.send(envelope if isinstance(envelope, str) else json.dumps(envelope))


def hear(ws: Any, command: str, seconds: float = 60) -> dict[str, Any]:
    """The next envelope of this command; others before it are passed over."""
    while True:
        envelope: dict[str, Any] = json.loads(ws.recv(timeout=seconds))
        if envelope["command"] == command:
            return envelope


def ask(ws: Any, envelope: Any) -> dict[str, Any]:
    """The next envelope but events, after sending this."""
    tell(ws, envelope)
    while True:
        found: dict[str, Any] = json.loads(ws.recv(timeout=30))
        if "seq" not in found or found["command"] == "ack":
            return found


def head(server: Running) -> str:
    cursor: str = requests.get(f"{server.url}/api/v1/rooms/lobby/events").json()["cursor"]
    return cursor


def closed(ws: Any) -> int:
    """The code with which the server closes."""
    with pytest.raises(ConnectionClosed) as ended:
        while True:
            ws.recv(timeout=30)
    assert ended.value.rcvd is not None
    return int(ended.value.rcvd.code)


# --- Reading and sending --------------------------------------------------------------------------


def test_it_reads_what_was_and_what_comes(server: Running) -> None:
    """The query subscribes; history, `caught-up`, then live events: the very envelopes of a poll."""
    after = head(server)
    requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json={"user": "Bo", "message": "old"})
    with joined(server, f"?room=lobby&after={after}") as ws:
        old = json.loads(ws.recv(timeout=30))
        assert json.loads(ws.recv(timeout=30)) == {"command": "caught-up", "room": "lobby", "cursor": old["cursor"]}
        tell(ws, {**SHORTEST, "client_id": "k-1"})
        event, ack = sorted((json.loads(ws.recv(timeout=30)) for _ in range(2)), key=lambda each: "message" not in each)
        assert ack == {"command": "ack", "client_id": "k-1", "seq": event["seq"], "cursor": event["cursor"]}
        polled = requests.get(f"{server.url}/api/v1/rooms/lobby/events?after={after}").json()["events"]
        assert polled == [old, event]
        assert ask(ws, {**SHORTEST, "client_id": "k-1"}) == {**ack, "duplicate": True}


def test_the_shortest_envelope_is_enough(server: Running) -> None:
    """As the assignment has it, without any subscription."""
    with joined(server) as ws:
        assert ask(ws, SHORTEST)["command"] == "ack"
        assert ask(ws, {"command": "ping", "client_id": "p"}) == {"command": "pong", "client_id": "p"}


def test_several_rooms_over_one_socket(server: Running) -> None:
    """Each subscription is its own; after the ack of `unsubscribe` nothing of that room comes."""
    requests.post(f"{server.url}/api/v1/rooms", json={"name": "tea"})
    with joined(server, "?room=lobby") as ws:
        hear(ws, "caught-up")
        tell(ws, {"command": "subscribe", "room": "tea", "after": "0"})
        assert hear(ws, "caught-up")["room"] == "tea"
        tell(ws, {**SHORTEST, "room": "tea"})
        assert hear(ws, "message-sent")["room"] == "tea"
        tell(ws, {"command": "unsubscribe", "room": "tea"})
        while "seq" in hear(ws, "ack"):  # the one of the message
            pass
        tell(ws, {**SHORTEST, "room": "tea"})
        tell(ws, SHORTEST)
        assert hear(ws, "message-sent")["room"] == "lobby"


def test_a_second_subscribe_replaces_the_position(server: Running) -> None:
    """Read again from where one wants, over the same socket."""
    requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json={"user": "Bo", "message": "x"})
    with joined(server, "?after=0") as ws:
        first = hear(ws, "message-sent")
        hear(ws, "caught-up")
        tell(ws, {"command": "subscribe", "after": "0"})
        assert hear(ws, "message-sent") == first


def test_a_long_history_comes_whole(tmp_path: Path) -> None:
    """More than a page, more than the tail in memory, to a reader that is slow: dense, in order."""
    env = environment(QUOTECHAT_LIMITS="off")
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=env) as server:
        with joined(server) as ws:
            for _ in range(3000):
                tell(ws, {"command": "send-message", "message": {"user": "Azin", "message": "x" * 900}})
            for _ in range(3000):
                hear(ws, "ack")
        with joined(server, "?after=0", max_queue=4) as ws:
            time.sleep(0.5)  # long enough for every buffer on the way to fill up
            seqs = [hear(ws, "message-sent")["seq"] for _ in range(3000)]
            assert seqs == list(range(1, 3001))
            assert hear(ws, "caught-up")["cursor"].startswith("3000.")


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_what_is_announced_counts(piece: int) -> None:
    """Whole messages before it are taken; then the header alone closes, in whatever pieces it comes."""
    mask = b"\0\0\0\0"
    ok = b"\x81\x82" + mask + b"hi"
    parts = b"\x01\xfe" + struct.pack("!H", 900) + mask + b"x" * 900 + b"\x89\x80" + mask
    for announced, taken in [(ok + b"\x81\xff" + struct.pack("!Q", 2**62) + mask, ["hi"]), (ok + ok, ["hi", "hi"]),
                             (ok + parts + b"\x80\xfe" + struct.pack("!H", 200) + mask, ["hi"])]:  # fmt: skip
        connection = Connection(1000)
        texts = []
        for at in range(0, len(announced), piece):
            assert not connection.closing
            texts += connection.receive(announced[at : at + piece])
        assert texts == taken and connection.code == (1009 if len(taken) == 1 else None)


def _frame(first: int, payload: bytes, *, mask: bytes = b"abcd", most: int = 125) -> bytes:
    """Frame `payload` as a client does; a length over `most` takes two bytes, also if one would do."""
    size = len(payload)
    length = bytes([0x80 | size]) if size <= most else b"\xfe" + struct.pack("!H", size)
    return bytes([first]) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


_FRAMES = [
    _frame(0x81, b""), _frame(0x81, b"hi"), _frame(0x81, "g\u00fcte".encode() * 60), _frame(0x81, b"x" * 300),
    _frame(0x81, b"x" * 301), _frame(0x81, b"\xff"), _frame(0x81, b"hi", most=1), _frame(0xC1, b"hi"),
    b"\x81\x02hi", _frame(0x82, b"hi"), _frame(0x01, b"a"), _frame(0x80, b"b"), _frame(0x89, b"p"),
    _frame(0x88, b"\x03\xe8"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(_FRAMES)))
def test_a_frame_at_once_is_taken_as_in_pieces(number: int) -> None:
    """A whole frame, after any other, has the same texts, answers and close code as its bytes one by one."""
    for before in _FRAMES:
        at_once, in_pieces = Connection(300), Connection(300)
        frames = (before, _FRAMES[number])
        texts = [text for each in frames for text in at_once.receive(each)]
        assert texts == [text for byte in b"".join(frames) for text in in_pieces.receive(bytes([byte]))]
        assert (at_once.outgoing(), at_once.code) == (in_pieces.outgoing(), in_pieces.code)
        assert at_once.unfinished == in_pieces.unfinished


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        ("{", "malformed-json", None), ('{"command":"ping","a":NaN}', "malformed-json", None),
        ('{"command":"ping","command":"ping"}', "malformed-json", None), ("[]", "malformed-envelope", None),
        ({"command": "fly"}, "malformed-envelope", None), ({}, "malformed-envelope", None),
        ({"command": "send-message", "message": {"user": "A"}}, "invalid", "message"),
        ({"command": "send-message", "room": "none", "message": {"user": "A", "message": "x"}}, "room-unknown", "room"),
        ({"command": "subscribe", "after": "01"}, "cursor-invalid", "after"),
        ({"command": "subscribe", "room": "none"}, "room-unknown", "room"),
        ({"command": "react", "message": {"id": 1, "reaction": "like"}}, "unauthenticated", None),
        ({"command": "ping", "client_id": "a b"}, "invalid", "client_id"),
    ],
)  # fmt: skip
def test_an_error_is_an_envelope(server: Running, sent: Any, code: str, field: str | None) -> None:
    """The same problem as over HTTP, and the socket stays open; nothing is stored."""
    before = head(server)
    with joined(server) as ws:
        problem = ask(ws, sent)
        assert (problem["command"], problem["error"]["code"]) == ("error", code)
        assert problem["error"].get("field") == field and "request_id" not in problem["error"]
        assert ask(ws, {"command": "ping"})["command"] == "pong"
    assert head(server) == before


@pytest.mark.parametrize(("after", "code"), [("999999", "cursor-ahead"), ("0.0000000000000000", "history-changed")])
def test_a_cursor_that_cannot_be_served_resets(server: Running, after: str, code: str) -> None:
    """As the first envelope, and in answer to `subscribe`."""
    with joined(server, f"?room=lobby&after={after}") as ws:
        for _ in range(2):
            reset = json.loads(ws.recv(timeout=30))
            assert (reset["command"], reset["room"], reset["error"]["code"]) == ("reset", "lobby", code)
            tell(ws, {"command": "subscribe", "after": after})


def test_a_first_subscription_may_fail(server: Running) -> None:
    """The upgrade succeeds; the error is the first envelope."""
    with joined(server, "?room=none") as ws:
        assert json.loads(ws.recv(timeout=30))["error"]["code"] == "room-unknown"
        assert ask(ws, SHORTEST)["command"] == "ack"


def test_a_hundred_errors_close(server: Running) -> None:
    """The hundredth within 10 s: 1008; 99 do not."""
    with joined(server) as ws:
        for _ in range(99):
            ws.send("{")
        tell(ws, SHORTEST)
        hear(ws, "ack")
        ws.send("{")
        assert closed(ws) == 1008


def test_a_parameter_twice_in_a_handshake(server: Running) -> None:
    """Is told over the socket, which stays open (protocol §7: Parameters, WebSocket)."""
    for query, field in (("?room=lobby&room=den", "room"), ("?room=lobby&after=0&after=1", "after")):
        with joined(server, query) as ws:
            first = json.loads(ws.recv(timeout=30))
            assert (first["command"], first["error"]["code"], first["error"]["field"]) == (
                "error", "parameter-invalid", field,
            )  # fmt: skip
            assert ask(ws, SHORTEST)["command"] == "ack"


def test_binary_and_size(server: Running) -> None:
    """Binary is 1003; 65,536 bytes pass, one more is 1009, fragmented or not."""
    with joined(server) as ws:
        ws.send(b"{}")
        assert closed(ws) == 1003
    padding = json.dumps({"command": "ping", "x": ""})
    full = padding.replace('""', '"' + "ä" * ((65_536 - len(padding)) // 2) + "y" * ((65_536 - len(padding)) % 2) + '"')
    assert len(full.encode()) == 65_536
    with joined(server) as ws:
        assert ask(ws, full)["command"] == "pong"
        ws.send([full[:30_000], full[30_000:]])
        assert hear(ws, "pong")
        ws.send(full + " ")
        assert closed(ws) == 1009
    # By hand: where the last fragment cannot be sent any more, the library throws away what there is to read.
    with handshake(server) as raw:
        answer(raw, b"\r\n\r\n")
        begun = struct.pack("!BBQ4x", 0x01, 0xFF, len(full.encode()))
        raw.sendall(begun + full.encode() + masked(0, b" ", final=False))
        assert answer(raw, b"\x03\xf1")[:1] == b"\x88"


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_another_origin_is_refused_before_the_upgrade(server: Running, origin: str) -> None:
    """403, as HTTP."""
    with pytest.raises(InvalidStatus) as refused, connect(url(server), additional_headers={"Origin": origin}):
        pass
    assert refused.value.response.status_code == 403


def test_the_subprotocol_is_optional_and_nothing_is_compressed(server: Running) -> None:
    """`quotechat.v1` where it is offered; no extension."""
    with joined(server, subprotocols=["other", "quotechat.v1"]) as ws:
        assert ws.subprotocol == "quotechat.v1"
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
    with joined(server) as ws:
        assert ws.subprotocol is None


# --- On the wire ----------------------------------------------------------------------------------


def handshake(
    server: Running, after: bytes = b"", version: str = "13", key: bytes = os.urandom(16), query: str = ""
) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30)
    lines = [f"GET /api/v1/ws{query} HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket",
             f"Sec-WebSocket-Version: {version}", f"Sec-WebSocket-Key: {base64.b64encode(key).decode()}"]  # fmt: skip
    raw.sendall("\r\n".join([*lines, "", ""]).encode() + after)
    return raw


def masked(opcode: int, payload: bytes, final: bool = True) -> bytes:
    """A client's frame (RFC 6455 §5.2), masked with zeros."""
    assert len(payload) < 126
    return struct.pack("!BB4x", (0x80 if final else 0) | opcode, 0x80 | len(payload)) + payload


def answer(raw: socket.socket, until_sign: bytes) -> bytes:
    found = b""
    while until_sign not in found:
        part = raw.recv(4096)
        assert part, found
        found += part
    return found


def test_frames_that_come_with_the_handshake_are_not_lost(server: Running) -> None:
    """In the same packet, whole and half."""
    ping = masked(1, b'{"command":"ping"}')
    with handshake(server, ping + ping[:9]) as raw:
        answer(raw, b'{"command":"pong"}')
        raw.sendall(ping[9:])
        answer(raw, b'{"command":"pong"}')


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (masked(1, b"\xff"), 1007), (masked(1, b"x")[:1] + b"\x01x", 1002), (masked(3, b""), 1002),
        (masked(0, b"x"), 1002), (masked(8, struct.pack("!H", 1000)), 1000), (b"\xc1\x80\0\0\0\0", 1002),
        (masked(9, b"x", final=False), 1002),
    ],
)  # fmt: skip
def test_broken_frames_close(server: Running, frame: bytes, code: int) -> None:
    """With the code of RFC 6455 §7.4.1, then the connection ends; no HTTP is ever written into it."""
    with handshake(server) as raw:
        answer(raw, b"\r\n\r\n")
        raw.sendall(frame)
        found = b""
        while part := raw.recv(4096):
            found += part
        assert found[0] == 0x88 and struct.unpack("!H", found[2:4])[0] == code
        assert b"HTTP" not in found


@pytest.mark.parametrize("query", ["", "?room=lobby"])
def test_what_comes_before_a_close_is_done(server: Running, query: str) -> None:
    """Who sends and closes at once, as one-shot programs do, is heard, whatever else the socket waits for."""
    before = int(head(server).split(".")[0])
    shortest = json.dumps(SHORTEST).encode()
    with handshake(server, query=query) as raw:
        answer(raw, b"\r\n\r\n")
        ping, bye = masked(1, b'{"command":"ping"}'), masked(8, b"\x03\xe8")
        raw.sendall(masked(1, shortest) + ping + bye + masked(1, shortest))
        assert answer(raw, b"\x88\x02\x03\xe8").count(b'{"command":"pong"}') == 1
    # The one after the close frame is none (§5.5.1).
    assert until(lambda: int(head(server).split(".")[0]) - before) == 1
    assert requests.get(f"{server.url}/api/v1/rooms/lobby/events?after={before + 1}").json()["events"] == []


def test_a_ping_is_answered_with_its_payload(server: Running) -> None:
    """Between the frames of a message too (§5.5.2)."""
    with handshake(server) as raw:
        answer(raw, b"\r\n\r\n")
        raw.sendall(masked(1, b'{"command":', final=False) + masked(9, b"there?") + masked(0, b'"ping"}'))
        assert answer(raw, b"pong") == b"\x8a\x06there?" + b"\x81\x12" + b'{"command":"pong"}'


def test_handshakes_that_are_none(server: Running) -> None:
    """Another version: 426 and ours; no key, no upgrade: 400."""
    with handshake(server, version="8") as raw:
        found = answer(raw, b"\r\n\r\n")
        assert b" 426 " in found and b"Sec-WebSocket-Version: 13" in found
    old = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8"}
    assert requests.get(f"{server.url}/api/v1/ws", headers=old).json()["status"] == 426
    with handshake(server, key=b"") as raw:
        assert b" 400 " in answer(raw, b"\r\n\r\n")
    assert requests.get(f"{server.url}/api/v1/ws").status_code == 400


def test_places_are_given_back(server: Running) -> None:
    """However a socket ends, it is not counted any more."""
    def count() -> str:
        return requests.get(f"{server.url}/metrics").text

    until(lambda: "quotechat_sockets 0" in count(), what="no socket")
    with handshake(server) as raw, joined(server), joined(server) as ws:
        until(lambda: "quotechat_sockets 3" in count(), what="three sockets")
        ws.send(b"")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: "quotechat_sockets 0" in count(), what="no socket again")


def test_a_slow_reader_hurts_only_itself(server: Running) -> None:
    """One reader stops reading; another gets everything; the first, when it reads on, too."""
    after = head(server)
    start = int(after.split(".")[0])
    with joined(server, f"?after={after}", max_queue=1) as slow, joined(server, f"?after={after}") as quick:
        for _ in range(2000):
            tell(quick, {"command": "send-message", "message": {"user": "Azin", "message": "y" * 2000}})
        expected = list(range(start + 1, start + 2001))
        for ws in (quick, slow):
            assert [hear(ws, "message-sent")["seq"] for _ in range(2000)] == expected


# --- Limits and the end ---------------------------------------------------------------------------


def test_limits_per_client(tmp_path: Path) -> None:
    """20 messages at once, 20 sockets; refused with 429 and a time, over both ways."""
    env = environment(QUOTECHAT_MESSAGES_PER_SECOND="0.001")  # none comes back meanwhile
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=env) as server:
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(joined(server)) for _ in range(20)]
            with pytest.raises(InvalidStatus) as refused, connect(url(server)):
                pass
            assert refused.value.response.status_code == 429 and refused.value.response.headers["Retry-After"]
            for _ in range(30):
                tell(sockets[0], SHORTEST)
            answers = [json.loads(sockets[0].recv(timeout=30)) for _ in range(30)]
            errors = [each["error"] for each in answers if each["command"] == "error"]
            assert len(errors) == 10 and {each["code"] for each in errors} == {"rate-limited"}
            over = requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json=SHORTEST["message"])
            assert over.status_code == 429 and over.headers["Retry-After"] and over.json()["retry_in_ms"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_restart_sends_1012(tmp_path: Path, number: int) -> None:
    """Every socket hears that it should come back, and streams end whole."""
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=environment()) as server:
        with joined(server, "?room=lobby") as ws, joined(server) as other:
            hear(ws, "caught-up")
            stream = requests.get(
                f"{server.url}/api/v1/rooms/lobby/events", headers={"Accept": "application/x-ndjson"}, stream=True
            )
            commands = (json.loads(line)["command"] for line in stream.iter_lines())
            assert (next(commands), next(commands)) == ("heartbeat", "caught-up")
            os.kill(server.process.pid, number)
            assert closed(ws) == closed(other) == 1012
            assert set(commands) <= {"heartbeat"}

"""The promise at the client's end: every event once and in order, every send stored once, through any failure."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Running, until
from trouble import Mortal, cutting

from quotechat.client import Backoff, Client, CursorAhead, HistoryChanged, Reader, Reset, RoomUnknown, Unanswered

Connected = Callable[..., Client]
TRANSPORTS = ["long-poll", "stream", "short-poll"]


class Listener(threading.Thread):
    """Reads until it is closed."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(daemon=True)
        self.reader = reader
        self.seen: list[tuple[int, str]] = []
        self.start()

    def run(self) -> None:
        for event in self.reader:
            assert event.message is not None
            self.seen.append((event.seq, event.message["message"]))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The warnings of hundreds of failures are meant."""
    caplog.set_level(logging.ERROR, "quotechat.client")


def test_through_kill_and_restart(mortal: Mortal, connected: Connected) -> None:
    """Three kills with -9 while messages are sent: all are stored once, each reader gets all, in order."""
    listeners = [Listener(connected(mortal.url).events(transport=each, interval=0.05)) for each in TRANSPORTS]  # type: ignore[arg-type]  # each is one
    sender = connected(mortal.url)
    acked: list[int] = []

    def send() -> None:
        for number in range(60):
            ack = sender.post(f"message {number}")
            assert ack.seq is not None
            acked.append(ack.seq)
            time.sleep(0.02)

    sending = threading.Thread(target=send)
    sending.start()
    for part in (10, 25, 40):
        until(lambda part=part: len(acked) >= part, 60, f"{part} acknowledgements")  # type: ignore[misc]  # bound at once
        mortal.kill()
        mortal.start()
    sending.join(180)
    expected = [(number + 1, f"message {number}") for number in range(60)]
    assert acked == [seq for seq, _ in expected]
    for listener in listeners:
        until(lambda listener=listener: len(listener.seen) >= 60, 60, f"all by {listener.reader.transport}")  # type: ignore[misc]  # bound at once
        assert listener.seen == expected
        listener.reader.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_through_a_cutting_proxy(server: Running, connected: Connected, transport: str) -> None:
    """Every connection breaks somewhere, also within an answer: nothing is missed, repeated or stored twice."""
    port = int(server.url.rsplit(":", 1)[1])
    with cutting(port, 4000, seed=7) as proxy:
        after = connected(server.url).snapshot()["cursor"]
        listener = Listener(connected(proxy.url).events(after=after, transport=transport, interval=0.01))  # type: ignore[arg-type]  # each is one
        sender = connected(proxy.url)
        for number in range(60):
            sender.post(f"{transport} {number} " + "x" * 100)
        until(lambda: len(listener.seen) >= 60, 120, "all messages")
        listener.reader.close()
        cuts = proxy.cuts
    texts = [text.split(" x")[0] for _, text in listener.seen]
    assert texts == [f"{transport} {number}" for number in range(60)]
    assert [seq for seq, _ in listener.seen] == list(range(listener.seen[0][0], listener.seen[0][0] + 60))
    assert cuts > 10


def test_another_history_is_a_reset(mortal: Mortal, connected: Connected, tmp_path: Path) -> None:
    """A server with another log: the reader raises, with a snapshot, and goes on from there when asked."""
    client = connected(mortal.url)
    for number in range(3):
        client.post(f"old {number}")
    reader = client.events()
    client.post("old, the last")
    assert next(reader).seq == 4
    mortal.kill()
    mortal.data = tmp_path / "another"
    mortal.start()
    for number in range(5):
        client.post(f"new {number}")
    with pytest.raises(Reset) as reset:
        next(reader)
    assert isinstance(reset.value.problem, HistoryChanged)
    assert [message["message"] for message in reset.value.snapshot["messages"]] == [f"new {n}" for n in range(5)]
    client.post("and on")
    event = next(reader)
    assert event.message is not None and (event.seq, event.message["message"]) == (6, "and on")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_cursor_ahead_is_a_reset(server: Running, connected: Connected, transport: str) -> None:
    """Over every transport, and never a silent new beginning."""
    client = connected(server.url)
    reader = client.events(after="9000000", transport=transport, interval=0.01)  # type: ignore[arg-type]  # each is one
    with pytest.raises(Reset) as reset:
        next(reader)
    assert isinstance(reset.value.problem, CursorAhead)
    assert reader.cursor == reset.value.snapshot["cursor"]


# --- What a real server never does, said by one that is written down ---------------------------------


def cursor(seq: int) -> str:
    return f"{seq}.{'0' * 16}"


def sent(seq: int) -> dict[str, Any]:
    return {
        "command": "message-sent", "room": "lobby", "seq": seq, "cursor": cursor(seq), "at": "2026-01-01T00:00:00.000Z",
        "message": {"id": seq, "user": "Ada", "message": f"m{seq}"},
    }  # fmt: skip


def page(*seqs: int, at: int = 0, **more: Any) -> dict[str, Any]:
    return {"events": [sent(seq) for seq in seqs], "cursor": cursor(seqs[-1] if seqs else at), "more": False, **more}


Answer = tuple[int, dict[str, Any], dict[str, str]]


@contextlib.contextmanager
def scripted(*answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers, one after the other, and notes what it was asked."""
    left, asked = list(answers), []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            status, body, headers = left.pop(0) if left else (404, {"code": "room-unknown"}, {})
            encoded = json.dumps(body).encode()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(encoded)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(encoded)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def read_all(
    url: str, *, after: str = "0", sleep: Callable[[float], None] = lambda _: None, backoff: Backoff | None = None
) -> list[int]:
    """Everything, until the server says that it knows no such room."""
    seen = []
    with Client(url, sleep=sleep, backoff=backoff) as client, contextlib.suppress(RoomUnknown):
        for event in client.events(after=after):
            seen.append(event.seq)
    return seen


def ok(body: dict[str, Any]) -> Answer:
    return 200, body, {}


def test_a_repeat_is_ignored_and_a_gap_asked_for_again() -> None:
    """seq = own + 1 is applied, a lower one ignored; at a higher one it reads again from its own cursor."""
    with scripted(ok(page(1, 2)), ok(page(2, 3)), ok(page(5)), ok(page(4, 5))) as (url, asked):
        assert read_all(url) == [1, 2, 3, 4, 5]
    after = [path.split("after=")[1].split("&")[0] for path in asked]
    assert after[3] == cursor(3), "asked again from the last that was applied"


def test_a_gap_that_stays_is_asked_for_ever_more_rarely() -> None:
    """A server that leaves an event out is not asked in a loop: each pause has twice the ceiling of the one before."""
    slept: list[float] = []
    steady = Backoff(0.5, 4, lambda: 1.0)
    with scripted(ok(page(1)), *[ok(page(3))] * 5) as (url, _):
        assert read_all(url, sleep=slept.append, backoff=steady) == [1]
    assert slept == [0.5, 1, 2, 4, 4]


def test_a_position_that_is_told_takes_the_place_of_0() -> None:
    """From `0` the server tells where the room begins, by an event or without one; from then on a gap is a gap."""
    with scripted(ok(page(at=20)), ok(page(22)), ok(page(21, 22))) as (url, asked):
        assert read_all(url) == [21, 22]
    assert [path.split("after=")[1].split("&")[0] for path in asked][1:3] == [cursor(20)] * 2
    with scripted(ok(page(21)), ok(page(23)), ok(page(22, 23))) as (url, _):
        assert read_all(url) == [21, 22, 23]


def test_pauses_are_at_least_what_the_server_asks_for() -> None:
    """`retry_in_ms` of a page and of a problem, and Retry-After, are honoured, and more is slept, not less."""
    slept: list[float] = []
    answers = [
        ok(page(retry_in_ms=400)),
        (503, {"code": "draining", "retry_in_ms": 700}, {"Retry-After": "1"}),
        (502, {}, {"Retry-After": "3"}),
        ok(page(1)),
    ]
    with scripted(*answers) as (url, _):
        assert read_all(url, sleep=slept.append) == [1]
    assert len(slept) == 3
    for pause, asked in zip(slept, (0.4, 0.7, 3.0), strict=True):
        assert asked <= pause
    assert slept[0] <= 0.5, "no failure, so only the jitter of a quarter comes on top"


def test_pauses_grow_and_shrink() -> None:
    """The ceiling doubles with each failure in a row, up to the most, and what works resets it."""
    backoff = Backoff(0.5, 4, lambda: 1.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1, 2, 4, 4]
    backoff.reset()
    assert backoff.next(asked=8) == 8 * 1.25 + 0.5


def test_a_send_is_repeated_with_the_same_client_id() -> None:
    """Through refusals that mean "later" and through answers that break off; then there is one answer."""
    slept: list[float] = []
    answers: list[Answer] = [
        (429, {"code": "rate-limited", "retry_in_ms": 900}, {}),
        (503, {"code": "outcome-unknown"}, {"Retry-After": "2"}),
        (200, {"cut": "short"}, {"Content-Length": "5000", "Connection": "close"}),
        ok({"command": "ack", "client_id": "c", "seq": 1, "cursor": cursor(1), "duplicate": True}),
    ]
    with scripted(*answers) as (url, asked), Client(url, user="Ada", sleep=slept.append) as client:
        ack = client.post("once", client_id="c")
    assert (ack.seq, ack.duplicate, len(asked)) == (1, True, 4)
    assert slept[0] >= 0.9 and slept[1] >= 2


def test_patience_keeps_the_refusal_s_reason() -> None:
    """A refusal that asks for more time than there is ends the repeating."""
    much = {"code": "rate-limited", "detail": "Too much.", "retry_in_ms": 60_000}
    with scripted((429, much, {})) as (url, _), Client(url, user="Ada", patience=1) as client:
        with pytest.raises(Unanswered, match="Too much"):
            client.post("once")


def test_a_held_poll_that_is_answered_too_early_is_not_asked_in_a_loop() -> None:
    """Something on the way answers in the server's place, at once and with nothing: the pauses grow."""
    slept: list[float] = []
    with scripted(*[ok(page())] * 6) as (url, _):
        assert read_all(url, sleep=slept.append) == []
    assert len(slept) == 6 and max(slept) > 0.5


def test_a_page_of_something_else() -> None:
    """A captive portal's 200 is no page of events: it is asked again."""
    with scripted(ok({"welcome": "to the hotel"}), ok(page(1))) as (url, _):
        assert read_all(url) == [1]


def test_rate_limits_are_waited_out_while_reading() -> None:
    """429 to a reader means later, not never."""
    slept: list[float] = []
    with scripted((429, {"code": "rate-limited", "retry_in_ms": 500}, {}), ok(page(1))) as (url, _):
        assert read_all(url, sleep=slept.append) == [1]
    assert slept[0] >= 0.5

"""Clients that do what protocol §1 tells clients to do, and record all that they see.

A `Sender` repeats each message under its client_id until there is an answer. A `Reader` reads on from the last
cursor that it applied, over any transport. Neither judges: that is the checker's work.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from history import History, Read, Send, got, seq_of
from websocket_peer import Broken, Refusal, WebSocket, readable

ROOM = "/api/v1/rooms/lobby"
POLLS = ("short", "long")
STREAMS = ("ws", "ndjson", "sse")
READING = POLLS + STREAMS
"""The transports that one can read over."""
_ACCEPT = {"ndjson": "application/x-ndjson", "sse": "text/event-stream"}
CERTAIN = {"rate-limited", "overloaded", "draining", "storage-full"}
"""Refusals that say that nothing was stored, and that it may be tried again (protocol §7, Answers)."""
ANSWER_SECONDS = 15.0
IDLE_SECONDS = 0.25
"""After which a connection is not used again: in a reload the server ends those that are idle for longer."""
Urls = Callable[[random.Random], str]


class Http:
    """One kept connection; any fault closes it."""

    def __init__(self, seconds: float = ANSWER_SECONDS, headers: Mapping[str, str] | None = None) -> None:
        self._seconds = seconds
        self._headers = dict(headers or {})
        self._connection: http.client.HTTPConnection | None = None
        self._url = ""
        self._used_at = 0.0

    def ask(self, url: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer's JSON. Raises Broken, Refusal."""
        answer = self.open(url, method, path, body)
        try:
            found = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as fault:
            self.close()
            raise Broken(repr(fault)) from None
        if answer.status >= 400:
            raise Refusal(found)
        return found  # type: ignore[no-any-return]  # every answer of ours is an object

    def open(self, url: str, method: str, path: str, body: dict[str, Any] | None = None) -> http.client.HTTPResponse:
        """The answer, whose body is not read yet. Raises Broken."""
        if url != self._url or time.monotonic() - self._used_at > IDLE_SECONDS:
            self.close()
        self._url = url
        try:
            if self._connection is None:
                parts = urlsplit(url)
                self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=self._seconds)
            if body is None:
                self._connection.request(method, path, headers=self._headers)
            else:
                headers = {**self._headers, "Content-Type": "application/json"}
                self._connection.request(method, path, json.dumps(body), headers)
            answer = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as fault:
            self.close()
            raise Broken(repr(fault)) from None
        self._used_at = time.monotonic()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Client(threading.Thread):
    """A thread that works until `halt`; an error of the test itself is kept in `fault`."""

    def __init__(self, history: History, name: str, urls: Urls, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.history = history
        self.chance = random.Random(seed)
        self.halt = threading.Event()
        self.fault: BaseException | None = None
        self._urls = urls

    def url(self) -> str:
        """Where to ask next."""
        return self._urls(self.chance)

    def run(self) -> None:
        try:
            self.work()
        except BaseException as fault:
            self.fault = fault  # raised where it is joined

    def work(self) -> None:
        """All that it does."""
        raise NotImplementedError

    def pause(self, seconds: float) -> None:
        """Wait, unless it is over."""
        self.halt.wait(seconds)


class Sender(Client):
    """Sends numbered messages, `rate` a second at most, by POST or by WebSocket."""

    def __init__(
        self, history: History, name: str, urls: Urls, seed: int, *, transport: str = "post", rate: float = 20
    ) -> None:
        super().__init__(history, name, urls, seed)
        self.transport = transport
        self.rate = rate
        self.acked = 0
        self.fresh = False
        self.padding = ""
        """What follows the key in each message."""
        self._http = Http()
        self._socket: WebSocket | None = None

    def work(self) -> None:
        for number in itertools.count(1):
            if self.halt.is_set():
                break
            self.deliver(f"{self.name}-{number}")
            self.pause(self.chance.expovariate(self.rate))
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._http.close()
        self._hang_up()

    def deliver(self, key: str) -> Send | None:
        """Send it until it is acknowledged, or the test is over; the try that was."""
        tries = 0
        while True:
            operation = self.try_once(key)
            if operation.outcome == "ok":
                self.acked += 1
                return operation
            tries += 1
            # As clients do: full jitter under a ceiling that doubles.
            self.pause(self.chance.uniform(0, min(1.0, 0.02 * 2**tries)))
            if self.halt.is_set():
                return None

    def try_once(self, key: str) -> Send:
        """One try, recorded; on a new connection where `fresh`."""
        if self.fresh:
            self._http.close()
        operation = self.history.send(self.name, self.transport, key)
        try:
            answer = self._post(key) if self.transport == "post" else self._over_socket(key)
        except Refusal as refusal:
            operation.code = refusal.code
            operation.outcome = "fail" if refusal.code in CERTAIN else "unknown"
            if refusal.code not in CERTAIN | {"outcome-unknown"}:
                raise
        except Broken as broken:
            operation.code = str(broken)
        else:
            operation.outcome, operation.seq, operation.cursor = "ok", answer["seq"], answer["cursor"]
            operation.duplicate = answer.get("duplicate", False)
        operation.ended = self.history.now()
        return operation

    def _post(self, key: str) -> dict[str, Any]:
        body = {"user": self.name, "message": key + self.padding, "client_id": key}
        return self._http.ask(self.url(), "POST", f"{ROOM}/messages", body)

    def _over_socket(self, key: str) -> dict[str, Any]:
        message = {"user": self.name, "message": key + self.padding}
        try:
            if self._socket is None:
                self._socket = WebSocket(self.url())
            self._socket.send({"command": "send-message", "client_id": key, "message": message})
            answer = self._answer_to(self._socket, key)
        except Broken:
            self._hang_up()
            raise
        if answer["command"] == "error":
            raise Refusal(answer["error"])
        return answer

    def _answer_to(self, ws: WebSocket, key: str) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            answer = ws.receive(max(0.0, deadline - time.monotonic()))
            if answer is None:
                raise Broken("no answer")
            if answer["command"] in ("ack", "error") and answer.get("client_id") == key:
                return answer

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.leave()
            self._socket = None


class Reader(Client):
    """Reads from `after` on, over one of `transports` at a time, and changes it every `hop` seconds."""

    def __init__(
        self,
        history: History,
        name: str,
        urls: Urls,
        seed: int,
        *,
        transports: Sequence[str] = ("long",),
        after: str = "0",
        hop: tuple[float, float] = (1e9, 1e9),
        wait: float = 1.5,
        limit: int = 500,
        room: str = ROOM,
        token: str = "",
    ) -> None:
        super().__init__(history, name, urls, seed)
        self.transports = tuple(transports)
        self.cursor = after
        self.resets = 0
        self._hop = hop
        self._wait = wait
        self._limit = limit
        self._room = room
        self._token = token
        self._http = Http(headers={"Authorization": f"Bearer {token}"} if token else None)

    @property
    def seq(self) -> int:
        """The number that it has applied last."""
        return seq_of(self.cursor) or 0

    def work(self) -> None:
        while not self.halt.is_set():
            transport = self.chance.choice(self.transports)
            until = time.monotonic() + self.chance.uniform(*self._hop)
            while not self.halt.is_set() and time.monotonic() < until:
                try:
                    self._read(transport, until)
                except Broken:
                    self.pause(self.chance.uniform(0, 0.1))
                except Refusal as refusal:
                    self._refused(refusal)
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _read(self, transport: str, until: float) -> None:
        if transport in POLLS:
            self._poll(transport)
        else:
            self.follow(transport, until)

    def _refused(self, refusal: Refusal) -> None:
        if refusal.code in ("history-changed", "cursor-ahead", "cursor-expired"):
            self.resets += 1
            self.snapshot()
        elif refusal.code in CERTAIN or refusal.code == "internal":
            self.pause(self.chance.uniform(0, 0.2))
        else:
            raise refusal

    def begin(self, transport: str, after: str, *, held: bool = False, final: bool = False) -> Read:
        """A poll or a connection begins."""
        return self.history.read(self.name, transport, after, held=held, final=final)

    def snapshot(self) -> None:
        """Begin anew: the cursor at which the latest messages were read."""
        with contextlib.suppress(Broken):
            operation = self.begin("snapshot", "now")
            found = self._http.ask(self.url(), "GET", f"{self._room}?limit=1")
            operation.position, operation.outcome = found["cursor"], "ok"
            operation.ended = self.history.now()
            self.cursor = found["cursor"]

    def _poll(self, transport: str, *, final: bool = False) -> Read:
        wait = self._wait if transport == "long" else 0
        operation = self.begin(transport, self.cursor, held=wait > 0, final=final)
        path = f"{self._room}/events?after={self.cursor}&wait={wait:g}&limit={self._limit}"
        try:
            page = self._http.ask(self.url(), "GET", path)
        except Refusal as refusal:
            _note(operation, refusal.code)
            raise
        finally:
            operation.ended = self.history.now()
        for envelope in page["events"]:
            self.apply(operation, envelope)
        operation.position, operation.more, operation.outcome = page["cursor"], page["more"], "ok"
        self.cursor = page["cursor"]
        if transport == "short" and not page["events"] and not final:
            self.pause(0.05)
        elif page.get("retry_in_ms"):
            self.pause(self.chance.uniform(0, 0.1))
        return operation

    def follow(self, transport: str, until: float, *, to_the_end: bool = False) -> Read:
        """One connection, until `until`, `halt`, its end, or, if asked for, the end of the log."""
        held = not to_the_end
        operation = self.begin(transport, self.cursor, held=held, final=to_the_end)
        source = _socket if transport == "ws" else _stream
        try:
            for envelope in source(
                self.url(), transport, self.cursor, lambda: self._over(until), room=self._room, token=self._token
            ):
                if self._take(operation, envelope) and to_the_end:
                    break
            operation.outcome = "ok"
        except Refusal as refusal:
            _note(operation, refusal.code)
            raise
        except Broken as broken:
            operation.code = str(broken)
            raise
        finally:
            operation.ended = self.history.now()
        return operation

    def apply(self, operation: Read, envelope: dict[str, Any]) -> None:
        """Record an event, and stand behind it. What does not fit is recorded, and read again by the rules."""
        operation.got.append(got(envelope, self.history.now()))
        if envelope["seq"] == self.seq + 1 or self.cursor == "now":
            self.cursor = envelope["cursor"]
        elif envelope["seq"] > self.seq:
            raise Broken("a gap")

    def _take(self, operation: Read, envelope: dict[str, Any]) -> bool:
        """One envelope of a stream; whether it is `caught-up`."""
        if "seq" in envelope:
            self.apply(operation, envelope)
        elif envelope["command"] == "reset":
            raise Refusal(envelope["error"])
        elif envelope["command"] == "caught-up":
            if not operation.caught_up_at:
                operation.position, operation.caught_up_at = envelope["cursor"], self.history.now()
            if self.cursor == "now":
                self.cursor = envelope["cursor"]
            return True
        return False

    def _over(self, until: float) -> bool:
        return self.halt.is_set() or time.monotonic() >= until


def _note(operation: Read, code: str) -> None:
    operation.code = code
    if code in ("history-changed", "cursor-ahead", "cursor-expired"):
        operation.reset = code
    operation.outcome = "fail"


def read_whole(history: History, name: str, url: str, until: float) -> None:
    """The whole log over each transport: the last thing that a run does, for each worker. `until` ends streams that
    do not come to the end, on the monotonic clock."""
    for transport in READING:
        reader = Reader(history, name, lambda chance: url, 0, transports=(transport,), wait=0.5)
        with contextlib.suppress(Broken, Refusal):
            if transport in POLLS:
                _poll_whole(reader, transport)
            else:
                reader.follow(transport, until, to_the_end=True)
        reader.close()


def _poll_whole(reader: Reader, transport: str) -> None:
    """Page by page, as one reading."""
    whole = reader.history.read(reader.name, transport, "0", final=True)
    history, reader.history = reader.history, History()
    more = True
    while more:
        page = reader._poll(transport, final=True)
        whole.got += page.got
        # A wrong server may promise more and have nothing.
        whole.position, more = page.position, page.more and bool(page.got)
    reader.history, whole.outcome, whole.ended = history, "ok", history.now()


# --- Streams --------------------------------------------------------------------------------------


def _socket(
    url: str, transport: str, after: str, over: Callable[[], bool], *, room: str, token: str
) -> Iterator[dict[str, Any]]:
    ws = WebSocket(url, f"room={room.rpartition('/')[2]}&after={after}", token=token)
    try:
        while not over():
            envelope = ws.receive(0.1)
            if envelope is None:
                continue
            if envelope["command"] == "error":
                raise Refusal(envelope["error"])
            yield envelope
    finally:
        ws.leave()


def _stream(
    url: str, transport: str, after: str, over: Callable[[], bool], *, room: str, token: str
) -> Iterator[dict[str, Any]]:
    parts = urlsplit(url)
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    asked = (
        f"GET {room}/events?after={after} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: {_ACCEPT[transport]}\r\n"
        f"{bearer}\r\n"
    )
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), timeout=5) as sock:
            sock.sendall(asked.encode())
            yield from _lines(sock, over)
    except OSError as fault:
        raise Broken(repr(fault)) from None


def _lines(sock: socket.socket, over: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """The envelopes in what comes, of either kind of stream.

    Each lies on one line, whole; lines of the chunked coding never begin as they do.
    """
    data, status = b"", 0
    while not over():
        if not readable(sock, 0.1):
            continue
        came = sock.recv(65_536)
        if not came:
            raise Broken("it ended")
        data += came
        if not status:
            if b"\r\n\r\n" not in data:
                continue
            head, _, data = data.partition(b"\r\n\r\n")
            status = int(head.split()[1])
        if status != 200:
            raise Refusal(_problem_in(sock, data))
        *lines, data = data.split(b"\n")
        for line in lines:
            line = line.removeprefix(b"data: ")
            if line.startswith(b"{"):
                yield json.loads(line)


def _problem_in(sock: socket.socket, data: bytes) -> dict[str, Any]:
    while True:
        try:
            return json.loads(data)  # type: ignore[no-any-return]  # a problem is an object
        except ValueError:
            came = sock.recv(65_536)
            if not came:
                raise Broken("half a problem") from None
            data += came

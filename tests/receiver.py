"""A receiver of webhooks for tests: it answers as it is told, notes and verifies what it got."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from standardwebhooks import Webhook


class Answer(NamedTuple):
    """What it answers: a status, headers and a body; or it hangs up, or waits until it is released."""

    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed
    reset: bool = False
    hang: bool = False
    lie: bool = False
    """It announces more than it sends."""
    drip: bool = False
    """It sends one byte after the other, and never comes to an end."""


class Got(NamedTuple):
    path: str
    id: str
    body: dict[str, Any]
    head: dict[str, str]
    raw: bytes

    @property
    def seq(self) -> int:
        found: int = self.body["data"].get("seq", 0)
        return found

    def verify(self, secret: str) -> None:
        """Raises WebhookVerificationError."""
        Webhook(secret).verify(self.raw, self.head)


OK = Answer()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Of five, which is the usual number, the others would wait for a second and more."""


class Receiver:
    """`answer` is called with what came; each path may have a script of its own, used up from the front."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.scripts: dict[str, list[Answer]] = {}
        self.answer: Callable[[Got], Answer] = lambda got: OK
        self.released = threading.Event()
        self.busy: dict[str, int] = {}
        self.most_busy: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def of(self, path: str) -> list[Got]:
        """What came to a path, in order."""
        return [each for each in list(self.got) if each.path == path]

    def seqs(self, path: str, room: str | None = None) -> list[int]:
        """The events that came to a path, of one room or all, in order."""
        return [each.seq for each in self.of(path) if room in (None, each.body["data"].get("room"))]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, got: Got) -> Answer:
        with self._lock:
            self.got.append(got)
            script = self.scripts.get(got.path)
            return script.pop(0) if script else self.answer(got)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                head = {name.lower(): value for name, value in self.headers.items()}
                got = Got(self.path, head.get("webhook-id", ""), json.loads(raw), head, raw)
                with receiver._lock:
                    lane = f"{self.path} {got.body['data'].get('room')}"
                    receiver.busy[lane] = receiver.busy.get(lane, 0) + 1
                    receiver.most_busy[lane] = max(receiver.most_busy.get(lane, 0), receiver.busy[lane])
                answer = receiver._take(got)
                with receiver._lock:
                    receiver.busy[lane] -= 1
                try:
                    self._reply(answer)
                except OSError:
                    pass
                self.close_connection = True

            def _reply(self, answer: Answer) -> None:
                if answer.hang:
                    receiver.released.wait(120)
                if answer.drip:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                    while not receiver.released.wait(0.02):
                        self.wfile.write(b"x")
                    return
                if answer.reset or answer.hang:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + (100 if answer.lie else 0)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def says(text: str) -> Answer:
    """An answer that is to be said in the room."""
    return Answer(200, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"})


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, until the end of the block."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody answers, and no other program comes to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"

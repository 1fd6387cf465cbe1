"""One WebSocket connection without a thread of its own: `websockets`' protocol over a plain socket.

So hundreds of them cost a test little, and a connection can be left as abruptly as a crashed client leaves it.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri


class Broken(Exception):
    """No answer, or not a whole one."""


class Refusal(Exception):
    """A problem instead of an answer."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("code"))
        self.code = str(problem.get("code", ""))
        self.retry_in_ms = int(problem.get("retry_in_ms") or 0)


class WebSocket:
    """Open once it is made. All its methods raise Broken; making it, Refusal too."""

    def __init__(self, url: str, query: str = "", seconds: float = 15.0, *, token: str = "") -> None:
        parts = urlsplit(url)
        self._protocol = ClientProtocol(parse_uri(f"ws://{parts.netloc}/api/v1/ws?{query}"))
        self._came: list[dict[str, Any]] = []
        try:
            self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=seconds)
        except OSError as fault:
            raise Broken(repr(fault)) from None
        try:
            request = self._protocol.connect()
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            self._protocol.send_request(request)
            self._shake_hands(time.monotonic() + seconds)
        except BaseException:
            self.leave()
            raise

    @property
    def close_code(self) -> int | None:
        """The code of the close frame that came, if one came."""
        return self._protocol.close_rcvd.code if self._protocol.close_rcvd else None

    def send(self, envelope: dict[str, Any]) -> None:
        """One envelope."""
        if self._protocol.state is not State.OPEN:
            raise Broken(f"closed with {self.close_code}")
        self._protocol.send_text(json.dumps(envelope).encode())
        self._flush()

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next envelope; None where none comes within `seconds`."""
        deadline = time.monotonic() + seconds
        while not self._came:
            if not readable(self.socket, deadline - time.monotonic()):
                return None
            self._take()
        return self._came.pop(0)

    def leave(self) -> None:
        """Close without the closing handshake, as a browser's tab does."""
        self.socket.close()

    def _shake_hands(self, deadline: float) -> None:
        self._flush()
        while self._protocol.state is State.CONNECTING:
            if not readable(self.socket, deadline - time.monotonic()):
                raise Broken("no handshake")
            self._take()

    def _take(self) -> None:
        try:
            data = self.socket.recv(65_536)
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
        except (OSError, WebSocketException) as fault:
            raise Broken(repr(fault)) from None
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._refused(event)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._came.append(json.loads(event.data))
        self._flush()
        if not data or self._protocol.state is not State.OPEN:
            if not self._came and self._protocol.state is not State.CONNECTING:
                raise Broken(f"closed with {self.close_code}")
            if not data and not self._came:
                raise Broken("it ended")

    def _refused(self, response: Response) -> None:
        if response.status_code == 101:
            return
        try:
            problem = json.loads(response.body or b"")
        except ValueError:
            raise Broken(f"status {response.status_code}") from None
        raise Refusal(problem)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            with contextlib.suppress(OSError):  # the peer has gone: the next reading says so
                self.socket.sendall(data) if data else self.socket.shutdown(socket.SHUT_WR)


def readable(sock: socket.socket, seconds: float) -> bool:
    """Whether something comes within so many seconds."""
    # poll, since select knows no descriptors above 1023.
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return bool(waiting.poll(max(0.0, seconds) * 1000))

"""A client that does what a browser's EventSource does (HTML §9.2), and records all that it sees."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from clients import ROOM, Client, Urls
from history import History, Read, got, seq_of
from websocket_peer import Broken, readable


class EventSource(Client):
    """Listens from now on, and connects again with the last `id:` that it has seen, or without one.

    Its place is known to it by nothing else: what it has been told otherwise, it only records.
    """

    def __init__(self, history: History, name: str, urls: Urls, seed: int) -> None:
        super().__init__(history, name, urls, seed)
        self.last_id = ""
        self.may_connect = threading.Event()
        self.may_connect.set()
        self.cursor = ""
        self.listening = 0
        """Connections that have been told that they are live."""

    @property
    def seq(self) -> int:
        """The number that it has come to."""
        return seq_of(self.cursor) or 0

    def work(self) -> None:
        while not self.halt.is_set():
            if not self.may_connect.wait(0.1):
                continue
            operation = self.history.read(self.name, "sse", self.cursor or "now", held=True)
            try:
                for event_id, data in self._connect():
                    self._take(operation, event_id, data)
            except (Broken, OSError) as fault:
                operation.code = str(fault)
            operation.ended = self.history.now()
            self.pause(random.Random(self.name).uniform(0.01, 0.05))

    def _take(self, operation: Read, event_id: str | None, data: str) -> None:
        if event_id is not None:
            self.last_id = event_id
        envelope = json.loads(data)
        if "seq" in envelope:
            operation.got.append(got(envelope, self.history.now()))
            self.cursor = envelope["cursor"]
        elif envelope["command"] == "caught-up":
            operation.position, operation.caught_up_at = envelope["cursor"], self.history.now()
            self.cursor = envelope["cursor"]
            self.listening += 1

    def _connect(self) -> Iterator[tuple[str | None, str]]:
        """The id, if there is one, and the data of each event that comes over one connection."""
        parts = urlsplit(self.url())
        asked = f"GET {ROOM}/events HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: text/event-stream\r\n"
        if self.last_id:
            asked += f"Last-Event-ID: {self.last_id}\r\n"
        with socket.create_connection((parts.hostname, parts.port or 80), timeout=5) as sock:
            sock.sendall(f"{asked}\r\n".encode())
            event_id = None
            for line in self._lines(sock):
                # Lines of the chunked coding begin as neither does.
                if line.startswith("id: "):
                    event_id = line.removeprefix("id: ")
                elif line.startswith("data: "):
                    yield event_id, line.removeprefix("data: ")
                    event_id = None

    def _lines(self, sock: socket.socket) -> Iterator[str]:
        data = b""
        while not self.halt.is_set():
            if readable(sock, 0.1):
                came = sock.recv(65_536)
                if not came:
                    raise Broken("it ended")
                *lines, data = (data + came).split(b"\n")
                yield from (line.decode().rstrip("\r") for line in lines)

"""An account on several devices among the clients: each follows the inbox over a transport, one marks what it has read.

The room is the lobby, in which visitors write; the account is made in the store, beside the servers.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from clients import CERTAIN, ROOM, Client, Http, Urls, _lines
from history import History
from websocket_peer import Broken, Refusal, WebSocket

from quotechat.config import Settings
from quotechat.hub.accounts.credentials import mint
from quotechat.store.accounts import accounts, sessions
from quotechat.store.open import open_store
from quotechat.store.shapes import Sql

ROOM_NAME = "lobby"
DEVICES = ("long", "ws", "ndjson")
Place = tuple[int, int, int]
"""Up to where it has read, the newest message, and how many there are."""


def account(data: Path, database: str) -> str:
    """The token of a new account, a member of the lobby, in the store of the servers."""
    now = time.time_ns() // 1_000_000

    def work(sql: Sql) -> str:
        made = accounts.make(sql, "Ann", "member", now)
        token, secret = mint(made.id, "devices", now)
        sessions.add_token(sql, token)
        return secret

    with contextlib.closing(open_store(Settings(data=data, database=database))) as store:
        return store.write_with(work)


class Device(Client):
    """Follows the inbox over `transport`; `place` is what it shows."""

    def __init__(self, history: History, name: str, urls: Urls, seed: int, token: str, transport: str) -> None:
        super().__init__(history, name, urls, seed)
        self.transport = transport
        self.place: Place = (0, 0, 0)
        self._token = token
        self._cursor = "0"
        self._http = Http(headers=_bearer(token))

    def work(self) -> None:
        while not self.halt.is_set():
            try:
                self._poll() if self.transport == "long" else self._follow()
            except Broken:
                self.pause(self.chance.uniform(0, 0.1))
            except Refusal as refusal:
                if refusal.code not in CERTAIN | {"internal"}:
                    raise
                self.pause(self.chance.uniform(0, 0.2))
        self._http.close()

    def truth(self, url: str) -> Place:
        """The place as the server at `url` has it. Raises Broken, Refusal."""
        begun = self.history.now()
        with contextlib.closing(Http(headers=_bearer(self._token))) as http:
            place = _place(http.ask(url, "GET", "/api/v1/inbox")["rooms"][ROOM_NAME])
        self.history.look(f"worker at {url}", begun, *place)
        return place

    def _poll(self) -> None:
        begun = self.history.now()
        answer = self._http.ask(self.url(), "GET", f"/api/v1/inbox?after={self._cursor}&wait=1")
        if answer.get("complete"):
            self.place = _place(answer["rooms"][ROOM_NAME])
        self._cursor = answer["cursor"]
        self.history.look(self.name, begun, *self.place)

    def _follow(self) -> None:
        begun = self.history.now()
        for envelope in self._envelopes():
            entry = envelope.get("rooms", {}).get(ROOM_NAME)
            if envelope["command"] == "inbox" and entry is not None:
                self.place = _place(entry)
            elif envelope["command"] == "news" and entry is not None:
                self.place = (self.place[0], entry["last"], entry["messages"])
            elif envelope["command"] == "caught-up" and begun:
                self.history.look(self.name, begun, *self.place)
                begun = 0
            elif envelope["command"] in ("error", "reset"):
                raise Refusal(envelope["error"])
            self._cursor = envelope.get("cursor", self._cursor)

    def _envelopes(self) -> Any:
        if self.transport == "ws":
            ws = WebSocket(self.url(), token=self._token)
            try:
                ws.send({"command": "subscribe", "room": "@inbox", "after": self._cursor})
                while not self.halt.is_set():
                    envelope = ws.receive(0.1)
                    if envelope is not None:
                        yield envelope
            finally:
                ws.leave()
        else:
            yield from self._stream()

    def _stream(self) -> Any:
        import socket
        from urllib.parse import urlsplit

        parts = urlsplit(self.url())
        asked = (
            f"GET /api/v1/inbox?after={self._cursor} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Accept: application/x-ndjson\r\nAuthorization: Bearer {self._token}\r\n\r\n"
        )
        try:
            with socket.create_connection((parts.hostname, parts.port or 80), timeout=5) as sock:
                sock.sendall(asked.encode())
                yield from _lines(sock, self.halt.is_set)
        except OSError as fault:
            raise Broken(repr(fault)) from None


class Marker(Client):
    """Marks the newest message read, `rate` times a second at most."""

    def __init__(self, history: History, name: str, urls: Urls, seed: int, token: str, rate: float = 10) -> None:
        super().__init__(history, name, urls, seed)
        self._rate = rate
        self._http = Http(headers=_bearer(token))

    def work(self) -> None:
        while not self.halt.is_set():
            with contextlib.suppress(Broken):
                self._mark()
            self.pause(self.chance.expovariate(self._rate))
        self._http.close()

    def _mark(self) -> None:
        url, begun = self.url(), self.history.now()
        try:
            place = _place(self._http.ask(url, "GET", "/api/v1/inbox")["rooms"][ROOM_NAME])
            self.history.look(self.name, begun, *place)
            last = place[1]
            mark = self.history.mark(self.name, last)
            self._http.ask(url, "PUT", f"{ROOM}/read", {"id": last})
        except Refusal as refusal:
            if refusal.code not in CERTAIN | {"outcome-unknown", "internal"}:
                raise
        else:
            mark.ended, mark.outcome = self.history.now(), "ok"


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _place(entry: dict[str, Any]) -> Place:
    return entry["read"]["id"], entry.get("last", 0), entry.get("messages", 0)

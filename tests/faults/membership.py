"""A member of a closed room, who is let in and put out again and again while it reads there, beside every scenario.

The history has each change with its place in the room's log, and what each reader of the member got; `checker` says
what they may have got.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path
from typing import Any, NamedTuple

from clients import CERTAIN, Client, Http, Reader, Urls
from history import History, Read
from websocket_peer import Broken, Refusal

from quotechat.config import Settings
from quotechat.hub.accounts.credentials import mint
from quotechat.store.accounts import accounts, sessions
from quotechat.store.open import open_store
from quotechat.store.shapes import Sql

READERS = ("long", "ws", "ndjson")
PAUSE = 0.12
"""Seconds between two changes, on average."""


class Belonging(NamedTuple):
    """Who manages the room, and who is its member, by their tokens."""

    manager: str
    member: str
    member_id: str


def people(data: Path, database: str) -> Belonging:
    """Make both accounts in the store of the servers."""
    now = time.time_ns() // 1_000_000

    def make(sql: Sql, name: str) -> tuple[str, str]:
        made = accounts.make(sql, name, "member", now)
        token, secret = mint(made.id, "membership", now)
        sessions.add_token(sql, token)
        return secret, made.key

    def work(sql: Sql) -> Belonging:
        manager, _ = make(sql, "Max")
        return Belonging(manager, *make(sql, "Mo"))

    with contextlib.closing(open_store(Settings(data=data, database=database))) as store:
        return store.write_with(work)


def closed_room(url: str, who: Belonging) -> str:
    """Make the room of the manager; the path of its API."""
    with contextlib.closing(Http(headers=_bearer(who.manager))) as http:
        while True:
            with contextlib.suppress(Broken):
                made = http.ask(url, "POST", "/api/v1/rooms", {"name": "closed", "kind": "closed"})
                return f"/api/v1/rooms/{made['name']}"


class Changer(Client):
    """Lets the member in, says something, and puts it out; each is tried again until it is acknowledged."""

    def __init__(self, history: History, name: str, urls: Urls, seed: int, who: Belonging, room: str) -> None:
        super().__init__(history, name, urls, seed)
        self._member = who.member_id
        self._room = room
        self._http = Http(headers=_bearer(who.manager))
        self._keys = itertools.count(1)

    def work(self) -> None:
        while not self.halt.is_set():
            for command in ("add-member", "remove-member"):
                change = self.history.change(command)
                answer = self._done(command, member={"id": self._member})
                if answer is not None:
                    change.seq, change.ended = answer.get("seq", 0), self.history.now()
                for _ in range(self.chance.randint(1, 3)):
                    self._done("send-message", message={"user": "Max", "message": "hush"})
                self.pause(self.chance.expovariate(1 / PAUSE))
        self._http.close()

    def _done(self, command: str, **fields: Any) -> dict[str, Any] | None:
        """The acknowledgement of a command; None if the test is over before."""
        key = f"{self.name}-{next(self._keys)}"
        while not self.halt.is_set():
            try:
                return self._http.ask(
                    self.url(), "POST", f"{self._room}/commands", {"command": command, "client_id": key, **fields}
                )
            except Broken:
                pass
            except Refusal as refusal:
                # An old backup may be from before the room was made.
                if refusal.code not in CERTAIN | {"outcome-unknown", "internal", "room-unknown"}:
                    raise
            self.pause(self.chance.uniform(0, 0.1))
        return None


class Member(Reader):
    """Reads on in the closed room, over one transport; what it is refused is recorded, and asked for again."""

    def __init__(
        self, history: History, name: str, urls: Urls, seed: int, who: Belonging, room: str, transport: str
    ) -> None:
        super().__init__(history, name, urls, seed, transports=(transport,), wait=1.0, room=room, token=who.member)

    def begin(self, transport: str, after: str, *, held: bool = False, final: bool = False) -> Read:
        """A poll or a connection begins."""
        return self.history.view(self.name, transport, after, held=held)

    def snapshot(self) -> None:
        """Begin anew: with the whole log, since a snapshot may be refused too."""
        self.cursor = "0"

    def _refused(self, refusal: Refusal) -> None:
        if refusal.code != "room-unknown":
            return super()._refused(refusal)
        self.pause(self.chance.uniform(0, 0.05))
        return None


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}

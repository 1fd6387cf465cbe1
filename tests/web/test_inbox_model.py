"""Random use of rooms by several people over two workers: every inbox equals the counted truth, after every step.

``python tests/web/test_inbox_model.py STEPS`` goes on for longer than the test.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from inboxes import Model
from people import PASSWORD, Browser, joined, owner
from servers import until

from quotechat import create_app
from quotechat.config import Settings
from quotechat.protocol.cursor import START
from quotechat.protocol.rights.principal import Principal
from quotechat.store.accounts import accounts

ROOMS, PEOPLE = ["red", "green", "blue"], ["Ann", "Bo", "Cy"]


class Device:
    """A device of somebody, at one worker: it keeps the inbox by what it is told, and takes whole ones as they come."""

    def __init__(self, app: Any, name: str) -> None:
        self.client, self.name = app.test_client(), name
        self.rooms: dict[str, Any] = {}
        self.cursor = "0"
        answer = self.ask("POST", "/sessions", {"name": name, "password": PASSWORD})
        assert answer.status_code == 201

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        about = {} if body is None else {"json": body}
        return self.client.open(
            f"/api/v1{path}", method=method, headers={"Origin": "http://localhost"}, **about
        )

    def read(self) -> dict[str, Any]:
        """Ask from the last cursor on: nothing new, or all."""
        found = self.ask("GET", f"/inbox?after={self.cursor}").get_json()
        if found.get("complete"):
            self.rooms = found["rooms"]
        self.cursor = found["cursor"]
        return self.rooms


class Live:
    """What a socket of somebody is told, applied as a client does."""

    blocked = False

    def __init__(self, app: Any, name: str) -> None:
        self.rooms: dict[str, Any] = {}
        chat, reactor = app.extensions["quotechat"], app.extensions["quotechat.services"].reactor
        account = chat.read_with(lambda sql: accounts.by_name(sql, name))
        who = Principal(account.identity, account.id, account.key, name, account.role)
        reactor.call(lambda: reactor.inbox.follow(self, who, START))
        self.end = partial(reactor.call, lambda: reactor.inbox.unfollow(self))

    def inbox_sends(self, encoded: bytes, position: str | None = None) -> None:
        envelope = json.loads(encoded)
        if envelope["command"] == "news":
            for room, counts in envelope["rooms"].items():
                self.rooms[room] = counted({**self.rooms.get(room, {}), **counts})
        elif envelope["command"] == "inbox":
            kept = {} if envelope.get("complete") else self.rooms
            self.rooms = {room: entry for room, entry in kept.items() if room not in envelope.get("gone", ())}
            self.rooms |= envelope["rooms"]


def counted(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry whose counts have moved, with what is unread by now."""
    read = entry.get("read")
    if read is not None:
        new = entry["last"] > read["id"]
        entry["unread"] = max(1, entry["messages"] - read["messages"]) if new else 0
    return {name: value for name, value in entry.items() if value}


class Walk:
    """Random steps, each with the truth beside it."""

    def __init__(self, devices: dict[str, list[Device]], choice: random.Random) -> None:
        self.devices, self.random = devices, choice
        self.model = Model(ROOMS, PEOPLE)
        self.heads = dict.fromkeys(ROOMS, 0)
        self.own: dict[tuple[str, str], list[int]] = {}
        self.apps: list[Any] = []

    def step(self) -> str:
        """Do something, by any device of anybody; what it was."""
        who, room = self.random.choice(PEOPLE), self.random.choice(ROOMS)
        device = self.random.choice(self.devices[who])
        kinds = ["send"] * 6 + ["read"] * 4 + ["edit", "delete", "delete", "join", "leave", "back", "react"]
        kind = self.random.choice(kinds)
        getattr(self, kind)(device, who, room)
        return f"{kind} by {who} in {room}"

    def check(self) -> None:
        """Every device sees the truth, whichever worker it asks."""
        for who, devices in self.devices.items():
            truth = self.model.inbox(who)
            for device in devices:
                assert device.read() == truth, f"{who}: {truth}"

    def _text(self) -> tuple[str, set[str]]:
        names = {name for name in PEOPLE if self.random.random() < 0.2}
        return " ".join(["hi", *(f"@{name}" for name in names)]), names

    def _done(self, answer: Any, room: str) -> int | None:
        """The seq of a new event; None if it was refused, or made none."""
        assert answer.status_code < 500, answer.get_json()
        found = answer.get_json()
        if answer.status_code >= 300 or found.get("duplicate"):
            return None
        self.heads[room] = found["seq"]
        return int(found["seq"])

    def send(self, device: Device, who: str, room: str) -> None:
        text, names = self._text()
        number = self._done(device.ask("POST", f"/rooms/{room}/messages", {"message": text}), room)
        assert number is not None
        self.own.setdefault((who, room), []).append(number)
        self.model.send(who, room, number, names)

    def edit(self, device: Device, who: str, room: str) -> None:
        if not self.own.get((who, room)):
            return
        number, (text, names) = self.random.choice(self.own[who, room]), self._text()
        if self._done(device.ask("PATCH", f"/rooms/{room}/messages/{number}", {"message": text}), room) is not None:
            self.model.edit(who, room, number, names)

    def delete(self, device: Device, who: str, room: str) -> None:
        # The newest most of all: there the phantoms are.
        own = self.own.get((who, room), [])
        if own:
            number = own.pop(self.random.choice([-1, -1, 0]))
            if self._done(device.ask("DELETE", f"/rooms/{room}/messages/{number}"), room) is not None:
                self.model.delete(room, number)

    def react(self, device: Device, who: str, room: str) -> None:
        number = self.random.randint(1, max(1, self.heads[room]))
        self._done(device.ask("PUT", f"/rooms/{room}/messages/{number}/reaction", {"reaction": "🎉"}), room)

    def join(self, device: Device, who: str, room: str) -> None:
        assert device.ask("PUT", f"/rooms/{room}/members/me").status_code < 300
        self.model.join(who, room, self.heads[room])

    def leave(self, device: Device, who: str, room: str) -> None:
        # The manager of a room, who made it, cannot.
        if device.ask("DELETE", f"/rooms/{room}/members/me").status_code < 300:
            self.model.leave(who, room)

    def read(self, device: Device, who: str, room: str) -> None:
        self._mark(device, who, room, back=False)

    def back(self, device: Device, who: str, room: str) -> None:
        self._mark(device, who, room, back=True)

    def _mark(self, device: Device, who: str, room: str, *, back: bool) -> None:
        number = self.random.choice([self.random.randint(0, self.heads[room] + 2), self.heads[room]])
        answer = device.ask("PUT", f"/rooms/{room}/read", {"id": number, "back": back})
        assert answer.status_code == 200
        self.model.mark_read(who, room, number, self.heads[room], back=back)


@contextmanager
def walk(data: Path, database: str, seed: int, workers: int = 2) -> Iterator[Walk]:
    """Some people with two devices each, at different workers of one store."""
    with ExitStack() as stack:
        apps = []
        for _ in range(workers):
            app = create_app(Settings(data=data, database=database, limits=False))
            stack.callback(app.extensions["quotechat"].close)
            apps.append(app)
            reactor = app.extensions["quotechat.services"].reactor
            # It begins with its first socket, and here is none.
            reactor._begun = True
            reactor.thread.start()
        # All wake-ups of the second worker are lost: it looks by itself.
        apps[-1].extensions["quotechat"]._moves.clear()
        owner(apps[0], "Ann").prove()
        boss = Browser(apps[0])
        boss.sign_in("Ann")
        for name in PEOPLE[1:]:
            joined(apps[0], boss, name)
        found = Walk({name: [Device(app, name) for app in apps] for name in PEOPLE}, random.Random(seed))
        for room in ROOMS:
            # By the server itself: nobody is its manager, and nobody has joined.
            apps[0].extensions["quotechat"].create_room(room, None)
        for name in PEOPLE:
            for device in found.devices[name]:
                device.ask("DELETE", "/rooms/lobby/members/me")
        found.apps = apps
        yield found


@pytest.mark.parametrize("seed", [1])
def test_every_inbox_is_the_truth(tmp_path: Path, new_database: Any, seed: int) -> None:
    """After each of some random steps, on every device; a device that asks again from its cursor misses nothing.

    What sockets are told leads to the same, also at a worker that hears no wake-up at all.
    """
    with walk(tmp_path / "data", new_database(), seed) as walking:
        told = []
        live = [(name, Live(app, name)) for name in PEOPLE for app in walking.apps]
        for number in range(24):
            told.append(walking.step())
            try:
                walking.check()
                if number % 8 == 7:
                    for name, each in live:
                        until(partial(lambda each, name: each.rooms == walking.model.inbox(name), each, name))
            except AssertionError as fault:
                raise AssertionError("\n".join([*told[-8:], str(fault)])) from fault
        for _, each in live:
            each.end()


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as place, walk(Path(place) / "data", "", random.randrange(10**9)) as long:
        for number in range(steps):
            print(number, long.step(), flush=True)
            long.check()

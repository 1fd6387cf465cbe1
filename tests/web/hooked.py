"""Bots with webhooks that lead to a receiver, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from people import Browser, owner
from receiver import Receiver

from quotechat import create_app
from quotechat.config import Settings
from quotechat.hub.webhooks import sender
from quotechat.protocol import webhooks as wire


@contextmanager
def impatient(data: Path, database: str) -> Iterator[tuple[Flask, Browser]]:
    """An application whose tries follow on each other quickly, and its owner Azin; members may have webhooks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "DELAYS", (60,))
        patch.setattr(wire, "LEAST_DELAY", 50)
        patch.setattr(sender, "_LOOK_EVERY", 0.05)
        settings = Settings(
            data=data, database=database, limits=False, webhooks="members",
            webhook_networks=("127.0.0.0/8",),
        )  # fmt: skip
        app = create_app(settings)
        boss = owner(app)
        boss.ask("PATCH", "/site", {"bots_by": "all"})
        yield app, boss
        app.extensions["quotechat"].close()


class Hooked:
    """A bot with a webhook that leads to a path of its own of the receiver, and a room of its own."""

    numbers = iter(range(1000))

    def __init__(self, boss: Browser, receiver: Receiver, rooms: tuple[str, ...] = (), **about: Any) -> None:
        self.boss, self.receiver, number = boss, receiver, next(self.numbers)
        self.path, self.name = f"/hook-{number}", f"Bot {number}"
        self.rooms = rooms or (f"room-{number}",)
        for room in self.rooms:
            boss.ask("POST", "/rooms", {"name": room})
        self.room = self.rooms[0]
        found = boss.ask("POST", "/bots", {"name": self.name}).get_json()
        self.bot, self.token = found["account"]["id"], found["token"]
        body = {"name": "grader", "url": receiver.url(self.path), "account": self.bot, "rooms": list(self.rooms)}
        answer = boss.ask("POST", "/webhooks", body | about)
        assert answer.status_code == 201, answer.get_json()
        self.id, self.secret = answer.get_json()["webhook"]["id"], answer.get_json()["secret"]

    def say(self, text: str = "Hello", room: str | None = None, by: Browser | None = None, **about: Any) -> int:
        """Say something; the seq of its event."""
        body = {"message": text, **about}
        answer = (by or self.boss).ask("POST", f"/rooms/{room or self.room}/messages", body)
        assert answer.status_code == 201, answer.get_json()
        return int(answer.get_json()["seq"])

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self.boss.ask("GET", f"/webhooks/{self.id}").get_json()
        return found

    def done(self) -> bool:
        """Whether all was taken."""
        return self.look()["behind"] == 0

    def seqs(self) -> list[int]:
        return self.receiver.seqs(self.path)

    def said(self) -> list[tuple[str, str]]:
        found = self.boss.ask("GET", f"/rooms/{self.room}/messages?limit=100").get_json()["messages"]
        return [(each["user"], each["message"]) for each in found]

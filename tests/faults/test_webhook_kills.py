"""Workers that send to webhooks, killed between an answer and the position: nothing is lost, nothing is said twice.

``ROUNDS=200 python tests/faults/test_webhook_kills.py`` does it at length (make webhook-kills).
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from receiver import Got, Receiver, receiving, says
from servers import ROOT, environment, until

from quotechat.app import open_chat
from quotechat.config import Settings
from quotechat.hub.accounts.bots import Bots
from quotechat.hub.chat import Chat
from quotechat.hub.webhooks.calls import policy
from quotechat.hub.webhooks.webhooks import Wanted, Webhooks
from quotechat.protocol.commands import NewMessage, SendMessage
from quotechat.protocol.cursor import Cursor, cursor_of

NAMES = ("one", "other")


class Workers:
    """Two workers on one store, of which any can be killed and started again."""

    def __init__(self, settings: Settings) -> None:
        self._env = environment(**settings.to_env())
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self) -> None:
        for name in NAMES:
            if name not in self.running:
                command = [sys.executable, str(ROOT / "tests" / "faults" / "webhook_worker.py"), name]
                self.running[name] = subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE, text=True)
        for process in self.running.values():
            if process.stdout is not None and not process.stdout.closed:
                assert process.stdout.readline() == "sending\n"
                process.stdout.close()

    def kill(self, name: str) -> None:
        process = self.running.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextlib.contextmanager
def sending(data: Path, database: str = "") -> Iterator[tuple[Chat, Receiver, Workers]]:
    """A store with one bot and its webhook for the lobby, a receiver, and the two workers."""
    settings = Settings(data=data, database=database, limits=False, webhook_networks=("127.0.0.0/8",))
    chat = open_chat(settings)
    chat.start()
    with receiving() as receiver:
        workers = Workers(settings)
        try:
            bot = Bots(chat, chat.now).make(None, "grader").account
            made = Webhooks(
                chat, lambda reader, room, after: cursor_of(chat.open(reader, room).place(after).cursor),
                policy(settings.webhooks, settings.webhook_networks), chat.now,
            )  # fmt: skip
            made.make(None, bot.key, Wanted("grades", receiver.url("/"), ["lobby"]))
            workers.start()
            yield chat, receiver, workers
        finally:
            for name in NAMES:
                workers.kill(name)
            chat.close()


def holder(chat: Chat) -> str:
    """The worker that has the lease."""
    return str(chat.read_with(lambda sql: (sql.one("SELECT lease_by FROM subscriber") or [""])[0]))


def behind(chat: Chat) -> int:
    row: Any = chat.read_with(lambda sql: sql.one(
        "SELECT r.head - p.seq FROM subscribed p JOIN room r ON r.id = p.room_id"
    ))  # fmt: skip
    return int(row[0])


def play(chat: Chat, receiver: Receiver, workers: Workers, rounds: int) -> dict[str, int]:
    """Kill the worker that sends, in the midst of it, so many times; what came of it, in figures."""
    sent: list[int] = []
    receiver.answer = lambda got: says(f"graded {got.seq}")
    for number in range(rounds):
        before = len(receiver.got)
        for part in range(10):
            message = NewMessage(user="Bo", message=f"homework {number}.{part}")
            outcome: Any = chat.submit(SendMessage(message=message, room="lobby"), identity=None)
            sent.append(outcome.seq)
        wanted = before + random.randint(1, 10)
        until(lambda wanted=wanted: len(receiver.got) >= wanted, 120, "a call")  # type: ignore[misc]  # bound at once
        time.sleep(random.choice((0, 0.001, 0.005, 0.02)))
        workers.kill(holder(chat))
        workers.start()
    until(lambda: behind(chat) == 0, 120, "the last events taken")
    return checked(chat, receiver.got, sent)


def checked(chat: Chat, got: list[Got], sent: list[int]) -> dict[str, int]:
    """Compare what the receiver got and what was said with what was sent."""
    first = list(dict.fromkeys(each.seq for each in got))
    said: list[str] = []
    position, more = Cursor(0), True
    while more:
        page = chat.trusted("lobby").read(position, 500)
        said += [each.envelope["message"].get("message", "") for each in page.events]
        position, more = cursor_of(page.cursor), page.more
    answers = [text for text in said if text.startswith("graded ")]
    return {
        "sent": len(sent), "lost": len(set(sent) - set(first)), "out of order": int(first != sorted(first)),
        "repeated": len(got) - len(first), "said twice": len(answers) - len(set(answers)),
        "not said": len(sent) - len(set(answers)),
    }  # fmt: skip


def test_kills_between_an_answer_and_the_position(tmp_path: Path) -> None:
    """Two workers, the one that sends killed three times: all came, in order, and each answer was said once."""
    with sending(tmp_path) as (chat, receiver, workers):
        found = play(chat, receiver, workers, 3)
    assert found == {"sent": 30, "lost": 0, "out of order": 0, "repeated": found["repeated"], "said twice": 0,
                     "not said": 0}  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        with sending(Path(directory), os.environ.get("DATABASE", "")) as (chat, receiver, workers):
            print(play(chat, receiver, workers, int(os.environ.get("ROUNDS", "200"))))

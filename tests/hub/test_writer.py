"""The queue before the store: what it takes, and what it stores at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from quotechat.hub.writer import MOST_CHARS_IN_A_BATCH, Writer
from quotechat.protocol import commands
from quotechat.protocol.errors import Refused
from quotechat.store.base import Deliver, Nothing, Outcome, Store, Write

TEXT = "x" * 4000
COMMANDS = [
    commands.SendMessage(message=commands.NewMessage("Ann", TEXT)),
    commands.EditMessage(message=commands.EditedMessage(1, TEXT)),
    commands.DeleteMessage(message=commands.MessageId(1)),
    commands.React(message=commands.Reaction(1, "like")),
    commands.AddQuote(quote=commands.NewQuote("q", "a")),
    commands.CancelScheduled(scheduled=commands.ScheduledId(1)),
    Deliver(1),
]


class Batches:
    """A store that remembers the batches; the first one waits for `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.sizes: list[int] = []

    def commit(self, writes: Sequence[Write]) -> list[Outcome | Refused]:
        self.go.wait(10)
        self.sizes.append(len(writes))
        return [Nothing()] * len(writes)


def stored(writes: list[Any]) -> list[int]:
    """The sizes of the batches in which they are stored."""
    store, done = Batches(), threading.Semaphore(0)
    writer = Writer(cast(Store, store), lambda outcomes: None)
    for command in writes:
        writer.submit(Write(command, 0, "ann"), lambda outcome: done.release())
    store.go.set()
    writer.start()
    for _ in writes:
        assert done.acquire(timeout=10)
    writer.close()
    return store.sizes


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_every_command_is_queued(command: Any) -> None:
    """Whatever it carries, it is counted and stored."""
    assert stored([command]) == [1]


def test_a_batch_is_bounded_in_characters() -> None:
    """Long messages share a transaction with fewer others, so that no transaction is long."""
    sizes = stored([COMMANDS[0]] * 200)
    assert sum(sizes) == 200 and max(sizes) <= MOST_CHARS_IN_A_BATCH // 4000
    assert stored([COMMANDS[2]] * 200) == [200]

"""The queue before the store: what it takes, and what it stores at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest
from servers import until

from quotechat.hub.writer import MOST_CHARS_IN_A_BATCH, MOST_CHARS_WAITING, MOST_WAITING, Writer
from quotechat.protocol import commands
from quotechat.protocol.errors import Overloaded, Refused
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
        self.go.wait(60)
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
        assert done.acquire(timeout=60)
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


def parts(count: int) -> list[Write]:
    """The writes of one text that makes several messages."""
    return [Write(COMMANDS[0], 0, "ann", continues=number > 0) for number in range(count)]


def outcomes_of(store: Any, texts: list[list[Write]]) -> list[Any]:
    """The outcomes of writes that are queued before the first batch."""
    found, done = list[Any](), threading.Semaphore(0)
    writer = Writer(cast(Store, store), lambda outcomes: None)
    for text in texts:
        writer.submit_all([(each, lambda outcome: (found.append(outcome), done.release())) for each in text])
    writer.start()
    for text in texts:
        for _ in text:
            assert done.acquire(timeout=60)
    writer.close()
    return found


def test_the_parts_of_a_text_share_a_batch() -> None:
    """Wherever a batch ends by its characters, or by its number of writes."""
    store = Batches()
    store.go.set()
    outcomes_of(store, [parts(3) for _ in range(80)])
    assert sum(store.sizes) == 240 and len(store.sizes) > 1 and all(size % 3 == 0 for size in store.sizes)
    store.sizes.clear()
    outcomes_of(store, [[Write(COMMANDS[2], 0, "ann", continues=number > 0) for number in range(5)]] * 120)
    assert sum(store.sizes) == 600 and len(store.sizes) > 1 and all(size % 5 == 0 for size in store.sizes)


class Broken(Batches):
    """A store in which a batch breaks that has a write of Eve's."""

    def commit(self, writes: Sequence[Write]) -> list[Outcome | Refused]:
        self.sizes.append(len(writes))
        if any(write.identity == "eve" for write in writes):
            raise RuntimeError("it breaks")
        return [Nothing()] * len(writes)


def test_the_parts_of_a_text_break_together() -> None:
    """If a batch breaks, each text is tried alone, and of the one that broke it nothing is stored."""
    store, text = Broken(), [*parts(2), Write(COMMANDS[0], 0, "eve", continues=True)]
    outcomes = outcomes_of(store, [parts(2), text, parts(3)])
    assert store.sizes == [8, 2, 3, 3]
    assert [type(each) for each in outcomes] == [Nothing] * 2 + [Overloaded] * 3 + [Nothing] * 3


@pytest.mark.parametrize(
    ("command", "most"), [(COMMANDS[2], MOST_WAITING), (COMMANDS[0], MOST_CHARS_WAITING // len(TEXT))]
)
def test_what_waits_is_bounded_in_writes_and_in_characters(command: Any, most: int) -> None:
    """More is refused at once, with nothing stored of it; when the store has taken some, writes are taken again."""
    store, outcomes = Batches(), list[Any]()
    writer = Writer(cast(Store, store), lambda outcomes: None)
    for _ in range(most + 1):  # the one that reaches the bound is taken
        try:
            writer.submit(Write(command, 0, "ann"), outcomes.append)
        except Overloaded:
            break
    waiting = len(writer._queue)
    assert most <= waiting <= most + 1
    with pytest.raises(Overloaded):
        writer.submit(Write(command, 0, "ann"), outcomes.append)
    store.go.set()
    writer.start()
    until(lambda: len(outcomes) == waiting, 120, "all that was taken")
    writer.submit(Write(command, 0, "ann"), outcomes.append)
    until(lambda: len(outcomes) == waiting + 1, what="one more")
    writer.close()
    assert sum(store.sizes) == waiting + 1


def test_a_short_wait_ends() -> None:
    """Whenever the thread is held up in it, of which some thousand times have a few: then it is over already."""
    ended = threading.Event()

    def wait() -> None:
        for _ in range(20_000):
            Writer(cast(Store, Batches()), lambda outcomes: None)._wait(2, 1e-9)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    assert ended.wait(120)


def test_writes_of_one_turn_share_a_commit() -> None:
    """Writes that do not wake the thread are stored together, when it is woken."""
    store, done = Batches(), threading.Semaphore(0)
    store.go.set()
    writer = Writer(cast(Store, store), lambda outcomes: None)
    writer.start()
    until(lambda: writer._wanted == 1, what="that it waits")
    for _ in range(5):
        writer.submit(Write(Deliver(1), 0), lambda outcome: done.release(), wake=False)
    writer.wake()
    assert all(done.acquire(timeout=60) for _ in range(5))
    writer.close()
    assert store.sizes == [5]


def test_a_write_does_not_wait_for_the_turn_of_another() -> None:
    """A sender that wakes the thread is answered, also when writes are queued that do not wake it."""
    store, done = Batches(), threading.Semaphore(0)
    store.go.set()
    writer = Writer(cast(Store, store), lambda outcomes: None)
    writer.start()
    for wake in (True, False, True):  # after the first answer it waits
        writer.submit(Write(Deliver(1), 0), lambda outcome: done.release(), wake=wake)
        if wake:
            assert done.acquire(timeout=60)
    assert done.acquire(timeout=60)
    writer.close()


def test_the_end_stores_what_nobody_woke_it_for() -> None:
    """Writes that are queued when the writer closes are stored."""
    store, done = Batches(), threading.Semaphore(0)
    store.go.set()
    writer = Writer(cast(Store, store), lambda outcomes: None)
    writer.start()
    writer.submit(Write(Deliver(1), 0), lambda outcome: done.release(), wake=False)
    writer.close()
    assert done.acquire(timeout=60)


def test_a_sender_alone_is_not_waited_for() -> None:
    """A sender that sends again as soon as it is answered counts once: its next write is stored without a linger."""
    store, done = Batches(), threading.Semaphore(0)
    expected: list[int] = []
    store.go.set()
    writer = Writer(cast(Store, store), lambda outcomes: None)

    def answered(outcome: object) -> None:
        expected.append(writer._expected)
        done.release()

    writer.submit(Write(Deliver(1), 0), lambda outcome: writer.submit(Write(Deliver(2), 0), answered))
    writer.start()
    assert done.acquire(timeout=60)
    writer.close()
    assert expected == [1] and store.sizes == [1, 1]

"""What happened, as the clients saw it: every operation with its moments on one monotonic clock.

Only the shape of a history and its recording live here; what must hold of it, `checker` says. Nothing in it
depends on what the server keeps its log in.

An operation ends in one of these outcomes: `ok`; `fail`, where the answer says for certain that nothing was
stored; `unknown`, where there was no answer or one that leaves it open.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

Outcome = Literal["ok", "fail", "unknown"]
SECOND = 1_000_000_000
"""All moments are in nanoseconds."""


class Got(NamedTuple):
    """One event as a reader got it; `mark` is equal where its content is equal."""

    at: int
    seq: int
    cursor: str
    key: str | None
    mark: int


@dataclass(slots=True)
class Send:
    """One try to send; all tries of one message have the same `key`, which is its client_id."""

    process: str
    transport: str
    key: str
    begun: int
    ended: int = 0
    outcome: Outcome = "unknown"
    seq: int = 0
    cursor: str = ""
    duplicate: bool = False
    code: str = ""
    epoch: int = 0


@dataclass(slots=True)
class Read:
    """One poll, or one connection of a stream or a WebSocket: all that came after the cursor `after`.

    `position` is the cursor that the server said the reader has now (a page's, or that of `caught-up`, which
    came at `caught_up_at`); `held` where it waits for events; `final` where it belongs to the last comparison.
    """

    process: str
    transport: str
    after: str
    begun: int
    held: bool = False
    ended: int = 0
    outcome: Outcome = "unknown"
    got: list[Got] = field(default_factory=list)
    position: str = ""
    caught_up_at: int = 0
    more: bool = False
    reset: str = ""
    code: str = ""
    final: bool = False
    epoch: int = 0


@dataclass(slots=True)
class Mark:
    """One try to mark the message `id` read, for the account of all inboxes."""

    process: str
    id: int
    begun: int
    ended: int = 0
    outcome: Outcome = "unknown"
    epoch: int = 0


@dataclass(slots=True)
class Look:
    """The place of the room in the inbox, as an answer has it that was asked for at `begun`."""

    process: str
    begun: int
    read: int
    last: int
    messages: int
    final: bool = False
    epoch: int = 0


@dataclass(slots=True)
class Change:
    """The member of the closed room is let in or put out (`command`); `ended` and `seq` are those of the ack, or 0."""

    command: str
    begun: int
    ended: int = 0
    seq: int = 0
    epoch: int = 0


@dataclass(slots=True)
class Fault:
    """Something was broken from `begun` to `ended`; `delays` where nobody can be in time then."""

    name: str
    begun: int
    ended: int = 0
    delays: bool = True


class History:
    """Operations are appended as they begin, by any thread, and filled in as they go on."""

    def __init__(self) -> None:
        self.sends: list[Send] = []
        self.reads: list[Read] = []
        self.faults: list[Fault] = []
        self.marks: list[Mark] = []
        self.looks: list[Look] = []
        self.changes: list[Change] = []
        self.views: list[Read] = []
        """What the member of the closed room reads there; `reads` are those of the lobby."""
        self.epoch = 0
        self._lock = threading.Lock()

    @staticmethod
    def now() -> int:
        """The clock of all moments."""
        return time.monotonic_ns()

    def send(self, process: str, transport: str, key: str) -> Send:
        """A try to send begins."""
        made = Send(process, transport, key, self.now(), epoch=self.epoch)
        with self._lock:
            self.sends.append(made)
        return made

    def read(self, process: str, transport: str, after: str, *, held: bool = False, final: bool = False) -> Read:
        """A poll or a connection begins."""
        made = Read(process, transport, after, self.now(), held, final=final, epoch=self.epoch)
        with self._lock:
            self.reads.append(made)
        return made

    def view(self, process: str, transport: str, after: str, *, held: bool = False) -> Read:
        """A poll or a connection of the member begins, in the closed room."""
        made = Read(process, transport, after, self.now(), held, epoch=self.epoch)
        with self._lock:
            self.views.append(made)
        return made

    def change(self, command: str) -> Change:
        """The member is about to be let in or put out."""
        made = Change(command, self.now(), epoch=self.epoch)
        with self._lock:
            self.changes.append(made)
        return made

    def mark(self, process: str, number: int) -> Mark:
        """A try to mark a message read begins."""
        made = Mark(process, number, self.now(), epoch=self.epoch)
        with self._lock:
            self.marks.append(made)
        return made

    def look(self, process: str, begun: int, read: int, last: int, messages: int, *, final: bool = False) -> None:
        """The inbox was told whole."""
        with self._lock:
            self.looks.append(Look(process, begun, read, last, messages, final, self.epoch))

    @contextlib.contextmanager
    def fault(self, name: str, *, delays: bool = True) -> Iterator[None]:
        """What happens inside counts as broken."""
        made = Fault(name, self.now(), delays=delays)
        with self._lock:
            self.faults.append(made)
        try:
            yield
        finally:
            made.ended = self.now()

    def restored(self) -> None:
        """From here on the log is another one: an old back-up, whose end may differ."""
        self.epoch += 1

    def dump(self, path: Path) -> None:
        """One JSON object a line, in the order of their beginnings."""
        operations: list[Any] = [
            *self.sends, *self.reads, *self.faults, *self.marks, *self.looks, *self.changes, *self.views,
        ]  # fmt: skip
        with path.open("w") as out:
            for each in sorted(operations, key=lambda each: each.begun):
                out.write(json.dumps({"what": type(each).__name__.lower(), **asdict(each)}) + "\n")


def got(envelope: dict[str, Any], at: int) -> Got:
    """The event in an envelope."""
    key = envelope.get("message", {}).get("client_id")
    return Got(at, envelope["seq"], envelope["cursor"], key, hash(json.dumps(envelope, sort_keys=True)))


def seq_of(cursor: str) -> int | None:
    """The number in a cursor; None in `now`."""
    number = cursor.partition(".")[0]
    return int(number) if number.isdigit() else None

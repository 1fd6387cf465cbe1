"""The contract of a store: its data, their order, and the answer to a repeat.

* **Order.** Each room has one log; `commit` gives out seq 1, 2, 3 … in commit order, without a hole.
* **Atomicity.** A batch is one transaction: when `commit` returns, what it accepted is on the disk; what it
  refused left no trace; and if it raises `CommitFailed`, nothing of the batch is known to be stored.
* **Repeats.** A `client_id` is stored at most once per room and sender. The same content again gets the
  first outcome with `duplicate`; other content is `ClientIdReused`. This is looked up after the sender's rights and
  before any rule that depends on the moment (names held, quotas, slow mode), so a repeat never fails if the first send
  succeeded and its sender may still send.
* **Reading.** Each read is one transaction: a snapshot's cursor is that of its messages, and `Page.more`
  is true exactly when an event above `Page.cursor` was committed when the page was read.
* **Deletion.** From the commit on, nothing of a deleted message is read, copied or exported, however many events and
  replies hold its words. Those are redacted in the same transaction if they are few, else in later ones (`redact`).
* **Excerpts.** A reply shows its parent as it is when it is read, in messages and in events.
* **Never silently.** A cursor that cannot be served exactly raises CursorExpired, CursorAhead or
  HistoryChanged.

Times are milliseconds since 1970 (UTC), given by the caller: there is no clock here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec.structs import force_setattr

from ..protocol import commands
from ..protocol.cursor import Cursor, Now
from ..protocol.errors import Refused
from ..protocol.events import Event
from ..protocol.markup import mentions, text
from ..protocol.rights.principal import Principal
from .shapes import Sql

T = TypeVar("T")


PAGE_BYTES = 256 * 1024
"""Bytes of one answer to a reader: it ends with the item that reaches them, however many are asked for.

Many may be asked for at once, and a message may be of one byte or of many thousands.
"""


class Impossible(Exception):
    """An operator's order cannot be carried out; the message gives the reason. Nothing was changed."""


class CommitFailed(Exception):
    """The transaction broke; `certain` if it is certain that nothing was stored."""

    def __init__(self, reason: str, *, certain: bool) -> None:
        super().__init__(reason)
        self.certain = certain


class FlushFailed(CommitFailed):
    """The disk did not take a flush: no write of this process can be trusted from here on.

    The system may have thrown the pages away and report the next flush as good. The process has to end; the next one
    writes everything it finds anew before it believes it.
    """


# --- Writes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateRoom:
    """A new room; `name` and `title` are clean. `name` is a wish if it is closed; `members` are public ids."""

    name: str
    title: str | None = None
    kind: str = "open"
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BeginDirect:
    """The direct room of the caller and `members`, who are public ids; made if it is not there."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deliver:
    """The scheduled message `id` is due."""

    id: int


@dataclass(frozen=True, slots=True)
class EraseMessage:
    """Delete a message of any sender; with `nameless` what is left of it loses the name of its author."""

    room: str
    id: int
    nameless: bool


class Write(msgspec.Struct, frozen=True):
    """One thing to store: a normalised command, its caller, and its time.

    `source` stands for the address that it came from; None if limits of addresses do not hold. `runs` are those of the
    text that is sent. They are made here, before the transaction: parsing takes longer than storing, and all rooms wait
    for a transaction.
    """

    command: commands.Write | CreateRoom | BeginDirect | Deliver | EraseMessage
    at: int
    identity: str | None = None
    proof: bytes | None = None
    """The hash of the session or token that it rests on, which must not have ended."""
    source: str | None = None
    address: str | None = None
    """The address that it came from, as bars name it; None if it came from nowhere."""
    operator: bool = False
    """True if the operator asks, who needs no right."""
    runs: list[text.Run] | None = None
    candidates: Sequence[mentions.Candidate] = ()
    """Possible mentions in its text."""

    def __post_init__(self) -> None:
        if isinstance(self.command, commands.SendMessage | commands.EditMessage):
            said = self.command.message.message
            if said is None:  # an edit of descriptions
                return
            force_setattr(self, "runs", text.runs(said))
            if "@" in said:
                force_setattr(self, "candidates", mentions.candidates(said, self.runs))


class Typist(NamedTuple):
    """A sender that types in `room`, and the head of its log then: a reader below it may have lost the right since."""

    room: str
    head: int
    id: str | None
    user: str


# --- Outcomes -------------------------------------------------------------------------------------


class Stored(msgspec.Struct, frozen=True):
    """It is event `seq` of `room`; `duplicate` if it was stored before.

    `after` is the cursor before it, which tells if it continues a history that a client knows; of a duplicate
    it is empty.
    """

    room: str
    seq: int
    cursor: str
    event: Event
    duplicate: bool = False
    after: str = ""

    def ack(self) -> dict[str, Any]:
        """Return the fields of the `ack` (protocol §2), without ``command`` and ``client_id``."""
        return {"seq": self.seq, "cursor": self.cursor} | ({"duplicate": True} if self.duplicate else {})


@dataclass(frozen=True, slots=True)
class Scheduled:
    """It waits: {`id`, `send_at`, `room`, `message`}. It has no seq before it is delivered."""

    scheduled: dict[str, Any]
    duplicate: bool = False

    def ack(self) -> dict[str, Any]:
        """As `Stored.ack`, with ``scheduled`` for ``seq`` and ``cursor`` (protocol §7, Scheduling)."""
        return {"scheduled": self.scheduled} | ({"duplicate": True} if self.duplicate else {})


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The waiting message `scheduled` will not be sent."""

    scheduled: dict[str, Any]
    duplicate: bool = False

    def ack(self) -> dict[str, Any]:
        """As `Scheduled.ack`."""
        return {"scheduled": self.scheduled} | ({"duplicate": True} if self.duplicate else {})


@dataclass(frozen=True, slots=True)
class Created:
    """The room is there; `duplicate` if it was there before."""

    room: dict[str, Any]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is so now, and no event tells of it; `fields` are those of the `ack`."""

    fields: dict[str, Any]

    def ack(self) -> dict[str, Any]:
        """As `Stored.ack`."""
        return self.fields


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing was sent: another worker delivered the due message, it was cancelled, or it went back to its sender."""


Outcome = Stored | Scheduled | Cancelled | Created | Accepted | Nothing


# --- Reads ----------------------------------------------------------------------------------------


class Due(NamedTuple):
    """A scheduled message to deliver, and whose limits hold for it; `source` as in `Write`."""

    id: int
    identity: str
    source: str | None = None


class Head(NamedTuple):
    """The end of a room's log, and the seq of the newest event that is kept no longer."""

    seq: int
    cursor: str
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Events after a cursor, contiguous, oldest first; `cursor` is the position after them.

    `retry_in_ms` is set if a held request ended early: come back after so many milliseconds.
    """

    events: list[Event]
    cursor: str
    more: bool = False
    retry_in_ms: int | None = field(default=None, kw_only=True)


class Step(NamedTuple):
    """One event verified: its room, its seq, the room's head, and its fault or None."""

    room: str
    seq: int
    head: int
    problem: str | None


Progress = Callable[[int, int], None]
"""Is told how much is done, and how much there is to do, now and then."""


class Census(NamedTuple):
    """Counts of all that a store holds."""

    rooms: int
    events: int
    messages: int
    quotes: int
    waiting: int


class Transactions(Protocol):
    """Accounts, and their belongings, are read and changed by functions of one transaction."""

    def read_with(self, work: Callable[[Sql], T]) -> T:
        """Return the result of `work`, in one read transaction."""

    def write_with(self, work: Callable[[Sql], T]) -> T:
        """Return the result of `work`, in one durable write transaction, which a refusal undoes."""


class Store(Transactions, Protocol):
    """All that the hub asks of a store. Every method but `commit` may be called from any thread."""

    def commit(self, writes: Sequence[Write]) -> list[Outcome | Refused]:
        """Store a batch, in order, in one transaction; one outcome or refusal for each.

        Raises CommitFailed, and Refused if nothing can be stored now. Only one thread of a process may call it
        at a time.
        """

    def head(self, room: str, reader: Principal | None = None) -> Head:
        """Return the head of `room`, as any process committed it. Raises RoomUnknown.

        Here and in `snapshot`, `messages`, `rooms` and `scheduled`: a room that `reader` may not read is as if it were
        not there, and that is found by the statement that reads the room. None is this process itself.
        """

    def heads(self, rooms: Collection[str]) -> dict[str, Head]:
        """Return the heads of those of `rooms` that there are."""

    def read(self, room: str, after: Cursor | Now, limit: int, most: int = PAGE_BYTES) -> Page:
        """At most `limit` events after `after`, up to the one with which they reach `most` bytes.

        With a `limit` of 0 it is `after` itself, checked and written in full. Raises RoomUnknown, CursorExpired,
        CursorAhead, HistoryChanged.
        """

    def snapshot(
        self, room: str, limit: int, identity: str | None = None, reader: Principal | None = None
    ) -> dict[str, Any]:
        """Return {`room`, `cursor`, `messages`, `has_more`, `quotes`?, `mine`?}: the latest messages, oldest first.

        `quotes` are those that were added in the same stretch of the log, each with the `seq` of its event, at
        most `limit`. Messages and quotes end, each, with the one that reaches `PAGE_BYTES`. `mine` is {`messages`:
        ids, `reactions`: {id: ``like`` or ``dislike``}} of `identity` among `messages`. Empty fields are left out.
        Raises RoomUnknown.
        """

    def messages(
        self, room: str, before: int | None, limit: int, identity: str | None = None, reader: Principal | None = None
    ) -> dict[str, Any]:
        """Return {`messages`, `has_more`, `quotes`?, `mine`?}, as `snapshot`: those before the event `before`."""

    def rooms(self, reader: Principal | None = None) -> list[dict[str, Any]]:
        """Return the rooms that `reader` may read, by name: {`name`, `title`, `head`, `at`}."""

    def scheduled(self, room: str, identity: str, reader: Principal | None = None) -> list[dict[str, Any]]:
        """Return the messages that wait for `identity` in `room`, and those refused when due. Raises RoomUnknown."""

    def typist(self, write: Write) -> Typist:
        """Return the typist; nothing is stored (`rules.typists`). Raises as a message that is sent, slow mode aside."""

    def due(self, now: int, limit: int) -> list[Due]:
        """Waiting messages whose time has come: the oldest of each sender, then the second of each, and so on."""

    def waiting(self) -> int:
        """Count the scheduled messages that wait, of all rooms."""

    def next_due(self) -> int | None:
        """When the next waiting message is due, or None."""

    def newest_quote(self) -> int:
        """Return the id of the newest quote, 0 if there is none."""

    def removed_quotes(self) -> int:
        """Count the quotes that were removed."""

    def quote_room(self, quote_id: int) -> str | None:
        """Return the room whose log has the quote, None if none has. Raises QuoteUnknown."""

    def quotes(self, before: int | None, limit: int) -> dict[str, Any]:
        """Return {`quotes`, `has_more`}: the newest first, with an id below `before`."""

    def quote(self, quote_id: int) -> dict[str, Any]:
        """Return one quote. Raises QuoteUnknown."""

    def random_quote(self) -> dict[str, Any]:
        """Return a random quote. Raises QuoteUnknown if there is none."""

    def cut(self, room: str, before: int, limit: int) -> int:
        """Forget at most `limit` of the oldest events of `room`, of before the time `before`; return how many.

        `store.retention` lists all that goes with them. Raises RoomUnknown; Impossible if the history is not complete.
        """

    def redact(self) -> bool:
        """Go on with what deletions, cuts and removed rooms left, in one bounded transaction; whether there is more.

        The rest is never served, and stands in the log until then. Any process may do it at any time.
        """

    def remove_room(self, room: str, at: int) -> None:
        """Remove `room` for good: it is unknown from here on, and `redact` deletes what it held. Raises RoomUnknown.

        Its quotes stay in the collection; of the lobby a new, empty one takes its place.
        """

    def prune(self, before: int, now: int) -> bool:
        """Forget some client_ids of before `before`, and some names that nobody holds `now`; whether there is more."""

    def secret(self) -> str:
        """Return the secret that signs identities: the same for all processes on this store, made with it."""

    def version(self) -> int:
        """Return a number that changes when another process has committed."""

    def verify(self) -> Iterator[Step]:
        """Walk every room's hash chain."""

    def close(self) -> None:
        """Release all; the store is not used any more."""

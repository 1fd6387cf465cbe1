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
* **Never silently.** A cursor that cannot be served exactly raises CursorExpired, CursorAhead or HistoryChanged.

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

CLOCKS_MS = 60_000
"""Milliseconds by which a request may be dated before one that was stored earlier: it waited, or clocks differ."""
PAGE_BYTES = 256 * 1024
"""Bytes of one answer to a reader: it ends with the item that reaches them, even if the reader asked for more items.

A reader may ask for many items at once, and a message may have one byte or many thousands.
"""


class Impossible(Exception):
    """An operator's order cannot be carried out; the message gives the reason. Nothing was changed."""


class CommitFailed(Exception):
    """The transaction failed; `certain` is True if certainly nothing was stored."""

    def __init__(self, reason: str, *, certain: bool) -> None:
        super().__init__(reason)
        self.certain = certain


class FlushFailed(CommitFailed):
    """A flush to the disk failed: no later write of this process can be trusted.

    The system may have dropped the pages and report success for the next flush. The process has to end; the next one
    rewrites all that it finds before it relies on it.
    """


# --- Writes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateRoom:
    """Make a room; `name` and `title` are clean. A closed room gets a name like `name`; `members` are public ids."""

    name: str
    title: str | None = None
    kind: str = "open"
    members: tuple[str, ...] = ()
    form: bytes | None = None  # a keyed hash of the form for a closed room, which makes one room however often it comes


@dataclass(frozen=True, slots=True)
class BeginDirect:
    """Return the direct room of the caller and `members`, given by public ids; make it if there is none."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Deliver the scheduled message `id`, which is due."""

    id: int


@dataclass(frozen=True, slots=True)
class EraseMessage:
    """Delete a message of any sender; with `nameless` its stub loses the name of its author."""

    room: str
    id: int
    nameless: bool


class Write(msgspec.Struct, frozen=True):
    """A normalised command to store, with its caller and its time (milliseconds since 1970).

    `source` is the keyed hash of its address; None if limits of addresses do not hold. `runs` are the styled parts of
    the text that is sent. They are made here, before the transaction: parsing takes longer than storing, and all rooms
    wait for a transaction.
    """

    command: commands.Write | CreateRoom | BeginDirect | Deliver | EraseMessage
    at: int
    identity: str | None = None
    proof: bytes | None = None
    """The hash of the session or token that it rests on, which must not have ended."""
    source: str | None = None
    address: str | None = None
    """The address of the client, as bars name it; None if there is no client."""
    operator: bool = False
    """True for a command of the operator, which needs no right."""
    runs: list[text.Run] | None = None
    candidates: Sequence[mentions.Candidate] = ()
    """Possible mentions in its text."""
    continues: bool = False
    """True for a further part of a long text: it is stored with the parts before, or not at all, and is not slowed."""

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
    """The command is stored as event `seq` of `room`; `duplicate` is True if it was stored before.

    `after` is the cursor before it, by which a feed checks that it continues the known history; of a duplicate it is
    empty.
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
    """The message is scheduled: {`id`, `send_at`, `room`, `message`}. It has no seq before it is delivered."""

    scheduled: dict[str, Any]
    duplicate: bool = False

    def ack(self) -> dict[str, Any]:
        """As `Stored.ack`, with ``scheduled`` for ``seq`` and ``cursor`` (protocol §7, Scheduling)."""
        return {"scheduled": self.scheduled} | ({"duplicate": True} if self.duplicate else {})


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The scheduled message `scheduled` will not be sent."""

    scheduled: dict[str, Any]
    duplicate: bool = False

    def ack(self) -> dict[str, Any]:
        """As `Scheduled.ack`."""
        return {"scheduled": self.scheduled} | ({"duplicate": True} if self.duplicate else {})


@dataclass(frozen=True, slots=True)
class Created:
    """The room exists; `duplicate` is True if it existed before."""

    room: dict[str, Any]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command has taken effect without an event; `fields` are those of the `ack`."""

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
    """A scheduled message to deliver, with the identity whose limits hold for it; `source` as in `Write`."""

    id: int
    identity: str
    source: str | None = None
    room_id: int = 0


class Head(NamedTuple):
    """The end of a room's log; `floor` is the seq of the newest event that retention has deleted."""

    seq: int
    cursor: str
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Events after a cursor, contiguous, oldest first; `cursor` is the position after them.

    `retry_in_ms` is set if a held request ended early: the client comes back after so many milliseconds.
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
"""Called at intervals with the amount that is done and the whole amount."""


class Census(NamedTuple):
    """Counts of all that a store holds."""

    rooms: int
    events: int
    messages: int
    quotes: int
    waiting: int


class Transactions(Protocol):
    """Runs functions in one transaction each: so accounts and all that belongs to them are read and changed."""

    def read_with(self, work: Callable[[Sql], T]) -> T:
        """Return the result of `work`, in one read transaction."""

    def write_with(self, work: Callable[[Sql], T], *, patience: float | None = None) -> T:
        """Return the result of `work`, in one durable write transaction, which a refusal undoes.

        Raises Overloaded if other processes keep it waiting for `patience` seconds; None leaves that to the store.
        """


class Store(Transactions, Protocol):
    """The methods of a store that the hub uses. Every method but `commit` may be called from any thread."""

    def commit(self, writes: Sequence[Write]) -> list[Outcome | Refused]:
        """Store a batch, in order, in one transaction; one outcome or refusal for each.

        Raises CommitFailed, and Refused if nothing can be stored now. One thread of a process calls it at a time.
        """

    def head(self, room: str, reader: Principal | None = None) -> Head:
        """Return the head of `room`, as any process committed it. Raises RoomUnknown.

        Here and in `snapshot`, `messages`, `rooms` and `scheduled`: a room that `reader` may not read is as if it were
        not there, and that is found by the statement that reads the room. None is this process itself.
        """

    def heads(self, rooms: Collection[str]) -> dict[str, Head]:
        """Return the heads of those of `rooms` that exist."""

    def read(self, room: str, after: Cursor | Now, limit: int, most: int = PAGE_BYTES) -> Page:
        """Return at most `limit` events after `after`, up to the one with which they reach `most` bytes.

        With a `limit` of 0 the page has only the cursor: `after`, checked and complete. Raises RoomUnknown,
        CursorExpired, CursorAhead, HistoryChanged.
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
        """Return scheduled messages that are due: the oldest of each sender, then the second of each, and so on."""

    def waiting(self) -> int:
        """Count the scheduled messages that wait, of all rooms."""

    def next_due(self) -> int | None:
        """Return the time at which the next scheduled message is due, or None."""

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
        """Delete at most `limit` of the oldest events of `room`, of before the time `before`; return their number.

        `store.maintenance.retention` lists what goes. Raises RoomUnknown; Impossible if the history is not complete.
        """

    def redact(self) -> bool:
        """Redact a part of what deletions, cuts and removed rooms left behind; return True if there is more.

        It is one bounded transaction. The rest is never served, and stays in the log until then. Any process may call
        this at any time.
        """

    def remove_room(self, room: str, at: int) -> None:
        """Remove `room` for good: it is unknown from here on, and `redact` deletes what it held. Raises RoomUnknown.

        Its quotes stay in the collection; of the lobby a new, empty one takes its place.
        """

    def prune(self, before: int, now: int) -> bool:
        """Delete some client_ids of before `before`, and what else is no longer kept `now`; return True if more is."""

    def secret(self) -> str:
        """Return the secret that signs identities: the same for all processes on this store, made with it."""

    def version(self) -> int:
        """Return a number that changes when another process has committed."""

    def verify(self) -> Iterator[Step]:
        """Verify every room's hash chain, event by event."""

    def close(self) -> None:
        """Release all resources; the store may not be used afterwards."""

"""The writing half of `Chat`: the checks before a command goes to the writer."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..protocol import commands, names
from ..protocol.errors import Draining, MalformedEnvelope, RateLimited, Refused
from ..store.accounts.accounts import NAME_CHARS
from ..store.base import (
    Accepted,
    BeginDirect,
    Cancelled,
    Created,
    CreateRoom,
    FlushFailed,
    Nothing,
    Outcome,
    Scheduled,
    Stored,
    Typist,
    Write,
)  # fmt: skip
from ..store.rules.rooms import find_direct
from ..store.shapes import Sql
from .budgets.limits import Limits
from .budgets.places import Places
from .feeds import Feeds
from .passthrough import Passthrough
from .presence import Presence
from .writer import Done, PendingOutcome, Writer

T = TypeVar("T")

_MARKS = (commands.MarkRead, commands.SetLevel, commands.Join)
"""Commands that pages send by themselves: they take from a bucket of their own."""


def bucket_of(command: commands.Command) -> str:
    """Return the kind of the limit that a command takes from."""
    return "mark" if isinstance(command, _MARKS) else "message"


class Submissions(Passthrough):
    """The commands of `Chat`, which makes the parts."""

    limits: Limits
    bounds: commands.Bounds
    _clock: Callable[[], int]
    _places: Places
    presence: Presence
    _feeds: Feeds
    _writer: Writer
    _key: bytes | None
    _drained_at: float

    def submit(
        self,
        command: commands.Command,
        *,
        identity: str | None,
        address: str = "",
        first_byte_at: float | None = None,
        proof: bytes | None = None,
    ) -> Stored | Scheduled | Cancelled | Accepted:
        """Store `command` and return when it is on the disk. Raises Refused.

        `identity` owns the messages; `address` stands for the client if there is no identity. `first_byte_at` is the
        time at which the request began (time.monotonic), None for now: a request that was on its way when the drain
        began is still stored. `proof` is the hash of the session or token that it rests on.
        """
        with self._places.sending():
            outcome = PendingOutcome().of(
                lambda done: self.submit_then(
                    command, done, identity=identity, address=address, first_byte_at=first_byte_at, proof=proof
                )
            )
        assert not isinstance(outcome, Created | Nothing)
        return outcome

    def submit_parts(
        self,
        parts: Sequence[commands.SendMessage],
        *,
        identity: str | None,
        address: str = "",
        first_byte_at: float | None = None,
        proof: bytes | None = None,
    ) -> Stored:
        """Store one text, split into messages of one room, and return the first: all are stored, or none.

        The limits of the sender are charged once. The rest as in `submit`. Raises Refused.
        """
        self.check_accepting(first_byte_at)
        clean = [part.normalised(self._bounds(proof)) for part in parts]
        source = self._source(address)
        self.limits.allow(bucket_of(clean[0]), identity or address, source)
        self.presence.active(identity)
        now, answers = self._clock(), [PendingOutcome() for _ in clean]
        writes = [
            Write(part, now, identity, proof, source=source or None, address=address or None, continues=number > 0)
            for number, part in enumerate(clean)
        ]
        with self._places.sending():
            self._writer.submit_all(zip(writes, (each.done for each in answers), strict=True))
            first, *_ = [each.result() for each in answers]
        assert isinstance(first, Stored)
        return first

    def write_with(self, work: Callable[[Sql], T], *, patience: float | None = None) -> T:
        """See `Transactions`. It holds a place, as it may wait like a sender, and others ask only to read."""
        with self._places.sending():
            try:
                return super().write_with(work, patience=patience)
            except Refused as refused:
                if isinstance(refused.__cause__, FlushFailed):
                    self._writer.lost = True  # as after the flush of a message: another process replaces this one
                raise

    def submit_then(
        self,
        command: commands.Command,
        done: Done,
        *,
        identity: str | None,
        address: str = "",
        first_byte_at: float | None = None,
        proof: bytes | None = None,
        wake: bool = True,
    ) -> None:
        """As `submit`, without waiting: `done` gets the outcome or the refusal, on another thread, after the commit.

        Without `wake` the writer may begin only when `wake_writer` is called: a caller with several commands calls it
        once. Raises Refused if the command is refused at once; then `done` is not called.
        """
        if isinstance(command, commands.Subscribe | commands.Unsubscribe | commands.Ping | commands.Typing):
            raise MalformedEnvelope("This command belongs on a WebSocket.")
        self.check_accepting(first_byte_at)
        clean = command.normalised(self._bounds(proof))
        source = self._source(address)
        if isinstance(clean, commands.ReportMessage):
            self.limits.allow("report", identity or address)
        self.limits.allow(bucket_of(clean), identity or address, source)
        self.presence.active(identity)
        write = Write(clean, self._clock(), identity, proof, source=source or None, address=address or None)
        self._writer.submit(write, done, wake=wake)

    def typist(
        self, command: commands.Typing, *, identity: str | None, address: str = "", proof: bytes | None = None
    ) -> Typist:
        """Return the typist, if it may write in the room now; waits for the store. Raises Refused."""
        self.presence.active(identity)
        said = commands.NewMessage(command.user or "", "…")
        message = commands.SendMessage(message=said, room=command.room)
        return self._store.typist(Write(message, self._clock(), identity, proof, address=address or None))

    def wake_writer(self) -> None:
        """Let the writer begin with the commands that `submit_then` has queued."""
        self._writer.wake()

    def operate(self, command: commands.Write) -> Outcome:
        """Store `command` of the operator, without a check of rights. Raises Refused."""
        self.check_accepting(None)
        write = Write(command.normalised(self.bounds), self._clock(), operator=True)
        with self._places.sending():
            return PendingOutcome().of(lambda done: self._writer.submit(write, done))

    def create_room(
        self,
        name: str,
        title: str | None,
        identity: str | None = None,
        address: str = "",
        first_byte_at: float | None = None,
        *,
        kind: str = "open",
        members: tuple[str, ...] = (),
        proof: bytes | None = None,
        form: str = "",
    ) -> dict[str, Any]:
        """Create a new room, as the API shows it; `first_byte_at` and `proof` as in `submit`.

        `form` is the number of a form: if the same one for a closed room comes again, return the room that it has
        made. Raises Invalid, Conflict, Forbidden, AccountUnknown, RateLimited.
        """
        self.check_accepting(first_byte_at)
        name, title = names.clean_room(name), names.clean_title(title) if title else None
        # Keyed: clients cannot compute the name that is made of it.
        number = self._keyed("\n".join((identity or "", name, title or "", form))) if form else None
        room = CreateRoom(name, title, kind, members, number)
        self.limits.allow("room", identity or address, self._source(address))
        return self._make(Write(room, self._clock(), identity, proof, address=address or None)).room

    def begin_direct(
        self, command: BeginDirect, identity: str, first_byte_at: float | None = None, proof: bytes | None = None
    ) -> Created:
        """Return the direct room of these people, which is made if it is not there.

        Raises AccountUnknown, Forbidden, Invalid, Conflict, RateLimited.
        """
        self.check_accepting(first_byte_at)
        write = Write(command, self._clock(), identity, proof)
        try:
            self.limits.allow("direct", identity)
        except RateLimited:
            # The limit is for new rooms.
            with contextlib.suppress(Refused):
                there = self._store.read_with(lambda sql: find_direct(sql, command, write))
                if there is not None:
                    return there
            raise
        try:
            created = self._make(write)
        except Refused:
            self.limits.refund("direct", identity)
            raise
        if created.duplicate:
            self.limits.refund("direct", identity)
        return created

    def _make(self, write: Write) -> Created:
        with self._places.sending():
            created = PendingOutcome().of(lambda done: self._writer.submit(write, done))
        assert isinstance(created, Created)
        return created

    def check_accepting(self, first_byte_at: float | None) -> None:
        """Raise Draining if the request began after the drain; None stands for now (time.monotonic)."""
        if self._feeds.ended and (time.monotonic() if first_byte_at is None else first_byte_at) > self._drained_at:
            raise Draining()

    def _bounds(self, proof: bytes | None) -> commands.Bounds:
        """Return the bounds of what is sent; with a proof an account sends it, whose name has a bound of its own."""
        return self.bounds if proof is None or self.bounds.user >= NAME_CHARS else replace(self.bounds, user=NAME_CHARS)

    def _source(self, address: str) -> str:
        """Return the limits' name of an address: a keyed hash, as a scheduled message keeps it while it waits."""
        return self._keyed(address).hex() if address and self.limits.per_client else ""

    def _keyed(self, text: str) -> bytes:
        """Return a keyed hash, the same in all processes; without the key of the store it cannot be computed."""
        if self._key is None:
            self._key = self._store.secret().encode()[:64]
        return hashlib.blake2b(text.encode(), digest_size=12, key=self._key).digest()

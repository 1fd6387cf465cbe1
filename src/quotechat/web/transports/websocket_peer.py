"""The WebSocket: commands in, events and answers out, over one socket for as many rooms as are followed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from ...hub.budgets.frames import Allowance
from ...hub.chat import Page
from ...hub.feed import Feed
from ...hub.room_handle import RoomHandle
from ...live.connection import POLICY, RESTART, SIGNED_OUT, TOO_FAR_BEHIND, Connection, frame
from ...live.peer import Peer, Subscription
from ...protocol import commands, cursor, json
from ...protocol.cursor import Cursor, Now, cursor_of
from ...protocol.errors import CursorAhead, CursorExpired, HistoryChanged, Invalid, Refused
from ...protocol.events import Event
from ...protocol.inbox import INBOX
from ...protocol.limits import MOST_PENDING, MOST_ROOMS, SOCKET_HEARTBEAT
from ...protocol.rights.principal import Principal
from ...store.base import Typist
from ..http import access, authentication, problems, quota, reads, security
from .websocket_client import Client, First, client_id_of

PONG_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 8 * 1024
"""A peer that reads at least as fast as this has time to reach a ping after all earlier bytes."""
UNFINISHED_SECONDS = 30.0
MOST_ERRORS = 100
"""The number of errors within `ERROR_SECONDS` that closes the socket."""
ERROR_SECONDS = 10.0
TYPING_SECONDS = 2.0
"""Seconds in which one `typing` of a socket counts; further ones are ignored."""


class Socket(Peer):
    """One WebSocket in the reactor."""

    __slots__ = (
        "_ahead", "_began", "_busy", "_client", "_connection", "_errors", "_first", "_frames", "_heard_at_byte",
        "_inbox", "_last_heard", "_listening", "_log_fields", "_next_heartbeat", "_pausing", "_pending", "_request_id",
        "_typed_at", "_unfinished_since",
    )  # fmt: skip
    takes_hints = True
    read_bytes = 16 * 1024

    def __init__(
        self,
        sock: Any,
        left: Callable[[], None],
        connection: Connection,
        client: Client,
        first: First = (None, None),
        ahead: bytes = b"",
        environ: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(sock, left, "websocket")
        self.principal = (environ or {}).get("quotechat.principal")
        self._log_fields = access.of(environ or {})
        self._request_id: str = (environ or {}).get("quotechat.request_id", "")
        self._connection = connection
        self._client = client
        self._first = first
        self._ahead = ahead
        self._inbox: deque[str] = deque()
        self._pending = 0
        self._busy = False
        self._errors: deque[float] = deque(maxlen=MOST_ERRORS)
        now = self._began = time.monotonic()
        self._next_heartbeat = now + SOCKET_HEARTBEAT
        self._last_heard = now
        self._unfinished_since: float | None = None
        self._frames = Allowance(now)
        self._pausing = False
        self._typed_at = -TYPING_SECONDS
        self._listening = True
        self._heard_at_byte = 0

    # --- Called by the reactor --------------------------------------------------------------------

    def opened(self) -> None:
        if isinstance(self._first, Refused):
            self._refuse(self._first, None)
        elif self._first != (None, None):
            found = dict(zip(("room", "after"), self._first, strict=True))
            self._handle({"command": "subscribe", **{name: text for name, text in found.items() if text is not None}})
        self._read_ahead()

    def _read_ahead(self) -> None:
        ahead, self._ahead = self._ahead, b""
        if ahead:
            self.received(ahead)

    def received(self, data: bytes) -> None:
        now, frames = time.monotonic(), self._connection.frames
        self._last_heard, self._heard_at_byte = now, self.bytes_out
        if self._is_to_wait(now):
            self._ahead += data  # no more is read until then
            self._listen()
            return
        self._inbox.extend(self._connection.receive(data))
        for each in (self._frames, self.reactor.frames.of(self._client.address, now)):
            each.take(self._connection.frames - frames, now)
        began = self._unfinished_since
        self._unfinished_since = (began or self._last_heard) if self._connection.unfinished else None
        if self._connection.closing:
            self._finish()
        self._after_connection()
        self._work()

    def join(self, events: Sequence[Event]) -> bytes:
        return b"".join([frame(event.encoded) for event in events])

    def caught_up(self, room: str, cursor: str) -> None:
        self._tell({"command": "caught-up", "room": room, "cursor": cursor})

    def reset(self, room: str, refused: Refused) -> None:
        self._tell({"command": "reset", "room": room, "error": problems.body(refused)})

    def swept(self, now: float) -> None:
        if self._listening and self._unfinished_since is not None and now - self._unfinished_since > UNFINISHED_SECONDS:
            self._close(POLICY, "a message took too long")
        elif now - self._last_heard > PONG_SECONDS and now - self._last_heard > self._patience():
            self.drop()
        elif now >= self._next_heartbeat and not self.blocked:
            self._next_heartbeat = now + SOCKET_HEARTBEAT
            reached = {room: each.progress() for room, each in self.subscriptions.items()}
            inbox = self.reactor.inbox.cursor(self)
            if inbox is not None:
                reached[INBOX] = inbox
            self._tell({"command": "heartbeat", "cursors": reached})
            self._connection.ping()
            self._after_connection()

    def _patience(self) -> float:
        """Return the seconds of silence after which the peer is taken for dead.

        A peer answers a ping when it has read all earlier bytes, which takes a slow peer long.
        """
        return PONG_SECONDS + (self.bytes_out - self._heard_at_byte) / SLOWEST_BYTES_PER_SECOND

    def too_far_behind(self) -> None:
        # The close frame would leave after all waiting bytes: the peer notices the end of the connection instead.
        self._close(TOO_FAR_BEHIND, "resume from your cursor")

    def principal_changed(self, principal: Principal | None) -> None:
        if principal is not None:
            self._client.name = principal.name
            self._client.principal = principal
        super().principal_changed(principal)

    def revoked(self) -> None:
        self._close(SIGNED_OUT, "signed out")

    def restart(self) -> None:
        self._close(RESTART, "restarting")

    def idle(self) -> None:
        self.reactor.inbox.resume(self)
        self._work()

    def filled(self) -> None:
        self._listen()

    def closed(self) -> None:
        self.reactor.inbox.unfollow(self)
        super().closed()
        if self._log_fields is not None:
            access.ended(
                self._log_fields, self._request_id, transport="websocket",
                seconds=round(time.monotonic() - self._began, 3),
                bytes_in=self.bytes_in, bytes_out=self.bytes_out, events=self.events, code=self._connection.code,
            )  # fmt: skip

    # --- Commands ---------------------------------------------------------------------------------

    def _work(self) -> None:
        """Handle received messages, in order, while their answers can be sent."""
        while self._inbox and self._can_work():
            self._handle_text(self._inbox.popleft())
        self._listen()

    def _listen(self) -> None:
        """Read on, unless something has to be sent first: unread bytes slow the client down."""
        listening = self.ending or not (self._inbox or self._pausing or self.blocked)
        if listening and not self._listening and self._unfinished_since is not None:
            self._unfinished_since = time.monotonic()
        self._listening = listening
        self.listen(listening)

    def _finish(self) -> None:
        """Run the commands that were complete before a close or a fault: many clients send, and close at once.

        Subscriptions that are being read do not matter any more; answers that take time are dropped.
        """
        while self._inbox and not (self.blocked or self.ending or self._pending >= MOST_PENDING):
            self._handle_text(self._inbox.popleft())

    def _is_to_wait(self, now: float) -> bool:
        """Return True if the socket, or its address, has sent too many frames; then `_go_on` runs when it may go on."""
        if self._pausing or not self.reactor.chat.limits.per_client:
            return self._pausing
        wait = max(self._frames.wait(now), self.reactor.frames.of(self._client.address, now).wait(now))
        if wait > 0:
            self._pausing = True
            self.reactor.later(now + wait, self._go_on, self)
        return self._pausing

    def _go_on(self) -> None:
        self._pausing = False
        if not self.ending:
            self._read_ahead()
            self._work()

    def _can_work(self) -> bool:
        return not (self._busy or self.blocked or self.ending or self._pending >= MOST_PENDING)

    def _handle_text(self, text: str) -> None:
        try:
            envelope = json.loads(text)
        except Refused as refused:
            self._refuse(refused, None)
            return
        self._handle(envelope)

    def _handle(self, envelope: Any) -> None:
        try:
            command = commands.decode(envelope, self._client.name)
            if not isinstance(command, commands.Ping):
                authentication.check_command(self._client.principal, command)
        except Refused as refused:
            self._refuse(refused, client_id_of(envelope))
            return
        if isinstance(command, commands.Subscribe):
            self._subscribe(command)
        elif isinstance(command, commands.Unsubscribe):
            self._unsubscribe(command)
        elif isinstance(command, commands.Typing):
            self._type(command)
        elif isinstance(command, commands.Ping):
            counted = {"bytes": {"in": self.bytes_in, "out": self.bytes_out}} if command.measure else {}
            self._answer({"command": "pong", **counted}, command.client_id)
        else:
            self._submit(command)

    def _submit(self, command: commands.Write) -> None:
        self._pending += 1
        done = partial(self._submitted, command.client_id)
        try:
            self.reactor.submit(
                security.signed(command, self._client.name), done, self, identity=self._client.identity,
                proof=self._client.principal.proof, address=self._client.address,
            )  # fmt: skip
        except Refused as refused:
            self._refuse_then(refused, command, done)

    def _refuse_then(self, refused: Refused, command: Any, then: Callable[[Any], None]) -> None:
        """Call `then` with the refusal: an unknown room comes before a limit. The next command waits for it."""
        self._busy = quota.needs_the_room(refused, command) and command.room not in self.subscriptions
        if not self._busy:
            then(refused)
            return

        def asked(found: object) -> None:
            self._busy = False
            then(refused if found is None else found)
            self._work()

        ask = partial(quota.after_the_room, self.reactor.chat, self._client.principal, command.room, refused)
        self.reactor.read(ask, asked, self)

    def _submitted(self, client_id: str | None, outcome: Any) -> None:
        self._pending -= 1
        if isinstance(outcome, Refused):
            self._refuse(outcome, client_id)
        else:
            self._answer({"command": "ack", **outcome.ack()}, client_id)
        if self._inbox:
            self._work()

    def _type(self, command: commands.Typing) -> None:
        """Tell the readers of the room that this client types; only a refusal is answered."""
        now, client = time.monotonic(), self._client
        if now - self._typed_at < TYPING_SECONDS:
            return
        self._typed_at = now
        chat = self.reactor.chat
        try:
            signed = security.signed(command.normalised(chat.bounds), client.name)
            chat.limits.allow("mark", *self._reader())
        except Refused as refused:
            self._refuse_then(refused, command, partial(self._typed, command.client_id))
            return
        if signed.user is None and client.name is not None:
            signed = replace(signed, user=client.name)
        ask = partial(
            chat.typist, signed, identity=client.identity, address=client.address, proof=client.principal.proof
        )
        self.reactor.read(ask, partial(self._typed, command.client_id), self)

    def _typed(self, client_id: str | None, found: object) -> None:
        if isinstance(found, Refused):
            self._typed_at = -TYPING_SECONDS  # it did not count
            self._refuse(found, client_id)
        elif isinstance(found, Typist):
            self.reactor.typists.typed(found)

    def hint(self, encoded: bytes) -> None:
        self.send(frame(encoded))

    def _unsubscribe(self, command: commands.Unsubscribe) -> None:
        if command.room == INBOX:
            self.reactor.inbox.unfollow(self)
        else:
            self.reactor.unfollow(self, command.room)
        self._answer({"command": "ack"}, command.client_id)

    def _follow_inbox(self, command: commands.Subscribe, after: Cursor | Now) -> None:
        try:
            authentication.need_own_account(self._client.principal)
            self.reactor.chat.limits.afford("read", *self._reader())
        except Refused as refused:
            self._refuse(refused, command.client_id)
            return
        self.reactor.inbox.follow(self, self._client.principal, after)

    def inbox_sends(self, encoded: bytes, position: str | None = None) -> None:
        """Send an envelope of the inbox, which holds `position` already."""
        self.send(frame(encoded))

    def _subscribe(self, command: commands.Subscribe) -> None:
        try:
            after = cursor.parse(command.after)
        except Refused as refused:
            self._refuse(refused, command.client_id)
            return
        if command.room == INBOX:
            self._follow_inbox(command, after)
            return
        if len(self.subscriptions) >= MOST_ROOMS and command.room not in self.subscriptions:
            self._refuse(Invalid("room", f"At most {MOST_ROOMS} rooms over one socket."), command.client_id)
            return
        # The next command on this socket may depend on it, so it waits.
        self._busy = True
        self.reactor.read(partial(self._open, command.room, after), partial(self._subscribed, command), self)

    def _open(self, room: str, after: Cursor | Now) -> tuple[RoomHandle, Feed, Page]:
        handle = self.reactor.chat.open(self._client.principal, room)
        self.reactor.chat.limits.afford("read", *self._reader())
        return handle, handle.follow(), handle.place(after)

    def _reader(self) -> tuple[str, str]:
        return self._client.identity or self._client.address, self._client.address

    def _subscribed(self, command: commands.Subscribe, found: Any) -> None:
        self._busy = False
        if isinstance(found, CursorExpired | CursorAhead | HistoryChanged):
            self.reactor.unfollow(self, command.room)
            self.reset(command.room, found)
        elif isinstance(found, Refused):
            self._refuse(found, command.client_id)
        elif found is not None and not self.ending:
            handle, feed, page = found
            if page.more:
                self.reactor.resumes += 1
            position = cursor_of(page.cursor)
            reads.begun(self.reactor.chat.limits, *self._reader(), feed.head - position.seq)
            self.reactor.follow(self, Subscription(handle, feed, position))
        self._work()

    # --- Answers ----------------------------------------------------------------------------------

    def _refuse(self, refused: Refused, client_id: str | None) -> None:
        self._answer({"command": "error", "error": problems.body(refused)}, client_id)
        now = time.monotonic()
        self._errors.append(now)
        if len(self._errors) == MOST_ERRORS and now - self._errors[0] < ERROR_SECONDS:
            self._close(POLICY, "too many errors")

    def _answer(self, envelope: dict[str, Any], client_id: str | None) -> None:
        self._tell(envelope if client_id is None else {**envelope, "client_id": client_id})

    def _tell(self, envelope: dict[str, Any]) -> None:
        self.send(frame(json.dumps(envelope)))

    def _close(self, code: int, reason: str) -> None:
        self._connection.close(code, reason)
        self._after_connection()

    def _after_connection(self) -> None:
        """Send the frames of the WebSocket protocol itself, and end if it is closing."""
        self.send(self._connection.outgoing())
        if self._connection.closing:
            self._inbox.clear()
            self.end()

"""Call a server's API. Every write is repeated, under one client_id, until the server answers it."""

from __future__ import annotations

import logging
import os
import secrets
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import quote as percent_encoded
from urllib.parse import urlencode

from . import uploading
from .backoff import Backoff
from .named import NamedCursor
from .problems import Problem, RateLimited, Unanswered, Unavailable, Unreachable
from .reader import SILENCE, Reader, Transport
from .shapes import Ack, Found, Message, Quote, Snapshot
from .wire import Wire

log = logging.getLogger("quotechat.client")

LOBBY = "lobby"
T = TypeVar("T")
ACCOUNT_TOKEN = "qct_"
"""The prefix of the tokens of accounts and bots, which have a name of their own."""


class Client:
    """A connection to one server under one identity. Threads may share one.

    `url` is the server's address, with the path under which it lives if it has one
    (``https://example.org/chat``). `token` is the identity that owns the messages; `sign_in` gets one.
    `user` is the author's name when a call gives no other; a token of an account needs none. `patience` is for how
    many seconds a request is repeated that gets no answer; None, the default, means for ever (each attempt is logged
    as a warning). `timeout` (seconds) is how long one attempt may be silent.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        user: str | None = None,
        patience: float | None = None,
        timeout: float = 20.0,
        backoff: Backoff | None = None,
        context: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.user = user
        self._patience = patience
        self._backoff = backoff or Backoff()
        self._context = context
        self._sleep = sleep
        self._wire = Wire(url, timeout, context)
        self._lock = threading.Lock()
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        weakref.finalize(self, self._wire.close)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and its readers."""
        for reader in list(self._readers):
            reader.close()
        with self._lock:
            self._wire.close()

    def sign_in(self, user: str) -> str:
        """Take a new identity for `user` and use it from here on. Returns its token: keep it to stay the same."""
        found = self._insist("POST", "/guests", {"user": user})
        self.token, self.user = str(found["token"]), str(found["user"])
        return self.token

    # --- Writing ----------------------------------------------------------------------------------

    def post(
        self,
        text: str,
        *,
        user: str | None = None,
        room: str = LOBBY,
        color: str | None = None,
        reply_to: int | None = None,
        send_at: datetime | timedelta | str | None = None,
        files: Sequence[str | Mapping[str, str]] | None = None,
        client_id: str | None = None,
    ) -> Ack:
        """Send a message, once, however often it has to be repeated. Returns when it is on the server's disk.

        `reply_to` is the id of a message. `send_at` schedules it: a datetime with a time zone, a timedelta
        from now, or any form that the protocol takes (``+10m``). `files` are ids of files that `upload` has returned,
        or {`id`, `alt`}, with what the file shows, for those who do not see it.
        `client_id` is made up unless it is given. Raises Problem if it is refused and Unanswered when the patience
        ends.
        """
        signed = user or self.user
        if signed is None and not (self.token or "").startswith(ACCOUNT_TOKEN):
            raise ValueError("who says it? Give user=, or sign in")
        ids = list(files) if files else None
        fields = {"user": signed, "color": color, "reply_to": reply_to, "send_at": _when(send_at), "files": ids}
        message = {"message": text, **{name: x for name, x in fields.items() if x is not None}}
        return self.command("send-message", room=room, client_id=client_id, message=message)

    def upload(
        self, file: str | os.PathLike[str] | BinaryIO, *, name: str | None = None, room: str = LOBBY,
        progress: Callable[[int, int], None] = lambda done, length: None,
    ) -> dict[str, Any]:
        """Upload a file, a path or one that is open, for a message in `room`; return {`id`, `name`, `type`, `size`, …}.

        It goes in pieces, each as often as it takes. `progress` is told the bytes that have gone, and all. Send its
        `id` with `post(files=[…])` within a day. Raises Problem if it is refused, Unanswered when the patience ends.
        """
        with uploading.opened(file) as (source, found):
            path = f"/rooms/{percent_encoded(room, '')}/files?{urlencode({'name': name or found})}"
            return uploading.upload(self._insist_on, path, source, self._backoff.fresh(), self._sleep, progress)

    def edit(
        self, message_id: int, text: str | None = None, *, files: Sequence[Mapping[str, str]] | None = None,
        room: str = LOBBY, client_id: str | None = None,
    ) -> Ack:  # fmt: skip
        """Change a message of one's own: its text, or what files of it show, as {`id`, `alt`}; the rest stays."""
        message = {"id": message_id} | ({} if text is None else {"message": text}) | ({"files": files} if files else {})
        return self.command("edit-message", room=room, client_id=client_id, message=message)

    def delete(self, message_id: int, *, room: str = LOBBY, client_id: str | None = None) -> Ack:
        """Delete one's own message."""
        return self.command("delete-message", room=room, client_id=client_id, message={"id": message_id})

    def react(
        self,
        message_id: int,
        reaction: str,
        *,
        on: bool | None = None,
        room: str = LOBBY,
        client_id: str | None = None,
    ) -> Ack:
        """React with ``like``, ``dislike`` or ``none``, or with one emoji, which `on=False` takes back."""
        message = {"id": message_id, "reaction": reaction, **({} if on is None else {"on": on})}
        return self.command("react", room=room, client_id=client_id, message=message)

    def quote(self, text: str, author: str, *, room: str = LOBBY, client_id: str | None = None) -> Ack:
        """Add a quote to the collection; the room hears of it."""
        return self.command("add-quote", room=room, client_id=client_id, quote={"quote": text, "author": author})

    def cancel(self, scheduled_id: int, *, room: str = LOBBY, client_id: str | None = None) -> Ack:
        """Cancel a scheduled message."""
        return self.command("cancel-scheduled", room=room, client_id=client_id, scheduled={"id": scheduled_id})

    def command(self, command: str, *, room: str = LOBBY, client_id: str | None = None, **fields: Any) -> Ack:
        """Send any command of the protocol (§2), with its `fields`; the calls above use this one."""
        envelope = {"command": command, "room": room, "client_id": client_id or secrets.token_hex(16), **fields}
        return Ack.of(self._insist("POST", f"/rooms/{percent_encoded(room, '')}/commands", envelope))

    def create_room(self, name: str, title: str | None = None) -> dict[str, Any]:
        """Create a room. Conflict means that it is there, perhaps by an attempt whose answer was lost."""
        return self._insist("POST", "/rooms", {"name": name, **({"title": title} if title else {})})

    # --- Reading ----------------------------------------------------------------------------------

    def events(
        self, room: str = LOBBY, *, after: str = "now", transport: Transport = "long-poll", interval: float = 2.0
    ) -> Reader:
        """Return the events of `room` after the cursor `after`, without end and without gap; see `Reader`.

        `after` is a cursor, ``0`` (from the oldest that is kept) or ``now``: then nothing that is sent after
        this call is missed. `transport` is ``long-poll``, ``stream`` (NDJSON) or ``short-poll``, which asks
        every `interval` seconds.
        """
        reader = Reader(
            room,
            Wire(self.url, SILENCE, self._context),
            self._headers,
            lambda: self.snapshot(room),
            after=after,
            transport=transport,
            interval=interval,
            backoff=self._backoff.fresh(),
            sleep=self._sleep,
        )
        self._readers.add(reader)
        reader.pin()
        return reader

    def snapshot(self, room: str = LOBBY, limit: int = 50) -> Snapshot:
        """Return the latest messages and the cursor at which they were read: read on from there with `events`."""
        return cast(Snapshot, self._get(f"/rooms/{percent_encoded(room, '')}", limit=limit))

    def messages(self, room: str = LOBBY, *, before: int | None = None, limit: int = 50) -> list[Message]:
        """Return messages with ids below `before`, oldest first, as they are now."""
        path = f"/rooms/{percent_encoded(room, '')}/messages"
        return cast(list[Message], self._get(path, before=before, limit=limit)["messages"])

    def rooms(self) -> list[dict[str, Any]]:
        """Return all rooms, by name."""
        return cast(list[dict[str, Any]], self._get("/rooms")["rooms"])

    def scheduled(self, room: str = LOBBY) -> list[dict[str, Any]]:
        """Return one's own scheduled messages, the next first."""
        return cast(list[dict[str, Any]], self._get(f"/rooms/{percent_encoded(room, '')}/scheduled")["scheduled"])

    def quotes(self, search: str | None = None, *, before: int | None = None, limit: int = 50) -> list[Quote]:
        """Return the newest quotes with ids below `before`; with `search`, those that have all its words."""
        return cast(list[Quote], self._get("/quotes", q=search, before=before, limit=limit)["quotes"])

    def search(self, asked: str, *, before: str | None = None, limit: int = 20, best: bool = False) -> Found:
        """Return a page of the messages that `asked` finds, the newest first, or the `best` ones.

        `before` is that of the page before. Raises Invalid for a question that cannot be asked, NotFound if the server
        has no search.
        """
        order = "best" if best else None
        return cast(Found, self._get("/search", q=asked, before=before, limit=limit, order=order))

    def random_quote(self) -> Quote:
        """Return a random quote. Raises QuoteUnknown if there is none."""
        return cast(Quote, self._get("/quotes/random"))

    # --- Following --------------------------------------------------------------------------------

    def inbox(self) -> dict[str, Any]:
        """Return {`cursor`, `complete`, `rooms`, `notices`?}: what is new in the rooms of one's account."""
        return self._get("/inbox")

    def inboxes(self, after: str = "0") -> Iterator[dict[str, Any]]:
        """Yield the inbox as it is, and again whenever it has changed, without end; see `inbox`.

        `after` is the cursor of the one that is known. Every failure is waited out; Problem is raised when asking
        again cannot help.
        """
        with Client(
            self.url, self.token, timeout=SILENCE, backoff=self._backoff.fresh(), context=self._context,
            sleep=self._sleep,
        ) as other:  # fmt: skip
            while True:
                found = other._get("/inbox", after=after, wait=25)
                if found.get("complete"):
                    yield found
                after = found["cursor"]
                if "retry_in_ms" in found:  # it was answered early
                    self._sleep(found["retry_in_ms"] / 1000)

    def cursor(self, name: str, rooms: list[str] | str | None = None, *, start: str = "now") -> NamedCursor:
        """Return the events after the positions that the server keeps under `name`, without end; see `NamedCursor`.

        With `rooms`, names or ``all``, it follows these from here on, in new ones from the cursor `start` (``0``: from
        the oldest event that is kept). Without, it has to be there already. Needs the token of an account.
        """
        if rooms is not None:
            self._insist("PUT", f"/cursors/{percent_encoded(name, '')}", {"rooms": rooms, "from": start})
        # A connection of its own: a held request would block others on this one.
        other = Client(
            self.url, self.token, timeout=SILENCE, backoff=self._backoff.fresh(), context=self._context,
            sleep=self._sleep,
        )  # fmt: skip
        return NamedCursor(name, other._insist, other.close, self._sleep)

    def mark_read(self, message_id: int, *, back: bool = False, room: str = LOBBY) -> Ack:
        """Mark all messages up to this one as read; with `back` the position may go back."""
        return self.command("mark-read", room=room, read={"id": message_id, "back": back})

    def set_level(self, level: str, *, room: str = LOBBY) -> Ack:
        """Set one's notification level for a room: ``everything``, ``mentions``, ``nothing``, ``hidden``."""
        return self.command("set-level", room=room, level=level)

    def join(self, room: str) -> Ack:
        """Join an open room."""
        return self.command("join", room=room)

    def mentions(self, *, before: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return messages that mention one's account, the newest first; `before` is ROOM:ID of the last one known."""
        return cast(list[dict[str, Any]], self._get("/mentions", before=before, limit=limit)["mentions"])

    def presence(self, room: str = LOBBY) -> dict[str, str | int]:
        """Return the members of a room that were here today, by id: ``here``, or the minutes since."""
        return cast("dict[str, str | int]", self._get("/presence", room=room)["present"])

    # --- Asking until there is an answer ------------------------------------------------------------

    def _get(self, path: str, **query: object) -> dict[str, Any]:
        given = {name: value for name, value in query.items() if value is not None}
        return self._insist("GET", path + (f"?{urlencode(given)}" if given else ""))

    def _insist(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send the request until there is an answer, and return it. Raises Problem, Unanswered."""
        return self._persist(
            lambda: self._wire.ask(method, path, body, self._headers()), (body or {}).get("client_id")
        )

    def _insist_on(self, method: str, path: str, data: bytes, headers: dict[str, str]) -> uploading.Reply:
        """As `_insist`, with a body of plain bytes."""
        return self._persist(
            lambda: uploading.Reply(*self._wire.send(method, path, data, {**headers, **self._headers()}))
        )

    def _persist(self, attempt: Callable[[], T], client_id: str | None = None) -> T:
        backoff = self._backoff.fresh()
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while True:
            try:
                with self._lock:
                    return attempt()
            except Unreachable as fault:
                why, asked = str(fault), 0.0
            except Problem as refused:
                if not _unanswered(refused):
                    raise
                why, asked = str(refused), refused.retry_in
            pause = backoff.next(asked)
            if deadline is not None and time.monotonic() + pause > deadline:
                raise Unanswered(f"{self.url}: {why}", client_id)
            log.warning("%s: %s; again in %.1f s", self.url, why, pause)
            self._sleep(pause)

    def _headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}


def _unanswered(refused: Problem) -> bool:
    """Return True if the request is still open: the server says "later", or a proxy answers for a dead server."""
    return isinstance(refused, RateLimited | Unavailable) or refused.status in (408, 425, 502, 504)


def _when(send_at: datetime | timedelta | str | None) -> str | None:
    if isinstance(send_at, timedelta):
        return f"+{max(1, round(send_at.total_seconds()))}s"
    if isinstance(send_at, datetime):
        if send_at.tzinfo is None:
            raise ValueError("send_at needs a time zone")
        return send_at.isoformat()
    return send_at

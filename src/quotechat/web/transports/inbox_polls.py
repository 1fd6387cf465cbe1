"""Answer polls for the inbox: at once, or held, on a thread only if the server does not give its socket away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from flask import Response

from ...hub.chat import Chat, Page
from ...hub.held_polls import retry_in_ms
from ...hub.room_handle import RoomHandle
from ...live.inbox_feed import GATHER, nothing
from ...protocol import inbox
from ...protocol.cursor import Cursor, Now, cursor_of
from ...protocol.errors import Overloaded
from ...protocol.rights.principal import Principal
from ...store.following import inbox as stored
from ...store.following.inbox import State
from ..http import reads, security
from . import held_rooms, parking, revocation

Gone = Callable[[], bool]


def read(chat: Chat, principal: Principal) -> State:
    """Return the inbox of `principal`, which has an account, as it is now."""
    return chat.read_with(lambda sql: stored.read(sql, principal.account or 0, principal.rooms))


def encoded(state: State, after: Cursor | Now) -> bytes:
    """Return the answer to a poll at `after`: the whole inbox, or that nothing is new."""
    cursor = state.cursor
    return nothing(cursor) if inbox.is_at(after, cursor) else state.encoded(cursor)


def alone(chat: Chat, principal: Principal, after: Cursor | Now, seconds: float, gone: Gone | None) -> Response:
    """Return the answer that comes when the inbox has moved from `after`."""
    return _held(chat, principal, {}, {}, 1, seconds, after, gone, alone=True)


def with_rooms(
    chat: Chat,
    principal: Principal,
    handles: Mapping[RoomHandle, Cursor | Now],
    limit: int,
    seconds: float,
    after: Cursor | Now | None,
    gone: Gone | None,
) -> Response:
    """Return the answer that comes when a room has events, or when the inbox has moved from `after`, if given."""
    for handle in handles:
        handle.follow()  # before the read: an event in between wakes this poll
    pages = chat.read_any(handles, limit)
    reads.count(sum(len(page.events) for page in pages.values()))
    if seconds and not any(page.events for page in pages.values()):
        return _held(chat, principal, handles, pages, limit, seconds, after, gone)
    part = None if after is None else encoded(read(chat, principal), after)
    return of_json(held_rooms.body(pages, None, part))


def of_json(body: bytes) -> Response:
    """Return an answer with this body."""
    return Response(body, content_type="application/json")


def _held(
    chat: Chat,
    principal: Principal,
    handles: Mapping[RoomHandle, Cursor | Now],
    pages: Mapping[str, Page],
    limit: int,
    seconds: float,
    after: Cursor | Now | None,
    gone: Gone | None,
    *,
    alone: bool = False,
) -> Response:
    who = security.client()
    places = {handle: pages[handle.room].cursor for handle in handles}
    try:
        chat.limits.enter("poll", *who)
    except Overloaded:
        part = None if after is None else encoded(read(chat, principal), after)
        return of_json(_body(pages, retry_in_ms(), part, alone=alone))
    left = partial(chat.limits.leave, "poll", *who)
    if parking.can_park():
        return held_rooms.hold(places, limit, seconds, left, None if after is None else (principal, after), alone)
    try:
        return _on_thread(chat, principal, places, limit, seconds, after, gone, alone=alone)
    finally:
        left()


def _on_thread(
    chat: Chat,
    principal: Principal,
    places: Mapping[RoomHandle, str],
    limit: int,
    seconds: float,
    after: Cursor | Now | None,
    gone: Gone | None,
    *,
    alone: bool,
) -> Response:
    """Wait on this thread; the inbox is read at intervals."""
    watch = revocation.watch([handle.room for handle in places])
    deadline = time.monotonic() + seconds
    positions: dict[RoomHandle, Cursor | Now] = {handle: cursor_of(at) for handle, at in places.items()}
    while True:
        state = None if after is None else read(chat, principal)
        if state is not None and isinstance(after, Now):
            after = cursor_of(state.cursor)
        left = deadline - time.monotonic()
        differs = state is not None and after is not None and not inbox.is_at(after, state.cursor)
        longest = min(left, 2 * GATHER) if state is not None else left
        pages, retry = chat.wait_for(positions, limit, 0 if differs else longest, gone)
        found = differs or any(page.events for page in pages.values())
        if found or left <= 0 or retry is not None or chat.draining or (gone is not None and gone()):
            break
    if watch is not None:
        watch.check()
    part = None if state is None or after is None else encoded(state, after)
    return of_json(_body(pages, retry, part, alone=alone))


def _body(pages: Mapping[str, Page], retry: int | None, part: bytes | None, *, alone: bool) -> bytes:
    if alone and part is not None:
        return held_rooms.of_inbox(part, retry)
    return held_rooms.body(pages, retry, part)

"""Copy a whole store into another one, of either kind: rooms, cursors, identities, scheduled messages, everything.

It may be given beside a running server: then all is there but for the names of the rooms, and given again after the
server has ended it copies the rest. So the downtime is only the copy of that rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ...config import Settings
from .. import reading
from ..base import Census, Impossible, Progress
from ..disk.lock import InUse
from ..files import moving as files
from ..files.contents import places_of
from ..open import look, open_store, secret_of
from . import carrying, copying, loading


class Unfinished(Impossible):
    """All but the last part is copied; the message names the next step."""


Follow = Callable[[str], contextlib.AbstractContextManager[Progress]]
"""A `Progress` for a part of the work, by its unit."""


def move(source: Settings, target: Settings, progress: Follow) -> Census:
    """Copy the store of `source` into the empty one of `target`, check the copy and return its census.

    Given again after it was interrupted, it goes on from there. Raises Impossible if the target holds other
    data, InUse if another process uses that, and Unfinished if one uses the source.
    """
    if _place(source) == _place(target):
        raise Impossible("that is where it is already")
    with contextlib.suppress(Impossible), look(target, alone=True):
        pass  # no process may use it; there may be none yet
    with contextlib.ExitStack() as stack:
        try:
            sql, alone = stack.enter_context(look(source, alone=True)), True
        except InUse:
            sql, alone = stack.enter_context(look(source)), False
        rooms = copying.rooms(sql)
        store = stack.enter_context(contextlib.closing(open_store(target)))
        with store.writing() as there:
            others = {room.name for room in copying.rooms(there)} - {room.name for room in rooms}
        if others:
            raise Impossible(f"the target holds a room {min(others)} already: move into an empty one")
        with progress("events") as follow:
            records = copying.dump(sql, secret_of(source, sql), places=places_of(source))
            loaded = loading.load(store, records, follow, sum(room.head - room.floor for room in rooms), hidden=True)
        if source.database and alone:
            alone = _is_same(source, rooms)
        if not alone:
            raise Unfinished(
                "all is copied as it was a moment ago, and stays unseen: the source is in use. Stop its servers and"
                " give the command again, which copies what is new since"
            )
        with progress("events checked") as follow:
            problems = _compare(reading.census(sql), target, loaded, follow)
        with look(target) as there:
            if carrying.counts(there) != carrying.counts(sql):
                problems.append("the accounts are others")
            if files.count(there) != files.count(sql):
                problems.append("the files are others")
        if problems:
            raise Impossible(f"the copy is not the same, and stays unseen: {problems[0]}")
        loading.publish(store, loaded)
        return reading.census(sql)


def _place(settings: Settings) -> str:
    return settings.database or str(settings.data.resolve())


def _is_same(source: Settings, rooms: list[copying.Room]) -> bool:
    """Return True if no process uses the source, and it is as it was when it was read."""
    try:
        with look(source, alone=True) as sql:
            return copying.rooms(sql) == rooms
    except InUse:
        return False


def _compare(census: Census, target: Settings, loaded: list[loading.Loaded], progress: Progress) -> list[str]:
    """Return the differences: counts, heads, and every chain, read again from the target."""
    with look(target) as sql:
        problems = []
        for done, step in enumerate(reading.verify(sql), 1):
            if step.problem is not None:
                problems.append(f"{step.room}: event {step.seq}: {step.problem}")
            if done % 1000 == 0:
                progress(done, census.events)
        progress(census.events, census.events)
        found = reading.census(sql)
        for name, wanted, there in zip(Census._fields, census, found, strict=True):
            # A server that was started has made a lobby and loaded its own quotes.
            if name not in ("rooms", "quotes") and wanted != there:
                problems.append(f"{wanted} {name} became {there}")
        for each in loaded:
            key = ("name", each.room.name) if each.there else ("id", each.id)
            row = sql.one(f"SELECT head, chain FROM room WHERE {key[0]} = ?", key[1])
            if row is None or (row[0], bytes(row[1])) != (each.room.head, each.room.chain):
                problems.append(f"{each.room.name} ends elsewhere")
    return problems

"""How many rooms there may be, and which of them count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract import T0, do, said

from quotechat.config import Settings
from quotechat.hub.programs import hooks
from quotechat.protocol import commands
from quotechat.protocol.cursor import Cursor
from quotechat.protocol.errors import Conflict, RoomUnknown
from quotechat.store.accounts import accounts, sessions
from quotechat.store.base import Created, CreateRoom, Store, Stored, Write
from quotechat.store.open import open_store
from quotechat.store.programs import subscribers
from quotechat.store.programs.subscribers import Subscriber
from quotechat.store.shapes import Sql

DAY = 86_400_000


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store for four rooms, the lobby among them; empty rooms in `a`, `b` and `c`."""
    database = "" if request.param == "sqlite" else request.getfixturevalue("new_tables")()
    store = open_store(Settings(data=tmp_path / "data", database=database, most_rooms=4))
    store.found(T0)
    for number, name in enumerate("abc"):
        do(store, CreateRoom(name), at=T0 + number)
    yield store
    store.close()


def names(store: Store) -> list[str]:
    return [room["name"] for room in store.rooms() if room["name"] != "@audit"]


def test_a_room_that_is_used_or_new_keeps_its_place(store: Store) -> None:
    """Each is on every page and costs memory, so there are only so many: 409, and nothing is stored."""
    with pytest.raises(Conflict):
        do(store, CreateRoom("d"), at=T0 + 10)
    for name in "abc":
        do(store, said(room=name))
    with pytest.raises(Conflict):
        do(store, CreateRoom("d"), at=T0 + 9 * DAY)
    assert names(store) == ["a", "b", "c", "lobby"]


def test_an_empty_room_that_nobody_came_back_to_gives_its_place(store: Store) -> None:
    """After a day, the oldest first; not one where somebody said something or scheduled it."""
    do(store, said(room="a"))
    do(store, said(room="b", send_at="+3d"))
    assert isinstance(do(store, CreateRoom("d"), at=T0 + DAY + 9), Created)
    assert names(store) == ["a", "b", "d", "lobby"]
    with pytest.raises(RoomUnknown):
        do(store, said(room="c"))
    with pytest.raises(Conflict):
        do(store, CreateRoom("e"), at=T0 + DAY + 9)


def test_a_room_with_a_hook_keeps_its_place(store: Store) -> None:
    """The hook would write into the next room of that name."""
    made, _ = store.write_with(lambda sql: hooks.make_hook(sql, None, "a", "Builds", T0))
    do(store, CreateRoom("d"), at=T0 + DAY + 9)
    assert names(store) == ["a", "c", "d", "lobby"]
    store.write_with(lambda sql: sessions.revoke_any(sql, made.token.id))
    do(store, CreateRoom("e"), at=T0 + DAY + 9)
    assert names(store) == ["c", "d", "e", "lobby"]


def test_what_the_same_batch_says_keeps_the_room(store: Store) -> None:
    """A room is in use from its first event on, also before that is committed."""
    batch = [said(room="a"), CreateRoom("d"), said(room="b"), said(room="c")]
    outcomes = store.commit([Write(each, T0 + DAY + 9, "ann") for each in batch])
    assert [type(outcome) for outcome in outcomes] == [Stored, Created, RoomUnknown, Stored]
    assert names(store) == ["a", "c", "d", "lobby"]
    assert [room["cursor"].partition(".")[0] for room in store.rooms()] == ["1", "1", "0", "0"]


def test_a_new_room_has_nothing_of_the_one_before_it(store: Store) -> None:
    """Neither client_ids nor scheduled messages of a removed room are those of another."""
    waiting = do(store, said(room="a", key="k", send_at="+1h")).scheduled["id"]
    do(store, commands.CancelScheduled(scheduled=commands.ScheduledId(waiting), room="a"))
    do(store, CreateRoom("a2"), at=T0 + DAY + 9)
    assert "a" not in names(store)
    assert isinstance(do(store, said(room="a2", key="k")), Stored)
    assert store.scheduled("a2", "ann") == []


def test_a_named_cursor_does_not_follow_another_room(store: Store) -> None:
    """The newest room was removed for a new one, to which SQLite gives its number: the cursor is in none of them."""

    def follow(sql: Sql) -> Subscriber:
        zoe = accounts.make(sql, "Zoe", "member", T0)
        found = subscribers.make(sql, zoe.id, "reader", T0, all_rooms=False)
        subscribers.place(sql, found, "c", Cursor(0))
        return found

    reader = store.write_with(follow)
    do(store, said(room="a"))
    do(store, said(room="b"))
    do(store, CreateRoom("d"), at=T0 + DAY + 9)
    assert names(store) == ["a", "b", "d", "lobby"]
    assert store.read_with(lambda sql: subscribers.positions(sql, reader)) == {}

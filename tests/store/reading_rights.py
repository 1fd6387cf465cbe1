"""A room that a reader may not read is, for that reader, not there: mixed into the contract of every store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quotechat.protocol import rooms
from quotechat.protocol.errors import RoomUnknown
from quotechat.protocol.rights.permissions import READ, allows
from quotechat.protocol.rights.principal import VISITOR, Principal
from quotechat.store import members, reading, visibility
from quotechat.store.base import CreateRoom, Store, Write
from quotechat.store.shapes import Sql

T0 = 1_800_000_000_000
ROOMS = ("closed", "direct", "log", "open")
MEMBER = 7
"""The key of an account that is a member of each room; 8 is a manager, 9 neither."""
READERS = [
    VISITOR,
    *(Principal(f"acct:{key}", key, str(key), role=role) for key in (7, 8, 9) for role in ("guest", "member", "admin")),
]


def filled(store: Store) -> None:
    """A room of each kind, named after it, with two members."""
    for kind in ROOMS:
        store.commit([Write(CreateRoom(kind), T0)])

    def change(sql: Sql) -> None:
        for kind in ROOMS:
            sql.run("UPDATE room SET kind = ? WHERE name = ?", kind, kind)
            row = sql.one("SELECT id FROM room WHERE name = ?", kind)
            assert row is not None
            for key, role in ((MEMBER, "member"), (8, "manager")) if kind != "log" else ():
                members.add(sql, row[0], key, role, (0, 0), T0)

    store.write_with(change)


def ways(store: Store, room: str, reader: Principal) -> list[Callable[[], Any]]:
    """Every way to read `room`."""
    return [
        lambda: store.head(room, reader),
        lambda: store.snapshot(room, 50, reader.identity, reader),
        lambda: store.messages(room, None, 50, reader.identity, reader),
        lambda: store.scheduled(room, "acct:7", reader),
    ]


class Recording:
    """One transaction, and the statements that were run in it."""

    def __init__(self, sql: Any) -> None:
        self._sql = sql
        self.ran: list[str] = []

    def one(self, statement: str, *values: Any) -> Any:
        self.ran.append(statement)
        return self._sql.one(statement, *values)

    def all(self, statement: str, *values: Any) -> Any:
        self.ran.append(statement)
        return self._sql.all(statement, *values)


def unknown(sql: Any, read: Callable[[Any], object], room: str) -> tuple[list[str], str]:
    """The statements of a read of `room` that is refused, and the words of the refusal."""
    recording = Recording(sql)
    with pytest.raises(RoomUnknown) as refused:
        read(recording)
    return recording.ran, refused.value.detail.replace(room, "ROOM")


class ReadingRights:
    """Mixed into the tests of each backend."""

    def test_each_reads_what_it_may(self, store: Store) -> None:
        """Every way to read a room asks the table of permissions, and the list has the same rooms; the server all."""
        filled(store)
        for reader in READERS:
            membership = {7: "member", 8: "manager"}.get(reader.account or 0)
            readable = {kind for kind in ROOMS if allows(reader, READ, kind, membership)}
            for kind in ROOMS:
                for read in ways(store, kind, reader):
                    if kind in readable:
                        read()
                    else:
                        with pytest.raises(RoomUnknown):
                            read()
            lobby = {"lobby"} if reader.role != "guest" else set()
            assert {room["name"] for room in store.rooms(reader)} == (readable - {"log"}) | lobby, reader
        assert [room["name"] for room in store.rooms()] == sorted([*ROOMS, "lobby"])
        assert all(store.head(kind).seq == 0 and store.snapshot(kind, 5)["messages"] == [] for kind in ROOMS)

    def test_a_foreign_room_costs_what_no_room_costs(self, store: Store) -> None:
        """The same statements, and the same refusal but for the name."""
        filled(store)
        stranger = READERS[-1]
        reads: list[Callable[[Any, str], object]] = [
            lambda sql, room: reading.head(sql, room, stranger),
            lambda sql, room: reading.snapshot(sql, room, 50, "acct:9", stranger),
            lambda sql, room: reading.messages(sql, room, None, 50, "acct:9", stranger),
            lambda sql, room: reading.scheduled(sql, room, "acct:9", stranger),
        ]
        for read in reads:
            found = [
                store.read_with(lambda sql, read=read, room=room: unknown(sql, lambda on: read(on, room), room))  # type: ignore[misc]  # bound now
                for room in ("closed", "direct", "nobody-uses")
            ]
            assert found[0] == found[1] == found[2] and len(found[0][0]) == 1

    def test_what_is_lost_without_an_event_is_found(self, store: Store) -> None:
        """A guest loses an open room without an event; what its log tells, or what can still be read, is not named."""
        filled(store)
        guests = [each for each in READERS if each.role == "guest"]
        held = {each: {*ROOMS, "nobody-uses"} for each in (*guests, *READERS[1:])}
        held[READERS[-1]] = {rooms.AUDIT, "open"}
        store.write_with(lambda sql: sql.run("UPDATE room SET name = ? WHERE name = 'log'", rooms.AUDIT))
        lost = store.read_with(lambda sql: visibility.lost(sql, held))
        assert {(each.role, each.account): names for each, names in lost.items()} == {("guest", 9): {"open"}}
        demoted = READERS[-1]._replace(role="member")
        lost = store.read_with(lambda sql: visibility.lost(sql, {demoted: {rooms.AUDIT, "open"}}))
        assert lost == {demoted: {rooms.AUDIT}}
        assert store.read_with(lambda sql: visibility.lost(sql, {demoted: {"open"}})) == {}

    def test_a_token_reads_its_rooms_only(self, store: Store) -> None:
        """Whatever its account is a member of."""
        filled(store)
        token = Principal("acct:7", 7, "7", role="member", rooms=frozenset({"closed", "nobody-uses"}))
        assert [room["name"] for room in store.rooms(token)] == ["closed"]
        assert store.head("closed", token).seq == 0
        for room in ("open", "direct", "lobby", "nobody-uses"):
            with pytest.raises(RoomUnknown):
                store.head(room, token)

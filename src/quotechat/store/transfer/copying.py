"""A store as a stream of records, room by room in the order of the log: `dump` reads them within one transaction.

`loading` makes a store of them. Export, import and move are these two, with a file between them or without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from ...protocol import cursor
from ...protocol.errors import RoomUnknown
from ..base import Impossible
from ..files import moving
from ..files.contents import Places
from ..files.moving import Piece
from ..maintenance.redaction import pending
from ..shapes import PART, Sql, schema
from ..tables import TABLES
from . import carrying

KEPT = {name: table.travelling for name, table in TABLES.items() if table.kept}
"""Private rows, which are not in the log, table by table: the columns beside ``room_id``."""
OF_ACCOUNTS = {name: table.since for name, table in TABLES.items() if table.names_accounts}
"""Tables of `KEPT` whose rows name accounts, so they go only with all accounts; and the migration that made each."""
_WITH_CODE = 3
"""The migration that gives scheduled messages a code."""
_WITH_KINDS = 7
"""The migration that gives rooms kinds and members."""
_WITH_EMOJI = 10
"""The migration that gives events an emoji."""
_ROOM = "name, title, created_at, floor, floor_chain, head, chain"
_KIND = ", kind, about, floor_messages, pair"
_LOGGED = "seq, command, at, body, tag, digest, target, identity, reaction, emoji"


# --- The records ----------------------------------------------------------------------------------


class Secret(NamedTuple):
    """The secret that signs identities."""

    secret: str


class Room(NamedTuple):
    """The room to which the records after it belong; times are milliseconds since 1970."""

    name: str
    title: str | None
    at: int
    floor: int
    floor_chain: bytes
    head: int
    chain: bytes
    kind: str = "open"
    about: str = "{}"
    floor_messages: int = 0
    pair: bytes | None = None

    @property
    def cursor(self) -> str:
        """The cursor at its head."""
        return cursor.at(self.head, self.chain)


class Logged(NamedTuple):
    """One event as the log has it; see the table ``event`` (store/migrations)."""

    seq: int
    command: str
    at: int
    body: str
    tag: str
    digest: bytes | None
    target: int | None
    identity: str | None
    reaction: int | None
    emoji: str | None = None


class Kept(NamedTuple):
    """A row of one of the tables in `KEPT`, or, before all rooms, of accounts, or a quote that has no event."""

    table: str
    row: dict[str, Any]


class Whole(NamedTuple):
    """All of the room has been told."""

    room: str


Record = Secret | Room | Logged | Kept | Piece | Whole


class Broken(Impossible):
    """The records end too early or are damaged: the same again, complete, goes on from there."""


# --- Out ------------------------------------------------------------------------------------------


def rooms(sql: Sql, only: Collection[str] = ()) -> list[Room]:
    """Return the rooms that there are, or those of `only`, by name. Raises RoomUnknown."""
    columns = _ROOM + (_KIND if schema(sql) >= _WITH_KINDS else "")
    found = [_room(row) for row in sql.all(f"SELECT {columns} FROM room ORDER BY name") if PART not in row[0]]
    unknown = set(only) - {room.name for room in found}
    if unknown:
        raise RoomUnknown(min(unknown))
    return [room for room in found if not only or room.name in only]


def dump(
    sql: Sql, secret: str | None, only: Collection[str] = (), *, places: Places | None = None,
    lost: list[bytes] | None = None,
) -> Iterator[Record]:  # fmt: skip
    """Yield all that the store holds, or the rooms `only` with their belongings, but not their members.

    `places` have the contents of files that are not in the database; files are left out if it is None. The
    hashes of contents that are missing or damaged are added to `lost`. Raises RoomUnknown.
    """
    with_files = places is not None and schema(sql) >= moving.SINCE
    if not only:
        if secret is not None:
            yield Secret(secret)
        for number, identity, body in sql.all("SELECT id, identity, body FROM quote WHERE seq IS NULL ORDER BY id"):
            yield Kept("quote", {"id": number, "identity": identity, "body": body})
        for each in carrying.dump(sql):
            yield Kept(*each)
    for room in rooms(sql, only):
        row = sql.one("SELECT id FROM room WHERE name = ?", room.name)
        assert row is not None
        yield room._replace(pair=None) if only else room
        # Text that is still to be redacted stays here.
        hidden = pending(sql, row[0])
        logged_columns = _LOGGED if schema(sql) >= _WITH_EMOJI else _LOGGED.removesuffix(", emoji")
        for event in sql.all(f"SELECT {logged_columns} FROM event WHERE room_id = ? ORDER BY seq", row[0]):
            logged = Logged(*event)
            body, digest = hidden.redacted(logged.body, logged.digest)
            yield logged._replace(body=body, digest=digest)
        for table, columns in KEPT.items():
            if table in OF_ACCOUNTS and (only or schema(sql) < OF_ACCOUNTS[table]):
                continue
            if table == "file" and not with_files:
                continue
            complete = " AND hash IS NOT NULL" if table == "file" else ""
            there = [column for column in columns if column != "code" or schema(sql) >= _WITH_CODE]
            for kept in sql.all(f"SELECT {', '.join(there)} FROM {table} WHERE room_id = ?{complete}", row[0]):
                yield Kept(table, dict.fromkeys(columns) | dict(zip(there, kept, strict=True)))
        if places is not None and with_files:
            yield from moving.dump(sql, places, row[0], lost)
        yield Whole(room.name)


def _room(row: Any) -> Room:
    name, title, at, floor, floor_chain, head, chain, *more = row
    if more and more[3] is not None:
        more[3] = bytes(more[3])
    return Room(name, title, at, floor, bytes(floor_chain), head, bytes(chain), *more)


# --- In -------------------------------------------------------------------------------------------


# --- Beside the rooms -----------------------------------------------------------------------------

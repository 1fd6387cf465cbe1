"""The rows of files: they arrive, wait for their message, belong to it, and are dropped with it.

A function here is one step of an open transaction. The lock of a file's room keeps its message and its end apart.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

from ...protocol import commands
from ...protocol.errors import Conflict, FileUnknown, QuotaFull, TooLarge
from .. import rules
from ..accounts import bars, callers
from ..base import Write
from ..ledger import Ledger
from ..rules import rights
from ..rules.asked import Asked, ask
from ..shapes import Sql
from . import attaching
from .blobs import ID_CHARS
from .blobs import SUFFIXES as SUFFIXES

MOST_WAITING = 20
"""Files of one sender that may wait for their message."""
DAY_MS = 86_400_000
"""Milliseconds for which an uploaded file may wait for its message."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_COLUMNS = (
    "f.id, r.name, f.message_id, f.scheduled, f.identity, f.name, f.type, f.size, f.length, f.hash, f.thumb, f.width,"
    " f.height, f.at"
)


class Bounds(NamedTuple):
    """Bytes of one file, of all files of one sender, and of all files."""

    file: int
    account: int
    all: int


class File(NamedTuple):
    """A file as its row has it; without `hash` it is still arriving.

    `length` is the number of bytes that was announced, or has come.
    """

    id: str
    room: str
    message_id: int | None
    scheduled: int | None
    identity: str
    name: str
    type: str
    size: int
    length: int | None
    hash: bytes | None
    thumb: bytes | None
    width: int | None
    height: int | None
    at: int

    @property
    def is_sent(self) -> bool:
        """Return True if it belongs to a message."""
        return self.message_id is not None

    def shown(self) -> dict[str, object]:
        """Return the file as messages and answers have it."""
        return attaching.shown(self.id, self.name, self.type, self.size, self.width, self.height, self.thumb)


class Made(NamedTuple):
    """The result of an upload that is complete."""

    type: str
    size: int
    hash: bytes
    thumb: bytes | None = None
    width: int | None = None
    height: int | None = None


def begin(sql: Sql, write: Write, name: str, length: int | None, bounds: Bounds) -> str:
    """Add a file that is to arrive for the room of `write`, a message without text; return its id.

    Raises as that message sent now, Unauthenticated without an identity, TooLarge, QuotaFull.
    """
    asked, identity = check(sql, write)
    sql.alone("file")  # of two at once the second one counts the first
    check_quota(sql, identity, length or 0, bounds)
    waiting = "SELECT count(*) FROM file WHERE identity = ? AND message_id IS NULL AND scheduled IS NULL"
    row = sql.one(waiting, identity)
    if row is not None and row[0] >= MOST_WAITING:
        raise QuotaFull("account", f"At most {MOST_WAITING} of your files may wait to be sent.")
    number = "".join(secrets.choice(_LETTERS) for _ in range(ID_CHARS))
    sql.run(
        "INSERT INTO file (id, room_id, identity, name, type, size, length, at) VALUES (?, ?, ?, ?, '', ?, ?, ?)",
        number, asked.room.id, identity, name, length or 0, length, write.at,
    )  # fmt: skip
    return number


def check(sql: Sql, write: Write) -> tuple[Asked, str]:
    """Look whether the message of `write` could be sent now; return what was asked, and the identity of its sender.

    Raises as that message, and Unauthenticated without an identity.
    """
    assert isinstance(write.command, commands.SendMessage)
    bars.check(sql, write)
    asked = ask(Ledger(sql), write.command.room, write, rules.Settings())
    identity = asked.need_identity("Files need an identity: a cookie or a bearer token.")
    rights.check(asked, write.command)
    return asked, identity


def check_quota(sql: Sql, identity: str, more: int, bounds: Bounds, without: str = "") -> None:
    """Raise TooLarge or QuotaFull unless `more` bytes may come; the file `without` does not count."""
    if more > bounds.file:
        raise TooLarge(f"A file is at most {bounds.file} bytes.")
    own = sql.one("SELECT coalesce(sum(size), 0) FROM file WHERE identity = ? AND id <> ?", identity, without)
    if own is not None and int(own[0]) + more > bounds.account:
        raise QuotaFull("account", f"Your files may have {bounds.account} bytes together.")
    every = sql.one(
        "SELECT (SELECT coalesce(sum(size), 0) FROM blob)"
        " + (SELECT coalesce(sum(size), 0) FROM file WHERE hash IS NULL AND id <> ?)", without,
    )  # fmt: skip
    if every is not None and int(every[0]) + more > bounds.all:
        raise QuotaFull("site", "This server keeps no more files.")


def grow(sql: Sql, file: File, received: int, bounds: Bounds) -> None:
    """Count the bytes that have come of an upload whose length nobody has told. Raises QuotaFull."""
    sql.alone("file")
    check_quota(sql, file.identity, received, bounds, file.id)
    sql.run("UPDATE file SET size = ? WHERE id = ? AND hash IS NULL", received, file.id)


def give_up(sql: Sql, file: File) -> None:
    """Drop a file that no quota has room for, unless another request has completed it."""
    sql.run("DELETE FROM file WHERE id = ? AND hash IS NULL", file.id)


def find(sql: Sql, file_id: str) -> File:
    """Return a file. Raises FileUnknown."""
    row = sql.one(f"SELECT {_COLUMNS} FROM file f JOIN room r ON r.id = f.room_id WHERE f.id = ?", file_id)
    if row is None:
        raise FileUnknown()
    return File(*row)


def is_of(sql: Sql, file: File, identity: str | None) -> bool:
    """Return True if the file was uploaded by `identity`, or by a visitor whose messages it has claimed."""
    return identity is not None and callers.owns(sql, identity, file.identity)


def finish(sql: Sql, file: File, made: Made, bounds: Bounds) -> File:
    """Let a file that has arrived be complete; its contents are there. Raises FileUnknown, QuotaFull."""
    now = find(sql, file.id)
    if now.hash is not None:
        return now
    check_quota(sql, file.identity, made.size, bounds, file.id)
    sql.run(
        "UPDATE file SET type = ?, size = ?, hash = ?, thumb = ?, width = ?, height = ?, length = ? WHERE id = ?",
        made.type, made.size, made.hash, made.thumb, made.width, made.height, file.length, file.id,
    )  # fmt: skip
    return find(sql, file.id)


def cancel(sql: Sql, file: File) -> None:
    """Drop a file that was not sent. Raises Conflict if it was."""
    sql.run("UPDATE room SET floor = floor WHERE name = ?", file.room)
    now = find(sql, file.id)
    if now.is_sent or now.scheduled is not None:
        raise Conflict("This file belongs to a message: delete that.")
    attaching.drop(sql, "id = ?", file.id)


_OVER = (
    "message_id IS NULL AND at < ? AND (scheduled IS NULL OR NOT EXISTS (SELECT 1 FROM scheduled s"
    " WHERE s.id = file.scheduled AND s.state IN ('waiting', 'refused')))"
)


def drop_abandoned(sql: Sql, now: int, limit: int = 50) -> list[str]:
    """Drop some files that have waited for too long; return their ids."""
    rows = list(sql.all(
        f"SELECT id, room_id FROM file WHERE {_OVER} ORDER BY room_id LIMIT ?", now - DAY_MS, limit
    ))  # fmt: skip
    for room_id in sorted({row[1] for row in rows}):
        sql.run("UPDATE room SET floor = floor WHERE id = ?", room_id)
    for row in rows:
        attaching.drop(sql, f"id = ? AND {_OVER}", row[0], now - DAY_MS)
    return [row[0] for row in rows]


def drop_lost(sql: Sql) -> None:
    """Note all contents that no file has: a look at everything, for once a day."""
    sql.run(
        "INSERT INTO dropped (hash) SELECT hash FROM blob b WHERE NOT EXISTS (SELECT 1 FROM file WHERE hash = b.hash)"
        " AND NOT EXISTS (SELECT 1 FROM file WHERE thumb = b.hash) ON CONFLICT DO NOTHING"
    )

"""Contents of files on their way: into copies of a store, out of them, and the look at whether all are complete."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ..base import Impossible
from ..shapes import Sql, schema
from .contents import OBJECT, Places, read_in_transaction

SINCE = 13
"""The migration that made the tables."""
_FLUSH_BYTES = 4 * 1024 * 1024
_OF_ROOM = (
    "SELECT hash, size, place FROM blob WHERE hash IN (SELECT hash FROM file WHERE room_id = ?)"
    " OR hash IN (SELECT thumb FROM file WHERE room_id = ?) ORDER BY hash"
)


class Piece(NamedTuple):
    """The bytes of a content of `size` bytes from `at` on; the last one completes it."""

    hash: bytes
    size: int
    at: int
    data: bytes


class Target(Protocol):
    """The method that `Arriving` needs of a store."""

    def writing(self) -> AbstractContextManager[Sql]:
        """Open one durable write transaction."""


def dump(sql: Sql, places: Places, room_id: int, lost: list[bytes] | None = None) -> Iterator[Piece]:
    """Yield the contents of the files of a room; one that is removed meanwhile is left out.

    The hashes of those that are missing or damaged are added to `lost`.
    """
    for digest, size, place in list(sql.all(_OF_ROOM, room_id, room_id)):
        seen, at, complete = hashlib.sha256(), 0, False
        with contextlib.suppress(FileNotFoundError):
            for data in read_in_transaction(sql, places, bytes(digest), place):
                yield Piece(digest, size, at, data)
                seen.update(data)
                at += len(data)
            complete = seen.digest() == bytes(digest)
        if lost is not None and not complete:
            lost.append(bytes(digest))


class Arriving:
    """Contents on their way into a store, piece by piece, in order; each is there as soon as it is complete."""

    def __init__(self, store: Target) -> None:
        self._store = store
        self._waiting: list[Piece] = []
        self._bytes = 0
        self._seen = hashlib.sha256()
        self._known: dict[bytes, bool] = {}

    def take(self, piece: Piece) -> None:
        """Take the next piece. Raises Impossible if a content is not what its hash says."""
        if piece.at == 0:
            # The one before may have ended too early where it came from: then it is left out.
            self._waiting.clear()
            self._seen, self._bytes = hashlib.sha256(), 0
        if piece.at != self._bytes:
            raise Impossible("a piece of a file is missing")
        self._seen.update(piece.data)
        self._bytes += len(piece.data)
        self._waiting.append(piece)
        complete = self._bytes >= piece.size
        if complete and self._seen.digest() != piece.hash:
            raise Impossible("the content of a file was changed")
        if complete or sum(len(each.data) for each in self._waiting) >= _FLUSH_BYTES:
            with self._store.writing() as sql:
                self._write(sql, complete=complete)

    def _write(self, sql: Sql, *, complete: bool) -> None:
        digest, size = self._waiting[0][:2]
        sql.alone("blob")
        if sql.one("SELECT 1 FROM blob WHERE hash = ?", digest) is None:
            if self._waiting[0].at == 0:
                # Of an earlier load, whose pieces may have begun elsewhere.
                sql.run("DELETE FROM piece WHERE place = ?", digest.hex())
            for piece in self._waiting:
                sql.run(
                    "INSERT INTO piece (place, at, data) VALUES (?, ?, ?) ON CONFLICT (place, at) DO UPDATE"
                    " SET data = excluded.data", digest.hex(), piece.at, piece.data,
                )  # fmt: skip
            if complete:
                sql.run("INSERT INTO blob (hash, size, place) VALUES (?, ?, ?)", digest, size, digest.hex())
        self._waiting.clear()


def gather(sql: Sql, places: Places) -> list[bytes]:
    """Let a copy of a SQLite store have all contents in itself; `places` are those of the store.

    Return the hashes of those that are missing or damaged.
    """
    lost: list[bytes] = []
    if schema(sql) < SINCE:
        return lost
    sql.run("DELETE FROM file WHERE hash IS NULL")
    sql.run("DELETE FROM piece WHERE place NOT IN (SELECT place FROM blob WHERE place IS NOT NULL)")
    sql.run("DELETE FROM dropped WHERE length(hash) > 32")  # objects, which the store itself removes
    near = "SELECT hash, place FROM blob WHERE place IS NULL OR substr(place, 1, 3) = ?"
    for digest, place in list(sql.all(near, OBJECT)):
        seen, at = hashlib.sha256(), 0
        try:
            for data in read_in_transaction(sql, places, bytes(digest), place):
                sql.run("INSERT INTO piece (place, at, data) VALUES (?, ?, ?)", digest.hex(), at, data)
                seen.update(data)
                at += len(data)
            sql.run("UPDATE blob SET place = ? WHERE hash = ?", digest.hex(), digest)
            if seen.digest() != digest:
                lost.append(digest)
        except FileNotFoundError:
            sql.run("DELETE FROM piece WHERE place = ?", digest.hex())
            sql.run("DELETE FROM blob WHERE hash = ?", digest)
            lost.append(digest)
    return lost


def check_copied(copy: str, sql: Sql, lost: Iterable[bytes]) -> None:
    """Raise Impossible if a file of the store has one of the contents `lost` still, which `copy` so lacks.

    Of all others the messages were deleted while the copy was made.
    """
    select = "SELECT 1 FROM file WHERE hash = ? OR thumb = ? LIMIT 1"
    count = sum(sql.one(select, digest, digest) is not None for digest in set(lost))
    if count:
        raise Impossible(
            f"{copy} is made, but contents of files were missing or damaged: {count:,}; `quotechat files check` names"
            " them"
        )


def count(sql: Sql) -> int:
    """Count the files that are complete, with those of their contents that there are."""
    if schema(sql) < SINCE:
        return 0
    row = sql.one("SELECT count(*) FROM file f JOIN blob b ON b.hash = f.hash")
    return 0 if row is None else int(row[0])


def check(sql: Sql, places: Places, progress: Callable[[int, int], None]) -> Iterator[str]:
    """Yield the faults of contents: missing, or changed."""
    if schema(sql) < SINCE:
        return
    rows = list(sql.all("SELECT hash, size, place FROM blob ORDER BY hash"))
    for done, (digest, size, place) in enumerate(rows, 1):
        seen, length = hashlib.sha256(), 0
        try:
            for data in read_in_transaction(sql, places, bytes(digest), place):
                seen.update(data)
                length += len(data)
            if (seen.digest(), length) != (bytes(digest), size):
                yield f"the content {bytes(digest).hex()} is damaged"
        except FileNotFoundError:
            yield f"the content {bytes(digest).hex()} is missing"
        progress(done, len(rows))
    lost = sql.all(
        "SELECT f.id, r.name FROM file f JOIN room r ON r.id = f.room_id WHERE f.hash IS NOT NULL"
        " AND (NOT EXISTS (SELECT 1 FROM blob WHERE hash = f.hash)"
        " OR (f.thumb IS NOT NULL AND NOT EXISTS (SELECT 1 FROM blob WHERE hash = f.thumb)))"
    )
    for file_id, room in lost:
        yield f"{room}: the file {file_id} has no content"

"""Available contents: the place of each, reading it, and removing it.

The row of a content in the table ``blob`` names its place: none is the data directory, ``s3:…`` an object of the
bucket, all else pieces in the database. An object is of one upload alone, so that it is stored before the row is and
removed after, by requests outside of transactions. Until then its name lies in ``dropped``, beside hashes: as staged
until a content has it, as one to remove from when none has.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ...config import Settings
from ..base import Impossible, Transactions
from ..shapes import Sql
from .bucket import Bucket, StorageUnavailable, bucket_of

log = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024
"""Bytes of a piece in the database."""
_BLOCK = 64 * 1024
OBJECT = "s3:"
"""The prefix of the place of a content that is an object."""
_HASH_BYTES = 32
_STAGED = b"s3?"


class Places(NamedTuple):
    """Places of contents besides the database: below `folder` of this machine, and in a bucket."""

    folder: Path
    bucket: Bucket | None = None

    def object_store(self) -> Bucket:
        """Return the bucket. Raises Impossible if the settings name none."""
        if self.bucket is None:
            raise Impossible("contents of files lie in a bucket, and QUOTECHAT_BUCKET names none")
        return self.bucket


def places_of(settings: Settings) -> Places:
    """Return the places of a server with these settings. Raises SettingsError."""
    return Places(settings.data / "files", bucket_of(settings))


class Content(NamedTuple):
    """A content to read: a file at `path`, or the object `key`, or pieces of `place` in the database."""

    size: int
    path: Path | None
    place: str | None
    store: Transactions
    bucket: Bucket | None = None

    @property
    def is_far(self) -> bool:
        """Return True if another machine sends its blocks, so that a reader waits for each."""
        return self.bucket is not None

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`, some at a time. Raises FileNotFoundError, StorageUnavailable."""
        if self.path is not None:
            return self._of_file(self.path, start, stop)
        if self.bucket is not None:
            return self.bucket.blocks(key_of(self.place or ""), start, stop)
        return pieces(self.store, self.place or "", start, stop)

    def begin(self, start: int, stop: int) -> bytes:
        """Return bytes from `start` on, at most up to `stop`, for a request that waits; at once or not at all.

        Raises FileNotFoundError, StorageUnavailable.
        """
        assert self.bucket is not None
        with self.bucket.place():
            return next(self.blocks(start, stop), b"")

    def _of_file(self, path: Path, start: int, stop: int) -> Iterator[bytes]:
        with open(path, "rb") as file:
            file.seek(start)
            while start < stop and (block := file.read(min(_BLOCK, stop - start))):
                start += len(block)
                yield block


def path_of(folder: Path, digest: bytes) -> Path:
    """Return the path of a content below `folder`."""
    name = digest.hex()
    return folder / name[:2] / name[2:]


def is_object(place: str | None) -> bool:
    """Return True if a content of that place is an object of the bucket."""
    return place is not None and place.startswith(OBJECT)


def key_of(place: str) -> str:
    """Return the key of the object at `place`."""
    return place.removeprefix(OBJECT)


def find(sql: Sql, places: Places, store: Transactions, digest: bytes) -> Content | None:
    """Return the content with that hash; None if there is none.

    Raises StorageUnavailable if it lies in a bucket, and the settings name none.
    """
    row = sql.one("SELECT size, place FROM blob WHERE hash = ?", digest)
    if row is None:
        return None
    size, place = row
    if is_object(place):
        if places.bucket is None:
            log.error("the content %s lies in a bucket, and QUOTECHAT_BUCKET names none", digest.hex())
            raise StorageUnavailable()
        return Content(size, None, place, store, places.bucket)
    return Content(size, None if place else path_of(places.folder, digest), place, store)


def read_in_transaction(sql: Sql, places: Places, digest: bytes, place: str | None) -> Iterator[bytes]:
    """Yield a content in blocks of at most a piece, for a command that holds a transaction.

    Raises FileNotFoundError, StorageUnavailable, Impossible.
    """
    if is_object(place):
        yield from places.object_store().whole(key_of(place or ""))
    elif place is not None:
        for row in sql.all("SELECT data FROM piece WHERE place = ? ORDER BY at", place):
            yield bytes(row[0])
    else:
        with open(path_of(places.folder, digest), "rb") as file:
            block = file.read(PIECE_BYTES)
            while True:
                yield block  # one of no bytes too: an empty content is a piece
                if not (block := file.read(PIECE_BYTES)):
                    return


def pieces(store: Transactions, place: str, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes from `start` to `stop` of the pieces of `place`, each read in a transaction of its own."""

    def work(sql: Sql) -> tuple[int, bytes] | None:
        row = sql.one(
            "SELECT at, data FROM piece WHERE place = ? AND at <= ? ORDER BY at DESC LIMIT 1", place, start
        )
        return None if row is None else (row[0], bytes(row[1]))

    while start < stop:
        found = store.read_with(work)
        block = b"" if found is None else found[1][start - found[0] : stop - found[0]]
        if not block:
            return  # it was removed meanwhile
        yield block
        start += len(block)


def digest(path: Path) -> tuple[bytes, int]:
    """Return SHA-256 and size of a file."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").digest()
        return found, file.tell()


# --- Removed --------------------------------------------------------------------------------------


def are_dropped(sql: Sql) -> bool:
    """Return True if contents that no file has, or their objects, are to be removed."""
    staged = "length(hash) > ? AND substr(hash, 1, 3) = ?"
    return sql.one(f"SELECT 1 FROM dropped WHERE NOT ({staged}) LIMIT 1", _HASH_BYTES, _STAGED) is not None


def remove_dropped(sql: Sql, folder: Path, limit: int) -> int:
    """Remove some contents that no file has any more, in one open write transaction; return how many were looked at.

    Of one that is an object only the row goes, and `remove_objects` does the rest.
    """
    sql.alone("blob")
    select = "SELECT hash FROM dropped WHERE length(hash) = ? LIMIT ?"
    rows = [bytes(row[0]) for row in sql.all(select, _HASH_BYTES, limit)]
    for found in rows:
        sql.run("DELETE FROM dropped WHERE hash = ?", found)
        if sql.one("SELECT 1 FROM file WHERE hash = ? OR thumb = ?", found, found) is None:
            _remove(sql, folder, found)
    return len(rows)


def _remove(sql: Sql, folder: Path, digest: bytes) -> None:
    row = sql.one("SELECT place FROM blob WHERE hash = ?", digest)
    place: str | None = None if row is None else row[0]
    if place is not None and is_object(place):
        sql.run("INSERT INTO dropped (hash) VALUES (?) ON CONFLICT DO NOTHING", place.encode())
    elif place is not None:
        sql.run("DELETE FROM piece WHERE place = ?", place)
    else:
        path_of(folder, digest).unlink(missing_ok=True)
    sql.run("DELETE FROM blob WHERE hash = ?", digest)


def remove_objects(store: Transactions, places: Places, limit: int) -> int:
    """Remove some objects that no content has any more; return how many. Raises StorageUnavailable; they stay noted."""
    if places.bucket is None:
        return 0
    select = "SELECT hash FROM dropped WHERE length(hash) > ? AND substr(hash, 1, 3) = ? LIMIT ?"
    names = store.read_with(
        lambda sql: [bytes(row[0]) for row in sql.all(select, _HASH_BYTES, OBJECT.encode(), limit)]
    )
    for name in names:
        places.bucket.remove(key_of(name.decode()))
        store.write_with(partial(_forget, name=name))
    return len(names)


def _forget(sql: Sql, name: bytes) -> None:
    sql.run("DELETE FROM dropped WHERE hash = ?", name)


# --- Staged ---------------------------------------------------------------------------------------


def stage(sql: Sql, digest: bytes, now: int) -> str:
    """Return a new place for an object, noted so that it is removed unless a content gets it."""
    name = digest.hex()
    key = f"{name[:2]}/{name[2:]}.{now:x}.{secrets.token_hex(4)}"
    sql.run("INSERT INTO dropped (hash) VALUES (?)", _STAGED + key.encode())
    return OBJECT + key


def is_staged(sql: Sql, place: str) -> bool:
    """Return True if no content has the object at `place` yet, and none of those that remove it has begun."""
    return sql.one("SELECT 1 FROM dropped WHERE hash = ?", _STAGED + key_of(place).encode()) is not None


def take_staged(sql: Sql, place: str) -> None:
    """Forget that an object is staged, as a content has it. Raises StorageUnavailable if it may be removed just now."""
    if not is_staged(sql, place):
        raise StorageUnavailable()
    sql.run("DELETE FROM dropped WHERE hash = ?", _STAGED + key_of(place).encode())


def drop_staged(sql: Sql, *places: str) -> None:
    """Let those of the objects be removed that are still staged."""
    sql.alone("blob")
    for place in places:
        if is_staged(sql, place):
            take_staged(sql, place)
            sql.run("INSERT INTO dropped (hash) VALUES (?) ON CONFLICT DO NOTHING", place.encode())


def drop_abandoned(sql: Sql, before: int) -> int:
    """Let objects be removed that processes which ended staged before that time; return how many."""
    select = "SELECT hash FROM dropped WHERE length(hash) > ? AND substr(hash, 1, 3) = ?"
    keys = [bytes(row[0])[len(_STAGED) :].decode() for row in sql.all(select, _HASH_BYTES, _STAGED)]
    old = [OBJECT + key for key in keys if int(key.split(".")[1], 16) < before]
    drop_staged(sql, *old)
    return len(old)

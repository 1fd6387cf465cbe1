"""Places for files that arrive and for new contents: the data directory, the database, or a bucket.

The row of a content in the table ``blob`` says in which of them it lies, so a store may have all, as after a restore.
Contents come and go under the lock of that table: none is put while it is removed. A content is on the disk before its
row is; a process that dies in between leaves bytes without a row, which `sweeping` removes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from ...protocol.errors import Conflict, Refused, StorageFull
from ..base import Transactions
from ..disk.files import flush, give_to_owner
from ..shapes import Sql
from . import contents
from .bucket import Bucket
from .contents import PIECE_BYTES, digest, path_of, pieces

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MEANWHILE = "Another request adds to this upload."
_INSERT = "INSERT INTO piece (place, at, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING at"


class Staged(NamedTuple):
    """A content that is on the disk and has no row yet; `place` names its pieces, `path` its file."""

    hash: bytes
    size: int
    place: str | None = None
    path: Path | None = None


class Blobs(Protocol):
    """Stores arriving files and new contents. Methods that take `sql` are called under the lock of ``blob``."""

    folder: Path

    def received(self, upload: str) -> int:
        """Return the number of bytes of `upload` that have been received."""

    def append(self, upload: str, offset: int, blocks: Iterable[bytes]) -> int:
        """Add `blocks` to the `offset` bytes that have come; return how many have then.

        They are on the disk when it returns, and also when `blocks` raises: the bytes before that stay. Raises
        Conflict if another number has come or another call adds now, StorageFull, and then nothing is added.
        """

    def completing(self, upload: str) -> contextlib.AbstractContextManager[None]:
        """Keep other processes of this machine from completing `upload`. Raises Conflict if one is doing so."""

    def local(self, upload: str) -> Path:
        """Return a file on this machine with all received bytes of `upload`."""

    def stage(self, upload: str, path: Path) -> Staged:
        """Bring the file at `path`, made of `upload`, to the disk as a content."""

    def put(self, sql: Sql, staged: Staged) -> None:
        """Make the staged content available."""

    def unstage(self, staged: Iterable[Staged]) -> None:
        """Remove the pieces that `stage` has made, unless a content has them."""

    def discard(self, upload: str) -> None:
        """Remove all that was kept for `upload`, except contents that are available."""


class Directory:
    """Below `folder`: ``ab/cdef…`` for each content, ``arriving/`` for those on their way."""

    def __init__(self, folder: Path, store: Transactions) -> None:
        self.folder = folder
        self._store = store

    def received(self, upload: str) -> int:
        try:
            return self._part(upload).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, upload: str, offset: int, blocks: Iterable[bytes]) -> int:
        part = self._part(upload)
        _make(part.parent)
        with _no_space(), open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0) as file:
            _lock(file.fileno())
            found = file.seek(0, os.SEEK_END)
            if found != offset:
                raise WrongOffset(found)
            if not found:
                flush(part.parent)  # its name, which no flush of the file itself brings to the disk
            try:
                for block in blocks:
                    _write(file.fileno(), block)
            except (OSError, Refused) as fault:
                if isinstance(fault, Refused) or fault.errno in _FULL:
                    file.truncate(offset)
                raise
            finally:
                os.fdatasync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def completing(self, upload: str) -> contextlib.AbstractContextManager[None]:
        return _held(self._part(upload))

    def local(self, upload: str) -> Path:
        return self._part(upload)

    def stage(self, upload: str, path: Path) -> Staged:
        with _no_space():
            flush(path)
        return Staged(*digest(path), path=path)

    def put(self, sql: Sql, staged: Staged) -> None:
        assert staged.path is not None
        row = sql.one("SELECT place FROM blob WHERE hash = ?", staged.hash)
        if row is None or row[0] is None:
            target = path_of(self.folder, staged.hash)
            with _no_space():
                _make(target.parent)
                os.rename(staged.path, target)
                flush(target.parent)
        if row is None:
            sql.run("INSERT INTO blob (hash, size) VALUES (?, ?)", staged.hash, staged.size)

    def unstage(self, staged: Iterable[Staged]) -> None:
        pass  # there are none

    def discard(self, upload: str) -> None:
        for path in self._part(upload).parent.glob(f"{upload}*"):
            path.unlink(missing_ok=True)

    def _part(self, upload: str) -> Path:
        return self.folder / "arriving" / upload


class Database:
    """Pieces in the table ``piece``, each committed by itself; `folder` is for the files that this machine works on."""

    def __init__(self, folder: Path, store: Transactions) -> None:
        self.folder = folder
        self._store = store

    def received(self, upload: str) -> int:
        def work(sql: Sql) -> int:
            row = sql.one("SELECT at, length(data) FROM piece WHERE place = ? ORDER BY at DESC LIMIT 1", upload)
            return 0 if row is None else row[0] + row[1]

        return self._store.read_with(work)

    def append(self, upload: str, offset: int, blocks: Iterable[bytes]) -> int:
        found = self.received(upload)
        if found != offset:
            raise WrongOffset(found)
        try:
            return self._insert(upload, offset, blocks)
        except Conflict:
            raise
        except Refused:
            self._store.write_with(
                lambda sql: sql.run("DELETE FROM piece WHERE place = ? AND at >= ?", upload, offset)
            )
            raise

    def completing(self, upload: str) -> contextlib.AbstractContextManager[None]:
        return _held(self.folder / "arriving" / f"{upload}.lock")

    def local(self, upload: str) -> Path:
        path = self.folder / "arriving" / upload
        with _no_space(), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for block in pieces(self._store, upload, 0, self.received(upload)):
                file.write(block)
        return path

    def stage(self, upload: str, path: Path) -> Staged:
        place = upload
        if path.name != upload:
            place = f"{path.name}.{secrets.token_hex(8)}"  # another machine may be at the same upload
            with open(path, "rb") as file:
                self._insert(place, 0, iter(lambda: file.read(PIECE_BYTES), b""))
        return Staged(*digest(path), place=place)

    def put(self, sql: Sql, staged: Staged) -> None:
        if sql.one("SELECT 1 FROM blob WHERE hash = ?", staged.hash) is None:
            sql.run(
                "INSERT INTO blob (hash, size, place) VALUES (?, ?, ?)", staged.hash, staged.size, staged.place
            )

    def unstage(self, staged: Iterable[Staged]) -> None:
        places = [each.place for each in staged if each.place is not None and len(each.place) > ID_CHARS]
        if places:
            self._store.write_with(lambda sql: _drop_pieces(sql, *places))

    def discard(self, upload: str) -> None:
        for path in (self.folder / "arriving").glob(f"{upload}*"):
            path.unlink(missing_ok=True)

        self._store.write_with(lambda sql: _drop_pieces(sql, upload))

    def _insert(self, place: str, offset: int, blocks: Iterable[bytes]) -> int:
        waiting = bytearray()

        def write(count: int) -> None:
            nonlocal offset
            data, start = bytes(waiting[:count]), offset

            def work(sql: Sql) -> None:
                there = sql.one("SELECT 1 FROM piece WHERE place = ? AND at >= ?", place, start)
                if there is not None or sql.one(_INSERT, place, start, data) is None:
                    raise Conflict(_MEANWHILE)

            self._store.write_with(work)
            offset += len(data)
            del waiting[:count]

        try:
            for block in blocks:
                waiting += block
                while len(waiting) >= PIECE_BYTES:
                    write(PIECE_BYTES)
        except OSError:
            if waiting:  # the sender has gone; its bytes stay
                write(len(waiting))
            raise
        if waiting:
            write(len(waiting))
        return offset


class InBucket:
    """Objects of a bucket. Files arrive in `arriving`; `clock` returns the time in milliseconds."""

    def __init__(self, arriving: Blobs, bucket: Bucket, store: Transactions, clock: Callable[[], int]) -> None:
        self.folder = arriving.folder
        self._arriving = arriving
        self._bucket = bucket
        self._store = store
        self._clock = clock

    def received(self, upload: str) -> int:
        return self._arriving.received(upload)

    def append(self, upload: str, offset: int, blocks: Iterable[bytes]) -> int:
        return self._arriving.append(upload, offset, blocks)

    def completing(self, upload: str) -> contextlib.AbstractContextManager[None]:
        return self._arriving.completing(upload)

    def local(self, upload: str) -> Path:
        return self._arriving.local(upload)

    def stage(self, upload: str, path: Path) -> Staged:
        found, size = digest(path)
        place = self._store.write_with(lambda sql: contents.stage(sql, found, self._clock()))
        staged = Staged(found, size, place=place)
        try:
            self._bucket.put(contents.key_of(place), path)
        except Refused:
            self.unstage([staged])
            raise
        return staged

    def put(self, sql: Sql, staged: Staged) -> None:
        assert staged.place is not None
        if sql.one("SELECT 1 FROM blob WHERE hash = ?", staged.hash) is None:
            contents.take_staged(sql, staged.place)
            sql.run(
                "INSERT INTO blob (hash, size, place) VALUES (?, ?, ?)", staged.hash, staged.size, staged.place
            )

    def unstage(self, staged: Iterable[Staged]) -> None:
        places = [each.place for each in staged if each.place is not None]

        def are_left(sql: Sql) -> bool:
            return any(contents.is_staged(sql, place) for place in places)

        if self._store.read_with(are_left):
            self._store.write_with(lambda sql: contents.drop_staged(sql, *places))

    def discard(self, upload: str) -> None:
        self._arriving.discard(upload)


class WrongOffset(Conflict):
    """The caller's offset is not the number of bytes that have been received."""

    def __init__(self, received: int) -> None:
        super().__init__(f"{received} bytes of this upload are here: go on from there.")
        self.received = received


ID_CHARS = 20
"""Characters of a file's id."""
SUFFIXES = (".clean", ".thumb")
"""Files made of an upload lie beside it, under its id with one of these."""


# --- Inside ---------------------------------------------------------------------------------------


def _drop_pieces(sql: Sql, *places: str) -> None:
    """Remove the pieces of those places that no content has."""
    sql.alone("blob")
    for place in places:
        if sql.one("SELECT 1 FROM blob WHERE place = ?", place) is None:
            sql.run("DELETE FROM piece WHERE place = ?", place)


def _make(directory: Path) -> None:
    """Make a directory, and those above it; they are on the disk when it returns."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        number = os.open(directory, os.O_RDONLY)
        try:
            give_to_owner(number, directory.parent)
        finally:
            os.close(number)
        flush(directory.parent)


def _write(number: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(number, rest) :]


def _lock(number: int) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict(_MEANWHILE) from None


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a file, which is made if need be."""
    _make(path.parent)
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(number)
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def _no_space() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno in _FULL:
            raise StorageFull() from fault
        raise

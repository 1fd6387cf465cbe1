"""A backup of a SQLite store: one file that holds all, taken while the server runs; and the way back.

The copy is made within one read transaction, so it is one moment of the store, and no writer waits for it. Meanwhile
SQLite's log cannot be cut, so it grows by what is written. A backup holds the secret that signs identities too:
without it no sender would own its messages.

A copy gets its name only when it is complete and on the disk; until then it is a ``….part`` beside it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from .. import migrate, reading
from ..base import Census, Impossible, Progress
from ..disk.files import files_of, flush, part_of
from ..disk.lock import Presence
from ..files import moving
from ..files.contents import Places
from ..maintenance import redaction
from ..sqlite.store import look
from ..sqlite.transaction import SqlOn

_PAGES_A_STEP = 512
_BLOCK = 1 << 20
_LEFT_ALONE = ("lost+found",)
"""Entries that a directory may have and count as empty all the same."""


def back_up(
    database: Path, secret: Path, target: Path, progress: Progress, at: int, places: Places | None = None
) -> Census:
    """Copy the store at `database` to the new file `target`; return the census of the copy.

    Raises Impossible if `target` exists, or the copy is not complete; and if contents of files are missing or
    damaged, after it has made the backup of all else.
    """
    if os.path.lexists(target):
        raise Impossible(f"{target} exists already")
    with part_of(target) as part:
        with contextlib.closing(_plain(part)) as copy:
            _copy(database, copy, progress)
            copy.execute("BEGIN")
            lost = moving.gather(SqlOn(copy), places or Places(database.with_name("files")))
            copy.execute("COMMIT")
            found = _examine(copy)
            marks = {"backup": str(at)} | ({"secret": secret.read_text()} if secret.exists() else {})
            copy.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", marks.items())
    if lost:
        with look(database) as now:
            moving.check_copied(str(target), now, lost)
    return found


def restore(backup: Path, database: Path, secret: Path, progress: Progress) -> Census:
    """Make the store at `database` from a file that `back_up` made; return its census.

    The directory is empty, but for files that an interrupted restore has left. Raises Impossible, and InUse if
    a server uses the directory.
    """
    if not backup.is_file():
        raise Impossible(f"there is no file {backup}")
    directory = database.parent
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.closing(Presence(directory, alone=True)):
        part = database.with_name(f"{database.name}.part")
        _check_empty(directory, {*files_of(part), secret.name})
        try:
            _copy_file(backup, part, progress)
            with contextlib.closing(_plain(part)) as copy:
                found = _examine(copy)
                _put_secret(secret, _unmarked(copy))
            flush(part)
            os.rename(part, database)
            flush(directory)
        finally:
            for name in files_of(part):
                part.with_name(name).unlink(missing_ok=True)
    return found


# --- Copies ---------------------------------------------------------------------------------------


def _copy(database: Path, copy: sqlite3.Connection, progress: Progress) -> None:
    """Copy all pages of `database` as of one moment."""
    with look(database) as source:
        # The transaction is open already. So the steps belong together, and a commit beside them restarts nothing.
        source.connection.backup(
            copy, pages=_PAGES_A_STEP, progress=lambda _, left, pages: progress(pages - left, pages)
        )


def _copy_file(source: Path, target: Path, progress: Progress) -> None:
    size = source.stat().st_size
    with open(source, "rb") as read, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as write:
        while block := read.read(_BLOCK):
            write.write(block)
            progress(write.tell(), size)


def _plain(path: Path) -> sqlite3.Connection:
    """Open a file that no other connection has open: without a log beside it, flushed by the caller that names it."""
    return sqlite3.connect(path, isolation_level=None)


def _examine(copy: sqlite3.Connection) -> Census:
    """Return the census of a copy. Raises Impossible if it is not complete."""
    try:
        # A copy of a database with a write-ahead log wants one too; no process shares this one.
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("PRAGMA secure_delete = ON")
        row = copy.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        if not migrate.pending("sqlite", int(row[0]) if row else 0):
            _redact(copy)
        damage = [each for (each,) in copy.execute("PRAGMA quick_check(1)") if each != "ok"]
        sql = SqlOn(copy)
        damage += [f"{step.room}: event {step.seq}: {step.problem}" for step in reading.verify(sql) if step.problem]
        if damage:
            raise Impossible(f"the copy is not whole: {damage[0]}")
        return reading.census(sql)
    except sqlite3.DatabaseError as fault:
        raise Impossible(f"this is no database of quotechat: {fault}") from fault


def _redact(copy: sqlite3.Connection) -> None:
    """Redact all that the store was still to redact: no copy carries it on."""
    copy.execute("BEGIN")
    while redaction.redact_some(SqlOn(copy)):
        pass
    copy.execute("COMMIT")


# --- The directory of a restore -------------------------------------------------------------------


def _check_empty(directory: Path, own: set[str]) -> None:
    others = sorted(set(os.listdir(directory)) - own - set(_LEFT_ALONE))
    if others:
        raise Impossible(f"{directory} is not empty: {others[0]} lies there; restore into a new directory")


def _unmarked(copy: sqlite3.Connection) -> str | None:
    """Return the secret in a backup, and make it a plain store: without that and without the mark of a backup."""
    marks = dict(copy.execute("SELECT key, value FROM meta WHERE key IN ('backup', 'secret')").fetchall())
    if "backup" not in marks:
        raise Impossible("this was not made by `quotechat backup`, and may lack what was written last")
    copy.execute("DELETE FROM meta WHERE key IN ('backup', 'secret')")
    return marks.get("secret")


def _put_secret(path: Path, secret: str | None) -> None:
    if secret is None:
        return
    if path.exists():
        if path.read_text() == secret:
            return  # an interrupted restore had come so far
        raise Impossible(f"{path} is another server's: restore into a new directory")
    with part_of(path) as part:
        part.write_text(secret)

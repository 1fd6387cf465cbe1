"""Make new files: complete under their name or not there at all, and owned by the user that they are for."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..base import Impossible

_BLOCK = 1 << 20


@contextlib.contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """Yield a file beside `target`, which must not exist; it gets that name at the end if all goes well, else it goes.

    It is on the disk then. Raises Impossible if the name was taken meanwhile.
    """
    number, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent)
    os.close(number)
    part = Path(name)
    try:
        yield part
        flush(part)
        _name(part, target)
        flush(target.parent)
    finally:
        for each in files_of(part):
            part.with_name(each).unlink(missing_ok=True)


def files_of(part: Path) -> list[str]:
    """Return the files that SQLite may leave of a copy."""
    return [part.name + suffix for suffix in ("", "-journal", "-wal", "-shm")]


def flush(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk (fsync(2))."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def settle(path: Path) -> None:
    """Flush the frames that an earlier process left in SQLite's log: the next commit read may not be on the disk yet.

    It may have died between writing and flushing, and then its frames are read as committed. Or its flush failed, and
    then the system takes their pages for written: so they are written again, the same bytes. The lock is held.
    """
    with contextlib.suppress(FileNotFoundError), open(f"{path}-wal", "r+b", buffering=0) as file:
        while block := file.read(_BLOCK):
            file.seek(-len(block), os.SEEK_CUR)
            file.write(block)
        os.fdatasync(file.fileno())


def give_to_owner(file: int, directory: Path) -> None:
    """Give a file that root makes in a user's `directory` to that user; `file` is a descriptor."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)


def _name(part: Path, target: Path) -> None:
    try:
        os.link(part, target)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise Impossible(f"{target} exists already") from None
    except OSError as fault:
        if fault.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.rename(part, target)  # a file system without links, such as FAT

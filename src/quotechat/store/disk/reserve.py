"""A little space that is kept, so that a server can begin on a full disk and serve reads.

SQLite needs some pages beside the database for the index of its log, which it removes when the last process has
closed the database. They come out of this file then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .files import give_to_owner

_NAME = "quotechat.reserve"
_BYTES = 131_072
_SCARCE = 1_048_576
"""Free bytes below which the reserve is given up, and is not made."""


@contextlib.contextmanager
def used(directory: Path) -> Iterator[None]:
    """Give the reserve up if the disk is full; afterwards make it, if there is room and none yet."""
    path = directory / _NAME
    if _free(directory) < _SCARCE:
        with contextlib.suppress(OSError):
            path.unlink()
    yield
    with contextlib.suppress(OSError):
        if _free(directory) >= _SCARCE and not path.exists():
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(number, 0, _BYTES)
                give_to_owner(number, directory)
            finally:
                os.close(number)


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize

"""A server whose disk and clock fail on order: shim.c, compiled once, and the page that gives it orders.

What an operator sees: no space (ENOSPC), a bad disk (EIO), a flush that fails, a clock that jumps, and the power
that goes, after which only what was flushed is there.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_ORDERS = struct.Struct("=iiiiiiq")
_FIELDS = ("write_errno", "sync_errno", "read_errno", "keep", "clock_pid", "unused", "clock_ns")
EVERYBODY = -1
FULL, BROKEN = errno.ENOSPC, errno.EIO


@lru_cache(1)
def library() -> Path:
    """The compiled shim. Raises FileNotFoundError where there is no compiler."""
    where = Path(tempfile.mkdtemp(prefix="quotechat-shim-")) / "shim.so"
    source = Path(__file__).with_name("shim.c")
    command = ["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(where), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return where


def available() -> bool:
    """Whether it can be compiled here; in CI it must be."""
    return shutil.which("gcc") is not None or bool(os.environ.get("CI"))


class Orders:
    """The page in `directory`, and what was flushed beside it. `env` is what a server needs to obey it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.disk = directory / "disk"
        self.disk.mkdir()
        path = directory / "orders"
        path.write_bytes(bytes(_ORDERS.size))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _ORDERS.size)
        self.env = {"LD_PRELOAD": str(library()), "FAULTS_ORDERS": str(path), "FAULTS_DISK": str(self.disk)}

    def set(self, **values: int) -> None:
        """Give orders; what is not named stays."""
        now = dict(zip(_FIELDS, _ORDERS.unpack_from(self._page), strict=True)) | values
        _ORDERS.pack_into(self._page, 0, *(now[name] for name in _FIELDS))

    @contextlib.contextmanager
    def during(self, **values: int) -> Iterator[None]:
        """Orders for a while; afterwards all is well."""
        self.set(**values)
        try:
            yield
        finally:
            self.set(**dict.fromkeys(values, 0))

    def power_lost(self, data: Path) -> None:
        """With all processes dead: what was not flushed is gone."""
        for file in data.glob("quotechat.db*"):
            file.unlink()
        for file in self.disk.iterdir():
            # A copy that was being made when its process died is not what the disk has.
            if file.suffix != ".part":
                shutil.copyfile(file, data / file.name)

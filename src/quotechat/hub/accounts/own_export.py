"""Export all that a server keeps of one account, for its owner: lines of JSON, alone or in a tar with the files.

The lines are written to a temporary file first, so that the length is known and memory is bounded. The contents of the
files are read while they are sent, and a content that is removed meanwhile ends the answer before its length.
"""

from __future__ import annotations

import errno
import logging
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from ...protocol import json
from ...protocol.errors import Overloaded, StorageFull
from ...store.accounts import own
from ...store.base import Transactions
from ...store.files.contents import Content

log = logging.getLogger(__name__)

LINES = "quotechat.ndjson"
"""The name of the lines within the archive."""
_BLOCK = 64 * 1024
_TAR_BLOCK = 512
_NAME_BYTES = 180
"""Bytes of a file's name that its name in the archive has; file systems take 255 in all."""

Find = Callable[[bytes], Content | None]
"""Returns the content with a hash; None if it is not there."""


class _Member(NamedTuple):
    """A file of the archive: its header and its content."""

    head: bytes
    content: Content


class OwnExport:
    """The body of one answer: `size` bytes, which `blocks` makes. To be closed."""

    path: Path | None = None
    is_far = True
    """Blocks are made by threads that may wait."""

    def __init__(self, store: Transactions, account_id: int, find: Find | None = None) -> None:
        """With `find` it is an archive with the files, else the lines alone. Raises Overloaded, StorageFull."""
        self._lines = _open_lines()
        self._members: list[_Member] = []
        try:
            for line in own.lines(store, account_id):
                if find is not None and line["command"] == "file":
                    self._add(line, find)
                self._lines.write(json.dumps(line) + b"\n")
        except BaseException as fault:
            self._lines.close()
            if isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull() from fault
            raise
        length = self._lines.tell()
        self._head = b"" if find is None else _head(LINES, length)
        self.size = length
        if find is not None:
            self.size = len(self._head) + _padded(length) + 2 * _TAR_BLOCK
            self.size += sum(len(each.head) + _padded(each.content.size) for each in self._members)

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the whole of it, in blocks that are not empty. Raises FileNotFoundError, StorageUnavailable."""
        assert (start, stop) == (0, self.size)
        return filter(None, self._all_blocks())

    def close(self) -> None:
        """Remove the temporary file."""
        self._lines.close()

    # --- Inside -------------------------------------------------------------------------------------

    def _all_blocks(self) -> Iterator[bytes]:
        yield self._head
        self._lines.seek(0)
        while block := self._lines.read(_BLOCK):
            yield block
        if self._head:
            yield _padding(self._lines.tell())
            for member in self._members:
                yield member.head
                yield from _whole(member.content)
                yield _padding(member.content.size)
            yield bytes(2 * _TAR_BLOCK)

    def _add(self, line: dict[str, Any], find: Find) -> None:
        """Add the file of a line to the archive, if its content is available; then the line has its path there."""
        file = line["file"]
        content = find(bytes.fromhex(line["sha256"]))
        if content is None or (content.path is not None and not content.path.exists()):
            return
        line["path"] = f"files/{file['id']}-{_end_of(file['name'])}"
        self._members.append(_Member(_head(line["path"], content.size), content))


def _open_lines() -> IO[bytes]:
    """Open the file of the lines. Raises Overloaded if there is no descriptor or directory for it, StorageFull."""
    try:
        return tempfile.TemporaryFile()
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull() from fault
        # ENOENT is what Python says, before it knows a directory, if it could open no file in any: there is no
        # descriptor, or no directory that can be used.
        if fault.errno in (errno.EMFILE, errno.ENFILE, errno.ENOENT):
            log.error("an export was refused, as there is no temporary file: %s", fault)
            raise Overloaded() from fault
        raise


def _whole(content: Content) -> Iterator[bytes]:
    left = content.size
    for block in content.blocks(0, content.size):
        left -= len(block)
        yield block
    if left:
        raise FileNotFoundError("a content was removed while it was sent")


def _end_of(name: str) -> str:
    """Return the last bytes of a file's name, which hold its extension."""
    return name.encode()[-_NAME_BYTES:].decode(errors="ignore")


def _head(name: str, size: int) -> bytes:
    about = tarfile.TarInfo(name)
    about.size, about.mode = size, 0o600
    return about.tobuf(tarfile.PAX_FORMAT)


def _padded(size: int) -> int:
    return size + len(_padding(size))


def _padding(size: int) -> bytes:
    return bytes(-size % _TAR_BLOCK)

"""Upload a file in pieces, so that a lost connection or a restart of the server costs one piece at most."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from .backoff import Backoff
from .problems import Problem

PIECE_BYTES = 1024 * 1024
PARTIAL = "application/partial-upload"


class Reply(NamedTuple):
    """The headers of an answer, and its JSON object, which may be empty."""

    headers: Any
    found: dict[str, Any]


class Ask(Protocol):
    """Sends a request until there is an answer. Raises Problem, Unanswered."""

    def __call__(self, method: str, path: str, data: bytes, headers: dict[str, str]) -> Reply: ...


def upload(
    ask: Ask, path: str, source: BinaryIO, backoff: Backoff, sleep: Callable[[float], None],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:  # fmt: skip
    """Upload all of `source` to `path`; return the file, which waits for its message."""
    length = source.seek(0, os.SEEK_END)
    begun = ask("POST", path, b"", {"Upload-Complete": "?0", "Upload-Length": str(length)})
    where = "/files/" + begun.headers["Location"].rpartition("/")[2]
    offset = 0
    while True:
        progress(offset, length)
        source.seek(offset)
        data = source.read(PIECE_BYTES)
        last = offset + len(data) >= length
        about = {"Content-Type": PARTIAL, "Upload-Offset": str(offset), "Upload-Complete": "?1" if last else "?0"}
        try:
            reply = ask("PATCH", where, data, about)
        except Problem as refused:
            if refused.status != 409 or refused.code != "conflict":
                raise
            # The answer to an earlier attempt was lost, or that attempt is still on its way.
            found = int(ask("HEAD", where, b"", {}).headers["Upload-Offset"])
            if found == offset:
                sleep(backoff.next(0.0))
            offset = found
            continue
        if last:
            progress(length, length)
            file: dict[str, Any] = reply.found["file"]
            return file
        offset += len(data)


@contextlib.contextmanager
def opened(file: str | os.PathLike[str] | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    """Yield a file to read, and its name; one that is open already stays so."""
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as source:
            yield source, Path(file).name
    else:
        yield file, Path(str(getattr(file, "name", "file"))).name

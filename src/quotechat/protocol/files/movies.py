"""Where a movie (ISO/IEC 14496-12: MP4, M4A, QuickTime) has its metadata: place, camera, titles. Pure.

Boxes are walked by their headers, nothing is decoded. What is found keeps its length, as ``free`` with zeros, so that
no offset into the media changes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from .media import AUDIO_BRANDS, VIDEO_BRANDS, Broken

_WITHIN = frozenset({b"moov", b"trak", b"mdia", b"minf", b"moof", b"traf"})
"""Boxes that may hold metadata among others."""
_METADATA = frozenset({b"udta", b"meta", b"uuid"})
_MOST_BOXES = 100_000
_DEEPEST = 6
FREE = b"free"


def is_movie(head: bytes) -> bool:
    """Return True if a file that begins with `head` is a movie; pictures in boxes (HEIC, AVIF) are none."""
    brand = head[8:12]
    return head[4:8] == b"ftyp" and (brand in (*AUDIO_BRANDS, *VIDEO_BRANDS, b"qt  ") or brand[:2] == b"3g")


def metadata(read: Callable[[int, int], bytes], size: int) -> list[tuple[int, int, int]]:
    """Return name, start and end of the boxes of metadata, as offsets into a file of `size` bytes. Raises Broken.

    `read(offset, count)` returns bytes of the file.
    """
    found, count = [], 0

    def walk(start: int, end: int, depth: int) -> None:
        nonlocal count
        for name, at, body, stop in _boxes(read, start, end, whole=depth == 0):
            count += 1
            if count > _MOST_BOXES or depth > _DEEPEST or name == b"cmov":
                raise Broken("its boxes are too many, too deep or compressed")
            if name in _METADATA:
                found.append((at + 4, body, stop))
            elif name in _WITHIN:
                walk(body, stop, depth + 1)

    walk(0, size, 0)
    return found


def _boxes(
    read: Callable[[int, int], bytes], at: int, end: int, *, whole: bool
) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield name, start, start of the body and end of each box; the last one of the `whole` file may be cut off."""
    while at + 8 <= end:
        length, name = struct.unpack(">I4s", read(at, 8))
        body = at + 8
        if length == 1 and body + 8 <= end:
            (length,) = struct.unpack(">Q", read(body, 8))
            body += 8
        elif length == 0:
            length = end - at
        stop = at + length
        if stop > end and whole:
            stop = end
        if stop < body or stop > end:
            raise Broken("a box is cut off")
        yield name, at, body, stop
        at = stop

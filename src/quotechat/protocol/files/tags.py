"""Metadata of MP3, WAV, Ogg (Opus, Vorbis) and WebM: titles, authors, places, pictures, programs. Pure.

Containers are walked by their headers, nothing is decoded, and no byte of sound or picture changes. Tags around an MP3
are cut off; elsewhere metadata become zeros of the same length, so that no offset into the media changes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from . import media, movies
from .media import Broken

Read = Callable[[int, int], bytes]
"""`read(offset, count)` returns bytes of the file."""
KINDS = ("audio/mpeg", "audio/wav", "audio/ogg", "video/webm")
_MOST_ELEMENTS = 500_000


class Change(NamedTuple):
    """`data` is written at `at`, and zeros from there to `end`."""

    at: int
    data: bytes
    end: int


class Plan(NamedTuple):
    """The bytes from `start` to `stop` are kept, with `changes`."""

    start: int
    stop: int
    changes: list[Change]


def plan(head: bytes, read: Read, size: int) -> Plan:
    """Return how a movie or sound of `size` bytes that begins with `head` loses its metadata. Raises Broken."""
    kind = media.kind(head)
    try:
        if movies.is_movie(head):
            return Plan(0, size, list(_movie(read, size)))
        if kind == "audio/mpeg":
            return Plan(*_mp3(read, size), [])
        find = {"audio/wav": _wav, "audio/ogg": _ogg, "video/webm": _webm}[kind]
        return Plan(0, size, list(find(read, size)))
    except (IndexError, struct.error):
        raise Broken("it is cut off") from None


def _movie(read: Read, size: int) -> Iterator[Change]:
    for name, start, end in movies.metadata(read, size):
        yield Change(name, movies.FREE, name + 4)
        yield Change(start, b"", end)


# --- MP3 (id3.org: ID3v2.4.0 §3.1, ID3v1; APEv2; Lyrics3v2) -----------------------------------------


def _mp3(read: Read, size: int) -> tuple[int, int]:
    """Return start and end of the sound between its tags."""
    start, stop = 0, size
    while (head := read(start, 10))[:3] == b"ID3" and len(head) == 10:
        footer = 10 if head[5] & 0x10 else 0
        start += 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer
    while (shorter := _before_tag(read, start, stop)) < stop:
        stop = shorter
    if start >= stop:
        raise Broken("it has no sound")
    return start, stop


def _before_tag(read: Read, start: int, stop: int) -> int:
    """Return the start of the tag that ends at `stop`, else `stop`."""
    if stop - start >= 128 and read(stop - 128, 3) == b"TAG":
        return stop - 128
    tail = read(stop - 32, 32) if stop - start >= 32 else b""
    if tail[:8] == b"APETAGEX":
        length, flags = struct.unpack("<I4xI", tail[12:24])
        return max(start, stop - length - (32 if flags & 1 << 31 else 0)) if length >= 32 else stop
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        return max(start, stop - int(tail[-15:-9]) - 15)
    return stop


# --- WAV (RIFF) -----------------------------------------------------------------------------------

_WAV_KEPT = frozenset(b"fmt |fact|data|cue |smpl|inst|plst|wavl|slnt|JUNK|PAD |FLLR".split(b"|"))


def _wav(read: Read, size: int) -> Iterator[Change]:
    at = 12
    while at + 8 <= size:
        name, length = struct.unpack("<4sI", read(at, 8))
        end = min(at + 8 + length, size)
        if name not in _WAV_KEPT:
            yield Change(at, b"JUNK", at + 4)
            yield Change(at + 8, b"", end)
        at = end + length % 2


# --- Ogg (RFC 3533 §6, RFC 7845 §5.2, Vorbis I §5) --------------------------------------------------

_OGG = {
    b"OpusHead": (b"OpusTags", b""),
    b"\x01vorbis": (b"\x03vorbis", b"\x01"),
}
"""First packet, then beginning and end of the second one without comments; what follows is ignored by readers."""
_CRC = []
for _byte in range(256):
    _rest = _byte << 24
    for _ in range(8):
        _rest = (_rest << 1 ^ (0x04C11DB7 if _rest & 1 << 31 else 0)) & 0xFFFFFFFF
    _CRC.append(_rest)


class _Comments:
    """The second packet of a stream, as its pages come."""

    def __init__(self, magic: bytes, end: bytes) -> None:
        self._blank = magic + bytes(8) + end
        self._magic = magic
        self._pages: list[tuple[int, bytearray, int, int]] = []

    def take(self, at: int, page: bytes, body: int) -> list[Change] | None:
        """Take the next page, whose body begins at `body`; return the changes once the packet is complete."""
        length, complete = 0, False
        for lace in page[27:body]:
            length += lace
            if complete := lace < 255:
                break
        self._pages.append((at, bytearray(page), body, length))
        return self._changes() if complete else None

    def _changes(self) -> list[Change]:
        old = b"".join(bytes(page[body : body + length]) for _, page, body, length in self._pages)
        if not old.startswith(self._magic) or len(old) < len(self._blank):
            raise Broken("its comments are none")
        new = self._blank.ljust(len(old), b"\0")
        changes = []
        for at, page, body, length in self._pages:
            page[body : body + length], new = new[:length], new[length:]
            page[22:26] = bytes(4)
            page[22:26] = struct.pack("<I", _checksum(page))
            changes.append(Change(at, bytes(page), at + len(page)))
        return changes


def _ogg(read: Read, size: int) -> Iterator[Change]:
    at, streams = 0, dict[bytes, _Comments]()
    while at + 27 <= size and (head := read(at, 27))[:4] == b"OggS":
        serial, body = head[14:18], 27 + head[26]
        length = body + sum(read(at + 27, head[26]))
        if at + length > size:
            return
        if head[5] & 2:  # the first page of a stream
            first = read(at + body, 8)
            found = next((each for name, each in _OGG.items() if first.startswith(name)), None)
            if found is not None:
                streams[serial] = _Comments(*found)
        elif serial in streams and (changes := streams[serial].take(at, read(at, length), body)) is not None:
            del streams[serial]
            yield from changes
        at += length


def _checksum(page: bytes | bytearray) -> int:
    rest = 0
    for byte in page:
        rest = (rest << 8 & 0xFFFFFFFF) ^ _CRC[rest >> 24 ^ byte]
    return rest


# --- WebM (RFC 8794, RFC 9559) ----------------------------------------------------------------------

_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_ENTERED = frozenset({_SEGMENT, b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\xae"})
"""Segment, Info, Tracks and a track, which may hold metadata among others."""
_TEXTS = frozenset({b"\x7b\xa9", b"\x4d\x80", b"\x57\x41", b"\x53\x6e"})
"""Title, MuxingApp, WritingApp and the name of a track: texts, of which zeros are an empty one."""
_VOIDED = frozenset({b"\x12\x54\xc3\x67", b"\x19\x41\xa4\x69", b"\x44\x61", b"\xbf"})
"""Tags, Attachments, DateUTC, and a checksum that would be another now."""


def _webm(read: Read, size: int) -> Iterator[Change]:
    ends, at, count, seen = [size], 0, 0, False
    while at + 2 <= size:
        count += 1
        if count > _MOST_ELEMENTS:
            raise Broken("its elements are too many")
        try:
            name, value, body = _header(read, at)
        except (Broken, IndexError):
            if seen:
                return  # the recording was broken off
            raise
        end = size if value is None else body + value
        while ends[-1] <= at and len(ends) > 1:
            ends.pop()
        seen = seen or name == _CLUSTER
        if end > ends[-1]:
            if not (seen or name in (_SEGMENT, _CLUSTER)):
                raise Broken("an element is cut off")
            end = size  # the recording was broken off
        if name in _TEXTS:
            yield Change(body, b"", end)
        elif name in _VOIDED:
            yield Change(at, _void(end - at), end)
        if name in _ENTERED or (name == _CLUSTER and value is None):
            ends.append(end)
            at = body
        else:
            at = end


def _header(read: Read, at: int) -> tuple[bytes, int | None, int]:
    """Return name, length and start of the body of an element; None if the length is unknown. Raises Broken."""
    head = read(at, 12)
    name = head[: _length(head[0])]
    width = _length(head[len(name)])
    if len(name) > 4 or len(name) + width > len(head):
        raise Broken("an element is cut off")
    all_ones = (1 << 7 * width) - 1
    value = int.from_bytes(head[len(name) : len(name) + width], "big") & all_ones
    return name, None if value == all_ones else value, at + len(name) + width


def _length(first: int) -> int:
    """Return the bytes of a number that begins with this one (RFC 8794 §4)."""
    if first == 0:
        raise Broken("a number is too long")
    return 9 - first.bit_length()


def _void(length: int) -> bytes:
    """Return the beginning of an element of that length that holds nothing."""
    if length < 9:
        return bytes((0xEC, 0x80 | length - 2))
    return b"\xec\x01" + (length - 9).to_bytes(7, "big")

"""The type of a file by its content, the size of a picture by its header, and pictures without metadata. Pure.

Names and claimed types count for nothing. A picture is taken apart at its container alone (JPEG segments, chunks of PNG
and WebP, blocks of GIF), never decoded; all that follows its end is cut off, so no second file hides behind it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

OTHER: Final = "application/octet-stream"
PICTURES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
SHOWN: Final = frozenset({
    *PICTURES, "audio/mpeg", "audio/ogg", "audio/wav", "audio/mp4", "video/mp4", "video/webm",
})  # fmt: skip
"""Types that a browser shows in a page; all else is a download."""
HEAD_BYTES: Final = 64
"""Bytes of a file that tell its type."""
MOST_PIXELS: Final = 40_000_000
MOST_SIDE: Final = 10_000

_PNG = b"\x89PNG\r\n\x1a\n"
AUDIO_BRANDS = (b"M4A ", b"M4B ")
VIDEO_BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"dash", b"M4V ", b"MSNV")


class Broken(ValueError):
    """It is another thing than its first bytes say."""


class Size(NamedTuple):
    """Width and height in pixels, as a picture is shown."""

    width: int
    height: int

    @property
    def is_small(self) -> bool:
        """Return True if it may be decoded."""
        return 0 < self.width <= MOST_SIDE and 0 < self.height <= MOST_SIDE and self.width * self.height <= MOST_PIXELS


def kind(head: bytes) -> str:
    """Return the media type of a file that begins with `head`; `OTHER` unless it is one of `SHOWN`."""
    if head.startswith(_PNG):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], OTHER)
    if head[:3] == b"ID3" or _is_mp3_frame(head):
        return "audio/mpeg"
    if head[:4] == b"OggS":
        return "audio/ogg"
    if head[4:8] == b"ftyp":
        return "audio/mp4" if head[8:12] in AUDIO_BRANDS else "video/mp4" if head[8:12] in VIDEO_BRANDS else OTHER
    if head[:4] == b"\x1a\x45\xdf\xa3" and b"webm" in head:
        return "video/webm"
    return OTHER


def _is_mp3_frame(head: bytes) -> bool:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:  # sync, layer III
        return False
    return head[1] & 0x18 != 0x08 and head[2] >> 4 not in (0, 15) and head[2] & 0x0C != 0x0C


# --- Sizes ----------------------------------------------------------------------------------------


def size(data: bytes) -> Size:
    """Return the size of a picture that `clean` has passed, turned as its orientation says. Raises Broken."""
    try:
        found, turned = _SIZES[kind(data[:HEAD_BYTES])](data)
    except (KeyError, IndexError, struct.error):
        raise Broken("its header is cut off") from None
    return Size(*reversed(found)) if turned >= 5 else Size(*found)


def _png_size(data: bytes) -> tuple[tuple[int, int], int]:
    exif = next((body for name, body in _png_chunks(data) if name == b"eXIf"), b"")
    return struct.unpack_from(">II", data, 16), orientation(exif)


def _gif_size(data: bytes) -> tuple[tuple[int, int], int]:
    return struct.unpack_from("<HH", data, 6), 1


def _jpeg_size(data: bytes) -> tuple[tuple[int, int], int]:
    found, turned = None, 1
    for marker, start, end in _jpeg_segments(data):
        if marker == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0":
            turned = orientation(data[start + 10 : end])
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and found is None:
            height, width = struct.unpack_from(">HH", data, start + 5)
            found = (width, height)
    if found is None:
        raise Broken("it has no frame")
    return found, turned


def _webp_size(data: bytes) -> tuple[tuple[int, int], int]:
    chunks = dict(reversed(list(_webp_chunks(data))))
    turned = orientation(chunks.get(b"EXIF", b""))
    if b"VP8X" in chunks:
        body = chunks[b"VP8X"]
        return (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")), turned
    if b"VP8L" in chunks:
        bits = struct.unpack_from("<I", chunks[b"VP8L"], 1)[0]
        return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)), turned
    width, height = struct.unpack_from("<HH", chunks[b"VP8 "], 6)
    return (width & 0x3FFF, height & 0x3FFF), turned


_SIZES = {"image/png": _png_size, "image/jpeg": _jpeg_size, "image/gif": _gif_size, "image/webp": _webp_size}


# --- Without metadata -----------------------------------------------------------------------------


def clean(data: bytes) -> bytes:
    """Return a picture without place, camera, comments and bytes after its end; the orientation stays. Raises Broken.

    Colour profiles stay, and so does the picture itself, byte by byte.
    """
    try:
        return b"".join(_CLEANERS[kind(data[:HEAD_BYTES])](data))
    except (KeyError, IndexError, struct.error):
        raise Broken("it is cut off") from None


def orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, in a TIFF header (Exif 2.32 §4.6.4); 1 if it says none."""
    if exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        assert order is not None
        at = struct.unpack_from(order + "I", exif, 4)[0]
        for place in range(struct.unpack_from(order + "H", exif, at)[0]):
            tag, form, _, value = struct.unpack_from(order + "HHIH", exif, at + 2 + 12 * place)
            if tag == 0x0112 and form == 3:
                return int(value) if 1 <= value <= 8 else 1
    except (AssertionError, struct.error):
        pass
    return 1


def _exif_of(turned: int) -> bytes:
    """Return the smallest TIFF header that says the orientation and nothing else."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, turned, 0, 0)


# JPEG (ITU-T T.81, annex B)

_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_JPEG_KEPT = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""Application segments that belong to the picture, with their beginnings."""


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment up to the end of the picture; a scan has its data with it."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise Broken("a marker is missing")
        while data[at + 1] == 0xFF:
            at += 1
        marker = data[at + 1]
        if marker == 0xD9:
            return
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if end > len(data) or end < at + 4:
            raise Broken("a segment is cut off")
        if marker == 0xDA:
            after = _AFTER_SCAN.search(data, end)
            if after is None:  # the end is missing: as much as there is
                yield marker, at, len(data)
                return
            end = after.end() - 2
        yield marker, at, end
        at = end


def _clean_jpeg(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    kept, turned = [], 1
    for marker, start, end in _jpeg_segments(data):
        if marker == 0xE1 and data[start + 4 : start + 10] == b"Exif\0\0":
            turned = orientation(data[start + 10 : end])
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(data[start:end])
        elif data[start + 4 : end].startswith(_JPEG_KEPT.get(marker, b"\0no such segment")):
            yield data[start:end]
    if turned != 1:
        exif = b"Exif\0\0" + _exif_of(turned)
        yield struct.pack(">BBH", 0xFF, 0xE1, len(exif) + 2) + exif
    yield from kept
    yield b"\xff\xd9"


# PNG (W3C PNG, third edition, §5)

_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT".split()
)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, name = 8, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data) or (at == 8) != (name == b"IHDR"):
            raise Broken("a chunk is cut off")
        yield name, data[at + 8 : at + 8 + length]
        at += 12 + length


def _clean_png(data: bytes) -> Iterator[bytes]:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", len(body), name) + body + struct.pack(">I", zlib.crc32(name + body))

    yield _PNG
    for name, body in _png_chunks(data):
        if name == b"eXIf" and orientation(body) != 1:
            yield chunk(name, _exif_of(orientation(body)))
        elif name in _PNG_KEPT:
            yield chunk(name, body)


# WebP (RFC 9649 §2)

_WEBP_KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_HAS_EXIF, _HAS_XMP = 0x08, 0x04


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise Broken("it is cut off")
    at = 12
    while at + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise Broken("a chunk is cut off")
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _clean_webp(data: bytes) -> Iterator[bytes]:
    chunks = list(_webp_chunks(data))
    exif = next((body for name, body in chunks if name == b"EXIF"), b"")
    kept = [(name, body) for name, body in chunks if name in _WEBP_KEPT]
    if kept and kept[0][0] == b"VP8X":
        flags = kept[0][1][0] & ~(_HAS_EXIF | _HAS_XMP)
        if orientation(exif) != 1:
            flags |= _HAS_EXIF
            kept.append((b"EXIF", _exif_of(orientation(exif))))
        kept[0] = (b"VP8X", bytes([flags]) + kept[0][1][1:])
    body = b"".join(
        struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2) for name, body in kept
    )
    yield struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"WEBP")
    yield body


# GIF (GIF89a, §§17-27)

_GIF_KEPT = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0")


def _clean_gif(data: bytes) -> Iterator[bytes]:
    at = 13 + _table(data[10])
    yield data[:at]
    while data[at] != 0x3B:
        start, opening = at, data[at]
        if opening == 0x2C:
            at += 10
            at += _table(data[at - 1]) + 1
        elif opening == 0x21:
            at += 2
        else:
            raise Broken("a block is none")
        body = at
        while data[at]:
            at += 1 + data[at]
        at += 1
        wanted = opening == 0x2C or data[start + 1] == 0xF9
        if wanted or (data[start + 1] == 0xFF and data[body : body + 12] in _GIF_KEPT):
            yield data[start:at]
    yield b";"


def _table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_CLEANERS = {"image/png": _clean_png, "image/jpeg": _clean_jpeg, "image/gif": _clean_gif, "image/webp": _clean_webp}

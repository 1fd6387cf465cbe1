"""Files that mean no good, made here byte by byte, and small ones that mean well."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

SCRIPT = b"<script>document.title='run'</script>"


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I4s", len(body), name) + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int = 4, height: int = 3, *more: bytes, rows: int | None = None) -> bytes:
    """A grey PNG; `more` are chunks before its data, which may have fewer `rows` than the header says."""
    data = zlib.compress((b"\0" + b"\x80" * width) * (height if rows is None else rows), 9)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def exif(turned: int = 6) -> bytes:
    """A TIFF header with an orientation, a camera and a place."""
    entries = [
        struct.pack(">HHI4s", 0x010F, 2, 4, b"Cam\0"),
        struct.pack(">HHIHH", 0x0112, 3, 1, turned, 0),
        struct.pack(">HHII", 0x8825, 4, 1, 50),
    ]
    gps = struct.pack(">HHHI4sI", 1, 1, 2, 2, b"N\0\0\0", 0) + b"GPS-52.5200-13.4050"
    return b"MM\0\x2a" + struct.pack(">IH", 8, len(entries)) + b"".join(entries) + struct.pack(">I", 0) + gps


def photo(turned: int = 6) -> bytes:
    """A JPEG of 40 × 20 pixels as a phone makes it, with place, comment and what some append."""
    from PIL import Image

    out = BytesIO()
    Image.new("RGB", (40, 20), (200, 30, 30)).save(out, "JPEG")
    plain = out.getvalue()
    segments = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
        for marker, body in (
            (0xE1, b"Exif\0\0" + exif(turned)),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0<xmp>GPS-52.5200</xmp>"),
            (0xED, b"Photoshop 3.0\0Berlin"),
            (0xFE, b"a comment of Berlin"),
        )
    )
    return plain[:2] + segments + plain[2:] + b"GPS-52.5200 after the end"


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of a movie."""
    return struct.pack(">I4s", 8 + sum(map(len, parts)), name) + b"".join(parts)


def movie(brand: bytes = b"isom") -> bytes:
    """A movie as a phone makes it, with a place in three of its boxes, before media whose offsets are counted."""
    place = box(b"udta", box(b"\xa9xyz", b"+52.5200-013.4050/"))
    tagged = box(b"meta", b"com.apple.quicktime.location.ISO6709 +52.5200-013.4050/")
    moov = box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"tkhd", bytes(84)), tagged), place)
    return box(b"ftyp", brand, bytes(4)) + moov + box(b"uuid", b"+52.5200") + box(b"mdat", b"media" * 100)


def webp() -> bytes:
    """A WebP with a place."""
    from PIL import Image

    out = BytesIO()
    Image.new("RGB", (40, 20), (20, 30, 200)).save(out, "WEBP", exif=b"Exif\0\0" + exif(1), xmp=b"<xmp>Berlin</xmp>")
    return out.getvalue()


def gif() -> bytes:
    """An animated GIF with a comment and XMP."""
    from PIL import Image

    frames = [Image.new("P", (10, 10), colour) for colour in (1, 2)]
    out = BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], loop=0, comment=b"Berlin")
    return out.getvalue()


HOSTILE: dict[str, bytes] = {
    "script.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=1">' + SCRIPT + b"</svg>",
    "page.html": b"<!doctype html><title>x</title>" + SCRIPT,
    "page.png": b"<html>" + SCRIPT,
    "gif-and-script.gif": b"GIF89a/*" + SCRIPT + b"*/=1;",
    "png-and-page.png": png() + SCRIPT,
    "comment.png": png(4, 3, chunk(b"tEXt", b"Comment\0" + SCRIPT)),
    "cut.png": png()[:40],
    "cut.jpg": b"\xff\xd8\xff\xe1\xff\xff",
    "cut.webp": b"RIFF\xff\xff\xff\x7fWEBPVP8X",
    "cut.gif": b"GIF89a\x01\x00\x01\x00\xf7",
    "empty": b"",
    "bomb.png": png(9_000, 4_000, rows=4_000),
    "huge.png": png(60_000, 60_000, rows=1),
    "lying.png": png(100, 100, rows=1),
    "archive.zip": b"PK\x03\x04" + b"\0" * 40,
    "program.exe": b"MZ" + b"\0" * 60,
    "heic.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
}
"""By the name that the sender gives."""
ODD_NAME = "../..\\a/b\n\r\0\u202e\u200b\"';<b>%00é 漢字\U0001f600.pn\u2066g"

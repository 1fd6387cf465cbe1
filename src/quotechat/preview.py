"""The program that cleans one picture, movie or sound, as a child process with little memory and time.

Nothing else in quotechat decodes a picture: a hostile one meets a decoder here or nowhere. It is called with three
paths, of the file, of the same without metadata, and of a picture's thumbnail, and writes its findings as lines of
JSON.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from pathlib import Path

from quotechat.protocol.files import media, movies, tags

MEMORY_BYTES = 512 * 1024 * 1024
CPU_SECONDS = 10
BOX = (640, 480)
"""Pixels of a thumbnail, at most."""
_BLOCK = 64 * 1024
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")


def main(source: str, cleaned: str, thumbnail: str) -> None:
    """Clean the file at `source`, and make a picture's thumbnail; an exception ends it, and the rest is not made."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))
    os.umask(0o077)
    with open(source, "rb") as file:
        head = file.read(media.HEAD_BYTES)
    if movies.is_movie(head) or media.kind(head) in tags.KINDS:
        clean_media(source, cleaned, head)
        return _say(clean=True)
    data = media.clean(Path(source).read_bytes())
    Path(cleaned).write_bytes(data)
    size = media.size(data)
    _say(clean=True, **(size._asdict() if size.is_small else {}))
    if size.is_small:
        make(cleaned, thumbnail)
        _say(thumb=True)
    return None


def clean_media(source: str, cleaned: str, head: bytes) -> None:
    """Copy a movie or a sound without its metadata. Raises Broken."""
    with open(source, "rb") as file, open(cleaned, "wb") as copy:

        def read(offset: int, count: int) -> bytes:
            file.seek(offset)
            return file.read(count)

        plan = tags.plan(head, read, os.stat(source).st_size)
        file.seek(plan.start)
        left = plan.stop - plan.start
        while block := file.read(min(_BLOCK, left)):
            copy.write(block)
            left -= len(block)
        for at, data, end in plan.changes:
            copy.seek(at)
            copy.write(data)
            for place in range(at + len(data), end, _BLOCK):
                copy.write(bytes(min(_BLOCK, end - place)))


def make(picture: str, thumbnail: str) -> None:
    """Make the thumbnail of a picture without metadata, whose size is bounded."""
    from PIL import Image, ImageOps

    with Image.open(picture, formats=_FORMATS) as opened:
        if not media.Size(*opened.size).is_small:
            raise media.Broken("its frame is larger than its header says")
        opened.draft("RGB", BOX)
        image = opened if opened.mode in ("RGB", "RGBA", "L") else opened.convert("RGBA")
        image.thumbnail(BOX if media.orientation(image.info.get("exif", b"")) < 5 else BOX[::-1])
        ImageOps.exif_transpose(image).save(thumbnail, "WEBP", quality=80, exif=b"", xmp=b"", icc_profile=None)


def _say(**found: object) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as fault:
        sys.exit(28 if fault.errno in (errno.ENOSPC, errno.EDQUOT) else 1)

"""The program that cleans one picture and makes its thumbnail, as a child process with little memory and time.

Nothing else in quotechat decodes a picture: a hostile one meets a decoder here or nowhere. It is called with three
paths, of the picture, of the same without metadata, and of the thumbnail, and writes its findings as lines of JSON.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from pathlib import Path

from quotechat.protocol import media

MEMORY_BYTES = 512 * 1024 * 1024
CPU_SECONDS = 10
BOX = (640, 480)
"""Pixels of a thumbnail, at most."""
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")


def main(source: str, cleaned: str, thumbnail: str) -> None:
    """Clean the picture at `source` and make its thumbnail; an exception ends it, and the rest is not made."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))
    os.umask(0o077)
    data = media.clean(Path(source).read_bytes())
    Path(cleaned).write_bytes(data)
    size = media.size(data)
    _say(clean=True, **(size._asdict() if size.is_small else {}))
    if size.is_small:
        make(cleaned, thumbnail)
        _say(thumb=True)


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

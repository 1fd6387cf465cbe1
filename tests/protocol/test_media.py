"""What a file is, by its content, and pictures without metadata."""

from __future__ import annotations

from io import BytesIO

import pytest
from hostile_files import HOSTILE, SCRIPT, exif, gif, photo, png, webp
from hypothesis import given
from hypothesis import strategies as st

from quotechat.protocol import names
from quotechat.protocol.files import media


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (png(), "image/png"), (photo(), "image/jpeg"), (gif(), "image/gif"), (webp(), "image/webp"),
        (b"ID3\x04", "audio/mpeg"), (b"\xff\xfb\x90\x00", "audio/mpeg"), (b"OggS\0", "audio/ogg"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"), (b"\0\0\0\x18ftypM4A \0", "audio/mp4"),
        (b"\0\0\0\x18ftypisom\0", "video/mp4"), (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "video/webm"),
        (b"%PDF-1.7", media.OTHER), (HOSTILE["script.svg"], media.OTHER), (HOSTILE["heic.jpg"], media.OTHER),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", media.OTHER), (b"", media.OTHER),
    ],
)  # fmt: skip
def test_the_content_tells_the_type(head: bytes, kind: str) -> None:
    """Of the few that a browser shows; all else is bytes."""
    assert media.kind(head[: media.HEAD_BYTES]) == kind


@pytest.mark.parametrize("picture", [photo(), webp(), gif(), HOSTILE["comment.png"]])
def test_a_cleaned_picture_is_the_same_picture(picture: bytes) -> None:
    """Its pixels, frames and orientation stay; place, camera, comments and what follows its end go."""
    from PIL import Image

    cleaned = media.clean(picture)
    for secret in (b"GPS", b"Cam\0", b"Berlin", b"xmp", SCRIPT):
        assert secret not in cleaned
    with Image.open(BytesIO(picture)) as before, Image.open(BytesIO(cleaned)) as after:
        assert before.tobytes() == after.tobytes()
        assert getattr(before, "n_frames", 1) == getattr(after, "n_frames", 1)
        assert before.getexif().get(0x0112, 1) == after.getexif().get(0x0112, 1)
    assert media.clean(cleaned) == cleaned


def test_sizes_are_those_that_people_see() -> None:
    """Turned by the orientation; read from the header alone."""
    assert media.size(photo(6)) == (20, 40) and media.size(photo(1)) == (40, 20)
    assert media.size(webp()) == (40, 20) and media.size(gif()) == (10, 10)
    assert media.size(png(60_000, 60_000, rows=1)) == (60_000, 60_000)
    assert not media.Size(60_000, 60_000).is_small and not media.Size(10_001, 1).is_small and media.Size(1, 1).is_small


@given(st.sampled_from([photo(), webp(), gif(), png()]), st.integers(0, 400), st.binary(max_size=8))
def test_a_broken_picture_is_refused_and_nothing_else(picture: bytes, at: int, other: bytes) -> None:
    """Cut off or overwritten anywhere: `Broken`, or a picture; never another error, never a loop without end."""
    for broken in (picture[:at], picture[:at] + other + picture[at + len(other) :]):
        try:
            media.size(media.clean(broken))
        except media.Broken:
            pass


def test_an_orientation_is_one_to_eight() -> None:
    """In either byte order; everything else says nothing."""
    assert [media.orientation(exif(turned)) for turned in (1, 6, 8, 9)] == [1, 6, 8, 1]
    assert media.orientation(b"II\x2a\0\xff\xff\xff\xff") == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("photo.jpg", "photo.jpg"), ("", "file"), ("..", "file"), ("a/b\\c\n\r\0.txt", "abc.txt"),
        ("\u202egnp.exe", "gnp.exe"), ("x" * 300 + ".jpg", "x" * 196 + ".jpg"), ("\ud800", "file"), (" é ", "é"),
    ],
)  # fmt: skip
def test_a_name_is_made_good(given: str, kept: str) -> None:
    """On one line, without a path and without direction marks; never refused."""
    assert names.clean_file(given) == kept

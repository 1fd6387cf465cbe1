"""Metadata of sound and WebM: gone wherever it may be, and every byte of sound and picture stays."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotechat.protocol.files import tags
from quotechat.protocol.files.media import HEAD_BYTES, Broken

SECRET = b"Ulm +48.40"
SOUND = bytes((0xFF, 0xFB, 0x90, 0x00)) + b"sound" * 200


def cleaned(data: bytes) -> bytes:
    """The file as the plan makes it."""
    plan = tags.plan(data[:HEAD_BYTES], lambda at, count: data[at : at + count], len(data))
    made = bytearray(data[plan.start : plan.stop])
    for at, written, end in plan.changes:
        assert at + len(written) <= end <= len(made)
        made[at:end] = written.ljust(end - at, b"\0")
    return bytes(made)


# --- MP3 ------------------------------------------------------------------------------------------


def id3(body: bytes, footer: bool = False) -> bytes:
    size = bytes(len(body) >> place & 0x7F for place in (21, 14, 7, 0))
    return b"ID3\4\0" + bytes([0x10 if footer else 0]) + size + body + (b"3DI\4\0\x10" + size if footer else b"")


ID3V1 = b"TAG" + SECRET.ljust(125, b"\0")
APE = SECRET + struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(SECRET) + 32, 1, 0)
APE_WITH_HEAD = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(SECRET) + 32, 1, 1 << 29) + SECRET
APE_WITH_HEAD += struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(SECRET) + 32, 1, 1 << 31)
LYRICS = b"LYRICSBEGIN" + SECRET + b"%06dLYRICS200" % (11 + len(SECRET))


@pytest.mark.parametrize("before", [b"", id3(SECRET * 30), id3(SECRET, footer=True), id3(SECRET) + id3(b"")])
@pytest.mark.parametrize("after", [b"", ID3V1, APE, APE_WITH_HEAD, LYRICS + ID3V1, APE + LYRICS + ID3V1])
def test_tags_around_a_sound_are_cut_off(before: bytes, after: bytes) -> None:
    assert cleaned(before + SOUND + after) == SOUND


def test_a_tag_without_a_sound_is_refused() -> None:
    """Or one that says it is longer than the file."""
    for data in (id3(SECRET), id3(SECRET)[:-1], id3(SECRET) + ID3V1):
        with pytest.raises(Broken):
            cleaned(data)


# --- WAV ------------------------------------------------------------------------------------------


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def test_chunks_of_metadata_become_junk() -> None:
    """Before and after the sound; one that the end of the file cuts off too."""
    kept = (b"fmt ", b"f" * 16), (b"data", b"sound" * 9)
    data = riff(kept[0], (b"LIST", b"INFO" + SECRET + b"!"), kept[1], (b"bext", SECRET), (b"id3 ", SECRET))
    junk = riff(kept[0], (b"JUNK", bytes(15)), kept[1], (b"JUNK", bytes(10)), (b"JUNK", bytes(10)))
    assert cleaned(data) == junk and cleaned(data[:-5]) == junk[:-5]


# --- Ogg ------------------------------------------------------------------------------------------


def checksum(page: bytes) -> int:
    """RFC 3533 §6, bit by bit."""
    rest = 0
    for byte in page:
        rest ^= byte << 24
        for _ in range(8):
            rest = (rest << 1 ^ (0x04C11DB7 if rest >> 31 else 0)) & 0xFFFFFFFF
    return rest


def page(body: bytes, lacing: list[int], *, serial: int = 7, number: int = 0, first: bool = False) -> bytes:
    head = struct.pack("<4sBBQIII", b"OggS", 0, 2 if first else 0, 0, serial, number, 0) + bytes([len(lacing), *lacing])
    return head[:22] + struct.pack("<I", checksum(head + body)) + head[26:] + body


def ogg(first: bytes, comments: bytes, serial: int = 7) -> bytes:
    """A stream whose comments go over two pages, the second one of which has the next packet too."""
    lacing = [255] * (len(comments) // 255) + [len(comments) % 255]
    return b"".join(
        (
            page(first, [len(first)], serial=serial, first=True),
            page(comments[:510], lacing[:2], serial=serial, number=1),
            page(comments[510:] + b"setup", [*lacing[2:], 5], serial=serial, number=2),
            page(b"sound" * 40, [200], serial=serial, number=3),
        )
    )


@pytest.mark.parametrize(("first", "magic", "end"), [(b"OpusHead rest", b"OpusTags", b""),
                                                      (b"\x01vorbis rest", b"\x03vorbis", b"\x01")])  # fmt: skip
def test_comments_of_ogg_become_empty(first: bytes, magic: bytes, end: bytes) -> None:
    """With the checksums of their pages, in each of several streams; all else stays."""
    old = magic + struct.pack("<I", 700) + SECRET * 70 + struct.pack("<I", 0) + end
    new = (magic + bytes(8) + end).ljust(len(old), b"\0")
    assert cleaned(ogg(first, old) + ogg(first, old, 8)) == ogg(first, new) + ogg(first, new, 8)
    with pytest.raises(Broken):
        cleaned(ogg(first, SECRET * 70))
    unknown = ogg(b"\x7fFLAC", old)
    assert cleaned(unknown) == unknown


# --- WebM -----------------------------------------------------------------------------------------


def element(name: str, body: bytes, width: int = 4) -> bytes:
    return bytes.fromhex(name) + (len(body) | 1 << 7 * width).to_bytes(width, "big") + body


def open_element(name: str, body: bytes) -> bytes:
    return bytes.fromhex(name) + b"\x01" + b"\xff" * 7 + body


HEAD = element("1a45dfa3", element("4282", b"webm"))
CLUSTER = element("1f43b675", element("e7", b"\1", 1) + element("a3", b"picture" * 50))


def webm(opened: Callable[..., bytes], secret: bytes, void: Callable[[str, bytes], bytes]) -> bytes:
    info = void("bf", b"\1\2\3\4") + element("2ad7b1", b"\1") + element("7ba9", secret) + element("5741", secret)
    track = element("ae", element("d7", b"\1", 1) + element("536e", secret))
    return HEAD + opened(
        "18538067",
        element("1549a966", info + void("4461", secret)) + element("1654ae6b", track) + CLUSTER
        + void("1254c367", secret * 9) + CLUSTER + void("1941a469", secret),
    )


def voided(name: str, body: bytes) -> bytes:
    length = len(element(name, body))
    return b"\xec" + (length - 9 | 1 << 56).to_bytes(8, "big") + bytes(length - 9)


@pytest.mark.parametrize("opened", [element, open_element])
def test_elements_of_metadata_become_nothing(opened: Callable[..., bytes]) -> None:
    """Also in a recording whose length nobody knew; places of clusters stay."""
    data = webm(opened, SECRET, element)
    made = cleaned(data)
    assert made == webm(opened, bytes(10), voided) and SECRET not in made
    cluster = open_element("1f43b675", element("e7", b"\1", 1))
    live = HEAD + open_element("18538067", cluster + element("1254c367", SECRET))
    assert SECRET not in cleaned(live)
    broken = cleaned(data[:-3])
    assert len(broken) == len(made) - 3 and SECRET[:-3] not in broken


def test_what_is_no_webm_is_refused() -> None:
    for data in (HEAD + element("18538067", b"\x15\x49\xa9\x66\x88"), HEAD + bytes(20)):
        with pytest.raises(Broken):
            cleaned(data)


BEGINNINGS = [b"ID3", b"\xff\xfb\x90\0", b"OggS", HEAD, b"RIFF\xff\xff\xff\xffWAVE"]


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=200))
def test_whatever_comes_is_cleaned_or_refused(head: bytes, rest: bytes) -> None:
    """Within its length, and without another exception."""
    try:
        cleaned(head + rest)
    except Broken:
        pass

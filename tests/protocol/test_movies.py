"""Metadata of movies: which boxes it is in, found by headers alone, whatever these say."""

from __future__ import annotations

import struct

import pytest
from hostile_files import box, movie

from quotechat.protocol.files import movies
from quotechat.protocol.files.media import Broken


def found(data: bytes) -> list[bytes]:
    """The names of the boxes of metadata."""
    boxes = movies.metadata(lambda at, count: data[at : at + count], len(data))
    return [data[name : name + 4] for name, _, _ in boxes]


@pytest.mark.parametrize("brand", [b"isom", b"mp42", b"qt  ", b"3gp5", b"M4A "])
def test_metadata_is_found_where_it_may_be(brand: bytes) -> None:
    data = movie(brand)
    assert movies.is_movie(data[:64]) and found(data) == [b"meta", b"udta", b"uuid"]


def test_pictures_in_boxes_are_no_movies() -> None:
    """Their box of that name says what they are."""
    assert not any(movies.is_movie(movie(brand)) for brand in (b"heic", b"mif1", b"avif"))


@pytest.mark.parametrize(
    "data",
    [
        box(b"moov", struct.pack(">I4s", 100, b"trak")),  # longer than what holds it
        box(b"moov", struct.pack(">I4s", 3, b"trak")),  # shorter than its header
        box(b"moov", struct.pack(">I4sQ", 1, b"trak", 2**63)),
        box(b"moov", box(b"cmov", b"compressed")),
        box(b"moov", *[box(b"free")] * 100_001),
        box(b"moov", box(b"trak", box(b"trak", box(b"trak", box(b"trak", box(b"trak", box(b"trak", box(b"udta")))))))),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(Broken):
        found(data)


def test_the_last_box_may_be_cut_off() -> None:
    """Or reach to the end without a length; a length may have 64 bits."""
    data = movie()
    assert found(data[:-50]) == found(data)
    large = struct.pack(">I4sQ", 1, b"udta", 20) + b"Ulm!"
    assert found(large + struct.pack(">I4s", 0, b"mdat") + b"x" * 9) == [b"udta"]

"""When a request is whole: however it is cut into pieces, the answer is the same."""

# ruff: noqa: E501  # tables: one case on one line

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quotechat.serving.arrival import MOST_HEAD, Arrival

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

#: (bytes, whole, early, status of the refusal)
CASES: list[tuple[bytes, bool, bool, str | None]] = [
    (b"", False, False, None), (GET[:-1], False, False, None), (GET, True, False, None), (GET + GET, True, False, None),
    (b"\r\n" + GET, True, False, None), (POST + b"Content-Length: 0\r\n\r\n", True, False, None),
    (POST + b"content-LENGTH: \t5 \r\n\r\nhello", True, False, None), (POST + b"Content-Length: 5\r\n\r\nhell", False, False, None),
    (POST + b"Content-Length: 100\r\n\r\n", False, False, None), (POST + b"Content-Length: 101\r\n\r\n", True, True, None),
    (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", True, True, None), (POST + b"Content-Length: -5\r\n\r\n", True, True, None),
    (POST + b"Content-Length : 5\r\n\r\n", True, True, None), (POST + b"Content-Length: 5, 5\r\n\r\n", True, True, None),
    (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", True, True, None),
    (POST + b"Transfer-Encoding: gzip\r\n\r\n", True, True, None), (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", True, True, None),
    (CHUNKED, False, False, None), (CHUNKED + b"0\r\n\r\n", True, False, None), (CHUNKED + b"0\r\n", False, False, None),
    (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", True, False, None), (CHUNKED + b"5;a=b\r\nhello\r\n00\r\nX: y\r\n\r\n", True, False, None),
    (CHUNKED + b"5\r\nhello\r\n", False, False, None), (CHUNKED + b"5\r\nhello!\r\n", True, True, None), (CHUNKED + b"x\r\n", True, True, None),
    (CHUNKED + b"5\nhello\n0\n\n", True, True, None), (CHUNKED + b"5" * 1100, True, True, None),
    (CHUNKED + b"64\r\n" + b"x" * 100 + b"\r\n", False, False, None), (CHUNKED + b"65\r\n" + b"x" * 100, False, False, None),
    (CHUNKED + b"65\r\n" + b"x" * 101, True, True, None), (CHUNKED + b"ffffff\r\n" + b"x" * 101, True, True, None),
    (CHUNKED + b"0\r\nX: " + b"y" * 9000, True, True, None), (CHUNKED + b"1\r\nx\r\n" * 101, True, True, None), (b"GET / HTTP/1.1\nHost: a\n", True, True, None),
    (b"G" * (MOST_HEAD + 1), False, False, "414 URI Too Long"),
    (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 6000, False, False, "431 Request Header Fields Too Large"),
    (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 6000 + b"\r\n", False, False, "431 Request Header Fields Too Large"),
    # Once, these depended on how much came at once: whole, and not early, where the end was there already.
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", True, True, None), (CHUNKED + b"0\r\nX: y\nZ: y\r\n\r\n", True, True, None),
    (CHUNKED + b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n", True, True, None),
    *((b"GET / HTTP/1.1\r\nX: " + b"y" * (MOST_HEAD - 19 - more) + b"\r\n\r\n", more > 2, False,
       None if more > 2 else "431 Request Header Fields Too Large") for more in range(5)),
    *((b"%b /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (method, path), False, False, "400 Bad Request: The address must be ASCII: write é as %C3%A9.")
      for method in (b"GET", b"POST") for path in ("?user=José".encode(), "é".encode("latin-1"), b"\xff", "👍".encode())),
    ("GET /é HTTP/1.1\r\nHost: a\r\n".encode(), False, False, None), ("GÉT / HTTP/1.1\r\nHost: a\r\n\r\n".encode(), True, False, None),
    ("GET /é x HTTP/1.1\r\nHost: a\r\n\r\n".encode(), True, False, None), ("GET / HTTP/1.1\r\nHost: a\r\nX: é\r\n\r\n".encode(), True, False, None),
    (b"\n" + b"G" * (MOST_HEAD + 1), True, True, None), (b"G" * (MOST_HEAD + 1) + b"\n", False, False, "414 URI Too Long"),
]  # fmt: skip


def taken(pieces: list[bytes]) -> tuple[bool, bool, str | None]:
    arrival = Arrival(100)
    for piece in pieces:
        arrival.take(piece)
    return arrival.whole, arrival.early, arrival.refusal


@pytest.mark.parametrize(("data", "whole", "early", "refusal"), CASES)
def test_when_it_is_whole(data: bytes, whole: bool, early: bool, refusal: str | None) -> None:
    """At once, and byte by byte."""
    assert taken([data]) == (whole, early, refusal)
    assert taken([data[at : at + 1] for at in range(len(data))]) == (whole, early, refusal)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([case[0] for case in CASES]), st.lists(st.integers(0, 40_000), max_size=5))
def test_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    """In any pieces."""
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert taken([data[a:b] for a, b in pairwise(at)]) == taken([data])


def test_who_waits_for_100_is_known() -> None:
    """Only where HTTP/1.1 is spoken and the body is to come."""
    for line, version, wants in [(b"100-continue", b"1.1", True), (b"100-Continue", b"1.1", True), (b"miracles", b"1.1", False), (b"100-continue", b"1.0", False)]:
        arrival = Arrival(100)
        arrival.take(POST.replace(b"1.1", version) + b"Expect: " + line + b"\r\nContent-Length: 5\r\n\r\n")
        assert arrival.wants_continue is wants and not arrival.whole


def test_it_takes_linear_time() -> None:
    """A head of 32 kB and a body of small chunks, byte by byte: no byte is looked at again and again."""
    began = time.process_time()
    for data in (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000, CHUNKED + b"50\r\n" + b"x" * 80 + b"\r\n" * 400):
        arrival = Arrival(65_536)
        for at in range(len(data)):
            arrival.take(data[at : at + 1])
    # 31 ms where it was written; looking at all of it with every byte takes 3 s.
    assert time.process_time() - began < 1

"""What strangers' bytes may do to the parts that read them: nothing but what is written here.

One target for each part. It takes any bytes and raises AssertionError where a claim does not hold; any other exception
is a fault as well. Two drivers share them: Hypothesis for a few hundred examples in the suite (test_targets.py), and
atheris, guided by coverage, for as long as somebody likes::

    make fuzz MINUTES=10             # all targets, ten minutes in all
    make fuzz MINUTES=1 ONLY=frames  # one of them

What it finds is left as a file quotechat-fuzz-… in the directory for temporary files, named in its last lines;
``PYTHONPATH=src python tests/fuzz TARGET FILE`` plays it again.
Seeds are made from what tests know to be nasty (seeds.py), so there is no corpus to keep.
"""

from __future__ import annotations

import contextlib
import json as standard
import re
from collections.abc import Callable, Iterator
from typing import Any

import markup
import msgspec
from frames import read
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from quotechat.live.connection import Connection, frame
from quotechat.protocol import commands, cursor, json
from quotechat.protocol.errors import CursorInvalid, MalformedJson, Refused
from quotechat.protocol.markup import text
from quotechat.serving.arrival import MOST_HEAD, Arrival

Target = Callable[[bytes], None]

MOST = 64
"""Bytes of a message or body that are allowed here: small, so that the limit is met often."""


def pieces(data: bytes) -> Iterator[list[bytes]]:
    """`data` whole, byte by byte, and in pieces of a size that it chooses itself."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    size = sum(data[:8]) % 23 + 2
    yield [data[at : at + size] for at in range(0, len(data), size)]


# --- JSON -----------------------------------------------------------------------------------------


def json_target(data: bytes) -> None:
    """Only MalformedJson is raised. What is accepted, msgspec reads too, as the same value, and it survives a round
    trip of about the same size; what is refused has one of the reasons of protocol §7. Commands are decoded or refused.
    """
    try:
        value = json.loads(data)
    except MalformedJson:
        assert _why_not(data)
        return
    assert _same(msgspec.json.decode(data), value)
    assert not _twice(data.decode()) and _depth(value) <= json.MAX_DEPTH and not _SHOWS_NOTHING.search(repr(value))
    written = json.dumps(value)
    assert _same(json.loads(written), value)
    assert len(written) <= 8 * len(data) + 24
    with contextlib.suppress(Refused):
        commands.decode(value)


#: NUL and lone surrogates, as `repr` writes them.
_SHOWS_NOTHING = re.compile(r"(?<!\\)(\\\\)*\\(x00|ud[89a-f])")


def _why_not(data: bytes) -> bool:
    """Whether one of the reasons is there to refuse `data`."""
    try:
        value = msgspec.json.decode(data)
        typed = data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    if "\0" in typed or "\\u0000" in typed or re.search("[0-9]{4301}", typed):
        return True
    return _twice(typed) or _depth(value) > json.MAX_DEPTH or "Infinity" in standard.dumps(value)


def _twice(typed: str) -> bool:
    """Whether a key stands twice in an object."""
    found: list[bool] = []
    standard.loads(typed, object_pairs_hook=lambda pairs: found.append(len(pairs) > len(dict(pairs))))
    return any(found)


def _same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down: 1 is not 1.0, and not True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


# --- The frames of a WebSocket --------------------------------------------------------------------


def frames_target(data: bytes) -> None:
    """What a plain reading of RFC 6455 says (frames.py), in whatever pieces the bytes come; no answer is longer than
    what asked for it but by one close frame; nothing follows a close frame."""
    wanted = read(data, MOST)
    for each in pieces(data):
        connection = Connection(MOST)
        texts: list[str] = []
        out = b""
        for piece in each:
            texts += connection.receive(piece)
            out += connection.outgoing()
            assert sum(map(len, connection._parts)) <= MOST
        found = _answers(out)
        pongs = [payload for first, payload in found if first == 0x8A]
        closes = [payload for first, payload in found if first == 0x88]
        assert (texts, pongs) == (wanted.texts, wanted.pongs)
        assert len(closes) == connection.closing == (connection.code is not None) == (wanted.code is not None)
        assert connection.code == wanted.code
        assert connection.closing or connection.unfinished == wanted.unfinished
        assert connection.closed_by_peer == wanted.ended
        assert {first for first, _ in found[:-1]} <= {0x8A} and len(found) == len(pongs) + len(closes)
        assert len(out) <= len(data) + 127
        assert connection.outgoing() == b""
    with contextlib.suppress(UnicodeDecodeError):
        data.decode()
        assert _answers(frame(data)) == [(0x81, data)]


def _answers(out: bytes) -> list[tuple[int, bytes]]:
    """The server's frames in `out`, none of them cut off: first byte and payload."""
    found = []
    while out:
        size, at = out[1], 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(out[2:at], "big")
        assert len(out) >= at + size
        found.append((out[0], out[at : at + size]))
        out = out[at + size :]
    return found


# --- Markup ---------------------------------------------------------------------------------------


def markup_target(data: bytes) -> None:
    """The runs that the rules of docs/explanation/text.md give when they are followed one by one (markup.py); no more
    text than was typed. An excerpt is one short line, and cleaning twice is cleaning once."""
    typed = data.decode("utf-8", "replace")
    found = text.parse(typed)
    assert found == markup.parse(typed)
    assert sum(len(run["text"]) for run in found) <= len(typed)
    assert "".join(run["text"] for run in found) == text.plain(typed)
    assert len(found) <= len(typed)
    short = text.excerpt(typed)
    assert len(short) <= 80 and len(short.splitlines()) <= 1
    with contextlib.suppress(Refused):
        kept = text.clean_message(typed, 400)
        assert text.clean_message(kept, 400) == kept


# --- Cursors --------------------------------------------------------------------------------------


def cursor_target(data: bytes) -> None:
    """A cursor is its own spelling, and what is none is refused; `at` writes what `parse` reads, and every byte of
    the history changes it."""
    typed = data.decode("utf-8", "surrogateescape")
    seq, dot, tag = typed.partition(".")
    good = typed == "now" or (
        seq.isascii() and seq.isdigit() and len(seq) <= 16 and (seq == "0" or seq[0] != "0")
        and (not dot or (len(tag) == 16 and set(tag) <= set("0123456789abcdef")))
    )  # fmt: skip
    try:
        found = cursor.parse(typed)
    except CursorInvalid:
        assert not good
        return
    finally:
        chain = cursor.extend(bytes(32), len(data), cursor.digest(data))
        written = cursor.at(len(data), chain)
        assert str(cursor.parse(written)) == written
        assert chain != cursor.extend(bytes(32), len(data) + 1, cursor.digest(data))
        assert chain != cursor.extend(bytes(32), len(data), cursor.digest(data + b"\0"))
    assert good and str(found) == typed


# --- Requests -------------------------------------------------------------------------------------


class Starved(Exception):
    """gunicorn's parser asked for more than there is."""


class _Unreader(IterUnreader):
    def chunk(self, size_hint: int | None = None) -> bytes:
        raise Starved


_CONFIG = Config()
#: What gunicorn takes and we rather not wait for.
_UNUSUAL = re.compile(
    rb"[0-9a-f]{16}|identity|gzip|deflate|compress|[^\n]{1000}|(?:[^\n]*\n){1000}", re.IGNORECASE
)


def request_target(data: bytes) -> None:
    """In whatever pieces it comes, the same is decided; a request that is whole is one that gunicorn's parser takes or
    refuses without asking for more, and one that waits is one that the parser cannot finish either."""
    decided = set()
    for each in pieces(data):
        arrival = Arrival(MOST)
        for piece in each:
            arrival.take(piece)
            if arrival.whole or arrival.refusal:
                break
            assert len(arrival.data) <= MOST_HEAD + 1_000 * (1_024 + 2) + MOST + 8_190
        decided.add((arrival.whole, arrival.early, arrival.refusal))
        if arrival.whole and not arrival.early:
            _parsed(bytes(arrival.data))
        elif arrival.early:
            with contextlib.suppress(Starved):
                assert _UNUSUAL.search(data) or not _parsed(data), "a good request, and its connection is given up"
        elif not (arrival.whole or arrival.refusal):
            with contextlib.suppress(Starved):
                assert not _parsed(data), "it would wait for ever"
    assert len(decided) == 1, decided


def _parsed(data: bytes) -> bool:
    """Whether gunicorn accepts what begins `data`, with its body. Raises Starved where it asks for more."""
    unreader = _Unreader([])
    unreader.unread(data)
    try:
        body = Request(_CONFIG, unreader, ("127.0.0.1", 1)).body.read()
    except ParseException:
        return False
    return len(body) <= MOST


TARGETS: dict[str, Target] = {
    "json": json_target, "frames": frames_target, "markup": markup_target, "cursor": cursor_target,
    "request": request_target,
}  # fmt: skip

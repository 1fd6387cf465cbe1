"""The cases of the Autobahn test suite that a server without extensions has to meet: sections 1 to 7, and 10.

Its numbers, and what it sends. It expects an echo; quotechat answers each text with an envelope instead, so a text of
a case is a `ping` command where that can be (answered by `pong` once all of it has arrived in order), and else the
suite's own text, which is no JSON and answered by an `error`. Binary messages are refused with 1003 (protocol §7).
"""

# ruff: noqa: E501  # tables: one case on one line

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SAFETY = str(Path(__file__).resolve().parent.parent / "safety")
if _SAFETY not in sys.path:
    sys.path.append(_SAFETY)

from wire import frame  # noqa: E402  # from the folder that has just been added

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HEARD = "pong envelope"
REFUSED = "error malformed-json"


@dataclass(frozen=True)
class Case:
    """`sent` is told in words; `parts` are sent one after the other, in pieces of `chop` bytes where that is not 0.

    `answers` come in this order, then the close frame with `code`. Where we are the ones who close (`ours`), that
    happens when the answers have come. `quiet` parts are each followed by a moment in which nothing may come.
    """

    number: str
    sent: str
    parts: list[bytes]
    answers: list[str]
    code: int | None
    chop: int = 0
    ours: bool = False
    quiet: int = 0


def _close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def _ping_of(size: int) -> bytes:
    """A `ping` command in exactly so many bytes."""
    head, tail = b'{"command":"ping","x":"', b'"}'
    return head + b"*" * (size - len(head) - len(tail)) + tail


def _in_parts(payload: bytes, size: int) -> list[bytes]:
    """A text in frames of `size` bytes."""
    starts = range(0, len(payload), size)
    return [frame(0 if at else TEXT, payload[at : at + size], final=at == starts[-1]) for at in starts]


def _good(number: str, sent: str, parts: list[bytes], answers: list[str], chop: int = 0, quiet: int = 0) -> Case:
    return Case(number, sent, parts, answers, 1000, chop, ours=True, quiet=quiet)


def _bad(number: str, sent: str, parts: list[bytes], code: int = 1002, answers: list[str] | None = None, chop: int = 0) -> Case:
    return Case(number, sent, parts, answers or [], code, chop)


_SIZES = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536]


def _framing() -> Iterator[Case]:
    for place, size in enumerate(_SIZES, 1):
        chop, how = (997, ", in pieces of 997") if place == 8 else (0, "")
        payload, answer = (_ping_of(size), HEARD) if size else (b"", REFUSED)
        yield _good(f"1.1.{place}", f"text of {size} bytes{how}", [frame(TEXT, payload)], [answer], chop)
    for place, size in enumerate(_SIZES, 1):
        chop, how = (997, ", in pieces of 997") if place == 8 else (0, "")
        yield _bad(f"1.2.{place}", f"binary of {size} bytes{how}", [frame(BINARY, b"\xfe" * size)], 1003, chop=chop)


def _pings() -> Iterator[Case]:
    nasty, long = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125
    yield _good("2.1", "ping", [frame(PING)], [pong(b"")])
    yield _good("2.2", "ping with text", [frame(PING, b"Hello, world!")], [pong(b"Hello, world!")])
    yield _good("2.3", "ping with bytes that are no UTF-8", [frame(PING, nasty)], [pong(nasty)])
    yield _good("2.4", "ping with 125 bytes", [frame(PING, long)], [pong(long)])
    yield _bad("2.5", "ping with 126 bytes", [frame(PING, long + b"\xfe")])
    yield _good("2.6", "ping with 125 bytes, byte by byte", [frame(PING, long)], [pong(long)], chop=1)
    yield _good("2.7", "pong that nobody asked for", [frame(PONG)], [])
    yield _good("2.8", "pong with payload that nobody asked for", [frame(PONG, b"unsolicited")], [])
    yield _good("2.9", "the same, then a ping", [frame(PONG, b"unsolicited"), frame(PING, b"payload")], [pong(b"payload")])
    ten = [b"payload-%d" % number for number in range(10)]
    for number, chop, how in (("2.10", 0, ""), ("2.11", 1, ", byte by byte")):
        yield _good(number, f"ten pings{how}", [frame(PING, each) for each in ten], [pong(each) for each in ten], chop)


HELLO = frame(TEXT, b"Hello, world!")


def _reserved() -> Iterator[Case]:
    yield _bad("3.1", "text with RSV 1", [frame(TEXT, b"Hello, world!", rsv=1)])
    for number, rsv, chop, how in (("3.2", 2, 0, ""), ("3.3", 3, -1, ", frame by frame"), ("3.4", 4, 1, ", byte by byte")):
        parts = [HELLO, frame(TEXT, b"Hello, world!", rsv=rsv), frame(PING)]
        yield _bad(number, f"good text, text with RSV {rsv}, ping{how}", parts, 1002, [REFUSED], chop)
    yield _bad("3.5", "binary with RSV 5", [frame(BINARY, b"\x00\xff", rsv=5)])
    yield _bad("3.6", "ping with RSV 6", [frame(PING, b"Hello, world!", rsv=6)])
    yield _bad("3.7", "close with RSV 7", [frame(CLOSE, rsv=7)])
    for section, opcodes in (("4.1", range(3, 8)), ("4.2", range(11, 16))):
        for place, opcode in enumerate(opcodes, 1):
            payload = b"" if place in (1, 3) else b"reserved opcode payload"
            what, odd = f"opcode {opcode}{' with payload' if payload else ''}", frame(opcode, payload)
            if place < 3:
                yield _bad(f"{section}.{place}", what, [odd])
            else:
                chop, how = (1, ", byte by byte") if place == 5 else (0, "")
                yield _bad(f"{section}.{place}", f"good text, {what}, ping{how}", [HELLO, odd, frame(PING)], 1002, [REFUSED], chop)


_HALVES = [b'{"command":', b'"ping"}']
_FIFTHS = [b'{"com', b'mand"', b":", b'"pi', b'ng"}']
_CHOPS = ((0, ""), (-1, ", frame by frame"), (1, ", byte by byte"))


def _fragments() -> Iterator[Case]:
    first, last = frame(TEXT, _HALVES[0], final=False), frame(0, _HALVES[1])
    for number, opcode, name in (("5.1", PING, "ping"), ("5.2", PONG, "pong")):
        yield _bad(number, f"{name} in two fragments", [frame(opcode, b"fragment1", final=False), frame(0, b"fragment2")])
    for place, (chop, how) in enumerate(_CHOPS):
        yield _good(f"5.{3 + place}", f"text in two fragments{how}", [first, last], [HEARD], chop)
    for place, (chop, how) in enumerate(_CHOPS):
        parts = [first, frame(PING, b"ping payload"), last]
        yield _good(f"5.{6 + place}", f"text in two fragments, a ping between{how}", parts, [pong(b"ping payload"), HEARD], chop)
    for start, final in ((9, True), (12, False)):
        for place, (chop, how) in enumerate(_CHOPS):
            parts = [frame(0, b"non-continuation payload", final=final), HELLO]
            yield _bad(f"5.{start + place}", f"continuation of nothing, FIN {int(final)}, then text{how}", parts, chop=chop)
    parts = [first, last, frame(0, b"fragment3", final=False), frame(TEXT, b"fragment4")]
    yield _bad("5.15", "text in two fragments, continuation of nothing, text", parts, 1002, [HEARD])
    for number, final in (("5.16", False), ("5.17", True)):
        parts = [frame(0, b"fragment1", final=final), first, last] * 2
        yield _bad(number, f"twice: continuation of nothing, FIN {int(final)}, and text in two fragments", parts)
    yield _bad("5.18", "text in two fragments, both with the opcode of text", [first, frame(TEXT, b"fragment2")])
    five = [frame(0 if place else TEXT, each, final=place == 4) for place, each in enumerate(_FIFTHS)]
    pings = [frame(PING, b"pongme 1!"), frame(PING, b"pongme 2!")]
    early = [b"".join([*five[:2], pings[0]]), b"".join([*five[2:4], pings[1], five[4]])]
    for number, chop, how in (("5.19", 0, ""), ("5.20", -1, ", frame by frame")):
        yield _good(
            number, f"five fragments and two pings, the first answered before the rest is sent{how}", early,
            [pong(b"pongme 1!"), pong(b"pongme 2!"), HEARD], chop, quiet=-1,
        )  # fmt: skip


_KOSME = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
_HELLO = "Hello-µ@ßöäüàá-UTF-8!!".encode()


def _texts() -> Iterator[Case]:
    yield _good("6.1.1", "text of 0 bytes", [frame(TEXT)], [REFUSED])
    yield _good("6.1.2", "three fragments of 0 bytes", [frame(TEXT, final=False), frame(0, final=False), frame(0)], [REFUSED])
    parts = [frame(TEXT, final=False), frame(0, b'{"command":"ping"}', final=False), frame(0)]
    yield _good("6.1.3", "three fragments, the first and the last of 0 bytes", parts, [HEARD])
    yield _good("6.2.1", "UTF-8 in one fragment", [frame(TEXT, _HELLO)], [REFUSED])
    yield _good("6.2.2", "UTF-8 in two, between two characters", _in_parts(_HELLO, _HELLO.index("ü".encode())), [REFUSED])
    yield _good("6.2.3", "UTF-8 in fragments of one byte", _in_parts(_HELLO, 1), [REFUSED])
    yield _good("6.2.4", "Greek in fragments of one byte", _in_parts(_KOSME, 1), [REFUSED])
    wrong = _KOSME + b"\xed\xa0\x80edited"
    yield _bad("6.3.1", "no UTF-8", [frame(TEXT, wrong)], 1007)
    yield _bad("6.3.2", "no UTF-8, in fragments of one byte", _in_parts(wrong, 1), 1007)
    # Refused where it goes wrong: what would come after it is never sent.
    wrong = _KOSME + b"\xf4\x90\x80\x80edited"
    for number, at, end, how in (("6.4.1", 11, 15, "a fragment goes wrong"), ("6.4.2", 12, 13, "a fragment goes wrong, up to the very byte")):
        parts = [frame(TEXT, wrong[:at], final=False), frame(0, wrong[at:end], final=False)]
        yield Case(number, f"{how}; the rest is not sent", parts, [], 1007, quiet=1)
    for number, at, end, how in (("6.4.3", 11, 15, "a frame goes wrong"), ("6.4.4", 12, 13, "a frame goes wrong, up to the very byte")):
        whole = frame(TEXT, wrong)
        parts = [whole[: 6 + at], whole[6 + at : 6 + end]]
        yield Case(number, f"{how}; the rest is not sent", parts, [], 1007, quiet=1)


def _cat(*ranges: tuple[int, int]) -> list[bytes]:
    return [b"".join(bytes([each, 0x20]) for each in range(*found)) for found in ranges]


_MISSING = [
    b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80", b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf",
]  # fmt: skip
_NONCHARACTERS = [
    b"\xef\xbf\xbe", b"\xef\xbf\xbf",
    *(
        bytes([one, two, 0xBF, three])
        for one in range(0xF0, 0xF5) for two in (0x8F, 0x9F, 0xAF, 0xBF) for three in (0xBE, 0xBF)
        if (one, two) != (0xF0, 0x8F) and (one != 0xF4 or two == 0x8F)
    ),
]  # fmt: skip

#: From Markus Kuhn's UTF-8 decoder stress test: what each part is about, and its sequences.
SEQUENCES: list[tuple[str, list[bytes]]] = [
    ("UTF-8", [b"hello$world", b"hello\xc2\xa2world", b"hello\xe2\x82\xacworld", b"hello\xf0\xa4\xad\xa2world", _KOSME]),
    ("all beginnings of a Greek word", [_KOSME[:size] for size in range(1, len(_KOSME) + 1)]),
    ("the first of each length", [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
    ("the first of 5 and 6 bytes", [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
    ("the last of each length", [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
    ("the last of 4, 5 and 6 bytes", [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
    ("other limits", [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"]),
    ("lone continuation bytes", [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)), bytes(range(0x80, 0xBF))]),
    ("lone first bytes", _cat((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))),
    ("the last byte is missing", _MISSING),
    ("all of those after each other", [b"".join(_MISSING)]),
    ("bytes that cannot be", [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    ("overlong ASCII", [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"]),
    ("overlong, the last of each length", [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"]),
    ("overlong NUL", [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"]),
    ("a surrogate", [bytes([0xED, *each]) for each in (b"\xa0\x80", b"\xad\xbf", b"\xae\x80", b"\xaf\xbf", b"\xb0\x80", b"\xbe\x80", b"\xbf\xbf")]),
    ("two surrogates", [b"\xed" + one + b"\xed" + two for one in (b"\xa0\x80", b"\xad\xbf", b"\xae\x80", b"\xaf\xbf") for two in (b"\xb0\x80", b"\xbf\xbf")]),
    ("no characters, and UTF-8", _NONCHARACTERS),
    ("specials", [b"\xef\xbf" + bytes([each]) for each in range(0xB9, 0xC0)]),
]  # fmt: skip


def _sequences() -> Iterator[Case]:
    for section, (about, sequences) in enumerate(SEQUENCES, 5):
        for place, each in enumerate(sequences, 1):
            sent = f"{about}: `{each.hex(' ') if len(each) < 25 else each[:12].hex(' ') + ' …'}`"
            try:
                each.decode()
            except UnicodeDecodeError:
                yield _bad(f"6.{section}.{place}", sent, [frame(TEXT, each)], 1007)
            else:
                yield _good(f"6.{section}.{place}", sent, [frame(TEXT, each)], [REFUSED])


def _closing() -> Iterator[Case]:
    normal = _close(1000)
    first, last = frame(TEXT, _HALVES[0], final=False), frame(0, _HALVES[1])
    yield _good("7.1.1", "text, then close", [HELLO], [REFUSED])
    yield _bad("7.1.2", "two close frames", [normal, frame(CLOSE)], 1000)
    yield _bad("7.1.3", "close, then ping", [normal, frame(PING)], 1000)
    yield _bad("7.1.4", "close, then text", [normal, HELLO], 1000)
    yield _bad("7.1.5", "a fragment, close, a fragment", [first, normal, last], 1000)
    # The outcome is left to the implementation. Ours: more than 65,536 bytes are refused while they come.
    yield _bad("7.1.6", "text of 256 KiB, text, close, ping", [frame(TEXT, b"BAsd7&jh23" * 26_215)[: 262_144 + 14], HELLO, normal, frame(PING)], 1009)
    yield _bad("7.3.1", "close without code", [frame(CLOSE)], None)
    yield _bad("7.3.2", "close with one byte", [frame(CLOSE, b"a")])
    yield _bad("7.3.3", "close with code", [normal], 1000)
    yield _bad("7.3.4", "close with code and reason", [_close(1000, b"Hello World!")], 1000)
    yield _bad("7.3.5", "close with the longest reason, 123 bytes", [_close(1000, b"*" * 123)], 1000)
    yield _bad("7.3.6", "close with a reason of 124 bytes", [_close(1000, b"*" * 124)])
    yield _bad("7.5.1", "close with a reason that is no UTF-8", [_close(1000, _KOSME + b"\xed\xa0\x80edited")], 1007)
    for place, code in enumerate([*range(1000, 1004), *range(1007, 1012), 3000, 3999, 4000, 4999], 1):
        yield _bad(f"7.7.{place}", f"close with {code}", [_close(code)], code)
    for place, code in enumerate([0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999], 1):
        yield _bad(f"7.9.{place}", f"close with {code}, which nobody may send", [_close(code)])
    # Undefined by RFC 6455.
    for place, code in enumerate([5000, 65_535], 1):
        yield _bad(f"7.13.{place}", f"close with {code}, which is undefined", [_close(code)])


def _long() -> Iterator[Case]:
    yield _good("10.1.1", "text of 65,536 bytes in fragments of 1,300", _in_parts(_ping_of(65_536), 1300), [HEARD])


def pong(payload: bytes) -> str:
    """A pong frame, as it is told."""
    return f"pong {payload.hex()}".rstrip()


CASES: list[Case] = [
    *_framing(), *_pings(), *_reserved(), *_fragments(), *_texts(), *_sequences(), *_closing(), *_long(),
]  # fmt: skip

"""What both drivers begin with, for each target: the hostile inputs of tests/safety and the texts of the page's tests.

`WORDS` are the bytes that matter to a target; inputs are put together of them.
"""

# ruff: noqa: E501  # tables

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parent.parent
if str(_TESTS / "safety") not in sys.path:
    sys.path.append(str(_TESTS / "safety"))

import hostile  # noqa: E402  # from the folder that has just been added
from wire import frame  # noqa: E402

MOST = 4_096
"""Bytes of a seed: longer ones slow both drivers down and show nothing else."""

_VECTORS = json.loads((_TESTS / "vectors" / "runs.json").read_text("utf-8"))
_ZERO = b"\0\0\0\0"
_GOOD = [
    frame(1, b'{"command":"ping"}', mask=_ZERO), frame(1, b"a", final=False, mask=_ZERO) + frame(0, b"b", mask=_ZERO),
    frame(9, b"x", mask=b"abcd") + frame(10, mask=_ZERO) + frame(8, struct.pack("!H", 1000) + b"bye", mask=_ZERO),
    frame(1, "aä€😀".encode(), mask=b"\1\2\3\4"), frame(1, b"x" * 64, mask=_ZERO), frame(1, b"x" * 65, mask=_ZERO),
    frame(1, "ä".encode() * 32, mask=_ZERO), frame(1, "ä".encode() * 33, mask=_ZERO),
    *(frame(2, mask=_ZERO) + each for each in (frame(1, mask=_ZERO), frame(9, mask=_ZERO), frame(8, mask=_ZERO) + frame(9, mask=_ZERO))),
]  # fmt: skip
_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"

SEEDS: dict[str, list[bytes]] = {
    "json": [
        *(body for _, body in [*hostile.JSON, *hostile.NOT_UTF8]),
        *(hostile.encoded(envelope) for _, envelope, _, _ in hostile.ENVELOPES),
        '{"a":["ä",1,-0.5,1e22,true,null,{"b":"\\ud83d\\ude00"}]}'.encode(),
    ],
    "frames": [*_GOOD, *(data for _, data, _ in hostile.FRAMES)],
    "markup": [
        b"*a* **b c*", *(str(each["text"]).encode() for each in _VECTORS), *(each.encode() for _, each in hostile.TEXTS),
    ],
    "cursor": [b"now", b"0", b"42", b"42.9f3ac21b7d04e6a1", "1١".encode(), *(each.encode() for each in hostile.CURSORS)],
    "request": [
        *(data for _, data, _ in hostile.RAW), *(data for _, data, _ in hostile.HANDSHAKES),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", _HEAD + b"Content-Length: 5\r\n\r\nhello",
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    ],
}  # fmt: skip
SEEDS = {name: sorted({each for each in seeds if len(each) <= MOST}) for name, seeds in SEEDS.items()}

WORDS: dict[str, list[bytes]] = {
    "json": [
        *(bytes([each]) for each in b'{}[]:,"\\ 019-+.eE'), b'"a"', b'"command"', b'"ping"', b"true", b"false", b"null",
        b"NaN", b"\\u0000", b"\\ud800", b"\\udc00", b"\\u00e4", b"\xc3\xa4", b"\xff", b"\0", b"\xef\xbb\xbf", b"1e999",
        b"[" * 32, b'{"a":' * 16, b"]" * 32, b"}" * 16, b'"message":{"user":"A","message":"x"}',
    ],
    "frames": [
        *(frame(opcode, b"", final=final, mask=_ZERO) for opcode in (0, 1, 2, 8, 9, 10) for final in (True, False)),
        *(frame(opcode, b"ab", final=final, mask=b"abcd") for opcode in (0, 1) for final in (True, False)),
        *(frame(1, "ä€😀".encode()[:size], final=size % 2 == 0, mask=_ZERO) for size in range(1, 10)),
        *(frame(0, bytes([each]), final=False, mask=_ZERO) for each in b"\xc3\xa4\xe2\x82\xac\xed\xa0\xf0"),
        frame(1, b"x" * 40, final=False, mask=_ZERO), frame(0, b"x" * 40, mask=_ZERO), frame(0, b"\x82", mask=_ZERO),
        frame(8, b"\x03\xe8", mask=_ZERO), frame(8, b"\x03\xe8\xff", mask=_ZERO), frame(9, b"there", mask=b"\xff\0\xff\0"),
        b"\x81", b"\xfe\x00\x7e", b"\xff" + bytes(5) + b"\1\0\0", b"\xc1", b"\x80\x80", _ZERO, b"\xff",
    ],
    "markup": [
        b"*", b"**", b"***", b"_", b"__", b"`", b"``", b"```", b"\n", b"\n\n", b"\n \n", b" ", b"a", b"b", b"(", b")", b".",
        b"http://", b"https://a", "é".encode(), "文".encode(), "\u200d".encode(), "e\u0301".encode(), b"\r\n", b"\xff", b"\0",
    ],
    "cursor": [b"now", b"0", b"1", b"9", b".", b"0123456789abcdef", b"A", b" ", b"\n", "١".encode(), b"\xff", b"-"],
    "request": [
        b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n", b"Host: a\r\n", b"\r\n", b"\r\n\r\n", b"\r", b"\n",
        b"Content-Length: 5\r\n", b"content-length:0\r\n", b"Content-Length: 65\r\n", b"Content-Length: 00000000000000005\r\n",
        b"Transfer-Encoding: chunked\r\n", b"transfer-encoding:\tCHUNKED \r\n", b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Length : 5\r\n", b" Content-Length: 5\r\n", b"X: y\r\n", b":", b" ", b"\t", b"hello", b"5\r\n", b"0\r\n",
        b"5\r\nhello\r\n", b"0\r\n\r\n", b"5;a=b\r\n", b"\0", b"\xff", b"Expect: 100-continue\r\n", b"X_Y: z\r\n",
    ],
}  # fmt: skip

"""What is taken for JSON (docs/protocol.md §7, JSON), and that what is written is read back."""

from __future__ import annotations

from typing import Any

import pytest

from quotechat.protocol import json
from quotechat.protocol.errors import MalformedJson


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, -2.5, true, null, "\xc3\xa9"]}', {"a": [1, -2.5, True, None, "é"]}),
        (b' "\\ud83d\\ude00" ', "😀"),
        (b'"[{[{"', "[{[{"),
        (b'"\\"[" ', '"['),
        (b"12345678901234567890", 12345678901234567890),
        ("[" * 32 + "]" * 32, None),
    ],
)
def test_json_is_read(data: bytes | str, value: Any) -> None:
    """RFC 8259, from bytes or text, up to 32 levels deep; brackets within strings are no levels."""
    found = json.loads(data)
    assert value is None or found == value


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[1,]", b"{'a': 1}", b"01", b"1 2", b'"\t"', b"tru", b"\xff", b'"\xed\xa0\x80"',
        b"NaN", b"Infinity", b"-Infinity", b"1e400", b'{"a": 1, "a": 1}', b'{"a": {"b": 1, "b": 2}}',
        b'"\\ud83d"', b'"\\ude00\\ud83d"', b'{"\\ud83d": 1}', b'"\\u0000"', b'"\x00"', b"\xef\xbb\xbf1",
        b"[" * 33 + b"]" * 33, b'{"a":' * 33 + b"1" + b"}" * 33, b"1" * 5000,
    ],
    ids=lambda data: repr(data[:24]),
)  # fmt: skip
def test_what_two_programs_could_read_differently_is_refused(data: bytes) -> None:
    """Not UTF-8, a byte order mark, a key twice, NaN, a lone surrogate, NUL, too deep: `malformed-json`."""
    with pytest.raises(MalformedJson):
        json.loads(data)


@pytest.mark.parametrize("value", [{"b": 1, "a": [True, None, "é😀\n"]}, [], "", 0, -1.5, 2**53 - 1])
def test_what_is_written_is_read_back(value: Any) -> None:
    """`dumps` spells compact UTF-8 that both readers give back, the strict one and our own."""
    data = json.dumps(value)
    assert json.loads(data) == value
    assert json.own(data) == value
    assert b", " not in data
    assert b": " not in data

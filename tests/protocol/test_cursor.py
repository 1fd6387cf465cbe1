"""The cursor's grammar, and the chain that its tag is taken from (docs/protocol.md §1 and §7)."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from quotechat.protocol import cursor
from quotechat.protocol.cursor import NOW, Cursor
from quotechat.protocol.errors import CursorInvalid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", Cursor(0)),
        ("42", Cursor(42)),
        ("9999999999999999", Cursor(9_999_999_999_999_999)),
        ("0.0123456789abcdef", Cursor(0, "0123456789abcdef")),
        ("42.9f3ac21b7d04e6a1", Cursor(42, "9f3ac21b7d04e6a1")),
    ],
)
def test_the_grammar_is_accepted_and_spelt_back(text: str, expected: Cursor) -> None:
    """A cursor is a number without leading zeros and, after a point, 16 hex digits; str() gives it back."""
    assert cursor.parse(text) == expected
    assert str(expected) == text


def test_now_is_a_place_of_its_own() -> None:
    """`now` stands for the head, wherever that is."""
    assert cursor.parse("now") is NOW
    assert str(NOW) == "now"


@pytest.mark.parametrize(
    "text",
    [
        "", " 1", "1 ", "1\n", "+1", "-1", "01", "1.", "1.0", "1.9F3AC21B7D04E6A1", "1.9f3ac21b7d04e6a",
        "1.9f3ac21b7d04e6a1a", "1,9f3ac21b7d04e6a1", "10000000000000000", "NOW", "now ", "1e3",
        "٤٢", "1.٩f3ac21b7d04e6a1",
    ],
)  # fmt: skip
def test_all_else_is_refused(text: str) -> None:
    """What is not in the grammar is `cursor-invalid`: other digits, signs, spaces, cases and lengths."""
    with pytest.raises(CursorInvalid):
        cursor.parse(text)


def test_the_chain_is_what_the_protocol_says() -> None:
    """chain(n) = BLAKE2b(chain(n-1), n, digest of the body); the tag is its first 16 hex digits."""
    genesis, body = b"\x07" * 32, b'{"message":"Hello!"}'
    digest = blake2b(body, digest_size=32).digest()
    chain = blake2b(genesis + (1).to_bytes(8, "big") + digest, digest_size=32).digest()

    assert cursor.digest(body) == digest
    assert cursor.extend(genesis, 1, digest) == chain
    assert cursor.at(1, chain) == f"1.{chain.hex()[:16]}"
    assert cursor.parse(cursor.at(1, chain)) == Cursor(1, cursor.tag(chain))


@pytest.mark.parametrize("change", ["seq", "body", "history"])
def test_another_history_has_another_tag(change: str) -> None:
    """A tag depends on the position, the body and all that came before."""
    there = cursor.extend(b"\x07" * 32, 5, cursor.digest(b"body"))
    other = cursor.extend(
        b"\x08" * 32 if change == "history" else b"\x07" * 32,
        6 if change == "seq" else 5,
        cursor.digest(b"another" if change == "body" else b"body"),
    )
    assert cursor.tag(other) != cursor.tag(there)

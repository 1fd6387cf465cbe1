"""The cursor: a position in a room's log *and* the history that leads to it (protocol §1).

`chain(n) = BLAKE2b(chain(n-1) ‖ n ‖ digest of event n's body)`, from a random genesis per room; the
tag of a cursor is the first 16 hex digits of the chain at its seq.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final, NamedTuple

from .errors import CursorInvalid

CHAIN_BYTES = 32
TAG_DIGITS = 16

_GRAMMAR = re.compile(r"(0|[1-9][0-9]{0,15})(?:\.([0-9a-f]{16}))?")


class Cursor(NamedTuple):
    """After event `seq`; `tag` None means that the history is not checked."""

    seq: int
    tag: str | None = None

    def __str__(self) -> str:
        return str(self.seq) if self.tag is None else f"{self.seq}.{self.tag}"


class Now:
    """The head, wherever that is when it is asked for."""

    def __str__(self) -> str:
        return "now"


NOW: Final = Now()
START: Final = Cursor(0)


def parse(text: str, field: str = "after") -> Cursor | Now:
    """Parse the cursor that a client wrote in `field`. Raises CursorInvalid."""
    if text == "now":
        return NOW
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise CursorInvalid(field)
    return Cursor(int(found[1]), found[2])


def cursor_of(own: str) -> Cursor:
    """Return the parts of a cursor that the store has written."""
    seq, _, tag = own.partition(".")
    return Cursor(int(seq), tag)


def at(seq: int, chain: bytes) -> str:
    """Return the cursor, as text, of `seq` when the chain stands at `chain`."""
    return f"{seq}.{tag(chain)}"


def tag(chain: bytes) -> str:
    """Return the part of `chain` that a cursor shows."""
    return chain[: TAG_DIGITS // 2].hex()


def digest(body: bytes) -> bytes:
    """Return the digest of an event's body: all that the chain needs of it."""
    return blake2b(body, digest_size=CHAIN_BYTES).digest()


def extend(chain: bytes, seq: int, body_digest: bytes) -> bytes:
    """Return the chain at `seq`, from the chain at ``seq - 1``."""
    return blake2b(chain + seq.to_bytes(8, "big") + body_digest, digest_size=CHAIN_BYTES).digest()

"""Allow invisible characters in names for scripts that need joiners, and in emoji sequences. Pure.

Persian writes a non-joiner, Sinhala a joiner, and a red heart is a sign and a selector. Elsewhere they would only make
two names of one look.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

_NON_JOINER, _JOINER = "\u200c", "\u200d"
_VIRAMA = 9
"""The combining class of viramas (UAX 44, table 15)."""


def permitted(name: str) -> set[int]:
    """Return the places of invisible characters that `name` may hold."""
    places = {place for place, character in enumerate(name) if _may_join(name, place, character)}
    # A sign alone is no name: there is a letter beside it.
    if any(unicodedata.category(character).startswith("L") for character in name):
        for start, end in _emoji_in(name):
            places.update(range(start, end))
    return places


def _may_join(name: str, place: int, character: str) -> bool:
    """Apply the rules CONTEXTJ of IDNA (RFC 5892, appendices A.1 and A.2)."""
    if character not in (_NON_JOINER, _JOINER) or place == 0:
        return False
    if unicodedata.combining(name[place - 1]) == _VIRAMA:
        return True
    if character == _JOINER:
        return False
    before = next((kind for kind in map(_joining, reversed(name[:place])) if kind != "T"), "")
    after = next((kind for kind in map(_joining, name[place + 1 :]) if kind != "T"), "")
    return before in ("L", "D") and after in ("R", "D")


def _joining(character: str) -> str:
    """Return the Joining_Type: D, L, R, T, or nothing for others."""
    starts, ends, kinds = _ranges()
    place = bisect_right(starts, ord(character)) - 1
    return kinds[place] if place >= 0 and ord(character) <= ends[place] else ""


def _emoji_in(name: str) -> Iterator[tuple[int, int]]:
    """Start and end of each emoji sequence with invisible characters, the longest at each place."""
    sequences, longest = _sequences()
    place = 0
    while place < len(name):
        for end in range(min(len(name), place + longest), place + 1, -1):
            if name[place:end] in sequences:
                yield place, end
                place = end
                break
        else:
            place += 1


@cache
def _ranges() -> tuple[list[int], list[int], list[str]]:
    """First and last code points, and types, of all ranges in order."""
    found = []
    for line in _lines("joining.txt"):
        kind, _, ends = line.partition(";")
        first, _, last = ends.partition("-")
        found.append((int(first, 16), int(last, 16), kind))
    found.sort()
    return [first for first, _, _ in found], [last for _, last, _ in found], [kind for _, _, kind in found]


@cache
def _sequences() -> tuple[frozenset[str], int]:
    """Return all emoji sequences with invisible characters, and the length of the longest."""
    found = frozenset("".join(chr(int(code, 16)) for code in line.split()) for line in _lines("emoji.txt"))
    return found, max(map(len, found))


def _lines(name: str) -> list[str]:
    lines = files(__package__).joinpath(name).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]

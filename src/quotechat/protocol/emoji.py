"""Tell one emoji from any other text: the RGI set of Unicode's emoji data, version 17.0 (UTS 51, ED-27).

The list has one line for each emoji. In a line `T` stands for each of the five skin tones, a second `T` for each
of them again, and `U` for each of the four that the first is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import product

VERSION = "17.0"
MOST_CHARS = 10
"""The most code points of an emoji; a longer text is refused unread."""
_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def is_emoji(text: str) -> bool:
    """Return True if `text` is one emoji, fully qualified, and nothing else."""
    return 0 < len(text) <= MOST_CHARS and text in every()


@cache
def every() -> frozenset[str]:
    """Return all emoji; read from the list when the first one is asked for."""
    lines = (files(__package__) / f"emoji-{VERSION}.txt").read_text("utf-8").split()
    return frozenset(emoji for line in lines for emoji in _toned(line))


def _toned(line: str) -> Iterator[str]:
    """Yield the emoji that a line of the list stands for."""
    if "U" in line:
        for first, second in product(_TONES, repeat=2):
            if first != second:
                yield line.replace("T", first).replace("U", second)
        return
    first, *rest = line.split("T")
    for tones in product(_TONES, repeat=len(rest)):
        yield first + "".join(tone + part for tone, part in zip(tones, rest, strict=True))

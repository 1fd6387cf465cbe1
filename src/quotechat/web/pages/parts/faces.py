"""The face of an author: initials, on one of the twelve colours. static/js/person/face.js does the same.

And what a direct room is called: the people in it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from ....protocol.names import COLORS
from ....protocol.rooms import DIRECT

_HUES = sorted(set(COLORS) - {"gray"})


def hue(author: str) -> str:
    """Return the colour of an author, by the id of the account, or by the name of one that has none."""
    number = 0
    for character in author:
        number = (number * 31 + ord(character)) % 65_521
    return _HUES[number % len(_HUES)]


def initials(name: str) -> str:
    """Return the first letters of the first word and of the last; of a single word its first two."""
    words = [letters for word in name.split() if (letters := [each for each in word if _is_letter(each)])]
    if not words:
        return name[:1]
    found = words[0][:2] if len(words) == 1 else [words[0][0], words[-1][0]]
    return "".join(found).upper()


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"


def called(room: Mapping[str, Any], name: str) -> str:
    """Return the shown name of a room: `name` unless it is direct, from the answer of `GET /rooms/R`."""
    if room.get("kind") != DIRECT:
        return name
    return ", ".join(each["name"] for each in room.get("with", [])) or "Notes to yourself"

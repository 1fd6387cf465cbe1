"""The units of a text that can be found, and the terms under which an index keeps them. Pure.

A unit is a word of an alphabet, or one character of a script without spaces, or an emoji. A term has only ``a-z0-9``,
so that no tokenizer and no query language has an opinion on it. Both databases therefore find the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

MOST_TERMS: Final = 400
"""Terms of one text; later ones are not found."""
MOST_UNITS: Final = 2000
_MOST_MARKS: Final = 12
"""Code points of a letter with its marks that are looked at."""
_LONGEST: Final = 120
"""Characters of a term; the rest of a long word is compared in the text itself."""

Kind = Literal["word", "character", "emoji", "invisible", "none"]

_PARTS = re.compile(r"\S+")
_MOST_KNOWN: Final = 40
"""Characters of a part between spaces whose units are remembered."""
_ASCII_WORDS = re.compile("[a-z0-9]+")
_NOT_ASCII = re.compile("[^\x00-\x7f]+")
#: Thai, Lao, Burmese, Hangul, Khmer, Han, kana, Bopomofo.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u19e0-\u19ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029"
    "\u3031-\u3035\u3040-\u30fa\u30fc-\u318f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
#: Han and Hangul of which each code point is its own key, and no one is part of another.
_PLAIN_RUN = re.compile("[\u4e00-\u9fff\uac00-\ud7a3]{2,}")
#: After a letter, and part of it: also the half-width voiced marks of kana, and skin tones.
_EXTENDS = re.compile("[\uff9e\uff9f\U0001f3fb-\U0001f3ff\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_FLAG_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
#: Symbols that draw lines and patterns, and say nothing.
_DRAWING = re.compile("[\u2500-\u259f\u2800-\u28ff]")
_BREAKS: Final = "\u200b"
"""A space of no width, which parts words."""
_WITHOUT_MARKS = frozenset({"LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW"})
#: The dotless i, letters with a stroke, and the Arabic lengthener, which decompose into nothing.
_ALIKE = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "\u0640": None})


class Unit(NamedTuple):
    """A part of a text from `start` to `end` in code points, and the `key` under which it is compared.

    `glued` is True for a character of a script without spaces that stands right behind another one.
    """

    key: str
    start: int
    end: int
    kind: Kind
    glued: bool = False


def units(text: str) -> list[Unit]:
    """Return the units of `text`, in their order, as far as `MOST_TERMS` go."""
    if text.isascii():
        found = [Unit(word[0], *word.span(), "word") for word in _ASCII_WORDS.finditer(text.lower())]
    else:
        found = []
        for part in _PARTS.finditer(text):
            start, end = part.span()
            own = _units_of_part(part[0]) if end - start <= _MOST_KNOWN else _units(part[0])
            found += [Unit(key, start + first, start + last, kind, glued) for key, first, last, kind, glued in own]
            if len(found) > MOST_UNITS:
                break
    return found if len(found) < MOST_TERMS // 2 else _bounded(found)


@lru_cache(16384)  # most words come again
def _units_of_part(part: str) -> list[Unit]:
    return _units(part)


def terms(found: Sequence[Unit]) -> list[str]:
    """Return the terms of units, each once: of glued characters both each one and each pair."""
    terms: dict[str, None] = {}
    before = ""
    for unit in found:
        terms[term(unit.key)] = None
        if unit.glued:
            terms[term(before + unit.key)] = None
        before = unit.key
    return list(terms)


def term(key: str) -> str:
    """Return `key` in ``a-z0-9``: text that is not ASCII as ``x`` and the hexadecimal digits of its UTF-8."""
    if not key.isascii():
        key = _NOT_ASCII.sub(lambda part: "x" + part[0].encode().hex(), key)
    return key[:_LONGEST]


def _bounded(found: list[Unit]) -> list[Unit]:
    """Return the first units, up to the one with which there are `MOST_TERMS` terms."""
    seen: set[str] = set()
    before = ""
    for place, unit in enumerate(found[:MOST_UNITS]):
        seen.update((unit.key, before + unit.key) if unit.glued else (unit.key,))
        if len(seen) > MOST_TERMS:
            return found[:place]
        before = unit.key
    return found[:MOST_UNITS]


def _units(text: str) -> list[Unit]:
    """As `units`, for a text in any script."""
    found: list[Unit] = []
    word: list[str] = []
    start = end = at = 0
    length = len(text)

    def close() -> None:
        if word:
            found.append(Unit("".join(word), start, end, "word"))
            word.clear()

    while at < length and len(found) <= MOST_UNITS:
        if run := _PLAIN_RUN.match(text, at, at + MOST_UNITS):
            close()
            after = run.end() - 1  # marks may follow on the last one
            follows = bool(found) and found[-1].kind == "character" and found[-1].end == at
            found += [Unit(text[n], n, n + 1, "character", follows or n > at) for n in range(at, after)]
            at = after
        after = _end(text, at)
        kind, key = _folded(text[at : min(after, at + _MOST_MARKS)])
        if kind == "word":
            start = at if not word else start
            word.append(key)
            end = after
        elif kind != "invisible":
            close()
            if kind == "character":
                follows = bool(found) and found[-1].kind == "character" and found[-1].end == at
                found += [Unit(each, at, after, kind, follows or place > 0) for place, each in enumerate(key)]
            elif kind == "emoji":
                found.append(Unit(key, at, after, kind))
        at = after
    close()
    return found


def _end(text: str, at: int) -> int:
    """Return the end of the letter or symbol at `at`, with the marks on it."""
    if _FLAG.match(text, at):
        return at + 2
    at += 1
    while at < len(text) and not text[at].isascii() and _extends(text[at]):
        at += 1
    return at


@lru_cache(4096)
def _extends(character: str) -> bool:
    if _EXTENDS.match(character):
        return True
    return unicodedata.category(character)[0] == "M" and not _UNSPACED.match(character)


@lru_cache(16384)
def _folded(cluster: str) -> tuple[Kind, str]:
    """Return the kind of a letter or symbol with its marks, and the key under which it is compared."""
    base = cluster[0]
    if base.isascii() and not base.isalnum():
        return "none", ""
    if _FLAG_LETTER.match(base):
        return "emoji", cluster
    category = unicodedata.category(base)
    if category == "Cf":
        return ("none" if base == _BREAKS else "invisible"), ""
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold())
    first = key[:1]
    if category == "So" and first == base:
        return ("none", "") if _DRAWING.match(base) else ("emoji", base)
    if not first or unicodedata.category(first)[0] not in "LNM":
        return "none", ""
    if _UNSPACED.match(first):
        return "character", key
    if _script(first) in _WITHOUT_MARKS:
        key = _without_marks(key)
    key = "".join(each for each in key.translate(_ALIKE) if unicodedata.category(each)[0] in "LNM")
    return ("word", key) if key else ("invisible", "")


def _script(letter: str) -> str:
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "").partition(" ")[0]


def _without_marks(key: str) -> str:
    letters = (each for each in unicodedata.normalize("NFD", key) if unicodedata.category(each)[0] != "M")
    return unicodedata.normalize("NFC", "".join(letters))

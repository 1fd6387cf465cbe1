"""Find the beginning and end of URLs in a text, and the words beside them. Pure; in time linear in the text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Final

#: Scripts that put no spaces between words, or endings right after a word: Thai, Lao, Burmese, Khmer,
#: Hangul, kana, Han. In them a marker within a "word" is no accident.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff]"
)


def in_word(character: str) -> bool:
    """Return True if `character` is part of a word: a letter, digit or accent, but no emoji's variation selector."""
    if not character or "\ufe00" <= character <= "\ufe0f" or _UNSPACED.match(character):
        return False
    return unicodedata.category(character)[0] in "LNM"


#: Never in a URL, beside what `_ends_url` asks for: the stops of Chinese and Japanese, which have no space behind them.
_NOT_IN_URL = re.compile("[\\s<>\"`\x00-\x1f\x7f-\x9f\u2065\u3000-\u3003\uff01\uff0c\uff1a\uff1b\uff1f]")
_HOST = re.compile(r"[^\W_]|\[[0-9a-fA-F:.]+\]")
_CLOSING: Final = {")": "(", "]": "[", "}": "{"}
#: At its end, rather the sentence's, or markup around the URL. So are the stops of other scripts (category Po).
_TRAILING: Final = frozenset("?!.,:;*_~'([{")


def url_end(text: str, start: int, host: int) -> int:
    """Return the end of the URL whose scheme stands from `start` to `host`; `start` if there is none."""
    if in_word(text[start - 1 : start]) or not _HOST.match(text, host):
        return start
    return _url_trimmed(text, host, _url_stop(text, host))


def _url_stop(text: str, host: int) -> int:
    """Return the end of the characters that may belong to a URL; also before a bracket its authority did not open."""
    unclosed: Counter[str] = Counter()
    in_authority = True
    for at in range(host, len(text)):
        character = text[at]
        if character in "/?#":
            in_authority = False
        elif _ends_url(character):
            return at
        elif in_authority and character in "([{":
            unclosed[character] += 1
        elif in_authority and (opening := _CLOSING.get(character)):
            if not unclosed[opening]:
                return at
            unclosed[opening] -= 1
    return len(text)


def _url_trimmed(text: str, host: int, end: int) -> int:
    """Return the end without the part that belongs to the sentence: stops, and brackets that the URL did not open."""
    brackets = Counter(character for character in text[host:end] if character in "()[]{}")
    while end > host:
        last = text[end - 1]
        opening = _CLOSING.get(last)
        if opening is None and not _trails_url(last):
            break
        if opening is not None and brackets[last] <= brackets[opening]:
            break
        brackets[last] -= 1
        end -= 1
    return end


@lru_cache(4096)
def _ends_url(character: str) -> bool:
    """Return True if no URL has `character`: white space, quotation marks, brackets of any script, invisible ones."""
    if _NOT_IN_URL.match(character):
        return True
    return not character.isascii() and unicodedata.category(character) in ("Pi", "Pf", "Ps", "Pe", "Cf")


@lru_cache(4096)
def _trails_url(character: str) -> bool:
    """Return True if `character` ends a sentence rather than a URL."""
    return character in _TRAILING or (not character.isascii() and unicodedata.category(character) == "Po")

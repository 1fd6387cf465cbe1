"""Text and its small markup: ``**bold**``, ``*italic*``, ``__underline__``, code in backticks, links.

Text becomes runs, never HTML, so no reader has anything to sanitise. docs/explanation/text.md has the
rules in words. Everything here takes time linear in the text: the texts come from strangers.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, Required, TypedDict, cast

from quotechat.protocol.errors import Invalid
from quotechat.protocol.markup.links import in_word, url_end
from quotechat.protocol.names import clean_title, is_blank, normal

__all__ = [
    "MOST_RUNS", "Run", "bounded", "clean_message", "clean_quote", "clean_title", "excerpt", "excerpt_of", "parse",
    "plain", "runs",
]  # fmt: skip

MOST_RUNS: Final = 200
"""Runs of one message; each is an element on every page that shows it. A text that makes more is shown as typed."""


class Run(TypedDict, total=False):
    """A part of a text in one style. Fields that are not set are absent; `href` is an http(s) URL.

    `mention` is the id of the account that it calls, or ``room``.
    """

    text: Required[str]
    bold: bool
    italic: bool
    underline: bool
    code: bool
    href: str
    mention: str


Style = Literal["bold", "italic", "underline"]


def clean_message(text: str, limit: int = 4000) -> str:
    """Return `text` in NFC with LF line ends; `limit` in code points. Raises `Invalid`."""
    return _clean(text, "message", limit)


def clean_quote(text: str, limit: int = 1000) -> str:
    """Return `text` in NFC with LF line ends; `limit` in code points. Raises `Invalid`."""
    return _clean(text, "quote", limit)


def clean_reason(text: str, limit: int = 500) -> str:
    """Return `text` in NFC with LF line ends; `limit` in code points. Raises `Invalid`."""
    return _clean(text, "reason", limit)


def _clean(text: str, name: str, limit: int) -> str:
    if text.isascii() and text.isprintable() and len(text) <= limit and text.strip():
        return text  # nothing to normalise or to refuse
    text = normal(text.replace("\r\n", "\n").replace("\r", "\n"), name, limit)
    if is_blank(text):
        raise Invalid(name, "Empty: it shows nothing.")
    if control := _CONTROL.search(text):
        raise Invalid(name, f"A control character, U+{ord(control[0]):04X}.")
    return text


#: Category Cc, which never grows, without tab and newline.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def runs(text: str) -> list[Run] | None:
    """Parse `text` into runs; None if nothing is formatted, or too much (`MOST_RUNS`): then it is shown as typed."""
    # Most texts have none: a tenth of the time, and less if no character begins one.
    if _MARK.search(text) is None or _SPECIAL.search(text) is None:
        return None
    found = parse(text)
    if len(found) > MOST_RUNS or all(run.keys() == {"text"} for run in found):
        return None
    return found


def bounded(message: dict[str, Any]) -> dict[str, Any]:
    """Return `message` as it may be shown: version 0.1 stored any number of runs."""
    if len(message.get("runs", ())) > MOST_RUNS:
        del message["runs"]
    return message


def plain(text: str) -> str:
    """Return `text` as it is shown: without the markers of its markup."""
    return _plain(text, runs(text))


def _plain(text: str, found: list[Run] | None) -> str:
    return text if found is None else "".join(run["text"] for run in found)


def excerpt(text: str, limit: int = 80) -> str:
    """Return the beginning of `text` on one line, without markers; at most `limit` code points with the ``…``."""
    return _shortened(plain(text), limit)


def excerpt_of(message: Mapping[str, Any], limit: int = 80) -> str:
    """As `excerpt`, of a message whose runs are made."""
    if not message["message"] and message.get("files"):
        return _shortened(message["files"][0]["name"], limit)
    found = message.get("runs", ())
    return _shortened(_plain(message["message"], found if 0 < len(found) <= MOST_RUNS else None), limit)


def _shortened(shown: str, limit: int) -> str:
    line = " ".join(shown.split())
    if len(line) <= limit:
        return line
    end = limit - 1
    # Not within one character as people see it; but a pile of accents is cut somewhere.
    while end > limit // 2 and _joined(line, end):
        end -= 1
    return line[:end].rstrip() + "…"


#: Characters that belong to the one before and are no marks: joiners, skin tones, the letters of a flag's tag,
#: halfwidth voiced marks, Thai and Lao am, and the vowels and finals of Hangul.
_EXTENDS = re.compile(
    "[\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\uff9e\uff9f\u0e33\u0eb3\u1160-\u11ff\ud7b0-\ud7fb]"
)
_FLAG_LETTERS = re.compile("[\U0001f1e6-\U0001f1ff]+\\Z")
_VIRAMA: Final = 9
"""The combining class of the sign that joins two consonants."""


def _joined(line: str, at: int) -> bool:
    """Return True if no character ends before `at`, near enough to the grapheme clusters of UAX 29."""
    left, right = line[at - 1], line[at]
    if left == "\u200d" or _EXTENDS.match(right) or unicodedata.category(right) in ("Mn", "Mc", "Me"):
        return True
    if unicodedata.combining(left) == _VIRAMA:
        return unicodedata.category(right) == "Lo"
    flags = _FLAG_LETTERS.search(line, 0, at)
    return flags is not None and len(flags[0]) % 2 == 1 and "\U0001f1e6" <= right <= "\U0001f1ff"


def parse(text: str) -> list[Run]:
    """Parse `text` into runs. Never fails: a marker that nothing closes, or other false markup, is text.

    Joined, the runs give `text` without the markers; neighbours differ in style.
    """
    return _emitted(_pieces(text))


# The characters that may begin markup, or the empty line that ends open markup.
_MARK = re.compile("[`*_:\n]")
_SPECIAL = re.compile(r"`+|\*+|__+|https?://|\n[ \t]*\n", re.IGNORECASE)
_EMPTY_LINE = re.compile(r"\n[ \t]*(?=\n)")
_BACKTICKS = re.compile("`+")

_FENCE: Final = 3


class _Piece:
    """A part of a text, or a marker: the rest of an unused one is text too. Styles end before, start after it."""

    __slots__ = ("code", "ends", "href", "starts", "text")

    def __init__(self, text: str, code: bool = False, href: str = "") -> None:
        self.text = text
        self.code = code
        self.href = href
        self.starts: tuple[Style, ...] = ()
        self.ends: tuple[Style, ...] = ()

    def own(self) -> dict[str, Any]:
        """Return the style that is its own, in any surroundings."""
        return {"code": True} if self.code else {"href": self.href}


def _pieces(text: str) -> list[_Piece]:
    """Return `text` cut up, with the beginnings and ends of styles."""
    pieces: list[_Piece] = []
    spans, markers = _CodeSpans(text), _Markers()
    done = at = 0  # `text` is in pieces up to `done`, and looked through up to `at`.

    def cut(start: int, piece: _Piece, end: int) -> None:
        nonlocal done
        if start > done:
            pieces.append(_Piece(text[done:start]))
        pieces.append(piece)
        done = end

    for special in _SPECIAL.finditer(text):
        start, after = special.span()
        if start < at:  # within code or a link
            continue
        at = after
        match text[start]:
            case "*" | "_":
                row = text[start:at]
                if row in _READINGS:
                    piece = _Piece(row)
                    if markers.meet(piece, text[start - 1 : start], text[at : at + 1]):
                        cut(start, piece, at)
            case "`":
                if (end := spans.end(start, at)) is not None:
                    code = _trimmed(text[at : end - (at - start)])
                    cut(start, _Piece(code, code=True), end)
                    at = end
            case "\n":
                markers.forget()
            case _:
                if (end := url_end(text, start, at)) > start:
                    cut(start, _Piece(text[start:end], href=text[start:end]), end)
                    at = end
    cut(len(text), _Piece(""), len(text))
    return pieces


def _emitted(pieces: list[_Piece]) -> list[Run]:
    """Return the runs: pieces in the styles that are open around them, joined if nothing differs."""
    found: list[Run] = []
    opened = dict.fromkeys(_NAMES, 0)
    open_now = 0  # their bits
    texts: list[str] = []  # of the run that is being joined, whose style is `run`
    run = _AROUND[0]
    for piece in pieces:
        for style in piece.ends:
            opened[style] -= 1
            if not opened[style]:
                open_now &= ~_BITS[style]
        if piece.text:
            around = _AROUND[open_now]
            if piece.code or piece.href:
                around = around | piece.own()
            # Nearly always the very same dictionary.
            if around is not run and around != run and texts:
                found.append(cast(Run, {"text": "".join(texts), **run}))
                texts = []
            run = around
            texts.append(piece.text)
        for style in piece.starts:
            opened[style] += 1
            open_now |= _BITS[style]
    if texts:
        found.append(cast(Run, {"text": "".join(texts), **run}))
    return found


_NAMES: Final[tuple[Style, ...]] = ("bold", "italic", "underline")
_BITS: Final[dict[Style, int]] = {"bold": 1, "italic": 2, "underline": 4}
#: The fields of a run for the styles that are open, by their bits.
_AROUND: Final[list[dict[str, Any]]] = [
    {name: True for name in _NAMES if bits & _BITS[name]} for bits in range(8)
]
_STYLES: Final[dict[str, Style]] = {"**": "bold", "*": "italic", "__": "underline"}
#: The markers that a row of them can give next: three stars are two and one, in either order.
_READINGS: Final = {"*": ("*",), "**": ("**",), "***": ("**", "*"), "__": ("__",)}
#: The marker that both rows can give next, the wider one first.
_COMMON: Final = {
    (row, other): marker
    for row, markers in _READINGS.items()
    for other in _READINGS
    for marker in reversed(markers)
    if marker in _READINGS[other]
}


class _Markers:
    """Those of ``*`` and ``_`` that may still find their end, the innermost last."""

    def __init__(self) -> None:
        self._open: list[_Piece] = []
        #: How many of `_open` could give a marker: saves a search through them if there is none.
        self._waiting = dict.fromkeys(_STYLES, 0)

    def forget(self) -> None:
        """Forget the open markers: none of them will find its end."""
        self._open.clear()
        self._waiting = dict.fromkeys(_STYLES, 0)

    def meet(self, piece: _Piece, before: str, after: str) -> bool:
        """Takes in a row of one marker between two characters; whether it can be markup at all."""
        edge_before, word_before = _side(before)
        edge_after, word_after = _side(after)
        opens = not (edge_after or word_before)
        closes = not (edge_before or word_after)
        if closes and self._open:
            self._close(piece)
        if opens and piece.text:
            self._push(piece)
        return opens or closes

    def _close(self, piece: _Piece) -> None:
        """End the styles that `piece` can end, from the inside out."""
        while piece.text and self._awaits(piece.text):
            opener = self._pop()
            if (marker := _COMMON.get((opener.text, piece.text))) is None:
                continue  # It stood between the two, and stays text.
            opener.starts += (_STYLES[marker],)
            piece.ends += (_STYLES[marker],)
            opener.text = opener.text[len(marker) :]
            piece.text = piece.text[len(marker) :]
            if opener.text:
                self._push(opener)

    def _awaits(self, row: str) -> bool:
        if row == "***":
            return bool(self._waiting["**"] or self._waiting["*"])
        return bool(self._waiting[row])

    def _push(self, piece: _Piece) -> None:
        self._open.append(piece)
        for marker in _READINGS[piece.text]:
            self._waiting[marker] += 1

    def _pop(self) -> _Piece:
        piece = self._open.pop()
        for marker in _READINGS[piece.text]:
            self._waiting[marker] -= 1
        return piece


@lru_cache(4096)
def _side(character: str) -> tuple[bool, bool]:
    """Return two facts on `character` beside a marker: is it an edge, space or nothing; is it part of a word."""
    return not character or character.isspace(), in_word(character)


class _CodeSpans:
    """The ends of code spans: rows of backticks by their length, and the empty lines that short ones can't cross."""

    def __init__(self, text: str) -> None:
        self._rows: defaultdict[int, list[int]] = defaultdict(list)
        for row in _BACKTICKS.finditer(text):
            self._rows[len(row[0])].append(row.start())
        self._empty_lines = [line.start() for line in _EMPTY_LINE.finditer(text)] if self._rows else []

    def end(self, start: int, at: int) -> int | None:
        """Return the end of the code that the row of backticks from `start` to `at` begins, or None."""
        length = at - start
        rows = self._rows[length]
        following = bisect_left(rows, at)
        if following == len(rows):
            return None
        close = rows[following]
        if length < _FENCE and self._empty_line_within(at, close):
            return None
        return close + length

    def _empty_line_within(self, start: int, end: int) -> bool:
        following = bisect_left(self._empty_lines, start)
        return following < len(self._empty_lines) and self._empty_lines[following] < end


def _trimmed(code: str) -> str:
    """Return `code` without the one space or line break on each side that sets it off from its backticks."""
    off = code[0] in " \n" and code[-1] in " \n" and not code.isspace()
    return code[1:-1] if off else code

"""The names of people, authors, rooms and colours, and the test for two names being the same.

Pure functions of text. A name is refused, never repaired: readers see it exactly as it was typed.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

from quotechat.protocol import joined
from quotechat.protocol.errors import Invalid

#: Values of `color`; the style sheet maps each to a pair of readable colours.
COLORS: Final = (
    "red", "orange", "amber", "green", "teal", "cyan", "blue", "indigo", "purple", "pink", "brown", "gray",
)

MOST_MARKS: Final = 4
"""Marks on one letter of a name. Hebrew with points and accents needs all of them."""
MOST_STACKED: Final = 8
"""The same in Tibetan and Burmese, which write letters below each other as marks."""
_MOST_FILE_NAME: Final = 200
_STACKING = re.compile("[\u0f00-\u109f]")

_ROOM = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

# No character decomposes canonically into more than four (UAX 15, section 2.1). So NFC makes a text at most
# four times shorter, and of the marks above a letter takes in at most three.
_SHRINKS = 4

#: Marks, although their combining class is 0: they decompose into marks.
_COMPOSED_MARKS = "\u0f73\u0f75\u0f81"

#: Characters that show nothing but are not of category Cf: the rest of Default_Ignorable_Code_Point
#: (Unicode 15.0, DerivedCoreProperties.txt), Hangul fillers among them, and the blank Braille pattern.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)


#: Combining classes (UAX 44, table 15) of marks through a letter, below it, and of the iota below.
_FAINT = frozenset({1, 220, 240})

#: Seen well enough, and the prototype of the cedilla: ç is no c.
_COMMA_BELOW = "\u0326"

#: Letters whose prototype in the table of UTS 39 is not their NFKC form; and, beside that table, ꞁ.
_LOOKS_BEFORE_NFKC = {0x03F2: "c", 0x03F9: "C", 0xFFE8: "l", 0xA781: "l"}


def clean_user(text: str, limit: int = 40) -> str:
    """Return `text` in NFC as the name of a person; `limit` in code points. Raises `Invalid`."""
    return clean_name(text, "user", limit)


def clean_author(text: str, limit: int = 100) -> str:
    """Return `text` in NFC as the author of a quote; `limit` in code points. Raises `Invalid`."""
    return clean_name(text, "author", limit)


def clean_title(text: str, limit: int = 100) -> str:
    """Return `text` in NFC as the title of a room; `limit` in code points. Raises `Invalid`."""
    return clean_name(text, "title", limit)


def clean_room(text: str, field: str = "name") -> str:
    """Return `text` as the name of a room: 1 to 63 of ``a-z 0-9 -``, no hyphen first. Raises `Invalid`."""
    if not _ROOM.fullmatch(text):
        raise Invalid(field, "A room's name has 1 to 63 of a-z, 0-9 and '-', and does not begin with '-'.")
    return text


def clean_color(text: str) -> str:
    """Return `text` as one of `COLORS`. Raises `Invalid`."""
    if text not in COLORS:
        raise Invalid("color", f"A colour is one of: {', '.join(COLORS)}.")
    return text


@lru_cache(4096)
def clean_name(text: str, field: str, limit: int) -> str:
    """Return `text` in NFC as a name on one line, all of it to be seen; `limit` in code points. Raises `Invalid`."""
    name = kept_name(text, field, limit)
    if not name.isascii():
        _check_marks(name, field)
    return name


def kept_name(text: str, field: str, limit: int) -> str:
    """As `clean_name`, with any number of marks on a letter: earlier versions took such names. Raises `Invalid`."""
    name = normal(text, field, limit)
    if not name:
        raise Invalid(field, "Empty.")
    invisible = [place for place, character in enumerate(name) if is_invisible(character)]
    if invisible:
        allowed = joined.permitted(name)
        for place in invisible:
            if place not in allowed:
                raise Invalid(field, f"An invisible character, U+{ord(name[place]):04X}.")
    for character in name:
        if unicodedata.category(character) in ("Cc", "Zl", "Zp"):
            raise Invalid(field, f"A line break or control character, U+{ord(character):04X}.")
    if name[0].isspace() or name[-1].isspace():
        raise Invalid(field, "White space at the beginning or the end.")
    return name


def clean_file(text: str) -> str:
    """Return `text` as the name of a file: made good, never refused, on one line and without a path in it."""
    kept = "".join(
        character for character in text[:_MOST_FILE_NAME * _SHRINKS]
        if character not in "/\\" and unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    )  # fmt: skip
    name = unicodedata.normalize("NFC", kept).strip().lstrip(".")
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) <= 20:
        name = stem[: _MOST_FILE_NAME - len(ending) - 1] + dot + ending
    return name[:_MOST_FILE_NAME].strip() or "file"


def clean_alt(text: str, limit: int) -> str:
    """Return the description of a file, on one line; "" if it shows nothing. Raises `Invalid`."""
    line = " ".join(text.split())
    return "" if is_blank(line) else clean_name(line, "alt", limit)


def _check_marks(name: str, field: str) -> None:
    """Refuse piles of marks, which are drawn over the lines above and below."""
    row = 0
    for character in name:
        if unicodedata.category(character) in ("Mn", "Me"):
            row += 1
            most = MOST_STACKED if _STACKING.match(character) else MOST_MARKS
            if row > most:
                raise Invalid(field, f"More than {most} marks on one letter.")
        elif not is_invisible(character):
            row = 0


def normal(text: str, field: str, limit: int) -> str:
    """Return `text` in NFC, at most `limit` code points long, without lone surrogates. Raises `Invalid`."""
    # Before normalising, whose work grows with the square of a row of marks.
    if len(text) > limit and _least_length(text) > limit:
        raise Invalid(field, f"Longer than {limit} characters.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Invalid(field, "Not valid Unicode: it holds a lone surrogate.") from None
    text = unicodedata.normalize("NFC", text)
    if len(text) > limit:
        raise Invalid(field, f"Longer than {limit} characters: it has {len(text)}.")
    return text


def _least_length(text: str) -> int:
    """Return a length that `text` has at least after NFC, for little work."""
    row = left = 0
    for character in text:
        row = row + 1 if unicodedata.combining(character) or character in _COMPOSED_MARKS else 0
        left += row >= _SHRINKS
    return max(left, len(text) // _SHRINKS)


def is_invisible(character: str) -> bool:
    """Return True if `character` is invisible in a name; white space is not meant."""
    return unicodedata.category(character) == "Cf" or _BLANK.match(character) is not None


def is_blank(text: str) -> bool:
    """Return True if `text` is empty or only white space and invisible characters."""
    return all(character.isspace() or is_invisible(character) for character in text)


@lru_cache(4096)  # people say more than one thing
def skeleton(name: str) -> str:
    """Return the look of `name`, regardless of case: two names with one skeleton are the same name.

    The skeleton of UTS 39, section 4, around NFKC case folding. Only for comparing; never shown.
    """
    name = "".join(character for character in name if not is_invisible(character))
    # NFKC and case folding would make other letters of these.
    name = _without_faint_marks(unicodedata.normalize("NFD", name.translate(_LOOKS_BEFORE_NFKC)))
    shape = _shape(unicodedata.normalize("NFKC", name))
    if not _looks_latin(shape):
        shape = _shape(_folded(name))
    # A capital I looks like l and is an i: with either half alone, AIice would pass as Alice, or ian as
    # another than Ian. A dot above an i is already there.
    shape = _shape(_folded(shape)).replace("i", "l").replace("l\u0307", "l").replace("j\u0307", "j")
    return " ".join(shape.split())


def _shape(text: str) -> str:
    """Return each character's prototype, by the table of UTS 39."""
    decomposed = unicodedata.normalize("NFD", text)
    return _without_faint_marks(unicodedata.normalize("NFD", decomposed.translate(_prototypes())))


def _without_faint_marks(decomposed: str) -> str:
    """Without marks through and below Latin letters, which are hardly seen: there Alice would have many twins."""
    if decomposed.isascii():
        return decomposed
    shown, on_latin = [], False
    for character in decomposed:
        place = unicodedata.combining(character)
        if place in _FAINT and on_latin and character != _COMMA_BELOW:
            continue
        if not place:
            on_latin = character.isascii() and character.isalpha()
        shown.append(character)
    return "".join(shown)


def _looks_latin(shape: str) -> bool:
    """Return True if all letters are ASCII, as they look: then it is the look that must not be imitated.

    Folding first would hide it: the Cyrillic Т is a T to the eye, but its small form is no t.
    """
    return all(character.isascii() or not character.isalpha() for character in shape)


def _folded(text: str) -> str:
    """NFKC case folding (Unicode, section 3.13, D146)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@cache
def _prototypes() -> dict[int, str]:
    """Map each code point to its prototype. Read at the first use: most programs that import us need none."""
    lines = files(__package__).joinpath("confusables.txt").read_text("utf-8").splitlines()
    pairs = (line.split(";") for line in lines if line and not line.startswith("#"))
    return {int(source, 16): _characters(target) for source, target in pairs}


def _characters(codes: str) -> str:
    return "".join(chr(int(code, 16)) for code in codes.split())

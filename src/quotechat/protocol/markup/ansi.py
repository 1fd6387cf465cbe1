"""Runs of text as lines for a terminal, in ANSI escape sequences (ECMA-48, SGR).

The sequences are ours alone: text of strangers cannot move the cursor, set a title or hide a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from quotechat.protocol.markup.text import Run

_RESET: Final = "\x1b[0m"

# Code is dim and not in reverse: that reads well on any background.
_STYLES: Final = (("bold", "1"), ("code", "2"), ("italic", "3"), ("underline", "4"))

#: From the palette of 256, mid tones: readable on black and on white.
_COLORS: Final = {
    "red": 160, "orange": 166, "amber": 136, "green": 28, "teal": 30, "cyan": 31,
    "blue": 33, "indigo": 62, "purple": 133, "pink": 162, "brown": 130, "gray": 244,
}

#: Category Cc but tab and newline, and the characters that turn the direction of the text (UAX 9, section 2): a
#: terminal has no element around a message that would keep either inside.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """Return `text` with U+FFFD for each character that would steer a terminal; tabs and newlines stay."""
    return _UNSAFE.sub("\ufffd", text)


def render(runs: Iterable[Run], color: str | None = None) -> str:
    """Return `runs` as text for a terminal, in `color` (one of `names.COLORS`; another is no colour)."""
    return "".join(_rendered(run, color) for run in runs)


def colored(text: str, color: str | None) -> str:
    """Return `text`, such as a name, in `color`."""
    return render([{"text": text}], color)


def _rendered(run: Run, color: str | None) -> str:
    codes = [code for style, code in _STYLES if run.get(style)]
    if run.get("href") and "4" not in codes:
        codes.append("4")  # The text of a link is its URL: a terminal that knows links finds it.
    if color in _COLORS:
        codes.append(f"38;5;{_COLORS[color]}")
    text = safe(run["text"])
    return f"\x1b[{';'.join(codes)}m{text}{_RESET}" if codes else text

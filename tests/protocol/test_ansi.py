"""Terminals: styles come through, and nothing else does."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotechat.protocol.markup import ansi
from quotechat.protocol.markup.text import parse
from quotechat.protocol.names import COLORS

SGR = re.compile(r"\x1b\[[0-9;]+m")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("a", "a"), ("**a**", "\x1b[1ma\x1b[0m"), ("*a*", "\x1b[3ma\x1b[0m"), ("__a__", "\x1b[4ma\x1b[0m"),
        ("`a`", "\x1b[2ma\x1b[0m"), ("***a** b*", "\x1b[1;3ma\x1b[0m\x1b[3m b\x1b[0m"),
        ("https://a.example", "\x1b[4mhttps://a.example\x1b[0m"),
        ("__https://a.example__", "\x1b[4mhttps://a.example\x1b[0m"), ("a\n\tb", "a\n\tb"),
    ],
)
def test_styles(typed: str, shown: str) -> None:
    """Each run has its styles, and ends them."""
    assert ansi.render(parse(typed)) == shown


@pytest.mark.parametrize("color", COLORS)
def test_every_colour_is_shown(color: str) -> None:
    """Each of the protocol's colours is one of the terminal's, different from the others."""
    shown = ansi.colored("Azin", color)
    assert SGR.sub("", shown) == "Azin"
    assert shown not in {ansi.colored("Azin", other) for other in COLORS if other != color}


def test_no_or_unknown_colour_is_no_escape() -> None:
    """A colour that a later server may send is shown without colour."""
    assert ansi.colored("Azin", None) == ansi.colored("Azin", "mauve") == "Azin"


@pytest.mark.parametrize(
    "evil",
    [
        "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r", "\x08", "\x00", "\x7f", "\x85",
        "\u202e", "\u2066", "\u200f",
    ],
)
def test_nothing_steers_the_terminal(evil: str) -> None:
    """Escapes, carriage returns and turned directions come out as U+FFFD, in runs and in names."""
    for shown in (ansi.render([{"text": evil, "bold": True}]), ansi.colored(evil, "red"), ansi.safe(evil)):
        assert "\ufffd" in shown
        assert evil[0] not in SGR.sub("", shown)


@given(st.text(st.characters(exclude_categories=[])), st.booleans(), st.sampled_from([None, *COLORS]))
def test_no_control_character_passes(typed: str, bold: bool, color: str | None) -> None:
    """Beside our own styles there is no control character but tab and newline, and no other text is lost."""
    bare = SGR.sub("", ansi.render([{"text": typed, "bold": bold}], color))
    assert len(bare) == len(typed)
    assert not [c for c in bare if unicodedata.category(c) == "Cc" and c not in "\t\n"]

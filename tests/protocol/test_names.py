"""Names: what is refused, what is kept as typed, and which two are one."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotechat.protocol import names
from quotechat.protocol.errors import Invalid

USERS = [
    "علی\u200cرضا", "ශ\u0dca\u200dරී", "क\u094d\u200cष", "❤\ufe0f Anna", "Ann 👩🏽\u200d🚀",
    "Wales 🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
    "Bo 1\ufe0f\u20e3", "بی\u064e\u200cنام", "Azin", "Zoë", "李小龙",
    "O'Neill", "Ann-Marie  Smith", "आदित्य", "한국", "ﬁn", "🎉", "a", "Æ", "x" * 40,
]


@pytest.mark.parametrize("name", USERS)
def test_ordinary_names_stay_as_typed(name: str) -> None:
    """A name of any script, with inner spaces, apostrophes or emoji, comes back unchanged."""
    assert names.clean_user(name) == name


@pytest.mark.parametrize("clean", [names.clean_user, names.clean_author, names.clean_title])
@pytest.mark.parametrize(
    "name",
    [
        "", " ", "\u200b", "\u2800", "\u3164", "\u115f", " Azin", "Azin ", "\u00a0Azin", "Azin\u3000",
        "Az\nin", "Az\rin", "Az\tin", "Az\u2028in", "Az\u2029in", "Az\x85in", "Az\x00in", "Az\x1bin",
        "Az\x7fin", "Az\u202ein", "Az\u2066in", "Az\u200bin", "Az\u200din", "Az\u200fin", "Az\u00adin",
        "Az\ufeffin", "Az\u034fin", "Az\u1160in", "Az\uffa0in", "Az\u2800in", "❤\ufe0f", "👩\u200d🚀",
        "Az\U000e0041in", "Az\U000e0fffin", "Az\u2065in", "Az\ud800in", "\udc00", "\u061cAzin",
        "Az\u206ain", "Az\ufff9in", "Az\u200cin", "علی\u200c", "\u200cعلی", "علی\u200c رضا", "ر\u200cضا",
        "علی\u200dرضا",
        "ශ\u0dca\u200d\u200dරී", "🏴\U000e0067\U000e007f Al", "Anna ❤\ufe0f\ufe0f", "Anna a\ufe0f",
        "Anna 👩\u200d\u200d🚀", "1\ufe0f\u20e3", "Anna ☠\ufe0e",
    ],
)
def test_what_deceives_is_refused(clean: Callable[[str], str], name: str) -> None:
    """Line breaks, controls, white space at an end, and whatever is invisible or turns the direction."""
    with pytest.raises(Invalid) as refused:
        clean(name)
    assert refused.value.code == "invalid"
    assert refused.value.field == clean.__name__.removeprefix("clean_")


def test_every_format_character_is_refused() -> None:
    """No character of Cc, Cf, Cs, Zl or Zp gets into a name, wherever it stands."""
    for character in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            with pytest.raises(Invalid):
                names.clean_user(f"a{character}b")


def test_length_is_counted_after_nfc() -> None:
    """Forty letters with accents pass, however they were typed; forty-one do not."""
    assert names.clean_user("e\u0301" * 40) == "é" * 40
    with pytest.raises(Invalid, match="40"):
        names.clean_user("e\u0301" * 41)


def test_limits_are_arguments() -> None:
    """A setting can allow more or less than the defaults: user 40, author 100, title 100."""
    assert names.clean_user("x" * 50, 50) == "x" * 50
    assert len(names.clean_author("x" * 100)) == len(names.clean_title("x" * 100)) == 100
    for clean, limit in ((names.clean_user, 40), (names.clean_author, 100), (names.clean_title, 100)):
        with pytest.raises(Invalid):
            clean("x" * (limit + 1))


@pytest.mark.parametrize("room", ["lobby", "a", "0", "a-b", "a-", "a--b", "x" * 63])
def test_rooms(room: str) -> None:
    """A room is named by 1 to 63 of a-z, 0-9 and '-'."""
    assert names.clean_room(room) == room


@pytest.mark.parametrize("room", ["", "-a", "A", "a b", "a_b", "ä", "x" * 64, "a\n", "٣", "a/b", "a."])
def test_no_rooms(room: str) -> None:
    """A room is named by nothing else; the field is `name` unless the caller says otherwise."""
    with pytest.raises(Invalid) as refused:
        names.clean_room(room)
    assert refused.value.field == "name"
    with pytest.raises(Invalid) as refused:
        names.clean_room(room, "room")
    assert refused.value.field == "room"


def test_the_docs_name_the_colours() -> None:
    """docs/protocol.md lists exactly the colours that are accepted, in this order."""
    docs = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
    said = next(line for line in docs.splitlines() if line.startswith("**Colours**"))
    assert re.findall("`([a-z]+)`", said) == list(names.COLORS)


def test_colours() -> None:
    """The twelve names pass, in lower case; others are refused."""
    assert [names.clean_color(color) for color in names.COLORS] == list(names.COLORS)
    assert len(set(names.COLORS)) == 12
    for other in ("", "Red", "black", "#ff0000", "red;"):
        with pytest.raises(Invalid) as refused:
            names.clean_color(other)
        assert refused.value.field == "color"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Azin", "azin"), ("Azin", "AZIN"), ("Azin", "Ａｚｉｎ"), ("paypal", "pаypal"), ("Tom", "Тom"),
        ("Hannah", "Нannah"), ("TOP", "ТОР"), ("Alice", "AIice"), ("Alice", "A1ice"), ("Ian", "ian"),
        ("Bob", "B0b"), ("Mama", "Marna"), ("Strauß", "STRAUSS"), ("Том", "том"), ("Νίκος", "νίκος"),
        ("Νίκος", "ΝΊΚΟΣ"), ("Zoë", "ZOE\u0308"), ("scope", "ѕсоре"), ("ﬁn", "fin"), ("Ian", "i\u0307an"),
        ("a b", "a  b"), ("a b", "a\u00a0b"), ("Ann", "𝐀𝐧𝐧"), ("Ann", "Ａnn"), ("azin", "azın"),
        ("Hannah 🎉", "Нannah 🎉"), ("Alice", "Aliϲe"), ("CAT", "ϹAT"), ("Alice", "A￨ice"), ("Alice", "Aꞁice"),
        ("Alice", "Alice\u0345"), ("Alice", "A\u0335lice"), ("Alice", "Alic\u0323e"), ("Alice", "Ali\u0331\u0323ce"),
        ("Alice", "Аl\u0323ice"), ("Zoë", "Zo\u0323e\u0308"), ("Jørgen", "Jo\u0338rgen"), ("Alice я", "Alice\u0345 я"),
        ("علی\u200cرضا", "علیرضا"), ("❤\ufe0f Anna", "❤ Anna"),
    ],
)
def test_lookalikes_are_one_name(one: str, other: str) -> None:
    """Another case, another script's letter, a wider or bolder letter: the same name to the eye."""
    assert names.skeleton(one) == names.skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Azin", "Azim"), ("Bo", "Bob"), ("Zoe", "Zoë"), ("a b", "ab"), ("Анна", "Anna"), ("李", "王"),
        ("v", "n"), ("Francois", "François"), ("Ann", "Añn"), ("שָלום", "שלום"),
    ],
)
def test_others_are_not(one: str, other: str) -> None:
    """Names that can be told apart are two."""
    assert names.skeleton(one) != names.skeleton(other)


def name_of(text: str) -> str | None:
    try:
        return names.clean_user(text)
    except Invalid:
        return None


@given(st.text(max_size=60))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    """What is accepted is NFC already, and accepted again as it is."""
    if (name := name_of(text)) is not None:
        assert name == unicodedata.normalize("NFC", text)
        assert names.clean_user(name) == name


def test_a_skeleton_has_nothing_invisible() -> None:
    """Names from before a character became invisible compare without it."""
    assert names.skeleton("A\u200bz\u2800i\u00adn\ufe0f") == names.skeleton("Azin")


@given(st.text(max_size=60))
def test_case_and_form_do_not_matter_to_a_skeleton(text: str) -> None:
    """Every text has a skeleton, the same for each of its normal forms."""
    for form in ("NFC", "NFD"):
        assert names.skeleton(unicodedata.normalize(form, text)) == names.skeleton(text)


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789 -'", min_size=1, max_size=40))
def test_ascii_case_never_makes_another_name(text: str) -> None:
    """Upper and lower case of a plain name are one name."""
    assert names.skeleton(text.upper()) == names.skeleton(text)


@pytest.mark.parametrize(
    "name",
    [
        "N" + "\u0301" * 4, "שָּׁ֑לום", "རྒྱུད་", "ཧྐྵྨླྃ", "က္ကြွှို့", "เจี๊ยบ", "Nguyễn", "ស្ត្រី", "हिन्दी", "ก็"
    ],
)
def test_scripts_have_the_marks_that_they_need(name: str) -> None:
    """Points, tones, vowels and letters below letters, as people write them."""
    assert names.clean_user(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("pile", ["\u0336" * 6, "\u0488" * 6, "\u0e47" * 6, "\u0f72" * 9, "\u0301\u0316" * 3])
@pytest.mark.parametrize("base", ["N", "ก", "🎉"])
def test_piles_of_marks_are_refused(base: str, pile: str) -> None:
    """They would be drawn over other people's words; import takes what an earlier version took."""
    with pytest.raises(Invalid, match="marks"):
        names.clean_user(f"a{base}{pile}b")
    assert names.kept_name(f"a{base}{pile}b", "user", 40)

"""A search as a person types it: words, phrases, negations and operators, read into a value. Pure.

Nothing of it reaches a query language as it was typed: an index is asked for terms (`terms.term`), and each hit is
compared with the text here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from .. import names
from ..errors import Invalid
from .terms import Unit, term, units

MOST_CHARACTERS: Final = 200
MOST_TERMS: Final = 20
"""Words and phrases of one question; operators are not counted."""
PREFIX_FROM: Final = 3
"""Letters from which a word is also the beginning of another one."""
_MOST_ASKED: Final = 40
"""Terms for which an index is asked; the text is compared with all."""
_MOST_BEGINNINGS: Final = 4
"""Beginnings among them, the longest: an index reads all documents of a beginning."""
_MOST_MARKS: Final = 100
_DAY_MS: Final = 86_400_000

_PART = re.compile(
    r"""(?P<minus>-?)
    (?:(?P<name>in|from|before|after|on|has|is|mentions):(?=["“”„]|[^\s"“”„]))?
    (?:["“”„](?P<quoted>[^"“”„]*)["“”„]?|(?P<word>[^\s"“”„]+))""",
    re.VERBOSE | re.IGNORECASE,
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FLAGS = {
    "has": ("link", "file", "image", "reaction"),
    "is": ("direct",),
    "mentions": ("me",),
}

Term = tuple[str, bool]
"""A term, and True if it is a beginning."""


class Phrase(NamedTuple):
    """Units that have to follow on each other; with `prefix` the last one may be the beginning of a word."""

    units: tuple[Unit, ...]
    prefix: bool = False

    @property
    def terms(self) -> list[Term]:
        """Return the terms that a text with this phrase has."""
        found: list[Term] = []
        for place, unit in enumerate(self.units):
            if unit.glued:
                found.append((term(self.units[place - 1].key + unit.key), False))
            elif not (place + 1 < len(self.units) and self.units[place + 1].glued):
                found.append((term(unit.key), self.prefix))
        return found


@dataclass(frozen=True)
class Question:
    """A question of the search. Times are milliseconds since 1970: from `start` on, before `end`.

    `rooms` and `people` are alternatives, by name and by skeleton; ``me`` among `people` is the caller. `flags` are
    ``has:link`` and the like. Each has its negation in `not_…`.
    """

    phrases: tuple[Phrase, ...] = ()
    not_phrases: tuple[Phrase, ...] = ()
    rooms: frozenset[str] = frozenset()
    not_rooms: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    not_people: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    not_flags: frozenset[str] = frozenset()
    start: int = 0
    end: int = 2**53
    not_days: tuple[tuple[int, int], ...] = ()
    dated: bool = False

    @property
    def terms(self) -> list[Term]:
        """Return the terms that each message that is found has, without those of operators."""
        found = {each for phrase in self.phrases for each in phrase.terms}
        whole = sorted(each for each in found if not each[1])
        # A text with "kitchen" has "kit": the index need not be asked for both.
        beginnings = [
            each for each in found
            if each[1] and not any(other != each and other[0].startswith(each[0]) for other in found)
        ]  # fmt: skip
        beginnings.sort(key=lambda each: (-len(each[0]), each[0]))
        return (beginnings[:_MOST_BEGINNINGS] + whole)[:_MOST_ASKED]

    def at(self, ms: int) -> bool:
        """Return True if a message of the time `ms` is within the dates."""
        return self.start <= ms < self.end and not any(start <= ms < end for start, end in self.not_days)


def parse(text: str) -> Question:
    """Read a question. Raises Invalid of the field ``q``."""
    if len(text) > MOST_CHARACTERS:
        raise Invalid("q", f"At most {MOST_CHARACTERS} characters are looked for.")
    reader = _Reader()
    # PostgreSQL takes no NUL, and no name has a control character.
    for part in _PART.finditer(_CONTROL.sub(" ", text)):
        reader.take(part)
    return reader.question()


def words(text: str) -> Question:
    """Read `text` as words that all have to be there, without operators and negation, as quotes are looked for."""
    found = [_phrase(each, quoted=False) for each in text.split()[:MOST_TERMS]]
    return Question(phrases=tuple(phrase for phrase in found if phrase is not None))


class _Reader:
    """Collects the parts of a question, wanted and not."""

    def __init__(self) -> None:
        self._phrases: dict[bool, list[Phrase]] = {True: [], False: []}
        self._named: dict[tuple[str, bool], set[str]] = {}
        self._start, self._end = 0, 2**53
        self._not_days: list[tuple[int, int]] = []
        self._dated = False

    def take(self, part: re.Match[str]) -> None:
        """Take one part in. Raises Invalid."""
        wanted, name, quoted = not part["minus"], (part["name"] or "").lower(), part["quoted"]
        value = part["word"] if quoted is None else quoted
        if name and self._operator(name, value, wanted):
            return
        phrase = _phrase(value if not name else f"{name}:{value}", quoted=quoted is not None or not wanted)
        if phrase is not None:
            self._phrases[wanted].append(phrase)

    def _operator(self, name: str, value: str, wanted: bool) -> bool:
        """Take an operator in; False if it is none with this value, so these are words."""
        if name in ("before", "after", "on"):
            self._date(name, value, wanted)
        elif name in _FLAGS:
            if value.lower() not in _FLAGS[name]:
                return False
            self._add("flag", wanted, f"{name}:{value.lower()}")
        elif name == "in":
            self._add(name, wanted, value.removeprefix("#").lower())
        else:
            self._add(name, wanted, "me" if value.lower() == "me" else "@" + names.skeleton(value.removeprefix("@")))
        return True

    def _add(self, name: str, wanted: bool, value: str) -> None:
        self._named.setdefault((name, wanted), set()).add(value)

    def _date(self, name: str, value: str, wanted: bool) -> None:
        day = _day(value)
        start, end = {"before": (0, day), "after": (day + _DAY_MS, 2**53), "on": (day, day + _DAY_MS)}[name]
        if wanted:
            self._start, self._end, self._dated = max(self._start, start), min(self._end, end), True
        else:
            self._not_days.append((start, end))

    def question(self) -> Question:
        """Return all of it. Raises Invalid if it is too long, or asks for nothing."""
        if sum(map(len, self._phrases.values())) > MOST_TERMS:
            raise Invalid("q", f"At most {MOST_TERMS} words and phrases are looked for.")
        if not (self._phrases[True] or self._dated or any(wanted for _, wanted in self._named)):
            if self._phrases[False] or self._named or self._not_days:
                raise Invalid("q", "Only what is left out was named: add a word, a room, a person or a date.")
            raise Invalid("q", "There is nothing to look for.")

        def named(name: str, wanted: bool) -> frozenset[str]:
            return frozenset(self._named.get((name, wanted), ()))

        return Question(
            tuple(self._phrases[True]), tuple(self._phrases[False]), named("in", True), named("in", False),
            named("from", True), named("from", False), named("flag", True), named("flag", False),
            self._start, self._end, tuple(self._not_days), self._dated,
        )  # fmt: skip


def _phrase(text: str, *, quoted: bool) -> Phrase | None:
    """Return the phrase of `text`; a word outside quotes and negation is a beginning if it is long enough."""
    found = tuple(units(text))
    if not found:
        return None
    only = found[0]
    return Phrase(found, not quoted and len(found) == 1 and only.kind == "word" and len(only.key) >= PREFIX_FROM)


def _day(text: str) -> int:
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise Invalid("q", f"{text} is no date: write 2026-11-28.")
    return (day - date(1970, 1, 1)).days * _DAY_MS


# --- Comparing with a text ------------------------------------------------------------------------


class Found(NamedTuple):
    """The marks in a text, as (start, length), and its rank: smaller is better."""

    marks: list[tuple[int, int]]
    rank: int


def found(question: Question, text: str) -> Found | None:
    """Compare `text` with the words and phrases of `question`; None if it does not have them."""
    if not (question.phrases or question.not_phrases):
        return Found([], 0)
    there = units(text)
    keys = [unit.key for unit in there]
    marks: list[tuple[int, int]] = []
    whole = True
    for phrase in question.phrases:
        places = _places(phrase, there, keys)
        if not places:
            return None
        length = len(phrase.units)
        whole = whole and any(keys[place + length - 1] == phrase.units[-1].key for place in places)
        marks += [(there[place].start, there[place + length - 1].end) for place in places]
    if any(_places(phrase, there, keys) for phrase in question.not_phrases):
        return None
    return Found(_joined(marks), _rank(question, there, keys, whole))


def _rank(question: Question, there: Sequence[Unit], keys: Sequence[str], whole: bool) -> int:
    """Return 0 if all words follow on each other as in the question, 1 if all are whole words, else 2."""
    if not whole:
        return 2
    if len(question.phrases) == 1:
        return 0
    together = Phrase(tuple(unit for phrase in question.phrases for unit in phrase.units))
    return 0 if not together.units or _places(together, there, keys) else 1


def _places(phrase: Phrase, there: Sequence[Unit], keys: Sequence[str]) -> list[int]:
    """Return each place in a text at which `phrase` begins."""
    first = phrase.units[0].key
    if phrase.prefix:
        return [place for place, key in enumerate(keys) if key.startswith(first) and there[place].kind == "word"]
    if len(phrase.units) == 1:
        return [place for place, key in enumerate(keys) if key == first]
    wanted = [unit.key for unit in phrase.units]
    length = len(wanted)
    glued = [n for n, unit in enumerate(phrase.units) if n and unit.glued]
    return [
        place
        for place, key in enumerate(keys)
        if key == first
        and keys[place : place + length] == wanted
        and False not in [there[place + n].glued for n in glued]
    ]


def _joined(marks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (start, end) as (start, length), in order; neighbours are one."""
    joined: list[list[int]] = []
    for start, end in sorted(marks):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return [(start, end - start) for start, end in joined[:_MOST_MARKS]]


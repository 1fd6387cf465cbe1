"""Terms and questions: the same corpus in every script as the stores' tests, compared here without a store."""

from __future__ import annotations

import contextlib
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotechat.protocol.errors import Invalid
from quotechat.protocol.markup import text
from quotechat.protocol.names import skeleton
from quotechat.protocol.search import question, terms

CORPUS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "search.json").read_text("utf-8"))
MESSAGES = {each["key"]: each for each in CORPUS["messages"]}


def plain(key: str) -> str:
    return text.plain(text.clean_message(MESSAGES[key]["message"]))


def matches(asked: question.Question, message: dict[str, Any]) -> bool:
    """The corpus's own reading of operators, for one message; those that ask tables are left to the stores."""
    at = (date.fromisoformat(message["day"]) - date(1970, 1, 1)).days * 86_400_000
    name = "@" + skeleton(message["user"])
    link = any("href" in run for run in text.runs(message["message"]) or [])
    return (
        asked.at(at)
        and (not asked.rooms or message["room"] in asked.rooms)
        and message["room"] not in asked.not_rooms
        and (not asked.people or name in asked.people)
        and name not in asked.not_people
        and ("has:link" not in asked.flags or link)
        and ("has:link" not in asked.not_flags or not link)
        and not asked.flags - {"has:link"}
        and question.found(asked, plain(message["key"])) is not None
    )


@pytest.mark.parametrize("case", CORPUS["questions"], ids=lambda case: case["q"])
def test_each_question_finds_what_was_written_down(case: dict[str, Any]) -> None:
    """The list that was written by hand before the code, in ten scripts and more."""
    if "reaction" in case["q"]:
        pytest.skip("reactions are in the tables: tests/search asks those")
    asked = question.parse(case["q"])
    found = [key for key, message in MESSAGES.items() if matches(asked, message)]
    assert found[::-1] == case["hits"], case.get("why")


@pytest.mark.parametrize("case", CORPUS["questions"], ids=lambda case: case["q"])
def test_a_message_that_is_found_has_the_terms_that_are_asked_for(case: dict[str, Any]) -> None:
    """An index that is asked for the terms of a question cannot miss a message that the text would show."""
    asked = question.parse(case["q"])
    for key in case["hits"]:
        own = terms.terms(terms.units(plain(key)))
        for wanted, prefix in asked.terms:
            assert wanted in own or (prefix and any(each.startswith(wanted) for each in own))


@pytest.mark.parametrize(("typed", "field"), CORPUS["refused"])
def test_a_question_that_asks_for_nothing_or_too_much_is_refused(typed: str, field: str) -> None:
    """Empty, negations alone, a date that is none, 201 characters, 21 words."""
    with pytest.raises(Invalid) as refused:
        question.parse(typed)
    assert refused.value.field == field


@pytest.mark.parametrize("case", CORPUS["marks"], ids=lambda case: f"{case['key']} {case['q']}")
def test_marks_count_code_points_of_the_text_as_it_is_shown(case: dict[str, Any]) -> None:
    """Marks name the words that were found, in the runs' joined text."""
    found = question.found(question.parse(case["q"]), plain(case["key"]))
    assert found is not None
    assert [list(mark) for mark in found.marks] == case["marks"]


def test_operators_are_not_counted_as_words() -> None:
    """Twenty words and any number of operators."""
    question.parse(" ".join(f"w{n}" for n in range(20)) + " in:a in:b from:c has:link")


def test_an_index_is_asked_for_few_beginnings() -> None:
    """The four longest, none that another one has too; whole words all. The text is compared with all of them."""
    asked = question.parse('kit kitchen ok tea teapot copper green blue "in the"')
    assert asked.terms[:4] == [("kitchen", True), ("copper", True), ("teapot", True), ("green", True)]
    assert asked.terms[4:] == [("in", False), ("ok", False), ("the", False)]
    said = "OK: the kitchen has green and blue copper teapots in the cupboard"
    assert question.found(asked, said) is not None
    assert question.found(asked, said.replace("blue", "red")) is None


def test_better_texts_have_a_smaller_rank() -> None:
    """All words in their order before whole words before beginnings."""
    asked = question.parse("quick brown")
    ranks = [question.found(asked, each) for each in ("a quick brown fox", "brown and quick", "quickly browned")]
    assert [found and found.rank for found in ranks] == [0, 1, 2]


@given(st.text(max_size=300))
def test_terms_have_only_letters_and_digits_of_ascii(said: str) -> None:
    """No text makes a term that a tokenizer or a query language could read otherwise, nor too many of them."""
    found = terms.terms(terms.units(said))
    assert len(found) <= terms.MOST_TERMS
    assert all(re.fullmatch("[a-z0-9]{1,120}", each) for each in found)


@given(st.text(max_size=120))
def test_units_lie_in_the_text_one_after_the_other(said: str) -> None:
    """Each unit has a place in the text, and what is found there has a key."""
    last = 0
    for unit in terms.units(said):
        assert 0 <= unit.start < unit.end <= len(said)
        assert unit.key
        assert unit.start >= last
        last = unit.start


@given(st.text(max_size=200))
def test_any_question_is_read_or_refused(typed: str) -> None:
    """No question is a fault; each that is read can be compared with any text."""
    with contextlib.suppress(Invalid):
        question.found(question.parse(typed), typed)


def test_long_texts_end_at_the_bound() -> None:
    """A long text has the first 400 terms, and only what stands in them is found."""
    said = " ".join(f"word{n}" for n in range(500))
    assert len(terms.terms(terms.units(said))) == terms.MOST_TERMS
    assert question.found(question.parse("word399"), said)
    assert question.found(question.parse("word400"), said) is None
    assert len(terms.terms(terms.units("漢" * 2000 + "字"))) == 2


def test_piles_of_marks_take_no_time() -> None:
    """A letter with thousands of marks is one unit, of which a few marks are looked at."""
    assert [unit.key for unit in terms.units("a" + "\u0301" * 4000)] == ["a"]

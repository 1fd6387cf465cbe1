"""The glossary defines words that are used, each once (docs/glossary.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import words

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "docs" / "glossary.md"
TERMS = re.findall(r"^- \*\*([^*]+)\*\*: ", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def elsewhere() -> str:
    """All of the documentation but the glossary, and the source."""
    pages = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("src/**/*.py")]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages if page != GLOSSARY).lower()


def test_it_defines_the_words_of_the_field() -> None:
    """About 40 terms, each defined once."""
    assert 35 <= len(TERMS) <= 60
    assert len(set(TERMS)) == len(TERMS)


@pytest.mark.parametrize("term", TERMS)
def test_each_term_is_used(term: str, elsewhere: str) -> None:
    """A term that nothing else says does not belong in the glossary."""
    words = re.escape(term.lower()).replace(r"\ ", r"[\s-]")
    assert re.search(rf"\b{words}", elsewhere)


def test_comments_name_the_actor() -> None:
    """At most 4 of 1,000 words in comments and docstrings say who, what or where, and 2 % of them begin so."""
    all_words, vague, texts, beginnings = words.count(ROOT / "src")
    assert vague.total() <= all_words * 4 / 1000, vague
    assert beginnings <= texts * 2 / 100

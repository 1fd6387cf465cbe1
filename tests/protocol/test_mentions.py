"""Mentions: what calls whom, and that no text makes it slow or changes what is shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quotechat.protocol.markup import mentions, text
from quotechat.protocol.markup.text import Run
from quotechat.protocol.names import skeleton

PEOPLE = {"Ann": "a", "Ann Lee": "al", "Bo": "b", "李雷": "l", "Zoë": "z", "O'Neil": "o", "J. R.": "j", "room": "room"}
KNOWN = {skeleton(name): who for name, who in PEOPLE.items()}
PARTS = ["@", "Ann", " Lee", "Bo", "room", " ", "\n", "*", "**", "`", "x", "李雷", "é", "https://a.b/", ".", "\u200d"]
typed = st.lists(st.sampled_from(PARTS), max_size=60).map("".join)


def marked(said: str) -> list[Run] | None:
    return mark(said, KNOWN)


def mark(said: str, known: dict[str, str]) -> list[Run] | None:
    runs = text.runs(said)
    return mentions.mark(said, runs, mentions.candidates(said, runs), known)


def called(said: str) -> list[tuple[str, str]]:
    """The mentions of `said`, each with its text."""
    return [(run["text"], run["mention"]) for run in marked(said) or () if "mention" in run]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("@Ann", [("@Ann", "a")]),
        ("hi @Ann Lee!", [("@Ann Lee", "al")]),
        ("@Ann Leeward", [("@Ann", "a")]),
        ("@ann, @BO: tea?", [("@ann", "a"), ("@BO", "b")]),
        ("(@Ann)", [("@Ann", "a")]),
        ("@李雷你好", [("@李雷", "l")]),
        ("@Zoë", [("@Zoë", "z")]),
        ("@O'Neil's turn", [("@O'Neil", "o")]),
        ("@J. R. said", [("@J. R.", "j")]),
        ("**@Ann**", [("@Ann", "a")]),
        ("@room", [("@room", "room")]),
        ("@@Bo", [("@Bo", "b")]),
        ("a@Ann", []),
        ("@Anna", []),
        ("@ Ann", []),
        ("@Ann\nLee", [("@Ann", "a")]),
        ("`@Ann`", []),
        ("```\n@Ann\n```", []),
        ("https://a.example/@Ann", []),
        ("@", []),
        ("@nobody", []),
    ],
)
def test_who_is_called(said: str, found: list[tuple[str, str]]) -> None:
    """The longest name up to the end of a word; not within a word, in code or in links."""
    assert called(said) == found


def test_styles_stay() -> None:
    """A mention within a styled run keeps the style, and neighbours keep theirs."""
    assert marked("**hi @Bo there** *x*") == [
        {"text": "hi ", "bold": True}, {"text": "@Bo", "bold": True, "mention": "b"},
        {"text": " there", "bold": True}, {"text": " "}, {"text": "x", "italic": True},
    ]  # fmt: skip


def test_without_mentions_nothing_changes() -> None:
    """A text without format stays without runs."""
    assert marked("hello @nobody") is None and mentions.candidates("hello") == []
    assert mark("@Ann", {}) is None


def test_only_some_count() -> None:
    """Twenty different people; the same one again is no new one; and no more runs than a message may have."""
    known = {skeleton(f"p{number}"): str(number) for number in range(30)}
    said = " ".join(f"@p{number}" for number in range(30)) + " @p3"
    found = mentions.of(mark(said, known))
    assert found == [str(number) for number in range(20)]
    many = mark("@p1 " * 500, known)
    assert many is not None and len(many) <= text.MOST_RUNS and mentions.of(many) == ["1"]


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(typed)
def test_marks_change_no_text(said: str) -> None:
    """Joined, the runs are the text that they were; each mention begins with its sign and is a name that is known."""
    runs = text.runs(said)
    found = marked(said)
    before = said if runs is None else "".join(run["text"] for run in runs)
    if found is not None:
        assert "".join(run["text"] for run in found) == before
        assert all(run["text"] for run in found) and len(found) <= text.MOST_RUNS
    for run in found or ():
        if "mention" in run:
            assert run["text"][0] == "@" and KNOWN[skeleton(run["text"][1:])] == run["mention"]
            assert not run.get("code") and not run.get("href")
    asked = {each.skeleton for each in mentions.candidates(said, runs)}
    assert {skeleton(shown[1:]) for shown, _ in called(said)} <= asked


@pytest.mark.parametrize("part", ["@", "@a ", "@a b c d e f ", "@" + "x" * 39 + " ", "@é\u0301 "])
def test_no_text_is_slow(part: str) -> None:
    """The longest message, made of whatever costs most, is done in a moment."""
    said = (part * 4000)[:4000]
    began = time.process_time()
    assert len(mentions.candidates(said)) <= mentions.MOST_CANDIDATES
    mark(said, KNOWN)
    assert time.process_time() - began < 5

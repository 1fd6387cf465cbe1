"""Mentions: ``@name`` in a text, found in its runs. Pure; in time linear in the text.

A mention begins at an ``@`` that stands behind no word. Its name is the longest text after it that somebody has, of at
most `MOST_CHARS`, up to the end of a word; so ``@Ann Lee`` calls Ann Lee if there is one, else Ann. Code and links
mention nobody. Names are compared by their skeletons (`names`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from ..names import skeleton
from .links import in_word
from .text import MOST_RUNS, Run

MOST_CHARS: Final = 40
"""Characters of a name."""
MOST_MENTIONS: Final = 20
"""Different mentions of one message; further ones are text."""
MOST_CANDIDATES: Final = 600
"""The number of possible mentions that are checked in one message; further ones are plain text."""
ROOM: Final = "room"
"""Mentions everybody in the room."""
ROOM_SKELETON: Final = skeleton(ROOM)


class Candidate(NamedTuple):
    """A possible mention: a part of the run with that number, and the skeleton of the name."""

    run: int
    start: int
    end: int
    skeleton: str


def candidates(text: str, runs: list[Run] | None = None) -> list[Candidate]:
    """Return all that may be a mention in `text`, in order; `runs` if it is formatted. Of one place the longest first.

    It may take some milliseconds, and needs to be done once.
    """
    if "@" not in text:
        return []
    found = (Candidate(number, *each) for number, run in enumerate(_runs(text, runs)) for each in _names(run))
    return list(islice(found, MOST_CANDIDATES))


def mark(
    text: str, runs: list[Run] | None, found: Sequence[Candidate], known: Mapping[str, str]
) -> list[Run] | None:
    """Return `runs` with the mentions among `found`: `known` has, by skeleton, the id of an account, or `ROOM`.

    Without any, `runs` as they are; None stands for a text without format.
    """
    whole = _runs(text, runs)
    chosen: dict[int, list[tuple[Candidate, str]]] = {}
    mentioned: set[str] = set()
    room, last = MOST_RUNS - len(whole), (-1, 0)
    for each in found:
        who = known.get(each.skeleton)
        # A mention makes two more runs at most.
        if who is None or (each.run, each.start) < last or room < 2:
            continue
        if who in mentioned or len(mentioned) < MOST_MENTIONS:
            mentioned.add(who)
            chosen.setdefault(each.run, []).append((each, who))
            room, last = room - 2, (each.run, each.end)
    if not chosen:
        return runs
    return [part for number, run in enumerate(whole) for part in _parts(run, chosen.get(number, []))]


def of(runs: list[Run] | None) -> list[str]:
    """Return whom `runs` mention, each once, in their order."""
    return list(dict.fromkeys(run["mention"] for run in runs or () if "mention" in run))


def _runs(text: str, runs: list[Run] | None) -> list[Run]:
    return [{"text": text}] if runs is None else runs


def _parts(run: Run, chosen: Sequence[tuple[Candidate, str]]) -> Iterator[Run]:
    """Yield `run` in parts, of which those that were chosen are mentions."""
    done = 0
    for each, who in chosen:
        if done < each.start:
            yield _part(run, done, each.start)
        yield _part(run, each.start, each.end, who)
        done = each.end
    if done < len(run["text"]):
        yield _part(run, done, len(run["text"]))


def _part(run: Run, start: int, end: int, mention: str | None = None) -> Run:
    part: Run = {**run, "text": run["text"][start:end]}
    if mention is not None:
        part["mention"] = mention
    return part


def _names(run: Run) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and skeleton of all that may be a mention in `run`; of one place the longest first."""
    text = run["text"]
    if run.get("code") or run.get("href"):
        return
    at = text.find("@")
    while at >= 0:
        if not in_word(text[at - 1 : at] if at else ""):
            for end in _ends(text, at + 1):
                yield at, end, skeleton(text[at + 1 : end])
        at = text.find("@", at + 1)


def _ends(text: str, start: int) -> list[int]:
    """Return the possible ends of a name that begins at `start`, the furthest first: ends of words on one line."""
    line = text[start : start + MOST_CHARS + 1]
    limit = min(len(line), MOST_CHARS)
    if not line or line[0].isspace():
        return []
    ends = []
    for length in range(1, limit + 1):
        last, following = line[length - 1], line[length : length + 1]
        if last in "\n\r":
            break
        if not (last.isspace() or (in_word(last) and in_word(following))):
            ends.append(start + length)
    return ends[::-1]

"""What people expect of a chat page (docs/explanation/pages.md): each expectation is held by tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
HELD = "## What people expect of a chat page\n"


def rows() -> list[list[str]]:
    """Return the cells of the rows of both tables."""
    part = (ROOT / "docs/explanation/pages.md").read_text("utf-8").split(HELD)[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
    return [row for row in cells if "held by" not in row and not row[0].startswith("---")]


def test_all_but_one_are_met() -> None:
    """Of the 32; translations wait."""
    states = [row[1] for row in rows() if len(row) == 3]
    assert (states.count("yes"), states.count("no"), len(states)) == (31, 1, 32)


def test_each_is_held_by_a_test() -> None:
    """Whose file and name are there; `::name` is in the file before it."""
    for expected, *_, held in rows():
        named = re.findall(r"`([\w.]*\.(?:py|test\.js))?(?:::(\w+))?`", held)
        assert any(file for file, _ in named) or held.startswith("English"), expected
        last = ""
        for file, test in named:
            last = file or last
            text = (ROOT / "tests" / ("js" if last.endswith(".js") else "browser") / last).read_text("utf-8")
            assert not test or f"def {test}(" in text, f"{last}::{test}"

"""The how-tos are true: what they tell to do works, step by step as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from servers import ROOT

HOW_TO = ROOT / "docs" / "how-to"


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", (HOW_TO / page).read_text("utf-8"), re.M | re.S)
    return found


def test_adding_a_command(tmp_path: Path) -> None:
    """The differences apply to the source, and the page's own test passes on what comes of it."""
    for name in ("src", "static", "templates", "tests", "tools"):
        # Other processes may be compiling: a file of that kind gets its name when it is whole.
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    changes = blocks("add-a-command.md", "diff")
    (test,) = blocks("add-a-command.md", "python")
    # One repository of its own: git looks at the one around it otherwise, and skips what lies elsewhere.
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"], cwd=tmp_path, input="".join(changes), text=True, check=True
    )
    (tmp_path / "tests" / "web" / "test_pin.py").write_text(test, "utf-8")
    tests = ["tests/web/test_pin.py", "tests/test_floors.py"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "src")}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert "passed" in ran.stdout

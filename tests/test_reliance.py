"""What quotechat relies on in gunicorn is looked for at the start: each name that is missing is told."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pytest
from gunicorn.workers.gthread import ThreadWorker
from servers import ROOT, environment

from quotechat.serving import reliance
from quotechat.serving.worker import Worker


def test_this_gunicorn_has_all() -> None:
    """The one that is installed here."""
    assert reliance.missing() == []


@pytest.mark.parametrize(
    ("owner", "name"), [(each, name) for each, all_ in reliance.ATTRIBUTES.items() for name in all_]
)
def test_each_attribute_is_missed(monkeypatch: pytest.MonkeyPatch, owner: str, name: str) -> None:
    """A method or a class that gunicorn calls otherwise, wherever in the classes above it it is defined."""
    there = reliance._get(owner)
    for each in getattr(there, "__mro__", [there]):
        if name in vars(each):
            monkeypatch.delattr(each, name)
    assert f"{owner}.{name}" in reliance.missing()


@pytest.mark.parametrize(("function", "name"), [(each, name) for each, all_ in reliance.NAMES.items() for name in all_])
def test_each_name_is_missed(monkeypatch: pytest.MonkeyPatch, function: str, name: str) -> None:
    """What a function of gunicorn calls or sets under another name."""
    names = reliance._names
    whole = reliance._get(function).__code__

    def without(code: CodeType) -> list[str]:
        return [each for each in names(code) if code is not whole or each != name]

    monkeypatch.setattr(reliance, "_names", without)
    assert reliance.missing() == [f"{name} in {function}"]


def test_each_public_method_of_the_worker_overrides_one() -> None:
    """But for those that other modules of ours call: one with a name that gunicorn does not call would never run."""
    ours = {"threads", "hand_back", "stop_listening"}
    named = {name for name, value in vars(Worker).items() if callable(value) and not name.startswith("_")}
    assert {name for name in named if not hasattr(ThreadWorker, name)} == ours


def test_serve_says_it_in_one_line(tmp_path: Path) -> None:
    """Before anything is served; no traceback."""
    program = "import gunicorn.arbiter; del gunicorn.arbiter.Arbiter.stop; from quotechat.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "--data", str(tmp_path)], env=environment(), cwd=ROOT,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    version = importlib.import_module("gunicorn").__version__
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"gunicorn {version} lacks what quotechat relies on: gunicorn.arbiter:Arbiter.stop;" in done.stderr

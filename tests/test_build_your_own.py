"""Each step of examples/build-your-own has the fault that it names, and the next step does not have it."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import learn
import pytest
from servers import environment

STEPS = learn.steps()
PAIRS = list(itertools.pairwise(STEPS))
EXAMPLES = learn.EXAMPLES
by_folder = pytest.mark.parametrize(("step", "following"), PAIRS, ids=[step["folder"] for step in STEPS[:-1]])
each_step = pytest.mark.parametrize("step", STEPS, ids=[step["folder"] for step in STEPS])

Account = dict[str, Any]


@pytest.fixture(scope="module")
def attempts() -> Iterator[dict[tuple[str, str], Future[str]]]:
    """Each break_it.py against its own step, the next and the last, four at a time: most of them wait."""
    # One of their own: pytest changes that of the process at each test, under a thread that starts a program with it.
    env = environment()
    wanted = {(step["folder"], against["folder"]): (step, against)
              for step, following in PAIRS for against in (step, following, STEPS[-1])}  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        yield {names: pool.submit(learn.attempt, *steps, "--json", env=env) for names, steps in wanted.items()}


def account(attempts: dict[tuple[str, str], Future[str]], step: learn.Step, against: learn.Step) -> Account:
    found: Account = json.loads(attempts[step["folder"], against["folder"]].result())
    return found


@by_folder
def test_the_fault_is_in_its_step_and_not_in_the_next(
    step: learn.Step, following: learn.Step, attempts: dict[tuple[str, str], Future[str]]
) -> None:
    """What break_it.py shows against its step is gone in the next one, where nothing is lost or repeated."""
    broken, mended = account(attempts, step, step), account(attempts, step, following)
    assert broken["fault"], broken
    assert not mended["fault"], mended
    assert not mended["lost"] and not mended["repeated"]


@by_folder
def test_no_fault_is_left_at_the_end(
    step: learn.Step, following: learn.Step, attempts: dict[tuple[str, str], Future[str]]
) -> None:
    """The last server has none of the faults, as its README says."""
    assert not account(attempts, step, STEPS[-1])["fault"]


@by_folder
def test_what_is_shown_is_what_happens(
    step: learn.Step, following: learn.Step, attempts: dict[tuple[str, str], Future[str]]
) -> None:
    """The accounts in the READMEs and on the pages are those of these attempts, but for the times."""
    for recorded, against in zip(learn.records()[step["folder"]], (step, following), strict=True):
        assert recorded["events"][-1]["at"] < 10_000, "a learner sees it within ten seconds"
        now = account(attempts, step, against)
        same = ("step", "title", "sent", "arrived", "lost", "repeated")
        assert {name: recorded[name] for name in same} == {name: now[name] for name in same}
        assert bool(recorded["fault"]) == bool(now["fault"])


def test_what_is_generated_is_up_to_date() -> None:
    """The READMEs and the data of the pages follow from the steps: else run tools/learn.py."""
    for path, text in learn.generated().items():
        assert path.read_text("utf-8") == text, f"{path.name} in {path.parent.name}: run tools/learn.py"


@by_folder
def test_the_difference_in_the_readme_applies(step: learn.Step, following: learn.Step, tmp_path: Path) -> None:
    """The difference that a README shows makes the step before into this one."""
    text = (EXAMPLES / following["folder"] / "README.md").read_text("utf-8")
    (difference,) = re.findall(r"^```diff\n(.*?)^```$", text, re.M | re.S)
    for name, content in learn.files(step).items():
        (tmp_path / name).write_text(content, "utf-8")
    # A repository of its own: git takes the one around it otherwise, and skips what lies elsewhere.
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=difference, text=True, check=True)
    assert {name: (tmp_path / name).read_text("utf-8") for name in learn.FILES} == learn.files(following)


@each_step
def test_a_step_is_short(step: learn.Step) -> None:
    """Server and page together have at most 150 lines of code; the README's text is one screen."""
    lines = [line for text in learn.files(step).values() for line in text.splitlines() if line.strip()]
    assert len(lines) <= 150
    text = (EXAMPLES / step["folder"] / "README.md").read_text("utf-8")
    text = re.sub(r"^```(diff|text)\n.*?^```$", "", text, flags=re.M | re.S)
    assert len(text.splitlines()) <= 40


@each_step
def test_the_readme_says_how_to_run_it(step: learn.Step) -> None:
    """It serves by ``flask run``, and breaks by the command that this file runs."""
    text = (EXAMPLES / step["folder"] / "README.md").read_text("utf-8")
    assert "```sh\nflask run" in text
    assert ("```sh\npython break_it.py\n```" in text) == (step is not STEPS[-1])


# --- The commands -------------------------------------------------------------------------------------


def loaded(step: learn.Step) -> ModuleType:
    """The server of a step as a module."""
    description = importlib.util.spec_from_file_location("build_your_own", EXAMPLES / step["folder"] / "app.py")
    assert description is not None and description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


@pytest.mark.parametrize("step", STEPS[5:], ids=[step["folder"] for step in STEPS[5:]])
def test_a_client_that_knows_no_likes_misses_nothing(
    step: learn.Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes what it knows by its command; likes lie in between, and what is no command is refused."""
    monkeypatch.chdir(tmp_path)
    client = loaded(step).app.test_client()

    def post(command: object) -> int:
        status: int = client.post("/commands", json=command).status_code
        return status

    send = {"command": "send-message", "message": {"user": "Azin", "message": "Hello!"}}
    like = {"command": "like-message", "message": {"id": 1, "user": "Bo"}}
    assert [post(command) for command in (send, like, send)] == [201, 201, 201]
    assert [post(wrong) for wrong in ({}, [], {"command": "send-message"}, {"command": "unknown"})] == [400] * 4
    events = client.get("/events?after=0").get_json()
    assert [event["seq"] for event in events] == [1, 2, 3]
    known = [event["message"]["message"] for event in events if event["command"] == "message-sent"]
    assert known == ["Hello!", "Hello!"]

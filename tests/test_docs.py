"""What the documentation shows is true: every block runs against a real server, every link leads somewhere.

A block is run by its language: ``sh`` by bash, ``python`` by Python, ``json`` is read, and sent where it is a
command. `URL` is the server's address, and stands for http://127.0.0.1:8000. An HTML comment right before a block
says otherwise: ``<!-- not run: REASON -->``, or ``<!-- together -->`` for lines that are typed in several terminals.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from servers import ROOT, environment, quotechat, running

from quotechat.client import Client

FOLDERS = ("docs/**/*.md", "examples/**/README.md")
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *(page for folder in FOLDERS for page in ROOT.glob(folder))])
#: Pages whose blocks another test runs, line by line.
ELSEWHERE = {
    "docs/how-to/add-a-command.md": "tests/test_how_to.py",
    "docs/reference/api.md": "tests/web/test_reference.py",
    "docs/reference/cli.md": "tests/test_cli_operate.py",
    **{
        page.relative_to(ROOT).as_posix(): "tests/test_build_your_own.py"
        for page in ROOT.glob("examples/build-your-own/*/README.md")
    },
}
#: Languages that show something and do nothing; HTML is opened by tests/browser/test_docs_in_a_browser.py.
SHOWN = {"", "text", "diff", "html"}
USUAL = "http://127.0.0.1:8000"


class Block(NamedTuple):
    """A fenced block: where it begins, its language, its text, and what the comment before it says."""

    page: str
    line: int
    language: str
    text: str
    marker: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    name, text = page.relative_to(ROOT).as_posix(), page.read_text("utf-8")
    pattern = r"(?:^<!-- (?P<marker>[^\n]*) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$"
    for found in re.finditer(pattern, text, re.M | re.S):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(name, line, found["language"], found["text"], found["marker"] or "")


ALL = [block for page in PAGES for block in blocks(page)]
TO_RUN = [
    block for block in ALL
    if block.page not in ELSEWHERE and block.language not in SHOWN and not block.marker.startswith("not run: ")
]  # fmt: skip


class Server(NamedTuple):
    """A server with something in its room."""

    url: str
    data: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("data")
    command = quotechat("serve", "--port", "0", "--data", str(data))
    with running(command, env=environment(QUOTECHAT_LIMITS="off")) as found:
        with Client(found.url, user="Chidi") as client:
            client.post("first")
            client.post("second")
            client.quote("Festina lente.", "Augustus")
        yield Server(found.url, data)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory to run in that has what a checkout has, as far as the pages use it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "backups").mkdir()
    return tmp_path


def surroundings(server: Server, place: Path) -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return environment(URL=server.url, QUOTECHAT_URL=server.url, QUOTECHAT_DATA=str(place / "own"), PATH=programs)


def checked(process: subprocess.Popen[str], block: Block) -> None:
    try:
        out, complaints = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        process.kill()
        out, complaints = process.communicate()
        pytest.fail(f"{block.name} does not end:\n{out}\n{complaints}")
    assert process.returncode == 0, f"{block.name}:\n{out}\n{complaints}"


def start(command: list[str], server: Server, place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=place, env=surroundings(server, place), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run_sh(block: Block, server: Server, place: Path) -> None:
    text = block.text.replace(USUAL, server.url).replace("/srv/chat", str(server.data))
    text = text.replace("/backups", str(place / "backups"))
    parts = text.splitlines() if block.marker == "together" else [text]
    started = []
    for part in parts:
        started.append(start(["bash", "-euo", "pipefail", "-c", part], server, place))
        if len(parts) > 1:
            time.sleep(0.7)  # as long as one takes to change to the other terminal
    for process in started:
        checked(process, block)


def run_python(block: Block, server: Server, place: Path) -> None:
    text = f"URL = {server.url!r}\n" + block.text.replace(USUAL, server.url)
    checked(start([sys.executable, "-c", text], server, place), block)


def run_json(block: Block, server: Server, place: Path) -> None:
    try:
        values = [json.loads(block.text)]
    except ValueError:
        values = [json.loads(line) for line in block.text.splitlines()]
    for value in values:
        # What a server sends has a seq; what is left out is written as an ellipsis.
        if value.get("command") == "send-message" and "…" not in block.text:
            answer = requests.post(f"{server.url}/api/v1/rooms/lobby/commands", json=value, timeout=30)
            assert answer.status_code == 200, answer.text


RUNNERS = {"sh": run_sh, "python": run_python, "json": run_json}


@pytest.mark.parametrize("block", TO_RUN, ids=[block.name for block in TO_RUN])
def test_a_block_runs(block: Block, server: Server, place: Path) -> None:
    """It does what it says, and ends with success."""
    RUNNERS[block.language](block, server, place)


def test_every_block_is_accounted_for(capsys: pytest.CaptureFixture[str]) -> None:
    """It is run here or elsewhere, or says why not; and what is said runs out of few languages."""
    assert {block.language for block in TO_RUN} <= set(RUNNERS)
    left_out = [block for block in ALL if block.marker.startswith("not run: ")]
    assert all(len(block.marker) > len("not run: ") + 10 for block in left_out), "a reason, in words"
    elsewhere = [block for block in ALL if block.page in ELSEWHERE]
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())
    with capsys.disabled():
        print(
            f"\n{len(TO_RUN)} blocks run, {len(elsewhere)} by other tests, {len(left_out)} not run with a reason,"
            f" {len(ALL) - len(TO_RUN) - len(elsewhere) - len(left_out)} show something"
        )
    assert len(TO_RUN) >= 30


# --- Links ----------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that is there and, with a #, a heading in it."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{page.name}: {target}"


KINDS = ("src/**/*.py", "src/**/*.sql", "static/js/**/*.js", "templates/*.html", "deploy/*", "setup.cfg", "Makefile")
TEXTS = [*PAGES, *(path for kind in KINDS for path in ROOT.glob(kind) if path.is_file())]
MADE = {"tests/web/test_pin.py", "greeter.py"}
"""Modules that the reader of a page writes."""


def test_files_of_modules_that_are_named_are_there() -> None:
    """In pages, comments and settings, each by its path or the end of it."""
    folders = ("src", "tests", "tools", "bench", "examples", "docs", "deploy")
    modules = [path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py")]
    modules += [path.relative_to(ROOT) for path in ROOT.glob("*.py")]
    ends = {"/".join(path.parts[start:]) for path in modules for start in range(len(path.parts))}
    missing = set()
    for path in TEXTS:
        text = re.sub(r"^(?:---|\+\+\+) .*$", "", path.read_text("utf-8"), flags=re.M)  # the files of a difference
        named = set(re.findall(r"(?<![\w./*-])(?:\./)?([A-Za-z_][\w/-]*\.py)\b", text))
        missing |= {(path.relative_to(ROOT).as_posix(), name) for name in named - ends - MADE}
    assert missing == set()


def test_modules_that_are_named_are_there() -> None:
    """With their layer, such as `store.base`, and what is named in them."""
    missing = set()
    for path in TEXTS:
        text = path.read_text("utf-8")
        for name in re.findall(r"`(?:quotechat\.)?((?:store|hub|live|web|serving|cli)(?:\.\w+)+)", text):
            *parents, last = name.split(".")
            home = ROOT / "src" / "quotechat" / "/".join(parents)
            inside = [each for each in (home.with_suffix(".py"), home / "__init__.py") if each.is_file()]
            is_there = (home / last).is_dir() or (home / f"{last}.py").is_file()
            if not is_there and not any(last in each.read_text("utf-8") for each in inside):
                missing.add((path.relative_to(ROOT).as_posix(), name))
    assert missing == set()


def test_the_index_lists_every_page() -> None:
    """Whoever looks for a page finds it there."""
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = {(ROOT / "docs" / path).resolve() for path in re.findall(r"\]\(([^)#]+\.md)\)", index)}
    pages = {page for page in PAGES if page.relative_to(ROOT).parts[0] == "docs" and page.name != "index.md"}
    assert pages <= listed


def test_a_broken_block_fails(server: Server, place: Path) -> None:
    """The runner bites: a command that fails in the midst of a block fails it."""
    for language, text in (("sh", "false\ntrue\n"), ("python", "raise SystemExit(3)\n"), ("json", "{]\n")):
        with pytest.raises((AssertionError, ValueError)):
            RUNNERS[language](Block("none", 1, language, text, ""), server, place)
    with contextlib.suppress(OSError):
        (place / "backups").rmdir()

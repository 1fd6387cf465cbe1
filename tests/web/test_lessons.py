"""The pages that teach, as the server renders them."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from people import owner

from quotechat import create_app
from quotechat.assets import static_dir
from quotechat.config import Settings
from quotechat.web.pages.lessons import READERS
from quotechat.web.pages.parts.prose import Part, parts

LEARN = static_dir() / "learn"
STEPS = json.loads((LEARN / "steps.json").read_text("utf-8"))["steps"]
STORIES = json.loads((LEARN / "stories.json").read_text("utf-8"))


@pytest.mark.parametrize("access", ["open", "invite", "private"])
def test_the_steps_are_for_all_and_the_lab_is_not(access: str, tmp_path: Path) -> None:
    """The steps hold nothing of a room: a stranger reads them whatever `access` is, and gets no cookie by it. The lab
    writes into a room, so it needs an account where the rooms do."""
    app = create_app(Settings(data=tmp_path / "data", limits=False, access=access))
    client = app.test_client()
    for path in ["/learn", *(f"/learn/{step['folder']}" for step in STEPS)]:
        answer = client.get(path)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False), path
        assert answer.headers["Cache-Control"] == "no-store"  # it stands in the frame, with one's own rooms
    assert client.get("/lab").status_code == (200 if access == "open" else 303)
    # An account's probes have its own name, the only one that it may write under.
    assert 'data-named="true"' in owner(app).client.get("/lab").get_data(as_text=True)
    assert access != "open" or 'data-named="true"' not in client.get("/lab").get_data(as_text=True)
    assert client.get("/learn/none").status_code == 404
    assert client.get("/learn/", follow_redirects=True).status_code == 200
    app.extensions["quotechat"].close()


def test_a_step_is_complete_without_a_script(tmp_path: Path) -> None:
    """Each step says what breaks, shows the moments in which it does and those of the next step, in words, and what
    changes in the code. Each has a toy but the last, which has no fault."""
    app = create_app(Settings(data=tmp_path / "data", limits=False))
    client = app.test_client()
    overview = client.get("/learn").get_data(as_text=True)
    assert [step["folder"] for step in STEPS[:-1]] == list(STORIES)
    for step, following in zip(STEPS, [*STEPS[1:], None], strict=True):
        assert f'href="/learn/{step["folder"]}"' in overview
        page = client.get(f"/learn/{step['folder']}").get_data(as_text=True)
        text = html.unescape(re.sub(r"<[^>]+>", "", page))
        for file in step["files"].values():
            assert file in text
        if following is None:
            continue
        assert step["fault"] in text and step["mend"] in text and following["diff"] in text
        for story in STORIES[step["folder"]]["broken"], STORIES[step["folder"]]["mended"]:
            assert story["told"] in text
            for row in story["rows"]:
                who = f"{row['from']} to {row['to']}: " if row["to"] else f"{row['from']}: "
                assert f"{row['at']}{who}{row['text']}" in text
            for message in story["messages"]:
                assert f"“{message['text']}”{message['at']}{message['arrived']}{message['fate']}" in text
        assert STORIES[step["folder"]]["broken"]["wrong"] and not STORIES[step["folder"]]["mended"]["wrong"]
    app.extensions["quotechat"].close()


def test_a_paragraph_is_split_into_its_pieces() -> None:
    """Code, strong words, emphasis and links; anything else is text, markup too."""
    assert list(parts("a `b*` **c** *d* [e](../1/README.md) <i> 2 * 3")) == [
        Part("text", "a "), Part("code", "b*"), Part("text", " "), Part("strong", "c"), Part("text", " "),
        Part("em", "d"), Part("text", " "), Part("link", "e", "../1/README.md"), Part("text", " <i> 2 * 3"),
    ]  # fmt: skip


def test_the_lab_names_its_readers(tmp_path: Path) -> None:
    """Without a script the lab says how each reader reads; with one, each kind is one that the script can measure."""
    app = create_app(Settings(data=tmp_path / "data", limits=False))
    page = html.unescape(app.test_client().get("/lab").get_data(as_text=True))
    kinds = (static_dir() / "js" / "lab" / "readers.js").read_text("utf-8")
    measured = re.findall(r'^  "?([a-z-]+)"?: \{', kinds, re.MULTILINE)
    assert [reader.kind for reader in READERS] == measured
    assert all(reader.about in page for reader in READERS)
    app.extensions["quotechat"].close()

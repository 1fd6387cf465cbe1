"""Three renderers of one text – the first HTML, DOM and ANSI – against the vectors that the parser is tested with.

What each renders is read back into runs: nothing of text or style may be lost, added or taken for markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from server import Server

from quotechat.protocol.markup import ansi, text
from quotechat.web.pages.parts.runs import show_text

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "runs.json").read_text("utf-8"))
HOSTILE = [
    "<script>alert(1)</script>", "**<img src=x onerror=alert(1)>**", '`"><svg/onload=alert(1)>`', "{{ 7 * 7 }}",
    "https://a.example/\"onclick='alert(1)'", "https://a.example/<b>", "javascript:alert(1)", "&lt;b&gt; &amp;amp;",
]
VECTORS += [{"text": typed, "runs": text.parse(typed)} for typed in HOSTILE]
ELEMENTS = {"strong": "bold", "em": "italic", "u": "underline", "code": "code"}


def joined(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`runs` with neighbours of one style as one."""

    def style(run: dict[str, Any]) -> list[Any]:
        return sorted((name, value) for name, value in run.items() if name != "text")

    groups = [(dict(key), list(group)) for key, group in groupby(runs, style)]
    return [{"text": "".join(run["text"] for run in group), **key} for key, group in groups]


class Reader(HTMLParser):
    """Runs out of HTML; any element or attribute that is not ours is an error."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, Any]]] = []
        self.runs: list[dict[str, Any]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            found = dict(attributes)
            assert set(found) == {"href", "rel", "target"}
            self.open.append((tag, {"href": found["href"]}))
        else:
            assert attributes in ([], [("class", "block")])
            self.open.append((tag, {ELEMENTS[tag]: True}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        style = {name: value for _, styles in self.open for name, value in styles.items()}
        self.runs.append({"text": data, **style})


def read_html(html: str) -> list[dict[str, Any]]:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return joined(reader.runs)


def message(vector: dict[str, Any]) -> dict[str, Any]:
    """As the server tells it: with runs only where something is formatted."""
    runs = text.runs(vector["text"])
    return {"message": vector["text"], **({} if runs is None else {"runs": runs})}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["text"]))
def test_first_html(vector: dict[str, Any]) -> None:
    assert read_html(str(show_text(message(vector)))) == vector["runs"]


def test_first_html_links_to_pages_alone() -> None:
    """What the parser would never make a link is none either when it comes from the store."""
    html = str(show_text({"message": "x", "runs": [{"text": "x", "href": "javascript:alert(1)"}]}))
    assert html == "x"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["text"]))
def test_ansi(vector: dict[str, Any]) -> None:
    """A terminal has no links: their text is the URL, underlined; and nothing that would steer it."""
    codes = {"1": "bold", "2": "code", "3": "italic", "4": "underline"}
    found = []
    for sgr, plain in re.findall(r"(?:\x1b\[([0-9;]*)m)?([^\x1b]*)", ansi.render(vector["runs"])):
        if plain:
            found.append({"text": plain} | {codes[code]: True for code in sgr.split(";") if code in codes})
    expected = []
    for run in vector["runs"]:
        kept = {name: value for name, value in run.items() if name != "href"}
        expected.append(kept | {"text": ansi.safe(run["text"])} | ({"underline": True} if "href" in run else {}))
    assert joined(found) == joined(expected)


def test_dom(server: Server, open_page: Callable[..., Any]) -> None:
    """In a real browser, on the page whose content-security policy holds: read back as the browser sees it."""
    page = open_page("/")
    found = page.evaluate(
        """async (messages) => {
          const { showText } = await import("/static/js/entries/runs.js");
          return messages.map((message) => {
            const element = document.createElement("div");
            showText(element, message);
            return element.innerHTML;
          });
        }""",
        [message(vector) for vector in VECTORS],
    )
    for vector, html in zip(VECTORS, found, strict=True):
        assert read_html(html) == vector["runs"], vector["text"]

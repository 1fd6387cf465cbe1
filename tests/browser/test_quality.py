"""Every page is valid HTML, accessible in light and dark, on a phone and a desk, and light on the wire."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needed import missing
from playwright.sync_api import expect
from server import ROOT, Server
from test_features import act
from test_pages import later, post, write

Open = Callable[..., Any]
MODULES = ROOT / "node_modules"
PAGES = [
    "/", "/polling", "/polling?mode=short", "/websocket", "/quotes", "/quotes?q=a", "/search", "/search?q=long", "/lab",
    "/reference", "/rooms/none",
    "/x", "/learn", "/learn/4-websocket", "/rooms", "/new-room", "/rooms/lobby/about",
]  # fmt: skip
SAME = {"/polling", "/polling?mode=short", "/websocket", "/quotes?q=a", "/search"}
"""Pages with the elements and styles of others: `make pages` looks at them."""
DESK = {"width": 1024, "height": 800}


def fetched(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.read()


def needs(package: str) -> Path:
    if not (MODULES / package).is_dir():
        missing(f"node_modules/{package}: npm ci")
    return MODULES / package


def peopled(server: Server, page: Any) -> None:
    """Something of everything: a quote, a reply, a reaction, formatting, a deleted message, one that was edited."""
    post(server, "**bold** *italic* `code` https://a.example مرحبا بالعالم " + "long" * 60)
    write(page, "mine", "Ada")
    page.wait_for_selector("#m2")
    act(page, 1, "like")
    act(page, 1, "reply")
    write(page, "an answer")
    act(page, 1, "quote")
    page.wait_for_selector(".quote-card")
    later(page, "+1h")
    write(page, "later")
    page.wait_for_selector("#scheduled:not([hidden])")


def test_html_is_valid(server: Server, tmp_path: Path) -> None:
    """By html-validate, every page as the server renders it; what it finds names the page's file."""
    needs("html-validate")
    post(server, "**hello**")
    files = []
    for path in PAGES:
        files.append(tmp_path / f"page-{re.sub('[^a-z0-9-]', '-', path)}.html")
        files[-1].write_bytes(fetched(server.url + path))
    assert len(set(files)) == len(PAGES)
    command = [MODULES / ".bin" / "html-validate", "--config", ROOT / ".htmlvalidate.json", *files]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def violations(page: Any, **options: Any) -> list[str]:
    """What axe-core finds; evaluated, since a script element of its own would break our policy."""
    if not page.evaluate("'axe' in window"):
        page.evaluate((needs("axe-core") / "axe.min.js").read_text("utf-8"))
    asked = {"resultTypes": ["violations"], **options}
    found = page.evaluate("options => axe.run(document, options)", asked)["violations"]
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}" for each in found]


def faults(page: Any) -> list[str]:
    """What axe finds on a desk in light, what of the contrast in dark on a phone, and what is wider than the screen."""
    found = violations(page)
    for width in (320, 390):
        page.set_viewport_size({"width": width, "height": 800})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"wider than {width}")
    page.emulate_media(color_scheme="dark")
    found += violations(page, runOnly=["color-contrast"])
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESK)
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append(f"wider than {DESK['width']}")
    return found


def test_nothing_is_wrong_with_any_page(server: Server, open_page: Open) -> None:
    """Every page, empty and busy, with everything open that opens: axe finds nothing, in either theme, and nothing is
    wider than the screen of a phone or a desk: long words, right-to-left text and tables scroll within, or break."""
    page = open_page("/", color_scheme="light", viewport=DESK, reduced_motion="reduce")
    assert faults(page) == []
    peopled(server, page)
    page.click("#pill")
    page.click("#scheduled summary")
    assert violations(page) == []
    page.focus("#m2")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    for path in PAGES:
        if path not in SAME:
            page.goto(server.url + path)
            # Of the reference the first of each kind; all are of one template.
            page.eval_on_selector_all(
                ".entry ~ .entry ~ .entry, #call-list li:nth-child(n + 9)", "all => all.forEach(each => each.remove())"
            )
            assert faults(page) == [], path


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1024])
def test_nothing_is_wrong_at_any_width(scheme: str, width: int, server: Server, open_page: Open) -> None:
    """All that axe looks for, on every page, in both themes, at three widths."""
    size = {"width": width, "height": 800}
    page = open_page("/", color_scheme=scheme, viewport=size, reduced_motion="reduce")
    peopled(server, page)
    for path in PAGES:
        page.goto(server.url + path)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_right_to_left_text_reads_so(server: Server, open_page: Open) -> None:
    page = open_page("/")
    post(server, "مرحبا بالعالم")
    page.wait_for_selector("#m1")
    assert page.eval_on_selector("#m1 .text", "element => getComputedStyle(element).direction") == "rtl"


def test_the_chat_page_is_light(server: Server) -> None:
    """Less than 80 kB compressed with a cold cache: the page, its styles, its script and icons."""
    page = fetched(f"{server.url}/")
    named = set(re.findall(r'(?:src|href)="(/static/[^"]+\.(?:js|css|svg|webmanifest))"', page.decode()))
    seen = {path: len(gzip.compress(fetched(server.url + path), 6)) for path in named}
    seen["/"] = len(gzip.compress(page, 6))
    assert any(path.endswith("/main.js") for path in seen)
    assert sum(seen.values()) < 80_000, json.dumps(seen, indent=1)

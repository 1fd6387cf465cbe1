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
"""Pages with the elements and styles of others: axe looks at them once."""


def fetched(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
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


def violations(page: Any) -> list[str]:
    """What axe-core finds; evaluated, since a script element of its own would break our policy."""
    page.evaluate((needs("axe-core") / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}" for each in found]


@pytest.mark.parametrize(("width", "scheme"), [(1024, "light"), (390, "dark")], ids=["desk-light", "phone-dark"])
def test_axe_finds_nothing(scheme: str, width: int, server: Server, open_page: Open) -> None:
    """On every page, empty and busy, with everything open that opens."""
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "reduced_motion": "reduce"}
    page = open_page("/", **options)
    assert violations(page) == []
    peopled(server, page)
    page.click("#pill")
    page.click("#scheduled summary")
    assert violations(page) == []
    page.focus("#m2")
    page.keyboard.press("?")
    assert violations(page) == []
    page.keyboard.press("Escape")
    for path in PAGES if scheme == "light" else [path for path in PAGES if path not in SAME]:
        page.goto(server.url + path)
        assert violations(page) == [], path


@pytest.mark.parametrize("width", [320, 390, 1024])
def test_nothing_is_wider_than_the_screen(width: int, server: Server, open_page: Open) -> None:
    """Long words, right-to-left text and tables scroll within, or break."""
    page = open_page("/", viewport={"width": width, "height": 700})
    peopled(server, page)
    for path in PAGES:
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_right_to_left_text_reads_so(server: Server, open_page: Open) -> None:
    page = open_page("/")
    post(server, "مرحبا بالعالم")
    page.wait_for_selector("#m1")
    assert page.eval_on_selector("#m1 .text", "element => getComputedStyle(element).direction") == "rtl"


def test_the_chat_page_is_light(server: Server) -> None:
    """Less than 80 kB compressed with a cold cache: the page, its styles, its modules and icons."""
    seen: dict[str, int] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        body = fetched(server.url + path)
        seen[path] = len(gzip.compress(body, 6))
        if path == "/":
            waiting += re.findall(r'(?:src|href)="(/static/[^"]+\.(?:js|css|svg|webmanifest))"', body.decode())
        elif path.endswith(".js"):
            base = path.rsplit("/", 1)[0]
            for name in re.findall(r'from "(\.[^"]+)"', body.decode()):
                parts = f"{base}/{name}".split("/")
                while ".." in parts:
                    at = parts.index("..")
                    del parts[at - 1 : at + 1]
                waiting.append("/".join(part for part in parts if part != "."))
    assert len(seen) > 30
    assert sum(seen.values()) < 80_000, json.dumps(seen, indent=1)

"""The pages that teach, in a browser: the lab, in which one reader misses what a cut costs, and the steps.

One server and one browser serve the module.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from server import Server
from test_pages import waits
from test_quality import violations

Open = Callable[..., Any]
READERS = [
    "Short polling", "Long polling", "WebSocket", "NDJSON stream", "Server-sent events", "WebSocket without a cursor",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the module: each run of the lab counts its own probes only."""
    data = tmp_path_factory.mktemp("lab") / "data"
    data.mkdir()
    running = Server(data)
    running.start()
    yield running
    running.kill()


def rows(page: Any, table: str = "#table") -> list[list[str]]:
    script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    found: list[list[str]] = page.eval_on_selector_all(f"{table} tr", script)
    return found


def at_least(page: Any, probes: int) -> None:
    """Wait until so many probes are sent. Not exactly so many: a slow machine looks too seldom to see each number."""

    def sent() -> bool:
        found = re.match(r"(\d+) probes sent", page.locator("#progress").inner_text())
        return found is not None and int(found[1]) >= probes

    waits(page, sent, f"{probes} probes")


def stop(page: Any) -> None:
    page.click("#start")
    expect(page.locator("#told")).to_contain_text("Done")


@pytest.mark.alone
def test_a_cut_costs_only_the_reader_without_a_cursor(server: Server, open_page: Open, tmp_path: Path) -> None:
    """The connections are cut while messages are sent: five readers have each one, once; the sixth lost some, and
    the page says how many. Settings come from the address; results leave as a file and as a link."""
    page = open_page("/lab?rate=4&poll=500&delay=25&lasts=2", live=False, reduced_motion="reduce")
    page.check("[name=loss-guess][value=meanwhile]")
    page.click("#start")
    at_least(page, 3)
    page.click("#cut")
    waits(page, lambda: page.locator(".lane.is-cut").count() == len(READERS), "all lanes cut")
    expect(page.locator("#cuts li")).to_contain_text("WebSocket without a cursor lost")
    assert violations(page) == []
    page.fill("[name=word]", "hello")
    page.click("#say")
    waits(page, lambda: any(row[3] != "0" for row in rows(page)), "what is lost is counted during the run")
    stop(page)
    expect(page.locator("#verdict")).to_contain_text("lost")
    found = rows(page, "#all")
    assert [row[0] for row in found] == READERS
    sent, lost = int(found[0][4]), int(found[-1][5])
    assert sent >= 4 and lost >= 1
    assert [row[4:7] for row in found[:-1]] == [[str(sent), "0", "0"]] * 5
    assert int(found[-1][4]) == sent - lost
    assert all(float(row[1].replace(",", "")) >= 25 for row in found)
    assert [row[3] for row in rows(page)] == ["0"] * 5 + [str(lost)]
    assert "hello" in {message["message"] for message in said(server)}
    for kind in ("empty", "news", "frame"):
        expect(page.locator(f"[data-wire={kind}] .note")).to_contain_text("bytes")
    waits(page, lambda: page.locator("#plot canvas").count() == 1, "the plot")
    with page.expect_download() as download:
        page.click("#json")
    download.value.save_as(tmp_path / "lab.json")
    assert [row["missed"] for row in json.loads((tmp_path / "lab.json").read_text())] == [0] * 5 + [lost]
    link = copied(page, "#copy-link")
    assert link.startswith(f"{server.url}/lab?rate=4&poll=500&delay=25&lasts=2#results=")
    assert "| WebSocket without a cursor |" in copied(page, "#copy-table")
    assert violations(page) == []
    other = open_page(link.removeprefix(server.url), live=False)
    assert rows(other, "#all") == found
    assert other.input_value("[name=delay]") == "25"


def copied(page: Any, button: str) -> str:
    """Click a button that copies; return what it gave to the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click(button)
    expect(page.locator("#told")).to_contain_text("copied")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def said(server: Server) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.url}/api/v1/rooms/lab?limit=200") as answer:
        messages: list[dict[str, Any]] = json.load(answer)["messages"]
    return messages


@pytest.mark.alone
def test_the_lab_works_for_many_on_a_slow_network_in_two_tabs(server: Server, open_page: Open) -> None:
    """Two runs at once, each under a name of its own; two tabs on a slow network miss and repeat nothing."""
    before = {message["user"] for message in said(server)}
    pages = [open_page(path, live=False) for path in ("/lab?rate=4&poll=500", "/lab?rate=4&poll=500&slow=1&tabs=2")]
    for page in pages:
        page.focus("[name=rate]")
        page.press("#start", "Enter")  # by keyboard
    for page in pages:
        at_least(page, 3)
    for page in pages:
        stop(page)
        assert {row[3] for row in rows(page)} == {row[4] for row in rows(page)} == {"0"}
    # Silence is measured beside it; of short polling at once.
    idle = rows(pages[0], "#all")[0]
    assert float(idle[10].replace(",", "")) > 30 and float(idle[11].replace(",", "")) > 5_000
    # Each reader of two tabs has each message twice, but a stream.
    slow = rows(pages[1], "#all")
    assert int(slow[0][4]) == int(slow[2][4]) == 2 * int(slow[3][4])
    assert float(slow[2][1].replace(",", "")) >= 250
    names = {message["user"] for message in said(server)} - before
    assert len(names) == 2
    assert all(re.fullmatch("Lab [0-9a-f]{4}", name) for name in names)


def test_a_step_is_broken_and_mended_in_the_page(server: Server, open_page: Open) -> None:
    """By keyboard: the toy's story is drawn and spoken; the next step's way loses nothing; a setting changes it."""
    page = open_page("/learn", live=False, color_scheme="dark", reduced_motion="reduce")
    page.click(".steps >> text=WebSocket")
    told, figure = page.locator("#told"), page.locator("#stage figure")
    expect(page.locator("html.js #toy")).to_be_visible()
    expect(page.locator(".without-script")).to_be_hidden()
    page.focus("#toy [value=break]")
    page.keyboard.press("Enter")
    expect(told).to_contain_text("lost “two”")
    expect(figure.locator("tbody tr").nth(1)).to_contain_text("lost")
    assert figure.inner_html() == plain(page, "broken")
    assert violations(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(told).to_contain_text("Sent 3, arrived 3.")
    assert figure.inner_html() == plain(page, "mended")
    page.focus("#toy [name=value]")
    page.keyboard.press("End")
    expect(page.locator("#toy output")).to_have_text("160 ms")
    page.click("#toy [value=break]")
    expect(told).to_contain_text("Sent 3, arrived 3.")
    page.click("[rel=next]")
    expect(page.locator("h1")).to_contain_text("Step 5")


def plain(page: Any, which: str) -> str:
    """The picture of the story that the server rendered, without the white space between elements."""
    picture = page.locator(".without-script figure" if which == "broken" else "details figure").first
    return re.sub(r">\s+<", "><", str(picture.inner_html()).strip())

"""The lab in a browser: all three readers at once, cut and delayed, and nothing missed."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from server import Server
from test_pages import waits

pytestmark = pytest.mark.alone

Open = Callable[..., Any]


def rows(page: Any) -> list[list[str]]:
    script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    found: list[list[str]] = page.eval_on_selector_all("#table tr", script)
    return found


def at_least(page: Any, probes: int) -> None:
    """Wait until so many probes are sent. Not exactly so many: a slow machine looks too seldom to see each number."""

    def sent() -> bool:
        found = re.match(r"(\d+) probes sent", page.locator("#progress").inner_text())
        return found is not None and int(found[1]) >= probes

    waits(page, sent, f"{probes} probes")


def test_nothing_is_missed_whatever_is_cut(server: Server, open_page: Open, tmp_path: Path) -> None:
    """Probes are sent while connections are cut; at the end every reader has every one of them, once."""
    page = open_page("/lab", live=False)
    page.select_option("[name=rate]", "4")
    page.select_option("[name=interval]", "500")
    page.select_option("[name=delay]", "25")
    page.click("#start")
    at_least(page, 6)
    page.click("#cut")
    at_least(page, 14)
    # What is on its way while the run goes on is not missed.
    assert {row[5] for row in rows(page)} == {"–"}
    page.click("#start")
    expect(page.locator("#progress")).to_contain_text("Done", timeout=40_000)
    found = rows(page)
    assert [row[0] for row in found] == ["Short polling", "Long polling", "WebSocket"]
    sent = found[0][4]
    assert int(sent) >= 14
    assert [row[4:7] for row in found] == [[sent, "0", "0"]] * 3
    assert all(float(row[1].replace(",", "")) >= 25 for row in found)
    waits(page, lambda: page.locator("#plot canvas").count() == 1, "the plot")
    with page.expect_download() as download:
        page.click("#json")
    download.value.save_as(tmp_path / "lab.json")
    assert [row["missed"] for row in json.loads((tmp_path / "lab.json").read_text())] == [0, 0, 0]


def test_the_lab_works_for_many_and_silence_costs_what_it_costs(server: Server, open_page: Open) -> None:
    """Two people measure at once, each under a name of its own; a held poll and a socket show their silence."""
    pages = [open_page("/lab", live=False) for _ in range(2)]
    for page in pages:
        page.select_option("[name=rate]", "4")
        page.click("#start")
    for page in pages:
        at_least(page, 3)
        waits(page, lambda page=page: all("–" not in row[10:] for row in rows(page)), "the costs of silence", 60)
        (short, held, socket) = ([float(cell.replace(",", "")) for cell in row[10:]] for row in rows(page))
        assert 25 <= short[0] <= 31 and short[1] > 5_000
        # A hold ends after 20 to 25 s; a heartbeat comes every 20 s and has less than 150 bytes.
        assert 2 <= held[0] <= 3.1 and held[1] > 450
        assert socket[0] == 0 and 0 < socket[1] < 450
    for page in pages:
        page.click("#start")
        expect(page.locator("#progress")).to_contain_text("Done", timeout=40_000)
        assert {row[5] for row in rows(page)} == {"0"}
    with urllib.request.urlopen(f"{server.url}/api/v1/rooms/lab?limit=200") as answer:
        names = {message["user"] for message in json.load(answer)["messages"]}
    assert len(names) == 2
    assert all(re.fullmatch("Lab [0-9a-f]{4}", name) for name in names)

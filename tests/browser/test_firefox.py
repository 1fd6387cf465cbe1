"""A smoke lane in Firefox, where it is installed (`apt-get install firefox-esr`)."""

from __future__ import annotations

from typing import Any

import pytest
from server import Server
from test_pages import post, texts, waits, write


@pytest.mark.parametrize("path", ["/polling", "/websocket", "/"])
def test_it_reads_writes_and_comes_back(path: str, firefox: Any, server: Server) -> None:
    """Messages from here and from elsewhere, through a killed server, once and in order."""
    page = firefox.new_context().new_page()
    page.goto(server.url + path)
    page.wait_for_selector("#pill[data-state=live]")
    write(page, "from **Firefox**", "Ada")
    waits(page, lambda: texts(page) == ["from Firefox"], "its own message")
    post(server, "from curl")
    server.kill()
    write(page, "while it was away")
    server.start()
    waits(page, lambda: len(texts(page)) == 3, "all three", 60)
    assert texts(page) == ["from Firefox", "from curl", "while it was away"]
    page.context.close()

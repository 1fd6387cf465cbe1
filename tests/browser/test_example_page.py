"""The example of a page of another origin, in a browser."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import ROOT, Running, environment, quotechat, running

from quotechat.client import Client


@pytest.fixture
def site() -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(ROOT / "examples"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def chat(site: str, tmp_path: Path) -> Iterator[Running]:
    env = environment(QUOTECHAT_ORIGINS=site)
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=env) as server:
        yield server


def test_the_page_reads_and_writes_from_another_origin(chromium: Any, site: str, chat: Running) -> None:
    """It shows what was said, what is said, and sends; by WebSocket."""
    with Client(chat.url, user="Ada") as client:
        client.post("before")
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{site}/page.html?server={chat.url}")
        page.wait_for_selector("#m1:has-text('Ada: before')")
        page.wait_for_selector("#state:has-text('live, by websocket')")
        client.post("live")
        page.wait_for_selector("#m2:has-text('Ada: live')")
        page.fill("[name=text]", "from the page")
        page.press("[name=text]", "Enter")
        page.wait_for_selector("#m3:has-text('Page: from the page')")
        assert client.snapshot()["messages"][-1]["message"] == "from the page"
        context.close()

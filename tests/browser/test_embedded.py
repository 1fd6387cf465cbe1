"""The pages inside another application, under a prefix."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import ROOT, Running, environment, running
from test_pages import write

CONFIG = f"""
import sys
sys.path[:0] = [{str(ROOT / "src")!r}, {str(ROOT / "tests" / "embedding")!r}]
from quotechat.config import Settings
from quotechat.serving import gunicorn_settings, prepare
globals().update(gunicorn_settings(prepare(Settings.from_env())))
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "gunicorn.conf.py").write_text(CONFIG)
    env = environment(QUOTECHAT_PORT="0", QUOTECHAT_DATA=str(tmp_path / "host-data"), QUOTECHAT_LIMITS="off")
    command = [sys.executable, "-m", "gunicorn", "-c", str(tmp_path / "gunicorn.conf.py"), "host:make()"]
    with running(command, env=env, cwd=tmp_path) as server:
        yield server


def test_the_pages_work_under_a_prefix(open_page: Callable[..., Any], host: Running) -> None:
    """Live by WebSocket and by polling, writing, quotes and rooms, without a request outside the prefix."""
    socket = open_page("/chat/websocket", base=host.url)
    polling = open_page("/chat/polling", base=host.url)
    asked: list[str] = []
    polling.on("request", lambda request: asked.append(request.url))
    write(socket, "over the socket", "Ada")
    polling.wait_for_selector("#m1")
    write(polling, "by polling", "Bo")
    socket.wait_for_selector("#m2")
    assert asked and all(url.startswith(f"{host.url}/chat/") for url in asked), asked
    polling.click("a:has-text('Quotes')")
    polling.fill("[name=quote]", "Under a prefix")
    polling.fill("[name=author]", "Somebody")
    polling.click("#add-quote button")
    polling.wait_for_selector("#added:has-text('Added')")
    socket.wait_for_selector(".quote-card")
    polling.click("a.brand")
    polling.wait_for_selector("#pill[data-state=live]")
    assert polling.url == f"{host.url}/chat/"


def test_the_host_s_user_writes_under_their_name(open_page: Callable[..., Any], host: Running) -> None:
    """The name is there and cannot be changed; what they wrote is theirs."""
    page = open_page("/login?user=ada", base=host.url, live=False)
    page.goto(f"{host.url}/chat/")
    page.wait_for_selector("#pill[data-state=live]")
    assert page.input_value("[name=user]") == "Ada"
    assert page.get_attribute("[name=user]", "readonly") is not None
    page.fill("[name=message]", "as myself")
    page.press("[name=message]", "Enter")
    page.wait_for_selector("#m1.own")

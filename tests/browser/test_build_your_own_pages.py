"""The page of each step of examples/build-your-own shows what is sent in it, in a real browser."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import learn
import pytest
from servers import environment, running
from werkzeug.serving import make_server

STEPS = learn.steps()


@contextlib.contextmanager
def in_this_process(app: Path) -> Iterator[str]:
    """The URL of a server that keeps all in memory."""
    description = importlib.util.spec_from_file_location("build_your_own", app)
    assert description is not None and description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    module.app.root_path = str(app.parent)  # Flask takes the current folder for a module that it cannot import
    server = make_server("127.0.0.1", 0, module.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def as_a_process(app: Path, folder: Path) -> Iterator[str]:
    """The URL of a server that keeps its log in `folder`."""
    command = [sys.executable, "-m", "flask", "--app", str(app), "run", "--port", "0"]
    with running(command, env=environment(), cwd=folder) as server:
        yield server.url


@pytest.mark.parametrize("step", STEPS, ids=[step["folder"] for step in STEPS])
def test_a_page_shows_what_it_sends(step: learn.Step, chromium: Any, tmp_path: Path) -> None:
    """A message comes back to its page as text, whatever it holds; a like is counted once."""
    app = learn.EXAMPLES / step["folder"] / "app.py"
    served = as_a_process(app, tmp_path) if step["number"] >= 7 else in_this_process(app)
    with served as url, contextlib.closing(chromium.new_page()) as page:
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.goto(url)
        page.get_by_label("Name").fill("Azin")
        page.get_by_label("Message").fill("<b>Hello!</b>")
        page.get_by_role("button", name="Send").click()
        page.get_by_role("listitem").filter(has_text="Azin: <b>Hello!</b>").wait_for()
        if step["number"] >= 5:
            page.get_by_role("button", name="Like").click()
            page.get_by_role("button", name="Like 1").wait_for()
        page.reload()
        page.get_by_role("listitem").filter(has_text="Azin: <b>Hello!</b>").wait_for()
        assert not faults

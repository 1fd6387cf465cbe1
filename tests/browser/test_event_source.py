"""A real EventSource: it resumes by itself over a restart, without a gap or a repeat."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from server import Server, until
from test_pages import post

READ = """() => {
  window.seen = []; window.told = [];
  const source = new EventSource("/api/v1/rooms/lobby/events?after=0");
  source.onmessage = ({data, lastEventId}) => {
    const envelope = JSON.parse(data);
    if (envelope.seq) window.seen.push([envelope.seq, envelope.cursor === lastEventId]);
    else window.told.push(envelope.command);
  };
  source.onopen = () => window.told.push("open");
}"""


def test_it_resumes_over_a_restart(server: Server, open_page: Callable[..., Any]) -> None:
    """Old events, live ones, and those of the time when nobody listened: each once, in order, ids its cursors."""
    page = open_page("/", live=False)
    for number in range(3):
        post(server, f"before {number}")
    page.evaluate(READ)

    def seen(count: int) -> Callable[[], bool]:
        return lambda: len(page.evaluate("seen")) >= count

    until(seen(3), "what was there")
    post(server, "live")
    until(seen(4), "what came")
    until(lambda: page.evaluate("told") == ["open", "caught-up"], "that it has caught up")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGHUP)
    for number in range(20):
        post(server, f"meanwhile {number}")
    # It may ask the worker that stops, over a connection that it kept, and is sent away.
    until(lambda: page.evaluate("told").count("caught-up") == 2, "its return")
    post(server, "after")
    until(seen(25), "the rest")
    assert page.evaluate("seen") == [[seq, True] for seq in range(1, 26)]

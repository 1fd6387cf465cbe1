"""One event is one line, whatever is in it; text for people, JSON for programs."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest

from quotechat import logs

HOSTILE = "a\nb\r\x1b[31m\x00\x85\u2028\u202fé"


def record(message: str = "request", fault: bool = False, **fields: Any) -> logging.LogRecord:
    """As a logging call makes it."""
    found = None
    if fault:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            found = sys.exc_info()
    made = logging.LogRecord("quotechat.x", logging.INFO, __file__, 1, message, None, found)
    if fields:
        made.__dict__.update(logs.about(**fields)["extra"])
    return made


def test_json_is_one_line_of_ascii() -> None:
    """Everything comes back; nothing in it ends the line or moves a cursor."""
    line = logs.Json().format(record(HOSTILE, fault=True, status=200, route=HOSTILE))
    assert line.isascii() and line.isprintable()
    found = json.loads(line)
    assert (found["event"], found["status"], found["route"], found["level"]) == (HOSTILE, 200, HOSTILE, "info")
    assert "ValueError" in found["fault"] and found["logger"] == "quotechat.x"


def test_text_is_one_line_and_a_fault_set_in() -> None:
    """Controls are shown, not done; only a traceback has lines of its own."""
    line = logs.Text().format(record(HOSTILE, route=HOSTILE))
    assert "\n" not in line and "\x1b" not in line and "\\x1b[31m" in line and "é" in line
    first, *rest = logs.Text().format(record("it broke", fault=True)).split("\n")
    assert first.endswith("quotechat.x: it broke") and all(each.startswith("  ") for each in rest)
    assert not any(control in "".join(rest) for control in "\x1b\r\x00\x85\u2028")


@pytest.mark.parametrize(("kind", "terminal", "found"), [
    ("auto", True, "Text"), ("auto", False, "Json"), ("text", False, "Text"), ("json", True, "Json"),
])  # fmt: skip
def test_text_at_a_terminal(monkeypatch: pytest.MonkeyPatch, kind: str, terminal: bool, found: str) -> None:
    """`auto` asks where stderr goes."""
    root, ours = logging.getLogger(), logging.getLogger("quotechat")
    handler = logging.StreamHandler(io.StringIO())
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    level = ours.level
    try:
        logs.setup(kind, "warning")
        assert type(handler.formatter).__name__ == found and ours.level == logging.WARNING
    finally:
        ours.setLevel(level)

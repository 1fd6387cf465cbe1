"""Log as the server does: one event is one line, as text for people or as JSON for programs.

Nothing of quotechat is imported. Each event is logged by the code that causes it: never a message's text, a name,
a token, a cookie or a query.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Json(logging.Formatter):
    """One object on each line; ASCII, so that nothing in it can end the line or move a cursor."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            "pid": record.process,
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            found["fault"] = self.formatException(record.exc_info)
        return json.dumps(found, default=str)


class Text(logging.Formatter):
    """The same as text: the traceback of a fault follows on lines of its own, indented."""

    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, "about", {})
        words = [record.getMessage(), *(f"{name}={value}" for name, value in about.items())]
        line = f"{_rfc3339(record.created)} [{record.process}] {record.levelname} {record.name}: {' '.join(words)}"
        lines = [escaped(line)]
        if record.exc_info:
            lines += ["  " + escaped(each) for each in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


def setup(kind: str, level: str) -> None:
    """Log to stderr from here on, gunicorn's errors too; `kind` is `auto`, `text` or `json`."""
    formatter = Json() if kind == "json" or (kind == "auto" and not sys.stderr.isatty()) else Text()
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in [*root.handlers, *logging.getLogger("gunicorn.error").handlers]:
        handler.setFormatter(formatter)
    logging.getLogger("quotechat").setLevel(level.upper())


def about(**fields: Any) -> dict[str, Any]:
    """For a logging call: ``log.info("request", **about(status=200))``."""
    return {"extra": {"about": fields}}


def escaped(text: str) -> str:
    """Return `text` on one line, controls as ``\\n`` and ``\\x1b``."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _rfc3339(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03}Z"

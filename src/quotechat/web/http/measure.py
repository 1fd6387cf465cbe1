"""Count the bytes of a request and its answer on the wire, for the lab, since no browser knows them.

Counted are the bytes of HTTP, headers and all, but neither TLS nor TCP.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask.sansio.scaffold import Scaffold
from werkzeug.http import http_date

HEADER = "Quotechat-Bytes"
_FIELDS = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}


def install(scope: Scaffold) -> None:
    """Add to answers to `?measure=1` a header with their cost: ``in=<bytes>, out=<bytes>``."""

    @scope.after_request
    def measure(answer: Response) -> Response:
        if wanted(request.environ) and not answer.is_streamed:
            _stamp(answer, request_bytes(request.environ))
        return answer


def wanted(environ: dict[str, Any]) -> bool:
    """Return True if this request asks for it."""
    return "measure=1" in environ.get("QUERY_STRING", "").split("&")


def request_bytes(environ: dict[str, Any]) -> int:
    """Return the size of a request: its line, its header and its body."""
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or request.full_path
    size = len(f"{environ['REQUEST_METHOD']} {target} {environ['SERVER_PROTOCOL']}\r\n") + len("\r\n")
    for name, value in environ.items():
        if name.startswith("HTTP_") or (name in _FIELDS and value):
            # As long as its name in the environment, less the prefix.
            size += len(_FIELDS.get(name) or name[5:]) + len(": \r\n") + len(str(value))
    return size + int(environ.get("CONTENT_LENGTH") or 0)


def _stamp(answer: Response, incoming: int) -> None:
    # The headers that gunicorn adds, in the forms that it has there.
    added = f"HTTP/1.1 {answer.status}\r\nServer: gunicorn\r\nDate: {http_date()}\r\nConnection: keep-alive\r\n\r\n"
    answer.content_length = len(answer.get_data())
    size = len(added) + answer.content_length
    size += sum(len(name) + len(value) + len(": \r\n") for name, value in answer.headers.items())
    answer.headers[HEADER] = stamp(incoming, size)


def stamp(incoming: int, size: int) -> str:
    """Return the value of the header for an answer that has `size` bytes without it."""
    said = ""
    for _ in range(3):  # its own length depends on its value
        said = f"in={incoming}, out={size + len(HEADER + ': ' + said) + 2}"
    return said

"""The answer to a request for a file: the server hands the socket over, and the thread of downloads sends it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from flask import Response, request
from werkzeug.http import http_date

from ...live.detach import can_detach, detach
from ...live.downloads import Body, Download, Downloads, while_allowed
from ...protocol.errors import Overloaded, Refused
from ..http import problems, security
from ..http.services import services
from . import revocation
from .kept import with_headers

AT_ONCE_BYTES = 256 * 1024
"""A body of at most so many bytes is sent like any other answer."""


class DownloadResponse(Response):
    """A response whose body `Downloads` sends; until the server calls it, it is like any other."""

    taken = True

    def __init__(
        self, downloads: Downloads, status: int, headers: dict[str, str], content: Body, start: int, stop: int,
        left: Callable[[], None], first: bytes = b"", may: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        super().__init__(status=status, headers=headers)
        self._downloads, self._left = downloads, left
        self._part, self._first, self._may = (content, start, stop), first, may

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        own = ("content-length", "connection")
        lines = [f"{name}: {value}" for name, value in self.headers if name.lower() not in own]
        lines += [f"Content-Length: {self._part[2] - self._part[1]}", "Connection: close"]
        head = "\r\n".join([f"HTTP/1.1 {self.status}", f"Date: {http_date()}", *lines, "", ""])
        try:
            sock, _ = detach(environ)
        except OSError:  # there is no descriptor for it
            self._left()
            return with_headers(problems.response(Overloaded()), self.headers)(environ, start_response)
        try:
            download = Download(sock, head.encode("latin-1"), *self._part, self._left, self._first, self._may)
        except OSError:  # it was removed this moment
            sock.close()
            self._left()
        else:
            self._downloads.add(download)
        # gunicorn takes this for "the connection is done".
        raise StopIteration


class GeneratedBody(Body, Protocol):
    """A body that was made for one answer, which closes it."""

    @property
    def size(self) -> int: ...
    def close(self) -> None: ...


def whole(made: GeneratedBody, headers: dict[str, str]) -> Response:
    """Return the answer with all of `made`; a long one takes no thread, and ends early if the caller's session does.

    Raises RateLimited, Overloaded.
    """
    headers = headers | {"Content-Length": str(made.size), "Cache-Control": "no-store"}
    if request.method == "HEAD" or made.size <= AT_ONCE_BYTES:
        with contextlib.closing(made):
            return Response(None if request.method == "HEAD" else b"".join(made.blocks(0, made.size)), headers=headers)
    watch = revocation.watch(())

    def may() -> bool:
        return watch is None or not watch.has_ended()

    if not can_hand_over():
        answer = Response(while_allowed(made.blocks(0, made.size), may), headers=headers)
        answer.call_on_close(made.close)
        return answer
    limits, who = services().chat.limits, security.client()

    def left() -> None:
        limits.leave("download", *who)
        made.close()

    try:
        limits.enter("download", *who)
    except Refused:
        made.close()
        raise
    return DownloadResponse(services().downloads, 200, headers, made, 0, made.size, left, may=may)


def can_hand_over() -> bool:
    """Return True if the socket of this request can be taken from the server, to send a long answer."""
    return can_detach(request.environ) and request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0"

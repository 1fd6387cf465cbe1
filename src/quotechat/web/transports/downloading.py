"""The answer to a request for a file: the server hands the socket over, and the thread of downloads sends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response
from werkzeug.http import http_date

from ...live.detach import detach
from ...live.downloads import Download, Downloads
from ...protocol.errors import Overloaded
from ...store.files.contents import Content
from ..http import problems
from .kept import with_headers


class Sent(Response):
    """A response whose body `Downloads` sends; until then it is like any other."""

    taken = True

    def __init__(
        self, downloads: Downloads, status: int, headers: dict[str, str], content: Content, start: int, stop: int,
        left: Callable[[], None], first: bytes = b"",
    ) -> None:  # fmt: skip
        super().__init__(status=status, headers=headers)
        self._downloads, self._left = downloads, left
        self._part, self._first = (content, start, stop), first

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
            download = Download(sock, head.encode("latin-1"), *self._part, self._left, self._first)
        except OSError:  # it was removed this moment
            sock.close()
            self._left()
        else:
            self._downloads.add(download)
        # gunicorn takes this for "the connection is done".
        raise StopIteration

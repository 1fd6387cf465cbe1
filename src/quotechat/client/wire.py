"""One HTTP connection to the server, kept open from request to request. It neither repeats nor waits."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from .problems import Problem, Unreachable, problem

#: The exceptions of the modules below when the network, or a proxy on the way, fails.
_FAILURES = (OSError, http.client.HTTPException, ValueError, AttributeError)
# AttributeError: http.client raises it when another thread has closed the response.


class Wire:
    """Requests under `url`, whose path is the server's prefix. Not for two threads at once."""

    def __init__(self, url: str, timeout: float, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not the address of a server: {url!r}")
        self._base = parts.path.rstrip("/") + "/api/v1"
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self._used = False
        self._socket: socket.socket | None = None
        self._response: http.client.HTTPResponse | None = None

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object of the answer. Raises Problem, Unreachable."""
        response = self._request(method, path, body, {"Accept": "application/json", **(headers or {})})
        found = self._object(response)
        if found is None:
            raise Unreachable("the answer was no JSON: it broke off, or something else answers at this address")
        return found

    def send(
        self, method: str, path: str, data: bytes, headers: Mapping[str, str]
    ) -> tuple[Any, dict[str, Any]]:
        """Send plain bytes; return the headers and the JSON object of the answer. Raises Problem, Unreachable."""
        response = self._request(method, path, data, {"Accept": "application/json", **headers})
        found = self._object(response) or {}
        return response.headers, found

    def stream(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Open an answer that goes on, to read lines from; the connection is its own. Raises Problem, Unreachable."""
        response = self._request("GET", path, None, {"Accept": "application/x-ndjson", **headers})
        if response.headers.get_content_type() != "application/x-ndjson":
            self.close()
            raise Unreachable("the answer was no stream: something else answers at this address")
        return response

    def close(self) -> None:
        """Close the connection, even if a thread waits for an answer; the next request connects anew."""
        self._used = False
        sock, self._socket = self._socket, None
        if sock is not None:
            with contextlib.suppress(OSError):  # closed already
                sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        response, self._response = self._response, None
        if response is not None:
            # A connection of its own if the answer lasts until the connection ends.
            response.close()

    def _request(self, method: str, path: str, body: Any, headers: dict[str, str]) -> http.client.HTTPResponse:
        encoded = body
        if body is not None and not isinstance(body, bytes):
            encoded = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        # A connection that was used may have been closed in the meantime, which says nothing about the server.
        for again in (self._used, False):
            try:
                self._connection.request(method, self._base + path, encoded, headers)
                self._socket = self._connection.sock
                self._response = response = self._connection.getresponse()
                break
            except _FAILURES as fault:
                self.close()
                if not again or isinstance(fault, TimeoutError):
                    raise Unreachable(_reason(fault)) from fault
        self._used = True
        if response.status >= 400:
            raise self._problem(response)
        if response.status >= 300:
            self.close()
            raise Problem({"detail": f"It has moved to {response.headers.get('Location')}"}, response.status)
        return response

    def _problem(self, response: http.client.HTTPResponse) -> Problem:
        found = self._object(response) or {}
        asked = found.get("retry_in_ms")
        retry_in = asked / 1000 if isinstance(asked, int) else _seconds(response.headers.get("Retry-After"))
        return problem(found, response.status, retry_in)

    def _object(self, response: http.client.HTTPResponse) -> dict[str, Any] | None:
        """Return the JSON object of an answer, None if it is none. Raises Unreachable if it is truncated."""
        try:
            text = response.read()
        except _FAILURES as fault:
            self.close()
            raise Unreachable(_reason(fault)) from fault
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else None


def _reason(fault: Exception) -> str:
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    if isinstance(fault, http.client.IncompleteRead):
        return "the answer broke off"
    return str(fault) or type(fault).__name__


def _seconds(header: str | None) -> float:
    """Parse a ``Retry-After``, which is seconds or a date (RFC 9110 §10.2.3); 0 if it cannot be read."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0

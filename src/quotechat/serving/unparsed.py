"""Requests that never reach the application: their log lines and the statuses of their answers."""

from __future__ import annotations

from typing import Any

from gunicorn.http import errors

from .. import supervision

_STATUSES: dict[type[Exception], str] = {
    errors.LimitRequestLine: "414 URI Too Long",
    errors.LimitRequestHeaders: "431 Request Header Fields Too Large",
    errors.ExpectationFailed: "417 Expectation Failed",
}
"""Those of what gunicorn's parser refuses with another status than 400."""


def status(fault: Exception, log: Any) -> str:
    """Log `fault` to the logger of gunicorn, and return the status of the answer. No part of the request is logged."""
    if isinstance(fault, errors.ParseException):
        log.info("refused what is no HTTP: %s", type(fault).__name__)
        return next((line for kind, line in _STATUSES.items() if isinstance(fault, kind)), "400 Bad Request")
    supervision.count("worker")
    log.error("a request failed outside the application", exc_info=fault)
    return "500 Internal Server Error"

"""Refusals as `application/problem+json` (RFC 9457). The only place that knows statuses and titles."""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any, cast

from flask import Response, request
from flask.sansio.scaffold import Scaffold
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestedRangeNotSatisfiable
from werkzeug.http import HTTP_STATUS_CODES

from ...logs import about
from ...protocol import json
from ...protocol.errors import Overloaded, ParameterInvalid, Refused
from . import parameters, site

log = logging.getLogger(__name__)

_PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed-json": (400, "Not strict JSON"),
    "malformed-envelope": (400, "Not a command"),
    "parameter-invalid": (400, "A parameter cannot be read"),
    "cursor-invalid": (400, "Not a cursor"),
    "unauthenticated": (401, "An identity is needed"),
    "sign-in-failed": (401, "Name or password is wrong"),
    "forbidden": (403, "Not yours"),
    "proof-needed": (403, "The password is needed again"),
    "scope-missing": (403, "The token may not do this"),
    "origin-refused": (403, "Another site's page"),
    "room-unknown": (404, "No such room"),
    "message-unknown": (404, "No such message"),
    "quote-unknown": (404, "No such quote"),
    "scheduled-unknown": (404, "Nothing waits under this id"),
    "account-unknown": (404, "No such account"),
    "token-unknown": (404, "No such token"),
    "cursor-unknown": (404, "No such cursor"),
    "webhook-unknown": (404, "No such webhook"),
    "link-unknown": (404, "This link is not valid"),
    "file-unknown": (404, "No such file"),
    "not-found": (404, "Nothing here"),
    "method-not-allowed": (405, "Not this method"),
    "not-acceptable": (406, "Not in this form"),
    "conflict": (409, "It contradicts what is there"),
    "quota-full": (409, "No more files are kept"),
    "cursor-expired": (410, "Older than what is kept"),
    "cursor-ahead": (410, "Ahead of the room"),
    "history-changed": (410, "Another history"),
    "too-large": (413, "Too large"),
    "unsupported-media-type": (415, "Not this media type"),
    "invalid": (422, "A field is not right"),
    "client-id-reused": (422, "This client_id was used for something else"),
    "rate-limited": (429, "Too much at once"),
    "internal": (500, "Our fault"),
    "overloaded": (503, "At the limit"),
    "draining": (503, "Restarting"),
    "outcome-unknown": (503, "Stored or not, it is not known"),
    "storage-full": (507, "No space left"),
}
# Refusals of Flask and Werkzeug themselves, and of an application around us.
_CODES = {400: "parameter-invalid", 401: "unauthenticated", 403: "forbidden", 404: "not-found",
          405: "method-not-allowed", 406: "not-acceptable", 413: "too-large", 415: "unsupported-media-type",
          429: "rate-limited", 500: "internal"}  # fmt: skip

_counts: Counter[str] = Counter()
_counting = threading.Lock()
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_TEXTS = ("message", "quote", "author", "title", "topic", "reason", "note")
"""Fields of our forms that hold more than a word."""
_FOR_PROGRAMS = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json")


def status(refused: Refused) -> int:
    """Return the HTTP status of a refusal."""
    return _PROBLEMS[refused.code][0]


def status_line(refused: Refused) -> str:
    """Return the status with its reason phrase, such as ``410 Gone``."""
    number = status(refused)
    return f"{number} {HTTP_STATUS_CODES[number].title()}"


def body(refused: Refused) -> dict[str, Any]:
    """Return the problem object: the body over HTTP, the ``error`` of an envelope over WebSocket."""
    number, title = _PROBLEMS[refused.code]
    with _counting:
        _counts[refused.code] += 1
    problem: dict[str, Any] = {
        "type": f"urn:quotechat:problem:{refused.code}",
        "title": title,
        "status": number,
        "detail": refused.detail,
        "code": refused.code,
    }
    if refused.field is not None:
        problem["field"] = refused.field
    if refused.room is not None:
        problem["room"] = refused.room
    if refused.retry_in_ms is not None:
        problem["retry_in_ms"] = refused.retry_in_ms
    return problem


def title(code: str) -> str:
    """Return the meaning of a code, in a few words."""
    return _PROBLEMS[code][1]


def phrase(number: int) -> str:
    """Return the reason phrase of a status, such as ``Created``."""
    return HTTP_STATUS_CODES[number]


def by_status(codes: Iterable[str] = tuple(_PROBLEMS)) -> dict[int, list[str]]:
    """Return `codes` by the status that they come with, both in order."""
    found: dict[int, list[str]] = {}
    for code, (number, _) in _PROBLEMS.items():
        if code in codes:
            found.setdefault(number, []).append(code)
    return found


def counted() -> dict[str, int]:
    """Count the problems of each code that this process has answered."""
    with _counting:
        return dict(_counts)


def retry_after(refused: Refused) -> str | None:
    """Return the value of `Retry-After`: whole seconds (RFC 9110 §10.2.3), rounded up: earlier would be in vain."""
    return None if refused.retry_in_ms is None else str(max(1, -(-refused.retry_in_ms // 1000)))


def response(refused: Refused) -> Response:
    """Answer a refused request: a problem, or a page if a person reads it."""
    answer = _answer(body(refused))
    retry = retry_after(refused)
    if retry is not None:
        answer.headers["Retry-After"] = retry
    if refused.code in ("unauthenticated", "sign-in-failed"):
        answer.headers["WWW-Authenticate"] = 'Bearer realm="quotechat"'  # RFC 9110 §11.6.1 asks for one
    return answer


def _answer(problem: dict[str, Any]) -> Response:
    if _for_a_person():
        answer = Response(site.render_template("error.html", problem=problem), status=problem["status"])
    else:
        problem["request_id"] = request.environ["quotechat.request_id"]
        answer = Response(json.dumps(problem), problem["status"], content_type="application/problem+json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def typed() -> list[str]:
    """Return the texts of the submitted form, for an error page to show, so that the user does not lose them."""
    if request.method != "POST" or request.mimetype not in _FORMS:
        return []
    with contextlib.suppress(HTTPException, ParseException, NoMoreData, OSError):  # too large, or broken off
        return [text for name in _TEXTS if (text := request.form.get(name, "").strip())]
    return []


site.template_global("typed", typed)


def install(scope: Scaffold) -> None:
    """Translate everything that a view of `scope`, an application or a blueprint, may raise."""
    scope.register_error_handler(Refused, response)
    scope.register_error_handler(HTTPException, of_http)
    scope.register_error_handler(ParseException, _of_the_body)
    scope.register_error_handler(NoMoreData, _of_the_body)
    scope.register_error_handler(Exception, _of_anything)


def of_http(fault: HTTPException) -> Response:
    """Return a refusal of Flask or Werkzeug as a problem."""
    if fault.code is not None and fault.code < 400:  # a redirect that Werkzeug raises, such as a missing slash
        return Response(fault.get_body(), fault.code, fault.get_headers())
    if fault.response is not None:  # an answer that is ready, by the application around us
        return cast(Response, fault.response)
    code = _CODES.get(fault.code or 500)
    if code is None:  # it has no meaning beyond its status (RFC 9457 §4.2.1)
        phrase = HTTP_STATUS_CODES.get(fault.code or 500, "Refused")
        answer = _answer({"type": "about:blank", "title": phrase, "status": fault.code, "detail": f"{phrase}."})
    else:
        answer = response(Refused(code, _PROBLEMS[code][1] + "." if code != "internal" else "Something broke here."))
    if isinstance(fault, RequestedRangeNotSatisfiable) and fault.length is not None:
        answer.headers["Content-Range"] = f"bytes */{fault.length}"  # RFC 9110 §15.5.17
    if isinstance(fault, MethodNotAllowed) and fault.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(fault.valid_methods))
    return answer


def _of_the_body(fault: Exception) -> Response:
    # gunicorn reads a chunked body only when we do, and finds then that it is broken or cut off.
    answer = response(ParameterInvalid("The body of the request is broken off, or its chunks are wrong."))
    answer.headers["Connection"] = "close"
    return answer


def _of_anything(fault: Exception) -> Response:
    told = about(request_id=request.environ["quotechat.request_id"], method=request.method)
    if isinstance(fault, OSError) and fault.errno in (errno.EMFILE, errno.ENFILE):
        log.error("a request was refused: %s", fault.strerror, **told)
        return response(Overloaded())
    log.error("a request failed", exc_info=fault, **told)
    return response(Refused("internal", "Something broke here; it has been logged."))


def _for_a_person() -> bool:
    path = site.path()
    if path.startswith("/api/") or path in _FOR_PROGRAMS:
        return False
    return parameters.accepted("application/json", "text/html") == "text/html"

"""Parse query parameters, headers and bodies strictly, or refuse them (protocol §7: JSON, Parameters)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus, unquote_to_bytes

from flask import Flask, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.routing import IntegerConverter

from ...live.detach import has_body
from ...protocol import cursor, json
from ...protocol.cursor import NOW, Cursor, Now
from ...protocol.errors import CursorInvalid, Invalid, ParameterInvalid, TooLarge, UnsupportedMediaType
from ...protocol.limits import HEARTBEAT, LONGEST_WAIT, MOST_ROOMS

_DECIMAL = re.compile(r"[0-9]+")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_LARGEST = 10**15
"""Stands for all larger numbers: it is above every limit and every id."""
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_RANGE = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-[0-9]{1,15})", re.IGNORECASE)
_PREFER_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?([^",;\s]+)"?\s*(?=$|[,;])', re.IGNORECASE)
_JSON = "application/json"
_TEXT = ("text/plain", "application/x-www-form-urlencoded")


class _Number(IntegerConverter):
    """A number in a path: at most 16 ASCII digits, while Python takes digits of every script in any number."""

    regex = "[0-9]{1,16}"


@contextlib.contextmanager
def strict_numbers(app: Flask) -> Iterator[None]:
    """Within this context, make routes whose numbers in paths are parsed as strictly as those in parameters."""
    theirs = app.url_map.converters["int"]
    app.url_map.converters["int"] = _Number
    yield
    app.url_map.converters["int"] = theirs


def check_encoding() -> None:
    """Raise ParameterInvalid if percent-encoding in the path or the query is malformed, or not of UTF-8.

    `after` is left out: a malformed cursor has a refusal of its own.
    """
    raw: str = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.path
    _readable(raw.partition("?")[0].encode("utf-8", "surrogateescape"), "path")
    for part in request.query_string.split(b"&"):
        name = unquote_plus(part.partition(b"=")[0].decode("latin-1"))[:80]
        if name != "after":
            _readable(part, name)


def _readable(text: bytes, field: str) -> None:
    if _BROKEN.search(text):
        raise ParameterInvalid("A percent sign stands before two hexadecimal digits: write % as %25.", field)
    try:
        unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ParameterInvalid("What percent signs stand for is UTF-8: write é as %C3%A9.", field) from None


def drop_odd_range() -> None:
    """Ignore a `Range` of several or malformed ranges, and one of another method than GET (RFC 9110 §14.2)."""
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    in_order = found is not None and (not found[1] or not found[2] or int(found[1]) <= int(found[2]))
    if request.method != "GET" or not in_order:
        request.environ.pop("HTTP_RANGE", None)


def one(name: str) -> str | None:
    """Return the parameter `name`, None if it is left out. Raises ParameterInvalid if it is given twice."""
    found = request.args.getlist(name)
    if len(found) > 1:
        raise ParameterInvalid(f"{name} is given twice.", name)
    return found[0] if found else None


def flag(name: str) -> bool:
    """Parse the parameter `name`: 1, or 0 as if it is left out. Raises ParameterInvalid."""
    text = one(name)
    if text not in (None, "0", "1"):
        raise ParameterInvalid(f"{name} is 0 or 1.", name)
    return text == "1"


def limit(default: int, most: int) -> int:
    """Parse `limit`: 1 to `most`; above is cut. Raises ParameterInvalid."""
    text = one("limit")
    if text is None:
        return default
    return min(_whole(text, "limit", "limit is a whole number from 1 on."), most)


def before() -> int | None:
    """Return `before`: an id, None if it is left out. Raises ParameterInvalid."""
    text = one("before")
    if text is None:
        return None
    return _whole(text, "before", "before is the id of a message or quote.")


def _whole(text: str, name: str, rule: str) -> int:
    """Parse a whole number from 1 on, of any length; above `_LARGEST` it is cut to that."""
    digits = text.lstrip("0")
    if not _DECIMAL.fullmatch(text) or not digits:
        raise ParameterInvalid(rule, name)
    return int(digits) if len(digits) <= 15 else _LARGEST


def wait() -> tuple[float, bool]:
    """Return the seconds to hold a poll, and True if `Prefer` asked for them (RFC 7240 §4.3).

    The parameter wins. A preference that cannot be read is no preference. Raises ParameterInvalid.
    """
    text = one("wait")
    if text is not None:
        if not _SECONDS.fullmatch(text):
            raise ParameterInvalid("wait is a number of seconds from 0 to 25.", "wait")
        return min(float(text), LONGEST_WAIT), False
    preferred = _PREFER_WAIT.search(request.headers.get("Prefer", ""))
    if preferred and _SECONDS.fullmatch(preferred[1]):
        return min(float(preferred[1]), LONGEST_WAIT), True
    return 0.0, False


def heartbeat() -> float:
    """Parse `heartbeat`: seconds between two heartbeats of a stream, 1 to 15, else cut. Raises ParameterInvalid."""
    text = one("heartbeat")
    if text is None:
        return HEARTBEAT
    if not _SECONDS.fullmatch(text):
        raise ParameterInvalid("heartbeat is a number of seconds from 1 to 15.", "heartbeat")
    return min(max(float(text), 1.0), HEARTBEAT)


def after() -> Cursor | Now:
    """Parse `after`: a cursor; left out it is ``now``. Raises CursorInvalid, ParameterInvalid."""
    text = one("after")
    return NOW if text is None else cursor.parse(text)


def after_by_room() -> dict[str, Cursor | Now]:
    """Parse `after=ROOM:CURSOR`, once for each room, in their order. Raises ParameterInvalid, CursorInvalid."""
    found: dict[str, Cursor | Now] = {}
    for text in request.args.getlist("after"):
        room, _, position = text.partition(":")
        if room in found:
            raise ParameterInvalid(f"The room {room[:80]} is given twice.", "after")
        try:
            found[room] = cursor.parse(position or "now")
        except CursorInvalid as refused:
            refused.room = room[:80]
            raise
    if not 1 <= len(found) <= MOST_ROOMS:
        raise ParameterInvalid(f"after is ROOM:CURSOR, for 1 to {MOST_ROOMS} rooms.", "after")
    return found


def accepted(*media: str) -> str | None:
    """Return the type of `media` that the client prefers, the first if several are equal; None if it accepts none.

    Parameters are ignored: `application/json; charset=utf-8` is as `application/json`.
    """
    asked = [(value.partition(";")[0].strip(), quality) for value, quality in request.accept_mimetypes]
    return MIMEAccept(asked).best_match(media)


def json_object() -> dict[str, Any]:
    """Parse the body, which must be a JSON object. Raises UnsupportedMediaType, TooLarge, MalformedJson, …"""
    return an_object(json_body())


def fields(*, needed: bool = True) -> dict[str, Any]:
    """Parse the body, a JSON object, and drop its fields with null.

    Unless a body is `needed`, a request without one gives no fields. Raises as `json_object`.
    """
    found = json_object() if needed or has_body(request.environ) else {}
    return {name: value for name, value in found.items() if value is not None}


def an_object(value: Any) -> dict[str, Any]:
    """Return `value`, the content of a body. Raises Invalid if it is no JSON object."""
    if not isinstance(value, dict):
        raise Invalid("body", "The body is a JSON object.")
    return value


def json_body() -> Any:
    """Parse the body, which must be JSON. Raises UnsupportedMediaType, TooLarge, MalformedJson."""
    if _media_type() != _JSON:
        raise UnsupportedMediaType("The body is application/json.")
    return json.loads(_body())


def is_text() -> bool:
    """Return True if the body is plain text, by its type or as a bare ``curl -d`` sends it."""
    return _media_type() in _TEXT


def text_body() -> str:
    """Return the whole body as text. Raises TooLarge, MalformedJson if it is not UTF-8."""
    try:
        return _body().decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("message", "The text is not UTF-8.") from None


def _media_type() -> str:
    if request.headers.get("Content-Encoding"):
        raise UnsupportedMediaType("Bodies are taken as they are, without a Content-Encoding.")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("Bodies are UTF-8.")
    return request.mimetype


def _body() -> bytes:
    most = request.max_content_length
    assert most is not None
    if (request.content_length or 0) > most:
        raise TooLarge(f"A body is at most {most} bytes.")
    # The stream, not get_data(): that would parse a form. One byte more tells a chunked body that is too long.
    found = request.environ["wsgi.input"].read(min(request.content_length or most + 1, most + 1))
    if len(found) > most:
        raise TooLarge(f"A body is at most {most} bytes.")
    if len(found) < (request.content_length or 0):
        # A truncated text must not pass for the complete one.
        raise ParameterInvalid("The body is shorter than its Content-Length says.", "Content-Length")
    return bytes(found)

"""Strict JSON in (RFC 8259, narrowed by I-JSON, RFC 7493), compact JSON out.

The standard parser accepts more than two programs would agree on: NaN, duplicate keys, lone surrogates.
Here all of that is a `MalformedJson`, the same over HTTP and WebSocket.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

from .errors import MalformedJson

MAX_DEPTH = 32

# Strings first, so that brackets inside them are skipped. An unclosed one, which the parser will refuse, reaches to
# the end: were it no match, every quote in it would be looked at as another beginning, in square time.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(data: bytes | str) -> Any:
    """Parse the value that `data` spells. Raises MalformedJson."""
    text = _text(data)
    _check_depth(text)
    try:
        value = _decoder.decode(text)
    except RecursionError:  # cannot be: the depth was checked; kept for other interpreters
        raise MalformedJson("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as fault:
        raise MalformedJson(f"Not JSON at character {fault.pos}: {fault.msg}.") from None
    except ValueError:  # more digits than int() takes
        raise MalformedJson("A number has too many digits.") from None
    if "\\u" in text:
        _check_strings(value)
    return value


def own(data: bytes | str) -> Any:
    """Parse a value that `dumps` has spelt: nothing in it needs to be checked, so it takes a tenth of the time."""
    return msgspec.json.decode(data)


def dumps(value: Any) -> bytes:
    """Return `value` as compact UTF-8; keys keep their order, so equal values give equal bytes."""
    return msgspec.json.encode(value)


def _text(data: bytes | str) -> str:
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError as fault:
            raise MalformedJson(f"Not UTF-8 at byte {fault.start}.") from None
    if data.startswith("\ufeff"):
        raise MalformedJson("A byte order mark does not belong before JSON.")
    if "\0" in data:
        raise MalformedJson("NUL does not belong in JSON.")
    return data


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:  # nearly every text: too few to be nested deeper
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        sign = found[0][0]
        if sign in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedJson(f"The JSON is nested deeper than {MAX_DEPTH}.")
        elif sign in "]}":
            depth -= 1


def _check_strings(value: Any) -> None:
    """Refuse characters that only escapes can bring in: lone surrogates and NUL."""
    if isinstance(value, str):
        if "\0" in value:
            raise MalformedJson("NUL does not belong in JSON.")
        if _SURROGATE.search(value):
            raise MalformedJson("A string holds a lone surrogate.")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_strings(key)
            _check_strings(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_strings(inner)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedJson("An object has the same key twice.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON.")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise MalformedJson("A number is too large.")
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_float)

"""Decoding by msgspec: types are made ready for threads, and its faults become refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from .errors import Invalid

_FIELD = re.compile(r" - at `\$\.?(.*)`")
_MISSING = re.compile(r"missing required field `(\w+)`")


def prepare(types: Iterable[type[msgspec.Struct]]) -> None:
    """Build the decoders of Structs now, which msgspec builds when it first decodes into one.

    msgspec 0.22 publishes that description before it is complete: a second thread whose first decoding comes meanwhile
    reads null pointers, and the process ends with SIGSEGV. Call it where the types are defined: an import is finished
    before another thread sees its names.
    """
    for each in types:
        msgspec.json.Decoder(each)


def completed(said: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return a message to send with the fields that a client may leave out: its author, and beside files its text."""
    missing: dict[str, Any] = {}
    if name is not None and said.get("user") is None:
        missing["user"] = name
    if said.get("files") and said.get("message") is None:
        missing["message"] = ""
    return {**said, **missing} if missing else said


def without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Return `fields` without those that are null, which are as if left out."""
    return {name: value for name, value in fields.items() if value is not None}


def with_inner(
    envelope: dict[str, Any], name: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Return `envelope` with the object `name` in it as `change` returns it; as it is if there is no such object."""
    inner = envelope.get(name)
    return {**envelope, name: change(inner)} if isinstance(inner, dict) else envelope


def refusal(fault: str) -> Invalid:
    """Return the refusal for the words of msgspec: "Expected `str`, got `int` - at `$.message.user`" is of ``user``.

    An element of a list has no name of its own, and neither has its id: what is wrong with them is of the list.
    """
    path = _FIELD.search(fault)
    missing = _MISSING.search(fault)
    said = _FIELD.sub("", fault)
    place, within, element = (path[1] if path else "").partition("[")
    field = place.rpartition(".")[2]
    inner = missing[1] if missing else element.partition("].")[2]
    if inner and not (within and inner == "id"):
        field = inner
    if missing:
        return Invalid(field, f"{missing[1]} is missing.")
    if field == "client_id":
        said = "A client_id is 1 to 64 of A-Z, a-z, 0-9, _ and -"
    return Invalid(field or "command", f"{said}.".replace("`", ""))

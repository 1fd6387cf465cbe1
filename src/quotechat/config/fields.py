"""One setting: its environment variable, how its text is read and written, and its bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import Field, field
from pathlib import Path
from typing import Any

PREFIX = "QUOTECHAT_"


class SettingsError(ValueError):
    """A setting that cannot be used; the message names its environment variable."""


def variable(name: str) -> str:
    """Return the environment variable of the setting `name`: ``port`` → ``QUOTECHAT_PORT``."""
    return PREFIX + name.upper()


def _switch(text: str) -> bool:
    known = {"on": True, "off": False, "true": True, "false": False, "1": True, "0": False}
    if text.lower() not in known:
        raise ValueError("must be on or off")
    return known[text.lower()]


def _whole(text: str) -> int:
    # int() alone also takes "1_0", "+1" and digits of other scripts.
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", text):
        raise ValueError("must be a number")
    return float(text)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[\s,]+", text) if part)


def _path(text: str) -> Path:
    return Path(text).expanduser()


_READERS: dict[type, Callable[[str], Any]] = {
    bool: _switch,
    int: _whole,
    float: _number,
    tuple: _listed,
    type(Path()): _path,
    str: str,
}


def setting(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    secret: bool = False,
) -> Any:
    """Declare one field, with how it is read from text and the bounds (inclusive) that it must keep."""
    metadata = {"doc": doc, "low": low, "high": high, "secret": secret, "read": _READERS[type(default)]}
    return field(default=default, repr=not secret, metadata=metadata)


def read(each: Field[Any], text: str) -> Any:
    """Parse the text of its variable. Raises SettingsError."""
    try:
        return each.metadata["read"](text)
    except ValueError as fault:
        given = "" if each.metadata["secret"] else f", not {text!r}"
        raise SettingsError(f"{variable(each.name)} {fault}{given}") from None


def written(value: object) -> str:
    """Return the text that `read` makes the same value of."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)

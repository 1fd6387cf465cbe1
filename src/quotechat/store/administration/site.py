"""Settings that an administrator changes while the server runs: rows of `site`, with their defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ...protocol import names
from ...protocol.errors import Invalid
from ..shapes import Sql

DEFAULTS: Final[Mapping[str, str]] = {
    "title": "quotechat",
    "contact": "",
    "rooms_by": "all",
    "invites_by": "admins",
    "directs": "all",
    "bots_by": "admins",
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "rooms_by": ("all", "admins"),
    "invites_by": ("all", "admins"),
    "directs": ("all", "admins", "none"),
    "bots_by": ("all", "admins"),
}
_CONTACT = re.compile(r"(mailto:|https://)[!-~]{3,200}")


def all_of(sql: Sql) -> dict[str, str]:
    """Return every setting of the site, by name."""
    return {**DEFAULTS, **{key: value for key, value in sql.all("SELECT key, value FROM site") if key in DEFAULTS}}


def clean(changed: Mapping[str, object]) -> dict[str, str]:
    """Return `changed` as it is kept. Raises Invalid."""
    return {name: _clean(name, value) for name, value in changed.items()}


def change(sql: Sql, changed: Mapping[str, str]) -> None:
    """Store the settings that `clean` returned."""
    for name, value in changed.items():
        sql.run(
            "INSERT INTO site (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            name, value,
        )  # fmt: skip


def _clean(name: str, value: object) -> str:
    if name not in DEFAULTS:
        raise Invalid(name, "There is no such setting.")
    if not isinstance(value, str):
        raise Invalid(name, f"{name} is no text.")
    if name == "title":
        return names.clean_title(value)
    if name == "contact":
        if value and not _CONTACT.fullmatch(value):
            raise Invalid(name, "A contact begins with mailto: or https://.")
        return value
    if value not in _CHOICES[name]:
        raise Invalid(name, f"{name} is one of: {', '.join(_CHOICES[name])}.")
    return value

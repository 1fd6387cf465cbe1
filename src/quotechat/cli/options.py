"""Options that several commands share because they are settings, and the settings that come of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..config import Settings, SettingsError, default_of, variable
from ..protocol import cursor
from ..protocol.errors import Refused

_Command = TypeVar("_Command", bound=Callable[..., Any])


def option(name: str, doc: str, *, short: str | None = None, metavar: str) -> Callable[[_Command], _Command]:
    """Make an option that sets the setting `name`; its variable serves too."""
    names = [f"--{name}"] if short is None else [short, f"--{name}"]
    doc = f"{doc} [env: {variable(name)}; default: {default_of(name)}]"
    return click.option(*names, name, metavar=metavar, help=doc)


def check_cursor(text: str | None) -> None:
    """Raise BadParameter if `text` is given and no cursor of a room."""
    if text is None:
        return
    try:
        cursor.parse(text)
    except Refused as refused:
        raise click.BadParameter(refused.detail, param_hint="--since") from None


def settings_of(**flags: str | None) -> Settings:
    """Return the settings of the environment, with the flags that were given over them."""
    given = {variable(name): value for name, value in flags.items() if value is not None}
    try:
        return Settings.from_env({**os.environ, **given})
    except SettingsError as fault:
        raise click.UsageError(str(fault)) from None

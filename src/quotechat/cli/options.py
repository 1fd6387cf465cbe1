"""Options that several commands share because they are settings, and the settings that come of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..config import Settings, SettingsError, default_of, variable

_Command = TypeVar("_Command", bound=Callable[..., Any])


def option(name: str, doc: str, *, short: str | None = None, metavar: str) -> Callable[[_Command], _Command]:
    """Make an option that sets the setting `name`; its variable serves too."""
    names = [f"--{name}"] if short is None else [short, f"--{name}"]
    doc = f"{doc} [env: {variable(name)}; default: {default_of(name)}]"
    return click.option(*names, name, metavar=metavar, help=doc)


def settings_of(**flags: str | None) -> Settings:
    """Return the settings of the environment, with the flags that were given over them."""
    given = {variable(name): value for name, value in flags.items() if value is not None}
    try:
        return Settings.from_env({**os.environ, **given})
    except SettingsError as fault:
        raise click.UsageError(str(fault)) from None

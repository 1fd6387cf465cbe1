"""How commands tell: progress on a terminal, a fault in one line with exit code 1."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Callable, Iterator

import click

from ..config import SettingsError
from ..protocol.errors import Refused
from ..store.base import Impossible
from ..store.migrate import SchemaTooNew


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What makes a command impossible becomes its message."""
    try:
        yield
    except (Impossible, SchemaTooNew, SettingsError, OSError, sqlite3.Error) as fault:
        raise click.ClickException(str(fault)) from fault
    except Refused as refused:
        raise click.ClickException(str(refused)) from refused


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that follows (done, all there is) on standard error; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, all_there_is: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def follow(done: int, all_there_is: int) -> None:
            bar.length = max(all_there_is, 1)
            bar.update(done - bar.pos)

        yield follow


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 event``, ``1,234 events``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"

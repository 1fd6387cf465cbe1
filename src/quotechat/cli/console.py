"""Input and output of commands: times, progress on a terminal, a fault in one line with exit code 1."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator

import click

from ..config import SettingsError
from ..protocol.errors import Refused
from ..store.base import CommitFailed, Impossible
from ..store.migrate import SchemaTooNew


@contextlib.contextmanager
def reporting_faults() -> Iterator[None]:
    """Report an exception that ends a command by its message alone, with exit code 1."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of the output has enough: click ends quietly
    except (Impossible, CommitFailed, SchemaTooNew, SettingsError, OSError, sqlite3.Error) as fault:
        raise click.ClickException(str(fault)) from fault
    except Refused as refused:
        raise click.ClickException(str(refused)) from refused


@contextlib.contextmanager
def progress(label: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a bar that follows (done, total) on standard error; nothing if that is no terminal, or `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, all_there_is: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def follow(done: int, all_there_is: int) -> None:
            bar.length = max(all_there_is, 1)
            bar.update(done - bar.pos)

        yield follow


def now_ms() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def age(text: str) -> int:
    """Parse a time span such as ``90d``, in milliseconds; for an option."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a number with s, m, h or d behind it")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]] * 1000


def counted(number: int, one: str, many: str | None = None) -> str:
    """Format ``1 event``, ``1,234 events``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"

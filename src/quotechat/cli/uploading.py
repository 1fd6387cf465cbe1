"""Upload the files of a message."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import click

from ..client import Client
from ..protocol.markup import ansi
from .console import progress


def uploaded(client: Client, room: str, paths: tuple[str, ...], alts: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Upload files for a message; a sender without a token becomes a guest, to whom they belong.

    The first of `alts` describes the first file, and so on. Raises UsageError if there are more of them than files.
    """
    if len(alts) > len(paths):
        raise click.UsageError("--alt describes a --file, and there are fewer of them")
    if paths and client.token is None:
        client.sign_in(client.user or "")
    found = []
    for path in paths:
        with progress(f"bytes of {click.format_filename(path, shorten=True)}") as follow:
            found.append(str(client.upload(path, room=room, progress=follow)["id"]))
    return [{"id": each, **({"alt": alt} if alt else {})} for each, alt in zip_longest(found, alts)]


def line_of_file(file: dict[str, Any]) -> str:
    """Return a line about a file of a message, for a terminal."""
    alt = f": {file['alt']}" if "alt" in file else ""
    return ansi.safe(f"[{file['name']}, {file['size']:,} bytes{alt}]")

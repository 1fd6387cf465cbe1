"""Upload the files that a message is sent with."""

from __future__ import annotations

import click

from ..client import Client
from .telling import progress


def uploaded(client: Client, room: str, paths: tuple[str, ...]) -> list[str]:
    """Upload files for a message; a sender without a token becomes a guest, to whom they belong."""
    if paths and client.token is None:
        client.sign_in(client.user or "")
    found = []
    for path in paths:
        with progress(f"bytes of {click.format_filename(path, shorten=True)}") as follow:
            found.append(str(client.upload(path, room=room, progress=follow)["id"]))
    return found

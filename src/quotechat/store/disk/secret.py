"""The secret of a store that lies in a directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from .files import give_to_owner


def keep_secret(path: Path, secret: str) -> None:
    """Make `path` hold `secret`, completely or not at all."""
    os.replace(_beside(path, secret), path)


def load_secret(path: Path) -> str:
    """Return the secret in `path`, made on first use; workers that start together agree on one."""
    if not path.exists():
        temporary = _beside(path, secrets.token_hex(32))
        try:
            # A link is made completely or not at all, and the first one wins.
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
    found = path.read_text()
    if len(found.strip()) < 32:
        # With an empty secret any client could forge any identity.
        raise ValueError(f"{path} holds no secret; remove it and a new one is made")
    return found


def _beside(path: Path, secret: str) -> Path:
    """Make a file of a random name beside `path` that holds `secret`, on the disk."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        give_to_owner(file.fileno(), path.parent)
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return temporary

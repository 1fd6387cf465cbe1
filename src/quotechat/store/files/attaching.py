"""Files of a message: those that its sender has uploaded become its own, and are dropped with it.

The room's lock is held, which keeps a file from being sent and removed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...protocol.errors import Invalid
from ...protocol.types.file_types import Attached, Descriptions, FileIds, id_of
from ..accounts import callers
from ..shapes import Sql

_WAITING = (
    "SELECT identity, hash, message_id, scheduled, name, type, size, width, height, thumb FROM file"
    " WHERE id = ? AND room_id = ?"
)


def waiting(
    sql: Sql, room_id: int, identity: str | None, files: FileIds | None, scheduled: int | None = None
) -> list[dict[str, Any]]:
    """Return `files` of `identity`, as a message has them. Raises Invalid unless all wait to be sent.

    They may belong to the message `scheduled`, which is due.
    """
    found = []
    for file in files or ():
        file_id = id_of(file)
        row = sql.one(_WAITING, file_id, room_id)
        if row is None or identity is None or not callers.owns(sql, identity, row[0]):
            raise Invalid("files", f"You have no file {file_id} in this room.")
        if row[1] is None:
            raise Invalid("files", f"The file {file_id} is not complete yet.")
        if row[2] is not None or row[3] not in (None, scheduled):
            raise Invalid("files", f"The file {file_id} belongs to a message already.")
        alt = {"alt": file.alt} if isinstance(file, Attached) else {}
        found.append(shown(file_id, *row[4:]) | alt)
    return found


def described(files: Sequence[dict[str, Any]], changes: Descriptions) -> list[dict[str, Any]]:
    """Return the `files` of a message with other descriptions. Raises Invalid for one that it does not have."""
    alts = {each.id: each.alt for each in changes}
    strange = sorted(alts.keys() - {file["id"] for file in files})
    if strange:
        raise Invalid("files", f"The message has no file {strange[0]}.")
    return [_with_alt(file, alts[file["id"]]) if file["id"] in alts else file for file in files]


def _with_alt(file: dict[str, Any], alt: str | None) -> dict[str, Any]:
    bare = {name: value for name, value in file.items() if name != "alt"}
    return bare if alt is None else bare | {"alt": alt}


def shown(
    file_id: str, name: str, kind: str, size: int, width: int | None, height: int | None, thumb: bytes | None
) -> dict[str, Any]:
    """Return a file as messages and answers have it."""
    found: dict[str, Any] = {"id": file_id, "name": name, "type": kind, "size": size}
    if width is not None:
        found |= {"width": width, "height": height}
    return found | ({"thumb": True} if thumb is not None else {})


def attach(sql: Sql, files: list[dict[str, Any]], message_id: int) -> None:
    """Let `files` belong to the message."""
    for file in files:
        sql.run("UPDATE file SET message_id = ?, scheduled = NULL WHERE id = ?", message_id, file["id"])


def reserve(sql: Sql, files: FileIds | None, scheduled: int) -> None:
    """Let files belong to a scheduled message."""
    for file in files or ():
        sql.run("UPDATE file SET scheduled = ? WHERE id = ?", scheduled, id_of(file))


def drop(sql: Sql, condition: str, *values: object) -> None:
    """Drop the files for which `condition` holds; their contents are removed later, if no other file has them."""
    for column in ("hash", "thumb"):
        sql.run(
            f"INSERT INTO dropped (hash) SELECT DISTINCT {column} FROM file WHERE {column} IS NOT NULL"
            f" AND ({condition}) ON CONFLICT DO NOTHING", *values,
        )  # fmt: skip
    sql.run(f"DELETE FROM file WHERE {condition}", *values)

"""Files as messages and answers have them; see `wire`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .. import names
from ..errors import Invalid

FileId = Annotated[str, Meta(pattern=r"\A[a-z2-7]{20}\Z", description="The id of a file.")]
MOST_FILES = 10
"""Files of one message."""
MOST_ALT = 500
"""Characters of the description of a file."""


class Attached(msgspec.Struct, frozen=True):
    """A file of a message that is to be sent, described for those who do not see it."""

    id: FileId
    alt: str | None = None


FileIds = Annotated[
    tuple[FileId | Attached, ...],
    Meta(max_length=MOST_FILES, description="Own files that wait in this room: ids, or ids with descriptions."),
]

Descriptions = Annotated[
    tuple[Attached, ...],
    Meta(max_length=MOST_FILES, description="Files of the message with new descriptions; without `alt` it has none."),
]


def attached(files: FileIds | None) -> FileIds | None:
    """Return files to send, each description on one line; without one a file is its id alone. Raises Invalid."""
    return tuple(each if isinstance(each, str) or each.alt else each.id for each in _clean(files)) or None


def described(files: Descriptions | None) -> Descriptions | None:
    """Return files that get other descriptions, each on one line. Raises Invalid."""
    return tuple(each for each in _clean(files) if isinstance(each, Attached)) or None


def _clean(files: Iterable[str | Attached] | None) -> list[str | Attached]:
    clean = [
        each if isinstance(each, str) else Attached(each.id, names.clean_alt(each.alt or "", MOST_ALT) or None)
        for each in files or ()
    ]
    if len(set(map(id_of, clean))) < len(clean):
        raise Invalid("files", "A file is given twice.")
    return clean


def id_of(attached: str | Attached) -> str:
    """Return the id of a file that is to be sent."""
    return attached if isinstance(attached, str) else attached.id


class File(msgspec.Struct):
    """A file: its bytes are at `/files/ID`, a small picture of it at `/files/ID/thumb`."""

    id: FileId
    name: str
    type: Annotated[str, Meta(description="The media type, found by its content.")]
    size: Annotated[int, Meta(ge=0, description="Bytes.")]
    width: Annotated[int, Meta(ge=1, description="Pixels, as it is shown.")] | UnsetType = UNSET
    height: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    thumb: Annotated[bool, Meta(description="There is a small picture of it.")] | UnsetType = UNSET
    alt: Annotated[str, Meta(max_length=MOST_ALT, description="What it shows, in its sender's words.")] | UnsetType = (
        UNSET
    )


class Uploaded(msgspec.Struct):
    """The file, once it is complete; until then nothing, and the next part goes to `Location`."""

    file: File | UnsetType = UNSET

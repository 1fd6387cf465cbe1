"""Positions between the pages of a search: what clients give back as `before`."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...protocol.errors import ParameterInvalid

_HIT = r"([0-9]{1,15})\.([a-z0-9][a-z0-9-]{0,62})\.([0-9]{1,16})"
_BEFORE = re.compile(rf"(?:([0-2])\.)?{_HIT}(?:~{_HIT})?", re.ASCII)


class Before(NamedTuple):
    """The last hit of the page before: its rank if the best come first, its time, room and id.

    With a rank, `start` is the position behind which the best were chosen, None for the newest hit of all.
    """

    rank: int | None
    at: int
    room: str
    id: int
    start: Before | None = None

    def __str__(self) -> str:
        rank = "" if self.rank is None else f"{self.rank}."
        return f"{rank}{self.at}.{self.room}.{self.id}" + ("" if self.start is None else f"~{self.start}")


def before_of(value: str) -> Before:
    """Read the position after a page. Raises ParameterInvalid."""
    found = _BEFORE.fullmatch(value)
    if found is None:
        raise ParameterInvalid("before is that of the page before.", "before")
    rank, at, room, number, *start = found.groups()
    begun = None if start[0] is None else Before(None, int(start[0]), start[1], int(start[2]))
    return Before(None if rank is None else int(rank), int(at), room, int(number), begun)

"""Positions between the pages of a search: what clients give back as `before`."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...protocol.errors import ParameterInvalid

_HIT = r"([0-9]{1,15})\.([a-z0-9][a-z0-9-]{0,62})\.([0-9]{1,16})"
_BEFORE = re.compile(rf"(?:{_HIT}|([0-2])\.{_HIT}~{_HIT}~{_HIT})", re.ASCII)


class Before(NamedTuple):
    """The last hit of the page before: its rank if the best come first, its time, room and id.

    With a rank, `window` are the newest hit among which the best are chosen, and the message at which they end.
    """

    rank: int | None
    at: int
    room: str
    id: int
    window: tuple[Before, Before] | None = None

    def __str__(self) -> str:
        rank = "" if self.rank is None else f"{self.rank}."
        return "~".join([f"{rank}{self.at}.{self.room}.{self.id}", *map(str, self.window or ())])


OLDEST = Before(None, 0, "0", 0)
"""The end of a window that ends with the oldest message of all."""


class Stretch(NamedTuple):
    """What a page is chosen among: the messages after `before`, or those from `first` to `last`, both included."""

    before: Before | None = None
    first: Before | None = None
    last: Before | None = None


def before_of(value: str) -> Before:
    """Read the position after a page. Raises ParameterInvalid: also for a rank without a window, as it once was."""
    found = _BEFORE.fullmatch(value)
    if found is None:
        raise ParameterInvalid("before is that of the page before.", "before")
    groups = found.groups()
    if groups[3] is None:
        return _hit(*groups[:3])
    window = (_hit(*groups[7:10]), _hit(*groups[10:13]))
    return _hit(*groups[4:7])._replace(rank=int(groups[3]), window=window)


def _hit(at: str, room: str, number: str) -> Before:
    return Before(None, int(at), room, int(number))

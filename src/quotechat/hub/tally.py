"""A histogram of plain numbers, cheap where they are made. Who shows it is no business of this floor."""

from __future__ import annotations

from bisect import bisect_left


class Tally:
    """How many observations fall up to each of `bounds`, which rise; the last count is for those above all.

    One thread observes. Whoever reads may be one observation behind.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count `value`."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

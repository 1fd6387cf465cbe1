"""A histogram of plain numbers, cheap for the code that counts. Showing them is no business of this floor."""

from __future__ import annotations

from bisect import bisect_left


class Tally:
    """Count observations up to each of `bounds`, which rise; the last count is for those above all.

    One thread observes. A reader may be one observation behind.
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

"""How many hits of the index are read and compared together. Pure."""

from __future__ import annotations

FIRST = 50
"""Hits of the first chunk; the number grows while that is quick."""
_LEAST, _MOST = 10, 400
_QUICK, _SLOW = 0.01, 0.04
"""Seconds of the thread's time for a chunk, below which the next one is larger, and above which it is smaller."""


def next_size(size: int, seconds: float) -> int:
    """Return how many candidates are read next, after `size` of them took so many `seconds` of work."""
    if seconds > _SLOW:
        return max(_LEAST, size // 2)
    return min(_MOST, 4 * size) if seconds < _QUICK else size

"""Share the file descriptors of a worker among its connections, so that all kinds together are fewer than there are."""

from __future__ import annotations

import resource

KEPT_FREE = 512
"""Descriptors for all but connections: the store, files that are read or written, locks, pipes."""
_MOST_LINGERING = 1000
_MOST_ANSWERED = 20_000


def limit() -> int:
    """Return how many descriptors this process may have."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_048_576 if files == resource.RLIM_INFINITY else files


def held(files: int, wanted: int) -> int:
    """Return how many connections may be held for long, `wanted` at most: sockets, streams, polls, kept senders."""
    return min(wanted, max(1, files // 8, files * 3 // 4 - KEPT_FREE))


def lingering(files: int) -> int:
    """Return how many connections may be at their end, with a part of an answer that is still to be read."""
    return max(1, min(_MOST_LINGERING, files // 8))


def answered(files: int, held: int, threads: int) -> int:
    """Return how many other connections there may be, beside those `held`: new, at rest, or waiting for an answer.

    One more than there are `threads` at least.
    """
    return max(threads + 1, min(_MOST_ANSWERED, files - held - lingering(files) - KEPT_FREE))

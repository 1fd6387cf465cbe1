"""Close descriptors that are bare numbers, which Python does not close by itself."""

from __future__ import annotations

import os
import weakref


def close_with(owner: object, number: int) -> None:
    """Close the descriptor `number` when `owner` is collected: not earlier, since any thread may still write to it."""
    # Not at the end of the process, which closes all, while threads may still run.
    weakref.finalize(owner, os.close, number).atexit = False

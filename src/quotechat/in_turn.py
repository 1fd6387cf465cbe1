"""Functions that one thread at a time calls, so that what they keep is made once.

Nothing of quotechat is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def in_turn(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: threads that call `function` at once wait for each other.

    Above `functools.cache` the first thread makes the value and the others find it. Without it each of them makes it,
    for the cache has no lock: 50 first requests at once hashed all static files 50 times.
    """
    lock = threading.RLock()

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with lock:
            return function(*args, **kwargs)

    return called

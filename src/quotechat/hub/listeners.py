"""Call listeners so that a fault of one does not keep the news from the others. Which listeners, the caller knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from .. import supervision

log = logging.getLogger(__name__)


def call(listeners: Iterable[Callable[..., None]], *arguments: Any) -> None:
    """Call each of `listeners` with `arguments`, in order; a fault is logged and counted."""
    for listener in listeners:
        try:
            listener(*arguments)
        except Exception:
            supervision.count("listener")
            log.exception("a listener failed; readers find in the store what it was told of")

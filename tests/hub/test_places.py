"""Places for threads that wait: some threads are always left for readers."""

from __future__ import annotations

import time

import pytest

from quotechat.hub.budgets.places import PATIENCE, Places
from quotechat.protocol.errors import Overloaded


def test_while_nothing_moves_only_the_first_waits() -> None:
    """Of senders that come while the disk does not answer, all but the first are refused at once: each that waited
    would have a thread for as long as it does, one after the other."""
    places = Places(threads=2, polls=1)
    with places.sending():
        began = time.monotonic()
        for _ in range(40):
            with pytest.raises(Overloaded), places.sending():
                pass
        assert time.monotonic() - began < 20 * PATIENCE
    with places.sending():  # it is free again
        pass

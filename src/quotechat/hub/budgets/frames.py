"""How many frames a socket may send, and all sockets of one address, at the same time or one after the other."""

from __future__ import annotations

from collections import OrderedDict

BURST = 2000
PER_SECOND = 500
"""Frames of one socket, after a burst: faster ones are read later. A ping costs its sender 6 bytes and us 10 µs
of the one thread that serves all sockets."""
SOCKETS = 10
"""Sockets whose frames one address may send."""
_MOST = 100_000


class Allowance:
    """`times` as many frames as one socket may send. `now` is in seconds of the monotonic clock."""

    __slots__ = ("_at", "_left", "_times")

    def __init__(self, now: float, times: int = 1) -> None:
        self._times = times
        self._left: float = BURST * times
        self._at = now

    def take(self, frames: int, now: float) -> None:
        """Take `frames`, also more than there are."""
        self._left = min(BURST * self._times, self._left + (now - self._at) * PER_SECOND * self._times) - frames
        self._at = now

    def wait(self, now: float) -> float:
        """Return the seconds until no more were taken than there are; 0 or less if it is so now."""
        return self._at - now - self._left / (PER_SECOND * self._times)


class Addresses:
    """The allowances of the addresses; if there are too many, the one that was used longest ago is forgotten."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._found: OrderedDict[str, Allowance] = OrderedDict()

    def of(self, address: str, now: float) -> Allowance:
        """Return the allowance of `address`."""
        found = self._found.get(address)
        if found is None:
            found = self._found[address] = Allowance(now, SOCKETS)
            if len(self._found) > self._most:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(address)
        return found

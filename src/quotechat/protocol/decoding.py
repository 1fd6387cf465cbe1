"""Make types ready for threads before any thread decodes into them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


def prepare(types: Iterable[type[msgspec.Struct]]) -> None:
    """Build now what msgspec builds when a Struct is first decoded into.

    msgspec 0.22 publishes that description before it is complete: a second thread whose first decoding comes meanwhile
    reads null pointers, and the process ends with SIGSEGV. Call it where the types are defined: an import is finished
    before another thread sees its names.
    """
    for each in types:
        msgspec.json.Decoder(each)

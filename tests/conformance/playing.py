"""Play a case against a real server, over a socket of our own, and tell what was seen."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
from collections.abc import Iterator

from cases import Case, pong
from wire import frame, frames, opened

MOMENT = 0.05
"""Seconds in which nothing may come."""


def expected(case: Case) -> list[str]:
    """What has to be seen."""
    return [*case.answers, "close" if case.code is None else f"close {case.code}", "end"]


def seen(url: str, case: Case) -> list[str]:
    """What comes back, to the end of the connection; what should not have come is among it."""
    with opened(url) as sock:
        # Frame by frame means a segment for each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        coming = _told(sock)
        found: list[str] = []
        # All at once, unless something is to be seen in between.
        parts = case.parts if case.chop or case.quiet else [b"".join(case.parts)]
        for place, part in enumerate(parts):
            _send(sock, part, case.chop)
            if case.quiet > 0 and place < len(parts) - 1 and select.select([sock], [], [], MOMENT)[0]:
                found += ["too early", next(coming)]
            if case.quiet < 0 and place < len(parts) - 1:
                found.append(next(coming))
        if case.ours:
            while len(found) < len(case.answers) and not (found and found[-1] == "end"):
                found.append(next(coming))
            _send(sock, frame(8, struct.pack("!H", 1000)), 0)
        return [*found, *coming]


def _send(sock: socket.socket, data: bytes, chop: int) -> None:
    # A server that has refused what came need not take the rest.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        size = chop if chop > 0 else max(1, len(data))
        for at in range(0, len(data), size):
            sock.sendall(data[at : at + size])


def _told(sock: socket.socket) -> Iterator[str]:
    for first, payload in frames(sock):
        if first == 0x81:
            envelope = json.loads(payload)
            what = envelope.get("error", {}).get("code", "envelope")
            yield f"{envelope['command']} {what}"
        elif first == 0x8A:
            yield pong(payload)
        elif first == 0x88:
            yield f"close {struct.unpack('!H', payload[:2])[0]}" if payload else "close"
        else:
            yield f"a frame that begins with {first:#x}"
    yield "end"

"""What a server hands over with a request, and what it means when a server hands over nothing."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from quotechat.live import handoff
from quotechat.live.handoff import Handoff


def _given() -> Handoff:
    def give_back(sock: socket.socket, data: bytes, first_byte_at: float) -> None:
        sock.close()

    return Handoff(give_back, "", lambda: True, None, 1, b"GET / HTTP/1.1\r\n\r\n")


def test_the_application_finds_what_the_worker_put() -> None:
    """The object that the worker puts into the environment is the one that the application gets."""
    environ: dict[str, Any] = {}
    given = _given()
    given.put(environ)
    assert handoff.of(environ) is given
    assert handoff.need(environ) is given


def test_other_servers_hand_over_nothing() -> None:
    """Without one, the request's socket stays with its server; code that needs one fails at once."""
    assert handoff.of({}) is None
    with pytest.raises(AssertionError):
        handoff.need({})

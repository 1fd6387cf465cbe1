"""The client of a WebSocket: its name and rights, and the room with which it begins."""

from __future__ import annotations

from typing import Any

from ...protocol.errors import Refused
from ...protocol.rights.principal import VISITOR, Principal

First = tuple[str | None, str | None] | Refused
"""The `room` and `after` of the handshake's query, or why they cannot be read."""


class Client:
    """In whose name a socket sends."""

    __slots__ = ("address", "identity", "name", "principal")

    def __init__(
        self, identity: str | None, address: str, name: str | None = None, principal: Principal = VISITOR
    ) -> None:
        self.identity = identity
        self.address = address
        self.name = name
        self.principal = principal


def client_id_of(envelope: Any) -> str | None:
    """Return the `client_id` of an envelope that is otherwise wrong, as far as it can be repeated."""
    found = envelope.get("client_id") if isinstance(envelope, dict) else None
    return found if isinstance(found, str) and len(found) <= 64 else None

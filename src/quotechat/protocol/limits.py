"""The numbers of the protocol (docs/protocol.md), each once. Those that an operator may set are in `config`."""

from __future__ import annotations

LONGEST_WAIT = 25.0
"""Seconds that a poll is held at the most; proxies commonly give up after 30."""
HEARTBEAT = 15.0
"""Seconds between two heartbeats of a stream, at the most."""
SOCKET_HEARTBEAT = 20.0
"""Seconds between two heartbeats of a WebSocket."""
MOST_ROOMS = 50
"""Rooms that one poll, one socket, one token, one invitation or one webhook may name."""
MOST_PENDING = 64
"""Commands of one socket that may wait for the disk; until then no more is read from it."""

"""What a sans-I/O WebSocket library costs: `python -m bench.websocket_library`.

Memory of an idle connection, and time to read one small message, for wsproto and for the `Protocol` of
websockets, and for our `Connection`, which stands on the one that was chosen.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.protocol import Protocol, Side
from wsproto.connection import Connection as Wsproto
from wsproto.connection import ConnectionType

from quotechat.live.connection import Connection

PAYLOAD = b'{"command":"ping"}'
FRAME = struct.pack("!BB4x", 0x81, 0x80 | len(PAYLOAD)) + PAYLOAD
IDLE = 5000
MESSAGES = 50_000


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def wsproto_read(connection: Any) -> None:
    connection.receive_data(FRAME)
    for event in connection.events():
        assert event.data


def websockets_read(connection: Any) -> None:
    connection.receive_data(FRAME)
    for event in connection.events_received():
        assert event.data


def measure(name: str, make: Callable[[], Any], read: Callable[[Any], None]) -> None:
    """Print one line."""
    make()
    before = resident()
    idle = [make() for _ in range(IDLE)]
    size = (resident() - before) / IDLE
    one, began = idle[0], time.perf_counter()
    for _ in range(MESSAGES):
        read(one)
    each = (time.perf_counter() - began) / MESSAGES * 1e6
    print(f"{name:12} {size:6,.0f} bytes idle   {each:5.1f} µs a message")


if __name__ == "__main__":
    measure("wsproto", lambda: Wsproto(ConnectionType.SERVER, extensions=[]), wsproto_read)
    measure("websockets", lambda: Protocol(Side.SERVER, max_size=65_536), websockets_read)
    measure("ours", lambda: Connection(65_536), lambda connection: connection.receive(FRAME))

"""A TCP proxy that breaks connections: one decision for each connection, from a seeded chance.

Only bytes and connections live here; it knows neither HTTP nor us. All of it runs in one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Plan:
    """What befalls one connection. Bytes count from upstream to the client, seconds from its beginning.

    `reset_at`: the request goes through, and instead of byte `reset_at` of the answer the client gets a reset.
    `cut_at`: the stream ends in order after so many bytes. `delay`: seconds before each chunk is passed on.
    `stall_at`, `stall`: after so many bytes nothing passes for so many seconds. `rate`: bytes per second that pass at
    most, with little in between, so that the server notices how slow its reader is.
    """

    reset_at: int | None = None
    cut_at: int | None = None
    delay: float = 0.0
    stall_at: int | None = None
    stall: float = 0.0
    rate: int | None = None

    @property
    def name(self) -> str:
        """What kind of fault it is, for counting."""
        found = [name for name in ("reset", "cut", "stall") if getattr(self, f"{name}_at") is not None]
        return found[0] if found else "delay" if self.delay else "pass"


PASS = Plan()
_SLOW_BYTES = 16_384
"""Held of an answer for a slow reader."""
Choice = Callable[[random.Random], Plan]


def mixed(chance: random.Random) -> Plan:
    """A third of the connections get through; the others meet each fault as often."""
    return chance.choice(
        [
            PASS,
            PASS,
            Plan(reset_at=0),
            Plan(reset_at=chance.randrange(1, 2000)),
            Plan(cut_at=chance.randrange(1, 4000)),
            Plan(stall_at=chance.randrange(0, 2000), stall=chance.uniform(0.2, 1.0)),
            Plan(delay=chance.uniform(0.005, 0.05)),
        ]
    )


class Proxy:
    """``with Proxy(urls) as proxy:`` – `proxy.url` stands for any of `urls`; `choose` says what befalls a connection.

    `choose` may be replaced at any time, and `cut_all` resets what is open.
    """

    def __init__(self, urls: Sequence[str], choose: Choice = lambda chance: PASS, seed: int = 0) -> None:
        self._upstreams = [(parts.hostname, parts.port) for parts in map(urlsplit, urls)]
        self.choose = choose
        self._chance = random.Random(seed)
        self.met: Counter[str] = Counter()
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.url = ""

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *exception: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def cut_all(self) -> None:
        """Reset every connection to a client."""

        async def cut() -> None:
            for writer in list(self._open):
                self._reset(writer)

        self._call(cut())

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _end(self) -> None:
        self._server.close()
        running = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plan = self.choose(self._chance)
        self.met[plan.name] += 1
        self._open.add(writer)
        up_writer = None
        try:
            up_reader, up_writer = await self._connect(plan)
            up = asyncio.create_task(self._up(reader, up_writer))
            try:
                await self._down(up_reader, writer, plan)
            finally:
                up.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            for each in (writer, up_writer):
                if each is not None:
                    each.close()

    async def _connect(self, plan: Plan) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        upstream = self._chance.choice(self._upstreams)
        if plan.rate is None:
            return await asyncio.open_connection(*upstream)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BYTES)  # before it connects: it sets the window
        sock.setblocking(False)
        await self._loop.sock_connect(sock, upstream)
        return await asyncio.open_connection(sock=sock, limit=_SLOW_BYTES)

    async def _up(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                up.write(data)
                await up.drain()
            up.write_eof()

    async def _down(self, up: asyncio.StreamReader, writer: asyncio.StreamWriter, plan: Plan) -> None:
        passed, stall_at = 0, plan.stall_at
        while data := await up.read(65_536 if plan.rate is None else _SLOW_BYTES):
            if plan.delay:
                await asyncio.sleep(plan.delay)
            if plan.rate is not None:
                await asyncio.sleep(len(data) / plan.rate)
            if stall_at is not None and passed + len(data) > stall_at:
                stall_at = None
                await asyncio.sleep(plan.stall)
            for end in (plan.reset_at, plan.cut_at):
                if end is not None and passed + len(data) > end:
                    writer.write(data[: end - passed])
                    await writer.drain()
                    if end is plan.reset_at:
                        self._reset(writer)
                    return
            writer.write(data)
            await writer.drain()
            passed += len(data)

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        if sock is not None:
            # Closing with a linger of 0 s sends RST (socket(7)).
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

"""A real server that can be killed, and a proxy that cuts connections."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from forking import Forked
from private_postgres import free_port
from servers import START_SECONDS, environment, quotechat, started, until


class Mortal:
    """A server at one port that can be killed with all its processes and started again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | Forked | None = None

    def start(self) -> None:
        command = quotechat("serve", "--port", str(self.port), "--data", str(self.data))
        with open(os.devnull, "wb") as nowhere:
            self.process = started(command, env=environment(QUOTECHAT_LIMITS="off"), output=nowhere, session=True)
        until(self.answers, START_SECONDS, "an answer")

    def answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, "the server did not start"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            # Its workers may hold the address for a moment longer.
            until(lambda: not self._listening(), what="an address that is free")

    def _listening(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) != errno.ECONNREFUSED


class Cutting(socketserver.ThreadingTCPServer):
    """Passes bytes on in both directions, and cuts each connection after a random number of them."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: int, most: int, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Cut)
        self.target = target
        self.most = most
        self.chance = random.Random(seed)
        self.cuts = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Cut(socketserver.BaseRequestHandler):
    server: Cutting

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.target)) as upstream:
            ends = (self.request, upstream)
            self.left = self.server.chance.randint(1, self.server.most)
            threading.Thread(target=self.copy, args=ends[::-1], daemon=True).start()
            self.copy(*ends)

    def copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(min(4096, max(1, self.left))):
                sink.sendall(data)
                self.left -= len(data)
                if self.left <= 0:
                    self.server.cuts += 1
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutting(target: int, most: int, seed: int) -> Iterator[Cutting]:
    """Such a proxy before the port `target`; a connection passes at most `most` bytes."""
    with Cutting(target, most, seed) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield proxy
        proxy.shutdown()

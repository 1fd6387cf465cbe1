"""A real server for the browser tests, and a proxy that stands in its way."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import socketserver
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from forking import Forked
from servers import environment, quotechat, started

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """One that stays free while its server is away: below those that systems give to connections."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def until(probe: Callable[[], object], what: str, seconds: float = 90) -> None:
    """Waits until the probe is true; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Server:
    """`quotechat serve` as a process group of its own, which can be killed and started again."""

    def __init__(self, data: Path, port: int = 0, **settings: str) -> None:
        self.data = data
        self.settings = settings
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | Forked | None = None

    def start(self) -> None:
        env = environment(**{"QUOTECHAT_LIMITS": "off", **self.settings})
        command = quotechat("serve", "--port", str(self.port), "--data", str(self.data))
        with (self.data.parent / "server.log").open("ab") as log:
            self.process = started(command, env=env, output=log, session=True)
        until(self.answers, f"the server is ready; see {log.name}")

    def answers(self) -> bool:
        assert self.process is not None, "start it first"
        assert self.process.poll() is None, "the server ended by itself"
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """kill -9 for the master and its workers: nobody can tidy up."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class NoWebSockets(socketserver.BaseRequestHandler):
    """Passes bytes on, but closes every connection that asks for an upgrade."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            first = self.request.recv(65536)
            with socket.create_connection(("127.0.0.1", self.server.target)) as server:  # type: ignore[attr-defined]  # set in proxy()
                back = threading.Thread(target=self.copy_back, args=(server,), daemon=True)
                back.start()
                while first and b"upgrade: websocket" not in first.lower():
                    server.sendall(first)
                    first = self.request.recv(65536)
                for end in (server, self.request):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def copy_back(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_RDWR)


class Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def proxy(target: int) -> Iterator[str]:
    """The address of a proxy before the port that lets everything through but WebSockets."""
    with Proxy(("127.0.0.1", 0), NoWebSockets) as server:
        server.target = target  # type: ignore[attr-defined]  # what the handler connects to
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()

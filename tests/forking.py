"""A process that has imported quotechat once, and forks one for each command that a test runs.

Each is a process of its own, with its own environment, directory, input, outputs and signals, and runs the command from
its beginning; only the import of its modules, most of what a start costs, was done before, and what a server compiles.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

_IMPORTED = "quotechat.cli quotechat.serving quotechat.app quotechat.hub.background.notices psycopg"


class Forked:
    """What `subprocess.Popen` is, for a process that the forking one has started."""

    def __init__(self, pid: int, ending: int, stdout: Any) -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None
        self._ending = ending  # gives the exit status, once there is one

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            ready = select.poll()  # select() refuses numbers above 1,023
            ready.register(self._ending, select.POLLIN)
            if not ready.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(["quotechat"], timeout or 0)
            self.returncode = int(os.read(self._ending, 16) or -signal.SIGKILL)
            os.close(self._ending)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and its status is on the way
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forking:
    """The one that forks, a child of this process, which ends with it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._asking = threading.Lock()
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, env=dict(env), stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        atexit.register(self.close)

    def start(
        self, python: Sequence[str], *, env: Mapping[str, str], cwd: str, files: Sequence[Any], session: bool = False
    ) -> Forked:
        """Start what ``python`` does with these arguments; `files` are input, output and errors, PIPE is `stdout`."""
        ending, ended = os.pipe()
        printed, printing = os.pipe()
        numbers = [printing if file == subprocess.PIPE else file.fileno() for file in files]
        asked = {"python": list(python), "env": dict(env), "cwd": cwd, "session": session}
        with self._asking:  # the answers come in the order of the questions, and any thread may start something
            socket.send_fds(self._sock, [json.dumps(asked).encode()], [*numbers, ended])
            pid = int(self._sock.recv(16))
        for each in (ended, printing):
            os.close(each)
        if subprocess.PIPE in files:
            return Forked(pid, ending, os.fdopen(printed, encoding="utf-8"))
        os.close(printed)
        return Forked(pid, ending, None)

    def close(self) -> None:
        self._sock.close()
        self._process.wait(20)


# --- In the process that forks ----------------------------------------------------------------------


def _fork(sock: socket.socket) -> dict[str, Any] | None:
    """Fork as asked, until the tests end; None then, and in each child what it was asked to be."""
    running: dict[int, int] = {}
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while True:
        ready, _, _ = select.select([sock, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(running)
        if sock not in ready:
            continue
        message, files, _, _ = socket.recv_fds(sock, 1 << 20, 4)
        if not message:
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for standard, file in enumerate(files[:3]):
                os.dup2(file, standard)
            sock.close()
            for each in {woken, wake, *files, *running.values()}:
                os.close(each)
            asked: dict[str, Any] = json.loads(message)
            return asked
        for file in files[:3]:
            os.close(file)
        running[pid] = files[3]
        sock.send(str(pid).encode())


def _reap(running: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            ended = running.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # nobody asks any more
                os.write(ended, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(ended)


def _main(sock: socket.socket) -> None:
    for name in _IMPORTED.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.modules["quotechat.app"].preload()
    compiled = importlib.import_module("compiled")
    compiled.install(compiled.gather())
    gc.freeze()
    asked = _fork(sock)
    if asked is None:
        return
    if asked["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    first, *rest = asked["python"]
    if first == "-m":
        sys.argv = rest
        sys.path[0] = os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = asked["python"]
        sys.path[0] = os.path.dirname(first)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))

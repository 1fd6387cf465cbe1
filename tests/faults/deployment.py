"""A real server as faults see it: start it, find its processes, kill, stop and reload them.

`Deployment` is what scenarios use; it does not say what the server keeps its log in, nor on how many machines.
`Gunicorn` is the one that the checkout serves with: a master and its workers on one data directory.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import requests
from private_postgres import free_port
from servers import START_SECONDS, Running, environment, started, until

HERE = Path(__file__).resolve().parent


class Deployment(Protocol):
    """One service behind one or more URLs. All signals go to single processes, by their id."""

    urls: list[str]
    """Where it listens; these stay the same through every restart."""

    def start(self) -> float:
        """Serve; returns the seconds from the command to the first answer at every URL."""

    def stop(self) -> None:
        """End it in order; what was started is gone when it returns."""

    def kill_all(self) -> None:
        """SIGKILL to every process at once."""

    def masters(self) -> list[int]:
        """The processes that SIGHUP reloads and SIGTERM stops."""

    def workers(self) -> list[int]:
        """The processes that serve."""

    def serving_alone(self, worker: int) -> contextlib.AbstractContextManager[str]:
        """A URL that only `worker` answers, for a short while."""

    def output(self) -> str:
        """What its processes have printed."""

    def ready(self) -> None:
        """Wait until all workers are there."""


class Gunicorn:
    """``quotechat serve`` on one data directory. `altered` names changes to its code (see `altered.py`)."""

    def __init__(
        self,
        data: Path,
        *,
        workers: int = 1,
        altered: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.data = data
        self.count = workers
        self.port = free_port()
        self.urls = [f"http://127.0.0.1:{self.port}"]
        self._env = environment(QUOTECHAT_LIMITS="off", **(env or {}))
        program = [str(HERE / "altered.py"), ",".join(altered)] if altered else ["-m", "quotechat"]
        self._command = [
            sys.executable, *program, "serve", "--port", str(self.port), "--data", str(data),
            "--workers", str(workers), *flags,
        ]  # fmt: skip
        self._running: Running | None = None
        self._left: list[Running] = []
        self._printed: list[str] = []

    def start(self) -> float:
        began = time.monotonic()
        if self._running is not None:
            # Its master was killed; a supervisor would not wait for its workers either.
            self._left.append(self._running)
        process = started(self._command, env=self._env, session=True)
        self._running = running = Running(process)
        # Its own line first: workers of a master that was killed may still answer for a moment.
        until(lambda: process.poll() is not None or (running.url and self._answers()), START_SECONDS, "an answer")
        if process.poll() is not None:
            running._reader.join(30)  # its last words may still be on their way
        assert process.poll() is None, f"the server did not start:\n{self.output()}"
        return time.monotonic() - began

    def stop(self) -> None:
        running = self._running
        if running is None:
            return
        running.process.terminate()
        try:
            running.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill_all()
        self._gone()

    def kill_all(self) -> None:
        for running in [*self._left, *([self._running] if self._running else [])]:
            # The processes of its session, and no others: it was started as the leader of one.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
        self._gone()

    def masters(self) -> list[int]:
        return [] if self._running is None else [self._running.process.pid]

    def workers(self) -> list[int]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return [] if self._running is None else sorted(self._running.workers())
        return []

    @contextlib.contextmanager
    def serving_alone(self, worker: int) -> Iterator[str]:
        # All accept from one socket: with the others stopped, it is this one that does.
        others = [pid for pid in self.workers() if pid != worker]
        with stopped(*others):
            yield self.urls[0]

    def output(self) -> str:
        return "".join(self._printed) + ("" if self._running is None else self._running.output)

    def ready(self) -> None:
        until(lambda: len(self.workers()) == self.count, what=f"{self.count} workers")

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.urls[0]}/readyz", timeout=30).status_code == 200
        except requests.RequestException:
            return False

    def _gone(self) -> None:
        ended = [*self._left, *([self._running] if self._running else [])]
        self._left, self._running = [], None
        for each in ended:
            assert each.process.stdout is not None
            until(lambda each=each: not session(each.process.pid), 60, "the end of all its processes")  # type: ignore[misc]
            each.process.wait()
            each._reader.join(5)
            each.process.stdout.close()
            self._printed += each.lines


class Several:
    """Servers beside each other as one deployment, each at a URL of its own, so that clients can be spread."""

    def __init__(self, *servers: Deployment) -> None:
        self._servers = servers
        self.urls = [url for each in servers for url in each.urls]

    def start(self) -> float:
        return max(each.start() for each in self._servers)

    def stop(self) -> None:
        for each in self._servers:
            each.stop()

    def kill_all(self) -> None:
        for each in self._servers:
            each.kill_all()

    def masters(self) -> list[int]:
        return [pid for each in self._servers for pid in each.masters()]

    def workers(self) -> list[int]:
        return [pid for each in self._servers for pid in each.workers()]

    def serving_alone(self, worker: int) -> contextlib.AbstractContextManager[str]:
        return next(each for each in self._servers if worker in each.workers()).serving_alone(worker)

    def output(self) -> str:
        return "".join(each.output() for each in self._servers)

    def ready(self) -> None:
        for each in self._servers:
            each.ready()


def session(leader: int) -> list[int]:
    """The living processes of a session (proc(5), the sixth field of stat)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, _, belongs = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(belongs) == leader and state != "Z":
                    found.append(int(entry.name))
    return found


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """These processes stand still (SIGSTOP), and go on afterwards."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal to one process; whether it was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def any_worker(deployment: Deployment, chance: random.Random) -> int | None:
    """One of the processes that serve."""
    found = deployment.workers()
    return chance.choice(found) if found else None

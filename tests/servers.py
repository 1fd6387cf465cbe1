"""Start real servers for tests, and end them by their own process id."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import requests
from forking import Forked, Forking

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0
"""A machine with ten times its work starts a server in 30."""


class Running:
    """A server process whose output is read as it comes."""

    def __init__(self, process: subprocess.Popen[str] | Forked) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def workers(self) -> set[int]:
        """The process ids of gunicorn's workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(number) for number in children.read_text().split()}

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.search(r"\bhttp://\S+:[0-9]+", line)
            if found and not self.url:
                self.url = found[0]


def until(condition: Callable[[], T], seconds: float = 60.0, what: str = "the condition") -> T:
    """What `condition` returns once it is true; AssertionError after `seconds`.

    What takes longer is looked at less often, since many conditions are requests: up to 20 times a second.
    """
    began = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - began
        assert waited < seconds, f"{what} did not come true within {seconds:g} s"
        time.sleep(min(max(0.01, waited / 20), 0.05))
    return found


def delivered(sock: socket.socket) -> bool:
    """Whether all that was sent is in the other side's socket (tcp(7), SIOCOUTQ): a busy kernel passes it on later."""
    return fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)) == bytes(4)


def whole_log(url: str, room: str = "lobby") -> list[dict[str, Any]]:
    """All events of `room`, page by page: nobody knows how many a quick machine has stored."""
    events: list[dict[str, Any]] = []
    after, more = "0", True
    while more:
        answer = requests.get(f"{url}/api/v1/rooms/{room}/events?after={after}", timeout=30)
        answer.raise_for_status()
        page = answer.json()
        events += page["events"]
        after, more = page["cursor"], page["more"]
    return events


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without settings of ours, with the checkout importable."""
    # Not items(): pytest changes a variable at each test, while a thread may be here.
    kept = {name: os.environ.get(name, "") for name in list(os.environ) if not name.startswith("QUOTECHAT_")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", **changes}


def started(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path = ROOT, output: Any = subprocess.PIPE,
    session: bool = False,
) -> subprocess.Popen[str] | Forked:
    """Start a server, all that it prints into `output`; with `session`, as the leader of a session of its own."""
    if not _is_forked(command, env):
        return subprocess.Popen(
            command, env=dict(env), cwd=cwd, text=True, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=session,
        )  # fmt: skip
    with open(os.devnull, "rb") as nothing:
        files = (nothing, output, output)
        return _forking().start(command[1:], env=env, cwd=str(cwd), files=files, session=session)


def ran(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path = ROOT, given: str | bytes = b"", seconds: float = 180
) -> subprocess.CompletedProcess[bytes]:
    """Run a command that reads `given` to its end; what it printed."""
    sent = given.encode() if isinstance(given, str) else given
    if not _is_forked(command, env):
        return subprocess.run(command, env=dict(env), cwd=cwd, input=sent, capture_output=True, timeout=seconds)
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(sent)
        stdin.seek(0)
        files = (stdin, stdout, stderr)
        process = _forking().start(command[1:], env=env, cwd=str(cwd), files=files)
        try:
            process.wait(seconds)
        finally:
            process.kill()
        printed = [file.seek(0) or file.read() for file in (stdout, stderr)]
    return subprocess.CompletedProcess(command, process.returncode or 0, *printed)


def finished(command: Sequence[str], **about: Any) -> subprocess.CompletedProcess[str]:
    """As `ran`, for text."""
    done = ran(command, **about)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _is_forked(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether it is a command of ours, and of its environment only what is read late differs from this one."""
    ours = list(command[:3]) == quotechat() or tuple(command[:2]) in _ALTERED
    differ = {name for name, _ in env.items() ^ environment().items()}
    return ours and all(name.startswith(("QUOTECHAT_", "RAISING", "TZ", "TERM", "NO_COLOR")) for name in differ)


_ALTERED = {(sys.executable, str(ROOT / "tests" / name)) for name in ("raising.py", "faults/altered.py")}
"""Programs that replace parts of quotechat in its process, then run it; each imports all of it first anyway."""


@cache
def _forking() -> Forking:
    return Forking(environment())


@contextlib.contextmanager
def running(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path = ROOT,
    before: Callable[[Running], object] = lambda server: None,
) -> Iterator[Running]:
    """A server started by `command`, ready to be asked; SIGTERM ends it. `before` runs before it is waited for."""
    server = Running(started(command, env=env, cwd=cwd))
    process = server.process
    try:
        before(server)
        until(lambda: server.url or process.poll() is not None, START_SECONDS, "a URL")
        if not server.url:
            server._reader.join(60)  # what it said at its end may still be on the way
        assert server.url, f"the server did not start:\n{server.output}"
        yield server
    except BaseException:
        print(server.output)  # a worker that ended says so here, and nowhere else
        raise
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        server._reader.join(5)
        assert process.stdout is not None
        process.stdout.close()


def quotechat(*arguments: str) -> list[str]:
    """The command line of ``quotechat`` as the checkout has it."""
    return [sys.executable, "-m", "quotechat", *arguments]

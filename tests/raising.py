"""``python raising.py serve …``: quotechat whose functions raise when a test arms them; see `Raising` and `patient`.

No switch for it is in the product.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
from pathlib import Path
from typing import Any

from servers import environment

from quotechat.supervision import Supervised

_HOLD = "hold"


class Raising:
    """A server's command line and environment, and the switch: `arm` makes one call of a function raise.

    Functions are named as ``quotechat.serving.worker:Worker._read``.
    """

    def __init__(self, directory: Path, *functions: str) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._functions = functions

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, __file__, *arguments]

    def env(self, **settings: str) -> dict[str, str]:
        return environment(**settings) | {"RAISING": str(self._directory), "RAISING_IN": ",".join(self._functions)}

    def arm(self, function: str, *, whatever: bool = False) -> None:
        """The next call of `function` raises an exception; or `whatever`: SystemExit, which is none."""
        written = self._directory / "arming"  # whole when it gets its name: the server may look at any time
        written.write_text("SystemExit" if whatever else "ZeroDivisionError")
        written.rename(self._directory / function)

    def hold(self) -> None:
        """Let threads that met a fault stay in their pause, until `release`."""
        (self._directory / _HOLD).touch()

    def release(self) -> None:
        """Let them begin again."""
        (self._directory / _HOLD).unlink()

    def armed(self, function: str) -> bool:
        """Whether it has not raised yet."""
        return (self._directory / function).exists()


def keeping(data: Path, **settings: str) -> tuple[list[str], dict[str, str]]:
    """A server's command line and environment; a connection at rest is kept for a minute, not for two seconds.

    So a test that is itself late with its next request, on a busy machine, still has its connection.
    """
    command = [sys.executable, __file__, "serve", "--port", "0", "--data", str(data)]
    return command, environment(**settings) | {"RAISING_PATIENT": "at rest"}


def patient(data: Path) -> tuple[list[str], dict[str, str]]:
    """As `keeping`, and what is on its way at a stop gets half a minute, not two seconds."""
    command, env = keeping(data, QUOTECHAT_LIMITS="off")
    return command, env | {"RAISING_PATIENT": "at a stop"}


def _prepare_keeping() -> None:
    importlib.import_module("quotechat.web.transports.kept").IDLE_SECONDS = 60.0  # type: ignore[attr-defined]
    server = importlib.import_module("quotechat.serving.server")
    settings = server.gunicorn_settings
    server.gunicorn_settings = lambda found: {**settings(found), "keepalive": 60}  # type: ignore[attr-defined]


def _prepare_patience() -> None:
    for name in (
        "serving.worker", "serving.draining", "serving.hooks", "serving.server", "live.reactor",
        "web.transports.sending",
    ):  # fmt: skip
        module = importlib.import_module(f"quotechat.{name}")
        for constant in ("STOP_SECONDS", "GRACE_SECONDS", "GRACEFUL_SECONDS"):
            if hasattr(module, constant):
                setattr(module, constant, 30)


class _Ending(threading.Event):
    """As a thread has it that pauses: the pause lasts as long as the test says."""

    def wait(self, timeout: float | None = None) -> bool:
        found = super().wait(timeout)
        while not found and Path(os.environ["RAISING"], _HOLD).exists():
            found = super().wait(0.01)
        return found


def _prepare_pauses() -> None:
    make = Supervised.__init__

    def made(thread: Supervised, *arguments: Any) -> None:
        make(thread, *arguments)
        thread._ending = _Ending()

    Supervised.__init__ = made  # type: ignore[method-assign]


def _prepare(name: str) -> None:
    module, _, path = name.partition(":")
    *owners, function = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    whole = getattr(owner, function)
    switch = Path(os.environ["RAISING"], name)

    @functools.wraps(whole)
    def raising(*arguments: Any, **named: Any) -> Any:
        try:
            kind = switch.read_text()
            switch.unlink()
        except FileNotFoundError:
            return whole(*arguments, **named)
        raise (SystemExit if kind == "SystemExit" else ZeroDivisionError)(f"a test armed {name}")

    setattr(owner, function, raising)


if __name__ == "__main__":
    from quotechat.cli import main

    if "RAISING_PATIENT" in os.environ:
        _prepare_keeping()
        if os.environ["RAISING_PATIENT"] == "at a stop":
            _prepare_patience()
    else:
        _prepare_pauses()
        for each in os.environ["RAISING_IN"].split(","):
            _prepare(each)
    main()

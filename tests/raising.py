"""``python raising.py serve …``: quotechat whose functions raise when a test arms them; see `Raising`.

No switch for it is in the product.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from servers import environment


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
        (self._directory / function).write_text("SystemExit" if whatever else "ZeroDivisionError")

    def armed(self, function: str) -> bool:
        """Whether it has not raised yet."""
        return (self._directory / function).exists()


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

    for each in os.environ["RAISING_IN"].split(","):
        _prepare(each)
    main()

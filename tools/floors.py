"""Does quotechat run on the oldest versions that setup.cfg allows? ``make min-versions``: an environment of exactly
these, with the oldest Python if it is found, and the tests of what uses them closely."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv" / "floors"
#: The newest of them: what tests is not what is tested.
TOOLS = ("pytest", "hypothesis", "requests", "websockets", "psutil", "jsonschema_rs", "openapi-spec-validator",
         "standardwebhooks")  # fmt: skip
TESTS = (
    "tests/protocol", "tests/store", "tests/hub", "tests/conformance", "tests/client", "tests/embedding",
    "tests/test_cli.py", "tests/test_serving.py", "tests/web/test_websocket.py", "tests/web/test_polling.py",
    "tests/web/test_streams.py", "tests/web/test_sending.py", "tests/web/test_operating.py", "tests/web/test_specs.py",
)  # fmt: skip


def floors() -> list[str]:
    """The lowest versions that are allowed, as ``name==version``, of what is needed and of PostgreSQL's driver."""
    described = configparser.ConfigParser()
    described.read(ROOT / "setup.cfg", "utf-8")
    lines = described["options"]["install_requires"] + described["options.extras_require"]["postgres"]
    found = (re.match(r"([\w-]+(?:\[\w+\])?)[=>]=([\w.]+)", line) for line in lines.split())
    return [f"{each[1]}=={each[2]}" for each in found if each]


def oldest_python() -> str:
    """The oldest Python that is allowed, if it is on this machine; else this one."""
    described = configparser.ConfigParser()
    described.read(ROOT / "setup.cfg", "utf-8")
    version = described["options"]["python_requires"].removeprefix(">=")
    return shutil.which(f"python{version}") or sys.executable


def main() -> int:
    """0 where all passed."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([oldest_python(), "-m", "venv", ENVIRONMENT], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    print(*floors(), flush=True)
    subprocess.run([*install, *floors(), *TOOLS], check=True)
    subprocess.run([*install, "--no-deps", "-e", ROOT], check=True)
    return subprocess.run([python, "-m", "pytest", "-q", *TESTS], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Share the figures of one server's workers: files that each maps into its memory.

They lie in the data directory, or in memory if that disk is full: a page of a mapped file for which there is no room
ends the process with SIGBUS. So each worker has its files filled before it maps them, and shares none if it cannot.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that prometheus-client reads when a worker imports it, not before."""
MEMORY = Path("/dev/shm")
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemostrecent")
_FILE_BYTES = 65_536
"""More than the figures of a worker take."""


def share(data: Path) -> None:
    """In the master: choose a private directory. Those of masters that have ended are removed."""
    os.environ.pop(VARIABLE, None)
    # Made by itself: as the parent of another directory it would be readable by every user.
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for shared in (data / "metrics", MEMORY / f"quotechat-{os.geteuid()}"):
        try:
            mine = _make_directory(shared)
            probe = mine / "probe"
            _fill(probe)
            probe.unlink()
        except OSError as fault:
            log.warning("figures cannot be shared in %s: %s", shared, fault.strerror)
            continue
        os.environ[VARIABLE] = str(mine)
        return


def prepare() -> None:
    """In a new worker: make room for its figures, or share none."""
    shared = os.environ.get(VARIABLE)
    if shared is None:
        return
    files = [Path(shared, f"{kind}_{os.getpid()}.db") for kind in _KINDS]
    try:
        for file in files:
            _fill(file)
    except OSError as fault:
        log.warning("the figures of this worker are not shared: %s", fault.strerror)
        for file in files:
            file.unlink(missing_ok=True)
        del os.environ[VARIABLE]


def forget(pid: int) -> None:
    """In the master: drop the gauges of the worker `pid`, which has ended, and keep its counters."""
    shared = os.environ.get(VARIABLE)
    if shared is not None:
        for file in Path(shared).glob(f"gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)


def end() -> None:
    """In the master, at its end: remove the directory if it is in memory."""
    shared = os.environ.get(VARIABLE)
    if shared is not None and MEMORY in Path(shared).parents:
        shutil.rmtree(shared, ignore_errors=True)


def _make_directory(shared: Path) -> Path:
    shared.mkdir(mode=0o700, exist_ok=True)
    if shared.stat().st_uid != os.geteuid():
        raise PermissionError(0, "it belongs to another user")
    mine = shared / str(os.getpid())
    for old in shared.iterdir():
        if old != mine and not _lives(old.name):
            shutil.rmtree(old, ignore_errors=True)
    mine.mkdir(mode=0o700, exist_ok=True)
    return mine


def _fill(path: Path) -> None:
    """Make the file, whole from the moment at which it has its name: others read it by that at any time.

    A worker that died may have had the same number; then its counts go on.
    """
    if path.exists():
        return
    unnamed = path.with_suffix(".new")
    number = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(number, 0, _FILE_BYTES)
        unnamed.rename(path)
    except OSError:
        unnamed.unlink(missing_ok=True)
        raise
    finally:
        os.close(number)


def _lives(number: str) -> bool:
    """Return True if there is a process of that number."""
    try:
        os.kill(int(number), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # another user's
        pass
    return True

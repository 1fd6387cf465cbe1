"""The settings of gunicorn, and gunicorn as a library: a master in this process, until a signal ends it."""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gunicorn.app.base import BaseApplication

from ..config import Settings, variable
from ..hub.budgets import descriptors
from ..protocol.errors import Refused
from ..store.open import check_driver
from . import beginning, figures, hooks
from .draining import GRACEFUL_SECONDS
from .worker import Worker

#: The exit status of a worker for which gunicorn's arbiter gives up, rather than fork another one.
_APP_LOAD_ERROR = 4


def prepare(settings: Settings) -> Settings:
    """Make this process ready to be the master: more descriptors, settings in the environment.

    Returns the settings as they can be kept: with few descriptors, fewer sockets. The environment is
    how they reach the workers, those after a SIGHUP and a re-executed master too. Raises SettingsError.
    """
    check_driver(settings)
    beginning.check_directory(settings.data)
    fitting = _fit(settings, _raise_file_limit())
    found = fitting.to_env()
    if variable("held_polls") not in os.environ:
        # It follows the threads, and gunicorn's command line may change those (see post_fork).
        del found[variable("held_polls")]
    os.environ.update(found)
    return fitting


def gunicorn_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of gunicorn that go with `settings`, hooks included, by gunicorn's names."""
    return {
        "bind": _bind(settings),
        "workers": settings.workers,
        "worker_class": f"{Worker.__module__}.{Worker.__name__}",
        "threads": settings.threads,
        "timeout": 30,
        "graceful_timeout": GRACEFUL_SECONDS,
        # Idle connections hold up a restart for as long as they are kept.
        "keepalive": 2,
        "backlog": 2048,
        # gunicorn's cap counts HTTP connections only; live sockets are ours to count.
        "worker_connections": descriptors.answered(
            descriptors.limit(), settings.sockets_per_worker, settings.threads
        ),
        # On by default since 25.1, at one path for all servers of a user.
        "control_socket_disable": True,
        # The file that tells that a worker lives must not need a disk.
        "worker_tmp_dir": str(figures.MEMORY) if os.access(figures.MEMORY, os.W_OK) else None,
        # Which proxies to believe is decided in the application, by count (trusted_proxies).
        "forwarded_allow_ips": "",
        # gunicorn's own "info" is eight lines for one start; ours is one.
        "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
        "on_starting": hooks.on_starting,
        "when_ready": hooks.when_ready,
        "on_reload": hooks.on_reload,
        "post_fork": hooks.post_fork,
        "post_worker_init": hooks.post_worker_init,
        "pre_request": hooks.pre_request,
        "post_request": hooks.post_request,
        "worker_exit": hooks.worker_exit,
        "child_exit": hooks.child_exit,
        "on_exit": hooks.on_exit,
    }


def serve(settings: Settings, ready: Callable[[str], None] | None = None) -> None:
    """Run gunicorn's master in this process, until a signal ends it (by SystemExit).

    `ready` is called with the URL once connections are accepted, instead of printing it.
    """
    Server(prepare(settings), ready).run()


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn is published without types
    """gunicorn as a library: no command line, no file, only our settings."""

    def __init__(self, settings: Settings, ready: Callable[[str], None] | None = None) -> None:
        self._settings = settings
        self._ready = ready
        super().__init__()

    def load_config(self) -> None:
        for name, value in gunicorn_settings(self._settings).items():
            self.cfg.set(name, value)
        if self._ready is not None:
            tell = self._ready
            self.cfg.set("when_ready", lambda server: hooks.announce(server, tell))

    def load(self) -> Any:
        # Imported in the worker, after the fork: the database and its threads begin in the process that uses them.
        from quotechat import create_app

        try:
            return create_app(Settings.from_env())
        except Refused as unavailable:
            # The database cannot be reached: one line gives the reason, and the supervisor starts us again.
            print(f"quotechat: {unavailable}", file=sys.stderr, flush=True)
            sys.exit(_APP_LOAD_ERROR)
        except sqlite3.Error as fault:
            print(f"quotechat: the database cannot be used: {fault}", file=sys.stderr, flush=True)
            sys.exit(_APP_LOAD_ERROR)
        except OSError as fault:
            print(f"quotechat: the data directory cannot be used: {fault}", file=sys.stderr, flush=True)
            sys.exit(_APP_LOAD_ERROR)


def _bind(settings: Settings) -> str:
    return f"{hooks.bracketed(settings.host)}:{settings.port}"


def _raise_file_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1_048_576 if hard == resource.RLIM_INFINITY else hard
    if soft not in (resource.RLIM_INFINITY, wanted):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # refused, as on macOS above its own maximum: the present limit must do
            pass
    return descriptors.limit()


def _fit(settings: Settings, files: int) -> Settings:
    """Return `settings` with no more sockets than `files` descriptors allow."""
    most = descriptors.held(files, settings.sockets_per_worker)
    if settings.sockets_per_worker == most:
        return settings
    print(
        f"quotechat: {files} file descriptors allow {most} sockets per worker,"
        f" not {settings.sockets_per_worker}; raise the limit (ulimit -n) for more",
        file=sys.stderr,
    )
    return replace(settings, sockets_per_worker=most)

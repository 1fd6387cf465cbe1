"""The functions that gunicorn calls as its master and its workers begin, reload and end."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import __version__, app, logs
from ..config import Settings, variable
from . import beginning, figures
from .draining import GRACEFUL_SECONDS, Draining, Requests, find_chat
from .handover import Handover
from .worker import Worker

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.5
"""Seconds between the end of a new worker that never served and the start of another one."""

_handover = Handover()
_requests = Requests()
_draining: Draining | None = None
_systemd: str | None = None

# --- In the master --------------------------------------------------------------------------------


def on_starting(server: Any) -> None:
    """In the master, before it binds or forks: check and prepare all that the workers share."""
    global _systemd
    refusal = unservable(server.cfg) or beginning.unbindable(server.cfg)
    if refusal:
        sys.exit(f"quotechat: {refusal}")
    # gunicorn would say that it is ready before any worker is.
    _systemd = os.environ.pop("NOTIFY_SOCKET", None)
    _handover.open()
    _note_the_stop(server)
    _setup_logs()
    settings = Settings.from_env()
    notices = [beginning.notice_of_others(settings)]
    if not settings.database:
        notices.append(sqlite_notice(sqlite3.sqlite_version_info))
    for notice in filter(None, notices):
        print(notice, file=sys.stderr, flush=True)
    figures.share(_data())
    # Once, and not in each worker: their memory is shared with this process, and they begin sooner.
    app.preload()


def unservable(cfg: Any) -> str | None:
    """Return the reason for which gunicorn, configured so, cannot serve us, and the remedy; None if it can.

    Live sockets are taken away from the worker that accepted them. A socket with TLS on it cannot be, nor can one of
    gevent's or of an event loop, and the sync worker has no thread to spare.
    """
    if cfg.is_ssl:
        return "certfile and keyfile are not for this server: let a proxy end TLS (docs/how-to/deploy.md)"
    if not issubclass(cfg.worker_class, Worker):
        return "leave out the worker class (-k, --worker-class): quotechat brings its own, made of gthread"
    return None


def on_exit(server: Any) -> None:
    """Free the memory of the master's figures."""
    figures.end()


def child_exit(server: Any, worker: Any) -> None:
    """In the master, when a worker has ended: forget it, and replace it if it never served after a reload."""
    figures.forget(worker.pid)
    if _handover.missed(worker.age):
        # gunicorn counts the old workers, which stay until the new ones serve, and would start no other one.
        time.sleep(_AGAIN_SECONDS)
        server.spawn_worker()


def _setup_logs() -> None:
    logs.setup(os.environ.get(variable("log_format"), "auto"), os.environ.get(variable("log_level"), "info"))


def _data() -> Path:
    return Path(os.environ.get(variable("data")) or Settings().data).resolve()


def _note_the_stop(server: Any) -> None:
    """Note in the handover that the server stops: workers that hand over get SIGTERM repeatedly, and cannot tell."""
    stop = server.stop

    def note_and_stop(*how: Any, **named: Any) -> None:
        _handover.stop()
        stop(*how, **named)

    server.stop = note_and_stop


def when_ready(server: Any) -> None:
    """In the master, when the sockets are bound and connections queue: announce the server."""
    announce(server, lambda url: print(f"quotechat {__version__} at {url} (Ctrl-C stops it)", flush=True))


def announce(server: Any, tell: Callable[[str], None]) -> None:
    """Call `tell` with the URL, and tell systemd, as soon as a worker serves."""
    manage = server.manage_workers

    def manage_and_announce() -> None:
        manage()
        if _handover.serving:
            server.manage_workers = manage
            tell(url(server))
            beginning.tell_systemd(_systemd)

    server.manage_workers = manage_and_announce


def on_reload(server: Any) -> None:
    """In the master, at SIGHUP: new workers are forked next, and the old ones get SIGTERM."""
    figures.share(_data())
    _handover.begin(first_age=server.worker_age + 1, workers=server.cfg.workers)


def url(server: Any) -> str:
    address = server.LISTENERS[0].getsockname()
    if not isinstance(address, tuple):
        return f"unix:{address}"
    # "All addresses" is none that a browser can open.
    bound = str(address[0])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)
    return f"http://{bracketed(host)}:{address[1]}"


def sqlite_notice(version: tuple[int, int, int]) -> str | None:
    """Return a line to say about this SQLite, or None.

    From 3.7.0 to 3.51.2, but for the fixed 3.44.6 and 3.50.7, two processes that write and checkpoint
    at the same moment may lose a commit (the "WAL-reset" bug).
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    if version < (3, 7) or fixed:
        return None
    number = ".".join(map(str, version))
    return (
        f"quotechat: SQLite {number} has the WAL-reset bug; quotechat's own lock keeps its processes clear"
        " of it, but do not write or checkpoint the database with other tools while it runs"
    )


def bracketed(host: str) -> str:
    """Return `host` as URLs want it: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


# --- In a worker ----------------------------------------------------------------------------------


def post_fork(server: Any, worker: Any) -> None:
    """In the new worker, before the application is made."""
    # gunicorn's command line may have changed these numbers, on which the hub's budget depends.
    for name in ("threads", "workers"):
        os.environ[variable(name)] = str(getattr(worker.cfg, name))
    _setup_logs()
    figures.prepare()


def post_worker_init(worker: Any) -> None:
    """In the worker, with the application made, just before it accepts."""
    global _draining
    chat = find_chat(worker.wsgi)
    if chat is None:
        worker.log.warning("quotechat was not found in the application: it will stop without draining")
    else:
        _draining = Draining(worker, chat, _handover)
        for thread in worker.threads():
            chat.supervise(thread)
        worker.drained = _draining.done
        _draining.start()
    # The objects that exist by now stay: a collection that went over them delayed every reader by some 30 ms.
    gc.collect()
    gc.freeze()
    _handover.ready(worker.age)
    # At this signal the master checks its workers, and announces the first that serves.
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.ppid, signal.SIGCHLD)


def pre_request(worker: Any, request: Any) -> None:
    """Count a request that has been read."""
    _requests.begin()


def post_request(worker: Any, request: Any, environ: Mapping[str, Any], response: Any) -> None:
    """Count a request as done: its answer has been sent, or has failed."""
    _requests.end()


def worker_exit(server: Any, worker: Any) -> None:
    """In the worker, when it accepts no more: wait for requests and the drain, then close the hub."""
    poller_queue = getattr(worker, "method_queue", None)
    if poller_queue is not None:
        # gunicorn has closed this pipe, but requests that end now would still write to its number,
        # which may be another file by then.
        poller_queue.defer = lambda *_: None
    if _draining is None:
        return
    if not _requests.wait_for_none(GRACEFUL_SECONDS - 4):
        log.warning("requests are still running at exit")
    _draining.finish(3.0)

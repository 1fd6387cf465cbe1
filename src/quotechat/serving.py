"""How gunicorn runs us: its settings, and the hooks that make stopping and restarting gentle.

`quotechat serve` and ``gunicorn.conf.py`` share all of this. Only gunicorn, signals and processes
live here; what draining *means* is the hub's business.

What gunicorn alone does not do, and what each part here is for:

* `Draining`: on SIGTERM gunicorn waits for requests to end and tells nobody. We tell the hub, so that
  held polls are answered and sockets get 1012 at once.
* `Handover`: on SIGHUP gunicorn stops the old workers while the new ones are still importing. We keep
  the old ones serving until the new ones are ready.
* `Requests`: gunicorn may call ``worker_exit`` while a request is in flight. We count, so that the
  database is closed after the last one.
* `Worker`: gunicorn's gthread waits for the rest of a request for ever, on a thread, and for a peer that does not
  read its answer too; a peer that does not close its side stalls its poller for 2 s; an accept without a free
  descriptor ends it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import resource
import select
import selectors
import shutil
import signal
import socket
import sqlite3
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from gunicorn.app.base import BaseApplication
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from quotechat import __version__, logs
from quotechat.arrival import Arrival
from quotechat.config import Settings, variable
from quotechat.protocol.errors import Refused
from quotechat.refusal import refusal
from quotechat.store.open import check_driver

log = logging.getLogger(__name__)

#: The exit status of a worker for which gunicorn's arbiter gives up, rather than fork another one.
_APP_LOAD_ERROR = 4
#: Seconds that gunicorn's arbiter waits for a worker to end before it kills it.
GRACEFUL_SECONDS = 10
#: Seconds that an old worker serves on while the new ones start; below GRACEFUL_SECONDS, or it is killed.
_HANDOVER_SECONDS = 8.0
#: Seconds between "no new connections" and the drain in a handover: requests on connections that are
#: already open still get their answer here, with "Connection: close", and come back to the new worker.
_HANDOVER_LINGER = 0.4
#: Seconds between two looks at whether gunicorn wants this worker to end without a signal (max_requests).
_LOOK_EVERY = 0.25
#: Seconds that a stopping worker gives to requests which are on their way; as gunicorn gives idle connections.
_STOP_SECONDS = 2.0
#: Bytes of requests that are not whole, of all connections of a worker.
_MOST_BUFFERED = 64 * 1024 * 1024
_READ_BYTES = 65_536
#: Seconds that a thread waits for a peer to read its answer.
_PATIENCE = 0.05
#: Seconds without accepting, where there was no descriptor.
_ACCEPT_PAUSE = 0.1
#: Seconds between two lines about the same want.
_TELL_EVERY = 10.0
#: Seconds between two tries of a worker to open a database that cannot be used.
_BEGIN_AGAIN = 1.0
#: Descriptors for all but client connections: database, lock, bell, pipes, static files.
_FILES_KEPT_FREE = 512


class Drainable(Protocol):
    """What this module needs of the hub's ``Chat``."""

    @property
    def lost(self) -> bool: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...


# --- Settings -------------------------------------------------------------------------------------


def prepare(settings: Settings) -> Settings:
    """Make this process ready to be the master: more descriptors, settings in the environment.

    Returns the settings as they can be kept: with few descriptors, fewer sockets. The environment is
    how they reach the workers, those after a SIGHUP and a re-executed master too. Raises SettingsError.
    """
    check_driver(settings)
    fitting = _fit(settings, _raise_file_limit())
    found = fitting.to_env()
    if variable("held_polls") not in os.environ:
        # It follows the threads, and gunicorn's command line may change those (see post_fork).
        del found[variable("held_polls")]
    os.environ.update(found)
    return fitting


def gunicorn_settings(settings: Settings) -> dict[str, Any]:
    """The settings of gunicorn that go with `settings`, hooks included, by gunicorn's names."""
    return {
        "bind": _bind(settings),
        "workers": settings.workers,
        "worker_class": f"{__name__}.{Worker.__name__}",
        "threads": settings.threads,
        "timeout": 30,
        "graceful_timeout": GRACEFUL_SECONDS,
        # Idle connections hold up a restart for as long as they are kept.
        "keepalive": 2,
        "backlog": 2048,
        # gunicorn's cap counts HTTP connections only; live sockets are ours to count.
        "worker_connections": _connections(settings, _file_limit()),
        # On by default since 25.1, at one path for all servers of a user.
        "control_socket_disable": True,
        # Which proxies to believe is decided in the application, by count (trusted_proxies).
        "forwarded_allow_ips": "",
        # gunicorn's own "info" is eight lines for one start; ours is one.
        "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
        "on_starting": on_starting,
        "when_ready": when_ready,
        "on_reload": on_reload,
        "post_fork": post_fork,
        "post_worker_init": post_worker_init,
        "pre_request": pre_request,
        "post_request": post_request,
        "worker_exit": worker_exit,
        "child_exit": child_exit,
    }


def serve(settings: Settings, ready: Callable[[str], None] | None = None) -> None:
    """Be gunicorn's master, in this very process, until a signal ends it (by SystemExit).

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
            self.cfg.set("when_ready", lambda server: tell(_url(server)))

    def load(self) -> Any:
        # Imported in the worker, after the fork: a SIGHUP brings in new code, and the database and
        # its threads begin where they will live.
        from quotechat import create_app

        try:
            return create_app(Settings.from_env())
        except Refused as away:
            # A database that does not come: one line says why, and whoever supervises us starts us again.
            print(f"quotechat: {away}", file=sys.stderr, flush=True)
            sys.exit(_APP_LOAD_ERROR)
        except sqlite3.Error as fault:
            print(f"quotechat: the database cannot be used: {fault}", file=sys.stderr, flush=True)
            sys.exit(_APP_LOAD_ERROR)


def _bind(settings: Settings) -> str:
    return f"{_bracketed(settings.host)}:{settings.port}"


def _bracketed(host: str) -> str:
    """`host` as URLs want it: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_048_576 if soft == resource.RLIM_INFINITY else soft


def _raise_file_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1_048_576 if hard == resource.RLIM_INFINITY else hard
    if soft not in (resource.RLIM_INFINITY, wanted):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # refused, as on macOS above its own maximum: what there is must do
            pass
    return _file_limit()


def _connections(settings: Settings, files: int) -> int:
    """HTTP connections that a worker may hold: what `files` descriptors leave beside its sockets."""
    return max(settings.threads + 1, min(20_000, files - settings.sockets_per_worker - _FILES_KEPT_FREE))


def _fit(settings: Settings, files: int) -> Settings:
    """`settings` with no more sockets than `files` descriptors allow."""
    most = max(1, files * 3 // 4 - _FILES_KEPT_FREE)
    if settings.sockets_per_worker <= most:
        return settings
    print(
        f"quotechat: {files} file descriptors allow {most} sockets per worker,"
        f" not {settings.sockets_per_worker}; raise the limit (ulimit -n) for more",
        file=sys.stderr,
    )
    return replace(settings, sockets_per_worker=most)


# --- The master's hooks ---------------------------------------------------------------------------


def on_starting(server: Any) -> None:
    """Before anything is bound or forked."""
    refusal = unservable(server.cfg)
    if refusal:
        sys.exit(f"quotechat: {refusal}")
    _handover.open()
    _tell_of_the_end(server)
    _share_figures()
    _setup_logs()
    notice = sqlite_notice(sqlite3.sqlite_version_info)
    if notice and not Settings.from_env().database:
        print(notice, file=sys.stderr, flush=True)


def unservable(cfg: Any) -> str | None:
    """Why gunicorn, configured so, cannot serve us, and what to do; None where it can.

    Live sockets are taken away from the worker that accepted them. A socket with TLS on it cannot be, nor can one of
    gevent's or of an event loop, and the sync worker has no thread to spare.
    """
    if cfg.is_ssl:
        return "certfile and keyfile are not for this server: let a proxy end TLS (docs/how-to/deploy.md)"
    if not issubclass(cfg.worker_class, Worker):
        return "leave out the worker class (-k, --worker-class): quotechat brings its own, made of gthread"
    return None


def child_exit(server: Any, worker: Any) -> None:
    """In the master, a worker has ended: what it held is no more. What it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # as it is published


def _setup_logs() -> None:
    logs.setup(os.environ.get(variable("log_format"), "auto"), os.environ.get(variable("log_level"), "info"))


def _share_figures() -> None:
    """A private, empty directory for the workers' figures; those of masters that have ended are removed.

    prometheus-client reads its name from the environment when a worker imports it, not before.
    """
    data = Path(os.environ.get(variable("data")) or Settings().data).resolve()
    # By itself: a directory that is made as a parent gets the mode that everybody may read.
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    shared = data / "metrics"
    shared.mkdir(mode=0o700, exist_ok=True)
    for old in shared.iterdir():
        if old.name == str(os.getpid()) or not _lives(old.name):
            shutil.rmtree(old, ignore_errors=True)
    mine = shared / str(os.getpid())
    mine.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(mine)


def _lives(number: str) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(int(number), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _tell_of_the_end(server: Any) -> None:
    """While workers hand over, gunicorn sends them SIGTERM again and again: only the master knows which one ends it."""
    stop = server.stop

    def told(*how: Any, **named: Any) -> None:
        _handover.stop()
        stop(*how, **named)

    server.stop = told


def when_ready(server: Any) -> None:
    """Bound: connections queue from here on. Says where."""
    print(f"quotechat {__version__} at {_url(server)} (Ctrl-C stops it)", flush=True)


def on_reload(server: Any) -> None:
    """SIGHUP: new workers are about to be forked, and the old ones to be sent SIGTERM."""
    _handover.begin(first_age=server.worker_age + 1, workers=server.cfg.workers)


def _url(server: Any) -> str:
    address = server.LISTENERS[0].getsockname()
    if not isinstance(address, tuple):
        return f"unix:{address}"
    # "All addresses" is none that a browser can open.
    bound = str(address[0])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)
    return f"http://{_bracketed(host)}:{address[1]}"


def sqlite_notice(version: tuple[int, int, int]) -> str | None:
    """A line to say about this SQLite, or None.

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


# --- Handover: what a reload tells the old workers -------------------------------------------------


class Handover:
    """Which workers a SIGHUP starts, and which of them are ready: memory shared by all processes.

    Every byte has one writer, so there is no lock that a killed process could keep.
    """

    _HEAD = struct.Struct("=QQQ")  # first age of the new workers, their number, whether the server stops
    _SLOTS = 4096 - _HEAD.size

    def __init__(self) -> None:
        self._shared: mmap.mmap | None = None

    def open(self) -> None:
        """In the master, before the first fork."""
        if self._shared is None:
            self._shared = mmap.mmap(-1, 4096)

    def begin(self, first_age: int, workers: int) -> None:
        """In the master: workers of age `first_age` and above take over."""
        if self._shared is None:
            return
        for age in range(first_age, first_age + workers):
            self._shared[self._slot(age)] = 0
        self._HEAD.pack_into(self._shared, 0, first_age, workers, 0)

    def stop(self) -> None:
        """In the master: nobody takes over any more."""
        if self._shared is not None:
            first, workers, _ = self._HEAD.unpack_from(self._shared, 0)
            self._HEAD.pack_into(self._shared, 0, first, workers, 1)

    @property
    def stopping(self) -> bool:
        """In a worker: whether the server stops."""
        return self._shared is not None and bool(self._HEAD.unpack_from(self._shared, 0)[2])

    def ready(self, age: int) -> None:
        """In a worker: it serves."""
        if self._shared is not None:
            self._shared[self._slot(age)] = 1

    def pending(self, age: int) -> bool:
        """In a worker of `age`: whether successors are on their way and not all ready."""
        if self._shared is None:
            return False
        first, workers, stopping = self._HEAD.unpack_from(self._shared, 0)
        if age >= first or stopping:
            return False
        return not all(self._shared[self._slot(new)] for new in range(first, first + workers))

    def succeeded(self, age: int) -> bool:
        """In a worker of `age`: whether it is an old one, whose end is a restart and not a stop."""
        return self._shared is not None and age < self._HEAD.unpack_from(self._shared, 0)[0]

    def _slot(self, age: int) -> int:
        return int(self._HEAD.size + age % self._SLOTS)


# --- The worker's hooks ---------------------------------------------------------------------------


class Requests:
    """How many requests this worker is at."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def begin(self) -> None:
        with self._changed:
            self._count += 1

    def end(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_none(self, seconds: float) -> bool:
        """Whether there is none any more, at the latest after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count <= 0, seconds)


class Draining:
    """Watches for the end of one worker and drains its hub, on a thread of its own.

    Signal handlers only write to a pipe: they run between two bytecodes of the main thread, which may
    hold any lock.
    """

    _SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)

    def __init__(self, worker: Any, chat: Drainable, handover: Handover) -> None:
        self._worker = worker
        self._chat = chat
        self._handover = handover
        self._told, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        self._saved: dict[int, Any] = {}
        self._by_itself = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="drain", daemon=True)

    def start(self) -> None:
        """Take over the worker's signals; in its main thread."""
        for number in self._SIGNALS:
            self._saved[number] = signal.getsignal(number)
            signal.signal(number, self._on_signal)
        # signal.signal() undoes what gunicorn had set: SIGTERM does not interrupt system calls.
        signal.siginterrupt(signal.SIGTERM, False)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait at most `seconds` for the drain, then close the hub; in the main thread."""
        for number in self._SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the closing short
        self._write(0)
        if not self._done.wait(seconds):
            log.warning("the drain took more than %g s", seconds)
        self._chat.close()

    def _on_signal(self, number: int, frame: Any) -> None:
        self._write(number)
        waits = number == signal.SIGTERM and not self._by_itself and self._handover.pending(self._worker.age)
        if not waits and callable(self._saved[number]):
            self._saved[number](number, frame)

    def _write(self, number: int) -> None:
        try:
            os.write(self._tell, bytes([number]))
        except OSError:  # full: the watcher has been told more than enough
            pass

    def _watch(self) -> None:
        while not self._heard(_LOOK_EVERY) and self._wanted():
            pass
        if self._orphaned():
            # gunicorn would serve on for as long as clients ask, and the address would be taken when a new
            # master is started.
            self._worker.stop_listening()
            self._end_worker()
        elif self._chat.lost:
            self._end_worker()
        try:
            if self._handover.succeeded(self._worker.age):
                self._hand_over()
            self._chat.drain()
        except Exception:
            log.exception("the drain failed")
        finally:
            self._done.set()

    def _wanted(self) -> bool:
        # alive turns false without a signal at max_requests.
        return bool(self._worker.alive) and not self._orphaned() and not self._chat.lost

    def _orphaned(self) -> bool:
        """Whether the master was killed."""
        return bool(os.getppid() != self._worker.ppid)

    def _end_worker(self) -> None:
        # By a signal, so that gunicorn's own handler runs where it expects to: in the main thread, which must wake
        # for it, and would not where another thread got the signal.
        self._by_itself = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _heard(self, seconds: float) -> bool:
        waiter = select.poll()
        waiter.register(self._told, select.POLLIN)
        if not waiter.poll(seconds * 1000):
            return False
        os.read(self._told, 1)
        return True

    def _hand_over(self) -> None:
        """Serve on until the successors do, stop accepting, let open connections have their answers."""
        _while(lambda: self._wanted() and self._handover.pending(self._worker.age), _HANDOVER_SECONDS)
        if self._worker.alive:
            self._end_worker()
        _while(lambda: not (self._handover.stopping or self._orphaned()), _HANDOVER_LINGER)


def _while(condition: Callable[[], bool], seconds: float) -> None:
    """As long as it holds, at most for `seconds`."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def post_fork(server: Any, worker: Any) -> None:
    """In the new worker, before the application is made."""
    # gunicorn's command line may have had the last word; the hub's budget depends on the real numbers.
    for name in ("threads", "workers"):
        os.environ[variable(name)] = str(getattr(worker.cfg, name))
    _setup_logs()


def post_worker_init(worker: Any) -> None:
    """In the worker, with the application made, just before it accepts."""
    global _draining
    chat = find_chat(worker.wsgi)
    if chat is None:
        worker.log.warning("quotechat was not found in the application: it will stop without draining")
    else:
        _draining = Draining(worker, chat, _handover)
        _draining.start()
    _handover.ready(worker.age)


def pre_request(worker: Any, request: Any) -> None:
    """A request has been read."""
    _requests.begin()


def post_request(worker: Any, request: Any, environ: Mapping[str, Any], response: Any) -> None:
    """Its answer is out, or failed."""
    _requests.end()


def worker_exit(server: Any, worker: Any) -> None:
    """The worker accepts no more. Wait for requests and drain, then close the hub."""
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


def find_chat(application: Any) -> Drainable | None:
    """The hub inside a WSGI application, also where middleware is wrapped around it; else None."""
    for _ in range(10):
        extensions = getattr(application, "extensions", None)
        if isinstance(extensions, dict) and "quotechat" in extensions:
            chat: Drainable = extensions["quotechat"]
            return chat
        inner = (getattr(application, name, None) for name in ("app", "application", "wsgi_app"))
        application = next((each for each in inner if each is not None), None)
        # A bound method, such as Flask.wsgi_app in a middleware: its owner is the application.
        application = getattr(application, "__self__", application)
    return None


# --- The worker class -----------------------------------------------------------------------------


class _Leaving:
    """A connection at its end: what it has still to be sent, and until when it may take for that."""

    __slots__ = ("deadline", "read", "rest", "sock")

    def __init__(self, sock: socket.socket, rest: bytes, seconds: float) -> None:
        self.sock = sock
        self.rest = memoryview(rest)
        self.deadline = time.monotonic() + seconds
        self.read = 0


class Lingering:
    """Ends connections without waiting for their peers, on one thread for all.

    After the last byte we close our side and read on for a while, so that the kernel does not reset
    the connection over an answer still on its way (RFC 9112 §9.6). gunicorn does that too, but on the
    thread that accepts, 2 s for each peer that holds on.
    """

    _SECONDS = 2.0
    _SEND_SECONDS = 60.0  #: for what the peer has not read of its answer
    _MOST = 1000  #: connections; above that the oldest are closed at once
    _MOST_READ = 65_536  #: bytes thrown away per connection, as in gunicorn
    _MOST_KEPT = 64 * 1024 * 1024  #: bytes of answers; above that the oldest are not sent to their end

    def __init__(self) -> None:
        self._new: deque[_Leaving] = deque()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)
        self._open: dict[int, _Leaving] = {}
        self._kept = 0
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        threading.Thread(target=self._run, name="lingering", daemon=True).start()

    def close(self, sock: socket.socket, rest: bytes = b"") -> None:
        """Send `rest` and close `sock`, as soon as its peer lets us; returns at once."""
        if sock.fileno() < 0:  # closed already: an error here would make gunicorn count it out twice
            return
        sock.setblocking(False)
        if not rest and not _half_closed(sock):
            return
        self._new.append(_Leaving(sock, rest, self._SEND_SECONDS if rest else self._SECONDS))
        try:
            os.write(self._waker, b"\0")
        except OSError:  # full: it will look anyway
            pass

    def _run(self) -> None:
        while True:
            ready = self._poll.poll(250 if self._open else None)
            for number, mask in ready:
                if number == self._wake:
                    os.read(self._wake, 4096)
                elif self._open[number].rest:
                    self._send(number)
                elif mask:
                    self._read(number)
            self._admit()
            self._expire()

    def _admit(self) -> None:
        while self._new:
            leaving = self._new.popleft()
            if leaving.sock.fileno() < 0:
                continue
            self._open[leaving.sock.fileno()] = leaving
            self._kept += len(leaving.rest)
            self._poll.register(leaving.sock, select.POLLOUT if leaving.rest else select.POLLIN)

    def _send(self, number: int) -> None:
        leaving = self._open[number]
        try:
            sent = leaving.sock.send(leaving.rest)
        except BlockingIOError:
            return
        except OSError:
            self._drop(number)
            return
        self._kept -= sent
        leaving.rest = leaving.rest[sent:]
        if leaving.rest:
            return
        # Behind all others: they are in the order of their time.
        del self._open[number]
        self._poll.unregister(number)
        self.close(leaving.sock)

    def _read(self, number: int) -> None:
        leaving = self._open[number]
        try:
            got = len(leaving.sock.recv(4096))
        except BlockingIOError:
            return
        except OSError:
            got = 0
        leaving.read += got
        if got == 0 or leaving.read >= self._MOST_READ:
            self._drop(number)

    def _expire(self) -> None:
        now = time.monotonic()
        # Dicts keep the order of insertion, so the oldest come first.
        for number, leaving in list(self._open.items()):
            if leaving.deadline <= now or len(self._open) > self._MOST or self._kept > self._MOST_KEPT:
                self._drop(number)

    def _drop(self, number: int) -> None:
        self._poll.unregister(number)
        leaving = self._open.pop(number)
        self._kept -= len(leaving.rest)
        leaving.sock.close()


def _half_closed(sock: socket.socket) -> bool:
    """Close our side of `sock`; False where the peer has gone, and so nothing is to wait for."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        sock.close()
        return False
    return True


class _Answering(socket.socket):
    """A connection whose peer may read as slowly as it likes: that holds no thread.

    What it does not take within `_PATIENCE` is sent by `Lingering`, which then ends the connection; the server's
    descriptor gets a dead socket put under it, as if the peer had hung up.
    """

    lingering: Lingering

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As that of every socket, but that the rest may be sent later."""
        rest = memoryview(data)
        deadline = time.monotonic() + _PATIENCE
        while rest:
            try:
                rest = rest[self.send(rest, flags | socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0 or not self._writable(left):
                    self._leave(bytes(rest))
                    return

    def _writable(self, seconds: float) -> bool:
        waiter = select.poll()
        waiter.register(self, select.POLLOUT)
        return bool(waiter.poll(seconds * 1000))

    def _leave(self, rest: bytes) -> None:
        ours = socket.socket(fileno=os.dup(self.fileno()))
        dead, other = socket.socketpair()
        other.close()
        os.dup2(dead.fileno(), self.fileno(), inheritable=False)
        dead.close()
        self.lingering.close(ours, rest)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is published without types
    """gunicorn's gthread worker without the ways in which a client can stop it.

    A thread is taken only for a request that is whole: head and body are read here, by the poller, which waits for
    any number of slow senders at once. Where the server itself ends TLS gunicorn reads, on its threads.
    """

    wsgi: Any
    sockets: list[Any]

    def init_process(self) -> None:
        # After the fork: threads do not survive one.
        self._lingering = Lingering()
        self._arriving: dict[int, Any] = {}  # in the order of their deadlines
        self._buffered = 0
        self._request_seconds = float(os.environ.get(variable("request_seconds"), "30"))
        self._body_bytes = int(os.environ.get(variable("body_bytes"), "65536"))
        self._stops_at: float | None = None
        self._accepts_from = self._told_of_descriptors = 0.0
        super().init_process()

    # --- Reading, on the poller's thread ----------------------------------------------------------

    def accept(self, listener: Any) -> None:
        """Accept one connection; without a free descriptor wait, since an error ends the worker."""
        try:
            super().accept(listener)
        except OSError as fault:
            if fault.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            # A listener stays ready: without a pause the loop would turn without end.
            now = time.monotonic()
            self._accepts_from = now + _ACCEPT_PAUSE
            self.set_accept_enabled(False)
            if now - self._told_of_descriptors > _TELL_EVERY:
                self._told_of_descriptors = now
                self.log.error("cannot accept a connection: %s", fault.strerror)
            self._make_room(len(self._arriving) // 2)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept or not; the loop asks for it in every turn."""
        if not enabled or time.monotonic() >= self._accepts_from:
            super().set_accept_enabled(enabled)

    def enqueue_req(self, conn: Any) -> None:
        """`conn` is new, or has something to read: it goes to the pool when its request is whole."""
        if self.cfg.is_ssl:  # TLS reads, and closes, with exchanges of its own
            super().enqueue_req(conn)
            return
        conn.close = lambda graceful=False: self._close(conn, graceful)
        self._receive(conn, b"" if conn.parser is None else conn.parser.unreader.take_buffered())

    def hand_back(self, client: Any, server: Any, sock: socket.socket, data: bytes, missed: int) -> None:
        """A connection that the application had taken has its next request, `data` first; from any thread.

        `missed` is for the application: how often in a row that was not the request it had expected.
        """
        self.method_queue.defer(self._serve_again, TConn(self.cfg, sock, client, server), data, missed)

    def _serve_again(self, conn: Any, data: bytes, missed: int) -> None:
        self.nr_conns += 1
        conn.served, conn.missed = 1, missed
        conn.close = lambda graceful=False: self._close(conn, graceful)
        self._receive(conn, data)

    def _receive(self, conn: Any, data: bytes) -> None:
        if not isinstance(conn.sock, _Answering):
            conn.sock = _Answering(fileno=conn.sock.detach())
            conn.sock.lingering = self._lingering
        conn.arrival = Arrival(self._body_bytes)
        conn.deadline = time.monotonic() + self._request_seconds
        conn.sock.setblocking(False)
        self._arriving[id(conn)] = conn
        self.poller.register(conn.sock, selectors.EVENT_READ, lambda _: self._read(conn))
        if data:
            self._take(conn, data)
        else:
            # What has come already needs no turn of the loop.
            self._read(conn)

    def _read(self, conn: Any) -> None:
        try:
            data = conn.sock.recv(_READ_BYTES)
        except BlockingIOError:
            self._bound()
            return
        except OSError:
            data = b""
        if data:
            self._take(conn, data)
        else:
            self._refuse(conn, "400 Bad Request" if conn.arrival.data else None)

    def _take(self, conn: Any, data: bytes) -> None:
        arrival: Arrival = conn.arrival
        if not arrival.data:
            conn.began = time.monotonic()
        arrival.take(data)
        self._buffered += len(data)
        if arrival.refusal is not None:
            self._refuse(conn, arrival.refusal)
        elif arrival.whole:
            self._pass_on(conn)
        else:
            if arrival.wants_continue and not getattr(conn, "continued", False):
                conn.continued = True
                with contextlib.suppress(OSError):
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._bound()

    def _pass_on(self, conn: Any) -> None:
        arrival = self._forget(conn)
        conn.data_ready, conn.raw = True, bytes(arrival.data)
        conn.init()
        unreader = conn.parser.unreader
        # All is here. Whoever reads on, since a length is not what it says, finds the end and not a wait.
        unreader.chunk = lambda size_hint=None: b""
        unreader.unread(conn.raw)
        super().enqueue_req(conn)

    def _refuse(self, conn: Any, status: str | None) -> None:
        self._forget(conn)
        if status is not None:
            with contextlib.suppress(OSError):
                conn.sock.send(refusal(status))
        self.nr_conns -= 1
        self._close(conn, status is not None)

    def _forget(self, conn: Any) -> Arrival:
        del self._arriving[id(conn)]
        self._buffered -= len(conn.arrival.data)
        self.poller.unregister(conn.sock)
        found: Arrival = conn.arrival
        return found

    def _bound(self) -> None:
        """However many begin a request, there is a place and memory for the next one: the oldest makes room."""
        if len(self._arriving) > self.worker_connections // 2 or self._buffered > _MOST_BUFFERED:
            self._make_room(1)

    def _make_room(self, count: int) -> None:
        for conn in list(islice(self._arriving.values(), count)):
            self._refuse(conn, None)

    def murder_pending(self) -> None:
        """End what is not whole in time; the loop calls this at least once a second."""
        now = time.monotonic()
        if not self.alive and self._stops_at is None:
            self._stops_at = now + _STOP_SECONDS
        for conn in list(self._arriving.values()):
            begun = bool(conn.arrival.data)
            late = conn.deadline <= now
            # Who has just connected, or been answered, may be about to ask.
            patience = 0.0 if begun else _STOP_SECONDS - _HANDOVER_LINGER
            if late or (self._stops_at is not None and self._stops_at - patience <= now):
                self._refuse(conn, "408 Request Timeout" if begun else None)
            elif self._stops_at is None:
                break  # those behind it have more time
        super().murder_pending()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One turn of the loop; short ones while the worker stops, since then time-outs are."""
        super().wait_for_and_dispatch_events(timeout if self.alive else min(timeout, _HANDOVER_LINGER / 4))

    # --- Answering, on a thread of the pool -------------------------------------------------------

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer one request."""
        _here.conn = conn
        conn.served = getattr(conn, "served", 0) + 1
        arrival: Arrival | None = getattr(conn, "arrival", None)
        if arrival is not None:
            # The sender was told, or does not wait.
            req._expected_100_continue = False
            conn.continued = False
            if arrival.early:
                req.force_close()
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what never reached the application. Nothing of the request is repeated, nor logged as it came."""
        if isinstance(exc, errors.ParseException):
            status = next((line for kind, line in _REFUSALS.items() if isinstance(exc, kind)), "400 Bad Request")
            self.log.info("refused what is no HTTP: %s", type(exc).__name__)
        else:
            status = "500 Internal Server Error"
            self.log.error("a request failed outside the application", exc_info=exc)
        with contextlib.suppress(OSError):
            client.settimeout(1.0)
            client.sendall(refusal(status))

    def load_wsgi(self) -> None:
        """The application, when it can be had. What ends a start must not end a server that was serving."""
        while True:
            try:
                self._load()
                return
            except (OSError, sqlite3.Error, SystemExit) as fault:
                if self.age <= self.cfg.workers:
                    raise
                self.log.error("a new worker cannot begin yet: %s", fault)
            deadline = time.monotonic() + _BEGIN_AGAIN
            while time.monotonic() < deadline:
                self.notify()
                if not self.alive or os.getppid() != self.ppid:
                    sys.exit(0)
                time.sleep(0.05)

    def _load(self) -> None:
        """The application, which may take a request's socket and give it back later."""
        super().load_wsgi()
        self.wsgi = _HandingBack(self.wsgi, self)

    def stop_listening(self) -> None:
        """Give up the address, soon; from any thread."""
        self.method_queue.defer(self._stop_listening)

    def _stop_listening(self) -> None:
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        self.sockets = []

    def _close(self, conn: Any, graceful: bool) -> None:
        if graceful:
            self._lingering.close(conn.sock)
        else:
            conn.sock.close()


#: What gunicorn's parser refuses with another status than 400.
_REFUSALS: dict[type[Exception], str] = {
    errors.LimitRequestLine: "414 URI Too Long",
    errors.LimitRequestHeaders: "431 Request Header Fields Too Large",
    errors.ExpectationFailed: "417 Expectation Failed",
}


class _HandingBack:
    """Around the application: ``environ["quotechat.hand_back"]`` takes a socket back."""

    def __init__(self, app: Any, worker: Worker) -> None:
        self.app = app
        self._worker = worker

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        conn = _here.conn
        environ["quotechat.hand_back"] = partial(self._worker.hand_back, conn.client, conn.server)
        environ["quotechat.accepting"] = lambda: self._worker.alive
        environ["quotechat.arrived"] = getattr(conn, "began", None)
        environ["quotechat.served"], environ["quotechat.missed"] = conn.served, getattr(conn, "missed", 0)
        # The bytes of this request, where the application had read them itself.
        environ["quotechat.raw"], conn.raw = getattr(conn, "raw", None), None
        return self.app(environ, start_response)


#: The connection that this thread of the pool serves.
_here = threading.local()
_handover = Handover()
_requests = Requests()
_draining: Draining | None = None

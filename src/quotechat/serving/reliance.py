"""Check at the start the parts of gunicorn that we rely on beyond its documentation.

A method that gunicorn calls by another name would switch a defence off without a word. docs/explanation/gunicorn.md has
the same list with its reasons.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

_GTHREAD, _BASE = "gunicorn.workers.gthread", "gunicorn.workers.base"

ATTRIBUTES = {
    f"{_GTHREAD}:ThreadWorker": (
        "accept", "enqueue_req", "finish_request", "handle", "handle_error", "handle_request", "init_process",
        "load_wsgi", "murder_keepalived", "murder_pending", "notify", "on_client_socket_readable", "set_accept_enabled",
        "wait_for_and_dispatch_events",
    ),
    f"{_GTHREAD}:TConn": ("close", "init"),
    f"{_GTHREAD}:PollableMethodQueue": ("defer",),
    "gunicorn.http.unreader:Unreader": ("chunk", "take_buffered", "unread"),
    "gunicorn.http.message:Request": ("_expected_100_continue", "force_close"),
    "gunicorn.http.errors": (
        "ExpectationFailed", "LimitRequestHeaders", "LimitRequestLine", "NoMoreData", "ParseException",
    ),
    "gunicorn.arbiter:Arbiter": ("LISTENERS", "manage_workers", "spawn_worker", "stop"),
}  # fmt: skip
"""The names that we call, override or catch, by module and class."""

NAMES = {
    f"{_GTHREAD}:ThreadWorker.__init__": (
        "keepalived_conns", "method_queue", "nr_conns", "poller", "worker_connections",
    ),
    f"{_GTHREAD}:ThreadWorker.run": (
        "alive", "murder_keepalived", "murder_pending", "notify", "nr_conns", "set_accept_enabled",
        "wait_for_and_dispatch_events", "worker_connections",
    ),
    f"{_GTHREAD}:ThreadWorker.set_accept_enabled": ("accept", "poller", "sockets"),
    f"{_GTHREAD}:ThreadWorker.enqueue_req": ("defer", "finish_request", "handle", "method_queue"),
    f"{_GTHREAD}:ThreadWorker.finish_request": (
        "close", "keepalived_conns", "nr_conns", "on_client_socket_readable",
    ),
    f"{_GTHREAD}:ThreadWorker.on_client_socket_readable": ("enqueue_req", "keepalived_conns", "poller"),
    f"{_GTHREAD}:ThreadWorker.murder_keepalived": ("close", "keepalived_conns", "timeout"),
    f"{_GTHREAD}:ThreadWorker.handle": ("data_ready", "handle_error", "handle_request", "init", "parser"),
    f"{_GTHREAD}:ThreadWorker.handle_request": ("headers_sent", "wsgi"),
    f"{_GTHREAD}:TConn.__init__": ("client", "data_ready", "parser", "server", "sock"),
    f"{_GTHREAD}:TConn.init": ("parser", "sock"),
    f"{_BASE}:Worker.__init__": ("age", "alive", "cfg", "log", "ppid", "sockets"),
    f"{_BASE}:Worker.load_wsgi": ("wsgi",),
    "gunicorn.http.parser:Parser.__init__": ("unreader",),
    "gunicorn.http.wsgi:default_environ": ("gunicorn.socket",),
    "gunicorn.arbiter:Arbiter.run": ("manage_workers",),
    "gunicorn.arbiter:Arbiter.reload": ("manage_workers", "on_reload", "spawn_worker", "worker_age"),
    "gunicorn.arbiter:Arbiter.halt": ("on_exit", "stop"),
}  # fmt: skip
"""Calls and assignments in functions of gunicorn, by function: names and keys in their code."""


def missing() -> list[str]:
    """List the names that this gunicorn lacks, such as ``gunicorn.arbiter:Arbiter.stop``."""
    found = []
    for owner, names in ATTRIBUTES.items():
        there = _get(owner)
        found += [f"{owner}.{name}" for name in names if not hasattr(there, name)]
    for function, names in NAMES.items():
        whole = _get(function)
        # A decorator, such as that of a tracer, changes nothing of what it wraps.
        code = getattr(inspect.unwrap(whole) if callable(whole) else whole, "__code__", None)
        there = set() if code is None else set(_names(code))
        found += [f"{name} in {function}" for name in names if name not in there]
    return found


def check() -> None:
    """Raise ImportError, with the names, if this gunicorn is not the one that we know."""
    found = missing()
    if found:
        version = importlib.import_module("gunicorn").__version__
        raise ImportError(
            f"gunicorn {version} lacks what quotechat relies on: {', '.join(found)};"
            " install a version that quotechat names: pip install 'gunicorn>=26.2,<28'"
        )


def _get(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        return functools.reduce(getattr, filter(None, path.split(".")), importlib.import_module(module))
    except (ImportError, AttributeError):
        return None


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
        elif isinstance(constant, tuple):  # the keys of a dictionary
            yield from (each for each in constant if isinstance(each, str))

"""Run under gunicorn: its settings, and the parts that make stopping and restarting gentle.

`quotechat serve` and ``gunicorn.conf.py`` share all of this. Only gunicorn, signals and processes
live here; the hub decides what draining *means*.

Each part here does something that gunicorn alone does not; from the top down:

* `server`: the settings, and gunicorn as a library, without its command line.
* `hooks`: the functions that gunicorn calls in the master and in the workers; ties the parts below together.
* `draining`: on SIGTERM gunicorn waits for requests to end and gives no notice. We tell the hub, so that held polls
  are answered and sockets get 1012 at once. It may also call ``worker_exit`` while a request is in flight: we count,
  so that the database is closed after the last one.
* `handover`: on SIGHUP gunicorn stops the old workers while the new ones are still importing. We keep the old ones
  serving until the new ones are ready.
* `worker`: gunicorn's gthread waits for the rest of a request for ever, on a thread; an accept without a free
  descriptor ends it.
* `lingering`: it waits too for a peer that does not read its answer, and a peer that does not close its side stalls
  its poller for 2 s.
* `arrival`: when a request is complete.
* `beginning`, `figures`, `reliance`: checks before the server begins, files in which workers share their figures, and
  the parts of gunicorn that must be there.
"""

from . import reliance

reliance.check()  # before gunicorn's names are imported one by one: a fault tells all that are missing

from .draining import find_chat  # noqa: E402  # after the check
from .handover import Handover  # noqa: E402  # after the check
from .hooks import sqlite_notice  # noqa: E402  # after the check
from .lingering import Lingering  # noqa: E402  # after the check
from .server import Server, gunicorn_settings, prepare, serve  # noqa: E402  # after the check
from .worker import Worker  # noqa: E402  # after the check

__all__ = [
    "Handover",
    "Lingering",
    "Server",
    "Worker",
    "find_chat",
    "gunicorn_settings",
    "prepare",
    "serve",
    "sqlite_notice",
]

"""How gunicorn runs us: its settings, and what makes stopping and restarting gentle.

`quotechat serve` and ``gunicorn.conf.py`` share all of this. Only gunicorn, signals and processes
live here; what draining *means* is the hub's business.

What gunicorn alone does not do, and what each part here is for, from the top down:

* `server`: the settings, and gunicorn as a library, without its command line.
* `hooks`: what gunicorn calls in the master and in the workers; ties the parts below together.
* `draining`: on SIGTERM gunicorn waits for requests to end and tells nobody. We tell the hub, so that held polls
  are answered and sockets get 1012 at once. It may also call ``worker_exit`` while a request is in flight: we count,
  so that the database is closed after the last one.
* `handover`: on SIGHUP gunicorn stops the old workers while the new ones are still importing. We keep the old ones
  serving until the new ones are ready.
* `worker`: gunicorn's gthread waits for the rest of a request for ever, on a thread; an accept without a free
  descriptor ends it.
* `lingering`: it waits too for a peer that does not read its answer, and a peer that does not close its side stalls
  its poller for 2 s.
* `arrival`: when a request is whole.
* `beginning`, `figures`, `reliance`: what is looked at before it begins, where workers share their figures, and what of
  gunicorn must be there.
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

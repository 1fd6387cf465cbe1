"""What several folders share: one PostgreSQL for all tests that need any, and a database for each."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator

import postgres
import prepared
import pytest
from hypothesis import HealthCheck, settings
from websockets.sync.client import connect

_numbers = itertools.count()
prepared.install()

# How long an example takes says how busy the machine is, and nothing of what is tested. The same examples come at every
# run; `make fuzz` looks for others.
settings.register_profile(
    "any machine", max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# A handshake and the answer to a ping take as long as a busy machine needs for them.
connect.__kwdefaults__ |= {"open_timeout": 60, "ping_timeout": 120}

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and ends with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """One server for the session. It does not flush: what survives a power cut is tested with one of its own."""
    postgres.needed()
    with postgres.postgres(fsync="off", full_page_writes="off") as server:
        yield server
        server.stop(signal.SIGQUIT)  # at once: nothing of it is kept


@pytest.fixture(scope="session")
def new_schema(postgres_server: postgres.Server) -> Callable[[], str]:
    """Each call gives the URL of an empty schema: the same to quotechat as a database, and made in a moment."""

    def make() -> str:
        name = f"schema_{next(_numbers)}"
        postgres_server.sql(f"CREATE SCHEMA {name}")
        return f"{postgres_server.url}?options=-csearch_path%3D{name}"

    return make


@pytest.fixture
def database(postgres_server: postgres.Server) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.fresh(name)
    postgres_server.drop(name)

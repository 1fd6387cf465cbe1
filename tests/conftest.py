"""What several folders share: one PostgreSQL for all tests that need any, and a database for each."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import postgres
import prepared
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from websockets.sync.client import connect

from quotechat.store.postgres.store import PostgresStore

_numbers = itertools.count()
prepared.install()

# How long an example takes says how busy the machine is, and nothing of what is tested. The same examples come at every
# run; `make long` asks for more, and `make fuzz` looks for others.
EXAMPLES = int(os.environ.get("EXAMPLES", "25"))
settings.register_profile(
    "any machine", max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# A handshake and the answer to a ping take as long as a busy machine needs for them.
connect.__kwdefaults__ |= {"open_timeout": 60, "ping_timeout": 120}

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and ends with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Read all tests without looking for garbage, and never look through them again: nothing of them is any."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take the longest files first, so that no process is left with one of them when the others have ended."""
    lines = (Path(__file__).parent / "longest.txt").read_text().splitlines()
    places = {name: place for place, name in enumerate(lines)}
    items.sort(key=lambda item: places.get(str(item.path.relative_to(Path(__file__).parent)), len(lines)))


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


_SHAPE = (
    "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_proc),"
    " (SELECT count(*) FROM pg_trigger), (SELECT value FROM meta WHERE key = 'schema'), (SELECT count(*)"
    " FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)
"""What a database has apart from rows."""
_ALONE = (
    "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
"""With the time to wait for the end of each: the next test may count who listens."""


class Databases:
    """Databases with all tables and nothing in them: emptied and given again, which takes a fifth of migrating."""

    def __init__(self, server: postgres.Server) -> None:
        self._server = server
        self._spare: list[str] = []
        template = server.fresh("migrated")
        PostgresStore(template).close()
        with psycopg.connect(template) as connection:
            connection.execute("DELETE FROM meta WHERE key = 'secret'")  # each draws one of its own
            found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            self._shape = connection.execute(_SHAPE).fetchone()  # type: ignore[arg-type]  # ours
        self._empty = "; ".join(
            ["BEGIN", "SET LOCAL session_replication_role = replica", "SET LOCAL lock_timeout = '20s'",
             *[f"DELETE FROM {table}" for (table,) in found if table != "meta"],
             "DELETE FROM meta WHERE key <> 'schema'",
             "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence", "COMMIT"]
        )  # fmt: skip

    def new(self) -> str:
        """Return the URL of one that nobody uses."""
        if self._spare:
            return self._spare.pop()
        name = f"tables_{next(_numbers)}"
        self._server.sql(f"CREATE DATABASE {name} TEMPLATE migrated")
        return self._server.database(name)

    def give_back(self, url: str) -> None:
        """Empty it for the next one; if that cannot be done, or its tables are others now, remove it."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as connection:
            if connection.execute(_SHAPE).fetchone() == self._shape:  # type: ignore[arg-type]  # ours
                connection.execute(_ALONE)
                connection.execute(self._empty)  # type: ignore[arg-type]  # ours
                self._spare.append(url)
                return
        self._server.drop(url.rpartition("/")[2])


@pytest.fixture(scope="session")
def databases(postgres_server: postgres.Server) -> Databases:
    return Databases(postgres_server)


@pytest.fixture(scope="module")
def new_tables(databases: Databases) -> Iterator[Callable[[], str]]:
    """Each call gives the URL of a database with all tables and nothing in them, which the module has to itself."""
    made: list[str] = []

    def make() -> str:
        made.append(databases.new())
        return made[-1]

    yield make
    for url in made:
        databases.give_back(url)


@pytest.fixture
def tables(databases: Databases) -> Iterator[str]:
    """The URL of a database with all tables and nothing in them."""
    url = databases.new()
    yield url
    databases.give_back(url)


@pytest.fixture
def database(postgres_server: postgres.Server) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.fresh(name)
    postgres_server.drop(name)

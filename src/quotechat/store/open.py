"""Open the store that the settings name."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..config import Settings, SettingsError, variable
from ..protocol.errors import Overloaded
from . import rules
from .base import Impossible, Store
from .search.index import Index
from .search.sqlite import SqliteIndex
from .shapes import Sql
from .sqlite import store as sqlite

log = logging.getLogger(__name__)

_TRY_AGAIN = 0.5

if TYPE_CHECKING:
    from .postgres.store import PostgresStore


def database_path(settings: Settings) -> Path:
    """Return the path of SQLite's file, if the log is in SQLite."""
    return settings.data / "quotechat.db"


def secret_path(settings: Settings) -> Path:
    """Return the path of the secret that signs identities, if the log is in SQLite."""
    return settings.data / "secret"


def open_store(
    settings: Settings, *, make: bool = True, patience: float = 0.0
) -> sqlite.SqliteStore | PostgresStore:
    """Open the store of `settings`; without `make`, Impossible if there is none yet.

    A PostgreSQL that is unavailable is waited for, `patience` seconds at most. Raises SettingsError, OSError if the
    data directory cannot be used, Overloaded if PostgreSQL cannot be reached.
    """
    known = rules.Settings(
        settings.schedule_days, settings.name_hold_seconds * 1000, settings.most_rooms, settings.most_directs
    )
    if settings.database:
        deadline, told = time.monotonic() + patience, False
        while True:
            try:
                return _postgres(settings).PostgresStore(  # type: ignore[no-any-return]  # of a module that may be missing
                    settings.database, known, connections=settings.database_connections, make=make
                )
            except Overloaded as away:
                if time.monotonic() > deadline:
                    raise
                if not told:
                    log.warning("waiting %g s for PostgreSQL: %s", patience, away)
                told = True
            time.sleep(_TRY_AGAIN)
    if make:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        _there(settings)
    return sqlite.SqliteStore(database_path(settings), known)


def open_index(settings: Settings, store: Store) -> Index:
    """Return the index of `store`, which `settings` name; it is made by the first step."""
    if not settings.database:
        return SqliteIndex(settings.data / "search.db", store)
    from .search.postgres import PostgresIndex

    return PostgresIndex(store)


@contextlib.contextmanager
def look(settings: Settings, *, alone: bool = False) -> Iterator[Sql]:
    """Open the store read-only, at one moment. Raises as `open_store` without `make`.

    With `alone`, InUse if a server or another command uses it; SQLite's is kept from others meanwhile.
    """
    if settings.database:
        with _postgres(settings).look(settings.database, alone=alone) as sql:
            yield sql
    else:
        with sqlite.look(_there(settings), alone=alone) as sql:
            yield sql


def secret_of(settings: Settings, sql: Sql) -> str | None:
    """Return the secret that signs the store's identities, None if it has none yet; `sql` reads the store."""
    if settings.database:
        row = sql.one("SELECT value FROM meta WHERE key = 'secret'")
        return None if row is None else str(row[0])
    path = secret_path(settings)
    return path.read_text() if path.exists() else None


def size(settings: Settings, sql: Sql) -> int:
    """Return the bytes on the disk of the store that `sql` reads."""
    if settings.database:
        row = sql.one("SELECT pg_database_size(current_database())")
        return 0 if row is None else int(row[0])
    path = database_path(settings)
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def _there(settings: Settings) -> Path:
    path = database_path(settings)
    if not path.is_file():
        raise Impossible(f"there is no database at {path}")
    return path


def check_driver(settings: Settings) -> None:
    """Raise SettingsError if the driver for the store of `settings` is not installed."""
    if settings.database and not _installed("psycopg"):
        raise SettingsError(f"{variable('database')} needs the driver of PostgreSQL: pip install 'quotechat[postgres]'")
    for name in ("database", "listen_database"):
        if getattr(settings, name):
            _check_url(name, getattr(settings, name))


def _check_url(name: str, url: str) -> None:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except psycopg.Error:
        # Its words repeat a part of the URL, which may be the password.
        raise SettingsError(f"{variable(name)} is no URL that PostgreSQL's driver can read") from None


def _postgres(settings: Settings) -> ModuleType:
    check_driver(settings)
    from .postgres import store as postgres

    return postgres


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # it was imported in an unusual way, or kept from it
        return False

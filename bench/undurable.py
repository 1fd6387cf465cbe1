"""quotechat without its promise: nothing is flushed to the disk. Only to show what durability costs."""

from __future__ import annotations

import sqlite3

from quotechat.cli import main
from quotechat.store.sqlite.store import SqliteStore

_open_writer = SqliteStore._open_writer


def _careless(store: SqliteStore) -> sqlite3.Connection:
    connection = _open_writer(store)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


if __name__ == "__main__":
    SqliteStore._open_writer = _careless  # type: ignore[method-assign]
    main()

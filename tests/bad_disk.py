"""A store whose commits fail as on a bad disk; the real disk is broken in tests/faults."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from quotechat.store.base import Store
from quotechat.store.sqlite.store import SqliteStore


@contextlib.contextmanager
def failing_commits(store: Store) -> Iterator[None]:
    """Let each COMMIT of `store` fail at its flush: whether it has reached the disk is not known."""
    assert isinstance(store, SqliteStore)
    transaction: Any = store._transaction
    execute = transaction._execute

    def broken(statement: str) -> Any:
        if statement == "COMMIT":
            fault = sqlite3.OperationalError("disk I/O error")
            fault.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise fault
        return execute(statement)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "_execute", broken)
        yield

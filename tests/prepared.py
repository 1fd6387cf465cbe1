"""Make once in this process what each application in it would make anew, always with the same result.

Real servers are processes of their own: they compile their routes, migrate and hash passwords at full cost.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from compiled import of_rule
from werkzeug.routing.rules import Rule

from quotechat.hub.accounts import passwords
from quotechat.store import migrate
from quotechat.store.sqlite import store as sqlite
from quotechat.store.sqlite.transaction import Transaction

_compile_builder = Rule._compile_builder
migrate_by_steps = sqlite.SqliteStore._migrate
_migrations = cache(migrate.migrations)
real_hasher = passwords._hasher


def install() -> None:
    """Replace what is slow: compiling routes, reading and running migrations, hashing passwords."""
    Rule._compile_builder = _builder  # type: ignore[assignment]
    migrate.migrations = _migrations
    sqlite.SqliteStore._migrate = _copy_and_migrate  # type: ignore[method-assign]
    passwords._hasher = cache(lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def _builder(rule: Rule, append_unknown: bool = True) -> Any:
    """Return the function that builds addresses by `rule`; equal rules have the same one."""
    return _builder_of(_Equal(rule, append_unknown))


class _Equal:
    """A rule, compared by all that its function is compiled of."""

    def __init__(self, rule: Rule, append_unknown: bool) -> None:
        self.rule, self.append_unknown = rule, append_unknown
        self._key = of_rule(rule, append_unknown)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Equal) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@cache
def _builder_of(same: _Equal) -> Any:
    return _compile_builder(same.rule, same.append_unknown)


def _copy_and_migrate(store: sqlite.SqliteStore) -> None:
    """Copy an empty store into a new file, then migrate as ever. A test's own migrations are run one by one."""
    (tables,) = store._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0 and migrate.migrations is _migrations:
        _empty_store().backup(store._writer)
    migrate_by_steps(store)


@contextlib.contextmanager
def real_hashes() -> Iterator[None]:
    """Hash passwords as a server does."""
    quick, passwords._hasher = passwords._hasher, real_hasher
    passwords._of_nobody.cache_clear()
    try:
        yield
    finally:
        passwords._hasher = quick
        passwords._of_nobody.cache_clear()


@cache
def _empty_store() -> sqlite3.Connection:
    """A store in memory, as all migrations leave it."""
    store = object.__new__(sqlite.SqliteStore)
    store._writer = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    store._transaction = Transaction(store._writer, store._refusal)
    migrate_by_steps(store)
    return store._writer

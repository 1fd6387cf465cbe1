"""Load the records before all rooms: the secret, accounts, and quotes that have no event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ...protocol import json
from ..base import Impossible
from ..disk.lock import InUse
from ..shapes import PART, Sql
from . import carrying
from .copying import Kept, Secret


class Target(Protocol):
    """The methods that a load needs of a store."""

    def writing(self) -> AbstractContextManager[Sql]:
        """Open one durable write transaction."""

    def write_with(self, work: Callable[[Sql], None]) -> None:
        """Do `work` in one durable write transaction."""

    def adopt(self, secret: str) -> None:
        """Sign identities with `secret` from now on. Raises InUse if another process uses the store."""


def empty(sql: Sql) -> bool:
    """Return True if nothing was ever said here: there is no room, or only new ones."""
    return sql.one("SELECT 1 FROM room WHERE head > 0 AND name NOT LIKE ? LIMIT 1", f"%{PART}%") is None


def adopt(store: Target, record: Secret) -> None:
    """Take the secret over, if nothing was ever said here. Raises Impossible if a server runs on the store."""
    with store.writing() as sql:
        new = empty(sql)
    if not new:
        return
    try:
        store.adopt(record.secret)
    except InUse as fault:
        # Its workers would go on signing with the old one, and some with the new.
        raise Impossible(f"{fault}; stop the server first: the file carries identities") from fault


def add_beside(store: Target, records: list[Kept]) -> None:
    """Add the records that stand before all rooms."""
    _add_quotes(store, [each.row for each in records if each.table == "quote"])
    rows = [(each.table, each.row) for each in records if each.table != "quote"]
    if rows:
        store.write_with(lambda sql: carrying.load(sql, rows, new=empty(sql)))


def _add_quotes(store: Target, rows: list[dict[str, Any]]) -> None:
    """Add quotes that have no event. Those that came with the program are there already if a server has run."""
    if not rows:
        return
    with store.writing() as sql:
        for row in rows:
            there = sql.one("SELECT body FROM quote WHERE id = ?", row["id"])
            if there is None:
                removed = 0 if json.own(row["body"]).get("removed") else None
                values = (row["id"], row["identity"], row["body"], removed)
                sql.run("INSERT INTO quote (id, identity, body, removed) VALUES (?, ?, ?, ?)", *values)
            elif _words(there[0]) != _words(row["body"]):
                raise Impossible(f"quote {row['id']} is another one here; load into a store of its own")


def _words(body: str) -> tuple[str, str]:
    quote = json.own(body)
    return quote["quote"], quote["author"]

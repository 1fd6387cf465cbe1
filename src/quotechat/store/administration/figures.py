"""Count the accounts and files of the server, for the page of administrators."""

from __future__ import annotations

from typing import NamedTuple

from ..shapes import Sql


class Figures(NamedTuple):
    """The number of accounts that are not closed, the number of files, and the bytes of their different contents."""

    accounts: int
    files: int
    bytes: int


def read(sql: Sql) -> Figures:
    """Count accounts, files and bytes now."""
    (accounts,) = sql.one("SELECT count(*) FROM account WHERE state <> 'closed'") or (0,)
    (files,) = sql.one("SELECT count(*) FROM file WHERE hash IS NOT NULL") or (0,)
    (size,) = sql.one("SELECT coalesce(sum(size), 0) FROM blob") or (0,)
    return Figures(int(accounts), int(files), int(size))

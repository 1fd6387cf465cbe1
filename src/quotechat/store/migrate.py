"""Numbered SQL files, each run once, in order, in the transaction of its own record."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from typing import NamedTuple


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    statements: list[str]


class SchemaTooNew(Exception):
    """The database was written by a newer quotechat; going on could harm it."""


def migrations(dialect: str) -> list[Migration]:
    """Return all steps for `dialect` (``sqlite``, ``postgres``), in order."""
    folder = files(__package__) / "migrations" / dialect
    found = [
        Migration(int(each.name[:4]), each.name, list(_statements(each.read_text("utf-8"))))
        for each in folder.iterdir()
        if each.name.endswith(".sql")
    ]
    return sorted(found)


def pending(dialect: str, version: int) -> list[Migration]:
    """Return the steps above `version`. Raises SchemaTooNew if `version` is above them all."""
    known = migrations(dialect)
    if version > known[-1].number:
        raise SchemaTooNew(
            f"the database has schema {version}, this quotechat knows {known[-1].number}: upgrade quotechat"
        )
    return [step for step in known if step.number > version]


def _statements(script: str) -> Iterator[str]:
    # One by one, because sqlite3's executescript() commits first and would leave half a step behind.
    statement = ""
    for part in re.sub(r"--.*", "", script).split(";"):
        statement += part
        if _is_whole(statement):
            if statement.strip():
                yield statement.strip()
            statement = ""
        else:
            statement += ";"


def _is_whole(statement: str) -> bool:
    """Return True if the semicolon behind `statement` ends it: it is not in a trigger of SQLite, nor between ``$$``."""
    return statement.count("$$") % 2 == 0 and sqlite3.complete_statement(f"{statement};")

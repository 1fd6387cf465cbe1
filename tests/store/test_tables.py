"""`store.tables` is the schema, and all that lists tables is made of it."""

from __future__ import annotations

import ast
import contextlib
import re
import sqlite3
from pathlib import Path

import msgspec
import pytest

from quotechat.store.postgres import statements
from quotechat.store.sqlite.store import SqliteStore
from quotechat.store.tables import TABLES
from quotechat.store.transfer import carrying, exports

STORE = Path(__file__).parents[2] / "src" / "quotechat" / "store"
KINDS = {"INTEGER": "number", "TEXT": "text", "BLOB": "bytes"}


def test_they_are_those_of_the_schema(tmp_path: Path) -> None:
    """Each table of a migrated database is declared, with its key, its columns and their kinds; and no other is."""
    path = tmp_path / "quotechat.db"
    SqliteStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as sql:
        names = [row[0] for row in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        own = [name for name in names if not name.startswith("sqlite")]
        found = {name: sql.execute(f"PRAGMA table_info({name})").fetchall() for name in own}
    assert {name: {column[1]: KINDS[column[2]] for column in columns} for name, columns in found.items()} == {
        name: table.kinds for name, table in TABLES.items()
    }
    keys = {name: sorted((column[5], column[1]) for column in columns if column[5]) for name, columns in found.items()}
    assert {name: tuple(column for _, column in key) for name, key in keys.items()} == {
        name: table.key for name, table in TABLES.items()
    }


@pytest.mark.parametrize(
    "statement",
    ["SELECT id FROM nowhere WHERE id = ?", "INSERT INTO nowhere (id) VALUES (?)", "UPDATE nowhere SET a = ?",
     "SELECT 1 FROM message m JOIN nowhere n ON n.id = m.id", "DELETE FROM nowhere"],
)  # fmt: skip
def test_an_unknown_table_is_an_error(statement: str) -> None:
    """A statement on a table that is not declared fails, whatever it does: its conflicts could not be seen."""
    with pytest.raises(KeyError, match="nowhere"):
        statements.shape(statement)


def test_no_statement_names_an_unknown_table() -> None:
    """All SQL of the rules, the readings, the accounts and the transfer names declared tables only."""
    files = [path for path in STORE.rglob("*.py") if path.parent.name not in ("search", "sqlite", "postgres")]
    texts = [
        node.value for path in files for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]  # fmt: skip
    of_statements = [text for text in texts if re.match(r"(SELECT|INSERT INTO|UPDATE|DELETE FROM) ", text)]
    named = {name for text in of_statements for name in re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE) ([a-z]\w*)", text)}
    assert len(named) > 20
    assert named <= TABLES.keys()


def test_each_row_that_travels_has_a_line() -> None:
    """An export has a line for each table whose rows go into another store, with the columns that go."""
    assert {name for name, table in TABLES.items() if table.kept} <= exports._LINES.keys()
    assert {name for name, table in TABLES.items() if table.carried} == carrying.LINES.keys()
    lines: dict[str, type[msgspec.Struct]] = {**exports._LINES, **carrying.LINES}
    travelling = {name: {*table.travelling} for name, table in TABLES.items() if table.kept or table.carried}
    missing = {name: columns - {*lines[name].__struct_fields__} for name, columns in travelling.items()}
    assert {name: columns for name, columns in missing.items() if columns} == {}

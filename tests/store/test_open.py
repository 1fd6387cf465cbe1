"""Which store the settings name, and what is said where it cannot be opened."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import prepared
import pytest
from servers import environment

from quotechat.store import migrate
from quotechat.store.programs import subscribers
from quotechat.store.shapes import Sql
from quotechat.store.sqlite import store as sqlite
from quotechat.store.sqlite.store import SqliteStore

WITHOUT = "import sys; sys.modules['psycopg'] = None; from quotechat.cli import main; main()"


@pytest.mark.parametrize("command", ["serve", "verify", "rebuild"])
def test_a_missing_driver_is_named(tmp_path: Path, command: str) -> None:
    """Before anything is started: one line, with what to install."""
    database = "postgresql://quotechat:s3cret@127.0.0.1:1/chat"
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT, command], env=environment(QUOTECHAT_DATABASE=database, QUOTECHAT_PORT="0"),
        cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert result.returncode in (1, 2)
    assert "pip install 'quotechat[postgres]'" in result.stderr and "QUOTECHAT_DATABASE" in result.stderr
    assert "Traceback" not in result.stderr and "s3cret" not in result.stderr + result.stdout


def test_a_database_that_does_not_come_ends_the_start(tmp_path: Path) -> None:
    """The server says why, and ends with a status that a supervisor sees."""
    script = (
        "import quotechat.app as app; app._PATIENCE = 0.2\n"
        "from quotechat.cli import main; main(['serve', '--port', '0'])"
    )
    database = "postgresql://quotechat:s3cret@127.0.0.1:1/chat"
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(QUOTECHAT_DATABASE=database), cwd=tmp_path,
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert result.returncode != 0
    assert "Connection refused" in result.stderr and "Traceback" not in result.stderr
    assert "s3cret" not in result.stderr + result.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_looks_at_stays_its_owners(tmp_path: Path) -> None:
    """The lock and the secret that root's commands make anew belong to the directory's owner, who serves from it."""
    database = tmp_path / "quotechat.db"
    SqliteStore(database).close()
    (tmp_path / "quotechat.lock").unlink()
    for each in (tmp_path, *tmp_path.iterdir()):
        os.chown(each, 65534, 65534)
    with sqlite.look(database):
        pass
    store = SqliteStore(database)
    store.adopt("s" * 64)
    assert {each.stat().st_uid for each in tmp_path.iterdir()} == {65534}
    store.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_each_step_of_the_schema_has_its_own_number(dialect: str) -> None:
    """In order, each once: a step that shares the number of another would be left out where that one was done."""
    numbers = [step.number for step in migrate.migrations(dialect)]
    assert numbers[0] == 1 and numbers == sorted(set(numbers))


def test_tests_begin_with_the_schema_of_the_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `prepared` copies into a new file is what the migrations make there, step by step."""
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    found = []
    for name in ("copied", "migrated"):
        store = SqliteStore(tmp_path / name)
        found.append((store.read_with(lambda sql: list(sql.all(schema))), store.read_with(
            lambda sql: list(sql.all("SELECT * FROM meta WHERE key = 'schema'"))
        ), store._writer.execute("PRAGMA journal_mode").fetchone()))  # fmt: skip
        store.close()
        monkeypatch.setattr(sqlite.SqliteStore, "_migrate", prepared.migrate_by_steps)
    assert found[0] == found[1] and len(found[0][0]) > 20


def test_an_older_database_keeps_its_scheduled_messages(tmp_path: Path) -> None:
    """Their ids too: one that was given and is gone is not given again, since repeats are answered by it."""
    path = tmp_path / "quotechat.db"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
    for statement in migrate.migrations("sqlite")[0].statements:
        old.execute(statement)
    old.execute("INSERT INTO meta VALUES ('schema', '1')")
    old.executemany(
        "INSERT INTO scheduled (room_id, identity, due_at, message, state) VALUES (1, 'ann', 5, ?, 'waiting')",
        [('{"user":"Ann","message":"1"}',), ('{"user":"Ann","message":"2"}',)],
    )
    old.execute("DELETE FROM scheduled WHERE id = 2")
    old.commit()
    old.close()
    store = SqliteStore(path)
    assert [each.id for each in store.due(9, 9)] == [1]
    with store.writing() as sql:
        row = sql.one(
            "INSERT INTO scheduled (room_id, identity, due_at, message, state)"
            " VALUES (1, 'ann', 9, '{}', 'waiting') RETURNING id"
        )
    store.close()
    assert row is not None and row[0] == 3
    store.close()


def test_an_older_database_keeps_its_webhooks(tmp_path: Path) -> None:
    """With all that they have; the number of one that left a call behind is not given again, and the call is gone."""
    path = tmp_path / "quotechat.db"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
    for step in migrate.migrations("sqlite"):
        for statement in step.statements if step.number < 20 else ():
            old.execute(statement)
    old.execute("INSERT INTO meta VALUES ('schema', '19')")
    columns = (
        "id, account_id, kind, name, all_rooms, commands, mentions, url, secret, old_secret, old_until, state,"
        " lease_by, lease_until, at"
    )
    row = (3, 1, "webhook", "grades", 1, "message-sent", 1, "https://a.example", "s", "o", 4, "disabled", "w", 5, 6)
    old.execute(f"INSERT INTO subscriber ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    old.execute("INSERT INTO webhook (subscriber_id, key) VALUES (3, 'abc')")
    old.executemany("INSERT INTO delivery (subscriber_id, at, room_id, seq, ms) VALUES (?, 1, 1, 1, 1)", [(3,), (7,)])
    old.commit()
    old.close()
    store = SqliteStore(path)

    def found(sql: Sql) -> list[object]:
        return [list(sql.all(statement)) for statement in (
            f"SELECT {columns} FROM subscriber", "SELECT subscriber_id FROM delivery",
        )]  # fmt: skip

    assert store.read_with(found) == [[row], [(3,)]]
    made = store.write_with(lambda sql: subscribers.make(sql, 1, "grader", 7, all_rooms=False))
    store.close()
    assert made.id == 8

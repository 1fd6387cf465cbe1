"""Backups of a SQLite store, taken while it is written, and restored."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract import T0, delete, do, react, said

from quotechat.protocol import commands
from quotechat.protocol.cursor import START, Cursor, parse
from quotechat.protocol.errors import CursorAhead, HistoryChanged
from quotechat.store.base import Impossible, Write
from quotechat.store.disk.lock import InUse
from quotechat.store.sqlite.store import SqliteStore
from quotechat.store.transfer import backup

TABLES = ("room", "event", "message", "reaction", "emoji_reaction", "quote", "sent", "scheduled", "name")


def quiet(done: int, all_there_is: int) -> None:
    pass


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret").write_text("the secret")
    return tmp_path / "data" / "quotechat.db"


@pytest.fixture
def store(database: Path) -> Iterator[SqliteStore]:
    """A bit of everything."""
    store = SqliteStore(database)
    store.found(T0)
    do(store, said(text="hello", key="k"))
    do(store, react(1, "like"), who="bob")
    do(store, said("Bob", "answer", reply_to=1), who="bob")
    do(store, said(text="later", send_at="+1h"))
    do(store, commands.AddQuote(quote=commands.NewQuote("q", "w")))
    do(store, delete(3), who="bob")
    yield store
    store.close()


def contents(path: Path) -> dict[str, list[Any]]:
    """All rows of all tables."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}


def back_up(database: Path, target: Path, progress: Any = quiet) -> Any:
    return backup.back_up(database, database.with_name("secret"), target, progress, T0)


def restore(file: Path, database: Path, progress: Any = quiet) -> Any:
    return backup.restore(file, database, database.with_name("secret"), progress)


def test_a_restored_backup_is_the_store_that_it_was_made_of(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """Every row of every table, the secret, and nothing beside; what it holds is said both times."""
    found = back_up(database, tmp_path / "file")
    assert found == (1, 5, 2, 65, 1)
    assert restore(tmp_path / "file", tmp_path / "new" / "quotechat.db") == found
    assert contents(tmp_path / "new" / "quotechat.db") == contents(database)
    assert (tmp_path / "new" / "secret").read_text() == "the secret"
    assert sorted(each.name for each in (tmp_path / "new").iterdir()) == ["quotechat.db", "secret"]
    assert {each.stat().st_mode & 0o777 for each in (tmp_path / "new").iterdir()} == {0o600}
    assert b"the secret" not in (tmp_path / "new" / "quotechat.db").read_bytes()


def test_a_backup_is_one_moment_and_keeps_no_writer_waiting(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """Commits between its steps succeed, are not in it, and make it start again never."""
    store.commit([Write(said(text=f"{number:04}" * 1000), T0, "ann") for number in range(600)])
    head, steps = store.head("lobby").seq, []

    def commit_meanwhile(done: int, all_there_is: int) -> None:
        steps.append((done, all_there_is))
        assert len(steps) < 50, "it begins again and again"
        do(store, said(text="meanwhile"))

    back_up(database, tmp_path / "file", commit_meanwhile)
    assert len(steps) >= 2 and [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert steps[-1][0] == steps[-1][1]
    restore(tmp_path / "file", tmp_path / "new" / "quotechat.db")
    restored = SqliteStore(tmp_path / "new" / "quotechat.db")
    assert restored.head("lobby").seq == head
    assert store.head("lobby").seq == head + len(steps)
    restored.close()


def test_a_backup_does_not_need_a_server(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """What a killed server left in SQLite's log is in the backup."""
    before = contents(database)
    for each in ("quotechat.db", "quotechat.db-wal"):
        (tmp_path / "killed").mkdir(exist_ok=True)
        (tmp_path / "killed" / each).write_bytes(database.with_name(each).read_bytes())
    store.close()
    back_up(tmp_path / "killed" / "quotechat.db", tmp_path / "file")
    assert contents(tmp_path / "file") == before


def test_nothing_is_overwritten(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """Not a file by a backup, not a directory by a restore."""
    (tmp_path / "file").write_text("precious")
    with pytest.raises(Impossible, match="exists"):
        back_up(database, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"
    back_up(database, tmp_path / "other")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    with pytest.raises(Impossible, match="not empty: precious"):
        restore(tmp_path / "other", tmp_path / "full" / "quotechat.db")
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["precious"]


def test_a_file_that_comes_meanwhile_is_not_overwritten(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """Nor is one that another backup finished first."""

    def finish_first(done: int, all_there_is: int) -> None:
        (tmp_path / "file").write_text("first")

    with pytest.raises(Impossible, match="exists"):
        back_up(database, tmp_path / "file", finish_first)
    assert (tmp_path / "file").read_text() == "first"
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_store_gives_no_backup(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """Better none than one that nobody can use; and nothing is left of it."""
    with contextlib.closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE event SET body = replace(body, 'hello', 'jello') WHERE seq = 1")
    with pytest.raises(Impossible, match="lobby: event 1: its content"):
        back_up(database, tmp_path / "file")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]


def test_an_interrupted_copy_leaves_nothing_that_looks_like_one(
    store: SqliteStore, database: Path, tmp_path: Path
) -> None:
    """An interrupted backup is gone; an interrupted restore can be made again."""

    def interrupt(done: int, all_there_is: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(database, tmp_path / "file", interrupt)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]
    back_up(database, tmp_path / "file")
    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "file", tmp_path / "new" / "quotechat.db", interrupt)
    assert not (tmp_path / "new" / "quotechat.db").exists()
    # As far as one can come before the database has its name.
    (tmp_path / "new" / "secret").write_text("the secret")
    restore(tmp_path / "file", tmp_path / "new" / "quotechat.db")
    assert contents(tmp_path / "new" / "quotechat.db") == contents(database)


def test_what_is_no_backup_is_refused(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """Any file, a copy of the database without its log, a damaged backup, one of a newer version."""
    (tmp_path / "text").write_text("no database, but long enough to look at" * 100)
    (tmp_path / "copied").write_bytes(database.read_bytes())
    back_up(database, tmp_path / "cut")
    content = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    for name in ("text", "copied", "cut", "none"):
        with pytest.raises(Impossible):
            restore(tmp_path / name, tmp_path / "new" / "quotechat.db")
        assert not (tmp_path / "new").exists() or not list((tmp_path / "new").iterdir())


def test_a_directory_in_use_is_left_alone(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """Even where all its files were removed under the server; and a server does not start while one restores."""
    back_up(database, tmp_path / "file")
    for each in list(database.parent.iterdir()):
        each.unlink()
    with pytest.raises(InUse):
        restore(tmp_path / "file", database)
    store.close()

    def start(done: int, all_there_is: int) -> None:
        with pytest.raises(InUse):
            SqliteStore(tmp_path / "new" / "quotechat.db")

    restore(tmp_path / "file", tmp_path / "new" / "quotechat.db", start)


def test_a_restored_log_goes_its_own_way(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    """Cursors up to the backup go on; later ones are of a history that is gone, and are refused at any length."""
    back_up(database, tmp_path / "file")
    kept = [parse(event.cursor) for event in store.read("lobby", START, 500).events]
    lost = [parse(do(store, said(text=f"lost {number}"), at=T0 + number).cursor) for number in range(5)]
    restore(tmp_path / "file", tmp_path / "new" / "quotechat.db")
    restored = SqliteStore(tmp_path / "new" / "quotechat.db")
    for _ in range(8):
        for position in kept:
            assert isinstance(position, Cursor)
            assert restored.read("lobby", position, 500).events or position.seq == restored.head("lobby").seq
        for position in lost:
            assert isinstance(position, Cursor)
            ahead = position.seq > restored.head("lobby").seq
            with pytest.raises(CursorAhead if ahead else HistoryChanged):
                restored.read("lobby", position, 500)
        do(restored, said(text="new"))
    restored.close()

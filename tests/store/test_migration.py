"""A database that version 0.1 made: it is opened, nothing in it has changed, and accounts can be made in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from contract import T0, do, said

from quotechat.config import Settings
from quotechat.protocol import events
from quotechat.protocol.cursor import START
from quotechat.store import accounts, backup, founding, migrate, moving
from quotechat.store.base import Write
from quotechat.store.gathering import Plain
from quotechat.store.ledger import Ledger
from quotechat.store.migrate import SchemaTooNew, migrations
from quotechat.store.open import open_store
from quotechat.store.shapes import Sql
from quotechat.store.sqlite import SqlOn


@contextlib.contextmanager
def raw(settings: Settings) -> Iterator[Sql]:
    """The tables that the first migration alone makes, and nothing of a newer program."""
    if settings.database:
        with psycopg.connect(settings.database) as connection:
            yield Plain(connection)  # type: ignore[arg-type]  # it runs statements, as ours do
    else:
        settings.data.mkdir()
        with contextlib.closing(sqlite3.connect(settings.data / "quotechat.db")) as other, other:
            yield SqlOn(other)


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A store of schema 1 with two messages in the lobby."""
    database = "" if request.param == "sqlite" else request.getfixturevalue("new_schema")()
    settings = Settings(data=tmp_path / "data", database=database)
    with raw(settings) as sql:
        sql.run("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        sql.run("INSERT INTO meta (key, value) VALUES ('schema', '1')")
        for statement in migrations(request.param)[0].statements:
            sql.run(statement)
        founding.found(sql, T0)
        _say(sql)
    return settings


def _say(sql: Sql) -> None:
    """Two messages, by the statements of then."""
    ledger = Ledger(sql)
    room = ledger.room("lobby")
    for text in ("one", "two"):
        message = {"id": room.head + 1, "user": "Ann", "message": text, "at": events.rfc3339(T0)}
        ledger.append(room, events.MESSAGE_SENT, {"message": message}, Write(said("Ann", text), T0, "ann"))
    ledger.flush()
    assert room.head == 2


def test_an_old_database_goes_on(old: Settings) -> None:
    """Its messages, cursors and owners are as they were; what is new can be used at once."""
    with contextlib.closing(open_store(old)) as store:
        before = [event.envelope for event in store.read("lobby", START, 9).events]
        assert [each["message"]["message"] for each in before] == ["one", "two"]
        assert store.snapshot("lobby", 9, "ann")["mine"]["messages"] == [1, 2]
        assert not [step for step in store.verify() if step.problem]
        assert do(store, said("Ann", "three"), who="ann").seq == 3
        account = store.write_with(lambda sql: accounts.make(sql, "Azin", "owner", T0))
        assert do(store, said("Azin", "four"), who=account.identity).seq == 4
    with contextlib.closing(open_store(old)) as store:
        assert [event.envelope for event in store.read("lobby", START, 2).events] == before


def test_an_older_program_leaves_the_newer_schema_alone(old: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once opened by this version, one that knows the first migration alone refuses it, and says what to do."""
    open_store(old).close()
    known: Callable[[str], list[migrate.Migration]] = migrations
    monkeypatch.setattr(migrate, "migrations", lambda dialect: known(dialect)[:1])
    with pytest.raises(SchemaTooNew, match="upgrade quotechat"):
        open_store(old)


def test_an_old_sqlite_database_can_be_copied_as_it_is(tmp_path: Path) -> None:
    """`backup` and `move` take a database that no newer server has opened yet."""
    settings = Settings(data=tmp_path / "data")
    with raw(settings) as sql:
        sql.run("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        sql.run("INSERT INTO meta (key, value) VALUES ('schema', '1')")
        for statement in migrations("sqlite")[0].statements:
            sql.run(statement)
        founding.found(sql, T0)
        _say(sql)
    (settings.data / "secret").write_text("s" * 64)

    def nothing(done: int, all_there_are: int) -> None:
        pass

    copy = tmp_path / "copy"
    assert backup.back_up(
        settings.data / "quotechat.db", settings.data / "secret", copy, nothing, T0
    ).messages == 2
    other = Settings(data=tmp_path / "other")
    assert moving.move(settings, other, lambda _: contextlib.nullcontext(nothing)).messages == 2
    with contextlib.closing(open_store(other)) as store:
        assert store.read_with(accounts.any_there) is False

"""A database that version 0.1 made: it is opened, nothing in it has changed, and accounts can be made in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contract import T0, do, said

from quotechat.config import Settings
from quotechat.protocol import cursor, events, json
from quotechat.protocol.cursor import START
from quotechat.store import migrate
from quotechat.store.accounts import accounts
from quotechat.store.migrate import SchemaTooNew, migrations
from quotechat.store.open import open_store
from quotechat.store.postgres.batched_sql import PlainSql
from quotechat.store.programs import subscribers
from quotechat.store.shapes import Sql
from quotechat.store.sqlite.transaction import SqlOn
from quotechat.store.transfer import backup, moving


@contextlib.contextmanager
def raw(settings: Settings) -> Iterator[Sql]:
    """The tables that the first migration alone makes, and nothing of a newer program."""
    if settings.database:
        with psycopg.connect(settings.database) as connection:
            yield PlainSql(connection)  # type: ignore[arg-type]  # it runs statements, as ours do
    else:
        settings.data.mkdir()
        with contextlib.closing(sqlite3.connect(settings.data / "quotechat.db")) as other, other:
            yield SqlOn(other)


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A store of schema 1 with three messages in the lobby, the last one deleted."""
    database = "" if request.param == "sqlite" else request.getfixturevalue("new_schema")()
    settings = Settings(data=tmp_path / "data", database=database)
    with raw(settings) as sql:
        sql.run("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        sql.run("INSERT INTO meta (key, value) VALUES ('schema', '1')")
        for statement in migrations(request.param)[0].statements:
            sql.run(statement)
        _say(sql)
    return settings


def _say(sql: Sql) -> None:
    """Three messages and a deletion, by the statements of then."""
    chain = bytes(range(32))
    sql.run(
        "INSERT INTO room (id, name, chain, floor_chain, created_at) VALUES (1, 'lobby', ?, ?, ?)", chain, chain, T0
    )
    gone = {"id": 3, "user": "Ann", "at": events.rfc3339(T0), "deleted": True}
    for seq, text in enumerate(("one", "two", None), 1):
        message = gone if text is None else {"id": seq, "user": "Ann", "message": text, "at": events.rfc3339(T0)}
        chain = _log(sql, chain, seq, events.MESSAGE_SENT, {"message": message}, "was" if text is None else None)
        sql.run(
            "INSERT INTO message (room_id, id, identity, body, deleted) VALUES (1, ?, 'ann', ?, ?)",
            seq, json.dumps(message).decode(), 4 if text is None else None,
        )  # fmt: skip
    chain = _log(sql, chain, 4, events.MESSAGE_DELETED, {"message": {"id": 3}}, None)
    sql.run("UPDATE room SET head = 4, chain = ? WHERE id = 1", chain)


def _log(sql: Sql, chain: bytes, seq: int, command: str, body: object, was: str | None) -> bytes:
    """Add an event; `was` stands for the text that a deletion took."""
    encoded = json.dumps(body)
    digest = cursor.digest(was.encode() if was is not None else encoded)
    chain = cursor.extend(chain, seq, digest)
    sql.run(
        "INSERT INTO event (room_id, seq, command, at, body, tag, digest, identity, target)"
        " VALUES (1, ?, ?, ?, ?, ?, ?, 'ann', ?)",
        seq, command, T0 + seq, encoded.decode(), cursor.tag(chain), None if was is None else digest,
        3 if command == events.MESSAGE_DELETED else None,
    )  # fmt: skip
    return chain


def test_an_old_database_goes_on(old: Settings) -> None:
    """Its messages, cursors and owners are as they were; what is new can be used at once."""
    with contextlib.closing(open_store(old)) as store:
        before = [event.envelope for event in store.read("lobby", START, 9).events]
        assert [each["message"].get("message") for each in before] == ["one", "two", None, None]
        assert store.snapshot("lobby", 9, "ann")["mine"]["messages"] == [1, 2, 3]
        assert not [step for step in store.verify() if step.problem]
        assert do(store, said("Ann", "three"), who="ann").seq == 5
        account = store.write_with(lambda sql: accounts.make(sql, "Azin", "owner", T0))
        assert do(store, said("Azin", "four"), who=account.identity).seq == 6
    with contextlib.closing(open_store(old)) as store:
        assert [event.envelope for event in store.read("lobby", START, 4).events] == before


def test_an_old_database_is_counted_once(old: Settings) -> None:
    """Its rooms are open, its messages have their numbers, and a rebuild counts the same."""
    with contextlib.closing(open_store(old)) as store:
        counted = "SELECT kind, about, last, messages, floor_messages, moved_at FROM room"
        numbers = "SELECT id, n FROM message ORDER BY id"

        def counts() -> list[list[tuple[Any, ...]]]:
            return store.read_with(lambda sql: [[tuple(row) for row in sql.all(each)] for each in (counted, numbers)])

        expected = [[("open", '{"default":true}', 2, 3, 0, T0 + 4)], [(1, 1), (2, 2), (3, 3)]]
        assert counts() == expected
        store.rebuild(lambda done, of: None)
        assert counts() == expected


def test_an_old_database_gives_no_number_of_a_subscriber_again(old: Settings) -> None:
    """Not even that of the last one, which was removed."""
    with contextlib.closing(open_store(old)) as store:
        bot = store.write_with(lambda sql: accounts.make(sql, "Robo", "bot", T0))

        def make(sql: Sql) -> subscribers.Subscriber:
            return subscribers.make(sql, bot.id, "grader", T0, all_rooms=False)

        gone = store.write_with(make)
        store.write_with(lambda sql: subscribers.remove(sql, gone))
        assert store.write_with(make).id > gone.id


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
        _say(sql)
    (settings.data / "secret").write_text("s" * 64)

    def nothing(done: int, all_there_are: int) -> None:
        pass

    copy = tmp_path / "copy"
    assert backup.back_up(
        settings.data / "quotechat.db", settings.data / "secret", copy, nothing, T0
    ).messages == 3
    other = Settings(data=tmp_path / "other")
    assert moving.move(settings, other, lambda _: contextlib.nullcontext(nothing)).messages == 3
    with contextlib.closing(open_store(other)) as store:
        assert store.read_with(accounts.any_there) is False

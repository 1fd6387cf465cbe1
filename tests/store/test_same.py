"""SQLite one statement at a time and PostgreSQL with reads prefetched and writes batched: the same, always."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import psycopg
from contract import T0, delete, edit, react, said
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quotechat.protocol import commands
from quotechat.protocol.errors import Refused
from quotechat.store.base import CreateRoom, Deliver, Outcome, Stored, Write
from quotechat.store.postgres.store import PostgresStore
from quotechat.store.sqlite.store import SqliteStore

KEYS = st.sampled_from([None, "k1", "k2"])
ROOMS = st.sampled_from(["lobby", "lobby", "tea", "none"])
NUMBERS = st.integers(1, 6)


def quote(text: str, key: str | None, room: str) -> Any:
    return commands.AddQuote(quote=commands.NewQuote(text, "a"), client_id=key, room=room)


def cancel(number: int, key: str | None) -> Any:
    return commands.CancelScheduled(scheduled=commands.ScheduledId(number), client_id=key)


COMMANDS = st.one_of(
    st.builds(lambda user, key, room, to: said(user, "x", key=key, room=room, reply_to=to),
              st.sampled_from(["Ann", "Bob"]), KEYS, ROOMS, st.none() | NUMBERS),
    st.builds(lambda key, room: said("Ann", "later", key=key, room=room, send_at="+1h"), KEYS, ROOMS),
    st.builds(lambda number, key: edit(number, "new", client_id=key), NUMBERS, KEYS),
    st.builds(lambda number, key: delete(number, client_id=key), NUMBERS, KEYS),
    st.builds(lambda number, what, key: react(number, what, client_id=key),
              NUMBERS, st.sampled_from(["like", "dislike", "none"]), KEYS),
    st.builds(quote, st.sampled_from("ab"), KEYS, ROOMS),
    st.builds(cancel, NUMBERS, KEYS),
    st.builds(Deliver, NUMBERS),
    st.builds(CreateRoom, st.just("tea")),
)  # fmt: skip
WRITES = st.builds(lambda command, who: Write(command, T0, who), COMMANDS, st.sampled_from(["ann", "ann", "bob", None]))
TABLES = {
    "event": "room_id, seq, command, at, body, target, identity, reaction, emoji",
    "message": "*",
    "reaction": "*",
    "emoji_reaction": "*",
    "quote": "*",
    "sent": "room_id, sender, client_id, hash, at, seq, scheduled",
    "scheduled": "*",
    "name": "*",
    "room": "id, name, title, head, floor, created_at",
}


def told(outcome: Outcome | Refused) -> Any:
    """What the sender learns, but for the tags of cursors, which begin at random."""
    if isinstance(outcome, Refused):
        return outcome.code, outcome.detail
    if isinstance(outcome, Stored):
        envelope = {name: value for name, value in outcome.event.envelope.items() if name != "cursor"}
        return outcome.room, outcome.seq, outcome.duplicate, envelope
    shown = dict(vars(outcome)) if hasattr(outcome, "__dict__") else {
        name: getattr(outcome, name) for name in outcome.__slots__  # type: ignore[union-attr]
    }  # fmt: skip
    shown.get("room", {}).pop("cursor", None)
    return type(outcome).__name__, shown


def ordered(rows: Any) -> list[list[Any]]:
    return sorted(([bytes(each) if isinstance(each, memoryview) else each for each in row] for row in rows), key=repr)


def test_both_stores_do_the_same(databases: Any) -> None:
    """Whatever comes in whatever batches: the same answers, and the same rows in every table."""

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(batches=st.lists(st.lists(WRITES, min_size=1, max_size=12), min_size=1, max_size=4))
    def check(batches: list[list[Write]]) -> None:
        database = databases.new()
        with psycopg.connect(database, autocommit=True) as other, tempfile.TemporaryDirectory() as directory:
            sqlite, postgres = SqliteStore(Path(directory, "q.db")), PostgresStore(database)
            try:
                for store in (sqlite, postgres):
                    store.found(T0)
                for batch in batches:
                    both = [[told(outcome) for outcome in store.commit(batch)] for store in (sqlite, postgres)]
                    assert both[1] == both[0]
                for table, columns in TABLES.items():
                    statement = f"SELECT {columns} FROM {table}"
                    rows = sqlite._writer.execute(statement).fetchall()
                    assert ordered(other.execute(statement).fetchall()) == ordered(rows), table
                assert not [step for step in postgres.verify() if step.problem]
            finally:
                sqlite.close()
                postgres.close()
        databases.give_back(database)

    check()

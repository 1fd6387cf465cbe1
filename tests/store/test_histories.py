"""Random histories against a model: a store beside plain lists."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contract import T0, delete, edit, react, said
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quotechat.protocol import commands, cursor
from quotechat.protocol.cursor import START
from quotechat.protocol.errors import CursorExpired, Refused
from quotechat.store.base import Stored, Write
from quotechat.store.postgres.store import PostgresStore
from quotechat.store.sqlite.store import SqliteStore

PEOPLE = st.sampled_from(["ann", "bob", None])
KEYS = st.sampled_from([None, None, "k1", "k2", "k3"])
NUMBERS = st.integers(1, 12)
EXAMPLES = int(os.environ.get("QUOTECHAT_TEST_HISTORIES", "25"))
"""Random histories of each run; QUOTECHAT_TEST_HISTORIES=1000 takes some minutes."""


class Histories(RuleBasedStateMachine):
    """Commands in batches, readers at any position, restarts in between."""

    store: Any

    @initialize()
    def begin(self) -> None:
        self.make()
        self.open()
        self.log: list[bytes] = []
        self.keys: dict[tuple[str, str], tuple[Any, int]] = {}
        self.position = START
        self.floor = 0
        self.read: list[int] = []

    def make(self) -> None:
        """A place for a new store."""
        self.directory = Path(tempfile.mkdtemp())

    def open(self) -> None:
        self.store = SqliteStore(self.directory / "quotechat.db")
        self.store.found(T0)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.directory)

    def rows(self, table: str) -> list[Any]:
        return self.store._writer.execute(f"SELECT * FROM {table}").fetchall()  # type: ignore[no-any-return]

    @rule(batch=st.lists(st.tuples(PEOPLE, st.sampled_from("abc"), KEYS), min_size=1, max_size=5))
    def send(self, batch: list[tuple[str | None, str, str | None]]) -> None:
        writes = [Write(said(f"user {who}", text, key=key), T0, who) for who, text, key in batch]
        for write, outcome in zip(writes, self.store.commit(writes), strict=True):
            sender = (write.command.message.user, write.command.client_id)  # type: ignore[union-attr]
            known = self.keys.get(sender) if sender[1] else None
            if known is None:
                assert isinstance(outcome, Stored) and outcome.seq == len(self.log) + 1
                self.log.append(outcome.event.encoded)
                if sender[1]:
                    self.keys[sender] = (write.command, outcome.seq)
            elif known[0] == write.command and known[1] <= self.floor:
                assert isinstance(outcome, Refused) and outcome.code == "conflict"
            elif known[0] == write.command:
                assert isinstance(outcome, Stored) and outcome.duplicate and outcome.seq == known[1]
            else:
                assert isinstance(outcome, Refused) and outcome.code == "client-id-reused"

    @rule(who=PEOPLE, number=NUMBERS, what=st.sampled_from(["edit", "delete", "like", "dislike", "none", "🎉", "-🎉"]))
    def change(self, who: str | None, number: int, what: Any) -> None:
        command = {"edit": lambda: edit(number, "new"), "delete": lambda: delete(number)}.get(
            what, lambda: react(number, what.lstrip("-"), False if what[0] == "-" else None)
        )()
        outcome = self.store.commit([Write(command, T0, who)])[0]
        if isinstance(outcome, Stored) and not outcome.duplicate:
            assert outcome.seq == len(self.log) + 1
            self.log.append(outcome.event.encoded)

    @rule(limit=st.integers(1, 4))
    def read_on(self, limit: int) -> None:
        if self.position.seq < self.floor and self.position != START:
            with pytest.raises(CursorExpired):
                self.store.read("lobby", self.position, limit)
            self.position = START
        if self.position.seq < self.floor:
            self.read = list(range(1, self.floor + 1))
        page = self.store.read("lobby", self.position, limit)
        self.read += [event.seq for event in page.events]
        position = cursor.parse(page.cursor)
        assert isinstance(position, cursor.Cursor)
        self.position = position
        assert page.more == (position.seq < len(self.log))

    @rule(limit=st.integers(1, 6))
    def cut(self, limit: int) -> None:
        """The oldest events are forgotten; the last few stay."""
        limit = min(limit, len(self.log) - self.floor - 3)
        if limit > 0:
            assert self.store.cut("lobby", T0 + 1, limit) == limit
            self.floor += limit

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.open()

    @invariant()
    def the_log_is_whole(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.head("lobby").seq == len(self.log)
        assert self.read == list(range(1, len(self.read) + 1))
        assert not [step for step in self.store.verify() if step.problem]

    @rule()
    def rebuild(self) -> None:
        """All projections, made anew from the log, are what they were, bit for bit."""
        before = self.projections()
        assert self.store.rebuild(lambda done, all_there_are: None) == len(self.log) - self.floor
        assert self.projections() == before

    def projections(self) -> list[Any]:
        tables = (
            "message ORDER BY 1, 2", "reaction ORDER BY 1, 2, 3", "emoji_reaction ORDER BY 1, 2, 3, 4",
            "quote ORDER BY 1",
        )  # fmt: skip
        return [self.rows(table) for table in tables]

    @rule(number=st.none() | NUMBERS, who=PEOPLE, text=st.sampled_from("xy"))
    def reply_or_quote(self, number: int | None, who: str | None, text: str) -> None:
        quote = commands.AddQuote(quote=commands.NewQuote(text, "a"))
        command = quote if number is None else said(f"user {who}", text, reply_to=number)
        outcome = self.store.commit([Write(command, T0, who)])[0]
        if isinstance(outcome, Stored):
            self.log.append(outcome.event.encoded)

    @rule()
    def counts_are_those_of_the_log(self) -> None:
        counts: dict[int, tuple[int, int, dict[str, int]]] = {}
        gone = set()
        for event in self.store.read("lobby", START, 500).events:
            message = event.envelope.get("message", {})
            if event.command == "reactions-changed":
                counts[message["id"]] = (message["likes"], message["dislikes"], message.get("reactions", {}))
            elif event.command == "message-deleted":
                gone.add(message["id"])
        for message in self.store.snapshot("lobby", 200)["messages"]:
            assert message.get("deleted", False) == (message["id"] in gone)
            shown = (message.get("likes", 0), message.get("dislikes", 0), message.get("reactions", {}))
            none: tuple[int, int, dict[str, int]] = (0, 0, {})
            assert shown == (none if message["id"] in gone else counts.get(message["id"], none))


class PostgresHistories(Histories):
    """The same, on PostgreSQL."""

    databases: Any = None

    def make(self) -> None:
        self.url = self.databases.new()

    def open(self) -> None:
        self.store = PostgresStore(self.url)
        self.store.found(T0)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.databases.give_back(self.url)

    def rows(self, table: str) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(f"SELECT * FROM {table}").fetchall()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)


class TestPostgresHistories(PostgresHistories.TestCase):
    """As above, with fewer examples."""

    settings = settings(max_examples=max(8, EXAMPLES // 10), stateful_step_count=40, deadline=None)

    @pytest.fixture(autouse=True)
    def _databases(self, databases: Any) -> None:
        PostgresHistories.databases = databases

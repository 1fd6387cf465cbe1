"""PostgreSQL keeps the contract, and what is PostgreSQL's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from contract import T0, Open, StoreContract, delete, do, edit, react, said

from quotechat.protocol import commands
from quotechat.protocol.cursor import START
from quotechat.store.base import CreateRoom, Store, Stored, Write
from quotechat.store.gathering import Gathering
from quotechat.store.migrate import SchemaTooNew
from quotechat.store.postgres import PostgresStore


@pytest.fixture
def open_store(database: str) -> Iterator[Open]:
    opened: list[PostgresStore] = []

    def open_one() -> PostgresStore:
        store = PostgresStore(database)
        store.found(T0)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


class TestPostgres(StoreContract):
    """The contract."""

    @pytest.fixture(autouse=True)
    def _database(self, database: str) -> None:
        self.database = database

    def raise_floor(self, store: Store, seq: int) -> None:
        with psycopg.connect(self.database) as connection:
            connection.execute("UPDATE room SET floor = %s, floor_chain = chain WHERE name = 'lobby'", [seq])
            connection.execute("DELETE FROM event WHERE seq <= %s", [seq])


def test_the_common_commands_take_two_round_trips(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends, replies, repeats of earlier ones, edits and reactions read nothing that was not foreseen."""
    store = open_store()
    for number in range(4):
        do(store, said(key=f"k{number}"))
    monkeypatch.setattr(Gathering, "_ask", lambda *_: pytest.fail("a round trip more"))
    batch = [said(key="k9"), said(text="re", reply_to=2), edit(1, "new"), react(2, "like"), react(3, "dislike"),
             said("Bob", key="k9"), said(key="new"), said("Cy", room="none")]  # fmt: skip
    outcomes = store.commit([Write(each, T0, "bob" if each == batch[5] else "ann") for each in batch])
    assert [getattr(outcome, "seq", None) for outcome in outcomes] == [5, 6, 7, 8, 9, 10, 11, None]


def test_a_repeat_in_the_same_batch_is_seen(open_store: Open) -> None:
    """What was foreseen is not trusted where the batch itself has changed it."""
    store = open_store()
    do(store, said())
    like, dislike = react(1, "like"), react(1, "dislike")
    batch = [like, dislike, like, edit(1, "b"), edit(1, "c"), delete(1), edit(1, "d")]
    outcomes = store.commit([Write(each, T0, "ann") for each in batch])
    assert [getattr(each, "seq", None) for each in outcomes] == [2, 3, 4, 5, 6, 7, None]
    assert store.snapshot("lobby", 1)["messages"][0]["deleted"]


def test_machines_share_one_log(open_store: Open) -> None:
    """Four that write at once, in two rooms and with quotes: dense numbers, each its own, and no deadlock."""
    stores = [open_store() for _ in range(4)]
    do(stores[0], CreateRoom("tea"))
    numbers: dict[str, list[int]] = {"lobby": [], "tea": []}
    faults: list[BaseException] = []

    def write(store: Store, name: str) -> None:
        rooms = ["lobby", "tea"] if name in "ab" else ["tea", "lobby"]
        try:
            for number in range(25):
                quote = commands.NewQuote(f"{name}{number}", "q")
                says = [said(name, f"{number}", room=room) for room in rooms]
                quotes = [commands.AddQuote(quote=quote, room=room) for room in rooms]
                for outcome in store.commit([Write(each, T0, None) for each in (*says, *quotes)]):
                    assert isinstance(outcome, Stored), outcome
                    numbers[outcome.room].append(outcome.seq)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=write, args=pair) for pair in zip(stores, "abcd", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert all(sorted(found) == list(range(1, 201)) for found in numbers.values())
    assert [event.seq for event in stores[0].read("tea", START, 500).events] == list(range(1, 201))
    assert not [step for step in stores[0].verify() if step.problem]
    ids = [quote["id"] for quote in stores[0].quotes(None, 500)["quotes"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))


def test_rebuilding_knows_every_event(open_store: Open, database: str) -> None:
    """The projections made anew are those that were."""
    store = open_store()
    assert isinstance(store, PostgresStore)
    do(store, said(text="**a**", color="red"))
    do(store, said("Bob", "b", reply_to=1), who="bob")
    do(store, react(2, "dislike"))
    do(store, react(1, "like"), who="bob")
    do(store, edit(1, "c"))
    do(store, commands.AddQuote(quote=commands.NewQuote("q", "w")))
    do(store, delete(2), who="bob")
    tables = ("message ORDER BY 1, 2", "reaction ORDER BY 1, 2, 3", "quote ORDER BY 1")

    with psycopg.connect(database, autocommit=True) as other:
        def projections() -> list[object]:
            return [other.execute(f"SELECT * FROM {table}").fetchall() for table in tables]

        before = projections()
        other.execute("UPDATE message SET likes = 9, body = '{}'")
        assert projections() != before
        assert store.rebuild(lambda done, all_there_are: None) == 7
        assert projections() == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE event SET body = replace(body, 'hi', 'ho') WHERE seq = 2", "changed"),
        ("DELETE FROM event WHERE seq = 2", "missing"),
        ("DELETE FROM event WHERE seq = 3", "ends here"),
        ("UPDATE room SET chain = floor_chain", "another history"),
    ],
)
def test_verify_says_where_history_is_broken(open_store: Open, database: str, change: str, problem: str) -> None:
    """A changed, a missing and a cut-off event are found."""
    store = open_store()
    for _ in range(3):
        do(store, said())
    assert not [step for step in store.verify() if step.problem]
    with psycopg.connect(database) as other:
        other.execute(change)
    assert problem in "".join(step.problem or "" for step in store.verify())


def test_a_newer_schema_is_left_alone(open_store: Open, database: str) -> None:
    """An old program does not touch what a newer one wrote."""
    open_store()
    with psycopg.connect(database) as other:
        other.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(SchemaTooNew):
        PostgresStore(database)


def test_all_openings_have_one_secret(open_store: Open) -> None:
    """A token given on one machine is good on all."""
    assert len({open_store().secret() for _ in range(2)}) == 1
    assert len(open_store().secret()) == 64


def test_another_default_of_the_server_does_not_weaken_a_commit(open_store: Open, database: str) -> None:
    """An ack is on the disk, whatever synchronous_commit is set to for the database."""
    name = database.rpartition("/")[2]
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    store = open_store()
    assert isinstance(store, PostgresStore)
    seen = []
    sent = Gathering.send

    def look(gathering: Gathering) -> None:
        seen.append(gathering._connection.execute("SHOW synchronous_commit").fetchone())
        sent(gathering)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gathering, "send", look)
        do(store, said())
    assert seen == [("on",)]

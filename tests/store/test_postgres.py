"""PostgreSQL keeps the contract, and what is PostgreSQL's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import postgres
import psycopg
import pytest
from belonging import BelongingContract, RulesOfRoomsContract
from contract import T0, Open, StoreContract, delete, do, edit, react, said, webhook_of
from msgspec.structs import replace
from reading_rights import ReadingRights
from servers import until
from taking_back import TakingBack

from quotechat.hub.accounts.accounts import Accounts
from quotechat.hub.accounts.bots import Bots
from quotechat.hub.accounts.credentials import Rules, principal_of
from quotechat.hub.accounts.passwords import Passwords
from quotechat.hub.budgets.limits import Budget, Limits, Rate
from quotechat.hub.chat import Chat
from quotechat.hub.programs.cursors import ALL, Cursors
from quotechat.hub.webhooks.calls import Policy
from quotechat.hub.webhooks.webhooks import Wanted, Webhooks
from quotechat.protocol import commands
from quotechat.protocol.cursor import START, Cursor
from quotechat.protocol.errors import AccountUnknown, Conflict, Overloaded, StorageFull, Unauthenticated, WebhookUnknown
from quotechat.store import members, rules
from quotechat.store.accounts import accounts, closing
from quotechat.store.accounts.accounts import Account
from quotechat.store.base import (
    BeginDirect,
    CommitFailed,
    Created,
    CreateRoom,
    Deliver,
    Nothing,
    Scheduled,
    Store,
    Stored,
    Write,
)
from quotechat.store.ledger import Ledger
from quotechat.store.maintenance import pruning
from quotechat.store.migrate import SchemaTooNew
from quotechat.store.postgres import connections
from quotechat.store.postgres import store as module
from quotechat.store.postgres.batched_sql import BatchedSql, PlainSql
from quotechat.store.postgres.store import PostgresStore
from quotechat.store.programs import subscribers, webhooks
from quotechat.store.shapes import Sql


@pytest.fixture
def open_store(tables: str) -> Iterator[Open]:
    opened: list[PostgresStore] = []

    def open_one() -> PostgresStore:
        store = PostgresStore(tables)
        store.found(T0)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


class TestPostgres(StoreContract, TakingBack, ReadingRights):
    """The contract."""


class TestBelonging(BelongingContract, RulesOfRoomsContract):
    """The contract of members."""


class Pooled:
    """A pooler in transaction mode before the server, with fewer connections to it than to us."""

    @pytest.fixture
    def open_store(self, tables: str, postgres_server: postgres.Server) -> Iterator[Open]:
        opened: list[PostgresStore] = []
        with postgres.pooler(postgres_server, tables.rpartition("/")[2]) as url:

            def open_one() -> PostgresStore:
                store = PostgresStore(url)
                store.found(T0)
                opened.append(store)
                return store

            yield open_one
            for store in opened:
                store.close()


class TestPooled(Pooled):
    """One of each kind of transaction, through the pooler."""

    @pytest.fixture
    def store(self, open_store: Open) -> Store:
        return open_store()

    test_another_opening = StoreContract.test_another_opening_sees_what_is_committed
    test_pages = StoreContract.test_pages_are_contiguous
    test_a_cut = StoreContract.test_what_the_cut_events_made_goes_with_them
    test_repeats = StoreContract.test_every_command_repeats_itself
    test_a_scheduled_message = StoreContract.test_a_scheduled_message_is_delivered_once
    test_quotes = StoreContract.test_quotes_are_kept_and_told
    test_a_room_is_removed = TakingBack.test_a_room_is_removed
    test_rights = ReadingRights.test_each_reads_what_it_may


@pytest.mark.long
class TestAllPooled(Pooled, TestPostgres):
    """The contract through the pooler."""


def test_the_common_commands_take_two_round_trips(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends, replies, repeats of earlier ones, edits and reactions read nothing that was not prefetched."""
    store = open_store()
    for number in range(4):
        do(store, said(key=f"k{number}"))
    monkeypatch.setattr(BatchedSql, "_ask", lambda *_: pytest.fail("a round trip more"))
    batch = [said(key="k9"), said(text="re", reply_to=2), edit(1, "new"), react(2, "like"), react(3, "dislike"),
             said("Bob", key="k9"), said(key="new"), react(4, "🎉"), said("Cy", room="none")]  # fmt: skip
    outcomes = store.commit(
        [Write(each, T0, "bob" if each == batch[5] else "ann", address="192.0.2.7") for each in batch]
    )
    assert [getattr(outcome, "seq", None) for outcome in outcomes] == [5, 6, 7, 8, 9, 10, 11, 12, None]
    (outcome,) = store.commit([Write(said(), T0, "ann", address="192.0.2.7")])
    assert outcome.seq == 13


def test_a_repeat_in_the_same_batch_is_seen(open_store: Open) -> None:
    """A prefetched row is not used if the batch itself has changed it."""
    store = open_store()
    do(store, said())
    like, dislike = react(1, "like"), react(1, "dislike")
    batch = [like, dislike, like, edit(1, "b"), edit(1, "c"), delete(1), edit(1, "d")]
    outcomes = store.commit([Write(each, T0, "ann") for each in batch])
    assert [getattr(each, "seq", None) for each in outcomes] == [2, 3, 4, 5, 6, 7, None]
    assert store.snapshot("lobby", 1)["messages"][0]["deleted"]


class Overtaken:
    """Statements, between which `act` runs once: after the first that reads `table`."""

    def __init__(self, sql: Sql, table: str, act: Callable[[], Any]) -> None:
        self._sql, self._table, self._act = sql, f"FROM {table} ", [act]

    def all(self, statement: str, *values: Any) -> list[Any]:
        found = list(self._sql.all(statement, *values))
        if self._act and self._table in statement:
            self._act.pop()()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sql, name)


def test_a_client_id_that_is_used_again_is_kept(open_store: Open) -> None:
    """Two machines forget what is old at once; its sender uses the id again before the second has deleted it."""
    store, other = open_store(), open_store()
    do(store, said(key="k"))
    again = said(text="again", key="k")

    def act() -> None:
        other.prune(T0 + 1, T0 + 1)
        assert not do(other, again, at=T0 + 5000).duplicate

    store.write_with(lambda sql: pruning.prune(Overtaken(sql, "sent", act), T0 + 1, T0 + 1, T0 + 1))  # type: ignore[arg-type]
    assert do(store, again, at=T0 + 6000).duplicate


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


def test_a_batch_locks_direct_rooms_before_quotes(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of its writes comes first: two batches that want both never wait for each other."""
    store, taken = open_store(), list[str]()
    ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "member", T0))
    alone = BatchedSql.alone
    monkeypatch.setattr(BatchedSql, "alone", lambda sql, table: (taken.append(table), alone(sql, table))[1])
    batch = [Write(commands.AddQuote(quote=commands.NewQuote("q", "w")), T0, ann.identity),
             Write(BeginDirect(()), T0, ann.identity)]  # fmt: skip
    for order in (batch, batch[::-1]):
        taken.clear()
        store.commit(order)
        assert taken[:2] == ["direct", "quote"]


def waits_for_a_lock(tables: str) -> bool:
    """Return True if a transaction on the database waits for another one."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(tables, autocommit=True) as look:
        return look.execute(waits).fetchone() is not None


def test_an_account_is_closed_beside_a_delivery_of_its_own(open_store: Open, tables: str) -> None:
    """The delivery comes when the rooms of the account are locked: neither waits for the other's end."""
    store, other = open_store(), open_store()
    boss, ann = (
        store.write_with(lambda sql, name=name: accounts.make(sql, name, "member", T0))  # type: ignore[misc]
        for name in ("Boss", "Ann")
    )
    tea = do(store, CreateRoom("tea", kind="closed", members=(ann.key,)), boss.identity).room["name"]
    due = do(store, said("Ann", room=tea, send_at="+1s"), ann.identity).scheduled["id"]
    deliveries: list[Future[Any]] = []

    def close(sql: Sql) -> None:
        closing.hold(sql, ann)
        deliveries.append(pool.submit(do, other, Deliver(due), None, T0 + 1000))
        until(lambda: waits_for_a_lock(tables), what="the delivery, which waits for the room")
        closing.close(sql, ann, T0)

    with ThreadPoolExecutor(1) as pool:
        store.write_with(close)
        assert isinstance(deliveries[0].result(60), Nothing)


def beside(first: Store, second: Store, tables: str, held: Callable[[Sql], Any], act: Callable[[], Any]) -> Any:
    """Return what `act` gives, or the refusal, if it comes when a transaction of `held` is about to be committed."""
    acts: list[Future[Any]] = []

    def hold(sql: Sql) -> None:
        held(sql)
        acts.append(pool.submit(act))
        until(lambda: acts[0].done() or waits_for_a_lock(tables), what="the other, or that it waits")

    with ThreadPoolExecutor(1) as pool:
        first.write_with(hold)
        fault = acts[0].exception(60)
        return acts[0].result() if fault is None else fault


def test_an_account_is_closed_beside_one_that_adds_it(open_store: Open, tables: str) -> None:
    """It is added to a room while its closing waits for another: that room too is locked before it is told."""
    store, closer, adder, sender = (open_store() for _ in range(4))
    assert isinstance(sender, PostgresStore)
    boss, ann = (
        store.write_with(lambda sql, name=name: accounts.make(sql, name, "member", T0))  # type: ignore[misc]
        for name in ("Boss", "Ann")
    )
    tea = do(store, CreateRoom("tea", kind="closed"), boss.identity).room["name"]
    jam = do(store, CreateRoom("jam", kind="closed", members=(ann.key,)), boss.identity).room["name"]
    closings: list[Future[Any]] = []

    def hold(sql: Sql) -> None:
        sql.run("UPDATE room SET floor = floor WHERE name = ?", jam)
        closings.append(pool.submit(closer.write_with, lambda sql: closing.close(sql, ann, T0)))
        until(lambda: waits_for_a_lock(tables), what="the closing, which waits for the room")
        do(adder, commands.AddMember(member=commands.NewMember(id=ann.key), room=tea), boss.identity)

    with ThreadPoolExecutor(1) as pool:
        with sender.writing() as sql:
            store.write_with(lambda held: (hold(held), speak(sql, boss, tea)))
            until(lambda: closings[0].done() or waits_for_a_lock(tables), what="the closing, or that it waits")
        closings[0].result(60)
    for room, told in ((tea, ["member-joined", "member-joined", "message-sent", "member-left"]),
                       (jam, ["member-joined", "member-joined", "member-left"])):  # fmt: skip
        assert [event.envelope["command"] for event in store.read(room, START, 9).events] == told
    assert not [step for step in store.verify() if step.problem]


def speak(sql: BatchedSql, account: Account, room: str) -> None:
    """Send a message in a transaction that stays open."""
    entries = Ledger(sql)
    rules.apply_all(entries, [Write(said(account.name, room=room), T0, account.identity)], rules.Settings())
    entries.flush()
    sql.flush()


@pytest.mark.parametrize("kind", ["add", "closed", "direct", "role"])
def test_an_account_that_is_closed_is_added_to_no_room(open_store: Open, tables: str, kind: str) -> None:
    """Who adds it meanwhile waits for the end of the closing, and finds no such account."""
    store, other = open_store(), open_store()
    boss, ann = (
        store.write_with(lambda sql, name=name: accounts.make(sql, name, "owner", T0))  # type: ignore[misc]
        for name in ("Boss", "Ann")
    )
    tea = do(store, CreateRoom("tea", kind="closed"), boss.identity).room["name"]
    command: Any = {
        "add": commands.AddMember(member=commands.NewMember(name="Ann"), room=tea),
        "closed": CreateRoom("jam", kind="closed", members=(ann.key,)),
        "direct": BeginDirect((ann.key,)),
        "role": commands.SetMember(member=commands.MemberChange(ann.key, role="manager"), room="lobby"),
    }[kind]
    found = beside(
        store, other, tables, lambda sql: closing.close(sql, ann, T0), lambda: do(other, command, boss.identity)
    )
    assert isinstance(found, AccountUnknown), found
    assert store.read_with(lambda sql: members.joined(sql, ann.id)) == 0


def test_settings_of_an_account_are_changed_at_once(open_store: Open, tables: str) -> None:
    """Each changes its own part of them, and neither undoes the other's."""
    store, other = open_store(), open_store()
    ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "member", T0))
    ours, by = Accounts(other, Passwords(), Rules(), lambda: T0), principal_of(ann, None, None)
    beside(
        store, other, tables, lambda sql: accounts.change_settings(sql, ann, {"level": "all"}),
        lambda: ours.change(by, None, {"presence": "off"}, None),
    )  # fmt: skip
    found = store.read_with(lambda sql: accounts.by_id(sql, ann.id))
    assert json.loads(found.settings) == {"level": "all", "presence": "off"}


@pytest.mark.parametrize("change", [("Anne", {}), (None, {"level": "all"})])
def test_an_account_that_is_closed_is_changed_no_more(
    open_store: Open, tables: str, change: tuple[str | None, dict[str, str]]
) -> None:
    """A change that comes meanwhile is refused: the reserved name stays, and no setting is kept."""
    store, other = open_store(), open_store()
    ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "member", T0))
    ours, by = Accounts(other, Passwords(), Rules(), lambda: T0), principal_of(ann, None, None)
    found = beside(
        store, other, tables, lambda sql: closing.close(sql, ann, T0), lambda: ours.change(by, *change, None)
    )
    assert isinstance(found, Unauthenticated), found
    closed = store.read_with(lambda sql: accounts.by_id(sql, ann.id))
    assert (closed.name, closed.settings) == ("Ann", "{}")


@pytest.mark.parametrize("wanted", [said(room="tea", send_at="+1h"), said(room="tea")], ids=["scheduled", "sent"])
def test_an_empty_room_that_is_used_now_keeps_its_place(tables: str, wanted: Any) -> None:
    """Its first message is stored or scheduled while another machine removes it for a new room: both are kept."""
    with contextlib.ExitStack() as opened:
        store, other = (
            opened.enter_context(contextlib.closing(PostgresStore(tables, rules.Settings(most_rooms=2)))) for _ in "ab"
        )
        store.found(T0)
        do(store, CreateRoom("tea"))
        now = T0 + 86_400_000

        def use(sql: Sql) -> None:
            sql.run("UPDATE room SET floor = floor WHERE name = 'tea'")  # as a batch of writes
            entries = Ledger(sql)
            outcomes = rules.apply_all(entries, [Write(wanted, now, "ann")], rules.Settings())
            assert isinstance(outcomes[0], Scheduled | Stored)
            entries.flush()

        found = beside(store, other, tables, use, lambda: do(other, CreateRoom("jam"), at=now))
        assert isinstance(found, Created), found
        assert {room["name"] for room in store.rooms()} == {"lobby", "tea", "jam"}
        waiting, said_there = store.scheduled("tea", "ann"), store.read("tea", START, 9).events
        assert (len(waiting), len(said_there)) == ((1, 0) if wanted.message.send_at else (0, 1))
        assert not [step for step in store.verify() if step.problem]


def test_no_bot_is_handed_to_an_account_that_closes(open_store: Open, tables: str) -> None:
    """The bots that are closed with it are those whose rooms are locked."""
    store, other = open_store(), open_store()
    boss, ann = (
        store.write_with(lambda sql, name=name: accounts.make(sql, name, "member", T0))  # type: ignore[misc]
        for name in ("Boss", "Ann")
    )
    bot = store.write_with(lambda sql: accounts.make(sql, "Robo", "bot", T0, keeper=boss.id))
    ours = Bots(other, lambda: T0, lambda: None)

    def hold(sql: Sql) -> None:
        closing.hold(sql, ann)
        handed.append(pool.submit(ours.hand_over, None, bot.key, ann.key))
        until(lambda: handed[0].done() or waits_for_a_lock(tables), what="the bot, or that it waits")
        closing.close(sql, ann, T0)

    handed: list[Future[Any]] = []
    with ThreadPoolExecutor(1) as pool:
        store.write_with(hold)
        assert isinstance(handed[0].exception(60), Conflict)
    assert store.read_with(lambda sql: accounts.by_key(sql, bot.key)).state == "active"


def left_behind(store: Store) -> list[tuple[Any, ...]]:
    """The rows in tables of subscribers that belong to none."""
    return store.read_with(lambda sql: [
        row for table in ("subscribed", "delivery", "webhook")
        for row in sql.all(f"SELECT * FROM {table} WHERE subscriber_id NOT IN (SELECT id FROM subscriber)")
    ])  # fmt: skip


def test_a_webhook_that_is_removed_is_changed_no_more(open_store: Open, tables: str) -> None:
    """A change that comes meanwhile finds none, and leaves no position without its webhook."""
    store, other = open_store(), open_store()
    bot = store.write_with(lambda sql: accounts.make(sql, "Robo", "bot", T0))
    ours = Webhooks(other, lambda reader, room, after: START, Policy("members"), lambda: T0)
    for change in (
        lambda key: ours.change(None, key, Wanted(rooms=["lobby"])), lambda key: ours.enable(None, key),
        lambda key: ours.replay(None, key, "lobby", START), lambda key: ours.change(None, key, Wanted(name="new")),
        lambda key: ours.change_secret(None, key), lambda key: ours.remove(None, key),
    ):  # fmt: skip
        number = webhook_of(store, bot)
        webhook = store.read_with(lambda sql, number=number: webhooks.by_id(sql, number))
        assert webhook is not None
        found = beside(
            store, other, tables, lambda sql, webhook=webhook: subscribers.remove(sql, webhook.subscriber),
            lambda change=change, webhook=webhook: change(webhook.key),
        )  # fmt: skip
        assert isinstance(found, WebhookUnknown)
        assert left_behind(store) == []


def test_a_webhook_is_closed_with_its_bot_beside_a_change(open_store: Open, tables: str) -> None:
    """Whichever comes first: neither waits for the other's end, and no position is left."""
    store, other = open_store(), open_store()
    boss = store.write_with(lambda sql: accounts.make(sql, "Boss", "member", T0))
    ours = Webhooks(other, lambda reader, room, after: START, Policy("members"), lambda: T0)
    for place, closes_first in enumerate((True, False)):
        bot = store.write_with(lambda sql, place=place: accounts.make(sql, f"Robo{place}", "bot", T0))
        do(store, CreateRoom(f"tea{place}", kind="closed", members=(bot.key,)), boss.identity)
        number = webhook_of(store, bot)
        webhook = store.read_with(lambda sql, number=number: webhooks.by_id(sql, number))
        assert webhook is not None

        def close(sql: Sql, bot: Account = bot) -> None:
            closing.close(sql, bot, T0)

        if closes_first:
            found = beside(
                store, other, tables, close,
                lambda webhook=webhook: ours.change(None, webhook.key, Wanted(rooms=["lobby"])),
            )  # fmt: skip
            assert isinstance(found, WebhookUnknown)
        else:
            found = beside(
                store, other, tables, lambda sql, webhook=webhook: subscribers.hold(sql, webhook.id),
                lambda close=close: other.write_with(close),
            )  # fmt: skip
            assert found is None
        assert left_behind(store) == []


@pytest.mark.parametrize("all_rooms", [True, False])
def test_a_place_is_set_beside_a_join(open_store: Open, tables: str, all_rooms: bool) -> None:
    """Of a subscriber that follows all rooms the join sets one too: both succeed, and what was asked for holds."""
    store, other = open_store(), open_store()
    do(store, CreateRoom("tea"))
    ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "member", T0))
    reader = store.write_with(lambda sql: subscribers.make(sql, ann.id, "reader", T0, all_rooms=all_rooms))

    def join(sql: Sql) -> None:
        row = sql.one("SELECT id FROM room WHERE name = 'tea'")
        assert row is not None
        members.add(sql, row[0], ann.id, "member", (0, 0), T0)

    place = Cursor(3, "a" * 16)
    act = lambda: other.write_with(lambda sql: subscribers.place(sql, reader, "tea", place))  # noqa: E731  # a value
    assert beside(store, other, tables, join, act) is None
    assert store.read_with(lambda sql: subscribers.positions(sql, reader))["tea"].cursor == place


def test_a_subscriber_of_all_rooms_is_made_beside_a_join(open_store: Open, tables: str) -> None:
    """It waits for the join, which does not know of it, and follows that room too."""
    store, other = open_store(), open_store()
    do(store, CreateRoom("tea"))
    ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "member", T0))

    def join(sql: Sql) -> None:
        assert sql.one("SELECT 1 FROM account WHERE id = ? FOR SHARE", ann.id)  # as a batch of writes
        row = sql.one("SELECT id FROM room WHERE name = 'tea'")
        assert row is not None
        members.add(sql, row[0], ann.id, "member", (0, 0), T0)

    def make(sql: Sql) -> None:
        reader = subscribers.make(sql, ann.id, "reader", T0, all_rooms=True)
        for room, cursor in subscribers.as_joined(sql, ann.id, {}).items():
            subscribers.place(sql, reader, room, cursor)

    assert beside(store, other, tables, join, lambda: other.write_with(make)) is None
    reader = store.read_with(lambda sql: subscribers.find(sql, ann.id, "reader"))
    assert "tea" in store.read_with(lambda sql: subscribers.positions(sql, reader))


@pytest.mark.parametrize("kind", ["cursor", "webhook"])
def test_positions_are_set_beside_joins_in_another_order(open_store: Open, tables: str, kind: str) -> None:
    """Of rooms that are listed now, where all that are joined were followed: neither waits for the other's end."""
    store, other = open_store(), open_store()
    for room in ("jam", "tea"):
        do(store, CreateRoom(room))
    ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "bot", T0))
    if kind == "cursor":
        chat, by = Chat(other, Limits({}, {"sender": Budget(9, 9)})), principal_of(ann, None, None)
        Cursors(chat).put(by, "reader", ALL)
        change: Callable[[], Any] = lambda: Cursors(chat).put(by, "reader", ["tea", "jam"])  # noqa: E731  # one of two
    else:
        number = webhook_of(store, ann)
        hook = store.read_with(lambda sql: webhooks.by_id(sql, number))
        assert hook is not None
        store.write_with(lambda sql: subscribers.follow_all(sql, hook.subscriber, True))
        ours = Webhooks(other, lambda reader, room, after: START, Policy("members"), lambda: T0)
        change = lambda: ours.change(None, hook.key, Wanted(rooms=["tea", "jam"]))  # noqa: E731  # one of two
    changes: list[Future[Any]] = []

    def join(sql: Sql) -> None:
        assert sql.one("SELECT 1 FROM account WHERE id = ? FOR SHARE", ann.id)  # as a batch of writes
        for room in ("jam", "tea"):
            row = sql.one("SELECT id FROM room WHERE name = ?", room)
            assert row is not None
            members.add(sql, row[0], ann.id, "member", (0, 0), T0)
            if not changes:
                changes.append(pool.submit(change))
                until(lambda: changes[0].done() or waits_for_a_lock(tables), what="the change, or that it waits")

    with ThreadPoolExecutor(1) as pool:
        store.write_with(join)
        changes[0].result(60)
    followed = store.read_with(lambda sql: sql.one("SELECT count(*) FROM subscribed"))
    assert followed == (2,)


def test_an_acknowledgement_beside_a_leave_follows_no_more(open_store: Open, tables: str) -> None:
    """The position of a room that was left does not come back with it."""
    store, other = open_store(), open_store()
    ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "member", T0))
    reader = store.write_with(lambda sql: subscribers.make(sql, ann.id, "reader", T0, all_rooms=True))
    do(store, CreateRoom("tea"))
    do(store, said("Ann", room="tea"), ann.identity)
    there = store.read_with(lambda sql: subscribers.positions(sql, reader))["tea"]

    def move() -> None:
        other.write_with(lambda sql: subscribers.move(sql, reader, there, Cursor(1, "a" * 16)))

    assert beside(store, other, tables, lambda sql: members.remove(sql, there.room_id, ann.id), move) is None
    assert store.read_with(lambda sql: subscribers.positions(sql, reader)) == {}


def test_an_account_in_many_rooms_is_closed_with_few_statements(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three for each room, since its senders wait meanwhile: lock it, append the event, move its head."""
    store, counts, asked = open_store(), list[int](), list[str]()
    boss = store.write_with(lambda sql: accounts.make(sql, "Boss", "member", T0))
    for name in ("run", "one", "all"):
        ask = getattr(PlainSql, name)
        monkeypatch.setattr(PlainSql, name, lambda sql, *given, ask=ask: (asked.append(given[0]), ask(sql, *given))[1])
    for name, rooms in (("Ann", 5), ("Bea", 25)):
        account = store.write_with(lambda sql, name=name: accounts.make(sql, name, "member", T0))
        made = [do(store, CreateRoom(f"{name}{number}".lower(), kind="closed", members=(account.key,)), boss.identity)
                for number in range(rooms)]  # fmt: skip
        asked.clear()
        store.write_with(lambda sql, account=account: closing.close(sql, account, T0))
        counts.append(len(asked))
        for room in made:
            (*_, last) = store.read(room.room["name"], START, 9).events
            assert (last.envelope["command"], last.envelope["member"]["id"]) == ("member-left", account.key)
    assert counts[1] - counts[0] == 3 * 20
    for table in ("member", "mention", "subscribed"):
        assert store.read_with(lambda sql, table=table: sql.one(f"SELECT count(*) FROM {table}")) == (
            (31 if table == "member" else 0),
        )


def test_a_delivery_waits_for_a_ban_that_comes_first(open_store: Open, tables: str) -> None:
    """As a message that is sent now does: nothing is stored of an account after its ban."""
    store = open_store()
    ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "member", T0))
    due = do(store, said("Ann", send_at="+1s"), ann.identity).scheduled["id"]
    with psycopg.connect(tables) as other, ThreadPoolExecutor(1) as pool:
        other.execute("UPDATE account SET state = 'banned' WHERE id = %s", [ann.id])
        delivery = pool.submit(do, store, Deliver(due), None, T0 + 1000)
        until(lambda: delivery.done() or waits_for_a_lock(tables), what="the delivery, or that it waits")
        other.commit()
        assert isinstance(delivery.result(60), Nothing)
    assert store.read("lobby", START, 9).events == []


def waits_in(store: Store, room: str, *texts: str) -> list[int]:
    """The ids of Ann's messages, each due a millisecond or more after the one before it."""
    return [do(store, said("Ann", text, room=room, send_at="+1s"), at=T0 + place).scheduled["id"]
            for place, text in enumerate(texts)]  # fmt: skip


@contextlib.contextmanager
def delivering(store: Store, tables: str, number: int) -> Iterator[None]:
    """Another machine has claimed the message `number`, and waits for the lobby."""
    batch = [Write(Deliver(number), T0 + 2000), Write(said("Bob"), T0 + 2000, "bob")]
    with psycopg.connect(tables) as held, ThreadPoolExecutor(1) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_HOLD", module._HOLD.replace("'5s'", "'120s'"))
        held.execute("SELECT 1 FROM room WHERE name = 'lobby' FOR UPDATE")
        slow = pool.submit(store.commit, batch)
        until(lambda: waits_for_a_lock(tables), what="the delivery, which waits for the lobby")
        yield
        held.commit()
        assert [type(each) for each in slow.result(60)] == [Stored, Stored]


def texts_of(store: Store, room: str) -> list[str]:
    return [event.envelope["message"]["message"] for event in store.read(room, START, 99).events]


@pytest.mark.parametrize("handed", ["with those before it", "alone"])
def test_due_messages_of_a_sender_keep_their_order(open_store: Open, tables: str, handed: str) -> None:
    """While one is claimed, no machine stores a later one of its sender there; others go on, and so do other rooms."""
    store, other = open_store(), open_store()
    for room in ("tea", "jam"):
        do(store, CreateRoom(room))
    first, second, third = waits_in(store, "tea", "1", "2", "3")
    (elsewhere,) = waits_in(store, "jam", "j")
    bobs = do(store, said("Bob", "b", room="tea", send_at="+1s"), "bob").scheduled["id"]
    batches = {"with those before it": [[first, second, third, elsewhere, bobs]],
               "alone": [[first], [second], [third], [elsewhere, bobs]]}[handed]  # fmt: skip
    with delivering(store, tables, first):
        outcomes = [outcome for batch in batches
                    for outcome in other.commit([Write(Deliver(each), T0 + 2000) for each in batch])]  # fmt: skip
        assert [type(each) for each in outcomes] == [Nothing, Nothing, Nothing, Stored, Stored]
    outcomes = other.commit([Write(Deliver(each), T0 + 2000) for each in (first, second, third)])
    assert [type(each) for each in outcomes] == [Nothing, Stored, Stored]
    assert texts_of(store, "tea") == ["b", "1", "2", "3"]


def test_a_message_that_was_held_up_is_sent_soon(
    open_store: Open, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler of a machine hands it over again, until the other machine has stored the one before it."""
    store, other = open_store(), open_store()
    do(store, CreateRoom("tea"))
    texts = [str(number) for number in range(9)]
    numbers = waits_in(store, "tea", *texts)
    outcomes: list[Any] = []
    commit = other.commit
    monkeypatch.setattr(other, "commit", lambda writes: (outcomes.extend(found := commit(writes)), found)[1])
    chat = Chat(other, Limits({"message": Rate(1e9, 1e9)}, {}), clock=lambda: T0 + 2000)
    with contextlib.closing(chat):
        with delivering(store, tables, numbers[0]):
            chat.start()
            until(lambda: len(outcomes) > 2 * len(numbers), what="more looks than one, in vain")
            assert not [each for each in outcomes if not isinstance(each, Nothing)]
        until(lambda: store.waiting() == 0, what="all are sent")
    assert texts_of(store, "tea") == texts


def test_leases_go_by_the_clock_of_the_database(open_store: Open) -> None:
    """Of two machines whose clocks differ by an hour, one alone sends for a webhook."""
    store, hour = open_store(), 3_600_000
    bot = store.write_with(lambda sql: accounts.make(sql, "Robo", "bot", T0))

    number = webhook_of(store, bot)
    do(store, said())
    assert store.write_with(lambda sql: webhooks.lease(sql, number, "a", T0, 30_000))
    for now in (T0 - hour, T0, T0 + hour):
        assert store.read_with(lambda sql, now=now: webhooks.due(sql, now, "b", 9)) == []
        assert not store.write_with(lambda sql, now=now: webhooks.lease(sql, number, "b", now, 30_000))
        (lane,) = store.read_with(lambda sql, now=now: webhooks.due(sql, now, "a", 9))
        assert 0 < lane.held_ms <= 30_000


def test_rebuilding_knows_every_event(open_store: Open, tables: str) -> None:
    """The projections made anew are those that were."""
    store = open_store()
    assert isinstance(store, PostgresStore)
    do(store, said(text="**a**", color="red"))
    do(store, said("Bob", "b", reply_to=1), who="bob")
    do(store, react(2, "dislike"))
    do(store, react(1, "like"), who="bob")
    do(store, react(1, "🎉"), who="bob")
    do(store, edit(1, "c"))
    do(store, commands.AddQuote(quote=commands.NewQuote("q", "w")))
    do(store, delete(2), who="bob")
    projected = (
        "message ORDER BY 1, 2", "reaction ORDER BY 1, 2, 3", "emoji_reaction ORDER BY 1, 2, 3, 4", "quote ORDER BY 1",
    )  # fmt: skip

    with psycopg.connect(tables, autocommit=True) as other:

        def projections() -> list[object]:
            return [other.execute(f"SELECT * FROM {table}").fetchall() for table in projected]

        before = projections()
        other.execute("UPDATE message SET likes = 9, body = '{}'")
        assert projections() != before
        assert store.rebuild(lambda done, all_there_are: None) == 8
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
def test_verify_says_where_history_is_broken(open_store: Open, tables: str, change: str, problem: str) -> None:
    """A changed, a missing and a cut-off event are found."""
    store = open_store()
    for _ in range(3):
        do(store, said())
    assert not [step for step in store.verify() if step.problem]
    with psycopg.connect(tables) as other:
        other.execute(change)
    assert problem in "".join(step.problem or "" for step in store.verify())


def test_a_newer_schema_is_left_alone(open_store: Open, tables: str) -> None:
    """An old program does not touch what a newer one wrote."""
    open_store()
    with psycopg.connect(tables) as other:
        other.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(SchemaTooNew):
        PostgresStore(tables)


def test_all_openings_have_one_secret(open_store: Open) -> None:
    """A token given on one machine is good on all."""
    assert len({open_store().secret() for _ in range(2)}) == 1
    assert len(open_store().secret()) == 64


def test_another_default_of_the_server_does_not_weaken_a_commit(open_store: Open, tables: str) -> None:
    """An ack is on the disk, whatever synchronous_commit is set to for the database."""
    name = tables.rpartition("/")[2]
    with psycopg.connect(tables, autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    store = open_store()
    assert isinstance(store, PostgresStore)
    seen = []
    sent = BatchedSql.send

    def look(batched_sql: BatchedSql) -> None:
        seen.append(batched_sql._connection.execute("SHOW synchronous_commit").fetchone())
        sent(batched_sql)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchedSql, "send", look)
        do(store, said())
    assert seen == [("on",)]


# --- Numbers are seen in their order --------------------------------------------------------------


class Paused(threading.Thread):
    """A commit that is held open before its last trip."""

    def __init__(self, store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(daemon=True)
        self._store = store
        self.reached, self.go_on = threading.Event(), threading.Event()
        send = BatchedSql.send

        def pause(batched_sql: BatchedSql) -> None:
            if threading.current_thread() is self and batched_sql._written:
                self.reached.set()
                assert self.go_on.wait(120)
            send(batched_sql)

        monkeypatch.setattr(BatchedSql, "send", pause)

    def run(self) -> None:
        do(self._store, said(text="first"), who=None)


def check_order(open_store: Open, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.5) -> None:
    """One commit is held open while another machine commits in the same room: a tailing reader misses nothing.

    The other commit has so many `seconds` for what it must not be able to do.
    """
    one, two, reader = open_store(), open_store(), open_store()
    assert isinstance(one, PostgresStore)
    do(two, CreateRoom("tea"))
    slow = Paused(one, monkeypatch)
    slow.start()
    assert slow.reached.wait(60)
    # Another room is not held up.
    assert do(two, said(room="tea"), who=None).seq == 1
    fast = threading.Thread(target=lambda: do(two, said("Bob", "second"), who=None), daemon=True)
    fast.start()
    fast.join(seconds)
    seen: list[int] = []
    position: Any = START

    def read_on() -> None:
        nonlocal position
        page = reader.read("lobby", position, 9)
        seen.extend(event.seq for event in page.events)
        position = Cursor(seen[-1]) if seen else position
        assert seen == list(range(1, len(seen) + 1))

    try:
        read_on()
    finally:
        slow.go_on.set()
        slow.join(60)
        fast.join(60)
    read_on()
    assert seen == [1, 2]


def test_a_number_is_never_seen_before_a_lower_one(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room stays locked from the number to the commit."""
    check_order(open_store, monkeypatch)


def test_numbers_from_a_sequence_would_be_caught(
    open_store: Open, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With bigserial instead of the counter row, as so many do it, the check above fails."""
    with psycopg.connect(tables) as other:
        other.execute("CREATE SEQUENCE numbers")
    monkeypatch.setattr(module, "_HOLD_ROOMS", module._HOLD_ROOMS.replace(" FOR UPDATE", ""))
    append = Ledger.append

    def from_a_sequence(ledger: Ledger, room: Any, *rest: Any, **more: Any) -> Stored:
        if room.name == "lobby":
            room.head = ledger.sql.one("SELECT nextval('numbers')")[0] - 1  # type: ignore[index]
        return append(ledger, room, *rest, **more)

    monkeypatch.setattr(Ledger, "append", from_a_sequence)
    with pytest.raises(AssertionError, match=r"assert \[2\] == \[1\]"):
        check_order(open_store, monkeypatch, 60)


# --- When it does not work ------------------------------------------------------------------------


def test_a_full_disk_refuses_and_reading_goes_on(open_store: Open, tables: str) -> None:
    """PostgreSQL says 53100: nothing is half-stored, and with space again writing goes on."""
    store = open_store()
    do(store, said(text="before"))
    with psycopg.connect(tables, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$"
        )
        other.execute("CREATE TRIGGER full_disk BEFORE INSERT ON sent EXECUTE FUNCTION full_disk()")
        with pytest.raises(StorageFull):
            store.commit([Write(said(text="x", key=f"k{number}"), T0, "ann") for number in range(3)])
        assert [event.seq for event in store.read("lobby", START, 9).events] == [1]
        other.execute("DROP TRIGGER full_disk ON sent")
    assert do(store, said(key="k0")).seq == 2


def test_lost_connections_are_made_anew(open_store: Open, tables: str) -> None:
    """All are ended between two uses: the next commit and the next read succeed, as if nothing had been."""
    store = open_store()
    do(store, said())
    store.read("lobby", START, 9)
    others = (
        "FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        " AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(tables, autocommit=True) as other:
        other.execute(f"SELECT pg_terminate_backend(pid) {others}")
        until(lambda: other.execute(f"SELECT 1 {others}").fetchone() is None, what="their end")
    assert do(store, said()).seq == 2
    assert store.head("lobby").seq == 2
    assert not [step for step in store.verify() if step.problem]


@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_connection_that_ends_in_a_commit(
    open_store: Open, tables: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Before the commit was sent, the batch is done again; after that its fate is unknown, and a repeat finds out."""
    store = open_store()
    do(store, said())
    assert isinstance(store, PostgresStore) and store._writer is not None
    victim, send, ended = store._writer, BatchedSql.send, []

    def end() -> None:
        with psycopg.connect(tables, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
            while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [victim.info.backend_pid]).fetchone():
                pass

    if moment == "before":
        apply_all = rules.apply_all

        def and_end(*arguments: Any) -> Any:
            if not ended:
                ended.append(end())
            found = apply_all(*arguments)
            arguments[0].sql.one("SELECT count(*) FROM message")
            return found

        monkeypatch.setattr(rules, "apply_all", and_end)
        assert do(store, said(key="k")).seq == 2
    else:

        def send_and_end(batched_sql: BatchedSql) -> None:
            send(batched_sql)
            if not ended:
                ended.append(end())

        monkeypatch.setattr(BatchedSql, "send", send_and_end)
        with pytest.raises(CommitFailed) as fault:
            do(store, said(key="k"))
        assert not fault.value.certain
        assert do(store, said(key="k")).seq == 2
    assert ended and [event.seq for event in store.read("lobby", START, 9).events] == [1, 2]


def test_a_peer_that_says_nothing_is_given_up(open_store: Open) -> None:
    """Open and silent, as after a lost network: reads and commits go on with another connection."""
    store = open_store()
    do(store, said())
    assert isinstance(store, PostgresStore) and store._writer is not None
    store.head("lobby")
    used = [store._writer, *store._pool._idle]
    silent = [each.info.backend_pid for each in used]
    assert len(silent) >= 2
    for each in used:  # not those that are made anew, which may take longer
        each.patience = 1.5
    try:
        for pid in silent:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        assert store.head("lobby").seq == 1
        assert do(store, said()).seq == 2
        assert 1.5 < time.monotonic() - began < 30
    finally:
        for pid in silent:
            os.kill(pid, signal.SIGCONT)


def test_nobody_waits_for_ever_for_a_connection(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that may read are busy: 503, and nothing is stuck afterwards."""
    monkeypatch.setattr(connections, "_WAIT_SECONDS", 0.1)
    store = open_store()
    assert isinstance(store, PostgresStore)
    with contextlib.ExitStack() as held:
        for _ in range(8):
            held.enter_context(store._pool.connection())
        with pytest.raises(Overloaded) as refused:
            store.head("lobby")
        assert refused.value.retry_in_ms
    assert store.head("lobby").seq == 0


def test_a_database_that_is_away_is_said_so(postgres_server: postgres.Server) -> None:
    """Clients read that it is away, the operator why; the password is in neither."""
    url = f"postgresql://quotechat:{postgres_server.password}@127.0.0.1:1/chat"
    with pytest.raises(Overloaded) as away:
        PostgresStore(url)
    assert "refused" in str(away.value) and "127.0.0.1" not in away.value.detail
    assert postgres_server.password not in f"{away.value} {away.value.detail}"
    wrong = postgres_server.url.replace(postgres_server.password, "guess-of-somebody")
    with pytest.raises(Overloaded, match="authentication failed") as refused:
        PostgresStore(wrong)
    assert "guess" not in str(refused.value)


def test_one_account_may_speak_first_in_two_rooms_at_once(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines, each in the middle of such a batch: both are stored, and neither waits for the other's end.

    Whether they do is up to PostgreSQL, which ends one of two transactions that wait for each other after a second.
    """
    stores = [open_store(), open_store()]
    ann = stores[0].write_with(lambda sql: accounts.make(sql, "Ann", "member", T0))
    for room in ("tea", "jam"):
        do(stores[0], CreateRoom(room))
    both, flush = threading.Barrier(2), Ledger.flush

    def together(ledger: Ledger) -> None:
        both.wait(120)
        flush(ledger)

    monkeypatch.setattr(Ledger, "flush", together)
    outcomes: list[Any] = []

    def speak(store: Store, room: str) -> None:
        try:
            outcomes.append(do(store, replace(said("Ann"), room=room), who=ann.identity))
        except CommitFailed as fault:
            outcomes.append(fault)

    threads = [threading.Thread(target=speak, args=pair) for pair in zip(stores, ("tea", "jam"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [type(each) for each in outcomes] == [Stored, Stored], outcomes
    assert stores[0].read_with(lambda sql: accounts.revision(sql, ann.id)) == 2


def test_a_connection_that_ends_in_a_transaction_leaves_it_open(open_store: Open, tables: str) -> None:
    """The commit may have come to PostgreSQL: only what that refused itself is certainly not stored."""
    store = open_store()

    def work(sql: Sql, *, end: bool) -> None:
        row = sql.one("SELECT pg_backend_pid()")
        assert row is not None
        with psycopg.connect(tables, autocommit=True) as other:
            if end:
                other.execute("SELECT pg_terminate_backend(%s)", row)
                until(lambda: not other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", row).fetchone())
        sql.run("INSERT INTO site (key, value) VALUES ('title', 'x')")

    with pytest.raises(CommitFailed) as fault:
        store.write_with(lambda sql: work(sql, end=True))
    assert not fault.value.certain
    store.write_with(lambda sql: work(sql, end=False))
    with pytest.raises(CommitFailed) as fault:
        store.write_with(lambda sql: work(sql, end=False))
    assert fault.value.certain

"""Two requests about one account at once, on PostgreSQL: what either has ended stays ended, and neither deadlocks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest
from contract import T0, Open, do
from servers import until
from test_postgres import beside, waits_for_a_lock
from test_postgres import open_store as open_store

from quotechat.hub.accounts.accounts import Accounts
from quotechat.hub.accounts.clients import Client
from quotechat.hub.accounts.credentials import Rules, principal_of
from quotechat.hub.accounts.passwords import Passwords
from quotechat.hub.accounts.people import People
from quotechat.hub.budgets.limits import Budget, Limits
from quotechat.hub.chat import Chat
from quotechat.hub.programs.hooks import Hooks, make_hook
from quotechat.protocol.errors import Conflict, Forbidden, LinkUnknown, RoomUnknown, Unauthenticated
from quotechat.store.accounts import accounts, bans, closing, sessions, tickets
from quotechat.store.accounts.accounts import Account
from quotechat.store.accounts.sessions import Session, hashed
from quotechat.store.base import CreateRoom, Store, Transactions
from quotechat.store.maintenance import erasing, removal
from quotechat.store.shapes import Sql

_PASSWORD = "seven brown geese 42"
_LOCKS = ("UPDATE account SET", "DELETE FROM ticket")


class Within:
    """Transactions that are parts of an open one."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def write_with(self, work: Callable[[Sql], Any], *, patience: float | None = None) -> Any:
        return work(self._sql)

    read_with = write_with


class Locking:
    """Statements: after the one of that number that locks accounts or links `act` runs."""

    def __init__(self, sql: Sql, number: int, act: Callable[[], Any]) -> None:
        self._sql, self._left, self._act = sql, number, act

    def run(self, statement: str, *values: Any) -> None:
        self._sql.run(statement, *values)
        if statement.startswith(_LOCKS):
            self._left -= 1
            if self._left == 0:
                self._act()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sql, name)


class Ann:
    """An account with a session and a link of each kind, and what is done to it by `store`."""

    def __init__(self, store: Store) -> None:
        made(store, "Boss", "owner")
        self.account = made(store, "Ann")
        number = self.account.id
        self.session = Session(hashed("s"), number, "Firefox", T0, T0, T0, T0 + 9_999, None, None)
        store.write_with(lambda sql: sessions.start(sql, self.session))
        self.codes = {
            kind: store.write_with(lambda sql, kind=kind: tickets.make(  # type: ignore[misc]
                sql, kind, T0, 9_000, account_id=number, made_by=number
            ))[1]
            for kind in ("device", "reset")
        }  # fmt: skip

    def own(self, store: Transactions) -> Accounts:
        return Accounts(store, Passwords(), Rules(limits=False), lambda: T0)

    def use(self, store: Transactions, kind: str) -> None:
        if kind == "device":
            self.own(store).use_device(self.codes[kind], Client())
        else:
            self.own(store).reset(self.codes[kind], _PASSWORD, Client())

    def end(self, store: Transactions, how: str) -> None:
        own, people, key = self.own(store), People(store, lambda: T0), self.account.key
        ends: dict[str, Callable[[], Any]] = {
            "everywhere": lambda: own.sign_out_everywhere(self.account.id),
            "other": lambda: own.sign_out_other(self.account.id, self.session.hash),
            "administrator": lambda: people.sign_out(None, key),
            "banned": lambda: people.ban(None, key, T0 + 1),
            "closed": lambda: people.close(None, key),
            "password": lambda: own.change_password(self.session, _PASSWORD, Client()),
            "role": lambda: people.set_role(None, key, "guest"),
        }
        ends[how]()


_ENDS = ("everywhere", "other", "administrator", "banned", "closed", "password", "role")


def made(store: Store, name: str, role: str = "member") -> Account:
    return store.write_with(lambda sql: accounts.make(sql, name, role, T0))


def test_a_ban_leaves_an_account_closed(open_store: Open, tables: str) -> None:
    """It comes while the account closes itself with its messages: it finds it closed, and the names still go."""
    store, other = open_store(), open_store()
    ann = made(store, "Ann")

    def close(sql: Sql) -> None:
        closing.close(sql, ann, T0, claims=True)
        erasing.begin(sql, ann, T0, nameless=True)

    people = People(other, lambda: T0)
    found = beside(store, other, tables, close, lambda: people.ban(None, ann.key, T0 + 1, erase=True))
    assert isinstance(found, Conflict), found
    assert people.one(ann.key).state == "closed"
    erasure = store.write_with(lambda sql: erasing.take(sql, T0))
    assert erasure is not None and erasure.nameless


def test_a_closed_account_is_never_banned(open_store: Open) -> None:
    """A bot neither; and a ban that erases what a closing erases leaves the names to it."""
    store = open_store()
    boss = made(store, "Boss")
    ann, bot = made(store, "Ann"), store.write_with(lambda sql: accounts.make(sql, "Robo", "bot", T0, keeper=boss.id))
    for account in (ann, bot):
        store.write_with(lambda sql, account=account: closing.close(sql, account, T0))  # type: ignore[misc]
        store.write_with(lambda sql, account=account: bans.ban(sql, account, None, T0))  # type: ignore[misc]
        assert store.read_with(lambda sql, account=account: accounts.by_id(sql, account.id)).state == "closed"  # type: ignore[misc]
    for nameless in (True, False):
        store.write_with(lambda sql, nameless=nameless: erasing.begin(sql, ann, T0, nameless=nameless))  # type: ignore[misc]
    erasure = store.write_with(lambda sql: erasing.take(sql, T0))
    assert erasure is not None and erasure.nameless


def test_a_person_joins_beside_the_closing_of_the_inviter(open_store: Open, tables: str) -> None:
    """Whoever closes or bans the inviter deletes the link after it has locked accounts; so does one that joins."""
    store, other = open_store(), open_store()
    ann = made(store, "Ann")
    _, code = store.write_with(lambda sql: tickets.make(sql, "join", T0, 9_000, role="member", made_by=ann.id))
    own = Accounts(other, Passwords(), Rules(limits=False), lambda: T0)
    joins: list[Future[Any]] = []

    def close(sql: Sql) -> None:
        sql.alone("account")
        joins.append(pool.submit(own.join, code, "Cy", _PASSWORD, Client()))
        until(lambda: joins[0].done() or waits_for_a_lock(tables), what="the one that joins, or that it waits")
        closing.close(sql, ann, T0)

    with ThreadPoolExecutor(1) as pool:
        store.write_with(close)
        assert isinstance(joins[0].exception(60), LinkUnknown)


@pytest.mark.parametrize("end", [
    lambda sql, ann: bans.ban(sql, ann, None, T0), lambda sql, ann: closing.close(sql, ann, T0),
], ids=["banned", "closed"])  # fmt: skip
def test_no_hook_outlives_its_maker(open_store: Open, tables: str, end: Callable[[Sql, Account], None]) -> None:
    """It is asked for when the bots of its maker have ended: the maker has ended too."""
    store, other = open_store(), open_store()
    made(store, "Boss", "owner")
    ann = made(store, "Ann", "admin")
    hooks = Hooks(Chat(other, Limits({}, {"sender": Budget(9, 9)}), clock=lambda: T0))
    by = principal_of(ann, None, None)
    found = beside(store, other, tables, lambda sql: end(sql, ann), lambda: hooks.make(by, "lobby", "Builds"))
    assert isinstance(found, Unauthenticated), found
    assert store.read_with(lambda sql: sessions.hooks_of(sql, "lobby")) == []


@pytest.mark.parametrize("removed_first", [True, False])
def test_no_hook_outlives_its_room(open_store: Open, tables: str, removed_first: bool) -> None:
    """It would write into the next room of that name, whether it is asked for beside the removal or just before."""
    store, other = open_store(), open_store()
    do(store, CreateRoom("tea"))

    def make(sql: Sql) -> None:
        make_hook(sql, None, "tea", "Builds", T0)

    if removed_first:
        remove = lambda sql: removal.remove(sql, "tea", T0)  # noqa: E731  # a value
        assert isinstance(beside(store, other, tables, remove, lambda: other.write_with(make)), RoomUnknown)
    else:
        assert beside(store, other, tables, make, lambda: other.remove_room("tea", T0)) is None
    assert store.read_with(lambda sql: sessions.hooks_of(sql, "tea")) == []


@pytest.mark.parametrize("how", ["banned", "role"])
@pytest.mark.parametrize("kind", ["invite", "reset", "make"])
def test_no_link_outlives_the_right_to_make_it(open_store: Open, tables: str, how: str, kind: str) -> None:
    """It is asked for when those of its maker have been revoked: the maker has ended, or lost the right."""
    store, other = open_store(), open_store()
    made(store, "Boss", "owner")
    ann, zoe = made(store, "Ann", "admin"), made(store, "Zoe")
    by, people = principal_of(ann, None, None), People(other, lambda: T0)

    def end(sql: Sql) -> None:
        sql.alone("account")
        tickets.revoke_made_by(sql, ann.id)
        if how == "banned":
            bans.ban(sql, ann, T0 + 1, T0)
        else:
            accounts.set_role(sql, ann, "member", T0)

    acts: dict[str, Callable[[], Any]] = {
        "invite": lambda: people.invite(by),
        "reset": lambda: people.reset_link(by, zoe.key),
        "make": lambda: people.make(by, "Cy", "member"),
    }
    found = beside(store, other, tables, end, acts[kind])
    assert isinstance(found, Unauthenticated if how == "banned" else Forbidden), found
    kept = store.read_with(lambda sql: list(sql.all("SELECT kind FROM ticket")))
    assert kept == []


def rows(store: Store, table: str, account: Account) -> int:
    statement = f"SELECT 1 FROM {table} WHERE account_id = ?"
    return store.read_with(lambda sql: len(list(sql.all(statement, account.id))))


@pytest.mark.parametrize("how", [each for each in _ENDS if each != "role"])
def test_no_device_link_outlives_the_session_that_made_it(open_store: Open, tables: str, how: str) -> None:
    """The link is made when its session is about to be ended."""
    store, other = open_store(), open_store()
    ann = Ann(store)
    code: list[str] = []

    def link(sql: Sql) -> None:
        code.append(ann.own(cast(Transactions, Within(sql))).device_link(ann.session)[1])

    store.write_with(lambda sql: tickets.revoke_kind(sql, "reset"))
    found = beside(store, other, tables, link, lambda: ann.end(other, how))
    assert found is None
    assert rows(store, "ticket", ann.account) == 0
    with pytest.raises(LinkUnknown):
        ann.own(store).use_device(code[0], Client())


@pytest.mark.parametrize("how", ["everywhere", "administrator", "banned", "closed", "password"])
@pytest.mark.parametrize("kind", ["device", "reset"])
def test_no_session_by_a_link_outlives_the_end_of_all(open_store: Open, tables: str, how: str, kind: str) -> None:
    """It begins just before all of its account are ended."""
    store, other = open_store(), open_store()
    ann = Ann(store)
    use = lambda sql: ann.use(cast(Transactions, Within(sql)), kind)  # noqa: E731  # a value
    found = beside(store, other, tables, use, lambda: ann.end(other, how))
    assert found is None or (how == "password" and isinstance(found, Unauthenticated) and kind == "reset"), found
    assert rows(store, "session", ann.account) == (how == "password")


@pytest.mark.parametrize("how", _ENDS)
@pytest.mark.parametrize("kind", ["device", "reset"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_link_is_used_beside_what_ends_it(open_store: Open, tables: str, how: str, kind: str, number: int) -> None:
    """The use begins after a lock that the other has taken: neither waits for the other's end."""
    store, other = open_store(), open_store()
    ann = Ann(store)
    uses: list[Future[Any]] = []

    def begin() -> None:
        uses.append(pool.submit(ann.use, other, kind))
        until(lambda: uses[0].done() or waits_for_a_lock(tables), what="the use of the link, or that it waits")

    with ThreadPoolExecutor(1) as pool:
        store.write_with(lambda sql: ann.end(cast(Transactions, Within(cast(Sql, Locking(sql, number, begin)))), how))
        fault = uses[0].exception(60) if uses else None  # some take fewer locks
    assert fault is None or isinstance(fault, LinkUnknown), fault

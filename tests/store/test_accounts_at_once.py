"""Two requests about one account at once, on PostgreSQL: what either has ended stays ended, and neither deadlocks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

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
from quotechat.store.base import CreateRoom, Store
from quotechat.store.maintenance import erasing, removal
from quotechat.store.shapes import Sql

_PASSWORD = "seven brown geese 42"


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

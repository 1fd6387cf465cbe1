"""What is held for accounts is looked after by one number of the store, however many connections there are."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask
from servers import until

from quotechat.hub.accounts.credentials import Credentials, Rules, mint, principal_of
from quotechat.hub.chat import Chat
from quotechat.live.handoff import IdleConnections
from quotechat.live.peer import Peer, Subscription
from quotechat.live.reactor import Reactor
from quotechat.protocol.cursor import Cursor
from quotechat.protocol.rights.principal import Principal
from quotechat.store import members
from quotechat.store.accounts import accounts, bans, personal, sessions
from quotechat.store.accounts.accounts import Account
from quotechat.store.accounts.sessions import Session, hashed
from quotechat.store.base import Store
from quotechat.store.shapes import Sql
from quotechat.web.transports import revocation
from quotechat.web.transports.revocation import Revocation

HELD = 40
DAY = 86_400_000


class Held(Peer):
    """A connection that notes what becomes of it."""

    def __init__(self, principal: Principal) -> None:
        ours, self.far = socket.socketpair()
        ours.setblocking(False)
        super().__init__(ours, self.far.close)
        self.principal = principal
        self.is_revoked = False
        self.lost_rooms: list[str] = []

    def revoked(self) -> None:
        self.is_revoked = True
        super().revoked()

    def room_lost(self, room: str) -> None:
        self.lost_rooms.append(room)


class Counted:
    """A store that counts the rows of each read transaction."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.rows: list[int] = []

    def read_with(self, work: Callable[[Any], Any]) -> Any:
        count = [0]
        found = self.chat.read_with(lambda sql: work(CountedSql(sql, count)))
        self.rows.append(count[0])
        return found


class CountedSql:
    """A transaction that counts its rows."""

    def __init__(self, sql: Any, count: list[int]) -> None:
        self.sql, self.count = sql, count

    def one(self, statement: str, *values: Any) -> Any:
        self.count[0] += 1
        return self.sql.one(statement, *values)

    def all(self, statement: str, *values: Any) -> Iterable[Any]:
        rows = list(self.sql.all(statement, *values))
        self.count[0] += len(rows)
        return rows


class World:
    """A worker with a clock of its own."""

    def __init__(self, app: Flask) -> None:
        self.chat: Chat = app.extensions["quotechat"]
        self.now = self.chat.now()
        self.counted = Counted(self.chat)
        credentials = Credentials(self.counted, Rules(), lambda: self.now)  # type: ignore[arg-type]
        self.reactor = Reactor(self.chat)
        self.revocation = Revocation(self.reactor, credentials, IdleConnections())

    def account(self, name: str, role: str = "member") -> Account:
        return self.chat.write_with(lambda sql: accounts.make(sql, name, role, self.now))

    def held(self, account: Account, ends_at: int | None = None) -> Held:
        """A connection by a new token, or by a session that ends then."""
        if ends_at is None:
            token, _ = mint(account.id, "t", self.now)
            self.chat.write_with(lambda sql: sessions.add_token(sql, token))
            proof = token.hash
        else:
            proof = hashed(account.name)
            session = Session(proof, account.id, "Firefox", self.now, self.now, None, self.now + 400 * DAY, None, None)
            self.chat.write_with(lambda sql: sessions.start(sql, session))
        peer = Held(principal_of(account, proof, ends_at))
        self.reactor.add(peer)
        self.reactor.call(self.revocation.begin)
        return peer

    def leave(self) -> None:
        for peer in self.reactor.peers():
            self.reactor.forget(peer)

    def settled(self) -> list[int]:
        """The rows of some looks, from the time on at which nothing is in doubt."""
        at_once = 3

        def quiet() -> bool:
            return len(self.counted.rows) >= at_once and set(self.counted.rows[-at_once:]) == {1}

        self.counted.rows.clear()
        until(quiet, what="only the number is read")
        return self.counted.rows


@pytest.fixture
def world(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(revocation, "LOOK_SECONDS", 0.01)
    found = World(app)
    yield found
    found.reactor.call(found.leave)
    found.reactor.drain()


def test_a_reading_that_ends_late_puts_nothing_in_doubt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two readings of the number began before a change, and ends when all have been asked about it."""
    person, read, late, on = world.account("Azin"), world.counted.read_with, threading.Event(), threading.Event()
    peers = [world.held(person) for _ in range(HELD)]
    until(lambda: all(each.confirmed for each in peers), what="all have been asked about")
    world.settled()

    def overtaken(work: Any) -> Any:
        found = read(work)
        if isinstance(found, int) and not late.is_set():
            late.set()
            assert on.wait(60)
        return found

    monkeypatch.setattr(world.counted, "read_with", overtaken)
    assert late.wait(60)
    gone = peers[0].principal
    assert gone is not None
    world.chat.write_with(lambda sql: sql.run("DELETE FROM token WHERE hash = ?", gone.proof))
    until(lambda: peers[0].is_revoked, what="the one whose token was revoked is told")
    world.settled()
    world.counted.rows.clear()
    on.set()
    until(lambda: len(world.counted.rows) >= 10, what="some looks")
    assert max(world.counted.rows) == 1


def test_an_unchanged_server_reads_one_row_however_many_are_held(world: World) -> None:
    """Each look; all are asked about when one ends, and a new one alone when it comes."""
    person = world.account("Azin")
    peers = [world.held(person) for _ in range(HELD)]
    until(lambda: all(each.confirmed for each in peers), what="all have been asked about")
    world.settled()
    first = peers[0].principal
    assert first is not None and first.proof is not None
    token_hash = first.proof
    world.counted.rows.clear()
    world.chat.write_with(lambda sql: sql.run("DELETE FROM token WHERE hash = ?", token_hash))
    until(lambda: peers[0].is_revoked, what="the one whose token was revoked is told")
    assert max(world.counted.rows) >= HELD - 1
    world.settled()
    assert not any(each.is_revoked for each in peers[1:])
    world.counted.rows.clear()
    late = world.held(person)
    until(lambda: late.confirmed, what="a new one has been asked about")
    assert max(world.counted.rows) <= 3


def test_one_that_comes_after_the_look_is_told(world: World) -> None:
    """Its token was revoked between the request's look at it and its arrival among the held connections."""
    person = world.account("Azin")
    world.held(world.account("Boris"))
    world.settled()
    token, _ = mint(person.id, "t", world.now)
    world.chat.write_with(lambda sql: sessions.add_token(sql, token))
    world.chat.write_with(lambda sql: sessions.revoke_tokens(sql, person.id))
    world.settled()
    late = Held(principal_of(person, token.hash, None))
    world.reactor.add(late)
    until(lambda: late.is_revoked, what="told")


def test_a_number_that_goes_back_is_another_one(world: World) -> None:
    """An older copy of the store has taken over: what ends there is told before its number is the old one again."""
    world.chat.write_with(lambda sql: sql.run("UPDATE access_revision SET revision = revision + 1000"))
    peer = world.held(world.account("Azin"))
    until(lambda: peer.confirmed, what="asked about")
    world.settled()
    world.chat.write_with(lambda sql: sql.run("UPDATE access_revision SET revision = 0"))
    world.settled()
    assert not peer.is_revoked
    world.chat.write_with(lambda sql: sql.run("DELETE FROM token"))
    until(lambda: peer.is_revoked, what="told")


def test_a_session_ends_by_time_without_a_commit(world: World) -> None:
    """The number does not move then; one that was used meanwhile goes on, to its new end."""
    over, used = world.account("Azin"), world.account("Boris")
    ending, going_on = world.held(over, world.now + 30 * DAY), world.held(used, world.now + 30 * DAY)
    until(lambda: ending.confirmed and going_on.confirmed, what="both have been asked about")
    world.settled()
    world.chat.write_with(lambda sql: sessions.touch(sql, hashed("Boris"), world.now + DAY, ""))
    world.now += 30 * DAY
    until(lambda: ending.is_revoked, what="the session that was not used is over")
    # It is told after the other one.
    until(lambda: going_on.principal is None or going_on.principal.ends_at == world.now + DAY, what="the new end")
    world.settled()
    assert going_on.principal is not None and not going_on.is_revoked


def test_a_guest_loses_an_open_room_that_it_followed_lately(world: World) -> None:
    """Also one that it began to follow when the number had moved already."""
    guest = world.account("Azin", "guest")
    world.held(world.account("Boris"))
    peer = world.held(guest)
    until(lambda: peer.confirmed, what="asked about")
    world.settled()
    handle = world.chat.trusted("lobby")
    handle.principal = peer.principal
    begin = Subscription(handle, handle.follow(), Cursor(0))
    world.reactor.call(lambda: world.reactor.follow(peer, begin))
    until(lambda: peer.lost_rooms, what="told, though it never was a member")


def test_a_guest_that_comes_back_to_a_room_that_it_has_lost_is_told_again(world: World) -> None:
    """The answer came for its earlier subscription; the later one was opened before the right ended."""
    peer = world.held(world.account("Azin", "guest"))
    handle = world.chat.trusted("lobby")
    handle.principal = peer.principal
    for _ in range(2):
        begin = Subscription(handle, handle.follow(), Cursor(0))
        world.reactor.call(lambda begin=begin: world.reactor.follow(peer, begin))  # type: ignore[misc]
        until(lambda: peer.lost_rooms, what="told")
        world.reactor.call(lambda: world.reactor.unfollow(peer, "lobby"))
        world.settled()
        peer.lost_rooms.clear()


# --- The number -------------------------------------------------------------------------------------


def _number(store: Store | Chat) -> int:
    return store.read_with(sessions.access_revision)


def test_the_number_moves_with_whatever_ends_a_right(world: World) -> None:
    """In the transaction that does it, whichever statement it is; and it does not move with daily work."""
    chat, now = world.chat, world.now
    person, guest = world.account("Azin"), world.account("Boris", "guest")
    lobby = chat.read_with(lambda sql: sql.one("SELECT id FROM room WHERE name = 'lobby'"))
    assert lobby is not None

    def begin(sql: Sql) -> None:
        sessions.start(sql, Session(hashed("s"), person.id, "", now, now, None, now + DAY, None, None))
        sessions.add_token(sql, mint(person.id, "t", now)[0])
        members.add(sql, lobby[0], guest.id, "member", (0, 0), now)

    quiet: list[Callable[[Sql], object]] = [
        begin,
        lambda sql: sessions.touch(sql, hashed("s"), now, ""),
        lambda sql: personal.notify(sql, person.id, now, "signed-in", "Firefox"),
        lambda sql: accounts.change_settings(sql, person, {"presence": "off"}),
        lambda sql: members.remove(sql, lobby[0], person.id),
    ]
    ending: list[Callable[[Sql], object]] = [
        lambda sql: sessions.renew(sql, hashed("s"), hashed("s"), now),
        lambda sql: sessions.end(sql, hashed("s")),
        lambda sql: sessions.revoke_tokens(sql, person.id),
        lambda sql: members.remove(sql, lobby[0], guest.id),
        lambda sql: accounts.rename(sql, person, "Azin 2", now),
        lambda sql: accounts.set_role(sql, person, "guest", now),
        lambda sql: bans.ban(sql, person, None, now),
        lambda sql: accounts.close(sql, guest, now),
    ]
    for act in quiet:
        before = _number(chat)
        chat.write_with(act)
        assert _number(chat) == before
    for act in ending:
        before = _number(chat)
        chat.write_with(act)
        assert _number(chat) > before


def test_two_that_end_rights_do_not_wait_for_each_other(world: World, store_kind: str) -> None:
    """On PostgreSQL: the number is locked by the commit alone, so no transaction holds it while it works."""
    if store_kind != "postgres":
        pytest.skip("SQLite has one writer")
    store: Any = world.chat._store
    for name in ("Azin", "Boris"):
        world.held(world.account(name), world.now + DAY)
    with store.writing() as sql:
        sessions.end(sql, hashed("Azin"))
        sql.flush()
        store.write_with(lambda sql: sessions.end(sql, hashed("Boris")))
        before = _number(store)
    assert _number(store) == before + 1

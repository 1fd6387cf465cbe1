"""Accounts, sessions, links and attempts: the same in both stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract import T0, delete, do, edit, react, said, webhook_of

from quotechat.config import Settings
from quotechat.hub.accounts.accounts import Accounts
from quotechat.hub.accounts.bars import Bars
from quotechat.hub.accounts.bots import Bots
from quotechat.hub.accounts.clients import Client
from quotechat.hub.accounts.credentials import Rules, principal_of
from quotechat.hub.accounts.passwords import Passwords
from quotechat.hub.accounts.people import People
from quotechat.hub.webhooks.calls import Policy
from quotechat.hub.webhooks.webhooks import Webhooks
from quotechat.protocol.commands import CancelScheduled, ScheduledId
from quotechat.protocol.cursor import START, Cursor
from quotechat.protocol.errors import (
    AccountUnknown,
    Conflict,
    Forbidden,
    Invalid,
    LinkUnknown,
    RateLimited,
    Refused,
    RoomUnknown,
    TokenUnknown,
    Unauthenticated,
)  # fmt: skip
from quotechat.protocol.rights.principal import Principal
from quotechat.store import listing, members
from quotechat.store.accounts import accounts, attempts, bans, bars, closing, personal, sessions, tickets
from quotechat.store.accounts.accounts import Account
from quotechat.store.accounts.sessions import Session, Token, hashed
from quotechat.store.administration import site
from quotechat.store.base import BeginDirect, Created, CreateRoom, Deliver, Nothing, Store, Stored, Write
from quotechat.store.following import inbox
from quotechat.store.maintenance import erasing
from quotechat.store.open import open_store
from quotechat.store.programs import subscribers, webhooks
from quotechat.store.shapes import Sql
from quotechat.store.transfer import inventory

DAY = 86_400_000


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    database = "" if request.param == "sqlite" else request.getfixturevalue("new_tables")()
    store = open_store(Settings(data=tmp_path / "data", database=database))
    store.found(T0)
    yield store
    store.close()


def made(store: Store, name: str, role: str = "member", **about: Any) -> Account:
    return store.write_with(lambda sql: accounts.make(sql, name, role, T0, **about))


def session(account: Account, secret: str = "s", at: int = T0, **changed: Any) -> Session:
    return Session(hashed(secret), account.id, "Firefox", at, at, at, at + DAY, None, None)._replace(**changed)


# --- Accounts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_accounts_of_before_the_first_start_are_in_the_lobby(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """As those that are made later; guests and bots are let in."""
    database = "" if kind == "sqlite" else request.getfixturevalue("new_tables")()
    store = open_store(Settings(data=tmp_path / "data", database=database))
    roles = ("owner", "member", "guest", "bot")
    people = [made(store, f"A {role}", role) for role in roles]
    store.found(T0)
    found = store.read_with(lambda sql: {number for (number,) in sql.all("SELECT account_id FROM member")})
    assert found == {each.id for each in people[:2]}
    store.close()


def test_names_are_unique_by_what_they_look_like(store: Store) -> None:
    """An account's name is taken for all that look like it, in any case; reserved names are nobody's."""
    first = made(store, "Azin")
    assert first.identity == f"acct:{first.key}" and len(first.key) == 12
    for taken in ("Azin", "azin", "AZIN", "Аzin"):
        with pytest.raises(Conflict) as refused:
            made(store, taken)
        assert refused.value.field == "name"
    for wrong in ("", "room", "Everyone", "sуstem", "x" * 41, " a"):
        with pytest.raises(Invalid):
            made(store, wrong)
    assert [each.name for each in store.read_with(accounts.listed)] == ["Azin"]
    with pytest.raises(AccountUnknown):
        store.read_with(lambda sql: accounts.by_key(sql, "nobody"))


def test_there_is_always_an_owner(store: Store) -> None:
    """The only owner cannot be lowered, banned or closed; with a second one, it can."""
    first = made(store, "Ann", "owner")
    changes: list[Callable[[Any], None]] = [
        lambda sql: accounts.set_role(sql, first, "admin", T0),
        lambda sql: bans.ban(sql, first, None, T0),
        lambda sql: accounts.close(sql, first, T0),
    ]
    for change in changes:
        with pytest.raises(Conflict):
            store.write_with(change)
    made(store, "Bo", "owner")
    store.write_with(changes[0])
    assert store.read_with(lambda sql: accounts.by_key(sql, first.key)).role == "admin"


def test_an_owner_whose_ban_is_over_is_one(store: Store) -> None:
    """Beside it another owner may go, and then it is the only one: before the end of the ban neither holds."""
    first, other = made(store, "Ann", "owner"), made(store, "Bo", "owner")
    over = T0 + 1000
    store.write_with(lambda sql: bans.ban(sql, first, over, T0))
    first = store.read_with(lambda sql: accounts.by_key(sql, first.key))

    def ways(account: Account, at: int) -> list[Callable[[Sql], None]]:
        return [
            lambda sql: accounts.set_role(sql, account, "admin", at),
            lambda sql: bans.ban(sql, account, None, at),
            lambda sql: accounts.close(sql, account, at),
        ]

    for way in ways(other, over - 1):
        with pytest.raises(Conflict):
            store.write_with(way)
    store.write_with(ways(other, over)[0])
    for at, there in ((over - 1, False), (over, True)):
        assert store.read_with(lambda sql, at=at: accounts.has_owner(sql, at)) is there  # type: ignore[misc]
    for way in ways(first, over):
        with pytest.raises(Conflict):
            store.write_with(way)


def test_every_change_of_rights_moves_the_revision(store: Store) -> None:
    """Renaming, roles, passwords, bans and closing are seen by workers that look at the revision."""
    made(store, "Owner", "owner")
    account = made(store, "Ann")
    for change in (
        lambda sql: accounts.rename(sql, account, "Anna", T0),
        lambda sql: accounts.set_role(sql, account, "admin", T0),
        lambda sql: accounts.set_password(sql, account, "x"),
        lambda sql: bans.ban(sql, account, None, T0),
        lambda sql: bans.unban(sql, account),
        lambda sql: accounts.close(sql, account, T0),
    ):
        before = store.read_with(lambda sql: accounts.by_key(sql, account.key)).revision
        store.write_with(change)
        assert store.read_with(lambda sql: accounts.by_key(sql, account.key)).revision == before + 1


def test_a_closed_account_keeps_its_name_for_a_year(store: Store) -> None:
    """Nobody gets the name of somebody who has just left; a year later somebody does."""
    made(store, "Owner", "owner")
    account = made(store, "Ann")
    store.write_with(lambda sql: accounts.close(sql, account, T0))
    with pytest.raises(Conflict):
        made(store, "ann")
    later = T0 + accounts.KEPT_NAME_MS + 1
    assert store.write_with(lambda sql: accounts.make(sql, "ann", "member", later)).key != account.key


class Noting:
    """A store that notes the changes of rows, in order."""

    def __init__(self, store: Store) -> None:
        self.read_with = store.read_with
        self.noted: list[tuple[str, tuple[Any, ...]]] = []
        self._store = store

    def write_with(self, work: Callable[[Any], Any], *, patience: float | None = None) -> Any:
        noted = self.noted

        def inside(sql: Sql) -> Any:
            class Noted:
                one, all, alone = sql.one, sql.all, sql.alone

                def run(self, statement: str, *values: Any) -> None:
                    noted.append((statement, values))
                    sql.run(statement, *values)

            return work(Noted())

        return self._store.write_with(inside, patience=patience)


def test_closing_locks_rooms_before_accounts_and_in_one_order(store: Store) -> None:
    """Those of its bots too, as a batch of writes does: neither waits for the other while that waits for it."""
    boss, ann = made(store, "Boss", "owner"), made(store, "Ann")
    bot = made(store, "Robo", "bot", keeper=ann.id)
    for name, member in (("robots", bot), ("people", ann)):
        do(store, CreateRoom(name, kind="closed", members=(member.key,)), boss.identity)
    keys = [row[0] for row in store.read_with(lambda sql: list(sql.all("SELECT id FROM room WHERE kind = 'closed'")))]
    store.write_with(lambda sql: sessions.start(sql, session(ann)))
    noting = Noting(store)
    Accounts(noting, Passwords(), Rules(), lambda: T0).close(principal_of(ann, hashed("s"), None))
    first = next(place for place, (statement, _) in enumerate(noting.noted) if "UPDATE account" in statement)
    held = [values[0] for statement, values in noting.noted[:first] if "room SET floor = floor WHERE id" in statement]
    assert held == sorted(keys)


def test_a_name_that_a_visitor_holds_is_that_visitors(store: Store) -> None:
    """Who took a name in a room lately is the only one who gets it for an account."""
    do(store, said("Ann", "hi"), who="ab" * 16)
    with pytest.raises(Conflict):
        made(store, "Ann", held=(None, T0 - DAY))
    with pytest.raises(Conflict):
        made(store, "Ann", held=("cd" * 16, T0 - DAY))
    assert made(store, "Ann", held=("ab" * 16, T0 - DAY)).name == "Ann"


# --- What accounts send -----------------------------------------------------------------------------


def test_an_account_writes_under_its_name_and_is_named(store: Store) -> None:
    """A message of an account has its id in `by`; under another name it is refused; a repeat knows the account."""
    account = made(store, "Ann")
    first = do(store, said("Ann", "hi", key="k"), who=account.identity)
    assert first.event.envelope["message"]["by"] == account.key
    with pytest.raises(Forbidden):
        do(store, said("Bo", "hi"), who=account.identity)
    store.write_with(lambda sql: accounts.rename(sql, account, "Anna", T0))
    with pytest.raises(Forbidden):
        do(store, said("Ann", "again"), who=account.identity)
    # The sender of a client_id is the account, whatever its name is.
    with pytest.raises(Refused) as reused:
        do(store, said("Anna", "other", key="k"), who=account.identity)
    assert reused.value.code == "client-id-reused"
    assert "by" not in do(store, said("Bo", "guest"), who="ab" * 16).event.envelope["message"]


def test_a_user_of_the_host_repeats_itself_under_another_name(store: Store) -> None:
    """Its id is the sender of a client_id, of a scheduled message too; what earlier versions stored is still found."""
    who = "host:7"
    first, waiting = (do(store, said("Ada", key=key, send_at=at), who) for key, at in (("k", None), ("later", "+1h")))
    for name in ("Ada", "Ada Lovelace"):
        again, still = (do(store, said(name, key=key, send_at=at), who) for key, at in (("k", None), ("later", "+1h")))
        assert (again.duplicate, again.seq, still.duplicate) == (True, first.seq, True)
        assert still.scheduled["id"] == waiting.scheduled["id"]
    with pytest.raises(Refused) as reused:
        do(store, said("Ada Lovelace", "other", key="k"), who)
    assert reused.value.code == "client-id-reused"
    assert not do(store, said("Bo", key="k"), "host:8").duplicate
    do(store, Deliver(waiting.scheduled["id"]), at=T0 + 3_600_000)
    assert do(store, said("Lady Ada", key="later", send_at="+1h"), who).seq
    # Under its name, as earlier versions stored it.
    before = do(store, said("Eve", key="old"), None)
    assert do(store, said("Eve", key="old"), "host:9").seq == before.seq
    assert do(store, said("Eve", "other", key="old"), "host:9").seq > before.seq


def test_members_are_in_one_order_on_every_database(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """By name, character by character, also if the database sorts by the rules of a language."""
    server = request.getfixturevalue("postgres_server")
    server.sql("CREATE DATABASE in_english TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
    store = open_store(Settings(data=tmp_path / "data", database=server.database("in_english")))
    try:
        store.found(T0)
        people = [made(store, name) for name in ("ann", "Zoe", "bo", "Cy")]
        others = tuple(each.key for each in people[1:])
        writes = [Write(CreateRoom("staff", None, "closed", others), T0, people[0].identity),
                  Write(BeginDirect(others), T0, people[0].identity)]  # fmt: skip
        closed, direct = (outcome.room["name"] for outcome in store.commit(writes) if isinstance(outcome, Created))

        def read(sql: Any) -> tuple[list[str], list[list[str]]]:
            room = members.membership(sql, closed, None)
            assert room is not None
            reader = Principal(people[0].identity, people[0].id, people[0].key, role="member")
            listed = next(each for each in listing.visible(sql, reader) if each["name"] == direct)["with"]
            followed = next(iter(inbox.people_of(sql, people[0].id).values()))
            names = [each.name for each in members.listed(sql, room.room_id)]
            return names, [[each["name"] for each in listed], [name for _, name in followed]]

        assert store.read_with(read) == (["Cy", "Zoe", "ann", "bo"], [["Cy", "Zoe", "bo"]] * 2)
    finally:
        store.close()
        server.drop("in_english")


@pytest.mark.parametrize("who", [None, "ab" * 16])
def test_nobody_else_writes_under_the_name_of_an_account(store: Store, who: str | None) -> None:
    """Nor under one that looks like it."""
    made(store, "Ann")
    for name in ("Ann", "ANN", "Аnn"):
        with pytest.raises(Conflict) as refused:
            do(store, said(name, "it is me"), who=who)
        assert refused.value.field == "user"


def test_nothing_of_a_banned_account_is_stored(store: Store) -> None:
    """Not even a repeat is answered; a ban that is over counts no more."""
    account = made(store, "Ann")
    do(store, said("Ann", "hi", key="k"), who=account.identity)
    waits = do(store, said("Ann", "later", send_at="+1s"), who=account.identity).scheduled["id"]
    store.write_with(lambda sql: bans.ban(sql, account, T0 + 1000, T0))
    for command in (said("Ann", "hi", key="k"), said("Ann", "no"), edit(1, "no"), delete(1)):
        with pytest.raises(Unauthenticated):
            do(store, command, who=account.identity)
    assert isinstance(store.commit([Write(Deliver(waits), T0 + 999)])[0], Nothing)
    assert do(store, said("Ann", "back"), who=account.identity, at=T0 + 1000).seq == 2


def test_a_session_that_has_ended_writes_nothing(store: Store) -> None:
    """What was queued under a session or token that ended meanwhile is refused in the transaction."""
    account = made(store, "Ann")
    store.write_with(lambda sql: sessions.start(sql, session(account)))
    token = Token("abcdefgh", hashed("t"), account.id, "laptop", "read write", None, T0, None, None)
    store.write_with(lambda sql: sessions.add_token(sql, token))

    def write(proof: bytes, at: int = T0) -> Any:
        return store.commit([Write(said("Ann", "hi"), at, account.identity, proof)])[0]

    assert isinstance(write(hashed("s")), Stored) and isinstance(write(hashed("t")), Stored)
    assert isinstance(write(hashed("s"), T0 + DAY), Unauthenticated)
    store.write_with(lambda sql: sessions.end(sql, hashed("s")))
    store.write_with(lambda sql: sessions.revoke_token(sql, account.id, "abcdefgh"))
    assert isinstance(write(hashed("s")), Unauthenticated) and isinstance(write(hashed("t")), Unauthenticated)
    assert store.read("lobby", START, 9).cursor.startswith("2.")


@pytest.mark.parametrize("end", ["session", "ban", "role"])
def test_nobody_acts_by_a_right_that_has_ended(store: Store, end: str) -> None:
    """An administrator whose session, account or role ended while the request waited changes and makes nothing."""
    people, bots, bars = People(store, lambda: T0), Bots(store, lambda: T0), Bars(store, lambda: T0)
    own = Accounts(store, Passwords(), Rules(), lambda: T0)
    boss, other = (
        store.write_with(lambda sql, name=name, role=role: accounts.make(sql, name, role, T0))  # type: ignore[misc]
        for name, role in (("Boss", "admin"), ("Other", "member"))
    )
    session = Session(hashed("s"), boss.id, "Firefox", T0, T0, T0, T0 + 9_999, None, None)
    store.write_with(lambda sql: sessions.start(sql, session))
    by = principal_of(boss, session.hash, session.ends_at)
    acts: list[Callable[[], object]] = [
        lambda: people.reset_link(by, other.key),
        lambda: people.rename(by, other.key, "Oth"),
        lambda: people.ban(by, other.key, None),
        lambda: people.change_site(by, {"title": "Mine"}),
        lambda: people.make(by, "New", "admin"),
        lambda: people.invite(by),
        lambda: bots.make(by, "Bot"),
        lambda: bars.put(by, "8.8.8.8", None, None),
        lambda: bars.lift(by, "8.8.8.8"),
    ]
    lasting: list[Callable[[], object]] = [
        lambda: people.revoke_invitation(by, "abcdefgh"),
        lambda: own.change(by, "Chief", {}, None),
        lambda: own.claim(by, "visitor"),
    ]
    if end == "session":
        people.sign_out(None, boss.key)
    elif end == "ban":
        people.ban(None, boss.key, None)
    else:
        people.set_role(None, boss.key, "member")
    for act in acts if end == "role" else acts + lasting:
        with pytest.raises(Forbidden if end == "role" else Unauthenticated):
            act()
    assert store.read_with(lambda sql: accounts.by_key(sql, other.key)) == other
    people.ban(None, other.key, None)  # the operator may


@pytest.mark.parametrize("end", ["banned", "closed"])
def test_nobody_joins_by_an_invitation_of_one_that_has_ended(store: Store, end: str) -> None:
    """Whatever kept the link: a store of an older version may have one."""
    own, ann = Accounts(store, Passwords(), Rules(limits=False), lambda: T0), made(store, "Ann")
    if end == "banned":
        store.write_with(lambda sql: bans.ban(sql, ann, T0 + 9, T0))
    else:
        store.write_with(lambda sql: closing.close(sql, ann, T0))
    _, code = store.write_with(lambda sql: tickets.make(sql, "join", T0, 9_000, role="member", made_by=ann.id))
    with pytest.raises(LinkUnknown):
        own.join(code, "Cy", "seven brown geese 42", Client())
    assert store.read_with(lambda sql: accounts.by_name(sql, "Cy")) is None


def test_what_is_scheduled_is_sent_under_the_name_of_then(store: Store) -> None:
    """Somebody who was renamed meanwhile does not write under a name that is another's by now."""
    account = made(store, "Ann")
    waits = do(store, said("Ann", "later", key="k", send_at="+1s"), who=account.identity).scheduled["id"]
    store.write_with(lambda sql: accounts.rename(sql, account, "Anna", T0))
    sent = do(store, Deliver(waits), None, T0 + 1000)
    assert sent.event.envelope["message"]["user"] == "Anna"
    again = do(store, said("Anna", "later", key="k", send_at="+1s"), who=account.identity)
    assert again.duplicate and again.seq == sent.seq


def test_claimed_messages_are_ones_own(store: Store) -> None:
    """What a visitor wrote belongs to the account that claims it, once; nothing is rewritten."""
    visitor = "ab" * 16
    do(store, said("Azin", "as a visitor"), who=visitor)
    account, other = made(store, "Ann"), made(store, "Bo")
    with pytest.raises(Forbidden):
        do(store, edit(1, "mine"), who=account.identity)
    store.write_with(lambda sql: accounts.claim(sql, account, visitor))
    assert store.read_with(lambda sql: accounts.written_by(sql, visitor)) == 1
    with pytest.raises(Conflict):
        store.write_with(lambda sql: accounts.claim(sql, other, visitor))
    assert store.snapshot("lobby", 9, account.identity)["mine"]["messages"] == [1]
    do(store, edit(1, "mine"), who=account.identity)
    do(store, delete(1), who=account.identity)
    assert do(store, delete(1), who=account.identity).duplicate


def test_claimed_reactions_are_ones_own(store: Store) -> None:
    """They are shown as its own, count once, and the account takes them back; others keep theirs."""
    visitor, other = "ab" * 16, "cd" * 16
    do(store, said("Bo", "hi"))
    for who in (visitor, other):
        do(store, react(1, "like"), who=who)
        do(store, react(1, "🎉"), who=who)
    account = made(store, "Ann")
    store.write_with(lambda sql: accounts.claim(sql, account, visitor))
    own = {"reactions": {"1": "like"}, "emoji": {"1": ["🎉"]}}
    assert store.snapshot("lobby", 9, account.identity)["mine"] == own
    for again in ("like", "🎉"):
        assert do(store, react(1, again), who=account.identity).duplicate
    assert do(store, react(1, "dislike"), who=account.identity).event.envelope["message"]["dislikes"] == 1
    do(store, react(1, "none"), who=account.identity)
    left = do(store, react(1, "🎉", on=False), who=account.identity).event.envelope["message"]
    assert left == {"id": 1, "likes": 1, "dislikes": 0, "reactions": {"🎉": 1}}
    assert "mine" not in store.snapshot("lobby", 9, account.identity)
    assert store.snapshot("lobby", 9, other)["mine"] == own


def test_claimed_messages_that_wait_are_ones_own(store: Store) -> None:
    """The account sees and cancels what it scheduled as a visitor, and it is sent under its name; or ends with it."""
    visitor = "ab" * 16
    waits = [do(store, said("Azin", text, send_at="+1s"), who=visitor).scheduled["id"] for text in "abc"]
    account, other = made(store, "Azin"), made(store, "Bo")
    store.write_with(lambda sql: accounts.claim(sql, account, visitor))
    assert [each["id"] for each in store.scheduled("lobby", account.identity)] == waits
    cancel = CancelScheduled(scheduled=ScheduledId(waits[0]))
    with pytest.raises(Forbidden):
        do(store, cancel, who=other.identity)
    do(store, cancel, who=account.identity)
    message = do(store, Deliver(waits[1]), None, T0 + 1000).event.envelope["message"]
    assert (message["user"], message["by"], message["message"]) == ("Azin", account.key, "b")
    store.write_with(lambda sql: closing.close(sql, account, T0 + 1000))
    assert isinstance(store.commit([Write(Deliver(waits[2]), T0 + 1000)])[0], Nothing)


def test_a_claimed_visitor_does_not_speak_for_the_account(store: Store) -> None:
    """Its cookie may be in other hands by now: what it schedules after the claim is its own, under its own name."""
    visitor = "ab" * 16
    first = do(store, said("Gil", "mine", key="k", send_at="+1s"), who=visitor).scheduled["id"]
    account = made(store, "Azin")
    store.write_with(lambda sql: accounts.claim(sql, account, visitor))
    second = do(store, said("Gil", "not hers", send_at="+1s"), who=visitor).scheduled["id"]
    by = [do(store, Deliver(each), None, T0 + 1000).event.envelope["message"] for each in (first, second)]
    assert [(each["user"], each.get("by")) for each in by] == [("Azin", account.key), ("Gil", None)]
    assert do(store, said("Gil", "mine", key="k", send_at="+1s"), who=visitor).seq == 1


def test_a_barred_visitor_sends_nothing_that_it_has_scheduled(store: Store) -> None:
    """The bar is looked at again when the message is due; it goes back to its sender."""
    visitor = "ab" * 16
    waits = do(store, said("Azin", "later", send_at="+1s"), who=visitor).scheduled["id"]
    store.write_with(lambda sql: bars.put(sql, bars.Bar(bars.key_of(visitor), T0 + DAY, 0, None)))
    assert isinstance(store.commit([Write(Deliver(waits), T0 + 1000)])[0], Nothing)
    assert [each["code"] for each in store.scheduled("lobby", visitor)] == ["forbidden"]


# --- Sessions and tokens ----------------------------------------------------------------------------


def test_sessions_are_found_by_their_hash_and_bounded(store: Store) -> None:
    """With its account; of more than 50 the one used longest ago ends."""
    account = made(store, "Ann")
    for number in range(sessions.MOST + 1):
        store.write_with(lambda sql, n=number: sessions.start(sql, session(account, f"s{n}", T0 + n)))
    assert store.read_with(lambda sql: sessions.find(sql, hashed("s0"))) is None
    found = store.read_with(lambda sql: sessions.find(sql, hashed("s1")))
    assert found is not None and found[0].at == T0 + 1 and found[1] == account
    store.write_with(lambda sql: sessions.end_all(sql, account.id, hashed("s9")))
    assert [each.hash for each in store.read_with(lambda sql: sessions.of_account(sql, account.id))] == [hashed("s9")]


def test_what_is_held_is_looked_up_at_once(store: Store) -> None:
    """One question for all accounts that are connected, one for all sessions and tokens."""
    ann, bo = made(store, "Ann"), made(store, "Bo")
    store.write_with(lambda sql: sessions.start(sql, session(ann)))
    token = Token("abcdefgh", hashed("t"), bo.id, "laptop", "read", None, T0, None, T0 + 5)
    store.write_with(lambda sql: sessions.add_token(sql, token))
    store.write_with(lambda sql: bans.ban(sql, bo, None, T0))
    standing = store.read_with(lambda sql: sessions.standings(sql, [ann.id, bo.id, 77]))
    assert {key: each.state for key, each in standing.items()} == {ann.id: "active", bo.id: "banned"}
    proofs = [hashed("s"), hashed("t"), hashed("none")]
    assert store.read_with(lambda sql: sessions.living(sql, proofs, T0, DAY)) == {
        hashed("s"): T0 + DAY, hashed("t"): T0 + 5,
    }  # fmt: skip
    assert store.read_with(lambda sql: sessions.living(sql, proofs, T0 + 5, DAY)) == {hashed("s"): T0 + DAY}
    assert store.read_with(lambda sql: sessions.living(sql, proofs, T0 + 5, 5)) == {}


def test_tokens_are_revoked_by_their_account_alone(store: Store) -> None:
    """Another account's token is unknown to it."""
    ann, bo = made(store, "Ann"), made(store, "Bo")
    token = Token("abcdefgh", hashed("t"), ann.id, "laptop", "read", None, T0, None, None)
    store.write_with(lambda sql: sessions.add_token(sql, token))
    with pytest.raises(TokenUnknown):
        store.write_with(lambda sql: sessions.revoke_token(sql, bo.id, "abcdefgh"))
    assert store.read_with(lambda sql: sessions.tokens_of(sql, ann.id)) == [token]
    store.write_with(lambda sql: sessions.revoke_token(sql, ann.id, "abcdefgh"))
    assert store.read_with(lambda sql: sessions.find_token(sql, "abcdefgh")) is None


# --- Links ------------------------------------------------------------------------------------------


def test_a_link_is_used_as_often_as_it_says(store: Store) -> None:
    """Wrong, used up, ended, revoked, of another kind: one answer for all."""
    ticket, code = store.write_with(lambda sql: tickets.make(sql, "join", T0, DAY, uses=2, role="member"))
    assert code.replace("-", "").encode() not in ticket.hash and len(code) == 39

    def use(text: str = code, kind: str = "join", at: int = T0) -> Any:
        return store.write_with(lambda sql: tickets.use(sql, kind, text, at))

    for wrong in (("x",), ("a" * 32,), (code, "setup"), (code, "join", T0 + DAY)):
        with pytest.raises(LinkUnknown):
            use(*wrong)
    # As people copy it: capitals, blanks, no hyphens.
    assert use(f" {code.upper().replace('-', ' ')}\n").used == 1
    assert use().used == 2
    with pytest.raises(LinkUnknown):
        use()
    again, _ = store.write_with(lambda sql: tickets.make(sql, "join", T0, DAY, made_by=7))
    with pytest.raises(LinkUnknown):
        store.write_with(lambda sql: tickets.revoke(sql, again.id, 8))
    store.write_with(lambda sql: tickets.revoke(sql, again.id, 7))
    assert store.read_with(lambda sql: tickets.listed(sql, "join", T0)) == []


def test_a_refusal_gives_the_link_back(store: Store) -> None:
    """Who fails to join, since the name is taken, has not used the link up."""
    made(store, "Ann")
    _, code = store.write_with(lambda sql: tickets.make(sql, "join", T0, DAY))

    def join(sql: Any) -> None:
        tickets.use(sql, "join", code, T0)
        accounts.make(sql, "Ann", "member", T0)

    with pytest.raises(Conflict):
        store.write_with(join)
    assert store.write_with(lambda sql: tickets.use(sql, "join", code, T0)).used == 1


# --- Attempts ---------------------------------------------------------------------------------------


def test_a_bucket_gives_some_at_once_and_then_one_in_a_while(store: Store) -> None:
    """Ten at once, then one every 20 s; a refusal takes nothing."""
    of = attempts.key("address", "192.0.2.1")

    def take(at: int) -> int:
        return store.write_with(lambda sql: attempts.take(sql, of, at, at_once=10, every_ms=20_000))

    assert [take(T0) for _ in range(10)] == [0] * 10
    assert take(T0) == take(T0) == 20_000
    assert take(T0 + 19_999) == 1 and take(T0 + 20_000) == 0 and take(T0 + 20_000) == 20_000
    assert [take(T0 + 10 * DAY) for _ in range(11)].count(0) == 10


def test_a_name_waits_longer_and_longer(store: Store) -> None:
    """Five tries are free, then 1, 2, 4 … 60 s; a success clears it, a day without tries too."""
    of = attempts.key("name", "ann")

    def begin(at: int) -> int:
        return store.write_with(lambda sql: attempts.begin(sql, of, at))

    now = T0
    assert [begin(now) for _ in range(5)] == [0] * 5
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        assert begin(now) == seconds * 1000
        now += seconds * 1000
        assert begin(now) == 0
    store.write_with(lambda sql: attempts.clear(sql, of))
    assert [begin(now) for _ in range(5)] == [0] * 5 and begin(now) == 1000
    assert begin(now + 2 * DAY) == 0 and begin(now + 2 * DAY) == 0


def test_a_try_that_is_taken_back_leaves_the_failures_before_it(store: Store) -> None:
    """A try at which no password was looked at counts neither for nor against: the next failure waits as long."""
    of = attempts.key("name", "ann")

    def begin(at: int) -> int:
        return store.write_with(lambda sql: attempts.begin(sql, of, at))

    assert [begin(T0) for _ in range(5)] == [0] * 5 and begin(T0) == 1000
    for _ in range(3):
        assert begin(T0 + 1000) == 0
        store.write_with(lambda sql: attempts.forgive(sql, of, T0 + 1000))
    assert begin(T0 + 1000) == 0 and begin(T0 + 1000) == 2000


def test_a_clock_that_is_set_back_locks_nobody_out(store: Store) -> None:
    """Tries of a time that is yet to come count no more: neither for a bucket nor for a name, nor for a new name."""
    address, name = attempts.key("address", "192.0.2.1"), attempts.key("name", "ann")
    own, ann = Accounts(store, Passwords(), Rules(), lambda: T0), made(store, "Ann")

    def work(sql: Sql, at: int) -> tuple[int, int]:
        return attempts.take(sql, address, at, at_once=2, every_ms=20_000), attempts.begin(sql, name, at)

    for _ in range(6):
        store.write_with(lambda sql: work(sql, T0 + DAY))
    assert store.write_with(lambda sql: work(sql, T0 + DAY)) == (20_000, 1000)
    assert store.write_with(lambda sql: work(sql, T0)) == (0, 0)
    store.write_with(lambda sql: accounts.rename(sql, ann, "Anna", T0 + DAY))
    assert own.change_name(principal_of(ann, None, None), "Annie", None).name == "Annie"
    with pytest.raises(RateLimited):
        own.change_name(principal_of(ann, None, None), "Anni", None)


def test_a_lease_from_before_the_clock_was_set_back_is_none(store: Store) -> None:
    """Its worker may have ended: others go on at once, not an hour later."""
    ann, bot = made(store, "Ann"), made(store, "Robo", "bot")
    do(store, said("Ann", "hi"), ann.identity)

    number = webhook_of(store, bot)

    def lease(worker: str) -> bool:
        due = store.read_with(lambda sql: webhooks.due(sql, T0, worker, 9))
        got = store.write_with(lambda sql: webhooks.lease(sql, number, worker, T0, 30_000))
        assert got == bool(due)
        return got

    def set_back(ms: int) -> None:
        store.write_with(lambda sql: sql.run("UPDATE subscriber SET lease_until = lease_until + ?", ms))

    assert lease("a") and not lease("b")
    set_back(20_000)
    assert not lease("b")
    set_back(3_600_000)
    assert lease("b") and not lease("a")
    store.write_with(lambda sql: erasing.begin(sql, ann, T0, nameless=False))
    taken = [store.write_with(lambda sql, at=at: erasing.take(sql, at)) for at in (T0, T0 - 10_000, T0 - 3_600_000)]
    assert [each is not None for each in taken] == [True, False, True]


@pytest.mark.parametrize("reached", [None, ("lobby", 7)])
def test_an_erasure_that_begins_anew_is_done_from_its_beginning(
    store: Store, reached: tuple[str, int] | None
) -> None:
    """A ban deletes the messages; closed meanwhile, the account loses its name too, also in what is deleted already."""
    ann = made(store, "Ann")
    store.write_with(lambda sql: erasing.begin(sql, ann, T0, nameless=False))
    first = store.write_with(lambda sql: erasing.take(sql, T0))
    store.write_with(lambda sql: erasing.begin(sql, ann, T0, nameless=True))
    assert first is not None
    store.write_with(lambda sql: erasing.note(sql, first, reached))
    then = store.write_with(lambda sql: erasing.take(sql, T0 + 1))
    assert then == first._replace(at=T0 + 1, nameless=True)
    store.write_with(lambda sql: erasing.note(sql, then, ("lobby", 3)))
    assert store.write_with(lambda sql: erasing.take(sql, T0 + 2)) == then._replace(room="lobby", message_id=3)


def test_a_replay_of_a_room_that_is_left_meanwhile_is_refused(store: Store) -> None:
    """Between the look at the webhook and its change: nothing would be sent again, so nothing says that it is."""
    bot = store.write_with(lambda sql: accounts.make(sql, "Robo", "bot", T0))
    number = webhook_of(store, bot)
    webhook = store.read_with(lambda sql: webhooks.by_id(sql, number))
    assert webhook is not None

    def leave(sql: Sql) -> None:
        subscribers.leave(sql, webhook.subscriber, subscribers.positions(sql, webhook.subscriber))

    def placed(*_: Any) -> Cursor:
        store.write_with(leave)
        return START

    ours = Webhooks(store, placed, Policy("members"), lambda: T0)
    with pytest.raises(RoomUnknown) as refused:
        ours.replay(None, webhook.key, "lobby", START)
    assert refused.value.room == "lobby"
    assert ours.one(None, webhook.key).positions == {}


def test_a_webhook_has_nothing_of_one_that_was_removed(store: Store) -> None:
    """A call may end after its webhook was removed: it leaves no row, and no other webhook ever has that number."""
    bot = made(store, "Robo", "bot")

    def make(sql: Sql) -> webhooks.Webhook:
        return webhooks.make(sql, "deploy", bot.id, "https://example.org", "whsec_", T0, made_by=None,
                             all_rooms=False, commands=["message-sent"], mentions=False)  # fmt: skip

    def note(webhook: webhooks.Webhook) -> None:
        store.write_with(lambda sql: webhooks.note(sql, webhook.id, [webhooks.Try(T0, 0, 0, 200, 1)]))

    gone = store.write_with(make)
    note(gone)
    store.write_with(lambda sql: subscribers.remove(sql, gone.subscriber))
    note(gone)
    assert store.read_with(lambda sql: sql.one("SELECT count(*) FROM delivery")) == (0,)
    anew = store.write_with(make)
    note(gone)
    assert anew.id > gone.id and store.read_with(lambda sql: webhooks.tries(sql, anew.id)) == []


def test_notices_go_after_thirty_days(store: Store) -> None:
    """However long client_ids are remembered; a reader of the inbox learns of it by its cursor."""
    ann = made(store, "Ann")
    for at in (T0, T0 + DAY):
        store.write_with(lambda sql, at=at: personal.notify(sql, ann.id, at, "signed-in", "A program"))

    def inbox_now() -> tuple[str, int]:
        state = store.read_with(lambda sql: inbox.read(sql, ann.id))
        return state.cursor, len(state.notices)

    cursor, count = inbox_now()
    store.prune(T0 + 30 * DAY, T0 + 30 * DAY)
    assert count == 2 and inbox_now() == (cursor, 2)
    store.prune(0, T0 + 30 * DAY + 1)
    assert inbox_now()[1] == 1 and inbox_now()[0] != cursor


def test_tries_in_another_order_are_no_more(store: Store) -> None:
    """Of those at once, the one that came first may be counted last: it finds no bucket that is full again."""
    address = attempts.key("address", "192.0.2.1")

    def take(at: int) -> int:
        return store.write_with(lambda sql: attempts.take(sql, address, at, at_once=2, every_ms=20_000))

    assert [take(T0 + 5), take(T0 + 5), take(T0)] == [0, 0, 20_005]


def test_the_site_has_defaults(store: Store) -> None:
    """What was never set is as the contract says."""
    assert store.read_with(site.all_of)["rooms_by"] == "all"
    store.write_with(lambda sql: site.change(sql, {"title": "Class 7b", "rooms_by": "admins"}))
    found = store.read_with(site.all_of)
    assert (found["title"], found["rooms_by"], found["directs"]) == ("Class 7b", "admins", "all")
    for wrong in ({"rooms_by": "none"}, {"title": ""}, {"contact": "javascript:1"}):
        with pytest.raises(Invalid):
            site.clean(wrong)


def test_what_has_ended_is_forgotten_after_a_while(store: Store) -> None:
    """Pruning takes sessions, links and counts that ended before, and leaves the rest."""
    account = made(store, "Ann")
    store.write_with(lambda sql: sessions.start(sql, session(account, "old")))
    store.write_with(lambda sql: sessions.start(sql, session(account, "new", T0 + DAY)))
    store.prune(T0 + DAY + 1, T0 + DAY + 1)
    assert [each.hash for each in store.read_with(lambda sql: sessions.of_account(sql, account.id))] == [hashed("new")]


def test_what_there_is_of_accounts_is_counted(store: Store) -> None:
    """`stats` counts accounts that are not closed, and the sessions and tokens that are valid now."""
    azin, bo = made(store, "Azin", "owner"), made(store, "Bo")
    store.write_with(lambda sql: accounts.close(sql, accounts.make(sql, "Cy", "member", T0), T0))
    store.write_with(lambda sql: bans.ban(sql, bo, None, T0))

    def fill(sql: Any) -> None:
        sessions.start(sql, session(azin, "valid"))
        sessions.start(sql, session(azin, "idle", used_at=T0 - DAY, ends_at=T0 + DAY))
        sessions.start(sql, session(azin, "ended", ends_at=T0))
        for number, ends_at in enumerate((None, T0 + 1, T0)):
            hashes = hashed(f"t{number}")
            sessions.add_token(sql, Token(f"t{number}", hashes, azin.id, "bot", "read", None, T0, None, ends_at))

    store.write_with(fill)
    found = store.read_with(lambda sql: inventory.signed_in(sql, T0, DAY))
    assert (found["accounts"], found["sessions"], found["tokens"]) == (2, 1, 2)

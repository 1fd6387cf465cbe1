"""What every store knows of rooms and their members; each backend's tests inherit these."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from contract import T0, Open, delete, do, edit, react, said
from msgspec.structs import replace
from reading_rights import Recording

from quotechat.protocol import commands
from quotechat.protocol.cursor import START
from quotechat.protocol.errors import (
    AccountUnknown,
    Conflict,
    Forbidden,
    Invalid,
    RateLimited,
    RoomUnknown,
    ScheduledUnknown,
)  # fmt: skip
from quotechat.protocol.rights.principal import VISITOR, Principal
from quotechat.store import listing, members, reading
from quotechat.store.accounts import accounts, closing
from quotechat.store.base import Accepted, BeginDirect, CreateRoom, Deliver, Nothing, Store, Stored, Write
from quotechat.store.ledger import Ledger
from quotechat.store.rules import Settings, apply_all


def counts(store: Store, room: str = "lobby") -> tuple[int, ...]:
    """`last`, `messages`, `floor_messages`, `news` of a room."""
    found = store.read_with(
        lambda sql: sql.one("SELECT last, messages, floor_messages, news FROM room WHERE name = ?", room)
    )
    assert found is not None
    return tuple(found)


class BelongingContract:
    """Subclasses give the fixture `open_store`, as for `StoreContract`."""

    @pytest.fixture
    def store(self, open_store: Open) -> Store:
        return open_store()

    def test_a_room_counts_its_messages(self, store: Store) -> None:
        """A deletion takes none away, and the newest one that is deleted gives its place to the one before."""
        for text in "abc":
            do(store, said(text=text))
        assert counts(store) == (3, 3, 0, 3)
        do(store, delete(2))
        assert counts(store) == (3, 3, 0, 4)
        do(store, delete(3))
        assert counts(store) == (1, 3, 0, 5)
        do(store, delete(1))
        assert counts(store) == (0, 3, 0, 6)
        do(store, said(text="d"))
        assert counts(store) == (7, 4, 0, 7)
        numbers = store.read_with(lambda sql: [tuple(row) for row in sql.all("SELECT id, n FROM message ORDER BY id")])
        assert numbers == [(1, 1), (2, 2), (3, 3), (7, 4)]

    def test_counts_survive_a_cut_and_a_rebuild(self, store: Store) -> None:
        """What is kept no longer is counted still; the log alone gives the same counts."""
        for number in range(5):
            do(store, said(text=f"{number}"), at=T0 + number)
        do(store, delete(1), at=T0 + 9)
        assert store.cut("lobby", T0 + 3, 100) == 3
        assert counts(store) == (5, 5, 3, 6)
        store.rebuild(lambda done, of: None)  # type: ignore[attr-defined]  # a command's, not the hub's
        assert counts(store) == (5, 5, 3, 6)
        assert store.cut("lobby", T0 + 99, 100) == 3
        assert counts(store) == (0, 5, 5, 6)
        do(store, said(text="new"), at=T0 + 100)
        assert counts(store) == (7, 6, 5, 7)

    def test_room_and_membership_are_one_question(self, store: Store) -> None:
        """It tells kind and role; an account that is no member, and a visitor, have no role."""
        do(store, CreateRoom("tea"))

        def join(sql: members.Sql) -> tuple[int, int]:
            ann, bea = (accounts.make(sql, name, "member", T0).id for name in ("Ann", "Bea"))
            tea = members.membership(sql, "tea", ann)
            assert tea is not None and tea.role is None
            members.add(sql, tea.room_id, ann, "manager", (0, 0), T0)
            return ann, bea

        ann, bea = store.write_with(join)
        found = store.read_with(lambda sql: [members.membership(sql, "tea", who) for who in (ann, bea, None)])
        assert [each and (each.kind, each.role) for each in found] == [
            ("open", "manager"), ("open", None), ("open", None),
        ]  # fmt: skip
        assert store.read_with(lambda sql: members.membership(sql, "none", ann)) is None


# --- Rules ------------------------------------------------------------------------------------------


def account(store: Store, name: str, role: str = "member") -> accounts.Account:
    return store.write_with(lambda sql: accounts.make(sql, name, role, T0))


def room_of(store: Store, who: accounts.Account, name: str = "staff", *others: accounts.Account) -> str:
    """A closed room; `who` is its manager."""
    command = CreateRoom(name, None, "closed", tuple(each.key for each in others))
    return str(do(store, command, who.identity).room["name"])


def add(room: str, who: accounts.Account, **more: Any) -> Any:
    return commands.AddMember(member=commands.NewMember(id=who.key, **more), room=room)


def put_out(room: str, who: accounts.Account) -> Any:
    return commands.RemoveMember(member=commands.MemberId(who.key), room=room)


def cancel(room: str, number: int, key: str | None = None) -> Any:
    return commands.CancelScheduled(scheduled=commands.ScheduledId(number), room=room, client_id=key)


def settings(room: str, **about: Any) -> Any:
    return commands.SetRoom(about=commands.AboutChange(**about), room=room)


def log(store: Store, room: str) -> list[dict[str, Any]]:
    return [event.envelope for event in store.read(room, START, 500).events]


class Writing(Recording):
    """A transaction, and the statements that wrote in it: each writes one row."""

    def __init__(self, sql: Any) -> None:
        super().__init__(sql)
        self.written: list[str] = []

    def run(self, statement: str, *values: Any) -> None:
        self.written.append(statement)
        self._sql.run(statement, *values)


class RulesOfRoomsContract:
    """Rights, membership and kinds; subclasses give the fixture `open_store`."""

    @pytest.fixture
    def store(self, open_store: Open) -> Store:
        return open_store()

    @pytest.fixture
    def people(self, store: Store) -> list[accounts.Account]:
        """An owner, and three members."""
        return [account(store, "Ann", "owner"), *(account(store, name) for name in ("Bea", "Cai", "Dee"))]

    def test_a_message_writes_no_row_for_a_member(self, store: Store, people: list[accounts.Account]) -> None:
        """With forty members it runs the statements that it runs with two, also if it calls all of them by `@room`."""
        ann, bea, *_ = people
        few = room_of(store, ann, "few", bea)
        many = room_of(store, ann, "many", *[account(store, f"Member {number}") for number in range(40)])
        for text in ("hello", "hello @room"):
            ran = []
            for room in (few, many):
                with store.writing() as sql:  # type: ignore[attr-defined]  # a command's, not the hub's
                    recording = Writing(sql)
                    ledger = Ledger(recording)
                    write = Write(said("Ann", text, room=room).normalised(commands.Bounds()), T0, ann.identity)
                    assert isinstance(apply_all(ledger, [write], Settings())[0], Stored)
                    ledger.flush()
                ran.append(recording.written)
            assert ran[0] == ran[1] and len(ran[0]) < 10

    def test_a_form_for_a_closed_room_makes_one(self, open_store: Open, people: list[accounts.Account]) -> None:
        """Sent again in one batch, later, or at once at two machines; not of another account, nor once one has left."""
        ann, bea, *_ = people
        one, two = open_store(), open_store()
        command = CreateRoom("staff", "Staff", "closed", form=b"first form !")
        first: Any = one.commit([Write(command, T0, ann.identity)] * 2)
        names = [each.room["name"] for each in first]
        again = do(two, command, ann.identity, T0 + 99_000_000)
        assert {*names, again.room["name"]} == {names[0]} and again.duplicate and again.room["you"]["role"] == "manager"
        assert re.fullmatch("staff-[a-z2-7]{6}", names[0])
        other = do(one, command, bea.identity).room["name"]
        assert other not in names
        do(one, add(names[0], bea, role="manager"), ann.identity)
        do(one, put_out(names[0], ann), ann.identity)
        assert do(one, command, ann.identity).room["name"] not in (names[0], other)
        forms = [CreateRoom("both", None, "closed", form=bytes([number]) * 12) for number in range(20)]

        def made(store: Store) -> list[str]:
            return [do(store, each, ann.identity).room["name"] for each in forms]

        with ThreadPoolExecutor(2) as pool:
            here, there = pool.map(made, (one, two))
        assert here == there and len(set(here)) == 20

    def test_a_closed_room_is_unknown_to_others(self, store: Store, people: list[accounts.Account]) -> None:
        """Whatever others ask of it, they get the answer for a name that nobody uses, a repeat of their own too."""
        ann, bea, cai, _ = people
        room = room_of(store, bea, "staff", cai)
        assert re.fullmatch("staff-[a-z2-7]{6}", room)
        first = do(store, said("Cai", key="k", room=room), cai.identity)
        assert first.event.envelope["message"]["by"] == cai.key
        do(store, put_out(room, cai), bea.identity)
        asked = [
            said("Cai", key="k", room=room), said("Cai", room=room), edit(first.seq, "x", room=room),
            delete(first.seq, room=room), react(first.seq, "like", room=room), settings(room, slow=5),
            add(room, cai), put_out(room, cai), commands.Join(room=room),
        ]  # fmt: skip
        for who in (cai.identity, ann.identity, "visitor", None):
            for command in asked:
                signed = command if who == cai.identity else without_name(command, who, ann)
                with pytest.raises(RoomUnknown) as refused:
                    do(store, signed, who)
                with pytest.raises(RoomUnknown) as free:
                    do(store, replace(signed, room="none-aaaaaa"), who)
                assert refused.value.detail.replace(room, "none-aaaaaa") == free.value.detail
        assert store.head(room).seq == 4

    def test_a_foreign_room_costs_what_no_room_costs(self, store: Store, people: list[accounts.Account]) -> None:
        """A refused command runs the same statements for a closed room and for a name that nobody uses."""
        ann, bea, cai, _ = people
        room = room_of(store, bea)
        for who in (ann.identity, cai.identity, "visitor", None):
            ran = []
            for name in (room, "none-aaaaaa", ".part-removed-1"):
                with store.writing() as sql:  # type: ignore[attr-defined]  # a command's, not the hub's
                    recording = Recording(sql)
                    outcome = apply_all(Ledger(recording), [Write(react(1, "like", room=name), T0, who)], Settings())
                ran.append(recording.ran)
                assert isinstance(outcome[0], RoomUnknown)
            assert ran[0] == ran[1] and len(ran[0]) <= 2

    def test_membership_stands_in_the_log(self, store: Store, people: list[accounts.Account]) -> None:
        """Of a closed room: who joined, who got another role, who left and by whom."""
        _, bea, cai, dee = people
        room = room_of(store, bea, "staff", cai)
        do(store, add(room, dee, role="manager"), bea.identity)
        do(store, put_out(room, cai), dee.identity)
        do(store, put_out(room, bea), bea.identity)
        told = [
            (each["command"], each["member"]["user"], each.get("by"), each.get("reason")) for each in log(store, room)
        ]
        assert told == [
            ("member-joined", "Bea", bea.key, None), ("member-joined", "Cai", bea.key, None),
            ("member-joined", "Dee", bea.key, None), ("member-left", "Cai", dee.key, "removed"),
            ("member-left", "Bea", bea.key, "left"),
        ]  # fmt: skip
        with pytest.raises(Conflict):
            do(store, put_out(room, dee), dee.identity)
        store.rebuild(lambda done, of: None)  # type: ignore[attr-defined]  # a command's, not the hub's
        assert not [step for step in store.verify() if step.problem]

    def test_an_open_room_is_joined_by_speaking(self, store: Store, people: list[accounts.Account]) -> None:
        """Without an event; what was said before counts as read. New accounts are in the lobby from the start."""
        _, bea, cai, _ = people
        do(store, CreateRoom("tea"), bea.identity)
        do(store, said("Bea", room="tea"), bea.identity)
        do(store, said("Cai", room="tea"), cai.identity)
        assert [each["command"] for each in log(store, "tea")] == ["message-sent", "message-sent"]
        rows = store.read_with(
            lambda sql: [tuple(row) for row in sql.all(
                "SELECT r.name, m.role, m.read_id, m.read_n FROM member m JOIN room r ON r.id = m.room_id"
                " WHERE m.account_id IN (?, ?) ORDER BY r.name, m.account_id", bea.id, cai.id,
            )]
        )  # fmt: skip
        assert rows == [
            ("lobby", "member", 0, 0), ("lobby", "member", 0, 0), ("tea", "manager", 1, 1), ("tea", "member", 2, 2),
        ]

    def test_the_same_people_find_the_same_room(self, store: Store, people: list[accounts.Account]) -> None:
        """A direct room is made once, by whichever of them; its members never change, and one may block the other."""
        _, bea, cai, dee = people
        made = do(store, BeginDirect((cai.key,)), bea.identity)
        again = do(store, BeginDirect((bea.key, cai.key)), cai.identity)
        assert not made.duplicate and again.duplicate and again.room["name"] == made.room["name"]
        room = made.room["name"]
        assert room.startswith("dm-") and made.room["with"] == [{"id": cai.key, "name": "Cai"}]
        assert do(store, BeginDirect((cai.key, dee.key)), bea.identity).room["name"] != room
        assert do(store, BeginDirect(()), bea.identity).room["with"] == []
        for command in (add(room, dee), put_out(room, cai), settings(room, slow=1)):
            with pytest.raises(Forbidden):
                do(store, command, bea.identity)
        with pytest.raises(Conflict):
            do(store, put_out(room, bea), bea.identity)
        store.write_with(lambda sql: sql.run("INSERT INTO blocked (account_id, other) VALUES (?, ?)", cai.id, bea.id))
        with pytest.raises(Forbidden):
            do(store, said("Bea", room=room), bea.identity)
        assert do(store, said("Cai", room=room), cai.identity).seq == 3

    def test_a_room_that_cannot_be_joined_is_not_made(
        self, store: Store, people: list[accounts.Account], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One of its people is in as many as it may be: no room is left behind, and no direct one of half of them."""
        _, bea, cai, _ = people
        do(store, CreateRoom("tea"))
        do(store, commands.Join(room="tea"), cai.identity)
        before = store.rooms()
        monkeypatch.setattr(members, "MOST_JOINED", 2)
        for command in (CreateRoom("crew", kind="closed", members=(cai.key,)), BeginDirect((cai.key,))):
            with pytest.raises(Conflict):
                do(store, command, bea.identity)
        with pytest.raises(Conflict):
            do(store, CreateRoom("green"), cai.identity)
        assert store.rooms() == before
        monkeypatch.setattr(members, "MOST_JOINED", 3)
        made = do(store, BeginDirect((cai.key,)), bea.identity)
        assert not made.duplicate and made.room["with"] == [{"id": cai.key, "name": "Cai"}]

    def test_settings_of_a_room_bind(self, store: Store, people: list[accounts.Account]) -> None:
        """Only managers write where they alone may; a slow room waits, an archived one is over; quotes stay outside."""
        _, bea, cai, _ = people
        room = room_of(store, bea, "staff", cai)
        about = do(store, settings(room, posting="managers", topic="News"), bea.identity).event.envelope["about"]
        assert about == {"name": room, "kind": "closed", "topic": "News", "posting": "managers"}
        with pytest.raises(Forbidden):
            do(store, said("Cai", room=room), cai.identity)
        first = do(store, said("Bea", room=room), bea.identity).seq
        assert isinstance(do(store, react(first, "like", room=room), cai.identity), Stored)
        do(store, settings(room, posting="all", slow=10), bea.identity)
        do(store, said("Cai", key="k", room=room), cai.identity, T0)
        with pytest.raises(RateLimited) as refused:
            do(store, said("Cai", room=room), cai.identity, T0 + 4000)
        assert refused.value.retry_in_ms == 6000
        assert do(store, said("Cai", key="k", room=room), cai.identity, T0 + 5000).duplicate
        for _ in range(2):
            assert isinstance(do(store, said("Bea", room=room), bea.identity, T0), Stored)
        do(store, said("Cai", room=room), cai.identity, T0 + 10_000)
        with pytest.raises(Forbidden):
            do(store, commands.AddQuote(quote=commands.NewQuote("q", "a"), room=room), bea.identity)
        do(store, settings(room, archived=True, slow=0), bea.identity)
        for command in (said("Cai", room=room), edit(first, "x", room=room)):
            with pytest.raises(Conflict):
                do(store, command, cai.identity if isinstance(command, commands.SendMessage) else bea.identity)
        assert isinstance(do(store, delete(first, room=room), bea.identity), Stored)

    def test_visitors_are_slow_too(self, store: Store, people: list[accounts.Account]) -> None:
        """Each by its identity; all without one together."""
        do(store, settings("lobby", slow=10), people[0].identity)
        do(store, said("Zed"), "visitor")
        do(store, said("Yan"), None)
        for name, who in (("Zed", "visitor"), ("Xin", None)):
            with pytest.raises(RateLimited):
                do(store, said(name), who, T0 + 9000)
        assert isinstance(do(store, said("Wim"), "another", T0 + 9000), Stored)
        assert isinstance(do(store, said("Zed"), "visitor", T0 + 10_000), Stored)

    def test_a_clock_that_is_set_back_silences_nobody(self, store: Store, people: list[accounts.Account]) -> None:
        """A slow room waits as long as it says, whatever the time was at the last word."""
        _, bea, cai, _ = people
        room = room_of(store, bea, "staff", cai)
        do(store, settings(room, slow=10), bea.identity)
        do(store, settings("lobby", slow=10), people[0].identity)
        for name, there, who in (("Cai", room, cai.identity), ("Zed", "lobby", "visitor")):
            do(store, said(name, room=there), who, T0 + 86_400_000)
            assert isinstance(do(store, said(name, room=there), who, T0), Stored)
            with pytest.raises(RateLimited) as refused:
                do(store, said(name, room=there), who, T0 + 4000)
            assert refused.value.retry_in_ms == 6000

    def test_of_two_at_once_a_slow_room_takes_one(self, store: Store, people: list[accounts.Account]) -> None:
        """The one that was sent first may be stored last: it has waited for the other, or its clock is behind."""
        _, bea, cai, _ = people
        room = room_of(store, bea, "staff", cai)
        do(store, settings(room, slow=10), bea.identity)
        do(store, settings("lobby", slow=10), people[0].identity)
        for name, there, who in (("Cai", room, cai.identity), ("Zed", "lobby", "visitor")):
            do(store, said(name, room=there), who, T0 + 2000)
            with pytest.raises(RateLimited):
                do(store, said(name, room=there), who, T0)

    def test_a_muted_member_says_nothing(self, store: Store, people: list[accounts.Account]) -> None:
        """Until the time is over: 403 with the rest of it. It is told to the member alone."""
        _, bea, cai, _ = people
        room = room_of(store, bea, "staff", cai)
        mute = commands.SetMember(member=commands.MemberChange(cai.key, muted_until="+10s"), room=room)
        assert isinstance(do(store, mute, bea.identity), Accepted)
        with pytest.raises(Forbidden) as refused:
            do(store, said("Cai", room=room), cai.identity, T0 + 3000)
        assert refused.value.retry_in_ms == 7000
        assert isinstance(do(store, said("Cai", room=room), cai.identity, T0 + 10_000), Stored)
        assert [each["command"] for each in log(store, room)][2:] == ["message-sent"]
        notices = store.read_with(lambda sql: [tuple(row) for row in sql.all("SELECT account_id, what FROM notice")])
        assert notices == [(cai.id, "muted")]

    def test_managers_and_administrators_delete_what_others_said(
        self, store: Store, people: list[accounts.Account]
    ) -> None:
        """Managers in their room, administrators in open ones; the stub says that it was not the sender."""
        ann, bea, cai, dee = people
        do(store, CreateRoom("tea"), bea.identity)
        for _ in range(3):
            do(store, said("Cai", room="tea"), cai.identity)
        with pytest.raises(Forbidden):
            do(store, delete(1, room="tea"), dee.identity)
        for number, who in ((1, ann), (2, bea)):
            gone = do(store, delete(number, room="tea"), who.identity).event.envelope["message"]
            assert gone == {"id": number, "moderated": True}
        assert do(store, delete(3, room="tea"), cai.identity).event.envelope["message"] == {"id": 3}
        assert [each.get("moderated") for each in store.snapshot("tea", 9)["messages"]] == [True, True, None]
        store.rebuild(lambda done, of: None)  # type: ignore[attr-defined]  # a command's, not the hub's
        assert [each.get("moderated") for each in store.snapshot("tea", 9)["messages"]] == [True, True, None]

    def test_managers_and_administrators_remove_quotes_of_others(
        self, store: Store, people: list[accounts.Account]
    ) -> None:
        """Managers of the room where it was added, and administrators: also one that nobody owns."""
        ann, bea, cai, dee = people
        do(store, CreateRoom("tea"), bea.identity)
        add = commands.AddQuote(quote=commands.NewQuote("words", "Cai"), room="tea")
        quotes = [do(store, add, identity).event.envelope["quote"]["id"] for identity in (cai.identity, None, None)]
        ours, *unowned = [commands.RemoveQuote(quote=commands.QuoteId(each), room="tea") for each in quotes]
        with pytest.raises(Forbidden):
            do(store, unowned[0], dee.identity)
        for command, who in ((ours, cai), (unowned[0], ann), (unowned[1], bea)):
            assert do(store, command, who.identity).event.command == "quote-removed"
        assert not {*quotes} & {each["id"] for each in store.quotes(None, 50)["quotes"]}

    def test_a_room_is_closed_and_opened(self, store: Store, people: list[accounts.Account]) -> None:
        """Who has joined stays, and whoever closes a room without a manager is it; to open it asks for consent."""
        ann, bea, cai, _ = people
        do(store, CreateRoom("tea"))
        do(store, said("Bea", room="tea"), bea.identity)
        with pytest.raises(Forbidden):
            do(store, settings("tea", kind="closed"), bea.identity)
        do(store, settings("tea", kind="closed"), ann.identity)
        assert isinstance(do(store, said("Bea", room="tea"), bea.identity), Stored)
        with pytest.raises(RoomUnknown):
            do(store, said("Cai", room="tea"), cai.identity)
        with pytest.raises(Invalid) as refused:
            do(store, settings("tea", kind="open"), ann.identity)
        assert refused.value.field == "everything"
        do(store, settings("tea", kind="open", everything=True), ann.identity)
        assert isinstance(do(store, said("Cai", room="tea"), cai.identity), Stored)
        with pytest.raises(Conflict):
            do(store, settings("lobby", kind="closed"), ann.identity)

    def test_rights_are_asked_again_when_a_message_is_due(self, store: Store, people: list[accounts.Account]) -> None:
        """One that was put out meanwhile gets its scheduled message back, and no event tells of it."""
        _, bea, cai, _ = people
        room = room_of(store, bea, "staff", cai)
        number = do(store, said("Cai", room=room, send_at="+10s"), cai.identity).scheduled["id"]
        do(store, put_out(room, cai), bea.identity)
        assert isinstance(do(store, Deliver(number), None, T0 + 10_000), Nothing)
        assert store.head(room).seq == 3
        (returned,) = store.read_with(lambda sql: reading.scheduled_anywhere(sql, cai.identity))
        assert (returned["state"], returned["code"]) == ("refused", "room-unknown")

    def test_what_one_scheduled_is_put_away_without_the_room(
        self, store: Store, people: list[accounts.Account]
    ) -> None:
        """Refused or waiting, by its author alone; a repeat is answered alike. All else is an unknown room."""
        ann, bea, cai, dee = people
        room = room_of(store, bea, "staff", cai)

        def later(text: str, by: accounts.Account = cai) -> int:
            found = do(store, said(by.name, text=text, room=room, send_at="+10s"), by.identity)
            return int(found.scheduled["id"])

        due, waits, of_bea, gone = later("due"), later("waits"), later("of Bea", bea), later("gone")
        do(store, cancel(room, gone), cai.identity)
        do(store, put_out(room, cai), bea.identity)
        assert isinstance(do(store, Deliver(due), None, T0 + 10_000), Nothing)
        others = [(who, number) for who in (ann.identity, dee.identity, "visitor", None) for number in (due, waits)]
        for who, number in [*others, (cai.identity, of_bea), (cai.identity, gone), (cai.identity, 99)]:
            with pytest.raises(RoomUnknown):
                do(store, cancel(room, number), who)
        for other in ("lobby", "none-aaaaaa"):
            with pytest.raises((RoomUnknown, ScheduledUnknown)):
                do(store, cancel(other, due), cai.identity)
        taken = [do(store, cancel(room, due, key="c1"), cai.identity, T0 + 10_000 + each) for each in range(2)]
        assert [each.duplicate for each in taken] == [False, True]
        assert taken[0].scheduled["message"]["message"] == "due" and taken[0].scheduled["code"] == "room-unknown"
        assert do(store, cancel(room, waits), cai.identity).scheduled["message"]["message"] == "waits"
        assert store.read_with(lambda sql: reading.scheduled_anywhere(sql, cai.identity)) == []
        assert [each["id"] for each in store.scheduled(room, bea.identity)] == [of_bea]

    def test_what_another_scheduled_tells_of_no_room(self, store: Store, people: list[accounts.Account]) -> None:
        """To cancel a message that waits in a closed room costs a stranger what it costs for an unused name."""
        ann, bea, cai, _ = people
        room = room_of(store, bea)
        number = do(store, said("Bea", room=room, send_at="+10s"), bea.identity).scheduled["id"]
        for who in (ann.identity, cai.identity, "visitor", None):
            ran = []
            for name in (room, "none-aaaaaa"):
                with store.writing() as sql:  # type: ignore[attr-defined]  # a command's, not the hub's
                    recording = Recording(sql)
                    outcome = apply_all(Ledger(recording), [Write(cancel(name, number), T0, who)], Settings())
                ran.append(recording.ran)
                assert isinstance(outcome[0], RoomUnknown)
            assert ran[0] == ran[1] and len(ran[0]) <= 3

    def test_a_right_ends_within_a_batch(self, store: Store, people: list[accounts.Account]) -> None:
        """What stands before a command in its own transaction counts: in, muted, out, closed."""
        ann, bea, cai, _ = people
        room = room_of(store, bea)
        mute = commands.SetMember(member=commands.MemberChange(cai.key, muted_until="+1h"), room=room)
        batch = [
            (said("Cai", room=room), cai), (add(room, cai), bea), (said("Cai", room=room), cai), (mute, bea),
            (said("Cai", room=room), cai), (put_out(room, cai), bea), (said("Cai", room=room), cai),
            (said("Cai", room="tea"), cai), (settings("tea", kind="closed"), ann), (said("Dee", room="tea"), people[3]),
            (said("Cai", room="tea"), cai),
        ]  # fmt: skip
        do(store, CreateRoom("tea"))
        outcomes = store.commit([Write(command, T0, who.identity) for command, who in batch])
        assert [type(each) for each in outcomes] == [
            RoomUnknown, Stored, Stored, Accepted, Forbidden, Stored, RoomUnknown, Stored, Stored, RoomUnknown, Stored,
        ]  # fmt: skip

    def test_what_one_scheduled_goes_with_its_room(self, store: Store, people: list[accounts.Account]) -> None:
        """At once for its sender, though its rows are deleted later: no name of a removed room is told."""
        _, bea, _, _ = people
        room = room_of(store, bea)
        do(store, said("Bea", room=room, send_at="+10s"), bea.identity)
        do(store, said("Bea", send_at="+20s"), bea.identity)
        store.remove_room(room, T0)
        found = store.read_with(lambda sql: reading.scheduled_anywhere(sql, bea.identity))
        assert [each["room"] for each in found] == ["lobby"]

    @pytest.mark.parametrize("forgets", [False, True])
    def test_what_was_refused_is_kept_for_30_days(
        self, store: Store, people: list[accounts.Account], forgets: bool
    ) -> None:
        """From when it was due, whether client_ids are forgotten earlier or later; then a repeat has no refusal."""
        _, bea, cai, _ = people
        room, end = room_of(store, bea, "staff", cai), T0 + 10_000 + 30 * 86_400_000
        keyed = said("Cai", room=room, send_at="+10s", key="k")
        numbers = [
            do(store, each, cai.identity).scheduled["id"] for each in (said("Cai", room=room, send_at="+10s"), keyed)
        ]
        do(store, put_out(room, cai), bea.identity)
        for number in numbers:
            assert isinstance(do(store, Deliver(number), None, T0 + 10_000), Nothing)
        for now, left in ((end, 2), (end + 1, 0)):
            store.prune(now if forgets else T0, now)
            assert len(store.read_with(lambda sql: reading.scheduled_anywhere(sql, cai.identity))) == left
        do(store, add(room, cai), bea.identity)
        if not forgets:
            again = do(store, keyed, cai.identity, end + 1)
            assert again.duplicate and again.scheduled["id"] == numbers[1] and "state" not in again.scheduled
        store.prune(end + 1, end + 1)
        assert store.read_with(lambda sql: sql.one("SELECT count(*) FROM scheduled"))[0] == 0  # type: ignore[index]

    def test_guests_are_let_in(self, store: Store, people: list[accounts.Account]) -> None:
        """A guest knows no room before that, makes none, and writes directly to people whom it shares a room with."""
        _, bea, cai, _ = people
        guest = account(store, "Gil", "guest")
        for command in (said("Gil"), commands.Join(room="lobby")):
            with pytest.raises(RoomUnknown):
                do(store, command, guest.identity)
        for made in (CreateRoom("x"), CreateRoom("x", None, "closed")):
            with pytest.raises(Forbidden):
                do(store, made, guest.identity)
        with pytest.raises(AccountUnknown):
            do(store, BeginDirect((bea.key,)), guest.identity)
        room = room_of(store, bea, "staff", guest)
        assert isinstance(do(store, said("Gil", room=room), guest.identity), Stored)
        assert do(store, BeginDirect((bea.key,)), guest.identity).room["kind"] == "direct"
        with pytest.raises(AccountUnknown):
            do(store, BeginDirect((cai.key,)), guest.identity)
        with pytest.raises(Conflict):
            do(store, add(room, guest, role="manager"), bea.identity)

    def test_a_closed_account_leaves_its_rooms(self, store: Store, people: list[accounts.Account]) -> None:
        """Closed and direct ones are told so; nothing of its memberships stays."""
        _, bea, cai, _ = people
        room = room_of(store, bea, "staff", cai)
        direct = do(store, BeginDirect((cai.key,)), bea.identity).room["name"]
        store.write_with(lambda sql: closing.close(sql, accounts.by_key(sql, cai.key), T0))
        for each in (room, direct):
            left = log(store, each)[-1]
            assert (left["command"], left["member"], left["reason"]) == (
                "member-left", {"id": cai.key, "user": "Cai"}, "closed",
            )  # fmt: skip
        assert store.read_with(lambda sql: members.joined(sql, cai.id)) == 0
        assert do(store, said("Bea", room=room), bea.identity).seq == 4

    def test_the_operator_lets_in_and_puts_out(self, store: Store, people: list[accounts.Account]) -> None:
        """Without being a member; the room sees it, without a name for who did it."""
        _, bea, cai, _ = people
        room = room_of(store, bea)
        for command in (add(room, cai), put_out(room, cai)):
            store.commit([Write(command, T0, operator=True)])
        assert [(each["command"], "by" in each) for each in log(store, room)[1:]] == [
            ("member-joined", False), ("member-left", False),
        ]  # fmt: skip

    def test_each_sees_its_own_rooms(self, store: Store, people: list[accounts.Account]) -> None:
        """The list has open rooms and one's own, with counts, people and one's place; archived ones are left out."""
        ann, bea, cai, _ = people
        room = room_of(store, bea, "staff", cai)
        direct = do(store, BeginDirect((cai.key,)), bea.identity).room["name"]
        do(store, CreateRoom("tea"), ann.identity)
        do(store, CreateRoom("old"), ann.identity)
        do(store, settings("old", archived=True), ann.identity)

        def seen(who: accounts.Account | None, **more: bool) -> dict[str, Any]:
            caller = VISITOR if who is None else Principal(who.identity, who.id, who.key, who.name, who.role)
            found = store.read_with(lambda sql: listing.visible(sql, caller, **more))
            return {each["name"]: each for each in found}

        assert list(seen(None)) == list(seen(ann)) == ["lobby", "tea"]
        assert list(seen(bea)) == [direct, "lobby", room, "tea"]
        assert list(seen(bea, joined=True)) == [direct, "lobby", room]
        assert seen(bea)[direct]["with"] == [{"id": cai.key, "name": "Cai"}]
        assert seen(cai)[room]["members"] == 2 and seen(cai)[room]["you"]["role"] == "member"
        assert seen(ann)["tea"]["you"]["role"] == "manager" and "you" not in seen(bea)["tea"]


def without_name(command: Any, who: str | None, ann: accounts.Account) -> Any:
    """The same command, signed as its sender may sign."""
    if not isinstance(command, commands.SendMessage):
        return command
    return replace(command, message=replace(command.message, user="Ann" if who == ann.identity else "Zed"))

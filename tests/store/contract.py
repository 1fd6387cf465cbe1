"""What every store must do, whatever it keeps its log in: each backend's tests inherit these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quotechat.protocol import commands, cursor
from quotechat.protocol.cursor import NOW, START, Cursor
from quotechat.protocol.errors import (
    ClientIdReused,
    Conflict,
    CursorAhead,
    CursorExpired,
    Forbidden,
    HistoryChanged,
    Invalid,
    MessageUnknown,
    RateLimited,
    Refused,
    RoomUnknown,
    ScheduledUnknown,
    Unauthenticated,
)  # fmt: skip
from quotechat.protocol.markup import text as markup
from quotechat.store import rules
from quotechat.store.accounts.accounts import Account
from quotechat.store.base import Cancelled, CreateRoom, Deliver, Due, Nothing, Scheduled, Store, Stored, Write
from quotechat.store.ledger import Ledger
from quotechat.store.programs import subscribers, webhooks
from quotechat.store.shapes import Sql

T0 = 1_800_000_000_000
"""Milliseconds since 1970: the tests' own clock."""

Open = Callable[[], Store]


def said(user: str = "Ann", text: str = "hi", *, room: str = "lobby", key: str | None = None, **more: Any) -> Any:
    message = commands.NewMessage(user, text, **more)
    return commands.SendMessage(message=message, room=room, client_id=key)


def do(store: Store, command: Any, who: str | None = "ann", at: int = T0) -> Any:
    """One command in a batch of its own: its outcome, or its refusal raised."""
    outcome = store.commit([Write(command, at, who)])[0]
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def webhook_of(store: Store, bot: Account) -> int:
    """A webhook for the messages of `lobby`, from its beginning; return its number."""

    def make(sql: Sql) -> int:
        webhook = webhooks.make(sql, "deploy", bot.id, "https://example.org", "whsec_", T0, made_by=None,
                                all_rooms=False, commands=["message-sent"], mentions=False)  # fmt: skip
        subscribers.place(sql, webhook.subscriber, "lobby", START)
        return webhook.id

    return store.write_with(make)


def edit(number: int, text: str, **more: Any) -> Any:
    return commands.EditMessage(message=commands.EditedMessage(number, text), **more)


def delete(number: int, **more: Any) -> Any:
    return commands.DeleteMessage(message=commands.MessageId(number), **more)


def react(number: int, reaction: Any, on: bool | None = None, **more: Any) -> Any:
    return commands.React(message=commands.Reaction(number, reaction, on), **more)


class StoreContract:
    """Subclasses give the fixture `open_store`: each call opens the same data again."""

    @pytest.fixture
    def store(self, open_store: Open) -> Store:
        return open_store()

    # --- Order and durability ---------------------------------------------------------------------

    def test_texts_are_parsed_before_the_transaction(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A text that takes long to parse keeps no other sender waiting, whether it is sent, edited or scheduled."""
        send = Write(said(text="**one**"), T0, "ann")
        wait = Write(said(text="**two**", send_at="+10s"), T0, "ann")
        change = Write(edit(1, "**three**"), T0, "ann")
        deliver = Write(Deliver(1), T0 + 10_000)

        def late(_: str) -> None:
            raise AssertionError("parsed in the transaction")

        monkeypatch.setattr(markup, "runs", late)
        monkeypatch.setattr(markup, "parse", late)
        for write, kind in ((send, Stored), (wait, Scheduled), (change, Stored), (deliver, Stored)):
            assert isinstance(store.commit([write])[0], kind)
        assert [each["runs"] for each in store.snapshot("lobby", 9)["messages"]] == [
            [{"text": "three", "bold": True}], [{"text": "two", "bold": True}],
        ]  # fmt: skip

    def test_numbers_have_no_hole(self, store: Store) -> None:
        """Accepted writes get 1, 2, 3 … in the order of the batch; refused ones take no number."""
        batch = [said(text="a"), said(text="b", room="none"), said(text="c"), react(9, "like"), said(text="d")]
        outcomes = store.commit([Write(each, T0, "ann") for each in batch])
        assert [getattr(outcome, "seq", type(outcome)) for outcome in outcomes] == [
            1, RoomUnknown, 2, MessageUnknown, 3,
        ]  # fmt: skip
        page = store.read("lobby", START, 500)
        assert [event.seq for event in page.events] == [1, 2, 3]
        assert page.cursor == str(outcomes[-1].cursor) and not page.more  # type: ignore[union-attr]

    def test_the_parts_of_a_text_are_stored_together(self, store: Store) -> None:
        """If the first is refused, or the client_id of any was used for other content, nothing of it is stored."""

        def send(*texts: str, keys: str = "", room: str = "lobby") -> list[Any]:
            parts = [said(text=text, room=room, key=f"{keys}{place}" if keys else None)
                     for place, text in enumerate(texts)]  # fmt: skip
            writes = [Write(part, T0, "ann", continues=place > 0) for place, part in enumerate(parts)]
            return [getattr(outcome, "seq", type(outcome)) for outcome in store.commit(writes)]

        assert send("one", "two", "three", keys="k") == [1, 2, 3]
        assert send("one", "two", "three", keys="k") == [1, 2, 3]
        assert send("four", "five", room="none") == [RoomUnknown] * 2
        store.commit([Write(commands.SetRoom(about=commands.AboutChange(slow=60)), T0, operator=True)])
        assert send("six", "seven") == [RateLimited] * 2
        store.commit([Write(commands.SetRoom(about=commands.AboutChange(slow=0)), T0, operator=True)])
        do(store, said(text="other", key="m2"))
        assert send("eight", "nine", "ten", keys="m") == [ClientIdReused] * 3
        found = [event.envelope["message"]["message"] for event in store.read("lobby", START, 99).events
                 if event.envelope["command"] == "message-sent"]  # fmt: skip
        assert found == ["one", "two", "three", "other"]

    def test_a_write_looks_at_no_other_but_its_parts(self, store: Store) -> None:
        """A batch of many costs each of them no more than a batch of few."""
        looks: list[Write] = []

        class Looked(list[Write]):
            def __iter__(self) -> Iterator[Write]:
                return (self[number] for number in range(len(self)))

            def __getitem__(self, number: Any) -> Any:
                found = super().__getitem__(number)
                looks.extend(found if isinstance(number, slice) else [found])
                return found

        batch = Looked([Write(said(), T0, "ann", continues=number % 10 > 7) for number in range(100)])
        store.write_with(lambda sql: rules.apply_all(Ledger(sql), batch, rules.Settings()))
        assert len(looks) < 6 * len(batch)

    def test_another_opening_sees_what_is_committed(self, open_store: Open) -> None:
        """What `commit` returned is there for everyone, and after a restart."""
        one, two = open_store(), open_store()
        before = two.version()
        first = do(one, said(text="hello", color="red"))
        assert two.head("lobby") == (1, first.cursor, 0)
        assert two.version() != before
        do(two, said(text="again"))
        assert one.read("lobby", START, 9).events[1].seq == 2
        one.close()
        two.close()
        assert open_store().read("lobby", START, 9).events[0].encoded == first.event.encoded

    def test_pages_are_contiguous(self, store: Store) -> None:
        """Pages of any size join to the log; `more` tells whether there is another."""
        for number in range(7):
            do(store, said(text=f"{number}"))
        found, position, more = [], START, True
        while more:
            page = store.read("lobby", position, 3)
            found += page.events
            position, more = cursor.parse(page.cursor), page.more  # type: ignore[assignment]
        assert [event.seq for event in found] == list(range(1, 8))
        assert store.read("lobby", NOW, 3).cursor == page.cursor

    def test_pages_are_bounded_in_bytes(self, store: Store) -> None:
        """A page ends with the event that reaches the bound, tells of what is left, and has one event at least."""
        texts = ["x", "é" * 3000, "😀" * 4000, "y"] * 3
        for text in texts:
            do(store, said(text=text))
        sizes = [len(event.encoded) for event in store.read("lobby", START, 500).events]
        found, position, more = [], START, True
        while more:
            page = store.read("lobby", position, 500, 10_000)
            assert page.events and sum(len(event.encoded) for event in page.events[:-1]) < 10_000
            found += page.events
            position, more = cursor.parse(page.cursor), page.more  # type: ignore[assignment]
        assert [len(event.encoded) for event in found] == sizes and len(found) == len(texts)
        none = store.read("lobby", START, 0)
        assert (none.events, none.cursor.partition(".")[0], none.more) == ([], "0", True)

    # --- Cursors ----------------------------------------------------------------------------------

    def test_a_cursor_that_cannot_be_served_is_refused(self, store: Store) -> None:
        """Ahead, of another history, of an unknown room: each has its refusal, at every position."""
        do(store, said())
        do(store, said())
        wrong = "0" * 16
        for seq in (0, 1, 2):
            with pytest.raises(HistoryChanged):
                store.read("lobby", Cursor(seq, wrong), 9)
        for tag in (None, wrong):
            with pytest.raises(CursorAhead):
                store.read("lobby", Cursor(3, tag), 9)
        with pytest.raises(RoomUnknown):
            store.read("none", START, 9)
        assert store.read("lobby", Cursor(1), 9).events[0].seq == 2

    def test_what_is_kept_no_longer_is_expired(self, store: Store) -> None:
        """Below the floor only a bare 0 is served: it is the oldest event kept."""
        for _ in range(4):
            do(store, said())
        assert store.cut("lobby", T0 + 1, 2) == 2
        assert store.head("lobby").floor == 2 and store.heads(["lobby"])["lobby"] == store.head("lobby")
        with pytest.raises(CursorExpired):
            store.read("lobby", Cursor(1), 9)
        assert [event.seq for event in store.read("lobby", START, 9).events] == [3, 4]
        assert [event.seq for event in store.read("lobby", Cursor(2), 9).events] == [3, 4]

    # --- Retention --------------------------------------------------------------------------------

    def test_only_a_prefix_of_old_events_is_cut(self, store: Store) -> None:
        """At most as many as asked, never one behind a younger one; the rest is whole and reads on."""
        for at in (0, 1, 2, 9, 3):
            do(store, said(), at=T0 + at)
        position = cursor.parse(store.read("lobby", START, 3).cursor)
        assert [store.cut("lobby", T0 + 5, 2) for _ in range(3)] == [2, 1, 0]
        assert store.head("lobby").floor == 3
        assert [event.seq for event in store.read("lobby", position, 9).events] == [4, 5]
        assert not [step for step in store.verify() if step.problem]
        assert store.cut("lobby", T0 + 10, 9) == 2
        page = store.read("lobby", START, 9)
        assert (page.events, page.more, page.cursor) == ([], False, store.head("lobby").cursor)
        assert do(store, said(), at=T0 + 20).seq == 6
        assert not [step for step in store.verify() if step.problem]
        with pytest.raises(RoomUnknown):
            store.cut("none", T0, 1)

    def test_what_the_cut_events_made_goes_with_them(self, store: Store) -> None:
        """Messages, reactions and excerpts of them; not what is younger, and not the quotes."""
        do(store, said(text="old words", key="k"))
        do(store, react(1, "like"), who="bob")
        added = do(store, commands.AddQuote(quote=commands.NewQuote("q", "w"), client_id="q")).event.envelope["quote"]
        do(store, said(text="young", reply_to=1), at=T0 + 5)
        do(store, edit(4, "younger"), at=T0 + 5)
        do(store, edit(1, "old, edited"), at=T0 + 5)
        do(store, react(4, "like"), who="bob", at=T0 + 5)
        assert store.cut("lobby", T0 + 5, 100) == 3
        snapshot = store.snapshot("lobby", 50, "bob")
        assert [(each["id"], each["message"], each["likes"]) for each in snapshot["messages"]] == [(4, "younger", 1)]
        assert snapshot["messages"][0]["reply_to"] == {"id": 1, "user": "Ann", "deleted": True}
        assert snapshot["mine"] == {"reactions": {"4": "like"}} and "quotes" not in snapshot
        page = store.read("lobby", START, 9)
        assert [event.seq for event in page.events] == [4, 5, 6, 7]
        assert "old words" not in "".join(event.encoded.decode() for event in page.events)
        assert store.quote(added["id"]) == added
        assert not [step for step in store.verify() if step.problem]

    def test_a_message_that_is_gone_is_unknown(self, store: Store) -> None:
        """Nothing can be done with it; sending it again is not a new message."""
        do(store, said(key="k"))
        store.cut("lobby", T0 + 5, 100)
        for command in (edit(1, "x"), delete(1), react(1, "like")):
            with pytest.raises(MessageUnknown):
                do(store, command)
        with pytest.raises(Invalid):
            do(store, said(reply_to=1))
        with pytest.raises(Conflict):
            do(store, said(key="k"))
        assert store.head("lobby").seq == 1

    def test_a_scheduled_reply_outlives_what_it_answers(self, store: Store) -> None:
        """It is sent when it is due, as a message of its own."""
        do(store, said())
        waiting = do(store, said(text="an answer", reply_to=1, send_at="+1h")).scheduled["id"]
        store.cut("lobby", T0 + 5, 100)
        stored = do(store, Deliver(waiting), at=T0 + 3_600_000)
        assert stored.event.envelope["message"].get("reply_to") is None
        assert stored.event.envelope["message"]["message"] == "an answer"

    # --- Repeats ----------------------------------------------------------------------------------

    def test_a_repeat_returns_the_first_event(self, store: Store) -> None:
        """The same client_id and content, in one batch or later, with or without identity: one event."""
        write = Write(said(key="k"), T0, "ann")
        first, second = store.commit([write, write])
        third = do(store, said(key="k"), who=None, at=T0 + 9)
        assert isinstance(first, Stored) and not first.duplicate
        assert isinstance(second, Stored) and second.duplicate and third.duplicate
        assert first.event == second.event == third.event
        assert store.head("lobby").seq == 1

    def test_other_content_under_the_same_id_is_refused(self, store: Store) -> None:
        """A client_id names one message of one sender in one room."""
        do(store, said(key="k"))
        for other in (said(text="other", key="k"), said(color="red", key="k"), said(reply_to=1, key="k")):
            with pytest.raises(ClientIdReused):
                do(store, other)
        assert do(store, said("Bob", key="k"), who="bob").seq == 2

    def test_every_command_repeats_itself(self, store: Store) -> None:
        """For each kind of command, the repeat gets the first outcome and adds nothing."""
        do(store, said())
        do(store, said())
        quote = commands.AddQuote(quote=commands.NewQuote("q", "a"), client_id="k4")
        for command in (edit(1, "new", client_id="k1"), react(1, "like", client_id="k2"),
                        delete(2, client_id="k3"), quote):  # fmt: skip
            first = do(store, command)
            head = store.head("lobby")
            again = do(store, command)
            assert again.duplicate and again.seq == first.seq
            assert store.head("lobby") == head

    # --- Rules ------------------------------------------------------------------------------------

    def test_only_the_sender_changes_a_message(self, store: Store) -> None:
        """Without identity 401, with another's 403, and nothing is stored."""
        do(store, said())
        do(store, said("Guest"), who=None)
        for number in (1, 2):
            for command in (edit(number, "x"), delete(number)):
                with pytest.raises(Unauthenticated):
                    do(store, command, who=None)
                with pytest.raises(Forbidden):
                    do(store, command, who="bob")
        with pytest.raises(Unauthenticated):
            do(store, react(1, "like"), who=None)
        assert store.head("lobby").seq == 2

    def test_an_edit_shows_in_event_and_snapshot(self, store: Store) -> None:
        """The event carries the whole message as it is now, counts and runs included."""
        do(store, said(text="**old**"))
        do(store, react(1, "like"), who="bob")
        event = do(store, edit(1, "__new__"), at=T0 + 1000).event
        message = event.envelope["message"]
        assert message == store.snapshot("lobby", 9)["messages"][0]
        assert (message["message"], message["runs"], message["likes"]) == (
            "__new__", [{"text": "new", "underline": True}], 1,
        )  # fmt: skip
        assert message["edited_at"] > message["at"]

    def test_one_reaction_per_person(self, store: Store) -> None:
        """Counts are absolute; a change of mind moves them; what is so already makes no event."""
        do(store, said())
        do(store, react(1, "like"), who="bob")
        do(store, react(1, "like"), who="cy")
        event = do(store, react(1, "dislike"), who="bob").event
        assert event.envelope["message"] == {"id": 1, "likes": 1, "dislikes": 1}
        same = do(store, react(1, "dislike"), who="bob")
        assert same.duplicate and same.seq == event.seq
        do(store, react(1, "none"), who="bob")
        do(store, react(1, "none"), who="cy")
        assert "likes" not in store.snapshot("lobby", 9)["messages"][0]
        assert do(store, react(1, "none"), who="dan").duplicate

    def test_each_person_adds_an_emoji_once(self, store: Store) -> None:
        """Counts by emoji are absolute and stand beside the likes; each is taken back by the one who added it."""
        do(store, said())
        do(store, react(1, "like"), who="bob")
        first = do(store, react(1, "🎉"), who="bob").event.envelope["message"]
        assert first == {"id": 1, "likes": 1, "dislikes": 0, "reactions": {"🎉": 1}}
        added = do(store, react(1, "🎉"), who="cy")
        again = do(store, react(1, "🎉", on=True), who="cy")
        assert again.duplicate and again.seq == added.seq
        do(store, react(1, "👍🏽"), who="cy")
        shown = do(store, react(1, "none"), who="bob").event.envelope["message"]
        assert shown == {"id": 1, "likes": 0, "dislikes": 0, "reactions": {"🎉": 2, "👍🏽": 1}}
        (message,) = store.snapshot("lobby", 9)["messages"]
        assert message["reactions"] == shown["reactions"]
        assert do(store, edit(1, "new")).event.envelope["message"]["reactions"] == shown["reactions"]
        assert store.snapshot("lobby", 9, "cy")["mine"]["emoji"] == {"1": ["🎉", "👍🏽"]}
        do(store, react(1, "👍🏽", on=False), who="cy")
        assert do(store, react(1, "👍🏽", on=False), who="cy").duplicate
        store.rebuild(lambda done, all_there_are: None)
        assert store.snapshot("lobby", 9)["messages"][0]["reactions"] == {"🎉": 2}
        do(store, react(1, "🎉", on=False), who="cy")
        do(store, react(1, "🎉", on=False), who="bob")
        assert "reactions" not in store.snapshot("lobby", 9)["messages"][0]

    def test_a_message_has_a_bounded_number_of_emoji(self, store: Store) -> None:
        """The twenty-first emoji is refused; one that is there already may be added by more people."""
        do(store, said())
        emoji = [chr(0x1F600 + place) for place in range(21)]
        for each in emoji[:20]:
            do(store, react(1, each), who="bob")
        with pytest.raises(Conflict):
            do(store, react(1, emoji[20]), who="cy")
        do(store, react(1, emoji[0]), who="cy")
        do(store, react(1, emoji[1], on=False), who="bob")
        shown = do(store, react(1, emoji[20]), who="cy").event.envelope["message"]["reactions"]
        assert len(shown) == 20 and shown[emoji[0]] == 2

    def test_emoji_go_with_their_message(self, store: Store) -> None:
        """A deleted message has none, and so has one that is kept no longer."""
        do(store, said())
        do(store, react(1, "🎉"), who="bob")
        do(store, said(), at=T0 + 5)
        do(store, react(3, "🎉"), who="bob", at=T0 + 5)
        store.cut("lobby", T0 + 1, 99)
        assert store.snapshot("lobby", 9, "bob")["mine"]["emoji"] == {"3": ["🎉"]}
        do(store, delete(3))
        with pytest.raises(Conflict):
            do(store, react(3, "🎉"), who="bob")
        assert store.snapshot("lobby", 9, "bob").get("mine") is None

    def test_a_deleted_message_leaves_no_text(self, store: Store) -> None:
        """A stub stays in its place; earlier events and replies are blanked; the chain still verifies."""
        do(store, said(text="very secret"))
        do(store, said("Bob", "re", reply_to=1), who="bob")
        do(store, edit(1, "even more secret"))
        cursors = [event.cursor for event in store.read("lobby", START, 9).events]
        gone = do(store, delete(1))
        assert do(store, delete(1)).duplicate
        for command in (edit(1, "x"), react(1, "like")):
            with pytest.raises(Conflict):
                do(store, command)
        events = store.read("lobby", START, 9).events
        assert [event.cursor for event in events] == [*cursors, gone.cursor]
        assert b"secret" not in b"".join(event.encoded for event in events)
        stub, reply = store.snapshot("lobby", 9)["messages"]
        assert stub == {"id": 1, "user": "Ann", "at": stub["at"], "deleted": True}
        assert reply["reply_to"] == {"id": 1, "user": "Ann", "deleted": True}
        assert not [step for step in store.verify() if step.problem]

    def test_a_reply_shows_its_parent(self, store: Store) -> None:
        """User and excerpt as they were when it was sent; an unknown parent is refused."""
        do(store, said(text="**what** a day"))
        message = do(store, said(text="yes", reply_to=1)).event.envelope["message"]
        assert message["reply_to"] == {"id": 1, "user": "Ann", "excerpt": "what a day"}
        with pytest.raises(Invalid) as refused:
            do(store, said(reply_to=9))
        assert refused.value.field == "reply_to"

    def test_a_name_in_use_is_not_taken(self, store: Store) -> None:
        """Nor one that looks like it; after the hold, and in another room, it is free."""
        do(store, CreateRoom("tea"))
        do(store, said("Ann"))
        for name, who in (("Ann", None), ("ANN", "bob"), ("Аnn", "bob")):
            with pytest.raises(Conflict):
                do(store, said(name), who=who)
        assert do(store, said("Ann", room="tea"), who="bob").seq == 1
        assert do(store, said("Ann"), who="bob", at=T0 + 2 * 86_400_000).seq == 2

    def test_rooms_are_apart(self, store: Store) -> None:
        """Each has its own numbers and history; a name is given once."""
        do(store, CreateRoom("tea", "Tea room"))
        with pytest.raises(Conflict):
            do(store, CreateRoom("tea"))
        assert do(store, said(room="tea")).seq == do(store, said()).seq == 1
        lobby = store.read("lobby", START, 9).cursor
        with pytest.raises(HistoryChanged):
            store.read("tea", cursor.parse(lobby), 9)
        assert [room["name"] for room in store.rooms()] == ["lobby", "tea"]

    # --- Scheduling -------------------------------------------------------------------------------

    def test_a_scheduled_message_is_delivered_once(self, store: Store) -> None:
        """It takes its number at delivery; its client_id answers before and after."""
        later = said(key="k", send_at="+10s")
        first = do(store, later)
        assert isinstance(first, Scheduled) and isinstance(do(store, later), Scheduled)
        assert store.head("lobby").seq == 0 and (store.next_due(), store.waiting()) == (T0 + 10_000, 1)
        assert store.due(T0 + 9_999, 9) == []
        assert [each._replace(room_id=0) for each in store.due(T0 + 10_000, 9)] == [Due(1, "ann")]
        due = Write(Deliver(1), T0 + 10_000)
        delivered, again = store.commit([due, due])
        assert isinstance(delivered, Stored) and isinstance(again, Nothing)
        assert do(store, later).event == delivered.event
        assert store.scheduled("lobby", "ann") == [] and (store.next_due(), store.waiting()) == (None, 0)

    def test_a_message_that_is_not_sent_holds_up_no_later_one(self, store: Store) -> None:
        """One that was cancelled, one that is refused in the same batch, and one that is due later."""
        cancelled, refused, free, later = (
            do(store, said(name, name, send_at="+1s"), at=T0 + place).scheduled["id"]
            for place, name in enumerate(("Ann", "Bob", "Ann", "Ann"))
        )
        do(store, commands.CancelScheduled(scheduled=commands.ScheduledId(cancelled)))
        do(store, said("Bob"), who="bob", at=T0 + 500)
        outcomes = store.commit([Write(Deliver(each), T0 + 2000) for each in (cancelled, refused, free)])
        assert [type(each) for each in outcomes] == [Nothing, Nothing, Stored]
        assert [each["id"] for each in store.scheduled("lobby", "ann")] == [refused, later]
        assert isinstance(do(store, Deliver(later), at=T0 + 2000), Stored)

    def test_a_delivery_answers_for_no_other_message(self, store: Store) -> None:
        """Its client_id was forgotten while it waited, and used again: that message keeps its own answer."""
        day = 86_400_000
        waiting = do(store, said(text="later", key="k", send_at="+60d")).scheduled["id"]
        store.prune(T0 + 31 * day, T0 + 31 * day)
        again = said(text="now", key="k")
        first = do(store, again, at=T0 + 40 * day)
        assert isinstance(do(store, Deliver(waiting), at=T0 + 60 * day), Stored)
        assert do(store, again, at=T0 + 60 * day).event == first.event

    def test_a_cancelled_message_is_not_delivered(self, store: Store) -> None:
        """Only its sender cancels, once."""
        do(store, said(send_at="+10s"))
        assert [each["id"] for each in store.scheduled("lobby", "ann")] == [1]
        cancel = commands.CancelScheduled(scheduled=commands.ScheduledId(1))
        with pytest.raises(Forbidden):
            do(store, cancel, who="bob")
        assert isinstance(do(store, cancel), Cancelled)
        with pytest.raises(ScheduledUnknown):
            do(store, cancel)
        assert isinstance(do(store, Deliver(1), at=T0 + 20_000), Nothing)

    def test_a_name_that_is_anothers_by_then_is_not_used(self, store: Store) -> None:
        """A due message under it goes back to its sender, is told so to repeats, and can be put away."""
        later = said("Ann", key="k", send_at="+10s")
        number = do(store, later, who="mal").scheduled["id"]
        do(store, said("Ann"), who="ann", at=T0 + 5_000)
        assert isinstance(do(store, Deliver(number), at=T0 + 10_000), Nothing)
        assert store.head("lobby").seq == 1 and store.due(T0 + 20_000, 9) == [] and store.waiting() == 0
        (returned,) = store.scheduled("lobby", "mal")
        assert (returned["state"], returned["code"], returned["message"]["message"]) == ("refused", "conflict", "hi")
        again = do(store, later, who="mal", at=T0 + 99_000_000)
        assert again.duplicate and again.scheduled == returned
        with pytest.raises(ClientIdReused):
            do(store, said("Ann", "other", key="k", send_at="+10s"), who="mal")
        assert isinstance(do(store, Deliver(number), at=T0 + 200_000_000), Nothing)
        do(store, commands.CancelScheduled(scheduled=commands.ScheduledId(number)), who="mal")
        assert store.scheduled("lobby", "mal") == [] and store.head("lobby").seq == 1
        assert "state" not in do(store, later, who="mal").scheduled

    def test_a_delivered_message_holds_its_name(self, store: Store) -> None:
        """From the moment it is sent; what waits or was cancelled holds nothing."""
        for number, name in enumerate(("Ann", "Bea"), 1):
            do(store, said(name, send_at="+10s"), who="mal")
            assert store.scheduled("lobby", "mal")[0]["id"] == number
            if name == "Bea":
                do(store, commands.CancelScheduled(scheduled=commands.ScheduledId(number)), who="mal")
                assert isinstance(do(store, said("Bea"), who="bea"), Stored)
            else:
                do(store, Deliver(number), at=T0 + 10_000)
                with pytest.raises(Conflict):
                    do(store, said("Ann"), who="ann", at=T0 + 11_000)
        with pytest.raises(Conflict):
            do(store, said("Bea", send_at="+10s"), who="mal")

    def test_an_identity_holds_few_names(self, store: Store) -> None:
        """Five in a room, the last that it used, in one batch too; in another room five more."""
        do(store, CreateRoom("tea"))
        batch = [said(f"Name {letter}", room=room) for room in ("lobby", "tea") for letter in "abcdefgh"]
        store.commit([Write(each, T0 + number, "mal") for number, each in enumerate(batch)])
        for room in ("lobby", "tea"):
            free = [letter for letter in "abcdefgh" if self._is_free(store, f"Name {letter}", room)]
            assert free == ["a", "b", "c"]

    @staticmethod
    def _is_free(store: Store, name: str, room: str) -> bool:
        try:
            do(store, said(name, room=room), who=None, at=T0 + 60)
        except Conflict:
            return False
        return True

    def test_due_messages_of_one_sender_do_not_stand_before_all(self, store: Store) -> None:
        """The first of each sender comes before the second of any, and no sender fills a page, nor one of its rooms."""
        for number in range(30):
            do(store, said("Ann", f"{number}", send_at="+10s"))
        do(store, said("Bob", send_at="+11s"), who="bob")
        due = store.due(T0 + 20_000, 500)
        assert [each.identity for each in due[:3]] == ["ann", "bob", "ann"] and len(due) == 21
        do(store, CreateRoom("tea"))
        do(store, said("Ann", room="tea", send_at="+12s"))
        rooms = [each.room_id for each in store.due(T0 + 20_000, 500)]
        assert len(rooms) == 22 and rooms.count(rooms[-1]) == 1

    def test_an_address_has_few_waiting_messages(self, store: Store) -> None:
        """Five hundred, whatever identities it has; what was delivered or cancelled does not count."""
        def send(who: str, number: int) -> list[Any]:
            later = said(f"Name {who}", f"{number}", send_at="+1h")
            return store.commit([Write(later, T0, who, source="here")])
        for number in range(500):
            assert isinstance(send(f"n{number // 100}", number)[0], Scheduled)
        assert isinstance(send("n9", 0)[0], RateLimited)
        assert isinstance(store.commit([Write(said("Els", send_at="+1h"), T0, "els", source="there")])[0], Scheduled)
        do(store, commands.CancelScheduled(scheduled=commands.ScheduledId(1)), who="n0")
        do(store, Deliver(2), at=T0 + 3_600_000)
        assert [isinstance(send("n9", number)[0], Scheduled) for number in range(3)] == [True, True, False]

    def test_what_cannot_be_scheduled(self, store: Store) -> None:
        """The past, too far ahead, no time at all, no identity; and at most a hundred wait."""
        for when in ("2001-01-01T00:00:00Z", "+366d", "tomorrow", "2027-02-30T00:00:00Z", "2030-01-01T00:00:00"):
            with pytest.raises(Invalid) as refused:
                do(store, said(send_at=when))
            assert refused.value.field == "send_at"
        with pytest.raises(Unauthenticated):
            do(store, said(send_at="+1h"), who=None)
        for _ in range(100):
            do(store, said(send_at="+1h"))
        with pytest.raises(RateLimited):
            do(store, said(send_at="+1h"))

    # --- Quotes -----------------------------------------------------------------------------------

    def test_quotes_are_kept_and_told(self, store: Store) -> None:
        """The first ones came with the program; a new one is an event of its room."""
        shipped = store.quotes(None, 500)["quotes"]
        assert len(shipped) > 20
        stored = do(store, commands.AddQuote(quote=commands.NewQuote("To be", "W. S.")), who=None)
        quote = stored.event.envelope["quote"]
        assert store.quotes(None, 1) == {"quotes": [quote], "has_more": True}
        assert store.quotes(quote["id"], 500)["quotes"] == shipped
        assert store.random_quote()["author"] and store.newest_quote() == store.quotes(None, 1)["quotes"][0]["id"]

    # --- Snapshot ---------------------------------------------------------------------------------

    def test_history_goes_back_page_by_page(self, store: Store) -> None:
        """The snapshot has the latest, `messages` what is before; together all, once."""
        for number in range(5):
            do(store, said(text=f"{number}"))
        snapshot = store.snapshot("lobby", 2)
        older = store.messages("lobby", snapshot["messages"][0]["id"], 2)
        oldest = store.messages("lobby", older["messages"][0]["id"], 2)
        pages = [oldest, older, snapshot]
        assert [each["message"] for page in pages for each in page["messages"]] == list("01234")
        assert [page["has_more"] for page in pages] == [False, True, True]
        assert snapshot["cursor"] == store.head("lobby").cursor

"""What every store must do when words are taken back: each backend's tests inherit these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from contract import T0, Open, delete, do, edit, react, said

from quotechat.protocol import commands, cursor
from quotechat.protocol.cursor import START
from quotechat.protocol.errors import (
    Conflict,
    Forbidden,
    HistoryChanged,
    MessageUnknown,
    QuoteUnknown,
    RoomUnknown,
    Unauthenticated,
)
from quotechat.store.base import CreateRoom, Deliver, Store, Stored, Write
from quotechat.store.maintenance import pruning, redaction, removal
from quotechat.store.rules import messages
from quotechat.store.transfer import copying

WORD = "xyzzy"


def rows(store: Any, statement: str) -> list[list[Any]]:
    """What stands in the database."""
    with store.writing() as sql:
        return [list(row) for row in sql.all(statement)]


def dumped(store: Any) -> str:
    with store.writing() as sql:
        return repr(list(copying.dump(sql, None)))


def served(store: Store) -> str:
    """All that readers can get, and what copies are made of."""
    events, position, more = b"", START, True
    while more:
        page = store.read("lobby", position, 500)
        events += b"".join(event.encoded for event in page.events)
        seq, _, tag = page.cursor.partition(".")
        position, more = type(START)(int(seq), tag), page.more
    shown = (store.snapshot("lobby", 200), store.messages("lobby", 150, 200))
    return f"{events!r} {shown} {dumped(store)}"


def whole(store: Store) -> bool:
    return not [step for step in store.verify() if step.problem]


def talk(store: Store, *, replies: int = 0, edits: int = 0, edits_of_the_reply: int = 0) -> None:
    """A message, replies to it, edits of it, and edits of the first reply."""
    do(store, said(text=f"{WORD} 0", key="first"))
    store.commit([Write(said("Bob", "re", reply_to=1, key=f"r{n}"), T0, "bob") for n in range(replies)])
    store.commit([Write(edit(1, f"{WORD} {n}"), T0, "ann") for n in range(edits)])
    store.commit([Write(edit(2, f"re {n}"), T0, "bob") for n in range(edits_of_the_reply)])


LARGE = [{"replies": 700}, {"replies": 1, "edits": 500}, {"replies": 3, "edits_of_the_reply": 600}]


class TakingBack:
    """Subclasses give the fixture `open_store`, as for `StoreContract`."""

    @pytest.mark.parametrize("much", LARGE, ids=["replies", "edits", "edits of a reply"])
    def test_a_large_deletion_goes_on_in_later_transactions(self, open_store: Open, much: dict[str, int]) -> None:
        """Nothing is served from the commit on; each transaction redacts a bounded number of events, also in another
        process or after a restart; then the words are nowhere. The history is whole all the while."""
        store: Any = open_store()
        talk(store, **much)
        left = "SELECT count(*) FROM event WHERE digest IS NULL AND body LIKE '%xyzzy%'"
        do(store, delete(1))
        begun = rows(store, left)[0][0]
        assert begun > 0 and WORD not in served(store)
        do(store, said("Cy", "an answer", reply_to=1), who="cy")
        assert do(store, said(text=f"{WORD} 0", key="first")).duplicate
        steps = 0
        while store.redact():
            steps += 1
            remaining = rows(store, left)[0][0]
            assert begun - remaining <= redaction.MOST_EVENTS
            begun = remaining
            assert WORD not in served(store) and whole(store)
            if steps == 1:
                store.rebuild(lambda done, all_there_are: None)
                assert WORD not in served(store)
                store.close()
                store = open_store()
        assert steps > 0 and whole(store) and not store.redact()
        for table in ("event", "message", "redaction"):
            assert WORD not in repr(rows(store, f"SELECT * FROM {table}"))

    def test_a_small_deletion_is_done_at_once(self, store: Store) -> None:
        """So is what a batch of some deletions needs; nothing is left to do."""
        for number in range(3):
            do(store, said(text=WORD))
            do(store, said("Bob", "re", reply_to=2 * number + 1), who="bob")
        store.commit([Write(delete(number), T0, "ann") for number in (1, 3, 5)])
        assert WORD not in repr(rows(store, "SELECT * FROM event")) and not store.redact()

    def test_a_batch_of_deletions_is_bounded(self, store: Store) -> None:
        """Many deletions in one transaction redact no more than one does."""
        for number in range(5):
            do(store, said(text=f"{WORD} {number}"))
            store.commit([Write(edit(number * 101 + 1, f"{WORD} {n}"), T0, "ann") for n in range(100)])
        store.commit([Write(delete(number * 101 + 1), T0, "ann") for number in range(5)])
        assert len(rows(store, "SELECT seq FROM event WHERE digest IS NOT NULL")) <= redaction.MOST_EVENTS
        assert WORD not in served(store)

    def test_a_message_that_is_cut_leaves_no_words(self, store: Store) -> None:
        """Excerpts in any number of younger replies show nothing from the commit on, and go in bounded steps."""
        talk(store)
        store.commit([Write(said("Bob", "re", reply_to=1), T0 + 5, "bob") for _ in range(700)])
        do(store, edit(1, "what is younger stays"), at=T0 + 5)
        assert store.cut("lobby", T0 + 5, 100) == 1
        assert WORD not in served(store) and "what is younger" in served(store)
        assert store.snapshot("lobby", 1)["messages"][0]["reply_to"] == {"id": 1, "user": "Ann", "deleted": True}
        while store.redact():
            assert WORD not in served(store) and whole(store)
        assert WORD not in repr(rows(store, "SELECT * FROM event")) and whole(store)

    def test_what_was_deleted_before_a_cut_stays_hidden(self, store: Store) -> None:
        """Younger edits of a message that was deleted and then cut are redacted like all else."""
        talk(store)
        store.commit([Write(edit(1, f"{WORD} {n}"), T0 + 5, "ann") for n in range(500)])
        do(store, delete(1), at=T0 + 5)
        assert store.cut("lobby", T0 + 5, 100) == 1
        assert WORD not in served(store)
        while store.redact():
            pass
        assert WORD not in repr(rows(store, "SELECT * FROM event")) and whole(store)

    def test_an_edit_changes_the_excerpt(self, store: Store) -> None:
        """A reply shows its parent as it is now: in snapshots, history, events, repeats, and when it is edited."""
        do(store, said(text=f"my password is {WORD}"))
        reply = said("Bob", "oh", reply_to=1, key="k")
        do(store, reply, who="bob")
        do(store, edit(1, "**removed**"))
        edited = do(store, edit(2, "ah"), who="bob").event.envelope["message"]
        for message in (
            edited,
            store.snapshot("lobby", 9)["messages"][1],
            store.messages("lobby", None, 9)["messages"][1],
            store.read("lobby", START, 9).events[1].envelope["message"],
            store.read("lobby", START, 9).events[3].envelope["message"],
            do(store, reply, who="bob").event.envelope["message"],
        ):
            assert message["reply_to"] == {"id": 1, "user": "Ann", "excerpt": "removed"}
        assert whole(store)
        store.rebuild(lambda done, all_there_are: None)  # type: ignore[attr-defined]  # both stores have it
        assert store.snapshot("lobby", 9)["messages"][1]["reply_to"]["excerpt"] == "removed"

    def test_a_cancelled_message_leaves_no_text(self, store: Store) -> None:
        """It goes at once, or, where a client_id is answered with it, with the last of those; repeats are answered."""

        def cancel(number: int, key: str | None) -> Any:
            return commands.CancelScheduled(scheduled=commands.ScheduledId(number), client_id=key)

        plain = do(store, said(text=WORD, send_at="+1h")).scheduled["id"]
        later = said(text=WORD, send_at="+1h", key="k")
        keyed = do(store, later).scheduled
        for number, key in ((plain, None), (keyed["id"], "c")):
            assert do(store, cancel(number, key)).scheduled["message"]["message"] == WORD
        assert WORD not in repr(rows(store, "SELECT * FROM scheduled"))
        again = do(store, later)
        assert again.duplicate and again.scheduled == keyed
        assert do(store, cancel(keyed["id"], "c")).scheduled["id"] == keyed["id"]
        assert [row[0] for row in rows(store, "SELECT id FROM scheduled")] == [keyed["id"]]
        while store.prune(T0 + 1, T0):
            pass
        assert rows(store, "SELECT id FROM scheduled") == []

    def test_a_scheduled_message_that_is_over_is_forgotten(self, store: Store) -> None:
        """Without a client_id too, and if that was forgotten while it waited: once it was due as long ago."""
        for key in (None, "k"):
            number = do(store, said(text="later", key=key, send_at="+10s")).scheduled["id"]
            store.prune(T0 + 1, T0)
            assert isinstance(do(store, Deliver(number), at=T0 + 10_000), Stored)
        for before, left in ((T0 + 10_000, 2), (T0 + 10_001, 0)):
            store.prune(before, T0)
            assert rows(store, "SELECT count(*) FROM scheduled")[0][0] == left

    def test_what_is_old_is_forgotten_in_parts(self, store: Store) -> None:
        """Client ids and names: no transaction forgets more than some hundred, and all go that are old enough."""
        count = 2 * pruning.AT_ONCE + 1
        store.commit([Write(said(f"Ann{n}", key=f"k{n}"), T0, f"ann{n}") for n in range(count)])
        do(store, said("Zoe", key="young"), at=T0 + 90_000_000)
        left, more = [count + 1], True
        while more:
            more = store.prune(T0 + 1, T0 + 86_400_001)
            left.append(rows(store, "SELECT count(*) FROM sent")[0][0])
        assert left == [count + 1, count + 1 - pruning.AT_ONCE, 2, 1]
        assert len(rows(store, "SELECT * FROM name")) == 1

    def test_a_room_is_removed(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is unknown at once; what it held goes in bounded steps; under its name another history may begin."""
        monkeypatch.setattr(removal, "_AT_ONCE", 2)
        do(store, CreateRoom("tea"))
        for number in range(3):
            do(store, said(text=f"{WORD} {number}", room="tea", key=f"k{number}"))
        do(store, react(1, "like", room="tea"), who="bob")
        do(store, react(1, "🎉", room="tea"), who="bob")
        do(store, said(text=WORD, room="tea", send_at="+1h"))
        added = do(store, commands.AddQuote(quote=commands.NewQuote("q", "w"), room="tea")).event.envelope["quote"]
        position = cursor.parse(store.read("tea", START, 2).cursor)
        with pytest.raises(RoomUnknown):
            store.remove_room("none", T0)
        store.remove_room("tea", T0)
        assert [room["name"] for room in store.rooms()] == ["lobby"] and store.heads(["tea"]) == {}
        asks: list[Callable[[], Any]] = [
            lambda: store.read("tea", position, 9), lambda: store.snapshot("tea", 9),
            lambda: do(store, said(room="tea")),
        ]  # fmt: skip
        for ask in asks:
            with pytest.raises(RoomUnknown):
                ask()
        do(store, CreateRoom("tea"))
        assert whole(store) and WORD not in dumped(store)
        steps = 0
        while store.redact():
            steps += 1
            assert whole(store)
            store.rebuild(lambda done, all_there_are: None)
        assert steps > 5
        for table in ("event", "message", "reaction", "emoji_reaction", "sent", "scheduled", "name", "redaction"):
            assert rows(store, f"SELECT * FROM {table}") == []
        assert len(rows(store, "SELECT id FROM room")) == 2 and store.quote(added["id"]) == added
        do(store, said(room="tea"))
        do(store, said(room="tea"))
        with pytest.raises(HistoryChanged):
            store.read("tea", position, 9)

    def test_the_lobby_is_made_anew(self, store: Any) -> None:
        """Every page begins there: removed, it is empty, and of another history."""
        do(store, said())
        before = store.head("lobby")
        store.remove_room("lobby", T0)
        assert store.head("lobby").seq == 0 and store.head("lobby").cursor != before.cursor
        while store.redact():
            pass
        assert do(store, said()).seq == 1 and whole(store)

    def test_an_operator_deletes_any_message(self, store: Store) -> None:
        """Whoever sent it, also without identity; unknown ones are refused, and a repeat gets the first event."""
        do(store, said(text=WORD))
        do(store, said("Guest", WORD), who=None)
        for number in (1, 2):
            asked = Write(delete(number), T0, operator=True)
            first, again = store.commit([asked])[0], store.commit([asked])[0]
            assert isinstance(first, Stored) and isinstance(again, Stored) and again.duplicate
            assert first.event == again.event
        assert isinstance(store.commit([Write(delete(9), T0, operator=True)])[0], MessageUnknown)
        assert WORD not in served(store)

    def test_a_quote_is_taken_back(self, store: Any) -> None:
        """By who added it, once: its words are nowhere, its number is not given again, and the history is whole."""
        do(store, CreateRoom("tea"))
        add = commands.AddQuote(quote=commands.NewQuote(WORD, "W. S."), room="tea", client_id="q")
        quote = do(store, add).event.envelope["quote"]

        def remove(number: int, room: str = "tea") -> Any:
            return commands.RemoveQuote(quote=commands.QuoteId(number), room=room)

        assert store.quote_room(quote["id"]) == "tea" and store.quote_room(1) is None
        for command, who, refused in (
            (remove(quote["id"]), None, Unauthenticated), (remove(quote["id"]), "bob", Forbidden),
            (remove(1), "ann", Forbidden), (remove(quote["id"], "lobby"), "ann", QuoteUnknown),
            (remove(99_999), "ann", QuoteUnknown),
        ):  # fmt: skip
            with pytest.raises(refused):
                do(store, command, who=who)
        removed = do(store, remove(quote["id"]))
        stub = {"id": quote["id"], "quote": "", "author": "", "at": quote["at"], "removed": True}
        assert removed.event.envelope["quote"] == stub and store.removed_quotes() == 1
        assert do(store, remove(quote["id"])).duplicate
        added, _ = store.read("tea", START, 9).events
        assert added.envelope["quote"] == stub and do(store, add).event == added
        with pytest.raises(QuoteUnknown):
            store.quote(quote["id"])
        assert store.newest_quote() < quote["id"]
        assert WORD not in repr((store.quotes(None, 500), store.snapshot("tea", 9), dumped(store)))
        for table in ("event", "quote"):
            assert WORD not in repr(rows(store, f"SELECT * FROM {table}"))
        store.rebuild(lambda done, all_there_are: None)
        with pytest.raises(QuoteUnknown):
            store.quote(quote["id"])
        another = do(store, commands.AddQuote(quote=commands.NewQuote("new", "a"))).event.envelope["quote"]
        assert another["id"] > quote["id"]
        store.cut("tea", T0 + 1, 9)
        with pytest.raises(QuoteUnknown):
            store.quote(quote["id"])
        assert whole(store)

    def test_a_message_is_edited_a_bounded_number_of_times(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each edit stays in the log with the whole text; beyond the bound it is refused, and deleting still serves."""
        monkeypatch.setattr(messages, "MOST_EDITS", 3)
        do(store, said())
        do(store, react(1, "like"), who="bob")
        for number in range(3):
            do(store, edit(1, f"{number}"))
        with pytest.raises(Conflict):
            do(store, edit(1, "once more"))
        assert do(store, delete(1)).seq == 6

"""The search finds the same on both databases, and can be late but never wrong."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from contract import T0, delete, do, edit, react, said
from postgres import Server
from servers import until

from quotechat.config import Settings
from quotechat.hub.accounts.credentials import principal_of
from quotechat.protocol import commands
from quotechat.protocol.errors import Invalid, Overloaded, ParameterInvalid
from quotechat.protocol.events import rfc3339
from quotechat.protocol.rights.principal import Principal
from quotechat.protocol.search import question
from quotechat.store.accounts import accounts
from quotechat.store.base import CreateRoom, Stored, Write
from quotechat.store.maintenance import retention
from quotechat.store.open import open_index, open_store
from quotechat.store.postgres.connections import PostgresUnavailable
from quotechat.store.postgres.store import PostgresStore
from quotechat.store.search import asking, behind, chunks, following, fts, position, quotes
from quotechat.store.search import postgres as in_postgres
from quotechat.store.search.following import follow
from quotechat.store.search.index import Index, first_number, free_number
from quotechat.store.search.postgres import PostgresIndex
from quotechat.store.search.sqlite import SqliteIndex
from quotechat.store.sqlite.store import SqliteStore
from quotechat.store.transfer import backup, moving

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from questions import questions

CORPUS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "search.json").read_text("utf-8"))
NOBODY = Principal(None)


class Both(NamedTuple):
    """A store and its index; `again` opens the index as another process would."""

    store: Any
    index: Index
    again: Callable[[], Index]

    def ask(self, typed: str, principal: Principal = NOBODY, **more: Any) -> dict[str, Any]:
        """The answer to a question, without a bound of time."""
        return ask(self, typed, principal, **more)

    def texts(self, typed: str, principal: Principal = NOBODY, **more: Any) -> list[str]:
        """The texts that are found."""
        return [hit["message"]["message"] for hit in self.ask(typed, principal, **more)["hits"]]

    def follow(self, most: int = following.MOST_EVENTS) -> int:
        """Bring the index up to the log; how many steps it took."""
        for step in range(1, 1000):
            done = self.index.step(lambda log, writer: follow(log, writer, most))
            if done is not None and not done.more:
                return step
        raise AssertionError("the index never comes to the end of the log")


def ask(
    both: Both, typed: str, principal: Principal = NOBODY, *, before: str | None = None, limit: int = 50,
    best: bool = False, enough: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    search = asking.Search(both.store, both.index, question.parse(typed), principal)
    after = None if before is None else position.before_of(before)
    return (search.best if best else search.newest)(after, limit, enough)


@pytest.fixture(params=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Both]:
    with contextlib.ExitStack() as opened:
        if request.param == "sqlite":
            store: Any = SqliteStore(tmp_path / "quotechat.db")
            make: Callable[[], Index] = lambda: SqliteIndex(tmp_path / "search.db", store)  # noqa: E731  # one of two
        else:
            store = PostgresStore(request.getfixturevalue("new_tables")())
            make = lambda: PostgresIndex(store)  # noqa: E731  # one of two

        def again() -> Index:
            index = make()
            opened.callback(index.close)
            return index

        opened.callback(store.close)
        store.found(T0)
        yield Both(store, again(), again)


def alone(store: Any, index: Index) -> Both:
    return Both(store, index, lambda: index)


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days * 86_400_000


def tell(both: Both) -> dict[tuple[str, int], str]:
    """Send the corpus; the key of each message by room and id."""
    do(both.store, CreateRoom("tea"))
    keys = {}
    for place, each in enumerate(CORPUS["messages"]):
        command = said(each["user"], each["message"], room=each["room"])
        stored = do(both.store, command.normalised(commands.Bounds()), each["user"], day(each["day"]) + place)
        keys[each["room"], stored.seq] = each["key"]
    do(both.store, react(next(seq for (_, seq), key in keys.items() if key == "tea"), "like"), at=day("2026-03-20"))
    return keys


def check_corpus(both: Both, keys: dict[tuple[str, int], str]) -> None:
    for case in CORPUS["questions"]:
        answer = both.ask(case["q"])
        found = [keys[hit["room"], hit["message"]["id"]] for hit in answer["hits"]]
        assert found == case["hits"], (case["q"], case.get("why"))
        assert answer["has_more"] is False and "incomplete" not in answer


def test_the_corpus_is_found_by_the_index_and_without_it(both: Both) -> None:
    """Each question of the list gives the same hits on both databases, indexed, half indexed, and not indexed yet."""
    keys = tell(both)
    check_corpus(both, keys)
    both.index.step(lambda log, writer: follow(log, writer, 20))
    check_corpus(both, keys)
    both.follow()
    check_corpus(both, keys)
    for case in CORPUS["marks"]:
        hits = [hit for hit in both.ask(case["q"])["hits"] if keys[hit["room"], hit["message"]["id"]] == case["key"]]
        assert [hit["marks"] for hit in hits] == [case["marks"]], case["q"]


def test_refused_questions_are_refused(both: Both) -> None:
    """Before any database is asked."""
    for typed, field in CORPUS["refused"]:
        with pytest.raises(Invalid) as refused:
            both.ask(typed)
        assert refused.value.field == field


@pytest.mark.parametrize("indexed", [True, False])
def test_pages_follow_on_each_other(both: Both, indexed: bool) -> None:
    """Pages together are the whole, in order, each hit once, whatever the index has reached and is made meanwhile."""
    for number in range(23):
        do(both.store, said(text=f"tea {number}"), at=T0 + number // 3)
        if indexed and number == 11:
            both.follow()
    seen: list[str] = []
    before = None
    while True:
        answer = both.ask("tea", before=before, limit=4)
        seen += [hit["message"]["message"] for hit in answer["hits"]]
        if not answer["has_more"]:
            assert "before" not in answer
            break
        before = answer["before"]
    assert seen == [f"tea {number}" for number in reversed(range(23))]


def test_a_search_that_takes_too_long_says_how_far_it_came_and_goes_on(both: Both) -> None:
    """Bounded in time: then `searched` has the time that it came to, and `before` goes on from there."""
    for number in range(300):
        do(both.store, said(text=f"tea {number % 100}"), at=T0 + number)
    both.follow()
    answer = both.ask('tea -"tea 7"', enough=lambda: True)
    assert answer["has_more"] and answer["searched"]["through"] and len(answer["hits"]) == 1
    count, before = 1, answer["before"]
    while before is not None:
        answer = both.ask('tea -"tea 7"', before=before, enough=lambda: False)
        count, before = count + len(answer["hits"]), answer.get("before")
    assert count == 297


@pytest.mark.parametrize("indexed", [True, False])
def test_how_far_a_search_came_tells_nothing_of_hidden_rooms(both: Both, indexed: bool) -> None:
    """Not even when something was said there: its messages are no candidates, whatever words they have."""
    do(both.store, CreateRoom("tea"))
    do(both.store, said(text="visible tea"), at=T0 + 1000)
    for number in range(5):
        do(both.store, said(text=f"hidden tea r1 r2 {number}", room="tea"), at=T0 + 2000 + number)
    both.store.write_with(lambda sql: sql.run("UPDATE room SET kind = 'closed' WHERE name = 'tea'"))
    if indexed:
        both.follow()
    for typed in ("tea", "r2", "tea -visible", "before:2100-01-01"):
        answer = both.ask(typed, enough=lambda: True)
        assert "hidden" not in repr(answer)
        assert answer.get("searched", {"through": rfc3339(T0 + 1000)}) == {"through": rfc3339(T0 + 1000)}


@pytest.mark.parametrize("indexed", [True, False])
def test_a_position_in_a_hidden_room_is_one_in_no_room(both: Both, indexed: bool) -> None:
    """A `before` that is made up tells neither if there is such a room nor when something was said there."""
    do(both.store, CreateRoom("tea"))
    do(both.store, said(text="visible tea"), at=T0 + 1000)
    hidden = do(both.store, said(text="hidden tea", room="tea"), at=T0 + 2000).seq
    both.store.write_with(lambda sql: sql.run("UPDATE room SET kind = 'closed' WHERE name = 'tea'"))
    if indexed:
        both.follow()
    forms = (("{}", False), ("2.{0}~{0}~0.0.0", True), (f"2.{T0}.lobby.9~{T0 + 3000}.lobby.9~{{}}", True))
    for at in (0, T0 + 999, T0 + 1000, T0 + 2000):
        for form, best in forms:
            before = [form.format(f"{at}.{room}.{hidden}") for room in ("tea", "none")]
            answers = [both.ask("tea", before=each, best=best) for each in before]
            for answer, each in zip(answers, before, strict=True):  # a page gives back what it was given
                assert answer.pop("before", each).rpartition("~")[2] == each.rpartition("~")[2]
            assert answers[0] == answers[1]


def test_the_best_come_first(both: Both) -> None:
    """Phrase before words, whole words before beginnings, then newer; page by page."""
    for at, text in enumerate(("quick brown", "quickly browned", "brown quick", "a quick brown fox", "quicker browns")):
        do(both.store, said(text=text), at=T0 + at)
    both.follow()
    expected = ["a quick brown fox", "quick brown", "brown quick", "quicker browns", "quickly browned"]
    assert both.texts("quick brown in:lobby", best=True) == expected
    first = both.ask("quick brown in:lobby", best=True, limit=2)
    second = both.ask("quick brown in:lobby", best=True, limit=3, before=first["before"])
    assert [hit["message"]["message"] for hit in [*first["hits"], *second["hits"]]] == expected
    assert not second["has_more"]


def _pages(both: Both, typed: str, *, clocks: Sequence[bool] = (), **more: Any) -> list[list[str]]:
    """The texts of each page of the best, up to the last; of `clocks` each says if the time of a page is over."""
    found, before = [], None
    over = cycle(clocks or [False])
    for _ in range(20):
        enough = more.get("enough", partial(bool, next(over)))
        answer = both.ask(typed, best=True, before=before, **more | {"enough": enough})
        found.append([hit["message"]["message"] for hit in answer["hits"]])
        assert ("before" in answer) == answer["has_more"]
        assert answer["has_more"] or "searched" not in answer
        if not answer["has_more"]:
            return found
        before = answer["before"]
    raise AssertionError("the pages have no end")


@pytest.mark.parametrize("indexed", [True, False])
def test_a_search_for_the_best_goes_on_where_it_ended(
    both: Both, indexed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best of the newest come first, page by page, then those of the next; `searched` never without more."""
    texts = ["a tea", "teapot", "the tea", "teacup", "tea"]
    for at, text in enumerate(texts):
        do(both.store, said(text=text), at=T0 + at)
    if indexed:
        both.follow()
    assert [*chain(*_pages(both, "tea in:lobby", enough=lambda: True))] == texts[::-1]
    assert [*chain(*_pages(both, "nothing in:lobby", enough=lambda: True))] == []
    monkeypatch.setattr(asking, "MOST_BEST", 3)
    assert _pages(both, "tea in:lobby", limit=2) == [["tea", "the tea"], ["teacup"], ["a tea", "teapot"]]
    assert _pages(both, "tea in:lobby", limit=1) == [["tea"], ["the tea"], ["teacup"], ["a tea"], ["teapot"]]


@pytest.mark.parametrize("indexed", [True, False])
def test_later_pages_look_through_the_same_messages(both: Both, indexed: bool) -> None:
    """Whatever the clock says, and what is sent and deleted between two pages: no hit comes twice, and none never."""
    for at, text in enumerate(["the tea", "the best tea", "teapot", "teacup", "tea", "a tea", "teabag", "teaspoon"]):
        do(both.store, said(text=text), at=T0 + at)
    if indexed:
        both.follow()
    expected = ["a tea", "tea", "the best tea", "the tea", "teaspoon", "teabag", "teacup", "teapot"]
    for clocks in ([False, True, False, True], [True, False, True, False]):
        assert [*chain(*_pages(both, "tea in:lobby", limit=2, clocks=clocks))] == (
            # A first page whose time is over at once is chosen among one message.
            ["teaspoon", *(text for text in expected if text != "teaspoon")] if clocks[0] else expected
        )
    found, before = [], None
    for number, more in enumerate(["more tea", "late tea", ""]):
        answer = both.ask("tea in:lobby", best=True, limit=2, before=before)
        found += [hit["message"]["message"] for hit in answer["hits"]]
        before = answer.get("before")
        if more:
            do(both.store, said(text=more), at=T0 + 100 + number)
            do(both.store, delete(8 - number))
        if indexed:
            both.follow()
    assert found == ["a tea", "tea", "the best tea", "the tea", "teacup", "teapot"]
    assert before is None


def test_a_later_page_that_takes_too_long_is_refused(both: Both) -> None:
    """It would tell hits twice, or never, if it ended before the page before it."""
    for at in range(4):
        do(both.store, said(text="tea"), at=T0 + at)
    both.follow()
    search = asking.Search(both.store, both.index, question.parse("tea in:lobby"), NOBODY)
    first = search.best(None, 2, lambda: False)
    later = asking.Search(both.store, both.index, question.parse("tea in:lobby"), NOBODY)
    with pytest.raises(Overloaded):
        later.best(position.before_of(first["before"]), 2, lambda: False, lambda: True)


def test_a_rank_without_a_window_is_refused(both: Both) -> None:
    """As earlier versions gave it: the page before it would have to be guessed."""
    for before in (f"2.{T0}.lobby.1", f"2.{T0}.lobby.1~{T0}.lobby.2", f"{T0}.lobby.1~{T0}.lobby.2~{T0}.lobby.3"):
        with pytest.raises(ParameterInvalid):
            both.ask("tea in:lobby", best=True, before=before)


def test_what_changes_is_found_as_it_is(both: Both) -> None:
    """Edits, deletions and cuts hold at once, before the index hears of them, and after it has."""
    store = both.store
    for at, text in enumerate(("old tea", "other tea", "third tea")):
        do(store, said(text=text), at=T0 + at)
    both.follow()
    do(store, edit(1, "new coffee"))
    do(store, delete(2))
    for _ in range(2):
        assert both.texts("tea") == ["third tea"]
        assert both.texts("old") == []
        assert both.texts("coffee") == ["new coffee"]
        both.follow()
    do(store, said(text="late tea"), at=T0 + 100)
    store.cut("lobby", T0 + 3, 100)
    for _ in range(2):
        assert both.texts("tea") == ["late tea"]
        assert both.texts("coffee") == []
        both.follow()


def test_a_reply_shows_its_parent_as_it_is(both: Both) -> None:
    """A hit is a message as readers get it: the excerpt of a deleted parent is not told, and not searched."""
    do(both.store, said(text="secret word"))
    do(both.store, said(text="an answer", reply_to=1))
    both.follow()
    assert both.texts("secret") == ["secret word"]
    do(both.store, delete(1))
    [hit] = both.ask("answer")["hits"]
    assert hit["message"]["reply_to"]["deleted"] is True
    assert both.texts("secret") == []


def test_a_room_that_is_removed_is_found_no_more(both: Both) -> None:
    """At once, and its documents go; the name may be used again."""
    do(both.store, CreateRoom("tea"))
    do(both.store, said(text="hidden", room="tea"))
    both.follow()
    both.store.remove_room("tea", T0)
    assert both.texts("hidden") == []
    do(both.store, CreateRoom("tea"))
    do(both.store, said(text="fresh", room="tea"))
    both.follow()
    assert both.texts("hidden") == [] and both.texts("fresh in:tea") == ["fresh"]


def test_an_index_of_another_history_is_made_anew(both: Both) -> None:
    """A position that the log does not know, or knows with another tag, drops what was made of it."""
    do(both.store, said(text="one tea"))
    both.follow()
    place = following.Place(7, "f" * 16, 0)
    both.index.step(lambda log, writer: writer.settle(1, place))
    both.follow()
    assert both.texts("tea") == ["one tea"]
    both.index.step(lambda log, writer: writer.settle(1, following.Place(1, "f" * 16, 0)))
    do(both.store, said(text="two tea"))
    both.follow()
    assert both.texts("tea") == ["two tea", "one tea"]


def test_two_processes_index_one_after_the_other(both: Both) -> None:
    """Of two, one indexes at a time; each sees what the other has done."""
    do(both.store, said(text="one tea"))
    other = both.again()
    both.follow()
    inner = both.index.step(lambda log, writer: other.step(lambda log, writer: True))
    assert inner is None
    with other.reading() as reader:
        assert reader is not None and reader.places()[1].seq == 1


def test_a_step_that_fails_leaves_no_trace(both: Both) -> None:
    """Documents and position change together, or not at all: killed between them, the index goes on from before."""
    do(both.store, said(text="one tea"))

    def half(log: Any, writer: Any) -> None:
        follow(log, writer)
        raise KeyError("killed")

    with pytest.raises(KeyError):
        both.index.step(half)
    with both.index.reading() as reader:
        assert reader is None or reader.places() == {}
    both.follow()
    assert both.texts("tea") == ["one tea"]


def test_a_cleared_index_comes_back(both: Both) -> None:
    """Thrown away under its readers, it is made anew; meanwhile what is new is found all the same."""
    keys = tell(both)
    both.follow()
    both.index.clear()
    assert both.texts("teapot") == ["The teapot is broken"]
    both.follow()
    check_corpus(both, keys)
    assert both.index.size() > 0


def test_tables_that_are_emptied_are_made_anew(new_tables: Callable[[], str]) -> None:
    """Each of them, by whoever cleared PostgreSQL's index by hand; what is found stays right meanwhile and after."""
    with contextlib.closing(PostgresStore(new_tables())) as store:
        store.found(T0)
        both = alone(store, PostgresIndex(store))
        for number, table in enumerate(("search_doc", "search_part", "search_position")):
            do(store, said(text=f"tea {number}"), at=T0 + number)
            both.follow()
            store.write_with(lambda sql, table=table: sql.run(f"TRUNCATE {table}"))
            expected = [f"tea {each}" for each in range(number, -1, -1)]
            assert both.texts("tea") == expected
            both.follow()
            assert both.texts("tea") == expected
            rows = store.read_with(lambda sql: sql.one("SELECT count(*) FROM search_doc WHERE room_id > 0"))
            assert rows == (number + 1,)


def test_a_step_ends_in_time_too(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among long messages before it has read as many events as it may: its transaction is open meanwhile."""
    monkeypatch.setattr(following, "MOST_SECONDS", -1.0)
    monkeypatch.setattr(following, "_AT_ONCE", 3)
    for number in range(8):
        do(both.store, said(text=f"tea {number}"), at=T0 + number)
    assert both.index.step(lambda log, writer: follow(log, writer, 100)) == (3, False, True)
    both.follow()
    assert len(both.texts("tea")) == 8


def test_what_the_index_lacks_is_named(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search looks through a bounded number of messages behind the index, and says if there are more."""
    monkeypatch.setattr(behind, "MOST_BEHIND", 3)
    for number in range(5):
        do(both.store, said(text=f"tea {number}"), at=T0 + number)
    answer = both.ask("tea")
    assert [hit["message"]["message"] for hit in answer["hits"]] == ["tea 4", "tea 3", "tea 2"]
    assert answer["incomplete"] is True
    both.follow()
    assert len(both.ask("tea")["hits"]) == 5 and "incomplete" not in both.ask("tea")


def test_own_messages_are_found_by_identity(both: Both) -> None:
    """`from:me` is the caller's identity, whatever the name; nobody has none."""
    do(both.store, said("Ann", "tea one"), "a" * 32)
    do(both.store, said("Ann B", "tea two"), "a" * 32)
    do(both.store, said("Cy", "tea three"), "c" * 32)
    for _ in range(2):
        assert both.texts("from:me", Principal("a" * 32)) == ["tea two", "tea one"]
        assert both.texts("tea -from:me", Principal("a" * 32)) == ["tea three"]
        assert both.texts("from:me") == []
        both.follow()


def test_answers_to_ones_messages_mention_one(both: Both) -> None:
    """`mentions:me` finds them, which no term and no text says; one's own answers are none."""
    bea = both.store.write_with(lambda sql: accounts.make(sql, "Bea", "member", T0))
    cai = both.store.write_with(lambda sql: accounts.make(sql, "Cai", "member", T0))
    me = principal_of(bea, None, None)
    do(both.store, said("Bea", "tea?"), bea.identity, T0 + 1)
    for number, (account, text, parent) in enumerate(
        [(cai, "yes, tea", 1), (cai, "coffee", 1), (cai, "green tea", 1), (cai, "no tea", None), (bea, "my tea", 1)]
    ):
        do(both.store, said(account.name, text, reply_to=parent), account.identity, T0 + 2 + number)
    for _ in range(2):
        assert both.texts("mentions:me", me) == ["green tea", "coffee", "yes, tea"]
        assert both.texts("tea mentions:me", me) == ["green tea", "yes, tea"]
        assert both.texts("tea -mentions:me", me) == ["my tea", "no tea", "tea?"]
        first = both.ask("mentions:me", me, limit=1)
        assert both.texts("mentions:me", me, limit=9, before=first["before"]) == ["coffee", "yes, tea"]
        assert both.texts("mentions:me", principal_of(cai, None, None)) == both.texts("mentions:me") == []
        both.follow()


def test_quotes_are_found_by_the_same_terms(both: Both) -> None:
    """Words of quote and author, without case and accents; a removed quote at once no more."""
    add = commands.AddQuote(quote=commands.NewQuote("Le café n'est jamais trop fort", "Zoë Ñandú"), room="lobby")
    stored = do(both.store, add)
    number = stored.event.envelope["quote"]["id"]

    def found(words: str, before: int | None = None) -> list[int]:
        page = quotes.search(both.store, both.index, question.words(words), before, 50)
        return [each["id"] for each in page.quotes]

    for _ in range(2):
        assert found("CAFE fort") == found("nandu") == [number]
        assert found("afe") == [] and found("***") == [] and found("cafe", number) == []
        assert len(found("the")) > 1 and found("the") == sorted(found("the"), reverse=True)
        both.follow()
    do(both.store, commands.RemoveQuote(quote=commands.QuoteId(number), room="lobby"))
    for _ in range(2):
        assert found("cafe") == []
        both.follow()


def test_only_quotes_of_the_index_are_looked_through(both: Both) -> None:
    """A word that few quotes have costs few of them, however many there are; what is not indexed yet is read."""
    texts = [f"tea number {number}" for number in range(120)]
    adds = [commands.AddQuote(quote=commands.NewQuote(text, "Ann"), room="lobby") for text in texts]
    assert all(isinstance(each, Stored) for each in both.store.commit([Write(add, T0, "ann") for add in adds]))

    def looked(words: str) -> int:
        return quotes.search(both.store, both.index, question.words(words), None, 50).looked

    assert looked("zzzz") >= len(texts)
    both.follow()
    assert (looked("zzzz"), looked("tea 77")) == (0, 1)
    do(both.store, commands.AddQuote(quote=commands.NewQuote("coffee", "Ann"), room="lobby"))
    assert (looked("zzzz"), looked("tea 77")) == (1, 2)


def test_hostile_questions_are_answered_or_refused(both: Both) -> None:
    """Nothing that a person typed is read as a query language: a few hundred of `make fuzz-search`."""
    keys = tell(both)
    both.follow()
    answered = 0
    for asked in islice(questions(), 300):
        with contextlib.suppress(Invalid):
            for hit in both.ask(asked)["hits"]:
                assert (hit["room"], hit["message"]["id"]) in keys
            answered += 1
    assert answered > 100


def test_numbers_of_documents_grow_with_time() -> None:
    """Thousands within one millisecond follow on each other, and leave no two with one number."""
    used: list[int] = []
    for _ in range(3000):
        used.append(free_number(5, lambda below: max((n for n in used if n < below), default=None)))
    assert used == list(range(first_number(5), first_number(5) + 3000))
    assert free_number(4, lambda below: None) < used[0]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_copies_have_no_index_and_make_their_own(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """Moved, or backed up and restored: the copy holds no index, and finds all as soon as it has made one."""
    source = Settings(data=tmp_path / "source")
    with contextlib.closing(open_store(source)) as store:
        store.found(T0)
        do(store, said(text="one tea"))
        with contextlib.closing(open_index(source, store)) as index:
            alone(store, index).follow()
    moved = Settings(
        data=tmp_path / "moved", database=request.getfixturevalue("new_schema")() if kind == "postgres" else ""
    )
    moving.move(source, moved, lambda _: contextlib.nullcontext(lambda done, all_there_is: None))
    copies = [moved]
    if kind == "sqlite":
        copy, restored = tmp_path / "copy", Settings(data=tmp_path / "restored")
        paths = (source.data / "quotechat.db", source.data / "secret")
        backup.back_up(*paths, copy, lambda done, all_there_is: None, T0)
        backup.restore(
            copy, restored.data / "quotechat.db", restored.data / "secret", lambda done, all_there_is: None
        )
        copies.append(restored)
    for settings in copies:
        assert not list(settings.data.glob("search*"))
        with contextlib.closing(open_store(settings)) as store:
            with contextlib.closing(open_index(settings, store)) as index:
                target = alone(store, index)
                assert target.texts("tea") == ["one tea"]
                with index.reading() as reader:
                    assert reader is None or reader.places() == {}
                target.follow()
                assert target.texts("tea") == ["one tea"]


def test_a_connection_to_a_damaged_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, not by the garbage collector: a descriptor may be needed, and Python 3.13 warns of it."""
    opened: list[sqlite3.Connection] = []
    connect = SqliteIndex._connect

    def noting(index: SqliteIndex, *pragmas: str, mode: str = "rwc") -> sqlite3.Connection:
        opened.append(connect(index, *pragmas, mode=mode))
        return opened[-1]

    monkeypatch.setattr(SqliteIndex, "_connect", noting)
    path = tmp_path / "search.db"
    path.write_bytes(b"no database" * 999)
    with contextlib.closing(SqliteStore(tmp_path / "quotechat.db")) as store:
        with contextlib.closing(SqliteIndex(path, store)) as index, index.reading() as reader:
            assert reader is None
    assert len(opened) == 1
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


def test_a_lock_that_is_refused_leaves_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every file system has locks: the indexer asks again and again."""

    def refuse(number: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with contextlib.closing(SqliteStore(tmp_path / "quotechat.db")) as store:
        index = SqliteIndex(tmp_path / "search.db", store)
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", refuse)
            for _ in range(3):
                with pytest.raises(OSError, match="No locks"):
                    index.clear()
        lock = str(tmp_path / "search.lock")
        assert [each for each in Path("/proc/self/fd").iterdir() if os.path.realpath(each) == lock] == []
        index.close()


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    """Half a file, bytes that are none of ours, or another version: a search goes on, and the index comes back."""
    with contextlib.closing(SqliteStore(tmp_path / "quotechat.db")) as store:
        store.found(T0)
        do(store, said(text="one tea"))
        path = tmp_path / "search.db"
        for damage in (b"", b"no database" * 999, None):
            index = SqliteIndex(path, store)
            both = alone(store, index)
            both.follow()
            assert both.texts("tea") == ["one tea"]
            index.close()
            if damage is None:
                with contextlib.closing(sqlite3.connect(path)) as sql:
                    sql.execute("PRAGMA user_version = 99")
            else:
                path.write_bytes(damage)
            index = SqliteIndex(path, store)
            both = alone(store, index)
            assert both.texts("tea") == ["one tea"]
            both.follow()
            assert both.texts("tea") == ["one tea"]
            index.close()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of ten documents."""
    for module in (fts, in_postgres, following):
        monkeypatch.setattr(module, "MOST_DOCS", 10)
    monkeypatch.setattr(following, "_SAMPLES", 5)


def parts_of(both: Both, tmp_path: Path) -> int:
    if isinstance(both.store, PostgresStore):
        return int(both.store.read_with(lambda sql: sql.one("SELECT count(*) FROM search_part"))[0])
    with contextlib.closing(sqlite3.connect(tmp_path / "search.db")) as sql:
        return int(sql.execute("SELECT count(*) FROM part").fetchone()[0])


def pages(both: Both, typed: str, *, late: bool = True) -> list[str]:
    """All hits, by pages that end after each part; `late` if the time is up at once."""
    found: list[str] = []
    before = None
    for _ in range(200):
        answer = both.ask(typed, before=before, limit=7, enough=lambda: late)
        found += [hit["message"]["message"] for hit in answer["hits"]]
        if not answer["has_more"]:
            return found
        before = answer["before"]
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("live", [True, False])
def test_an_index_in_parts_is_one(both: Both, tmp_path: Path, small_parts: None, live: bool) -> None:
    """Made at once or message by message: pages that end after any part are the whole, in order, each hit once."""
    store = both.store
    do(store, CreateRoom("tea"))
    for number in range(40):
        room = ("lobby", "tea")[number % 3 == 0]
        word = "oldest" if number == 0 else "teapot"
        do(store, said(text=f"{word} {number}", room=room), at=T0 + number * 20_000)
        if live and number % 5 == 4:
            both.follow()
    both.follow()
    assert parts_of(both, tmp_path) > 3
    everything = [f"teapot {number}" for number in range(39, 0, -1)]
    assert both.texts("teap", limit=100) == pages(both, "teap") == pages(both, "teap", late=False) == everything
    assert pages(both, "oldest") == ["oldest 0"]
    assert pages(both, "teapot in:tea") == [f"teapot {number}" for number in range(39, 0, -1) if number % 3 == 0]
    do(store, edit(2, "coffee instead", room="tea"))
    do(store, delete(3, room="lobby"))
    do(store, said(text="oldest of an import"), at=T0 - 60_000)
    both.follow()
    both.index.tidy()
    assert pages(both, "coffee") == ["coffee instead"]
    assert pages(both, "oldest") == ["oldest 0", "oldest of an import"]
    assert len(pages(both, "teap")) == 37


def test_a_search_without_hits_ends_after_a_part(
    both: Both, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says how far it came: parts may be many, and each takes its time."""
    monkeypatch.setattr(in_postgres, "_LOOK_SECONDS", -1.0)
    for number in range(30):
        do(both.store, said(text="oldest" if number == 0 else "teapot"), at=T0 + number * 20_000)
    both.follow()
    nothing = both.ask("oldest", enough=lambda: True)
    assert nothing["hits"] == [] and nothing["has_more"] and "searched" in nothing
    assert both.ask("oldest", before=nothing["before"])["hits"]


def test_postgres_gives_up_a_statement_that_takes_too_long(
    new_tables: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends there too, so it costs neither the connection nor a second try; the search is refused for now."""
    monkeypatch.setattr(in_postgres, "_MOST_MS", 100)
    with contextlib.closing(PostgresStore(new_tables())) as store:
        store.found(T0)
        both = alone(store, PostgresIndex(store))
        do(store, said(text="tea"))
        both.follow()
        with monkeypatch.context() as slow:
            slow.setattr(in_postgres, "_rows", lambda sql, *_: list(sql.all("SELECT pg_sleep(60)")))
            with pytest.raises(Overloaded) as refused:
                both.ask("tea")
        assert not isinstance(refused.value, PostgresUnavailable)
        monkeypatch.undo()
        assert both.texts("tea") == ["tea"]


def test_a_search_reads_less_at_a_time_the_longer_that_takes() -> None:
    """So that it ends in time among long messages, and asks seldom among short ones."""
    assert chunks.next_size(50, 0.001) == 200 and chunks.next_size(200, 0.001) == 400
    assert chunks.next_size(50, 0.02) == 50
    assert chunks.next_size(50, 0.3) == 25 and chunks.next_size(10, 9.0) == 10


def test_words_that_are_gone_are_in_no_file_of_the_index(tmp_path: Path) -> None:
    """Deleted, edited away, cut off or removed with their room: after a tidy no byte of them is left."""
    with contextlib.closing(SqliteStore(tmp_path / "quotechat.db")) as store:
        store.found(T0)
        do(store, CreateRoom("tea"))
        words = ("zebrafish", "quagmire", "xylophone", "жирафов")
        for at, word in enumerate(words):
            do(store, said(text=f"{word} and more"), at=T0 + at)
        do(store, said(text="wombat", room="tea"))
        for number in range(300):
            do(store, said(text=f"filler {number}"), at=T0 + 10 + number)
        index = SqliteIndex(tmp_path / "search.db", store)
        both = alone(store, index)
        both.follow()
        do(store, edit(2, "harmless"))
        do(store, delete(3))
        do(store, delete(4))
        store.remove_room("tea", T0)
        with store.writing() as sql:
            retention.cut(sql, "lobby", T0 + 1, 1)
        both.follow()
        assert index.tidy()
        found = {each.name: each.read_bytes() for each in tmp_path.glob("search*")}
        for word in ("zebrafish", "quagmire", "xylophone", "wombat", "жирафов".encode().hex()):
            assert [name for name, held in found.items() if word.encode() in held] == []
        assert any(b"harmless" in held for held in found.values())
        index.close()


def test_words_that_are_gone_are_in_no_file_of_the_tables(
    new_tables: Callable[[], str], postgres_server: Server
) -> None:
    """After VACUUM FULL, as docs/explanation/search.md says; before it, PostgreSQL keeps them."""
    url = new_tables()
    name = url.rpartition("/")[2].partition("?")[0]
    with contextlib.closing(PostgresStore(url)) as store:
        store.found(T0)
        both = alone(store, PostgresIndex(store))
        both.follow()  # the quotes of a new server
        words = ("shrew", "shrew", "shrew", "zebrafish", "quagmire", "harmless")
        for at, word in enumerate(words):
            do(store, said(text=f"{word} and more"), at=T0 + at)
        both.follow()
        do(store, edit(5, "wombat"))
        for dropped in (1, 2, 3, 4):  # VACUUM alone moves what is left to the places of the first ones
            do(store, delete(dropped))
        both.follow()

        def held(word: bytes) -> bool:
            for work in ("VACUUM FULL search_doc", "CHECKPOINT"):
                postgres_server.sql(work, name)
            rows = postgres_server.sql(
                "SELECT pg_relation_filepath(oid) FROM pg_class WHERE oid = 'search_doc'::regclass"
                " OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'search_doc'::regclass)", name,
            )  # fmt: skip
            return any(word in (postgres_server.directory / "data" / path).read_bytes() for (path,) in rows)

        for word in (b"zebrafish", b"quagmire"):
            # VACUUM leaves what another transaction may still see, if only that of an ANALYZE by itself.
            until(lambda word=word: not held(word), what=f"{word!r} to be gone")
        assert held(b"harmless") and held(b"wombat")

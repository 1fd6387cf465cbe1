"""A store as a stream and back: between both kinds, through a file, broken off anywhere and given again."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from contract import T0, delete, do, edit, react, said
from servers import until

from quotechat.config import Settings
from quotechat.protocol import commands, cursor
from quotechat.protocol.cursor import START
from quotechat.protocol.errors import CursorExpired
from quotechat.store import members, rules
from quotechat.store.accounts import accounts, sessions, tickets
from quotechat.store.administration import site
from quotechat.store.base import CreateRoom, Deliver, EraseMessage, Impossible, Write
from quotechat.store.disk.lock import InUse
from quotechat.store.ledger import Ledger
from quotechat.store.open import look, open_store, secret_of
from quotechat.store.postgres import connections
from quotechat.store.programs import subscribers
from quotechat.store.shapes import Sql
from quotechat.store.transfer import carrying, copying, exports, loading, moving

TABLES = {
    "room": "name, title, head, chain, floor, floor_chain, created_at, kind, about, last, messages, floor_messages,"
    " pair",
    "event": "seq, command, at, body, tag, digest, target, identity, reaction, emoji",
    "message": "id, identity, body, likes, dislikes, reactions, deleted, reply_to, n",
    "reaction": "message_id, identity, value",
    "emoji_reaction": "message_id, identity, emoji",
    "quote": "id, seq, identity, body",
    "sent": "sender, client_id, hash, at, seq, scheduled",
    "scheduled": "id, identity, client_id, due_at, message, state, seq",
    "name": "skeleton, identity, at",
    "member": "account_id, role, level, read_id, read_n, muted_until, spoke_at, at",
    "report": "message_id, account_id, reason, at, state, closed_by",
    **{table: ", ".join(columns) for table, columns in carrying.TABLES.items()},
}


@contextlib.contextmanager
def quiet(_: str = "") -> Iterator[Any]:
    yield lambda done, all_there_are: None


def nothing(done: int, all_there_are: int) -> None:
    pass


def peopled(settings: Settings) -> None:
    """A bit of everything, in two rooms, with a beginning that is kept no longer."""
    with contextlib.closing(open_store(settings)) as store:
        store.found(T0)
        do(store, CreateRoom("tea", "Tea & cake"))
        do(store, said(text="old", key="k"))
        do(store, commands.AddQuote(quote=commands.NewQuote("q", "w")))
        do(store, said(text="**hello** – ✓", key="h"), at=T0 + 5)
        do(store, said("Bob", "answer", reply_to=3), who="bob", at=T0 + 5)
        do(store, said("Bob", "to the old one", reply_to=1), who="bob", at=T0 + 5)
        do(store, react(1, "like"), who="bob", at=T0 + 5)
        do(store, react(3, "like"), who="bob", at=T0 + 5)
        do(store, react(3, "dislike"), at=T0 + 5)
        do(store, edit(3, "edited"), at=T0 + 5)
        do(store, said(text="gone"), at=T0 + 6)
        do(store, said("Bob", "re: gone", reply_to=10), who="bob", at=T0 + 6)
        do(store, delete(10), at=T0 + 6)
        do(store, said(text="later", key="l", send_at="+1h"), at=T0 + 6)
        do(store, Deliver(do(store, said(text="soon", key="s", send_at="+1s"), at=T0).scheduled["id"]), at=T0 + 7)
        do(store, said(text="tea?", room="tea"), who=None, at=T0 + 8)
        assert store.cut("lobby", T0 + 5, 100) == 2
        store.secret()


def signed_in(settings: Settings) -> None:
    """Two accounts, one of them with a session, a token, a link and what it wrote as a visitor."""
    with contextlib.closing(open_store(settings)) as store:
        password = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
        owner = store.write_with(lambda sql: accounts.make(sql, "Azin", "owner", T0, password=password))
        other = store.write_with(lambda sql: accounts.make(sql, "Bo", "member", T0, made_by=owner.id))
        session = sessions.Session(
            sessions.hashed("s"), owner.id, "Firefox", T0, T0, T0, T0 + 9, "Mozilla/5.0", "192.0.2.0"
        )
        token = sessions.Token("abcdefgh", sessions.hashed("t"), owner.id, "laptop", "read write", None, T0, None, None)
        store.write_with(lambda sql: sessions.start(sql, session))
        store.write_with(lambda sql: sessions.add_token(sql, token))
        store.write_with(lambda sql: tickets.make(sql, "join", T0, 99, role="member", made_by=owner.id, note="7b"))
        store.write_with(lambda sql: accounts.claim(sql, owner, "ann"))
        store.write_with(lambda sql: site.change(sql, {"title": "Class 7b"}))
        do(store, said("Azin", "hello"), who=owner.identity, at=T0 + 9)
        room = do(store, CreateRoom("staff", "Staff", "closed", (other.key,)), owner.identity, T0 + 9).room["name"]
        about = commands.AboutChange(topic="News", posting="managers")
        for command in (
            commands.SetRoom(about=about, room=room),
            commands.SetMember(member=commands.MemberChange(other.key, role="manager"), room=room),
            commands.RemoveMember(member=commands.MemberId(other.key), room=room),
        ):
            do(store, command, owner.identity, T0 + 9)
        store.write_with(lambda sql: belonging(sql, owner.id))


def belonging(sql: Sql, account: int) -> None:
    """One member, and what it minds."""
    sql.run("UPDATE room SET kind = 'direct', about = '{\"slow\":9}', pair = ? WHERE name = 'tea'", b"p" * 16)
    tea = members.membership(sql, "tea", account)
    assert tea is not None
    members.add(sql, tea.room_id, account, "manager", (1, 1), T0)
    sql.run("UPDATE member SET muted_until = ?, level = 'nothing' WHERE account_id = ?", T0 + 99, account)
    sql.run("INSERT INTO blocked (account_id, other) VALUES (?, 2)", account)
    sql.run("INSERT INTO bar (key, until, made_by) VALUES ('192.0.2.1', ?, ?)", T0, account)
    sql.run(
        "INSERT INTO report (room_id, message_id, account_id, reason, at) VALUES (?, 1, ?, 'rude', ?)",
        tea.room_id, account, T0,
    )  # fmt: skip


def contents(settings: Settings) -> dict[str, list[Any]]:
    """All rows of all tables with the name of their room for its id, and the secret."""
    with look(settings) as sql:
        found: dict[str, list[Any]] = {"secret": [secret_of(settings, sql)]}
        for table, columns in TABLES.items():
            without_room = table == "room" or table in carrying.TABLES
            of = "" if without_room else ", (SELECT name FROM room WHERE room.id = room_id) AS of_room"
            rows = [
                [bytes(each) if isinstance(each, memoryview) else each for each in row]
                for row in sql.all(f"SELECT {columns}{of} FROM {table}")
            ]
            found[table] = sorted(rows, key=repr)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "source")
    peopled(settings)
    return settings


def exported(settings: Settings, only: tuple[str, ...] = ()) -> list[bytes]:
    with look(settings) as sql:
        rooms = copying.rooms(sql, only)
        header = exports.Header({room.name: room.cursor for room in rooms}, sum(room.head for room in rooms))
        return list(exports.lines(header, copying.dump(sql, secret_of(settings, sql), only)))


def imported(settings: Settings, lines: list[bytes], rename: str | None = None) -> list[loading.Loaded]:
    header = exports.header_of(lines[0])
    with contextlib.closing(open_store(settings)) as store:
        return loading.load(store, exports.records(header, lines[1:], rename), nothing, header.events)


def without_excerpt(envelope: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(envelope)
    found.get("message", {}).get("reply_to", {}).pop("excerpt", None)
    return found


def test_there_and_back_nothing_has_changed(source: Settings, database: str, tmp_path: Path) -> None:
    """SQLite to PostgreSQL and back: every row of every table, the secret, the history; numbers go on behind."""
    before = contents(source)
    there = dataclasses.replace(source, database=database)
    assert moving.move(source, there, quiet).events == 12
    assert contents(there) == before
    back = Settings(data=tmp_path / "back")
    moving.move(there, back, quiet)
    assert contents(back) == before
    for settings in (there, back):
        with contextlib.closing(open_store(settings)) as store:
            store.found(T0)
            assert do(store, said(text="later still", send_at="+1h"), at=T0 + 9).scheduled["id"] == 3
            assert do(store, said(text="next"), at=T0 + 9).seq == 14
            assert do(store, said(text="**hello** – ✓", key="h"), at=T0 + 9).duplicate
            with pytest.raises(CursorExpired):
                store.read("lobby", cursor.Cursor(1), 9)
            rebuilt = contents(settings)
            store.rebuild(nothing)
        assert contents(settings) == rebuilt


def test_an_export_is_the_stream_and_all_beside_it(source: Settings, tmp_path: Path) -> None:
    """Its events are the envelopes that readers get, with excerpts as they were sent; an import of it is the same
    store, also after `jq -c`."""
    lines = exported(source)
    with contextlib.closing(open_store(source)) as store:
        events = [event.envelope for event in store.read("lobby", START, 99).events]
    told = [json.loads(line) for line in lines]
    public = [{key: value for key, value in each.items() if key != "private"} for each in told]
    logged = [each for each in public if "seq" in each and each.get("room") == "lobby" and "cursor" in each]
    assert [without_excerpt(each) for each in logged] == [without_excerpt(each) for each in events]
    respaced = [json.dumps(each).encode() + b"\n" for each in told]
    target = Settings(data=tmp_path / "target")
    assert [(each.room.name, each.there) for each in imported(target, respaced)] == [("lobby", False), ("tea", False)]
    assert contents(target) == contents(source)
    assert [each.there for each in imported(target, lines)] == [True, True]


def test_one_room_goes_into_a_store_that_is_in_use(source: Settings, tmp_path: Path) -> None:
    """Under its own name or another; ids that others have are changed, what is there is not; no secret comes along."""
    lines = exported(source, ("lobby",))
    assert not [line for line in lines if b'"command":"secret"' in line]
    target = Settings(data=tmp_path / "target")
    with contextlib.closing(open_store(target)) as store:
        store.found(T0)
        own = do(store, said(text="own", key="l", send_at="+1h")).scheduled
        secret = store.secret()
        with pytest.raises(Impossible, match="a room lobby already"):
            imported(target, lines)
        assert [room["name"] for room in store.rooms()] == ["lobby"]
        imported(target, lines, "history")
        assert store.scheduled("lobby", "ann") == [own] and store.secret() == secret
        (moved,) = store.scheduled("history", "ann")
        assert moved["message"]["message"] == "later" and moved["id"] != own["id"]
        again = do(store, said(text="later", key="l", send_at="+1h", room="history"), at=T0 + 6)
        assert again.duplicate and again.scheduled == moved
        assert do(store, said(room="history"), at=T0 + 9).seq == 14
        assert not [step for step in store.verify() if step.problem]


def test_a_quote_whose_number_is_taken_is_refused(source: Settings, tmp_path: Path, monkeypatch: Any) -> None:
    """The number is part of the log; nothing of the room is left behind."""
    monkeypatch.setattr(loading, "_AT_ONCE", 2)
    target = Settings(data=tmp_path / "target")
    for settings in (source, target):
        with contextlib.closing(open_store(settings)) as store:
            store.found(T0)
            do(store, commands.AddQuote(quote=commands.NewQuote(f"of {settings.data}", "w")))
            do(store, commands.AddQuote(quote=commands.NewQuote(f"of {settings.data} too", "w")))
    before = contents(target)
    with pytest.raises(Impossible, match="history: quote 66 is another one here"):
        imported(target, exported(source, ("lobby",)), "history")
    assert contents(target) == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: lines[:12], "before room lobby is whole"),
        (lambda lines: lines[:-1], "before room tea is whole"),
        (lambda lines: [*lines[:8], lines[8][:-9], *lines[9:]], "line 9: Not JSON"),
        (lambda lines: [line.replace(b"answer", b"Answer") for line in lines], "changed"),
        (lambda lines: [line for line in lines if b'"seq":9,' not in line], "event 9 is missing"),
        (lambda lines: [line for line in lines if b'"seq":13,"cursor"' not in line], "its head is 13"),
    ],
)
def test_a_broken_file_is_told_and_a_whole_one_goes_on(
    source: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], problem: str
) -> None:
    """No part of a room is seen, and a server does not start on it; the whole file makes the same store after all."""
    monkeypatch.setattr(loading, "_AT_ONCE", 2)
    with look(source) as sql:
        header = [line for line in exported(source) if b'"command":"quote"' not in line]
        assert copying.rooms(sql)
    target = Settings(data=tmp_path / "target")
    with pytest.raises(Impossible, match=problem):
        imported(target, change(header))
    with contextlib.closing(open_store(target)) as store:
        assert {room["name"] for room in store.rooms()} <= {"lobby"}
        if not store.rooms():
            with pytest.raises(Impossible, match="unfinished"):
                store.found(T0)
    imported(target, exported(source))
    assert contents(target) == contents(source)


def forged(lines: list[bytes], change: Callable[[list[dict[str, Any]]], Any]) -> list[bytes]:
    """The export with what `change` makes of its lines, and chains that fit to that."""
    told = [json.loads(line) for line in lines]
    change(told)
    room, chain, heads = {}, b"", {}
    for each in told[1:]:
        if each["command"] == "room":
            room, chain = each, bytes.fromhex(each["floor_chain"])
        elif "cursor" in each and "seq" in each and isinstance(each["seq"], int):
            of_body = {name: each[name] for name in ("message", "quote") if name in each}
            body = json.dumps(of_body, ensure_ascii=False, separators=(",", ":")).encode()
            kept = each.get("private", {}).get("digest")
            chain = cursor.extend(chain, each["seq"], bytes.fromhex(kept) if kept else cursor.digest(body))
            each["cursor"] = cursor.at(each["seq"], chain)
            room["chain"], room["head"] = chain.hex(), each["seq"]
            heads[room.get("room", "lobby")] = each["cursor"]
    told[0]["rooms"] = heads
    return [json.dumps(each).encode() + b"\n" for each in told]


def of(command: str, /, **fields: Any) -> Callable[[list[dict[str, Any]]], Any]:
    """Change the first line of that command; ``message__user=…`` goes inside, and ... takes a field away."""

    def change(told: list[dict[str, Any]]) -> None:
        line = next(each for each in told if each["command"] == command and "deleted" not in str(each))
        for path, value in fields.items():
            *way, last = path.split("__")
            inner = line
            for step in way:
                inner = inner.setdefault(step, {})
            inner.pop(last, None) if value is ... else inner.update({last: value})

    return change


def without(command: str) -> Callable[[list[dict[str, Any]]], Any]:
    """Take out the first line of that command."""
    return lambda told: told.remove(next(each for each in told if each["command"] == command))


WRONG = {
    "a float": (of("message-sent", seq=1.0), "seq is not what an export has there"),
    "no message": (of("message-sent", message="x"), "message is not what"),
    "a reply to text": (of("message-sent", message__reply_to="x"), "message.reply_to is not what"),
    "a quote without id": (of("quote", id=...), "id is missing"),
    "a body that is no JSON": (of("quote", body="x"), "Not JSON"),
    "a quote of text": (lambda told: told.insert(3, dict(told[3], body='"x"')), "it is not what"),
    "an event before its room": (without("room"), "room: It is not the one that is being told"),
    "a room that is not ended": (without("whole"), "room: Before it, lobby is not whole"),
    "another's end": (of("whole", room="tea"), "room: It is not the one"),
    "a secret that is a number": (of("secret", secret=5), "secret is not what"),
    "a short secret": (of("secret", secret="x"), "secret is not what"),
    "another message": (of("message-sent", message__id=1), "id: It is not the seq of its event"),
    "nobody's message": (of("message-sent", message__user=...), "user is missing"),
    "a message without id": (of("message-sent", message__id=...), "id is missing"),
    "an edit of nothing": (of("message-edited", private__target=...), "target: It is not the message"),
    "a long title": (of("room", title="x" * 100_000), "title: Longer than 100"),
    "a waiting text": (of("scheduled", message="notjson"), "Not JSON"),
    "a waiting message with more": (of("scheduled", message='{"user":"a","message":"b","z":1}'), "message: It holds"),
    "a link that is a script": (
        of("message-sent", message__runs=[{"text": "h", "href": "javascript:1"}]), "runs: A link leads to"
    ),
    "a style that is none": (of("message-sent", message__runs=[{"text": "h", "z": 1}]), "It holds what no such event"),
    "a colour that is none": (of("message-sent", message__color="x;y"), "color: A colour is one of"),
    "what is nobody's to say": (of("message-sent", message__z=1), "It holds what no such event"),
    "an unknown line": (of("whole", command="done"), "command: An export has no such line"),
    "no command": (of("whole", command=5), "command: An export has no such line"),
    "a private field": (of("message-sent", private__z=1), "it is not what"),
    "a time": (of("message-sent", at="2026-99-99T00:00:00.000Z"), "at: There is no such time"),
}  # fmt: skip


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    settings = Settings(data=tmp_path_factory.mktemp("exported"))
    peopled(settings)
    return exported(settings)


@pytest.mark.parametrize("name", WRONG)
def test_a_line_that_no_export_has_is_refused(lines: list[bytes], tmp_path: Path, name: str) -> None:
    """With its number and in our words, whatever its chain says; nothing of its room is seen."""
    change, problem = WRONG[name]
    target = Settings(data=tmp_path / "target")
    with pytest.raises(copying.Broken, match=r"^line [0-9]+: ") as refused:
        imported(target, forged(lines, change))
    assert problem in str(refused.value)
    with contextlib.closing(open_store(target)) as store:
        assert store.rooms() == []


def test_only_a_message_that_is_there_is_changed(source: Settings, tmp_path: Path) -> None:
    """A deletion of what is no message ends the import with its number; unchanged, the forger's file is an export."""
    lines = exported(source)
    change = of("message-edited", message__id=7, private__target=7)
    with pytest.raises(copying.Broken, match="lobby: event 9: there is no message 7 to change"):
        imported(Settings(data=tmp_path / "target"), forged(lines, change))
    imported(Settings(data=tmp_path / "same"), forged(lines, lambda told: None))
    assert contents(Settings(data=tmp_path / "same")) == contents(source)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [({"seq": 99}, "names an event beyond the head"), ({"seq": ..., "scheduled": 7}, "a scheduled message that")],
)
def test_a_client_id_stands_for_what_is_in_its_room(
    lines: list[bytes], tmp_path: Path, fields: dict[str, Any], problem: str
) -> None:
    """Else who repeats it would be shown what waits in another room, or an event that somebody sends later."""
    with pytest.raises(copying.Broken, match=problem):
        imported(Settings(data=tmp_path / "target"), forged(lines, of("sent", **fields)))


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_a_move_that_was_cut_short_goes_on(
    source: Settings, database: str, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Broken off after so many transactions, with changes since to what had been copied: the same in the end."""
    monkeypatch.setattr(loading, "_AT_ONCE", 2)
    there = dataclasses.replace(source, database=database)
    with contextlib.closing(open_store(there)) as store:
        left = after

        class Dying:
            adopt = store.adopt

            def writing(self) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise InterruptedError
                return store.writing()

        with look(source) as sql, contextlib.suppress(InterruptedError):
            loading.load(Dying(), copying.dump(sql, None), nothing, 0, hidden=True)  # type: ignore[arg-type]
        with store.writing() as sql:
            assert copying.rooms(sql) == []
    with contextlib.closing(open_store(source)) as store:
        do(store, delete(3), at=T0 + 9)
        do(store, react(13, "like"), who="bob", at=T0 + 9)
        do(store, commands.CancelScheduled(scheduled=commands.ScheduledId(1)), at=T0 + 9)
    moving.move(source, there, quiet)
    assert contents(there) == contents(source)


def test_beside_a_server_all_but_the_end_is_copied(source: Settings, database: str, tmp_path: Path) -> None:
    """SQLite or PostgreSQL: nothing is seen there; with the server gone, what is new since follows."""
    there = dataclasses.replace(source, database=database)
    back = Settings(data=tmp_path / "back")
    for one, other in ((source, there), (there, back)):
        with contextlib.closing(open_store(one)) as server:
            server.commit([])  # connects
            do(server, said(text="before"), at=T0 + 9)
            with pytest.raises(moving.Unfinished, match="Stop its servers"):
                moving.move(one, other, quiet)
            do(server, delete(3 if one is source else 13), at=T0 + 9)
            with contextlib.closing(open_store(other)) as store, pytest.raises(Impossible, match="unfinished"):
                store.found(T0)
        moving.move(one, other, quiet)
        assert contents(other) == contents(one)
        moving.move(one, other, quiet)


def test_a_connection_that_closes_just_now_is_waited_for(
    source: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL lists the connection of a server that has just stopped for a moment more."""
    monkeypatch.setattr(connections, "_LEAVING_SECONDS", 60.0)
    there = dataclasses.replace(source, database=database)
    peopled(there)
    server = connections.connect(database)
    server.execute("SELECT 1")
    leaving = threading.Timer(0.3, server.close)
    leaving.start()
    with look(there, alone=True):
        assert server.closed
    leaving.join()


def test_nothing_is_moved_onto_something_else(source: Settings, database: str, tmp_path: Path) -> None:
    """Another room, another history of a room, another server, itself: refused, and left as it was."""
    there = dataclasses.replace(source, database=database)
    peopled(there)
    before = contents(there)
    with pytest.raises(Impossible, match="a room lobby already"):
        moving.move(source, there, quiet)
    assert contents(there) == before
    with pytest.raises(Impossible, match="already"):
        moving.move(source, source, quiet)
    other = Settings(data=tmp_path / "other")
    with contextlib.closing(open_store(other)) as store:
        do(store, CreateRoom("mine"))
        with pytest.raises(InUse):
            moving.move(source, other, quiet)
    with pytest.raises(Impossible, match="holds a room mine"):
        moving.move(source, other, quiet)


@pytest.mark.parametrize("postgres", [False, True])
def test_a_server_that_was_only_started_is_empty(
    source: Settings, database: str, tmp_path: Path, postgres: bool
) -> None:
    """Its lobby, in which nothing was said, gives way."""
    there = Settings(data=tmp_path / "there", database=database if postgres else "")
    with contextlib.closing(open_store(there)) as store:
        store.found(T0 + 99)
    moving.move(source, there, quiet)
    assert contents(there)["event"] == contents(source)["event"]
    assert contents(there)["secret"] == contents(source)["secret"]


def test_what_was_damaged_on_the_way_is_not_shown(
    source: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is read again before the rooms get their names."""
    there = dataclasses.replace(source, database=database)
    load = loading.load

    def damage(*arguments: Any, **more: Any) -> Any:
        found = load(*arguments, **more)
        with psycopg.connect(database) as other:
            other.execute("UPDATE event SET body = replace(body, 'answer', 'Answer')")
        return found

    monkeypatch.setattr(loading, "load", damage)
    with pytest.raises(Impossible, match="not the same"):
        moving.move(source, there, quiet)
    with look(there) as sql:
        assert copying.rooms(sql) == []


def test_a_source_that_is_not_whole_is_not_copied_on(source: Settings, tmp_path: Path) -> None:
    """The chain is checked on the way."""
    with contextlib.closing(sqlite3.connect(source.data / "quotechat.db")) as other, other:
        other.execute("UPDATE event SET body = replace(body, 'answer', 'Answer')")
    with pytest.raises(Impossible, match="lobby: event 4: its content or history was changed"):
        moving.move(source, Settings(data=tmp_path / "there"), quiet)


@pytest.mark.parametrize("postgres", [False, True])
def test_identities_are_not_exchanged_under_a_server(
    source: Settings, database: str, tmp_path: Path, postgres: bool
) -> None:
    """It would go on signing with the secret it knows. When it has ended, the file's secret is taken."""
    there = Settings(data=tmp_path / "there", database=database if postgres else "")
    lines = exported(source)
    with contextlib.closing(open_store(there)) as server:
        server.found(T0)
        server.commit([])  # connects
        before = server.secret()
        with pytest.raises(Impossible, match="stop the server first: the file carries identities"):
            imported(there, lines)
        assert server.secret() == before
        with pytest.raises(InUse), look(there, alone=True):
            pass
    imported(there, lines)
    assert contents(there)["secret"] == contents(source)["secret"]
    with contextlib.closing(open_store(there)):
        imported(there, lines)


def test_a_digest_stands_for_nothing_but_what_was_blanked(source: Settings, tmp_path: Path) -> None:
    """Another text beside the digest of the true one: refused by import, and seen by verify."""

    def altered(line: bytes) -> bytes:
        told = json.loads(line)
        if told.get("seq") != 13 or told["command"] != "message-sent":
            return line
        body = json.dumps({"message": told["message"]}, ensure_ascii=False, separators=(",", ":"))
        told["message"]["message"] = "never said"
        return json.dumps(told | {"private": {"digest": cursor.digest(body.encode()).hex()}}).encode()

    with pytest.raises(Impossible, match="event 13: its content or history was changed"):
        imported(Settings(data=tmp_path / "target"), [altered(line) for line in exported(source)])
    with contextlib.closing(sqlite3.connect(source.data / "quotechat.db")) as other, other:
        ((body,),) = other.execute("SELECT body FROM event WHERE seq = 13")
        change = "UPDATE event SET body = replace(body, 'soon', 'never said'), digest = ? WHERE seq = 13"
        other.execute(change, (cursor.digest(body.encode()),))
    with contextlib.closing(open_store(source)) as store:
        found = [(step.room, step.seq, step.problem) for step in store.verify() if step.problem]
    assert found == [("lobby", 13, "its content or history was changed")]


def test_accounts_go_along(source: Settings, database: str, tmp_path: Path) -> None:
    """Accounts, sessions, tokens, links and claims are the same after a move and after an export; given again, too."""
    signed_in(source)
    before = contents(source)
    assert [row[3] for row in before["account"]] == ["Azin", "Bo"] and len(before["session"]) == 1
    there = dataclasses.replace(source, database=database)
    moving.move(source, there, quiet)
    assert contents(there) == before
    target = Settings(data=tmp_path / "target")
    lines = exported(source)
    imported(target, lines)
    assert contents(target) == before
    imported(target, lines)
    assert contents(target) == before


def test_a_session_that_ends_between_two_moves_is_ended_there_too(source: Settings, tmp_path: Path) -> None:
    """What an interrupted move has brought is replaced by what is there now."""
    signed_in(source)
    target = dataclasses.replace(source, data=tmp_path / "target")
    with contextlib.closing(open_store(source)) as store:
        with pytest.raises(moving.Unfinished):
            moving.move(source, target, quiet)
        store.write_with(lambda sql: sessions.end(sql, sessions.hashed("s")))
    moving.move(source, target, quiet)
    assert contents(target) == contents(source)
    assert contents(target)["session"] == []


def test_one_room_takes_no_account_along(source: Settings) -> None:
    """An export of rooms has the names of those who spoke, and neither members nor what they sign in with."""
    signed_in(source)
    lines = [json.loads(line) for line in exported(source, ("lobby", "tea"))]
    assert not (carrying.TABLES.keys() | copying.OF_ACCOUNTS) & {line["command"] for line in lines}
    assert all("pair" not in line for line in lines)


def test_accounts_of_others_are_not_mixed(source: Settings, tmp_path: Path) -> None:
    """An import into a store that has accounts of its own stops, and nothing is changed."""
    signed_in(source)
    target = Settings(data=tmp_path / "target")
    with contextlib.closing(open_store(target)) as store:
        store.found(T0)
        store.write_with(lambda sql: accounts.make(sql, "Chidi", "owner", T0))
    before = contents(target)["account"]
    with pytest.raises(Impossible, match="account"):
        imported(target, exported(source))
    assert contents(target)["account"] == before


@pytest.mark.parametrize(
    "changed",
    [
        {"role": "king"}, {"identity": "acct:other"}, {"skeleton": "x"}, {"password": "plain"}, {"id": 0},
        {"settings": "[]"}, {"more": 1}, {"name": "a\u202eb"},
    ],
)  # fmt: skip
def test_a_line_of_an_account_is_read_strictly(source: Settings, tmp_path: Path, changed: dict[str, Any]) -> None:
    """An account that no export makes is refused, by its line."""
    signed_in(source)
    lines = exported(source)
    place = next(n for n, line in enumerate(lines) if line.startswith(b'{"command":"account"'))
    lines[place] = json.dumps(json.loads(lines[place]) | changed).encode() + b"\n"
    with pytest.raises(copying.Broken, match=f"line {place + 1}"):
        imported(Settings(data=tmp_path / "target"), lines)


def test_a_message_that_comes_just_now_is_kept(source: Settings, database: str) -> None:
    """An import beside a server waits for a sender in the new room whose place it would take, and then leaves it."""
    there, lines = Settings(database=database), exported(source, ("tea",))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with contextlib.closing(open_store(there)) as server, ThreadPoolExecutor(1) as pool:
        server.found(T0)
        do(server, CreateRoom("tea"))
        with server.writing() as sql:
            sql.run("UPDATE room SET floor = floor WHERE name = 'tea'")
            ledger = Ledger(sql)
            rules.apply_all(ledger, [Write(said(room="tea"), T0, "ann")], rules.Settings())
            ledger.flush()
            importing = pool.submit(imported, there, lines)
            until(lambda: server.read_with(lambda other: other.one(waits)) == (1,), what="the import waits")
        with pytest.raises(Impossible, match="a room tea already, made meanwhile"):
            importing.result(60)
        assert [each["message"] for each in server.snapshot("tea", 9)["messages"]] == ["hi"]
        assert not [step for step in server.verify() if step.problem]


@pytest.mark.parametrize("postgres", [False, True])
def test_members_of_an_empty_room_stay_its_members(
    source: Settings, database: str, tmp_path: Path, postgres: bool
) -> None:
    """A room that is imported into its place has them, with all read, and named cursors go on at its head."""
    there = Settings(data=tmp_path / "there", database=database if postgres else "")
    with contextlib.closing(open_store(there)) as store:
        store.found(T0)
        guest = store.write_with(lambda sql: accounts.make(sql, "Gus", "guest", T0))
        lobby = store.read_with(lambda sql: members.membership(sql, "lobby", None))
        assert lobby is not None
        store.write_with(lambda sql: subscribers.make(sql, guest.id, "bot", T0, all_rooms=True))
        store.write_with(lambda sql: members.add(sql, lobby.room_id, guest.id, "manager", (0, 0), T0))
        imported(there, exported(source, ("lobby",)))
        found = store.read_with(lambda sql: members.membership(sql, "lobby", guest.id))
        assert found is not None and found.role == "manager" and found.room_id != lobby.room_id
        (read,) = store.read_with(lambda sql: list(sql.all("SELECT read_id, read_n FROM member")))
        assert tuple(read) == (13, 7)
        (place,) = store.read_with(lambda sql: list(sql.all("SELECT room_id, seq FROM subscribed")))
        assert tuple(place) == (found.room_id, 13)


def test_members_of_an_empty_room_see_no_closed_one(source: Settings, tmp_path: Path) -> None:
    """A closed room that is imported into the place of an open one has no members, as under any other name."""
    signed_in(source)
    there = Settings(data=tmp_path / "there")
    with contextlib.closing(open_store(there)) as store:
        store.found(T0)
        other = store.write_with(lambda sql: accounts.make(sql, "Bo", "member", T0))
        do(store, CreateRoom("staff"))
        staff = store.read_with(lambda sql: members.membership(sql, "staff", None))
        assert staff is not None
        store.write_with(lambda sql: members.add(sql, staff.room_id, other.id, "member", (0, 0), T0))
        with look(source) as sql:
            (closed,) = [room.name for room in copying.rooms(sql) if room.kind == "closed"]
        imported(there, exported(source, (closed,)), "staff")
        found = store.read_with(lambda sql: members.membership(sql, "staff", other.id))
        assert found is not None and (found.kind, found.role) == ("closed", None)


@pytest.mark.parametrize("postgres", [False, True])
def test_words_that_go_between_two_moves_are_gone_there_too(
    source: Settings, database: str, tmp_path: Path, postgres: bool
) -> None:
    """A quote that was removed, and the name of an account that was closed, of messages that were deleted before."""
    there = Settings(data=tmp_path / "there", database=database if postgres else "")
    with contextlib.closing(open_store(source)) as store:
        author = store.write_with(lambda sql: accounts.make(sql, "Zenobia", "member", T0)).identity
        quote = do(store, commands.AddQuote(quote=commands.NewQuote("unwise", "w"))).seq
        sent = [do(store, said("Zenobia"), who=author, at=T0 + 9).seq for _ in range(2)]
        do(store, said(text="re", reply_to=sent[0]), at=T0 + 9)
        do(store, delete(sent[0]), who=author, at=T0 + 9)
        with pytest.raises(moving.Unfinished):
            moving.move(source, there, quiet)
        number = store.newest_quote()
        assert quote and number
        do(store, commands.RemoveQuote(quote=commands.QuoteId(number)), at=T0 + 9)
        for each in sent:
            do(store, EraseMessage("lobby", each, nameless=True), at=T0 + 9)
        store.write_with(lambda sql: sql.run("UPDATE account SET name = 'Deleted account'"))
        while store.redact():
            pass
    moving.move(source, there, quiet)
    assert contents(there) == contents(source)
    assert "unwise" not in repr(contents(there)["event"]) and "Zenobia" not in repr(contents(there)["message"])

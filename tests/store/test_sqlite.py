"""SQLite keeps the contract, and what is SQLite's own."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from bad_disk import failing_commits
from belonging import BelongingContract, RulesOfRoomsContract
from contract import T0, Open, StoreContract, delete, do, edit, react, said
from reading_rights import ReadingRights
from servers import until
from taking_back import TakingBack

from quotechat.protocol import commands
from quotechat.protocol.cursor import START
from quotechat.protocol.errors import Conflict, Overloaded, StorageFull
from quotechat.store.accounts import accounts
from quotechat.store.base import Deliver, FlushFailed, Impossible, Store, Write
from quotechat.store.disk.lock import FileLock
from quotechat.store.migrate import SchemaTooNew
from quotechat.store.rules import Settings
from quotechat.store.search.sqlite import SqliteIndex
from quotechat.store.shapes import Sql
from quotechat.store.sqlite import store as sqlite
from quotechat.store.sqlite.store import SqliteStore
from quotechat.store.transfer import backup


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quotechat.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[Open]:
    opened: list[SqliteStore] = []

    def open_one() -> SqliteStore:
        store = SqliteStore(path)
        store.found(T0)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


class TestSqlite(StoreContract, TakingBack, ReadingRights):
    """The contract."""


class TestBelonging(BelongingContract, RulesOfRoomsContract):
    """The contract of members."""


def test_a_read_that_ends_beside_the_close_leaves_no_connection(open_store: Open) -> None:
    """The store is closed at the last moment before its connection is put back; it is closed all the same."""
    store = open_store()

    class Closing(deque[sqlite3.Connection]):
        def append(self, connection: sqlite3.Connection) -> None:
            store.close()
            super().append(connection)

    with store._reading() as sql:
        store._idle = Closing(store._idle)
    assert not store._idle
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        sql.connection.execute("SELECT 1")


def test_a_read_without_a_descriptor_is_told_to_come_back(open_store: Open) -> None:
    """If the process has none left for one more reader: Overloaded, and the next read is served."""
    store = open_store()
    do(store, said())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def read_another(sql: Sql) -> None:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
        try:
            with pytest.raises(Overloaded):
                store.head("lobby")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    store.read_with(read_another)
    assert store.head("lobby").seq == 1


def test_a_deleted_text_is_on_the_disk_no_more(open_store: Open, path: Path) -> None:
    """Not in the database, not in its free pages, not in the write-ahead log."""
    store = open_store()
    do(store, said(text="xyzzy-plugh" * 300))
    do(store, delete(1))
    assert not found_on_disk(path, b"xyzzy")


def test_a_deleted_text_that_was_scheduled_is_on_the_disk_no_more(open_store: Open, path: Path) -> None:
    """What waited is kept twice for no moment after it was sent."""
    store = open_store()
    waiting = do(store, said(text="xyzzy-plugh" * 300, send_at="+1s")).scheduled["id"]
    do(store, Deliver(waiting))
    do(store, delete(1))
    assert not found_on_disk(path, b"xyzzy")


def test_a_text_that_is_kept_no_longer_is_on_the_disk_no_more(open_store: Open, path: Path) -> None:
    """Nor are its edits, its excerpts and what is left of its being scheduled."""
    store = open_store()
    assert isinstance(store, SqliteStore)
    do(store, said(text="xyzzy-plugh" * 300))
    do(store, edit(1, "xyzzy again"))
    do(store, said(text="answer", reply_to=1), at=T0 + 5)
    do(store, edit(3, "another answer"), at=T0 + 5)
    do(store, Deliver(do(store, said(text="xyzzy later", send_at="+1s")).scheduled["id"]), at=T0 + 5)
    assert store.cut("lobby", T0 + 5, 100) == 2
    assert store.cut("lobby", T0 + 6, 100) == 3
    with contextlib.closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM room").fetchall()
        do(store, said(text="beside a reader"), at=T0 + 9)
        assert not store.forget()
    assert store.forget()
    assert not found_on_disk(path, b"xyzzy")


def test_a_history_that_is_not_whole_is_not_cut(open_store: Open, path: Path) -> None:
    """The fault would be hidden for ever; nothing changes."""
    store = open_store()
    for _ in range(3):
        do(store, said())
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE event SET body = replace(body, 'hi', 'ho') WHERE seq = 2")
    with pytest.raises(Impossible, match="lobby: event 2"):
        store.cut("lobby", T0 + 5, 100)
    assert [event.seq for event in store.read("lobby", START, 9).events] == [1, 2, 3]


def found_on_disk(path: Path, text: bytes) -> list[Path]:
    """The files of the store that hold `text`."""
    return [file for file in path.parent.iterdir() if file.is_file() and text in file.read_bytes()]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE event SET body = replace(body, 'hi', 'ho') WHERE seq = 2", "changed"),
        ("UPDATE event SET tag = '0000000000000000' WHERE seq = 2", "changed"),
        ("DELETE FROM event WHERE seq = 2", "missing"),
        ("DELETE FROM event WHERE seq = 3", "ends here"),
        ("UPDATE room SET chain = zeroblob(32)", "another history"),
    ],
)
def test_verify_says_where_history_is_broken(open_store: Open, path: Path, change: str, problem: str) -> None:
    """A changed, a missing and a cut-off event are found."""
    store = open_store()
    for _ in range(3):
        do(store, said())
    assert not [step for step in store.verify() if step.problem]
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute(change)
    assert problem in "".join(step.problem or "" for step in store.verify())


def test_rebuilding_knows_every_event(open_store: Open) -> None:
    """Edited, disliked, replied to, deleted: the projections made anew are those that were."""
    store = open_store()
    assert isinstance(store, SqliteStore)
    do(store, said(text="**a**", color="red"))
    do(store, said("Bob", "b", reply_to=1), who="bob")
    do(store, react(2, "dislike"))
    do(store, react(1, "like"), who="bob")
    do(store, react(1, "🎉"), who="bob")
    do(store, edit(1, "c"))
    do(store, commands.AddQuote(quote=commands.NewQuote("q", "w")))
    do(store, delete(2), who="bob")
    tables = (
        "message ORDER BY 1, 2", "reaction ORDER BY 1, 2, 3", "emoji_reaction ORDER BY 1, 2, 3, 4", "quote ORDER BY 1",
    )  # fmt: skip

    def projections() -> list[object]:
        return [store._writer.execute(f"SELECT * FROM {table}").fetchall() for table in tables]

    before = projections()
    store._writer.execute("UPDATE message SET likes = 9, body = '{}'")
    assert projections() != before
    assert store.rebuild(lambda done, all_there_are: None) == 8
    assert projections() == before


def test_a_file_that_cannot_be_locked_keeps_no_thread_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is the caller's, and the next one takes the lock."""
    lock = FileLock(tmp_path / "lock")

    def refused(file: int, how: int) -> None:
        raise BlockingIOError if how & fcntl.LOCK_NB else OSError(errno.ENOLCK, "none is left")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refused)
        with pytest.raises(OSError, match="none is left"):
            lock.take(60)
    assert lock.take(1)
    lock.free()
    lock.close()


def test_a_lock_of_somebody_else_refuses_the_whole_batch_at_once(
    open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tool writes: one wait for all, reading goes on, and afterwards writing does."""
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.1)
    store = open_store()
    do(store, said(text="before"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Overloaded):
            store.commit([Write(said(), T0, "ann")] * 50)
        assert [event.seq for event in store.read("lobby", START, 9).events] == [1]
        other.execute("ROLLBACK")
    assert do(store, said(text="after")).seq == 2


def test_a_change_waits_for_another_process_only_so_long(open_store: Open, path: Path) -> None:
    """While that holds the lock, each is refused in time; when it is free again, what was refused does not hold it."""
    store = open_store()
    with open(path.with_suffix(".lock")) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for _ in range(2):
            with pytest.raises(Overloaded):
                store.write_with(lambda sql: sql.run("DELETE FROM account"), patience=0.05)
    assert store.write_with(lambda sql: sql.one("SELECT 1"), patience=60.0) == (1,)
    assert do(store, said(text="after")).seq == 1


def test_after_a_failed_flush_nothing_is_written(open_store: Open) -> None:
    """The first commit is of unknown outcome; later ones are certainly not stored; reading goes on."""
    store = open_store()
    assert isinstance(store, SqliteStore)
    do(store, said(text="before"))
    with failing_commits(store), pytest.raises(FlushFailed) as first:
        do(store, said(text="unknown"))
    with pytest.raises(FlushFailed) as later:
        do(store, said(text="later"))
    assert (first.value.certain, later.value.certain) == (False, True)
    assert [event.seq for event in store.read("lobby", START, 9).events] == [1]


def test_a_full_disk_refuses_and_reading_goes_on(open_store: Open) -> None:
    """507: nothing is half-stored; with space again, writing goes on."""
    store = open_store()
    assert isinstance(store, SqliteStore)
    do(store, said(text="before"))
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull):
        store.commit([Write(said(text="x" * 4000), T0, "ann")] * 50)
    assert [event.seq for event in store.read("lobby", START, 9).events] == [1]
    store._writer.execute("PRAGMA max_page_count = 100000")
    assert do(store, said(text="after")).seq == 2


def test_a_newer_schema_is_left_alone(open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old program does not touch what a newer one wrote, and holds no connection to it."""
    open_store().close()
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connections = Connections(monkeypatch)
    with pytest.raises(SchemaTooNew):
        SqliteStore(path)
    with pytest.raises(SchemaTooNew), sqlite.look(path):
        pass
    assert len(connections.made) == 2 and connections.open() == []


class Connections:
    """All connections to SQLite that are made from now on; the pragma number `broken` of all raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[sqlite3.Connection] = []
        self.broken, self._pragmas = -1, 0
        connect, every = sqlite3.connect, self

        class Broken(sqlite3.Connection):
            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                every._count(sql)
                return super().execute(sql, parameters)

        def made(*arguments: Any, **named: Any) -> sqlite3.Connection:
            self.made.append(connect(*arguments, factory=Broken, **named))
            return self.made[-1]

        monkeypatch.setattr(sqlite3, "connect", made)

    def _count(self, sql: str) -> None:
        if sql.startswith("PRAGMA"):
            self._pragmas += 1
            if self._pragmas == self.broken:
                raise sqlite3.OperationalError("a test broke it")

    def begin(self, broken: int) -> None:
        """Count the pragmas from here on."""
        self.broken, self._pragmas = broken, 0

    def has_broken(self) -> bool:
        return self._pragmas >= self.broken

    def open(self) -> list[sqlite3.Connection]:
        """Those that are not closed; the garbage collector closes none, as they are kept here."""

        def is_open(connection: sqlite3.Connection) -> bool:
            with contextlib.suppress(sqlite3.ProgrammingError):
                return connection.total_changes >= 0
            return False

        return [each for each in self.made if is_open(each)]


def _open_index(path: Path, store: Store) -> None:
    with contextlib.closing(SqliteIndex(path.with_name("search.db"), store)) as index:
        index.step(lambda log, writer: None)
        with index.reading():
            pass


def _back_up(path: Path, to: Path) -> None:
    backup.back_up(path, path.with_name("secret"), to / "copy", lambda done, all_there_is: None, T0)


def _restore(copy: Path, to: Path) -> None:
    backup.restore(copy, to / "quotechat.db", to / "secret", lambda done, all_there_is: None)


@pytest.mark.parametrize("kind", ["store", "index", "backup", "restore"])
def test_what_cannot_be_opened_leaves_no_connection(
    open_store: Open, path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever pragma fails: each connection that was made is closed, and not by the garbage collector.

    From 3.13 on Python warns of those; here the same holds with every Python.
    """
    store = open_store()
    store.head("lobby")  # from here on it has a connection for reads
    _open_index(path, store)
    _back_up(path, path.parent)
    connections = Connections(monkeypatch)
    for number in count(1):
        to = path.parent / f"{number}"
        to.mkdir()
        acts: dict[str, Callable[[], None]] = {
            "store": lambda: SqliteStore(path).close(),
            "index": lambda: _open_index(path, store),
            "backup": lambda to=to: _back_up(path, to),  # type: ignore[misc]  # the directory of this turn
            "restore": lambda to=to: _restore(path.with_name("copy"), to),  # type: ignore[misc]  # as above
        }
        connections.begin(number)
        with contextlib.suppress(sqlite3.OperationalError, Impossible):
            acts[kind]()
        assert connections.open() == [], f"pragma {number}"
        if not connections.has_broken():
            break
    assert number > 4


def test_processes_share_one_log(path: Path, open_store: Open) -> None:
    """Four processes that write at once get dense numbers, each its own."""
    store = open_store()
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\nfrom contract import do, said\n"
        "from quotechat.store.sqlite.store import SqliteStore\n"
        "store = SqliteStore(Path(sys.argv[1]))\n"
        "print(*[do(store, said('P', str(n)), who=None).seq for n in range(100)])\n"
        "store.close()\n"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", script, str(path), str(here), str(here.parents[1] / "src")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    numbers = [int(number) for each in running for number in each.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 401))
    assert [event.seq for event in store.read("lobby", START, 500).events] == list(range(1, 401))
    assert not [step for step in store.verify() if step.problem]


def test_two_threads_may_ask_for_the_version_at_once(open_store: Open) -> None:
    """The watcher and the indexer do; each gets a number (from Python 3.12 on, their statements would meet)."""
    store, interval = open_store(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as threads:
            found = list(threads.map(lambda _: [store.version() for _ in range(20_000)], range(2)))
    finally:
        sys.setswitchinterval(interval)
    assert all(isinstance(each, int) for numbers in found for each in numbers)


def test_a_name_is_held_from_its_last_use(path: Path) -> None:
    """Also for seconds: one that is in use all the while is not another's, neither now nor by a scheduled message."""
    with contextlib.closing(SqliteStore(path, Settings(name_hold_ms=3000))) as store:
        store.found(T0)
        do(store, said("Ann", "later", send_at="+5s"), "bo", at=T0)
        for second in range(6):
            do(store, said("Ann", str(second)), "ann", at=T0 + second * 1000)
            with pytest.raises(Conflict):
                do(store, said("Ann"), "bo", at=T0 + second * 1000 + 900)
        (due,) = store.due(T0 + 5100, 9)
        do(store, Deliver(due.id), None, at=T0 + 5100)
        (waiting,) = store.scheduled("lobby", "bo")
        assert (waiting["state"], waiting["code"]) == ("refused", "conflict")
        assert do(store, said("Ann"), "bo", at=T0 + 9000).seq == 7


def test_an_old_message_costs_what_a_new_one_does(tmp_path: Path) -> None:
    """To delete it, and to react as one has reacted: as many steps of SQLite, however much came later in the room."""

    def steps(later: int) -> int:
        with contextlib.closing(SqliteStore(tmp_path / f"{later}.db")) as store:
            store.found(T0)
            do(store, said(), "ann")
            do(store, react(1, "like"), "bo")
            store.commit([Write(said(text=str(number)), T0, "ann") for number in range(later)])
            taken: list[None] = []
            store._writer.set_progress_handler(lambda: taken.append(None), 10)
            assert do(store, react(1, "like"), "bo").duplicate
            do(store, delete(1), "ann")
            return len(taken)

    assert steps(2000) < 2 * steps(20)


def test_a_claim_counts_nothing_while_others_wait(tmp_path: Path) -> None:
    """As many steps of SQLite in its transaction, however many messages there are."""

    def steps(messages: int) -> int:
        with contextlib.closing(SqliteStore(tmp_path / f"{messages}.db")) as store:
            store.found(T0)
            store.commit([Write(said(text=str(number)), T0, "visitor") for number in range(messages)])
            account = store.write_with(lambda sql: accounts.make(sql, "Bo", "member", T0))
            taken: list[None] = []
            store._writer.set_progress_handler(lambda: taken.append(None), 10)
            store.write_with(lambda sql: accounts.claim(sql, account, "visitor"))
            return len(taken)

    assert steps(2000) < 2 * steps(20)


def test_reading_writes_only_mentions_that_change(path: Path) -> None:
    """Of an account that was mentioned often, one row for each that it had not seen, and a few."""
    with contextlib.closing(SqliteStore(path)) as store:
        store.found(T0)
        ann, bo = (store.write_with(lambda sql, n=n: accounts.make(sql, n, "member", T0)) for n in ("Ann", "Bo"))
        store.commit([Write(said("Ann", "@Bo hi"), T0, ann.identity) for _ in range(100)])
        for newest in (100, 101):
            before = store._writer.total_changes
            do(store, commands.MarkRead(commands.ReadMark(newest)), bo.identity)
            do(store, said("Ann", "@Bo hi"), ann.identity)
        assert store._writer.total_changes - before < 30


def test_a_batch_waits_for_few_changes_of_accounts(open_store: Open) -> None:
    """However many threads change accounts at once: they wait for each other, and messages for one of them or two."""
    store = open_store()
    done: list[str] = []
    inside, go = threading.Event(), threading.Event()

    def first(sql: Sql) -> None:
        inside.set()
        go.wait(60)

    class Watched:
        """The lock that a write of either kind takes in this process; it says who has come to it."""

        def __init__(self, lock: threading.Lock) -> None:
            self.lock, self.release = lock, lock.release
            self.came: list[int] = []

        def acquire(self, *given: Any, **named: Any) -> bool:
            self.came.append(threading.get_ident())
            return self.lock.acquire(*given, **named)

    def message() -> None:
        senders.append(threading.get_ident())
        do(store, said("hi"))
        done.append("message")

    senders: list[int] = []
    watched = store._lock._threads = Watched(store._lock._threads)
    with ThreadPoolExecutor(62) as pool:
        results = [pool.submit(store.write_with, first)]
        assert inside.wait(60)
        results += [pool.submit(store.write_with, lambda sql: done.append("account")) for _ in range(60)]
        results.append(pool.submit(message))
        until(lambda: bool(senders) and senders[0] in watched.came, what="a message that waits")
        go.set()
        for each in results:
            each.result(60)
    # Which of two threads that wait gets a lock is luck, so a few may be before it.
    assert done.index("message") < 40

"""What is left to do is done beside the senders, by whichever process is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import until

from quotechat import supervision
from quotechat.hub.background.housekeeping import Housekeeper
from quotechat.protocol import commands
from quotechat.store.base import CommitFailed, Write
from quotechat.store.maintenance import pruning
from quotechat.store.sqlite.store import SqliteStore

T0 = 1_800_000_000_000
DAY = 86_400_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "quotechat.db")
    store.found(T0)
    yield store
    store.close()


def keep_house(store: Any, now: int = T0) -> Housekeeper:
    housekeeper = Housekeeper(store, lambda: now, 30 * DAY)
    housekeeper.start()
    return housekeeper


def count(store: SqliteStore, rows: str) -> int:
    with store.writing() as sql:
        found = sql.one(f"SELECT count(*) FROM {rows}")
    assert found is not None
    return int(found[0])


def say(store: SqliteStore, number: int, **more: Any) -> None:
    message = commands.NewMessage(f"Ann{number}", "xyzzy", **more)
    sent = [commands.SendMessage(message=message, client_id=f"k{number}-{each}") for each in range(500)]
    store.commit([Write(each, T0, f"ann{number}") for each in sent])


def test_it_goes_on_where_a_restart_left_it(store: SqliteStore) -> None:
    """What a process that ended had still to redact is redacted by the next one, without another deletion."""
    store.commit([Write(commands.SendMessage(message=commands.NewMessage("Bob", "secret")), T0, "bob")])
    say(store, 1, reply_to=1)
    store.commit([Write(commands.DeleteMessage(message=commands.MessageId(1)), T0, "bob")])
    assert count(store, "redaction") == 1
    housekeeper = keep_house(store)
    until(lambda: count(store, "redaction") == 0, what="the redaction")
    assert count(store, "event WHERE body LIKE '%secret%'") == 0
    housekeeper.close()
    until(lambda: housekeeper.thread.state == "ended", what="its end")


def test_what_is_old_is_forgotten_soon_after_the_start(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it, however much there is, in bounded transactions; and nothing that is young."""
    monkeypatch.setattr("quotechat.hub.background.housekeeping._FIRST_PRUNE", 0.0)
    for number in range(3):
        say(store, number)
    young = commands.SendMessage(message=commands.NewMessage("Zoe", "hi"), client_id="k")
    store.commit([Write(young, T0 + 20 * DAY, "zoe")])
    assert count(store, "sent") > 2 * pruning.AT_ONCE
    housekeeper = keep_house(store, T0 + 40 * DAY)
    until(lambda: count(store, "sent") == 1, what="the pruning")
    until(lambda: count(store, "name") == 0, what="the names")
    housekeeper.close()


def test_a_transaction_that_breaks_ends_nothing(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is put off, as by a database that is unavailable: the thread goes on, and the server stays ready."""
    asked: list[bool] = []

    def redact() -> bool:
        asked.append(True)
        raise CommitFailed("deadlock detected", certain=True)

    monkeypatch.setattr(store, "redact", redact)
    before = supervision.counted().get("housekeeper", 0)
    housekeeper = keep_house(store)
    until(lambda: asked, what="the first look")
    housekeeper.wake()
    until(lambda: len(asked) > 1, what="another one")
    assert supervision.counted().get("housekeeper", 0) == before and housekeeper.thread.state == "ok"
    housekeeper.close()

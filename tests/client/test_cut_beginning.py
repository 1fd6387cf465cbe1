"""`0` is the oldest event that is kept: a reader begins there, whatever retention has cut."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from servers import Running, environment, finished, quotechat, running, until

from quotechat.client import Client, Reader

Connected = Callable[..., Client]
TRANSPORTS = ["long-poll", "stream", "short-poll"]


class Kept(NamedTuple):
    """A server, and the directory in which `quotechat retain` cuts its rooms."""

    server: Running
    data: str

    def cut(self, room: str, count: int) -> None:
        """Cut all events that `room` has, which are `count`."""
        done = finished(quotechat("retain", "--keep", "0s", room, "--data", self.data), env=environment())
        assert f"{room}: {count} of {count} events cut" in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=environment(QUOTECHAT_LIMITS="off")) as server:
        yield Kept(server, data)


class Listener(threading.Thread):
    """Reads until it is closed."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(daemon=True)
        self.reader = reader
        self.seqs: list[int] = []
        self.start()

    def run(self) -> None:
        for event in self.reader:
            self.seqs.append(event.seq)


Listening = Callable[..., Listener]


@pytest.fixture
def listening(kept: Kept, connected: Connected) -> Iterator[Listening]:
    made: list[Listener] = []

    def listen(room: str, transport: str) -> Listener:
        reader = connected(kept.server.url).events(room, after="0", transport=transport, interval=0.01)  # type: ignore[arg-type]  # each is one
        made.append(Listener(reader))
        return made[-1]

    yield listen
    for each in made:
        each.reader.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reader_from_0_begins_at_the_oldest_that_is_kept(
    kept: Kept, connected: Connected, listening: Listening, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets what is kept and what is said from then on, in order, and misses nothing on the way."""
    caplog.set_level(logging.WARNING, "quotechat.client")
    client, room = connected(kept.server.url), f"kept-{transport}"
    client.create_room(room)
    for number in range(4):
        client.post(f"old {number}", room=room)
    kept.cut(room, 4)
    client.post("the oldest", room=room)
    client.post("and one more", room=room)
    listener = listening(room, transport)
    until(lambda: 6 in listener.seqs, what="what is kept")
    client.post("live", room=room)
    until(lambda: 7 in listener.seqs, what="what is said from then on")
    assert listener.seqs == [5, 6, 7]
    assert "missing" not in caplog.text


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reader_from_0_waits_if_nothing_is_kept(
    kept: Kept, connected: Connected, listening: Listening, transport: str
) -> None:
    """It gets the next event. The position that the server tells takes the place of the `0`."""
    client, room = connected(kept.server.url), f"empty-{transport}"
    client.create_room(room)
    client.post("old", room=room)
    last = client.post("old too", room=room).cursor
    kept.cut(room, 2)
    listener = listening(room, transport)
    if transport != "long-poll":  # whose first answer comes with the next event, or after 25 s
        until(lambda: listener.reader.cursor == last, what="the cursor of the last event that was cut")
    client.post("new", room=room)
    until(lambda: listener.seqs, what="the new one")
    assert listener.seqs == [3]

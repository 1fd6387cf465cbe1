"""The removal race: a member is removed from a closed room in the midst of what another one writes there at full speed.

The member reads on every transport, at the server where it is removed and at another one of the same store. Its
`member-left` must be the last event of the room that any of them gets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from servers import Running, environment, quotechat, running, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from quotechat.config import Settings
from quotechat.hub.accounts.credentials import mint
from quotechat.store.accounts import accounts, sessions
from quotechat.store.open import open_store
from quotechat.store.shapes import Sql

PEOPLE = {"Boss": "owner", "Mo": "member"}
BEFORE = (3, 40)
"""Messages that the reader surely has before the removal."""
AFTER = 30
"""Messages that are written after it."""
SECONDS = 60.0
"""For which the end of a reader is waited; far more than it takes."""
ALTERED = Path(__file__).with_name("altered.py")


class Told(NamedTuple):
    """What one reader got: its events by seq and command, in order, and how it was told of the end."""

    events: list[tuple[int, str]]
    end: str


class Account:
    """An account, by a token of its own."""

    def __init__(self, key: str = "", token: str = "") -> None:
        """Without a token it is a visitor."""
        self.key = key
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, url: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        with contextlib.closing(_connection(url)) as connection:
            return _ask(connection, self, method, path, body)


class Place(NamedTuple):
    """Two servers on one store, and two accounts there."""

    urls: list[str]
    boss: Account
    member: Account
    settings: Settings

    def room(self, name: str, **about: Any) -> str:
        """Make a room of the boss; its name."""
        status, made = self.boss.ask(self.urls[0], "POST", "/api/v1/rooms", {"name": name, **about})
        assert status == 201, made
        return str(made["name"])

    def command(self, room: str, command: str, **fields: Any) -> dict[str, Any]:
        """Let the boss do this at the first server; its `ack`."""
        path, body = f"/api/v1/rooms/{room}/commands", {"command": command, **fields}
        status, ack = self.boss.ask(self.urls[0], "POST", path, body)
        assert status == 200, ack
        return dict(ack)


# --- The servers ----------------------------------------------------------------------------------


@contextlib.contextmanager
def place(data: Path, database: str = "", altered: tuple[str, ...] = ()) -> Iterator[Place]:
    """Start two servers; `altered` names changes to their code (see `altered.py`)."""
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_DATABASE=database)
    serve = quotechat("serve", "--port", "0", "--data", str(data))
    if altered:
        serve[1:3] = [str(ALTERED), ",".join(altered)]
    with contextlib.ExitStack() as stack:
        servers: list[Running] = [stack.enter_context(running(serve, env=env)) for _ in range(2)]
        settings = Settings(data=data, database=database)
        with contextlib.closing(open_store(settings)) as store:
            people = [store.write_with(partial(_account, name, role)) for name, role in PEOPLE.items()]
        yield Place([server.url for server in servers], *people, settings)


def _account(name: str, role: str, sql: Sql) -> Account:
    now = time.time_ns() // 1_000_000
    made = accounts.make(sql, name, role, now)
    token, secret = mint(made.id, name, now)
    sessions.add_token(sql, token)
    return Account(made.key, secret)


# --- The readers ----------------------------------------------------------------------------------

Live = Callable[[], None]
"""To be called when the reader surely follows the room."""


def socket(url: str, who: Account, room: str, live: Live) -> Told:
    """A WebSocket that follows the room."""
    found: list[tuple[int, str]] = []
    address = f"{url.replace('http', 'ws', 1)}/api/v1/ws?room={room}&after=0"
    with connect(address, additional_headers=who.headers, max_queue=None) as ws:
        try:
            while True:
                envelope = json.loads(ws.recv(timeout=SECONDS))
                if envelope["command"] == "caught-up":
                    live()
                elif envelope["command"] == "reset":
                    return _after(ws, found, envelope["error"]["code"])
                elif "seq" in envelope:
                    found.append((envelope["seq"], envelope["command"]))
        except ConnectionClosed as closed:
            return Told(found, f"closed {closed.rcvd.code if closed.rcvd else None}")


def _after(ws: Any, found: list[tuple[int, str]], code: str) -> Told:
    """What still comes after the end: until the answer to a ping, which is sent behind it."""
    ws.send('{"command":"ping"}')
    while (envelope := json.loads(ws.recv(timeout=SECONDS)))["command"] != "pong":
        if "seq" in envelope:
            found.append((envelope["seq"], envelope["command"]))
    return Told(found, code)


def ndjson(url: str, who: Account, room: str, live: Live) -> Told:
    """A stream of lines."""
    return _stream(url, who, room, live, "application/x-ndjson")


def event_source(url: str, who: Account, room: str, live: Live) -> Told:
    """A stream as browsers read it."""
    return _stream(url, who, room, live, "text/event-stream")


def _stream(url: str, who: Account, room: str, live: Live, accept: str) -> Told:
    found: list[tuple[int, str]] = []
    end = "no last word"
    with contextlib.closing(_connection(url)) as connection:
        path = f"/api/v1/rooms/{room}/events?after=0"
        connection.request("GET", path, headers={**who.headers, "Accept": accept})
        answer = connection.getresponse()
        while line := answer.readline():
            text = line.removeprefix(b"data: ")
            if not text.startswith(b"{"):
                continue
            envelope = json.loads(text)
            if "seq" in envelope:
                found.append((envelope["seq"], envelope["command"]))
            elif envelope["command"] == "caught-up":
                live()
            elif envelope["command"] == "reset":
                end = envelope["error"]["code"]
    return Told(found, end)


def long_poll(url: str, who: Account, room: str, live: Live) -> Told:
    """One held poll after the other."""
    return _polls(url, who, live, lambda cursor: f"/api/v1/rooms/{room}/events?after={cursor}", room)


def several_rooms(url: str, who: Account, room: str, live: Live) -> Told:
    """The same, for two rooms at once."""
    query = "/api/v1/events?after=lobby:now&after={room}:{cursor}"
    return _polls(url, who, live, lambda cursor: query.format(room=room, cursor=cursor), room)


def short_poll(url: str, who: Account, room: str, live: Live) -> Told:
    """One poll after the other, each answered at once."""
    return _polls(url, who, live, lambda cursor: f"/api/v1/rooms/{room}/events?after={cursor}", room, short=True)


def _polls(
    url: str, who: Account, live: Live, path: Callable[[str], str], room: str, *, short: bool = False
) -> Told:
    found: list[tuple[int, str]] = []
    cursor, wait = "0", ""  # the first is answered at once, also in an empty room
    with contextlib.closing(_connection(url)) as connection:
        while True:
            status, answer = _ask(connection, who, "GET", path(cursor) + wait)
            if status != 200:
                return Told(found, answer["code"])
            page = answer["rooms"][room] if "rooms" in answer else answer
            found += [(event["seq"], event["command"]) for event in page["events"]]
            cursor, wait = page["cursor"], "" if short else "&wait=20"
            live()


READERS = {
    each.__name__: each for each in (socket, ndjson, event_source, long_poll, several_rooms, short_poll)
}  # fmt: skip
FOLLOWING = {"socket", "ndjson", "event_source"}
"""Those that are told of the removal whenever it happens; a poll may begin when it has."""


# --- A round --------------------------------------------------------------------------------------


class Reading(threading.Thread):
    """One reader on a thread."""

    def __init__(self, name: str, url: str, who: Account, room: str) -> None:
        super().__init__(name=f"{name} at {url}", daemon=True)
        self.kind, self.live = name, threading.Event()
        self.told: Told | None = None
        self._read = lambda: READERS[name](url, who, room, self.live.set)

    def run(self) -> None:
        self.told = self._read()

    def faults(self, left: int) -> list[str]:
        """What is wrong with what it got, if the event `left` ended its right."""
        if self.told is None:
            return [f"{self.name}: not told of the end"]
        seqs = [seq for seq, _ in self.told.events]
        wrong = [] if self.told.end == "room-unknown" else [f"{self.name}: told {self.told.end}"]
        if seqs != list(range(1, len(seqs) + 1)):
            wrong.append(f"{self.name}: a gap or a repeat in {seqs}")
        if seqs and seqs[-1] > left:
            wrong.append(f"{self.name}: leak of {seqs[-1] - left} events after {left}")
        if self.kind in FOLLOWING and seqs[-1:] != [left]:
            wrong.append(f"{self.name}: the last event was {self.told.events[-1:]}, not that of {left}")
        return wrong


def round_of(here: Place, chance: random.Random) -> list[str]:
    """Remove the member once; what was wrong."""
    boss, (near, far) = here.boss, here.urls
    room = here.room("race", kind="closed", members=[here.member.key])
    readers = [Reading(name, url, here.member, room) for url in (near, far) for name in READERS]
    for reader in readers:
        reader.start()
    until(lambda: all(reader.live.is_set() for reader in readers), SECONDS, "every reader")
    with contextlib.closing(_connection(near)) as connection:
        said = threading.Event()
        removed = threading.Event()
        writer = threading.Thread(target=_write, args=(connection, boss, room, chance.randint(*BEFORE), said, removed))
        writer.start()
        until(said.is_set, SECONDS, "messages")
        command = {"command": "remove-member", "member": {"id": here.member.key}}
        # At either server: the writer's, or the other one.
        status, ack = boss.ask(chance.choice(here.urls), "POST", f"/api/v1/rooms/{room}/commands", command)
        removed.set()
        writer.join(SECONDS)
    assert status == 200 and "seq" in ack, ack
    for reader in readers:
        reader.join(SECONDS)
    found = [fault for reader in readers for fault in reader.faults(ack["seq"])]
    for url in here.urls:
        status, problem = here.member.ask(url, "GET", f"/api/v1/rooms/{room}/events?after=0")
        found += [] if status == 404 else [f"{url} still serves it: {status} {problem}"]
    return found


def _write(
    connection: http.client.HTTPConnection, boss: Account, room: str, before: int, said: threading.Event,
    removed: threading.Event,
) -> None:  # fmt: skip
    after = 0
    for number in range(100_000):
        status, answer = _ask(connection, boss, "POST", f"/api/v1/rooms/{room}/messages", {"message": f"{number}"})
        assert status == 201, answer
        if number == before:
            said.set()
        after += removed.is_set()
        if after == AFTER:
            return


def _connection(url: str) -> http.client.HTTPConnection:
    there = urlsplit(url)
    return http.client.HTTPConnection(str(there.hostname), there.port, timeout=SECONDS)


def _ask(
    connection: http.client.HTTPConnection, who: Account, method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    headers = dict(who.headers)
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def play(here: Place, rounds: int, seed: int = 1) -> list[str]:
    """So many rounds; all that was wrong."""
    chance = random.Random(seed)
    return [fault for _ in range(rounds) for fault in round_of(here, chance)]


if __name__ == "__main__":  # for a look: python removal.py ROUNDS [ALTERED]
    import tempfile

    with tempfile.TemporaryDirectory() as directory, place(Path(directory), altered=tuple(sys.argv[2:])) as here:
        print("\n".join(play(here, int(sys.argv[1]))) or "nothing was wrong")

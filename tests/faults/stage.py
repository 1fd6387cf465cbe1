"""What a scenario works with, and how one is played: a deployment, clients, a history, and the verdict on it."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import following
import membership
from checker import Least, Violation, check, figures, happened
from clients import READING, Client, Reader, Sender, Urls, read_whole
from deployment import Deployment, Gunicorn, Several
from history import History
from private_postgres import Server, postgres
from servers import until
from shim import Orders
from websocket_peer import Broken, Refusal

MORE = 60.0
"""Seconds that a scenario takes longer, at most, where too little has happened in its time."""


@dataclass
class Stage:
    """What a scenario works with."""

    deployment: Deployment
    data: Path
    seed: int
    seconds: float
    orders: Orders | None = None
    databases: Sequence[Server] = ()
    membership: bool = False
    """True if a member of a closed room is let in and put out meanwhile."""
    patience: float = 60.0
    """Seconds for the readers to come to the end."""
    least: Least = field(default_factory=lambda: Least(0, 0, final=0))
    """What must have happened: a slow machine gets more time for it."""
    history: History = field(default_factory=History)
    clients: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._numbers = itertools.count()
        self._beside: list[Client] = []
        self.urls: Urls = lambda chance: chance.choice(self.deployment.urls)

    def senders(self, count: int, *, urls: Urls | None = None, **options: Any) -> list[Sender]:
        """So many more, at work; every second one over a WebSocket unless `transport` says otherwise."""
        made = []
        for number in range(count):
            transport = options.get("transport") or ("post", "ws")[number % 2]
            name = f"S{next(self._numbers)}"
            each = Sender(
                self.history, name, urls or self.urls, self.chance.randrange(2**32),
                transport=transport, rate=options.get("rate", 20),
            )  # fmt: skip
            made.append(each)
            self._begin(each)
        return made

    def readers(
        self, transports: Sequence[str | tuple[str, ...]] = READING, *, urls: Urls | None = None, **options: Any
    ) -> list[Reader]:
        """One more for each of `transports`, at work; a tuple is one that changes between these."""
        made = []
        for each in transports:
            names = (each,) if isinstance(each, str) else each
            name = f"R{next(self._numbers)}"
            reader = Reader(
                self.history, name, urls or self.urls, self.chance.randrange(2**32), transports=names, **options
            )
            made.append(reader)
            self._begin(reader)
        return made

    def inboxes(self) -> None:
        """An account that follows its inbox on several devices, and marks on another what it has read."""
        database = self.databases[0].database("postgres") if self.databases else ""
        token = following.account(self.data, database)
        for transport in following.DEVICES:
            name, seed = f"I{next(self._numbers)}", self.chance.randrange(2**32)
            self._begin(following.Device(self.history, name, self.urls, seed, token, transport))
        marker = f"M{next(self._numbers)}"
        self._begin(following.Marker(self.history, marker, self.urls, self.chance.randrange(2**32), token))

    def _members(self) -> None:
        """A closed room beside the lobby, whose member reads on while it is put out and let in."""
        database = self.databases[0].database("postgres") if self.databases else ""
        who = membership.people(self.data, database)
        room = membership.closed_room(self.deployment.urls[0], who)
        seeds = random.Random(self.seed)  # the scenario's own chance is as it is without them
        made: list[Client] = [membership.Changer(self.history, "Max", self.urls, seeds.randrange(2**32), who, room)]
        for number, transport in enumerate(membership.READERS):
            seed = seeds.randrange(2**32)
            made.append(membership.Member(self.history, f"Mo{number}", self.urls, seed, who, room, transport))
        for each in made:
            self._beside.append(each)
            each.start()

    def sender(self, name: str) -> Sender:
        """One that sends when it is told to."""
        return Sender(self.history, name, self.urls, self.chance.randrange(2**32))

    def run_for(self, share: float = 1.0) -> None:
        """Let the clients work for this share of the scenario's time."""
        time.sleep(self.seconds * share)

    def until_over(self, *also: str) -> Iterator[None]:
        """Again and again, until the scenario's time is up; or longer, for faults and what comes of no later time."""
        end, wanted = time.monotonic() + self.seconds, ("faults", "unknown", *also)
        while time.monotonic() < end or (not self._enough(*wanted) and time.monotonic() < end + MORE):
            yield

    def acknowledged(self) -> None:
        """Wait until a message that is sent from now on is acknowledged; not for long where none is."""
        begun = self.history.now()

        def one() -> bool:
            return any(each.begun > begun and each.outcome == "ok" for each in reversed(self.history.sends[-500:]))

        with contextlib.suppress(AssertionError):  # the checker says what was too little
            until(one, MORE)

    def until_enough(self) -> None:
        """Let the clients work until as much has been sent and read as must be."""
        with contextlib.suppress(AssertionError):  # the checker says what was too little
            until(lambda: self._enough("acked", "events"), MORE)

    def _enough(self, *names: str) -> bool:
        there = happened(self.history)
        return all(getattr(there, name) >= getattr(self.least, name) for name in names)

    def outgrow(self, cursors: Sequence[str]) -> None:
        """Write past all `cursors`, so that their numbers are there again: where history was lost, in another one."""
        head = max(int(cursor.partition(".")[0]) for cursor in cursors)
        with contextlib.closing(self.sender("Again")) as again:
            for number in range(head):
                sent = again.deliver(f"again-{number}")
                if sent is None or sent.seq > head + 5:
                    break

    def go_on_from(self, cursors: Sequence[str]) -> None:
        """Readers of every transport that come back with each of `cursors`, for a while."""
        for cursor in cursors:
            for transport in READING:
                self.readers([transport], after=cursor, wait=1.0)
        self.run_for(0.3)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """The deployment serves; at the end all settles and every worker's log is read whole, and then it stops."""
        self.deployment.start()
        try:
            self.deployment.ready()
            if self.membership:
                self._members()
            yield
            self.settle()
            self.read_by_all()
        finally:
            for each in (*self.clients, *self._beside):
                each.halt.set()
            self.deployment.stop()

    def read_by_all(self) -> None:
        """The whole log from every worker over every transport."""
        until = time.monotonic() + MORE
        for worker in self.deployment.workers():
            with self.deployment.serving_alone(worker) as url:
                read_whole(self.history, f"worker {worker}", url, until)

    def settle(self) -> None:
        """End the senders, then let the readers come to the end of what was acknowledged; then end them."""
        senders = [each for each in self.clients if isinstance(each, Sender)]
        if senders:
            self.until_enough()
        end(senders)
        acked = [send.seq for send in self.history.sends if send.outcome == "ok" and send.epoch == self.history.epoch]
        last = max(acked, default=0)
        readers = [each for each in self.clients if isinstance(each, Reader)]
        with contextlib.suppress(AssertionError):  # the checker says who did not come that far
            until(lambda: all(each.seq >= last for each in readers), self.patience, "the end of the log")
        end(readers)
        self._settle_inboxes()
        end(self._beside)
        for each in (*self.clients, *self._beside):
            if each.fault is not None:
                raise each.fault
        self.clients.clear()
        self._beside.clear()

    def _settle_inboxes(self) -> None:
        """End the marks, then let the devices come to what every server has; then end them."""
        end([each for each in self.clients if isinstance(each, following.Marker)])
        devices = [each for each in self.clients if isinstance(each, following.Device)]
        if not devices:
            return
        with contextlib.suppress(AssertionError, Broken, Refusal):  # the checker says who did not come that far
            truth = devices[0].truth(self.deployment.urls[0])
            until(lambda: all(each.place == truth for each in devices), self.patience, "the inbox")
        for url in self.deployment.urls:
            self.history.look(f"server {url}", self.history.now(), *devices[0].truth(url), final=True)
        for each in devices:
            self.history.look(each.name, 0, *each.place, final=True)
        end(devices)

    def _begin(self, client: Client) -> None:
        self.clients.append(client)
        client.start()


def end(clients: Sequence[Client]) -> None:
    """Tell them to end, and wait until they have."""
    for each in clients:
        each.halt.set()
    for each in clients:
        each.join(60)
        assert not each.is_alive(), f"{each.name} does not end"


@dataclass(frozen=True)
class Scenario:
    """One of them, with what its deployment needs and what must have happened."""

    play: Callable[[Stage], None]
    least: Least
    options: dict[str, Any] = field(default_factory=dict)
    servers: int = 1
    orders: dict[str, int] | None = None
    databases: int = 0
    """How many PostgreSQL machines keep the log; each but the first is a standby of the first."""

    @property
    def name(self) -> str:
        return self.play.__name__.replace("_", "-")

    @property
    def what(self) -> str:
        """What happens in it."""
        return (self.play.__doc__ or "").strip().splitlines()[0].rstrip(".")


@dataclass
class Result:
    """One run: its figures and what the checker found."""

    history: History
    violations: list[Violation]

    @property
    def figures(self) -> dict[str, int]:
        return figures(self.history)


Played = Callable[[str], Result]
"""What came of the scenario, or of the mutant, of that name."""


def run(
    scenario: Scenario, data: Path, *, seed: int = 1, seconds: float = 3.0, altered: Sequence[str] = (),
    membership: bool = False,
) -> Result:  # fmt: skip
    """Play `scenario` on a new deployment in `data`, and judge it; `altered` puts more changes into the server.

    With `membership` a member of a closed room is let in and put out meanwhile.
    """
    orders = None
    if scenario.orders is not None:
        orders = Orders(data.parent / "orders")
        orders.set(**scenario.orders)
    with databases(scenario.databases) as servers:
        deployment = _deployment(scenario, data, servers, orders, altered)
        # Of a mutant nobody expects that all readers come to the end.
        patience = 1.0 if altered else 60.0
        stage = Stage(deployment, data, seed, seconds, orders, servers, membership, patience, scenario.least)
        with stage.serving():
            scenario.play(stage)
    return Result(stage.history, check(stage.history, scenario.least))


@contextlib.contextmanager
def databases(count: int) -> Iterator[list[Server]]:
    """A primary, and its standbys."""
    with contextlib.ExitStack() as stack:
        made: list[Server] = []
        for _ in range(count):
            made.append(stack.enter_context(postgres(made[0] if made else None)))
        yield made


def _deployment(
    scenario: Scenario, data: Path, servers: Sequence[Server], orders: Orders | None, altered: Sequence[str]
) -> Deployment:
    options = {"workers": 1, "env": orders and orders.env, **scenario.options}
    options["altered"] = [*options.get("altered", []), *altered]
    if servers:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in servers)
        # libpq takes the first that takes writes.
        url = f"postgresql://quotechat:{servers[0].password}@{hosts}/postgres?target_session_attrs=read-write"
        options["env"] = {"QUOTECHAT_DATABASE": url}
    made = [
        # Machines share nothing but the database.
        Gunicorn(data.with_name(f"data-{number}") if servers else data, **options)
        for number in range(scenario.servers)
    ]
    return Several(*made) if len(made) > 1 else made[0]

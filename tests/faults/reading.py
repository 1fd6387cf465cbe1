"""The scenarios of readers whose own pace or transport makes the difference, on a server that is well."""

from __future__ import annotations

import contextlib

from checker import Least
from clients import READING, STREAMS
from event_source import EventSource
from proxy import Plan, Proxy
from servers import until
from stage import Scenario, Stage, end

MESSAGES = 300
RATES = (None, 4_000_000, 1_000_000)
"""Bytes per second that a reader takes; None for all that comes."""


def large_pages(stage: Stage) -> None:
    """A log of megabytes, to readers of several speeds: each gets all of it, on one connection."""
    with contextlib.closing(stage.sender("Large")) as sender, contextlib.ExitStack() as proxies:
        sender.padding = "\N{SLIGHTLY SMILING FACE}" * 3900
        for number in range(MESSAGES):
            sent = sender.deliver(f"large-{number}")
            assert sent is not None
        readers = []
        # They choose to be late.
        with stage.history.fault("slow readers"):
            for rate in RATES:
                plan = Plan(rate=rate)
                proxy = proxies.enter_context(Proxy(stage.deployment.urls, lambda chance, plan=plan: plan))  # type: ignore[misc]
                readers += stage.readers(READING, urls=lambda chance, url=proxy.url: url, wait=1.0)  # type: ignore[misc]
            with contextlib.suppress(AssertionError):  # the checker says who did not come that far
                until(lambda: all(each.seq >= sent.seq for each in readers), 60, "the end of the log")
        names = {each.name for each in readers}
        end(readers)
        stage.clients.clear()
    _nobody_was_cut_off(stage, names)


def _nobody_was_cut_off(stage: Stage, names: set[str]) -> None:
    reads = [read for read in stage.history.reads if read.process in names]
    broken = [f"{read.process} by {read.transport}: {read.code}" for read in reads if read.outcome != "ok" or read.code]
    assert not broken, f"readers were cut off: {broken[:5]}"
    for name in names:
        streams = [read for read in reads if read.process == name and read.transport in STREAMS]
        assert len(streams) <= 1, f"{name} had to connect {len(streams)} times"


def quiet_room(stage: Stage) -> None:
    """An EventSource loses its connection in a quiet room, and misses nothing that is said until it is back."""
    with Proxy(stage.deployment.urls, seed=stage.seed) as proxy, contextlib.closing(stage.sender("Rare")) as sender:
        listeners = [EventSource(stage.history, f"E{number}", lambda chance: proxy.url, number) for number in range(3)]
        for each in listeners:
            each.start()
        for number, _ in enumerate(stage.until_over()):
            connected = [each.listening for each in listeners]
            until(lambda: all(each.listening for each in listeners), what="the listeners")
            with stage.history.fault("cut"):
                for each in listeners:
                    each.may_connect.clear()
                proxy.cut_all()
                sent = sender.deliver(f"rare-{number}")
                assert sent is not None
                for each in listeners:
                    each.may_connect.set()
                until(
                    lambda connected=connected, sent=sent: all(  # type: ignore[misc]
                        each.listening > before and each.seq >= sent.seq
                        for each, before in zip(listeners, connected, strict=True)
                    ),
                    what="the message, on a new connection",
                )
        end(listeners)


SCENARIOS = [
    Scenario(large_pages, Least(MESSAGES, MESSAGES * len(READING), faults=1)),
    Scenario(quiet_room, Least(2, 6, faults=2)),
]

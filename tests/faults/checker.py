"""What must hold of a history: the promises of protocol §5, one check for each, in one pass each.

Pure: no clock, no server, no thread. The server says at which position each event stands, so the order is
given and need not be searched for: every check is linear in the number of operations and events.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, zip_longest
from typing import NamedTuple

from history import SECOND, Change, Fault, Got, History, Look, Mark, Read, Send, seq_of

LATE_SECONDS = 6.0
"""Promise 6 says 1 s; the rest is for a machine that is busy with the test itself, and with others."""
CALM_SECONDS = 3.0
"""For so long after a fault nobody is expected to be in time."""
_MOST_SHOWN = 5


class Violation(NamedTuple):
    """A promise that was broken: the check that found it, and what it saw."""

    check: str
    what: str

    def __str__(self) -> str:
        return f"{self.check}: {self.what}"


class Least(NamedTuple):
    """What must have happened for a run to prove anything."""

    acked: int = 10
    events: int = 10
    faults: int = 0
    unknown: int = 0
    final: int = 1


def check(history: History, least: Least | None = None) -> list[Violation]:
    """Every violation, at most a few for each check; `least` is what must have happened."""
    found = []
    for name, one in CHECKS.items():
        seen = list(one(history))
        found += [Violation(name, what) for what in seen[:_MOST_SHOWN]]
        if len(seen) > _MOST_SHOWN:
            found.append(Violation(name, f"and {len(seen) - _MOST_SHOWN} more"))
    return found + [Violation("vacuity", what) for what in too_little(history, least or Least())]


def names(violations: Iterable[Violation]) -> set[str]:
    """The checks that found something."""
    return {each.check for each in violations}


# --- Promise 2: gap-free and in one order ---------------------------------------------------------


def gap(history: History) -> Iterator[str]:
    """On one connection, or in one page, each event is its predecessor's number + 1, from the cursor on."""
    for read in (*history.reads, *history.views):
        last = seq_of(read.after)
        for each in read.got:
            if last is not None and each.seq != last + 1:
                kind = "missed" if each.seq > last + 1 else "repeated"
                yield f"{_who(read)}: after {last} came {each.seq} ({kind})"
            last = each.seq
        position = seq_of(read.position)
        # "caught-up" may be followed by events; a page's cursor is where its events end.
        if read.got and read.caught_up_at:
            before = [each.seq for each in read.got if each.at <= read.caught_up_at]
            last = before[-1] if before else seq_of(read.after)
        if read.position and last is not None and position != last:
            yield f"{_who(read)}: the events lead to {last}, the cursor says {position}"


def order(history: History) -> Iterator[str]:
    """Whoever reads a number gets the same event."""
    first: dict[tuple[int, int], Got] = {}
    for read in history.reads:
        for each in read.got:
            known = first.setdefault((read.epoch, each.seq), each)
            if known.mark != each.mark:
                yield f"{_who(read)}: event {each.seq} is {each.key!r} here and {known.key!r} elsewhere"


def cursor(history: History) -> Iterator[str]:
    """A number has one cursor, in events and in acks."""
    first: dict[tuple[int, int], str] = {}
    seen = [(read.epoch, each.seq, each.cursor, _who(read)) for read in history.reads for each in read.got]
    seen += [(send.epoch, send.seq, send.cursor, _who(send)) for send in _acked(history)]
    for epoch, seq, text, who in seen:
        known = first.setdefault((epoch, seq), text)
        if known != text:
            yield f"{who}: event {seq} has the cursor {text} here and {known} elsewhere"


# --- Promise 1: acknowledged is durable -----------------------------------------------------------


def lost(history: History) -> Iterator[str]:
    """What was acknowledged stands in the log where the ack said."""
    log = _log(history)
    for send in _acked(history):
        if send.epoch != history.epoch:
            continue
        there = log.get(send.seq)
        if there is None or there.key != send.key:
            yield f"{send.key} was acknowledged as {send.seq}, where the log has {there and there.key!r}"


def refused(history: History) -> Iterator[str]:
    """What was refused for certain, each time, is not in the log."""
    outcomes: dict[str, set[str]] = {}
    for send in history.sends:
        outcomes.setdefault(send.key, set()).add(send.outcome)
    for each in _log(history).values():
        if each.key is not None and outcomes.get(each.key) == {"fail"}:
            yield f"{each.key} was refused, and is event {each.seq}"


# --- Promise 3: sent once -------------------------------------------------------------------------


def twice(history: History) -> Iterator[str]:
    """A client_id stands at one number only, for readers and in acks."""
    first: dict[tuple[int, str], int] = {}
    seen = [(read.epoch, each.key, each.seq) for read in history.reads for each in read.got if each.key]
    seen += [(send.epoch, send.key, send.seq) for send in _acked(history)]
    for epoch, key, seq in seen:
        known = first.setdefault((epoch, key), seq)
        if known != seq:
            yield f"{key} is event {known} and event {seq}"


# --- Promise 4: read your writes, and real time ---------------------------------------------------


def stale(history: History) -> Iterator[str]:
    """A read that begins after an ack gets as far as that ack, whoever answers it."""
    acked = _Acked(history)
    for read in history.reads:
        reached = seq_of(read.position)
        if read.more or reached is None:
            continue
        most = acked.before(read.begun, read.epoch)
        if reached < most:
            yield f"{_who(read)}: {most} was acknowledged before it began, and it was told that {reached} is all"


def realtime(history: History) -> Iterator[str]:
    """What is sent after an ack stands after it in the log."""
    acked = _Acked(history)
    first: dict[str, Send] = {}
    for send in history.sends:
        first.setdefault(send.key, send)
    for send in _acked(history):
        began = first[send.key]
        most = acked.before(began.begun, began.epoch)
        if began.epoch == send.epoch and send.seq <= most:
            yield f"{send.key} began after the ack of {most} and is event {send.seq}"


# --- Promise 5: never silently --------------------------------------------------------------------


def reset(history: History) -> Iterator[str]:
    """A cursor of this history is served; one of another history, or beyond the head, is refused."""
    log = {each.cursor for each in _log(history).values()}
    head = max((each.seq for each in _log(history).values()), default=0)
    for read in history.reads:
        seq, _, tag = read.after.partition(".")
        if read.epoch != history.epoch or not log or seq in ("", "now", "0"):
            continue
        # A bare number is taken at its word, unless it is ahead.
        ours = read.after in log if tag else int(seq) <= head
        if read.reset and ours:
            yield f"{_who(read)}: {read.reset} for {read.after}, which is in the log"
        if not read.reset and not ours and (read.outcome == "ok" or read.got):
            yield f"{_who(read)}: {read.after} is not in the log, and was served"


# --- Promise 6: a wake-up lost costs time, not data -----------------------------------------------


def late(history: History) -> Iterator[str]:
    """Whoever waits gets what is acknowledged within a second, when nothing is broken."""
    acked = {send.seq: send.ended for send in reversed(_acked(history)) if send.epoch == history.epoch}
    calm = _Calm([fault for fault in history.faults if fault.delays])
    for read in history.reads:
        if not read.held or read.epoch != history.epoch or read.reset:
            continue
        last = read.got[-1].seq if read.got else seq_of(read.position or read.after)
        # The last that it waited for may not have come at all.
        waits = [(each.seq, each.at) for each in read.got] + ([] if last is None else [(last + 1, read.ended)])
        for seq, at in waits:
            since = max(acked.get(seq, at), read.begun)
            if at - since > LATE_SECONDS * SECOND and calm.between(since, at):
                yield f"{_who(read)}: {(at - since) / SECOND:.2f} s after its ack, event {seq} came or had not come"


# --- The inbox ------------------------------------------------------------------------------------


def marked(history: History) -> Iterator[str]:
    """An inbox that is asked for after a mark was acknowledged shows it, on every device, and goes on doing so."""
    acked = sorted((mark.ended, mark.id) for mark in history.marks if mark.outcome == "ok" and _is_last(history, mark))
    moments = [ended for ended, _ in acked]
    highest = list(accumulate((number for _, number in acked), max))
    for look in history.looks:
        place = bisect_right(moments, look.begun) if _is_last(history, look) else 0
        if place and look.read < highest[place - 1]:
            yield f"{look.process}: read up to {look.read}, but {highest[place - 1]} was acknowledged before"


def inbox(history: History) -> Iterator[str]:
    """At the end, every device and every worker has the same inbox, and it counts the log's messages."""
    found = {(look.read, look.last, look.messages): look.process for look in history.looks if look.final}
    if len(found) > 1:
        yield f"(read, last, messages) differ: {found}"


def _is_last(history: History, operation: Mark | Look) -> bool:
    return operation.epoch == history.epoch


# --- Promise 9: revoked is revoked ------------------------------------------------------------------


def leak(history: History) -> Iterator[str]:
    """A reading that was under way before the member was let in again ends at the event that put it out.

    One that only began before, and got nothing until then, may have been looked at afterwards.
    """
    for put_out, again in _put_out(history):
        for view in history.views:
            if view.epoch != history.epoch or not put_out.seq or not view.got or view.got[0].at >= again:
                continue
            if view.got[-1].seq > put_out.seq:
                yield f"{_who(view)}: put out by event {put_out.seq}, it got {view.got[-1].seq}"


def served(history: History) -> Iterator[str]:
    """A reading that begins after the ack of the removal is refused, and ends in nothing."""
    for put_out, again in _put_out(history):
        for view in history.views:
            if view.epoch != history.epoch or not put_out.ended <= view.begun or not (view.ended or again) < again:
                continue
            if view.got or view.position:
                yield f"{_who(view)}: served {len(view.got)} events after the removal at {put_out.seq} was acknowledged"


def held(history: History) -> Iterator[str]:
    """What the member holds open ends within a second of the ack, let in again or not, when nothing is broken."""
    calm = _Calm([fault for fault in history.faults if fault.delays])
    for put_out, _ in _put_out(history):
        deadline = put_out.ended + int(LATE_SECONDS * SECOND)
        for view in history.views:
            if view.epoch != history.epoch or not put_out.seq or not view.begun < put_out.begun:
                continue
            if view.ended > deadline and calm.between(view.begun, view.ended):
                late = (view.ended - put_out.ended) / SECOND
                yield f"{_who(view)}: held {late:.2f} s after the removal at {put_out.seq} was acknowledged"


def shut_out(history: History) -> Iterator[str]:
    """A reading that begins and ends while the member is in is not refused for the room."""
    changes = _changes(history)
    for let_in, put_out in zip_longest(changes, changes[1:]):
        if let_in.command != "add-member" or not let_in.ended:
            continue
        until = put_out.begun if put_out is not None else max((view.ended for view in history.views), default=0) + 1
        for view in history.views:
            inside = view.epoch == history.epoch and let_in.ended < view.begun <= view.ended < until
            if inside and view.code == "room-unknown":
                yield f"{_who(view)}: refused, though it was let in by event {let_in.seq}"


def _changes(history: History) -> list[Change]:
    return [each for each in history.changes if each.epoch == history.epoch]


def _put_out(history: History) -> Iterator[tuple[Change, int]]:
    """Each removal that was acknowledged, and when the member was about to be let in again."""
    changes = _changes(history)
    for each, again in zip_longest(changes, changes[1:]):
        if each.command == "remove-member" and each.ended:
            yield each, again.begun if again is not None else 2**63


# --- Enough, and the end --------------------------------------------------------------------------


def final(history: History) -> Iterator[str]:
    """At the end, every worker serves the same whole log over every transport."""
    log = [(each.seq, each.cursor, each.mark) for each in _log(history).values()]
    for read in history.reads:
        if not read.final:
            continue
        if read.outcome != "ok":
            yield f"{_who(read)}: the log could not be read to its end ({read.code or read.outcome})"
        elif [(each.seq, each.cursor, each.mark) for each in read.got] != log:
            yield f"{_who(read)}: {len(read.got)} events here, {len(log)} elsewhere, or others"


def happened(history: History) -> Least:
    """How much there is in `history`, so far."""
    return Least(
        acked=len(_acked(history)),
        events=sum(len(read.got) for read in history.reads if not read.final),
        faults=len(history.faults),
        unknown=sum(send.outcome == "unknown" for send in history.sends),
        final=sum(read.final for read in history.reads),
    )


def too_little(history: History, least: Least) -> Iterator[str]:
    """A run in which nothing happened proves nothing."""
    for name, there, wanted in zip(Least._fields, happened(history), least, strict=True):
        if there < wanted:
            yield f"{there} {name}, at least {wanted} are needed"


CHECKS: dict[str, Callable[[History], Iterator[str]]] = {
    "gap": gap,
    "order": order,
    "cursor": cursor,
    "lost": lost,
    "refused": refused,
    "twice": twice,
    "stale": stale,
    "real-time": realtime,
    "reset": reset,
    "late": late,
    "marked": marked,
    "inbox": inbox,
    "leak": leak,
    "served": served,
    "held": held,
    "shut-out": shut_out,
    "final": final,
}


# --- What checks share ----------------------------------------------------------------------------


class _Acked:
    """The highest number that had been acknowledged before a moment."""

    def __init__(self, history: History) -> None:
        self._by_epoch: dict[int, tuple[list[int], list[int]]] = {}
        for send in sorted(_acked(history), key=lambda send: send.ended):
            moments, most = self._by_epoch.setdefault(send.epoch, ([], []))
            moments.append(send.ended)
            most.append(max(send.seq, most[-1] if most else 0))

    def before(self, moment: int, epoch: int) -> int:
        moments, most = self._by_epoch.get(epoch, ([], []))
        place = bisect_right(moments, moment - 1)
        return most[place - 1] if place else 0


class _Calm:
    """Whether nothing was broken between two moments, or shortly before."""

    def __init__(self, faults: list[Fault]) -> None:
        calm = int(CALM_SECONDS * SECOND)
        self._begins: list[int] = []
        self._until: list[int] = []
        for each in sorted(faults, key=lambda each: each.begun):
            self._begins.append(each.begun)
            ended = (each.ended or each.begun) + calm
            self._until.append(max(ended, self._until[-1] if self._until else 0))

    def between(self, begin: int, end: int) -> bool:
        place = bisect_right(self._begins, end)
        return not place or self._until[place - 1] < begin


def _acked(history: History) -> list[Send]:
    return [send for send in history.sends if send.outcome == "ok"]


def _log(history: History) -> dict[int, Got]:
    """The log as the longest of the last readings has it."""
    finals = [read for read in history.reads if read.final]
    longest = max(finals, key=lambda read: len(read.got), default=None)
    return {} if longest is None else {each.seq: each for each in longest.got}


def _who(operation: Send | Read) -> str:
    return f"{operation.process} by {operation.transport}"


def figures(history: History) -> dict[str, int]:
    """What a run amounted to, for a table."""
    outcomes = Counter(send.outcome for send in history.sends)
    return {
        "sends": len(history.sends),
        "acked": outcomes["ok"],
        "unknown": outcomes["unknown"],
        "reads": len(history.reads),
        "events": sum(len(read.got) for read in history.reads),
        "faults": len(history.faults),
        "removals": sum(change.command == "remove-member" and change.ended > 0 for change in history.changes),
        "views": sum(bool(view.got) for view in history.views),
    }

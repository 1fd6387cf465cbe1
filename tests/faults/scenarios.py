"""The scenarios that would show a broken promise, each with the faults that provoke it.

A scenario gets a `Stage`: a deployment that serves, a history to record into, a seeded chance and a length in
seconds. It lets clients work, breaks things meanwhile, and leaves everything healed. `run` then reads the whole
log from every worker over every transport, and the checker judges.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import machines
import reading
import subscribers
from checker import LATE_SECONDS, Least
from clients import READING, ROOM, Http, Reader, Sender
from deployment import Deployment, Gunicorn, any_worker, kill, stopped
from proxy import Plan, Proxy, mixed
from servers import until
from shim import BROKEN, FULL
from stage import Scenario, Stage, end

# --- The scenarios --------------------------------------------------------------------------------


def snapshot_then_live(stage: Stage) -> None:
    """A snapshot, a pause of any length, then on from its cursor, over each transport, under steady writes."""
    stage.senders(4, rate=40)
    for _ in stage.until_over("events"):
        for transport in READING:
            stage.readers([transport], after=_snapshot(stage))
            time.sleep(stage.chance.uniform(0, 0.1))
        stage.run_for(0.25)
        for each in [each for each in stage.clients if isinstance(each, Reader)]:
            end([each])
            stage.clients.remove(each)


def _snapshot(stage: Stage) -> str:
    with contextlib.closing(Http()) as http:
        return str(http.ask(stage.deployment.urls[0], "GET", f"{ROOM}?limit=1")["cursor"])


def transport_hopping(stage: Stage) -> None:
    """Readers that change their transport every 50 to 500 ms, at any moment."""
    stage.senders(8, rate=20)
    stage.readers([READING] * 5, hop=(0.05, 0.5), wait=1.0)
    stage.run_for()


def fail_points(stage: Stage) -> None:
    """Workers die before a COMMIT, after it, and before the answer; the senders ask again."""
    stage.senders(6, rate=60)
    stage.readers(READING)
    with stage.history.fault("fail-points"):
        for _ in stage.until_over():
            time.sleep(0.05)
    stage.deployment.kill_all()
    stage.deployment = _plain(stage)


def lost_answers(stage: Stage) -> None:
    """The request arrives, and a reset comes instead of the answer; the repeat goes to another worker."""

    def choose(chance: random.Random) -> Plan:
        return Plan(reset_at=0) if chance.random() < 0.5 else Plan()

    with Proxy(stage.deployment.urls, choose, stage.seed) as proxy, stage.history.fault("resets"):
        senders = stage.senders(6, urls=lambda chance: proxy.url, rate=50, transport="post")
        for each in senders:
            each.fresh = True  # every try on a connection of its own: it meets its own fate and any worker
        stage.readers(READING)
        stage.run_for()
        stage.settle()


def same_id_at_once(stage: Stage) -> None:
    """One client_id sent by 8 at the same moment, to all workers: one event, one number."""
    stage.readers(READING)
    for turn, _ in enumerate(stage.until_over("acked", "events")):
        start = threading.Barrier(8)
        key = f"once-{turn}"
        # One name: a client_id belongs to who sends it.
        many = [stage.sender("Same") for _ in range(8)]

        def send(sender: Sender, key: str = key, start: threading.Barrier = start) -> None:
            start.wait()
            sender.try_once(key)
            sender.close()

        threads = [threading.Thread(target=send, args=(each,)) for each in many]
        for each in threads:
            each.start()
        for each in threads:
            each.join()


def stop_and_go(stage: Stage) -> None:
    """A worker stands still (SIGSTOP), perhaps in the midst of a transaction, and goes on later."""
    stage.inboxes()
    stage.senders(6, rate=30)
    stage.readers(READING)
    for _ in stage.until_over():
        worker = any_worker(stage.deployment, stage.chance)
        if worker is not None:
            with stage.history.fault("stop"), stopped(worker):
                time.sleep(stage.chance.uniform(0.1, 1.0))
        time.sleep(stage.chance.uniform(0.1, 0.3))


def wake_ups_lost(stage: Stage) -> None:
    """No wake-up reaches another worker (the deployment is altered so): it only takes longer."""
    stage.senders(4, rate=8)
    stage.readers([*READING, "long", "ws"])
    # They ask again so soon that the answer is due before anybody has heard of the news.
    stage.readers(["long"] * 3, wait=0.05)
    stage.run_for()


def lonely_messages(stage: Stage) -> None:
    """A single message at any moment around a reader's check and its wait, then silence: it is answered."""
    (reader,) = stage.readers(["long"], wait=10)
    with contextlib.closing(stage.sender("Lonely")) as sender:
        for number, _ in enumerate(stage.until_over("acked", "events")):
            time.sleep(stage.chance.uniform(0, 0.08))
            sent = sender.deliver(f"lonely-{number}")
            assert sent is not None
            deadline = time.monotonic() + LATE_SECONDS + 1
            while reader.seq < sent.seq and time.monotonic() < deadline:
                time.sleep(0.002)
            if reader.seq < sent.seq:
                break  # the checker says how late it came


def inbox_readers(stage: Stage) -> None:
    """One account on several devices, one of which marks what is read, while workers are killed."""
    stage.inboxes()
    kill_worker(stage)
    until(lambda: sum(mark.outcome == "ok" for mark in stage.history.marks) >= 5, 60, "marks")


def kill_worker(stage: Stage) -> None:
    """SIGKILL to a worker, again and again."""
    stage.senders(6, rate=40)
    stage.readers(READING)
    for _ in stage.until_over():
        worker = any_worker(stage.deployment, stage.chance)
        if worker is not None:
            with stage.history.fault("kill worker"):
                kill(worker)
                until(lambda worker=worker: worker not in stage.deployment.workers(), what="its end")  # type: ignore[misc]
        time.sleep(stage.chance.uniform(0.2, 0.8))


def kill_everything(stage: Stage) -> None:
    """SIGKILL to all processes at once, again and again; what was acknowledged is there afterwards."""
    subscribers.named_readers(stage, 2)
    stage.inboxes()
    stage.senders(6, rate=60)
    stage.readers(READING)
    for _ in stage.until_over():
        stage.acknowledged()
        time.sleep(stage.chance.uniform(0.2, 0.6))
        with stage.history.fault("kill all"):
            stage.deployment.kill_all()
            stage.deployment.start()


def hangup(stage: Stage) -> None:
    """SIGHUP, again and again: new workers take over, and nobody is refused."""
    senders = stage.senders(4, rate=30)
    stage.readers([*READING, *READING])
    stage.inboxes()
    for _ in stage.until_over():
        before = stage.deployment.workers()
        with stage.history.fault("hangup"):
            for master in stage.deployment.masters():
                kill(master, signal.SIGHUP)
            until(lambda before=before: not set(before) & set(stage.deployment.workers()), 120, "new workers")  # type: ignore[misc]
        stage.run_for(0.2)
    _refused_nobody(stage, [each.name for each in senders if each.transport == "post"])


def slow_hangup(stage: Stage) -> None:
    """The new workers take their time to start (the deployment is altered so): the old ones serve until then."""
    hangup(stage)


def _refused_nobody(stage: Stage, names: list[str]) -> None:
    refused = [send for send in stage.history.sends if send.process in names and send.outcome != "ok" and send.ended]
    assert not refused, f"POSTs failed during a reload: {refused[:3]}"


def network(stage: Stage) -> None:
    """Resets, cuts after any byte, stalls and delays, for readers and senders over every transport."""
    with Proxy(stage.deployment.urls, mixed, stage.seed) as proxy, stage.history.fault("network"):
        stage.senders(6, urls=lambda chance: proxy.url, rate=40)
        stage.readers([*READING, READING, READING], urls=lambda chance: proxy.url, hop=(0.2, 1.0), wait=1.0)
        for _ in stage.until_over():
            time.sleep(stage.chance.uniform(0.3, 0.8))
            proxy.cut_all()
        proxy.choose = lambda chance: Plan()
        proxy.cut_all()
        stage.settle()


def cut_everywhere(stage: Stage) -> None:
    """The answer ends after each number of bytes in turn: no reader applies half of anything."""
    with contextlib.closing(stage.sender("First")) as sender:
        for number in range(12):
            sender.deliver(f"first-{number}")
    cuts = itertools.cycle(range(1, 4000, 17))
    with Proxy(stage.deployment.urls, lambda chance: Plan(cut_at=next(cuts))) as proxy, stage.history.fault("cuts"):
        for _ in stage.until_over("events"):
            readers = stage.readers([*READING, *READING], urls=lambda chance: proxy.url)
            time.sleep(0.4)
            end(readers)
            del stage.clients[-len(readers) :]


def power_loss(stage: Stage) -> None:
    """All processes die, and the files hold only what was flushed: every ack is there."""
    assert stage.orders is not None
    stage.senders(6, rate=60)
    stage.readers(READING)
    for _ in stage.until_over():
        time.sleep(stage.chance.uniform(0.2, 0.6))
        with stage.history.fault("power"):
            stage.deployment.kill_all()
            stage.orders.power_lost(stage.data)
            stage.deployment.start()


def disk_full(stage: Stage) -> None:
    """No space, now and then: what is refused is not stored, and reading goes on."""
    assert stage.orders is not None
    senders = stage.senders(6, rate=40)
    stage.readers(READING)
    for _ in stage.until_over():
        time.sleep(stage.chance.uniform(0.1, 0.4))
        with stage.history.fault("disk full"), stage.orders.during(write_errno=FULL):
            time.sleep(stage.chance.uniform(0.1, 0.4))
            until(lambda: any(send.code == "storage-full" for send in list(stage.history.sends)), 60, "a refusal")
    names = {each.name for each in senders}
    codes = {send.code for send in stage.history.sends if send.process in names and send.ended and send.code}
    assert codes == {"storage-full"}, f"senders were told {codes}"


def disk_error(stage: Stage) -> None:
    """A write or a flush fails: the outcome is unknown, the worker is replaced, and no later commit builds on it."""
    assert stage.orders is not None
    stage.senders(6, rate=40)
    stage.readers(READING)
    for _ in stage.until_over():
        time.sleep(stage.chance.uniform(0.3, 0.6))
        before = set(stage.deployment.workers())
        with stage.history.fault("disk error"):
            with stage.orders.during(**{stage.chance.choice(["sync_errno", "write_errno"]): BROKEN}):
                until(lambda before=before: before - set(stage.deployment.workers()), 60, "a worker's end")  # type: ignore[misc]
            acked = [each.acked for each in stage.clients if isinstance(each, Sender)]
            until(lambda acked=acked: _more_acked(stage, acked), 60, "an ack after it")  # type: ignore[misc]
    stage.deployment.ready()


def _more_acked(stage: Stage, before: list[int]) -> bool:
    return sum(each.acked for each in stage.clients if isinstance(each, Sender)) > sum(before)


def clock_jumps(stage: Stage) -> None:
    """One worker's clock, or everybody's, is an hour wrong, this way or that: only times of day change."""
    assert stage.orders is not None
    stage.senders(4, rate=30)
    stage.readers([*READING, READING])
    for _ in stage.until_over():
        pid = stage.chance.choice([-1, any_worker(stage.deployment, stage.chance) or -1])
        with stage.history.fault("clock", delays=False):
            with stage.orders.during(clock_pid=pid, clock_ns=stage.chance.choice([-1, 1]) * 3_600_000_000_000):
                time.sleep(stage.chance.uniform(0.1, 0.5))


def old_backup(stage: Stage) -> None:
    """The files of a moment ago are put back, and the log goes on from there: no reader of the lost end is served."""
    data = stage.data
    senders = stage.senders(4, rate=40)
    readers = stage.readers(READING)
    stage.run_for(0.3)
    with stage.history.fault("back-up"), tempfile.TemporaryDirectory() as kept:
        stage.deployment.stop()
        copy = shutil.copytree(data, Path(kept) / "data")
        stage.deployment.start()
        stage.run_for(0.4)
        stage.until_enough()
        end(senders)
        cursors = [each.cursor for each in readers]
        end(readers)
        stage.clients.clear()
        stage.deployment.stop()
        shutil.rmtree(data)
        shutil.copytree(copy, data)
        stage.history.restored()
        stage.deployment.start()
    stage.outgrow(cursors)
    stage.go_on_from(cursors)


def slow_readers(stage: Stage) -> None:
    """Readers that take nothing, on sockets with small buffers: the others do not notice."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(stage.deployment.urls[0])
    asked = f"GET {ROOM}/events?after=0 HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/x-ndjson\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.connect((parts.hostname, parts.port))
            sock.sendall(asked.encode())
        stage.senders(6, rate=60)
        stage.readers([*READING, READING])
        stage.run_for()
        stage.settle()


def many_polls(stage: Stage) -> None:
    """Three times as many held polls as threads: a POST finds a thread, and each poll its answer."""
    stage.readers(["long"] * 24, wait=2.0)
    stage.senders(3, rate=4, transport="post")
    stage.run_for()


def _plain(stage: Stage) -> Deployment:
    """A deployment on the same data whose code is as it should be."""
    deployment = Gunicorn(stage.data, workers=2)
    deployment.start()
    deployment.ready()
    return deployment


SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for each in [
        Scenario(snapshot_then_live, Least(40, 100), servers=2),
        Scenario(transport_hopping, Least(40, 100), servers=2),
        Scenario(
            fail_points, Least(20, 50, faults=1, unknown=1),
            {"altered": ["die-before-commit", "die-after-commit", "die-before-reply"], "workers": 2},
        ),
        Scenario(lost_answers, Least(20, 50, faults=1, unknown=5), servers=2),
        Scenario(same_id_at_once, Least(40, 20), servers=4),
        Scenario(stop_and_go, Least(20, 50, faults=2), servers=2),
        Scenario(wake_ups_lost, Least(5, 20), {"altered": ["no-notifier"]}, servers=3),
        Scenario(lonely_messages, Least(10, 10)),
        Scenario(hangup, Least(20, 50, faults=1), {"workers": 2}),
        Scenario(slow_hangup, Least(20, 50, faults=1), {"workers": 2, "altered": ["slow-start"]}),
        Scenario(kill_worker, Least(20, 50, faults=2), {"workers": 2}),
        Scenario(inbox_readers, Least(20, 50, faults=2), {"workers": 2}),
        Scenario(kill_everything, Least(20, 50, faults=1), {"workers": 2}),
        Scenario(power_loss, Least(20, 50, faults=1), {"workers": 2}, orders={"keep": 1}),
        Scenario(old_backup, Least(20, 50, faults=1)),
        Scenario(slow_readers, Least(40, 100), {"workers": 2}),
        Scenario(many_polls, Least(5, 50), {"flags": ["--threads", "8"]}),
        Scenario(cut_everywhere, Least(12, 20, faults=1)),
        Scenario(disk_full, Least(20, 50, faults=1), servers=2, orders={}),
        Scenario(disk_error, Least(10, 50, faults=1, unknown=1), {"workers": 2}, orders={}),
        Scenario(clock_jumps, Least(20, 50, faults=2), servers=2, orders={}),
        Scenario(network, Least(20, 50, faults=1, unknown=2), servers=2),
        *reading.SCENARIOS,
        *machines.SCENARIOS,
    ]
}

CAUGHT: dict[str, tuple[str, str]] = {
    "number-before-commit": ("transport-hopping", "gap"),
    "check-then-wait": ("lonely-messages", "late"),
    "ack-before-commit": ("kill-everything", "lost"),
    "dedupe-in-memory": ("lost-answers", "twice"),
    "dropped-between": ("snapshot-then-live", "gap"),
    "tag-ignored": ("old-backup", "reset"),
    "flush-skipped": ("power-loss", "lost"),
    "mark-forgotten": ("inbox-readers", "marked"),
    "number-from-a-sequence": ("between-machines", "gap"),
}
"""For each mutant of `altered.py`: the scenario that provokes it, and the check that is named for it."""



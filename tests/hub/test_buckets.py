"""Limits that all workers of a machine count together."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quotechat.hub.budgets.buckets import Bucket, SharedBuckets
from quotechat.hub.budgets.limits import Limits, Rate
from quotechat.protocol.errors import RateLimited

Worker = Callable[..., Limits]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Each call is another worker on the same file."""
    made: list[Limits] = []

    def make(rate: Rate, **more: int) -> Limits:
        made.append(Limits({"message": rate}, {}, buckets=SharedBuckets(tmp_path / "limits"), **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


def taken(*workers: Limits, key: str = "ann", address: str = "") -> int:
    """How many tokens the workers give, one after the other."""
    for count in range(1000):
        try:
            workers[count % len(workers)].allow("message", key if address == "" else f"{key}{count}", address)
        except RateLimited:
            return count
    return 1000


def test_workers_count_a_client_together(worker: Worker) -> None:
    """Whichever worker a request reaches, and one that starts later goes on where the others are."""
    rate = Rate(10, 0.0001)
    assert taken(worker(rate), worker(rate)) == 10
    assert taken(worker(rate)) == 0 and taken(worker(rate), key="bob") == 10


def test_an_address_has_its_own_share_of_a_kind(worker: Worker) -> None:
    """Many clients of an address have together what the kind allows it, over all workers."""
    rate = Rate(10, 0.0001, clients=2)
    assert taken(worker(rate), worker(rate), address="10.0.0.1") == 20
    assert taken(worker(rate, per_address=1), address="10.0.0.2") == 10


def test_a_refusal_and_a_refund_leave_what_was_there(worker: Worker) -> None:
    """What comes to nothing costs nothing, whoever asks for what is left."""
    one, two = worker(Rate(2, 0.0001)), worker(Rate(2, 0.0001))
    taken(one)
    two.refund("message", "ann")
    left = one.left("message", "ann")
    assert left is not None and int(left[1] + 0.5) == 1
    assert taken(two) == 1


def test_processes_count_together(tmp_path: Path) -> None:
    """Two processes that take as fast as they can get as much as one."""
    script = (
        "import sys; from pathlib import Path\n"
        "from quotechat.hub.budgets.buckets import SharedBuckets\n"
        "from quotechat.hub.budgets.limits import Limits, Rate\n"
        "from quotechat.protocol.errors import RateLimited\n"
        "limits = Limits({'message': Rate(500, 0.0001)}, {}, buckets=SharedBuckets(Path(sys.argv[1])))\n"
        "count = 0\n"
        "try:\n"
        "    while True: limits.allow('message', 'ann'); count += 1\n"
        "except RateLimited: print(count)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "limits")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    # A lock that was not to be had in time is gone without, which costs tokens on a busy machine; not twice as many.
    assert 500 <= sum(int(each.communicate(timeout=180)[0]) for each in both) <= 800


def test_a_worker_that_was_stopped_does_not_stop_the_others(tmp_path: Path, worker: Worker) -> None:
    """It may hold the lock for ever: the others go on without it."""
    limits = worker(Rate(10, 0.0001))
    with open(tmp_path / "limits", "rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        began = time.monotonic()
        limits.allow("message", "ann")
        assert time.monotonic() - began < 5
    assert taken(limits) == 9


def test_a_damaged_table_counts_as_full_buckets(tmp_path: Path, worker: Worker) -> None:
    """It is no more than a cache: what makes no sense there is as if it were not there."""
    limits = worker(Rate(3, 0.0001))
    taken(limits)
    path = tmp_path / "limits"
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert taken(limits) == 3


def test_a_full_table_forgets_what_was_used_longest_ago(tmp_path: Path) -> None:
    """The newest are kept, and the file does not grow."""
    buckets = SharedBuckets(tmp_path / "limits")
    size = (tmp_path / "limits").stat().st_size
    for number in range(100_000):
        buckets.put(f"{number}", Bucket(1.0, number / 1e6))
    assert (tmp_path / "limits").stat().st_size == size
    kept = [number for number in range(100_000) if buckets.get(f"{number}") is not None]
    assert len(kept) > 50_000 and sum(number > 90_000 for number in kept) > 9_900
    buckets.close()
    assert buckets.get("1") is None

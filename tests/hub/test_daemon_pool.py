"""Threads for lanes: few while they are quick, more while receivers hold them up."""

from __future__ import annotations

import threading

from servers import until

from quotechat.hub.webhooks.daemon_pool import FEW, DaemonPool


def test_quick_items_take_few_threads_in_turn() -> None:
    """Of many that wait, as many are at work as there are few; each is worked on once."""
    most, done, lock = [0], list[int](), threading.Lock()
    at_work = set[int]()

    def work(item: int) -> None:
        with lock:
            at_work.add(item)
            most[0] = max(most[0], len(at_work))
        with lock:
            at_work.remove(item)
            done.append(item)

    pool = DaemonPool(work, "test")
    for item in range(500):
        pool.put(item)
    pool.start_threads()
    until(lambda: len(done) == 500, what="all items")
    pool.close(60)
    assert sorted(done) == list(range(500)) and most[0] <= FEW


def test_items_that_are_held_up_make_place_for_others() -> None:
    """However many wait for something outside, others go on, as long as threads are seen to."""
    go, begun, done = threading.Event(), list[int](), list[str]()

    def work(item: int) -> None:
        begun.append(item)
        if item < 20:
            go.wait(60)
        done.append("held" if item < 20 else "quick")

    pool = DaemonPool(work, "test")
    for item in range(40):
        pool.put(item)

    def others_went_on() -> bool:
        pool.start_threads()
        return done == ["quick"] * 20

    until(others_went_on, what="the quick ones")
    until(lambda: len(begun) == 40, what="all that are held up")
    go.set()
    pool.close(60)
    assert done[20:] == ["held"] * 20


def test_a_closed_pool_ends_its_threads() -> None:
    """Each ends with its item."""
    pool = DaemonPool(lambda item: None, "test")
    for item in range(3):
        pool.put(item)
    pool.start_threads()
    pool.close(60)
    assert not any(thread.is_alive() for thread in pool._threads)

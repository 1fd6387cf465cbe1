"""When the disk fails: what is said is true, reading goes on, and it recovers by itself."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from deployment import Gunicorn, kill
from servers import until, whole_log
from shim import BROKEN, FULL, Orders, available

ROOM = "/api/v1/rooms/lobby"
needs_shim = pytest.mark.skipif(not available(), reason="gcc is missing (Debian: gcc, libc6-dev)")


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    orders = Orders(tmp_path / "orders")
    orders.set(keep=1)
    return orders


@pytest.fixture
def server(tmp_path: Path, orders: Orders) -> Iterator[Gunicorn]:
    deployment = Gunicorn(tmp_path / "data", env=orders.env)
    deployment.start()
    yield deployment
    deployment.stop()


def send(server: Gunicorn, key: str) -> requests.Response:
    body = {"user": "Ann", "message": key, "client_id": key}
    return requests.post(f"{server.urls[0]}{ROOM}/messages", json=body, timeout=60)


def log(server: Gunicorn) -> list[str]:
    return [event["message"]["message"] for event in whole_log(server.urls[0])]


def answered(server: Gunicorn, key: str) -> requests.Response | None:
    """The answer to sending it, where there is one and it is an ack."""
    try:
        answer = send(server, key)
    except requests.RequestException:
        return None
    return answer if answer.status_code in (200, 201) else None


@needs_shim
def test_a_full_disk_stops_writing_only(server: Gunicorn, orders: Orders) -> None:
    """507, over and over; reading goes on; with space again writing does, in the same process."""
    assert send(server, "before").status_code == 201
    workers = server.workers()
    with orders.during(write_errno=FULL):
        for number in range(3):
            refused = send(server, f"refused-{number}")
            assert (refused.status_code, refused.json()["code"]) == (507, "storage-full")
        assert log(server) == ["before"]
    assert send(server, "refused-1").status_code == 201
    assert log(server) == ["before", "refused-1"] and server.workers() == workers


def test_a_file_system_that_is_really_full(tmp_path: Path) -> None:
    """On a tmpfs of 3 MB: 507 when it is full, reading goes on, 201 when something else has been removed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount, and not in every container")
    server = Gunicorn(disk / "data")
    try:
        server.start()
        assert send(server, "before").status_code == 201
        workers = server.workers()
        free = os.statvfs(disk)
        (disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_bsize - 200_000))
        codes = _fill(server)
        assert codes[-1] == (507, "storage-full") and set(codes[:-1]) == {(201, None)}
        assert log(server)[0] == "before"
        (disk / "ballast").unlink()
        assert send(server, "after").status_code == 201
        assert log(server)[-1] == "after" and server.workers() == workers
    finally:
        server.stop()
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("only root may mount, and not in every container")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _fill_up(disk: Path) -> None:
    """To the last byte."""
    with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_reading_goes_on_through_a_reload_on_a_full_disk(disk: Path) -> None:
    """SIGHUP there: no read fails, new workers take over, and with space again writing goes on."""
    server = Gunicorn(disk / "data", workers=2)
    server.start()
    try:
        server.ready()
        assert send(server, "before").status_code == 201
        _fill_up(disk)
        _fill(server)
        old = set(server.workers())
        kill(server.masters()[0], signal.SIGHUP)

        def replaced() -> bool:
            assert log(server)[0] == "before"
            return not old & set(server.workers())

        until(replaced, 120, "the new workers")
        for _ in range(5):
            assert log(server)[0] == "before"
        assert requests.get(f"{server.urls[0]}/metrics", timeout=30).status_code == 200
        (disk / "ballast").unlink()
        assert send(server, "after").status_code == 201
        assert "SIGBUS" not in server.output()
    finally:
        server.stop()


def test_a_start_on_a_full_disk_serves_reads(disk: Path) -> None:
    """After a stop in order, of which SQLite's log and its index are gone, and with nothing free."""
    server = Gunicorn(disk / "data")
    server.start()
    assert send(server, "before").status_code == 201
    server.stop()
    _fill_up(disk)
    server.start()
    try:
        assert log(server) == ["before"]
        assert "SIGBUS" not in server.output()
        (disk / "ballast").unlink()
        assert send(server, "after").status_code == 201
    finally:
        server.stop()


def test_new_workers_that_die_are_replaced_while_the_old_ones_serve(tmp_path: Path) -> None:
    """However many new ones are killed before they serve: nobody is refused, and in the end the reload is done."""
    server = Gunicorn(tmp_path / "data", workers=2, altered=["slow-start"])
    server.start()
    try:
        server.ready()
        old = set(server.workers())
        kill(server.masters()[0], signal.SIGHUP)
        for _ in range(2):
            new = until(lambda: set(server.workers()) - old, what="a new worker")
            for worker in new:
                kill(worker)
            until(lambda new=new: not new & set(server.workers()), what="its end")  # type: ignore[misc]
            assert send(server, "meanwhile").status_code in (200, 201)
        until(lambda: log(server) and not old & set(server.workers()), 120, "the new workers")
        server.ready()
    finally:
        server.stop()


def _fill(server: Gunicorn) -> list[tuple[int, Any]]:
    codes: list[tuple[int, Any]] = []
    for number in range(2000):
        answer = send(server, f"filling-{number}")
        codes.append((answer.status_code, answer.json().get("code")))
        if answer.status_code != 201:
            break
    return codes


@needs_shim
@pytest.mark.parametrize(
    "fault",
    [{"sync_errno": BROKEN}, {"write_errno": BROKEN}, {"write_errno": errno.EROFS}],
    ids=["flush", "write", "read-only"],
)
def test_after_a_failed_write_no_commit_is_trusted(server: Gunicorn, orders: Orders, fault: dict[str, int]) -> None:
    """The outcome is unknown, the worker is replaced, and when the disk is well the same client_id settles it."""
    assert send(server, "before").status_code == 201
    master, workers = server.masters(), server.workers()
    with orders.during(**fault):
        unknown = send(server, "unknown")
        assert (unknown.status_code, unknown.json()["code"]) == (503, "outcome-unknown")
        until(lambda: not set(workers) & set(server.workers()), what="the worker's end")
    settled = until(lambda: answered(server, "unknown"), 60, "an ack")
    assert settled.json()["seq"] == 2 and log(server) == ["before", "unknown"]
    assert server.masters() == master and set(server.workers()) != set(workers)


@needs_shim
def test_a_disk_that_stays_broken_is_waited_for(server: Gunicorn, orders: Orders) -> None:
    """The new worker does not open the database before a flush succeeds; the master lives all the while."""
    assert send(server, "before").status_code == 201
    first = server.workers()
    with orders.during(sync_errno=BROKEN):
        send(server, "unknown")
        until(lambda: server.workers() and server.workers() != first, what="a new worker")
        until(lambda: "cannot begin yet" in server.output(), what="a word about it")
        time.sleep(1.5)  # more than one try
        assert server.workers() and server.masters()
    until(lambda: answered(server, "unknown"), 60, "an ack")
    assert log(server) == ["before", "unknown"]


@needs_shim
def test_what_a_dead_process_left_unflushed_is_flushed_before_it_is_believed(server: Gunicorn, orders: Orders) -> None:
    """It wrote a commit, and its flush failed; its successor finds the commit, acknowledges it, and the power goes."""
    assert send(server, "before").status_code == 201
    orders.set(sync_errno=BROKEN)
    assert send(server, "unknown").json()["code"] == "outcome-unknown"
    server.kill_all()
    orders.set(sync_errno=0)
    server.start()
    assert send(server, "unknown").status_code in (200, 201)
    server.kill_all()
    orders.power_lost(server.data)
    server.start()
    assert log(server) == ["before", "unknown"]


def test_a_corrupt_file_is_refused_with_a_word(tmp_path: Path) -> None:
    """Neither served nor overwritten; one line says what is wrong."""
    server = Gunicorn(tmp_path / "data")
    server.start()
    assert send(server, "before").status_code == 201
    server.stop()
    database = tmp_path / "data" / "quotechat.db"
    content = database.read_bytes()
    database.write_bytes(b"x" * 4096 + content[4096:])
    with pytest.raises(AssertionError, match="the database cannot be used: file is not a database"):
        server.start()
    assert "Traceback" not in server.output()
    server.kill_all()
    assert database.read_bytes()[:4096] == b"x" * 4096
    os.truncate(database, 0)
    database.write_bytes(content)
    server.start()
    assert log(server) == ["before"]
    server.stop()

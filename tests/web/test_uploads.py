"""Uploads and downloads through a real server: slow peers, lost connections, killed workers."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner
from servers import START_SECONDS, Running, environment, quotechat, running, until

from quotechat.cli import main
from quotechat.client import Client
from quotechat.client.backoff import Backoff

FILES = "/api/v1/rooms/lobby/files"
ROUNDS = int(os.environ.get("QUOTECHAT_TEST_UPLOAD_KILLS", "5"))
"""How often a worker is killed in the middle of an upload."""


@pytest.fixture(scope="module")
def store_kind() -> str:
    """Sockets, threads and files of the data directory are no matter of the database."""
    return "sqlite"


@contextlib.contextmanager
def serving(data: Path) -> Iterator[Running]:
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_GUEST_FILES="on")
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=env) as server:
        yield server


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Running]:
    with serving(data) as server:
        yield server


def guest(url: str) -> dict[str, str]:
    token = requests.post(f"{url}/api/v1/guests", json={"user": "Azin"}, timeout=60).json()["token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def azin(server: Running) -> dict[str, str]:
    return guest(server.url)


def raw(url: str, method: str, path: str, headers: dict[str, Any]) -> socket.socket:
    """A connection on which the head of a request was sent."""
    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname, parts.port), 60)
    lines = [f"{name}: {value}" for name, value in {"Host": parts.netloc, **headers}.items()]
    sock.sendall("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode())
    return sock


def told(sock: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while block := sock.recv(65_536):
            found += block
    return found


def threads(server: Running) -> int:
    return sum(len(list(Path(f"/proc/{worker}/task").iterdir())) for worker in server.workers())


def test_a_body_comes_as_clients_send_it(server: Running, azin: dict[str, str]) -> None:
    """In chunks, without a length; after `100 Continue`; larger than any other body may be."""
    data = os.urandom(3_000_000)
    with raw(server.url, "POST", FILES, {**azin, "Transfer-Encoding": "chunked"}) as sock:
        for part in (data[:10], data[10:], b""):
            sock.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        assert b'"size":3000000' in told(sock)
    with raw(server.url, "POST", FILES, {**azin, "Content-Length": 5, "Expect": "100-continue"}) as sock:
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(b"12345")
        assert b"HTTP/1.1 201 " in told(sock)


def test_who_may_not_is_told_before_the_body(server: Running) -> None:
    """Nobody in particular is refused at the head: no body is asked for, and none is waited for."""
    with raw(server.url, "POST", FILES, {"Content-Length": 10**8, "Expect": "100-continue"}) as sock:
        assert told(sock).startswith(b"HTTP/1.1 401 ")


def test_what_came_stays_when_the_connection_breaks(server: Running, azin: dict[str, str]) -> None:
    """HEAD says how much that is, and the upload goes on from there."""
    data = os.urandom(400_000)
    begun = requests.post(server.url + FILES, headers={**azin, "Upload-Complete": "?0"}, timeout=60)
    where = begun.headers["Location"]
    about = {**azin, "Upload-Offset": "0", "Upload-Complete": "?1", "Content-Length": len(data)}
    with raw(server.url, "PATCH", where, about) as sock:
        sock.sendall(data[:150_000])
        path = f"{server.url}{where}"
    def offset() -> int:
        return int(requests.head(path, headers=azin, timeout=60).headers["Upload-Offset"])
    until(lambda: offset() == 150_000, what="all that was sent has come")

    def rest() -> int:
        headers = {**azin, "Upload-Offset": "150000", "Upload-Complete": "?1"}
        return requests.patch(path, data=data[150_000:], headers=headers, timeout=60).status_code

    # Until the server has seen the end of the first connection, a second one adds nothing.
    answers = [rest()]
    until(lambda: answers[-1] != 409 or answers.append(rest()), what="the first connection's end")
    assert answers[-1] == 201
    assert requests.get(path, headers=azin, timeout=60).content == data


def test_slow_readers_hold_no_thread(server: Running, azin: dict[str, str]) -> None:
    """30 who do not read 8 MB: the server answers others, with hardly more threads, and goes on when one reads."""
    data = os.urandom(8_000_000)
    file = requests.post(server.url + FILES, data=data, headers=azin, timeout=60).json()["file"]
    before = threads(server)
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(raw(server.url, "GET", f"/api/v1/files/{file['id']}", azin)) for _ in range(30)
        ]
        heads = [reader.recv(100) for reader in readers]
        assert all(head.startswith(b"HTTP/1.1 200 OK") for head in heads)
        assert requests.get(f"{server.url}/api/v1/rooms", timeout=60).ok
        # The pool grows with what came at once, not with what is held.
        until(lambda: requests.get(f"{server.url}/readyz", timeout=60).ok, what="a disk that is not busy")
        assert threads(server) < before + 30
        for _ in range(70):
            assert requests.get(f"{server.url}/api/v1/seen", timeout=60).ok
        whole = heads[0] + told(readers[0])
        assert whole.partition(b"\r\n\r\n")[2] == data


def kill(server: Running) -> None:
    """End the worker by SIGKILL, and wait for the next one."""
    old = server.workers()
    for worker in old:
        os.kill(worker, signal.SIGKILL)
    until(lambda: server.workers() - old and not server.workers() & old, START_SECONDS, "another worker")


def patient(call: Callable[[], requests.Response]) -> requests.Response:
    """What `call` answers, as soon as the server is there again."""
    while True:
        try:
            answer = call()
        except requests.ConnectionError:
            time.sleep(0.02)
            continue
        if answer.status_code != 503:
            return answer


def killed_upload(server: Running, azin: dict[str, str], seed: int) -> None:
    """One upload, in whose middle the worker is killed once; it goes on where it was, and is whole in the end."""
    chance = random.Random(seed)
    data = chance.randbytes(chance.randrange(1, 900_000))
    begun = patient(lambda: requests.post(
        server.url + FILES, headers={**azin, "Upload-Complete": "?0", "Upload-Length": str(len(data))}, timeout=60
    ))  # fmt: skip
    path, fatal = server.url + begun.headers["Location"], chance.randrange(len(data))
    offset, dead = 0, False
    while True:
        stop = min(len(data), offset + chance.randrange(1, 300_000))
        if not dead and offset <= fatal < stop:
            about = {**azin, "Upload-Offset": offset, "Upload-Complete": "?0", "Content-Length": stop - offset}
            with raw(server.url, "PATCH", urlsplit(path).path, about) as sock:
                sock.sendall(data[offset:fatal])
                kill(server)
            dead = True
        else:
            about = {**azin, "Upload-Offset": str(offset), "Upload-Complete": "?1" if stop == len(data) else "?0"}
            answer = patient(lambda about=about, offset=offset, stop=stop: requests.patch(  # type: ignore[misc]
                path, data=data[offset:stop], headers=about, timeout=60
            ))  # fmt: skip
            assert answer.status_code in (201, 204, 409), answer.text
            if answer.status_code == 201:
                break
        half = patient(lambda: requests.get(path, headers=azin, timeout=60))
        assert half.status_code == 404, "half a file was served"
        offset = int(patient(lambda: requests.head(path, headers=azin, timeout=60)).headers["Upload-Offset"])
    assert patient(lambda: requests.get(path, headers=azin, timeout=60)).content == data
    assert patient(lambda: requests.delete(path, headers=azin, timeout=60)).status_code == 204


def test_the_client_goes_on_after_a_kill(server: Running, tmp_path: Path) -> None:
    """`Client.upload` in the midst of which the worker dies; then it is sent, and `quotechat say --file` does both."""
    data, killed = os.urandom(3_500_000), []

    def follow(done: int, length: int) -> None:
        assert length == len(data)
        if done and not killed:
            kill(server)
            killed.append(done)

    with Client(server.url, patience=60, backoff=Backoff(least=0.05, most=0.2)) as client:
        client.sign_in("Ada")
        file = client.upload(io.BytesIO(data), name="a.bin", progress=follow)
        assert killed and (file["name"], file["size"]) == ("a.bin", len(data))
        client.post("Look", files=[file["id"]])
        (tmp_path / "b.txt").write_text("hello")
        said = CliRunner().invoke(
            main, ["say", "--url", server.url, "-u", "Bo", "--file", str(tmp_path / "b.txt")]
        )
        assert said.exit_code == 0, said.output
        newest = client.snapshot(limit=2)["messages"]
    assert [message["files"][0]["name"] for message in newest] == ["a.bin", "b.txt"]
    assert newest[1]["message"] == ""


def left(data: Path) -> list[Path]:
    return [path for path in (data / "files" / "arriving").rglob("*") if path.is_file()]


def test_a_killed_worker_costs_nothing(server: Running, data: Path, azin: dict[str, str]) -> None:
    """kill -9 at a random byte: no half file is served, the upload goes on, and nothing is left of it."""
    for seed in range(ROUNDS):
        killed_upload(server, azin, seed)
    assert left(data) == []


if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as place, serving(Path(place)) as long:
        somebody = guest(long.url)
        for number in range(rounds):
            killed_upload(long, somebody, random.randrange(10**9))
            print(number + 1, "killed and whole", flush=True)
        assert left(Path(place)) == [] and not list((Path(place) / "files").glob("??/*"))

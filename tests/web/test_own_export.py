"""One's own data with the contents of one's files: a tar archive, as long as it says, and nothing of others."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import resource
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from flask import Flask
from people import ORIGIN, Browser, joined, owner
from servers import Running, environment, finished, quotechat, running, until

from quotechat import create_app
from quotechat.config import Settings
from quotechat.live import downloads
from quotechat.store.accounts import accounts, own
from quotechat.store.base import Transactions

PASSWORD = "correct horse battery 9"


def sent(browser: Browser, room: str, name: str, data: bytes) -> dict[str, Any]:
    """A file that was sent in a room."""
    path = f"/api/v1/rooms/{room}/files"
    file: dict[str, Any] = browser.client.post(
        path, query_string={"name": name}, data=data, headers=ORIGIN
    ).get_json()["file"]
    answer = browser.ask("POST", f"/rooms/{room}/messages", {"message": "", "files": [file["id"]]})
    assert answer.status_code == 201
    return file


def unpacked(data: bytes) -> dict[str, bytes]:
    """The contents of an archive, by their paths."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive.getmembers()}  # type: ignore[union-attr]


def told(lines: bytes, command: str) -> list[dict[str, Any]]:
    return [each for each in map(json.loads, lines.splitlines()) if each["command"] == command]


def test_the_archive_holds_ones_own_files(app: Flask) -> None:
    """Of all rooms, left ones too, under names that any system takes; each line has its path and checksum."""
    admin = owner(app)
    member = joined(app, admin, "Bo")
    key = member.ask("GET", "/me").get_json()["account"]["id"]
    left = admin.ask("POST", "/rooms", {"name": "was", "kind": "closed", "members": [key]}).get_json()["name"]
    wanted = {
        sent(member, "lobby", "a.txt", b"one")["id"]: b"one",
        sent(member, "lobby", "ж" * 190 + ".bin", bytes(range(256)) * 5)["id"]: bytes(range(256)) * 5,
        sent(member, left, "b", b"x" * 512)["id"]: b"x" * 512,
    }
    sent(admin, "lobby", "secret.txt", b"of another one")
    admin.ask("DELETE", f"/rooms/{left}/members/{key}")
    answer = member.ask("GET", "/me/export?files=1")
    assert answer.status_code == 200 and answer.content_type == "application/x-tar"
    assert answer.content_length == len(answer.get_data())
    found = unpacked(answer.get_data())
    lines = told(found.pop("quotechat.ndjson"), "file")
    assert {each["file"]["id"]: found[each["path"]] for each in lines} == wanted
    assert len(found) == len(wanted) and all(len(path.encode()) < 240 for path in found)
    assert all(each["sha256"] == hashlib.sha256(found[each["path"]]).hexdigest() for each in lines)
    plain = member.ask("GET", "/me/export").get_data()
    assert [each["sha256"] for each in told(plain, "file")] == [each["sha256"] for each in lines]
    assert not any("path" in each for each in told(plain, "file"))


def test_a_content_that_is_missing_is_left_out(app: Flask) -> None:
    """Its line has no path, and all else is there."""
    admin = owner(app)
    sent(admin, "lobby", "gone.txt", b"gone")
    sent(admin, "lobby", "kept.txt", b"kept")
    gone = hashlib.sha256(b"gone").digest()
    app.extensions["quotechat"].write_with(lambda sql: sql.run("DELETE FROM blob WHERE hash = ?", gone))
    found = unpacked(admin.ask("GET", "/me/export?files=1").get_data())
    lines = told(found.pop("quotechat.ndjson"), "file")
    assert ["path" in each for each in lines] == [False, True] and list(found.values()) == [b"kept"]


def test_nothing_is_left_out_between_two_transactions(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages, reactions and files come once each and in order, however few rows one transaction reads."""
    admin = owner(app)
    for number in range(7):
        message = admin.ask("POST", "/rooms/lobby/messages", {"message": f"m{number}"}).get_json()["message"]
        for reaction in ("like", "🎉", "👀"):
            path = f"/rooms/lobby/messages/{message['id']}/reaction"
            assert admin.ask("PUT", path, {"reaction": reaction}).status_code == 200
    for number in range(5):
        sent(admin, "lobby", f"{number}", bytes([number]))
    whole = admin.ask("GET", "/me/export").get_data()
    for name in ("_MESSAGES", "_REACTIONS", "_EMOJI", "_FILES"):
        monkeypatch.setattr(own, name, getattr(own, name)._replace(at_once=2))
    assert admin.ask("GET", "/me/export").get_data() == whole
    assert [each["message"].get("message") for each in told(whole, "message")][:7] == [f"m{n}" for n in range(7)]
    assert len(told(whole, "reaction")) == 21 and len(told(whole, "file")) == 5


def test_one_transaction_reads_a_bounded_number_of_bytes(app: Flask) -> None:
    """Many exports at once take little memory, however large the messages are."""
    admin = owner(app)
    for _ in range(60):
        assert admin.ask("POST", "/rooms/lobby/messages", {"message": "*a* " * 900}).status_code == 201
    store, read = app.extensions["quotechat"]._store, []

    class Counting:
        """The store, which counts the bytes of what each transaction returns."""

        def read_with(self, work: Any) -> Any:
            found = store.read_with(work)
            read.append(sum(len(str(row)) for row in found))
            return found

    account = admin.ask("GET", "/me").get_json()["account"]["id"]
    number = store.read_with(lambda sql: accounts.by_key(sql, account)).id
    lines = list(own.lines(cast(Transactions, Counting()), number))
    assert sum(line["command"] == "message" for line in lines) == 60
    assert 2 * max(read) < sum(read)


def test_it_is_asked_for_twice_an_hour(tmp_path: Path) -> None:
    """With files or without; a HEAD counts like a GET, and what is refused makes no archive."""
    app = create_app(Settings(data=tmp_path))
    try:
        browser = owner(app)
        assert [browser.ask("GET", f"/me/export{query}").status_code for query in ("?files=1", "", "?files=1")] == [
            200, 200, 429,
        ]  # fmt: skip
        assert browser.ask("GET", "/me/export?files=maybe").status_code == 400
        assert b"export?files=1" in browser.client.get("/me").data
    finally:
        app.extensions["quotechat"].close()


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("own", [True, False])
def test_what_is_on_its_way_ends_with_the_session(app: Flask, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    """An archive of one's own data, and a file, over a server that does not give its sockets away too."""
    monkeypatch.setattr(downloads, "_ASK_SECONDS", 0.0)
    admin = owner(app)
    file = sent(admin, "lobby", "long.bin", bytes(1_000_000))
    answer = admin.client.get("/api/v1/me/export?files=1" if own else f"/api/v1/files/{file['id']}")
    blocks = iter(answer.response)
    next(blocks)
    assert answer.status_code == 200
    app.extensions["quotechat"].write_with(lambda sql: sql.run("DELETE FROM session"))
    with contextlib.closing(answer), pytest.raises(ConnectionResetError):
        list(blocks)


# --- A real server ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> Iterator[tuple[Running, requests.Session]]:
    """A server, and a browser that is signed in there as an owner."""
    data = tmp_path_factory.mktemp("data")
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_DATABASE=new_database())
    add = quotechat("users", "add", "Boss", "--role", "owner", "--password-stdin", "--data", str(data))
    finished(add, given=PASSWORD, env=env).check_returncode()
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=env) as server, requests.Session() as boss:
        # A connection for each request: the server ends one at rest, perhaps just when the next request leaves.
        boss.headers.update({"Origin": server.url, "Connection": "close"})
        body = {"name": "Boss", "password": PASSWORD}
        assert boss.post(f"{server.url}/api/v1/sessions", json=body, timeout=60).status_code == 201
        yield server, boss


def test_a_long_archive_goes_out_whole(served: tuple[Running, requests.Session]) -> None:
    """Over the thread of downloads, from the disk or the database, with its length."""
    server, boss = served
    data = random.Random(1).randbytes(1_000_001)
    files = f"{server.url}/api/v1/rooms/lobby/files"
    file = boss.post(files, params={"name": "long.bin"}, data=data, timeout=60).json()["file"]
    with boss.get(f"{server.url}/api/v1/me/export", params={"files": 1}, timeout=60, stream=True) as answer:
        assert answer.status_code == 200
        found = answer.raw.read()
    assert len(found) == int(answer.headers["Content-Length"])
    assert unpacked(found)[f"files/{file['id']}-long.bin"] == data
    head = boss.head(f"{server.url}/api/v1/me/export", params={"files": 1}, timeout=60)
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]


def test_without_a_descriptor_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """503, also at the first export, for which Python has not yet looked for a directory; it counts as none.

    The log says why: for the operator it may be a directory that is missing.
    """
    app = create_app(Settings(data=tmp_path))
    admin = owner(app)
    admin.ask("GET", "/me")
    monkeypatch.setattr(tempfile, "tempdir", None)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)

    def refused(query: str) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most[1]))
        try:
            answer = admin.ask("GET", f"/me/export{query}")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "overloaded")
        assert int(answer.headers["Retry-After"]) > 0

    def faults() -> list[str]:
        return [each.getMessage() for each in caplog.records if each.name.startswith("quotechat.hub")]

    for query in ("", "?files=1", ""):
        refused(query)
    # On a busy machine another part, such as a connection to the database, may be the first to miss a descriptor.
    until(lambda: faults() or refused(""), what="a line in the log")
    assert all("no temporary file" in each and "[Errno " in each for each in faults())
    assert admin.ask("GET", "/me/export").status_code == 200
    app.extensions["quotechat"].close()

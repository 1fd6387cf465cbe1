"""Files in a bucket: there before their message, gone after it, through outages and processes that die.

`make test` has a folder in place of the storage; `make s3` runs the same, and more, against OpenStack Swift.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from hostile_files import photo
from servers import until
from storages import Folder, Real, new
from test_files import FILES, Sender, send

from quotechat import create_app
from quotechat.cli import main
from quotechat.config import Settings
from quotechat.protocol.errors import StorageFull
from quotechat.store.files import contents

Storage = Folder | Real
SETTINGS = {"limits": False, "guest_files": True, "files": "s3", "bucket": "files"}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory, store_kind: str) -> Iterator[Storage]:
    """The bucket that all servers and commands of this module find."""
    made = new(tmp_path_factory.mktemp("bucket"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "bucket_of", lambda settings: made if settings.bucket else None)
        yield made


@pytest.fixture(scope="module")
def app(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str], bucket: Storage
) -> Iterator[Flask]:
    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), database=new_database(), **SETTINGS))
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture
def azin(app: Flask) -> Sender:
    return Sender(app, "Azin")


def noted(app: Flask) -> int:
    """How many objects are noted: as staged, or to be removed."""
    return int(app.extensions["quotechat"].read_with(lambda sql: sql.one("SELECT count(*) FROM dropped"))[0])


def cleared(app: Flask) -> bool:
    """Do the housekeeper's work at once; True if nothing is left to do."""
    files = app.extensions["quotechat.services"].accounts.files
    files._objects_at = 0.0
    files.step()
    return noted(app) == 0


def test_a_file_is_an_object_until_its_message_is_deleted(app: Flask, azin: Sender, bucket: Storage) -> None:
    """Whole, in parts and as thumbnail; the same content is stored once, and goes with the last file that has it."""
    data = os.urandom(700_000)
    before = bucket.keys()
    files = [azin.upload(photo(1), "a.jpg"), azin.upload(data), azin.upload(data), azin.upload(b"")]
    until(lambda: cleared(app))
    assert len(bucket.keys() - before) == 4
    assert azin.read(files[1]).data == data and azin.read(files[3]).data == b""
    part = azin.read(files[1], Range="bytes=1000-600000")
    assert part.status_code == 206 and part.data == data[1000:600_001]
    assert azin.read(files[0], "/thumb").data[8:12] == b"WEBP"
    message = send(azin, *files[:2]).get_json()["message"]["id"]
    assert azin.ask("DELETE", f"/api/v1/rooms/lobby/messages/{message}").status_code == 200
    until(lambda: cleared(app))
    assert azin.read(files[2]).data == data and len(bucket.keys() - before) == 2
    azin.remove(*files[2:])
    until(lambda: cleared(app) and bucket.keys() == before)


def test_an_outage_is_503_and_ends(app: Flask, azin: Sender, bucket: Storage) -> None:
    """Uploads leave nothing and can be completed later; reading is refused; deleted files go when they can."""
    file, before = azin.upload(b"there" * 100_000), bucket.keys()
    begun = azin.ask("POST", FILES, b"half", upload_complete="?0").headers["Location"]
    with bucket.outage():
        whole = azin.client.post(FILES, data=b"new", headers=azin.headers)
        rest = azin.ask("PATCH", begun, b" rest", upload_offset=4, upload_complete="?1")
        for refused in (whole, rest, azin.read(file), azin.read(file, Range="bytes=0-9")):
            assert (refused.status_code, refused.get_json()["code"]) == (503, "overloaded")
            assert int(refused.headers["Retry-After"]) > 0
        azin.remove(file)
        assert azin.read(file).status_code == 404 and noted(app) >= 1
    done = azin.ask("PATCH", begun, b"", upload_offset=9, upload_complete="?1")
    assert done.status_code == 201 and azin.read(done.get_json()["file"]).data == b"half rest"
    azin.remove(done.get_json()["file"])
    until(lambda: cleared(app) and len(bucket.keys()) == len(before) - 1)


def test_a_full_bucket_is_507(azin: Sender, bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a full disk is, and nothing is stored."""

    def full(key: str, path: Path) -> None:
        raise StorageFull()

    monkeypatch.setattr(bucket, "put", full)
    assert azin.client.post(FILES, data=b"new", headers=azin.headers).status_code == 507


def test_a_process_that_dies_leaves_no_object(
    app: Flask, azin: Sender, bucket: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects that it stored without a row go after a day; an upload that still wants one is refused."""
    chat = app.extensions["quotechat"]
    put, before = bucket.put, bucket.keys()

    def a_day_later(key: str, path: Path) -> None:
        put(key, path)
        chat.write_with(lambda sql: contents.drop_abandoned(sql, chat.now() - 86_400_000))
        assert not cleared(app)  # it may still get its row
        chat.write_with(lambda sql: contents.drop_abandoned(sql, chat.now() + 86_400_000))
        until(lambda: cleared(app))

    monkeypatch.setattr(bucket, "put", a_day_later)
    refused = azin.client.post(FILES, data=b"late", headers=azin.headers)
    assert refused.status_code == 503 and bucket.keys() == before
    monkeypatch.setattr(bucket, "put", put)
    assert azin.read(azin.upload(b"late")).data == b"late"


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)
def test_copies_of_a_store_have_its_objects(
    tmp_path: Path, azin: Sender, app: Flask, bucket: Storage, store_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backup, export and move carry them; `check` reads each, and names one that is missing."""
    for name in ("files", "bucket"):
        monkeypatch.setenv(f"QUOTECHAT_{name.upper()}", str(SETTINGS[name]))
    data, content = app.config["QUOTECHAT"].data, os.urandom(600_000)
    file = azin.upload(content)
    assert send(azin, file).status_code == 201

    def run(*command: object, fails: bool = False) -> str:
        result = CliRunner().invoke(main, [str(part) for part in command])
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    run("files", "check", "--data", data)
    run("backup", tmp_path / "copy", "--data", data)
    run("restore", tmp_path / "copy", "--data", tmp_path / "restored")
    run("export", "--all", tmp_path / "lines", "--data", data)
    run("import", tmp_path / "lines", "--data", tmp_path / "imported")
    run("move", "--to", tmp_path / "moved", "--data", tmp_path / "imported")
    keys = bucket.keys()
    for name in ("restored", "imported", "moved"):
        run("files", "sweep", "--data", tmp_path / name)
        there = create_app(Settings(data=tmp_path / name, limits=False))
        answer: Any = there.test_client().get(f"/api/v1/files/{file['id']}")
        assert answer.data == content
        there.extensions["quotechat"].close()
    assert bucket.keys() == keys  # a copy removes nothing of the store that it was made of
    key = app.extensions["quotechat"].read_with(lambda sql: sql.one("SELECT place FROM blob WHERE size = 600000"))[0]
    bucket.remove(contents.key_of(key))
    assert "is missing" in run("files", "check", "--data", data, fails=True)
    assert azin.read(file).status_code == 404
    with bucket.outage():
        assert "unavailable" in run("files", "check", "--data", data, fails=True)

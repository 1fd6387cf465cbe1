"""Files in copies of a store: backup, export and move have them, byte by byte, and `verify` knows what is wrong."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from hostile_files import photo

from quotechat import create_app
from quotechat.cli import main
from quotechat.config import Settings
from quotechat.store.files import moving, sweeping
from quotechat.store.files.contents import places_of
from quotechat.store.open import look, open_store
from quotechat.store.transfer import copying, loading
from quotechat.store.transfer.backup import back_up


@pytest.fixture
def store_kind() -> str:
    """The source lies in SQLite; where the other store matters, it is named."""
    return "sqlite"


def opened(data: Path, database: str = "") -> Iterator[Flask]:
    app = create_app(Settings(data=data, database=database, limits=False, guest_files=True))
    try:
        yield app
    finally:
        app.extensions["quotechat"].close()


def files_of(app: Flask) -> dict[str, Any]:
    """Of each file and thumbnail in the lobby, what is served."""
    client = app.test_client()
    found = {}
    for message in client.get("/api/v1/rooms/lobby").get_json()["messages"]:
        for file in message.get("files", ()):
            for what in ("", "/thumb") if "thumb" in file else ("",):
                answer = client.get(f"/api/v1/files/{file['id']}{what}")
                found[file["id"] + what] = (answer.status_code, answer.content_type, answer.data)
    return found


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A data directory with a photo, a large file and an empty one, one that waits, and one that arrives."""
    data = tmp_path / "source"
    for app in opened(data):
        client = app.test_client()
        token = client.post("/api/v1/guests", json={"user": "Azin"}).get_json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        contents = [photo(), os.urandom(700_000), b""]
        ids = [
            client.post("/api/v1/rooms/lobby/files", data=each, headers=headers).get_json()["file"]["id"]
            for each in contents
        ]
        said = {"user": "Azin", "message": "", "files": [{"id": ids[0], "alt": "A cat"}, *ids[1:]]}
        client.post("/api/v1/rooms/lobby/messages", json=said, headers=headers)
        later = client.post("/api/v1/rooms/lobby/files", data=b"later", headers=headers).get_json()["file"]["id"]
        waits = {"user": "Azin", "message": "Later", "files": [later], "send_at": "+1h"}
        assert client.post("/api/v1/rooms/lobby/messages", json=waits, headers=headers).status_code == 202
        client.post("/api/v1/rooms/lobby/files", data=b"half", headers={**headers, "Upload-Complete": "?0"})
        served = files_of(app)
    assert len(served) == 4 and all(status == 200 for status, _, _ in served.values())
    return data, served


def run(*command: object) -> str:
    """What `quotechat` says, which does well."""
    result = CliRunner().invoke(main, [str(part) for part in command])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_backup_has_all_files(tmp_path: Path, source: tuple[Path, dict[str, Any]]) -> None:
    """In its one file; restored, they are served as before, and go with their message."""
    data, served = source
    run("backup", tmp_path / "copy", "--data", data)
    run("restore", tmp_path / "copy", "--data", tmp_path / "restored")
    assert "4 files" in run("verify", "--files", "--data", tmp_path / "restored")
    for app in opened(tmp_path / "restored"):
        assert files_of(app) == served


@pytest.mark.parametrize("way", ["export", "postgres"])
def test_a_store_takes_its_files_along(
    tmp_path: Path, source: tuple[Path, dict[str, Any]], way: str, request: pytest.FixtureRequest
) -> None:
    """As lines of an export, and by a move to PostgreSQL and back; a repeated import changes nothing."""
    data, served = source
    if way == "export":
        run("export", "--all", tmp_path / "lines", "--data", data)
        for _ in range(2):
            run("import", tmp_path / "lines", "--data", tmp_path / "there")
    else:
        make: Callable[[], str] = request.getfixturevalue("new_schema")
        database = make()
        run("move", "--to", database, "--data", data)
        for app in opened(tmp_path / "elsewhere", database):
            assert files_of(app) == served
        os.environ["QUOTECHAT_DATABASE"] = database
        try:
            run("move", "--to", tmp_path / "there", "--data", tmp_path / "elsewhere")
        finally:
            del os.environ["QUOTECHAT_DATABASE"]
    assert "4 files" in run("files", "check", "--data", tmp_path / "there")
    for app in opened(tmp_path / "there"):
        assert files_of(app) == served
        message = app.test_client().get("/api/v1/rooms/lobby").get_json()["messages"][0]
        assert [file.get("alt") for file in message["files"]] == ["A cat", None, None]
        waiting = app.extensions["quotechat"].read_with(
            lambda sql: sql.one("SELECT count(*) FROM file f JOIN scheduled s ON s.id = f.scheduled")
        )
        assert waiting[0] == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_server_beside_an_import_leaves_its_files(
    tmp_path: Path, source: tuple[Path, dict[str, Any]], kind: str, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It sweeps while contents come, also in the middle of one: none of them is lost."""
    data, served = source
    database = "" if kind == "sqlite" else request.getfixturevalue("new_schema")()
    monkeypatch.setattr(moving, "_FLUSH_BYTES", 1)
    there = Settings(data=tmp_path / "there", database=database)
    store, swept = open_store(there), 0
    try:
        with look(Settings(data=data)) as sql:

            def records() -> Iterator[copying.Record]:
                nonlocal swept
                for record in copying.dump(sql, None, places=places_of(Settings(data=data))):
                    yield record
                    if isinstance(record, moving.Piece):
                        sweeping.remove_all(places_of(there), store, 2**50)
                        swept += 1

            loading.load(store, records(), lambda done, of: None, 0)
    finally:
        store.close()
    assert swept > 5
    for app in opened(tmp_path / "there", database):
        assert files_of(app) == served
        waiting = app.extensions["quotechat"].read_with(
            lambda sql: sql.one("SELECT count(*) FROM file f JOIN scheduled s ON s.id = f.scheduled")
        )
        assert waiting[0] == 1


def test_files_may_stay_behind(tmp_path: Path, source: tuple[Path, dict[str, Any]]) -> None:
    """`export --without-files`: the messages name them still, and they are unknown."""
    data, _served = source
    run("export", "lobby", tmp_path / "lines", "--without-files", "--data", data)
    assert (tmp_path / "lines").stat().st_size < 20_000
    run("import", tmp_path / "lines", "--data", tmp_path / "there")
    for app in opened(tmp_path / "there"):
        assert {status for status, _, _ in files_of(app).values()} == {404}


def test_damage_is_found_and_rests_are_swept(source: tuple[Path, dict[str, Any]]) -> None:
    """A content that was changed or is missing is named, with exit code 1; bytes of nothing go."""
    data, _ = source
    contents = sorted((data / "files").glob("??/*"), key=lambda path: path.stat().st_size)
    contents[-1].write_bytes(b"other")
    contents[1].unlink()
    (data / "files" / "arriving" / ("a" * 20)).write_bytes(b"lost")
    result = CliRunner().invoke(main, ["files", "check", "--data", str(data)])
    assert result.exit_code == 1 and "damaged" in result.output and "missing" in result.output
    assert CliRunner().invoke(main, ["verify", "--files", "--data", str(data)]).exit_code == 1
    assert run("files", "sweep", "--data", data).startswith("1 rest")
    assert len(list((data / "files" / "arriving").iterdir())) == 1  # the upload that may go on


def test_a_broken_line_is_refused(tmp_path: Path, source: tuple[Path, dict[str, Any]]) -> None:
    """A piece that is missing or was changed stops the import; nothing of the room is seen."""
    data, _ = source
    run("export", "lobby", tmp_path / "lines", "--data", data)
    lines = (tmp_path / "lines").read_bytes().splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if b'"command":"piece"' in line]
    large = max(places, key=lambda place: len(lines[place]))
    changed = lines[large].replace(b"A", b"B")
    for number, instead in enumerate(([], [changed])):
        broken = [*lines[:large], *instead, *lines[large + 1 :]]
        (tmp_path / "broken").write_bytes(b"".join(broken))
        result = CliRunner().invoke(main, ["import", str(tmp_path / "broken"), "--data", str(tmp_path / f"t{number}")])
        assert result.exit_code == 1 and "lobby: " in result.output


def test_contents_that_end_early_are_not_mixed(tmp_path: Path) -> None:
    """A content that was cut short where it came from is left out, and the next one is stored as its own."""
    short, whole = b"of a closed room", b"of another room"
    digests = [hashlib.sha256(each).digest() for each in (short, whole)]
    store = open_store(Settings(data=tmp_path))
    try:
        arriving = moving.Arriving(store)
        arriving.take(moving.Piece(digests[0], len(short), 0, short[:5]))
        arriving.take(moving.Piece(digests[1], len(whole), 0, whole))
        arriving.take(moving.Piece(digests[0], len(short), 0, short[:5]))
        with store.writing() as sql:
            places = dict(sql.all("SELECT hash, place FROM blob"))
            assert list(places) == [digests[1]]
            assert list(sql.all("SELECT place, data FROM piece")) == [(places[digests[1]], whole)]
    finally:
        store.close()


def damaged(data: Path) -> None:
    """One content is missing, and one was cut short."""
    contents = sorted((data / "files").glob("??/*"), key=lambda path: path.stat().st_size)
    contents[-1].write_bytes(contents[-1].read_bytes()[:9])
    contents[1].unlink()


def test_a_backup_tells_what_it_lacks(tmp_path: Path, source: tuple[Path, dict[str, Any]]) -> None:
    """It holds all but the contents that were missing or damaged, and says so with exit code 1."""
    data, _ = source
    damaged(data)
    result = CliRunner().invoke(main, ["backup", str(tmp_path / "copy"), "--data", str(data)])
    assert result.exit_code == 1 and "missing or damaged: 2;" in result.output
    run("restore", tmp_path / "copy", "--data", tmp_path / "restored")
    assert CliRunner().invoke(main, ["verify", "--files", "--data", str(tmp_path / "restored")]).exit_code == 1


@pytest.mark.parametrize("what", ["lobby", "--all"])
def test_an_export_tells_what_it_lacks(tmp_path: Path, source: tuple[Path, dict[str, Any]], what: str) -> None:
    """As a backup does; without files it lacks nothing."""
    data, _ = source
    damaged(data)
    result = CliRunner().invoke(main, ["export", what, str(tmp_path / "lines"), "--data", str(data)])
    assert result.exit_code == 1 and "missing or damaged: 2;" in result.output
    run("export", what, "--without-files", tmp_path / "bare", "--data", data)
    run("import", tmp_path / "lines", "--data", tmp_path / "there")
    for app in opened(tmp_path / "there"):
        assert sorted(status for status, _, _ in files_of(app).values()) == [200, 200, 200, 404]


def test_a_content_whose_message_goes_meanwhile_is_no_loss(
    tmp_path: Path, source: tuple[Path, dict[str, Any]]
) -> None:
    """A backup beside a server that deletes a message lacks nothing."""
    data, _ = source
    store = open_store(Settings(data=data))

    def delete(done: int, all_there_is: int) -> None:
        if done == all_there_is:
            store.remove_room("lobby", 2**40)
            while store.redact():
                pass
            sweeping.remove_all(places_of(Settings(data=data)), store, 2**40)

    try:
        back_up(data / "quotechat.db", data / "secret", tmp_path / "copy", delete, 1)
    finally:
        store.close()
    assert (tmp_path / "copy").exists() and not list((data / "files").glob("??/*"))

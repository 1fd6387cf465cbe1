"""Files over HTTP: whole or in pieces, read by those who may, whatever is in them."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from conforming import documents
from flask import Flask
from flask.testing import FlaskClient
from hostile_files import HOSTILE, ODD_NAME, SCRIPT, movie, photo, png
from people import joined, owner
from servers import until

from quotechat import create_app
from quotechat.config import Settings
from quotechat.hub.files import Files
from quotechat.protocol.errors import QuotaFull
from quotechat.store.files import moving, uploads
from quotechat.store.files.blobs import Directory
from quotechat.store.files.contents import Places, path_of
from quotechat.store.files.uploads import File
from quotechat.store.open import open_store
from quotechat.web.api.files import _right

FILES = "/api/v1/rooms/lobby/files"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Flask]:
    """One application for visitors with files of at most 1 MiB each."""
    app = create_app(
        Settings(
            data=tmp_path_factory.mktemp("data"), database=new_database(), limits=False, guest_files=True,
            file_bytes=1_048_576, account_files_bytes=1_600_000, all_files_bytes=3_200_000,
        )
    )  # fmt: skip
    yield app
    app.extensions["quotechat"].close()


class Sender:
    """A guest, who uploads."""

    def __init__(self, app: Flask, user: str) -> None:
        self.user = f"{user} {next(_numbers)}"
        self.client: FlaskClient = app.test_client()
        token = self.client.post("/api/v1/guests", json={"user": self.user}).get_json()["token"]
        self.headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, data: bytes = b"", **headers: Any) -> Any:
        """The answer; a header `upload_offset` is `Upload-Offset`."""
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        return self.client.open(path, method=method, data=data, headers={**self.headers, **named})

    def upload(self, data: bytes, name: str = "x") -> dict[str, Any]:
        """The file, uploaded at once."""
        answer = self.client.post(FILES, data=data, query_string={"name": name}, headers=self.headers)
        assert answer.status_code == 201, answer.get_data()
        found: dict[str, Any] = answer.get_json()["file"]
        return found

    def read(self, file: dict[str, Any], what: str = "", **headers: str) -> Any:
        return self.ask("GET", f"/api/v1/files/{file['id']}{what}", **headers)

    def remove(self, *files: dict[str, Any]) -> None:
        for file in files:
            assert self.ask("DELETE", f"/api/v1/files/{file['id']}").status_code == 204


@pytest.fixture
def azin(app: Flask) -> Sender:
    return Sender(app, "Azin")


class Meanwhile(BytesIO):
    """A body of five bytes, before whose end something else is done."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__(b"bytes")
        self._act = act

    def read(self, size: int | None = -1, /) -> bytes:
        self._act()
        return super().read(size)


def stored(app: Flask) -> list[Path]:
    """What lies in the data directory's folder of files, but for folders."""
    return [path for path in (app.config["QUOTECHAT"].data / "files").rglob("*") if path.is_file()]


def kept(app: Flask) -> int:
    """How many contents there are, wherever they lie."""
    rows = app.extensions["quotechat"].read_with(lambda sql: sql.one("SELECT count(*) FROM blob"))
    return int(rows[0])


def test_its_uploader_is_told_that_a_file_is_complete(app: Flask, azin: Sender) -> None:
    """Before and after it was sent: the answer to the last piece may be lost. Others are told of no upload."""
    found = azin.upload(b"sent")
    for _ in range(2):
        head = azin.ask("HEAD", f"/api/v1/files/{found['id']}")
        assert (head.status_code, head.headers["Upload-Complete"], head.headers["Content-Length"]) == (200, "?1", "4")
        body = {"user": azin.user, "files": [found["id"]], "client_id": "once"}
        sent = azin.client.post("/api/v1/rooms/lobby/messages", json=body, headers=azin.headers)
        assert sent.status_code in (200, 201)
    other = Sender(app, "Two").ask("HEAD", f"/api/v1/files/{found['id']}")
    assert other.status_code == 200 and "Upload-Complete" not in other.headers
    assert azin.ask("DELETE", f"/api/v1/rooms/lobby/messages/{sent.get_json()['seq']}").status_code == 200
    app.extensions["quotechat.services"].accounts.files.step()


def test_a_file_comes_whole_or_in_pieces(app: Flask, azin: Sender) -> None:
    """The same bytes in one POST, or in pieces that go on where they were; the last answer may be asked for again."""
    data = bytes(range(256)) * 3000
    whole = azin.upload(data, "data.bin")
    assert whole == {"id": whole["id"], "name": "data.bin", "type": "application/octet-stream", "size": len(data)}
    begun = azin.ask("POST", FILES + "?name=b", data[:1000], upload_complete="?0", upload_length=len(data))
    where = begun.headers["Location"]
    assert begun.status_code == 201 and begun.get_json() == {} and begun.headers["Upload-Offset"] == "1000"
    wrong = azin.ask("PATCH", where, data[:10], upload_offset=5, upload_complete="?0")
    assert (wrong.status_code, wrong.get_json()["code"], wrong.headers["Upload-Offset"]) == (409, "conflict", "1000")
    part = azin.ask("PATCH", where, data[1000:300_000], upload_offset=1000, upload_complete="?0",
                    content_type="application/partial-upload")  # fmt: skip
    assert part.status_code == 204 and part.headers["Upload-Offset"] == "300000"
    assert azin.ask("GET", where).status_code == 404  # no half file is served
    state = azin.ask("HEAD", where)
    assert (state.status_code, state.headers["Upload-Offset"]) == (204, "300000")
    assert state.headers["Upload-Complete"] == "?0" and "Content-Type" not in state.headers
    early = azin.ask("PATCH", where, b"", upload_offset=300_000, upload_complete="?1")
    assert early.status_code == 400
    more = azin.ask("PATCH", where, data, upload_offset=300_000, upload_complete="?1")
    assert (more.status_code, more.get_json()["code"]) == (413, "too-large")
    done = azin.ask("PATCH", where, data[300_000:], upload_offset=300_000, upload_complete="?1")
    assert done.status_code == 201 and done.get_json()["file"]["size"] == len(data)
    again = azin.ask("PATCH", where, b"", upload_offset=len(data), upload_complete="?1")
    assert again.get_json() == done.get_json()
    assert azin.ask("HEAD", where).headers["Upload-Complete"] == "?1"
    assert azin.read(done.get_json()["file"]).data == azin.read(whole).data == data
    before = kept(app)
    azin.remove(whole)
    assert kept(app) == before  # the other file has the same content
    azin.remove(done.get_json()["file"])
    assert kept(app) == before - 1 and stored(app) == []


def test_bytes_go_with_the_upload(app: Flask, azin: Sender) -> None:
    """DELETE ends an upload at any time; the file is unknown then, and nothing of it is left."""
    begun = azin.ask("POST", FILES, b"half of it", upload_complete="?0")
    where = begun.headers["Location"]
    for method in ("PATCH", "DELETE", "HEAD", "GET"):
        assert Sender(app, "Bo").ask(method, where, upload_offset=10, upload_complete="?0").status_code == 404
    assert azin.ask("DELETE", where).status_code == 204
    assert azin.ask("PATCH", where, b"x", upload_offset=10, upload_complete="?0").get_json()["code"] == "file-unknown"
    assert stored(app) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"upload_complete": "yes"}, 400), ({"upload_length": "-1"}, 400), ({"upload_length": "2"}, 400),
        ({"upload_complete": "?0", "upload_length": str(2**21)}, 413),
        ({"upload_complete": "?0", "upload_length": "2"}, 413), ({"content_encoding": "gzip"}, 415),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_leaves_nothing(
    app: Flask, azin: Sender, headers: dict[str, str], status: int
) -> None:
    """Headers that cannot be read, more bytes than may come, and a coding that the file does not have."""
    assert azin.ask("POST", FILES, b"bytes", **headers).status_code == status
    assert azin.ask("POST", FILES, b"x" * 1_048_577).status_code == 413
    assert stored(app) == [] and kept(app) == 0


def test_there_are_bounds_for_each_and_for_all(app: Flask) -> None:
    """Of bytes of one person and of all people, and of files that wait: 409 `quota-full` says whose."""
    people = [Sender(app, f"Person {number}") for number in range(3)]
    files = []
    fields = []
    for person in people:
        for number in range(4):
            answer = person.ask("POST", FILES, bytes([number, people.index(person)]) * 250_000)
            if answer.status_code == 201:
                files.append((person, answer.get_json()["file"]))
            else:
                assert (answer.status_code, answer.get_json()["code"]) == (409, "quota-full")
                fields.append(answer.get_json()["field"])
    assert (len(files) == 6 and set(fields) == {"account", "site"}) or fields == ["site"] * 3
    for person, file in files:
        person.remove(file)
    eve = Sender(app, "Eve")
    small = [eve.upload(b"x") for _ in range(20)]
    refused = eve.ask("POST", FILES, b"x").get_json()
    assert (refused["code"], refused["field"]) == ("quota-full", "account")
    eve.remove(*small)
    assert kept(app) == 0


def test_uploads_that_begin_at_once_are_bounded_together(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts from its beginning, by the length that it announces."""
    azin, answers, check = Sender(app, "Two"), list[Any](), uploads.check_quota
    headers = {**azin.headers, "Upload-Complete": "?0", "Upload-Length": "1000000"}
    other = threading.Thread(target=lambda: answers.append(app.test_client().post(FILES, headers=headers)))

    def overtaken(*given: Any) -> None:
        check(*given)
        if other.ident is None:
            other.start()
            other.join(0.2)  # it comes to its end only if nothing keeps it out

    monkeypatch.setattr(uploads, "check_quota", overtaken)
    answers.append(app.test_client().post(FILES, headers=headers))
    other.join(60)
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    begun = next(answer for answer in answers if answer.status_code == 201)
    azin.remove({"id": begun.headers["Location"].rpartition("/")[2]})


def test_bytes_of_unknown_length_count_as_they_come(app: Flask) -> None:
    """So nobody fills the disk with uploads that are never complete; the one that is too much ends."""
    azin, begun = Sender(app, "Many"), []
    for _ in range(3):
        answer = azin.ask("POST", FILES, bytes(700_000), upload_complete="?0")
        if answer.status_code != 201:
            break
        begun.append({"id": answer.headers["Location"].rpartition("/")[2]})
    assert (answer.status_code, answer.get_json()["code"], len(begun)) == (409, "quota-full", 2)
    where = f"/api/v1/files/{begun[0]['id']}"
    more = azin.ask("PATCH", where, bytes(300_000), upload_offset=700_000, upload_complete="?0")
    assert (more.status_code, azin.ask("HEAD", where).status_code) == (409, 404)
    azin.remove(begun[1])
    assert [path for path in stored(app) if path.parent.name == "arriving"] == []


def test_a_photo_loses_its_place(app: Flask, azin: Sender) -> None:
    """What is served of a photo has no metadata but the orientation; a thumbnail shows it upright."""
    from PIL import Image

    file = azin.upload(photo(6), "photo.jpg")
    assert (file["type"], file["width"], file["height"], file["thumb"]) == ("image/jpeg", 20, 40, True)
    served, small = azin.read(file), azin.read(file, "/thumb")
    assert b"GPS" not in served.data and b"Cam" not in served.data and len(served.data) == file["size"]
    assert small.content_type == "image/webp"
    assert {path.stat().st_mode & 0o777 for path in stored(app)} <= {0o600}
    with Image.open(BytesIO(small.data)) as image:
        assert image.size == (20, 40)
    assert served.headers["Content-Disposition"].startswith('inline; filename="photo.jpg"')
    azin.remove(file)


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)
def test_a_movie_loses_its_place(azin: Sender) -> None:
    """As zeros of the same length, so that its media are where they were; also one that is a download."""
    for brand, kind in ((b"isom", "video/mp4"), (b"qt  ", "application/octet-stream")):
        file = azin.upload(movie(brand), "a.mov")
        served = azin.read(file)
        assert (file["type"], len(served.data)) == (kind, len(movie(brand)))
        assert b"52.5200" not in served.data and served.data.endswith(b"media" * 100)
        azin.remove(file)


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)
def test_a_sound_loses_its_tags(azin: Sender) -> None:
    """One that cannot be read is kept as it came, as a download without a type."""
    sound = b"\xff\xfb\x90\0" + b"sound" * 99
    for tag, kind in (
        (b"ID3\4\0\0\0\0\0\7author!", "audio/mpeg"), (b"ID3\4\0\0\0\7\0\0", "application/octet-stream"),
    ):  # fmt: skip
        file = azin.upload(tag + sound, "a.mp3")
        served = azin.read(file)
        assert (file["type"], served.data) == (kind, sound if kind == "audio/mpeg" else tag + sound)
        azin.remove(file)


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)  # what is in a file is no matter of the store
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_hostile_runs_or_is_repeated(azin: Sender, name: str) -> None:
    """Of a type that browsers show only if it is that; else a download, without a type; and always in a sandbox."""
    file = azin.upload(HOSTILE[name], name)
    answer = azin.read(file)
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["Cache-Control"] == "no-store"
    shown = {"png-and-page.png", "comment.png", "bomb.png", "huge.png", "lying.png"}
    assert headers["Content-Disposition"].startswith("inline" if name in shown else "attachment")
    assert headers["Content-Type"] == ("image/png" if name in shown else "application/octet-stream")
    if name in shown:
        assert SCRIPT not in answer.data
    assert ("thumb" in file) == (name in {"png-and-page.png", "comment.png", "bomb.png"}) or name == "lying.png"
    assert ("width" in file) == (name in shown - {"huge.png"})
    azin.remove(file)


def test_a_name_cannot_break_a_header(azin: Sender) -> None:
    """A name with every odd character is on one line, without a path, and comes back in the header as it is kept."""
    from werkzeug.http import parse_options_header

    file = azin.upload(b"x", ODD_NAME)
    assert file["name"] == "....ab\"';<b>%00é 漢字\U0001f600.png".lstrip(".")
    kind, options = parse_options_header(azin.read(file).headers["Content-Disposition"])
    assert (kind, options["filename"]) == ("attachment", file["name"])
    azin.remove(file)


def test_a_part_of_a_file_is_served(azin: Sender) -> None:
    """One range at a time (RFC 9110 §14); if the file is another by now, or the range odd, the whole."""
    data = bytes(range(256)) * 2000
    file = azin.upload(data)
    part = azin.read(file, Range="bytes=1000-1999")
    assert part.status_code == 206 and part.data == data[1000:2000]
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(data)}"
    tag = part.headers["ETag"]
    assert azin.read(file, Range="bytes=-10").data == data[-10:]
    assert azin.read(file, Range="bytes=0-1,5-6").data == azin.read(file, Range="bytes=x-").data == data
    assert azin.read(file, Range="bytes=0-9", If_Range=tag).status_code == 206
    assert azin.read(file, Range="bytes=0-9", If_Range='"other"').status_code == 200
    assert azin.read(file, If_None_Match=tag).status_code == 304
    beyond = azin.read(file, Range=f"bytes={len(data)}-")
    assert beyond.status_code == 416 and beyond.headers["Content-Range"] == f"bytes */{len(data)}"
    azin.remove(file)


def test_who_may_not_write_may_not_upload(
    app: Flask, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    """Nobody in particular is 401, a visitor 403 unless the setting lets it, a room that is not one's own 404.

    A sender that loses the right while the bytes come has no file of them.
    """
    assert app.test_client().post(FILES, data=b"x").get_json()["code"] == "unauthenticated"
    strict = create_app(Settings(data=tmp_path / "data", database=new_database(), limits=False))
    try:
        assert Sender(strict, "Azin").ask("POST", FILES, b"x").get_json()["code"] == "forbidden"
        boss = owner(strict)
        closed = boss.ask("POST", "/rooms", {"name": "closed", "kind": "closed"}).get_json()["name"]
        bo = joined(strict, boss, "Bo")
        for person, room, status in ((boss, "lobby", 201), (bo, "lobby", 201), (boss, closed, 201), (bo, closed, 404)):
            answer = strict.test_client().post(
                f"/api/v1/rooms/{room}/files", data=b"x", headers={"Authorization": f"Bearer {person.token()}"}
            )
            assert answer.status_code == status, answer.get_data()
        assert boss.ask("PATCH", f"/rooms/{closed}", {"archived": True}).status_code == 200
        answer = strict.test_client().post(
            f"/api/v1/rooms/{closed}/files", data=b"x", headers={"Authorization": f"Bearer {boss.token()}"}
        )
        assert answer.get_json()["code"] == "conflict"
        headers = {"Authorization": f"Bearer {bo.token()}"}
        ban = "UPDATE account SET state = 'banned' WHERE name = 'Bo'"
        body = Meanwhile(lambda: strict.extensions["quotechat"].write_with(lambda sql: sql.run(ban)))
        late = strict.test_client().post(FILES, input_stream=body, content_length=5, headers=headers)
        assert late.status_code == 401, late.get_data()
        assert kept(strict) == 1  # the content that all others have
    finally:
        strict.extensions["quotechat"].close()


def test_small_pictures_are_what_they_were(azin: Sender) -> None:
    """A picture that is fine is served byte by byte as its container allows."""
    file = azin.upload(png(4, 3), "a.png")
    assert azin.read(file).data == png(4, 3)
    azin.remove(file)


# --- Files of messages ------------------------------------------------------------------------------


def send(sender: Sender, *files: dict[str, Any], room: str = "lobby", **more: Any) -> Any:
    body = {"user": sender.user, "message": "", "files": [file["id"] for file in files], **more}
    return sender.client.post(f"/api/v1/rooms/{room}/messages", json=body, headers=sender.headers)


def test_a_text_may_be_left_out_beside_files(azin: Sender) -> None:
    """Missing and null are as empty as "", and a repeat in another form is the same; without files it is needed."""
    file = azin.upload(b"alone")
    answers = [send(azin, file, client_id="alone", message=text) for text in (None, "")]
    assert [each.status_code for each in answers] == [201, 200]
    body = {"user": azin.user, "files": [azin.upload(b"also alone")["id"]]}
    sent = azin.client.post("/api/v1/rooms/lobby/messages", json=body, headers=azin.headers)
    assert sent.status_code == 201 and sent.get_json()["message"]["message"] == ""
    for nothing in ({}, {"files": []}):
        refused = azin.client.post("/api/v1/rooms/lobby/messages", json={"user": azin.user, **nothing})
        assert (refused.status_code, refused.get_json()["field"]) == (422, "message")


def test_a_message_carries_files(app: Flask, azin: Sender) -> None:
    """Without a text too; all who read the room read them, in the order of the sender, and a repeat is stored once."""
    files = [azin.upload(photo(), "a.jpg"), azin.upload(b"text", "b.txt")]
    bo = Sender(app, "Bo")
    assert bo.read(files[0]).status_code == 404
    first, again = send(azin, *files, client_id="f1"), send(azin, *files, client_id="f1")
    assert (first.status_code, again.status_code) == (201, 200) and again.get_json()["duplicate"]
    message = first.get_json()["message"]
    assert message["files"] == files and message["message"] == ""
    assert bo.read(files[0]).status_code == bo.read(files[0], "/thumb").status_code == 200
    assert azin.ask("DELETE", f"/api/v1/files/{files[0]['id']}").get_json()["code"] == "conflict"
    snapshot = bo.ask("GET", "/api/v1/rooms/lobby?limit=1").get_json()["messages"][0]
    assert snapshot["files"] == files
    edit = azin.client.patch(
        f"/api/v1/rooms/lobby/messages/{message['id']}", json={"message": "Look!"}, headers=azin.headers
    )
    assert edit.get_json()["message"]["files"] == files
    answer = azin.client.post(
        "/api/v1/rooms/lobby/messages", json={"user": azin.user, "message": "Re", "reply_to": message["id"]},
        headers=azin.headers,
    )  # fmt: skip
    assert answer.get_json()["message"]["reply_to"]["excerpt"] == "Look!"


def test_a_message_describes_its_files(app: Flask, azin: Sender) -> None:
    """On one line, as part of the message: kept by an edit, found by a search, and compared in a repeat."""
    before, files = kept(app), [azin.upload(photo(), "a.jpg"), azin.upload(b"text", "b.txt")]
    described = [{"id": files[0]["id"], "alt": " A heron\non one  leg "}, {"id": files[1]["id"], "alt": " \u200b"}]
    for alt, field in (("x" * 501, "alt"), ("a\u202eb", "alt"), (7, "alt")):
        refused = send(azin, files=[{"id": files[0]["id"], "alt": alt}])
        assert (refused.status_code, refused.get_json()["field"]) == (422, field)
    assert send(azin, files=[*described, files[0]["id"]]).get_json()["field"] == "files"  # twice
    first, again = (send(azin, files=described, client_id="alt") for _ in range(2))
    other = send(azin, files=[files[0]["id"], files[1]["id"]], client_id="alt")
    assert (first.status_code, again.status_code) == (201, 200) and other.get_json()["code"] == "client-id-reused"
    message = first.get_json()["message"]
    assert message["files"] == [files[0] | {"alt": "A heron on one leg"}, files[1]]
    address = f"/api/v1/rooms/lobby/messages/{message['id']}"
    edited = azin.client.patch(address, json={"message": "By the lake"}, headers=azin.headers).get_json()["message"]
    assert edited["files"] == message["files"]
    for words, marks in (("heron lake", [[7, 4]]), ("leg", [])):
        hits = azin.ask("GET", f"/api/v1/search?q={words.replace(' ', '%20')}").get_json()["hits"]
        assert [(hit["message"]["id"], hit["marks"]) for hit in hits] == [(message["id"], marks)]
    page = app.test_client().get("/").get_data(as_text=True)
    assert 'alt="A heron on one leg"' in page
    azin.ask("DELETE", address)
    assert "heron" not in azin.ask("GET", "/api/v1/rooms/lobby?limit=5").get_data(as_text=True)
    until(lambda: kept(app) == before)  # the next test counts them


def test_a_description_is_changed_after_sending(app: Flask, azin: Sender) -> None:
    """By its sender alone, with the text or without one; readers, the search and the log have it, and it can go."""
    before, one, other = kept(app), azin.upload(photo(5), "a.jpg"), azin.upload(b"notes")
    described = [{"id": one["id"], "alt": "A heron"}, other["id"]]
    sent = send(azin, files=described, message="*Look* @nobody").get_json()["message"]
    where = f"/api/v1/rooms/lobby/messages/{sent['id']}"

    def edit(by: Sender = azin, **fields: Any) -> Any:
        return by.client.patch(where, json=fields, headers=by.headers)

    def alts() -> list[str | None]:
        shown = azin.ask("GET", "/api/v1/rooms/lobby?limit=1").get_json()["messages"][0]
        assert shown["id"] == sent["id"] and shown["runs"]
        return [file.get("alt") for file in shown["files"]]

    changed = edit(files=[{"id": other["id"], "alt": " Two\nkinds "}]).get_json()
    assert changed["command"] == "message-edited" and changed["message"]["edited_at"]
    expected = {name: value for name, value in sent.items() if name not in ("client_id", "files")}
    assert expected.items() <= changed["message"].items()
    assert alts() == ["A heron", "Two kinds"]
    assert edit(message="*New* text").status_code == 200 and alts() == ["A heron", "Two kinds"]
    both = edit(message="*Both*", files=[{"id": one["id"]}]).get_json()["message"]
    assert (both["message"], alts()) == ("*Both*", [None, "Two kinds"])
    for fields, field in (
        ({}, "message"), ({"files": []}, "message"), ({"message": None}, "message"),
        ({"files": [{"id": "a" * 20, "alt": "x"}]}, "files"), ({"files": [one["id"]]}, "files"),
        ({"files": [{"id": one["id"]}, {"id": one["id"], "alt": "x"}]}, "files"),
        ({"files": [{"id": one["id"], "alt": "x" * 501}]}, "alt"),
    ):  # fmt: skip
        refused = edit(**fields)
        assert (refused.status_code, refused.get_json()["field"]) == (422, field), fields
    bo = Sender(app, "Bo")
    assert edit(bo, files=[{"id": one["id"], "alt": "Mine"}]).status_code == 403
    assert edit(files=[{"id": one["id"], "alt": "Kingfisher"}]).status_code == 200

    def found(text: str) -> list[int]:
        hits = azin.client.get("/api/v1/search", query_string={"q": text}, headers=azin.headers).get_json()["hits"]
        return [hit["message"]["id"] for hit in hits]

    until(lambda: found("kingfisher") == [sent["id"]] and not found("heron"), what="the search")
    assert azin.ask("DELETE", where).status_code == 200
    log = azin.ask("GET", "/api/v1/rooms/lobby/events?after=0").get_data(as_text=True)
    assert "Kingfisher" not in log and "heron" not in log and "Two kinds" not in log
    until(lambda: kept(app) == before)  # the next test counts them


def test_a_form_describes_its_file(app: Flask) -> None:
    """Without JavaScript: the field beside the file; a refused form keeps what was typed there."""
    client = app.test_client()
    form = {"user": f"Form {next(_numbers)}", "message": "", "alt": 'A "red" door', "client_id": "form-alt"}
    client.get("/")  # its cookie is who one is
    sent = client.post("/rooms/lobby/messages", data={**form, "file": (BytesIO(png(2, 2)), "door.png")})
    assert sent.status_code == 303
    shown = client.get("/api/v1/rooms/lobby?limit=1").get_json()["messages"][0]
    assert (shown["files"][0]["name"], shown["files"][0]["alt"]) == ("door.png", 'A "red" door')
    refused = client.post("/rooms/lobby/messages", data={**form, "color": "no", "file": (BytesIO(b"x"), "x")})
    assert 'value="A &#34;red&#34; door"' in refused.get_data(as_text=True)


def test_a_form_with_a_file_that_was_changed_is_another_message(app: Flask) -> None:
    """A browser that goes back shows the form with its old number: only what is the same altogether is sent once."""
    client = app.test_client()
    client.get("/")
    form = {"user": f"Form {next(_numbers)}", "message": "first", "alt": "A door", "client_id": "form-back"}

    def sent(file: tuple[bytes, str] | None, **changed: str) -> int:
        """The number of messages after the form was sent."""
        fields = {} if file is None else {"file": (BytesIO(file[0]), file[1])}
        answer = client.post("/rooms/lobby/messages", data={**form, **changed, **fields})
        assert answer.status_code == 303, answer.get_data(as_text=True)
        about: dict[str, int] = client.get("/api/v1/rooms/lobby").get_json()["about"]
        return about["messages"]

    door = (png(2, 2), "door.png")
    before = sent(None)  # without a file, then with one
    counts = [
        sent(door), sent(door), sent(door, message="second"), sent(door, message="second"), sent(door, alt="The door"),
        sent((png(3, 3), "door.png")), sent((png(2, 2), "gate.png")), sent(door), sent(None),
    ]  # fmt: skip
    assert [count - before for count in counts] == [1, 1, 2, 2, 3, 4, 5, 5, 5]
    texts = [each["message"] for each in client.get("/api/v1/rooms/lobby?limit=5").get_json()["messages"]]
    assert texts == ["first", "second", "first", "first", "first"]


def test_a_form_holds_a_place_until_its_file_is_complete(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every upload: while it comes, and while it is looked at; the places bound how long others wait for that."""
    chat, client, held = app.extensions["quotechat"], app.test_client(), list[int]()
    finish = Files.finish

    def counted(files: Files, *given: Any, **about: Any) -> Any:
        held.append(chat.limits.held("upload"))
        return finish(files, *given, **about)

    monkeypatch.setattr(Files, "finish", counted)
    client.get("/")
    form = {"user": f"Form {next(_numbers)}", "message": "here", "file": (BytesIO(png(2, 2)), "door.png")}
    assert client.post("/rooms/lobby/messages", data=form).status_code == 303
    assert (held, chat.limits.held("upload")) == ([1], 0)


def test_only_own_files_that_wait_are_sent(app: Flask, azin: Sender) -> None:
    """Of this room, complete, each once; else 422 `invalid` with `files`, and nothing is sent."""
    file, sent = azin.upload(b"1"), azin.upload(b"2")
    assert send(azin, sent).status_code == 201
    begun = azin.ask("POST", FILES, b"", upload_complete="?0").headers["Location"].rpartition("/")[2]
    azin.client.post("/api/v1/rooms", json={"name": "tea"}, headers=azin.headers)
    unknown = {"id": "a" * 20}
    for sender, files, room in (
        (Sender(app, "Azin 2"), [file], "lobby"), (azin, [sent], "lobby"), (azin, [{"id": begun}], "lobby"),
        (azin, [unknown], "lobby"), (azin, [file, file], "lobby"), (azin, [file], "tea"),
        (azin, [unknown] * 11, "lobby"),
    ):  # fmt: skip
        refused = send(sender, *files, room=room).get_json()
        assert (refused["code"], refused["field"]) == ("invalid", "files")
    nothing = send(azin).get_json()
    assert (nothing["code"], nothing["field"]) == ("invalid", "message")
    azin.remove(file, {"id": begun})


def test_deleted_means_deleted(app: Flask, azin: Sender) -> None:
    """With the message go its files: at once for readers, and then their bytes, and those of thumbnails."""
    before = kept(app)
    files = [azin.upload(photo(3), "a.jpg"), azin.upload(os.urandom(300_000))]
    message = send(azin, *files).get_json()["message"]["id"]
    assert kept(app) == before + 3
    assert azin.ask("DELETE", f"/api/v1/rooms/lobby/messages/{message}").status_code == 200
    assert azin.read(files[0]).status_code == azin.read(files[0], "/thumb").status_code == 404
    until(lambda: kept(app) == before)
    folder = app.config["QUOTECHAT"].data / "files"

    def pieces() -> int:
        rows = app.extensions["quotechat"].read_with(lambda sql: sql.one("SELECT count(DISTINCT place) FROM piece"))
        return int(rows[0])

    # Bytes go after their row.
    if app.config["QUOTECHAT"].database:
        until(lambda: pieces() == before, what="the end of the bytes")
    else:
        until(lambda: len([path for path in folder.glob("??/*") if path.is_file()]) == before, what="their end")
        assert pieces() == 0


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)
def test_a_download_on_its_way_ends_with_the_right(app: Flask, azin: Sender) -> None:
    """The thread that sends it asks again and again: until the message is deleted, the answer is yes."""
    before, file = kept(app), azin.upload(b"Tea")
    message = send(azin, file).get_json()["message"]["id"]
    chat = app.extensions["quotechat"]
    with app.test_request_context(f"/api/v1/files/{file['id']}"):
        app.preprocess_request()
        may = _right(chat.read_with(lambda sql: uploads.find(sql, file["id"])))
    assert may()
    azin.ask("DELETE", f"/api/v1/rooms/lobby/messages/{message}")
    assert not may()
    until(lambda: kept(app) == before)  # the next test counts them


def test_cut_and_removed_with_their_room(app: Flask, azin: Sender) -> None:
    """Retention takes the files of the messages that it cuts, the removal of a room all of them."""
    before, store = kept(app), app.extensions["quotechat"]._store
    for room in ("cut", "gone"):
        azin.client.post("/api/v1/rooms", json={"name": room}, headers=azin.headers)
        file = azin.client.post(f"/api/v1/rooms/{room}/files", data=room, headers=azin.headers).get_json()["file"]
        assert send(azin, file, room=room).status_code == 201
    assert kept(app) == before + 2
    assert store.cut("cut", 2**50, 10) == 1
    until(lambda: kept(app) == before + 1)
    store.remove_room("gone", 0)
    until(lambda: kept(app) == before)


def test_a_scheduled_message_keeps_its_files(app: Flask, azin: Sender) -> None:
    """They wait with it, are nobody else's, and go a day after it was cancelled; when it is sent they are its own."""
    file, other = azin.upload(b"later"), azin.upload(b"never")
    chat = app.extensions["quotechat"]
    waits = send(azin, files=[{"id": file["id"], "alt": "Tea"}], send_at="+1s")
    assert waits.get_json()["scheduled"]["message"]["files"] == [{"id": file["id"], "alt": "Tea"}]
    cancelled = send(azin, other, send_at="+1h").get_json()["scheduled"]
    assert waits.status_code == 202 and cancelled["message"]["files"] == [other["id"]]
    assert send(azin, other).get_json()["field"] == "files"
    azin.ask("DELETE", f"/api/v1/rooms/lobby/scheduled/{cancelled['id']}")
    bo = Sender(app, "Bo")
    until(lambda: bo.read(file).status_code == 200)
    assert bo.ask("GET", "/api/v1/rooms/lobby?limit=1").get_json()["messages"][0]["files"][0]["alt"] == "Tea"
    late = chat.now() + 25 * 3_600_000
    assert chat.write_with(lambda sql: uploads.drop_abandoned(sql, late)) == [other["id"]]
    assert azin.read(other).status_code == 404 and bo.read(file).status_code == 200


def test_bytes_without_a_row_are_swept(app: Flask, azin: Sender) -> None:
    """As a process leaves them that is killed at the wrong moment; what belongs to a file stays."""
    begun = azin.ask("POST", FILES, b"arriving", upload_complete="?0").headers["Location"]
    file = azin.upload(b"kept")
    folder, files = app.config["QUOTECHAT"].data / "files", app.extensions["quotechat.services"].accounts.files
    files._lost_at = math.inf  # the housekeeper does not sweep first
    (folder / "arriving").mkdir(parents=True, exist_ok=True)
    (folder / "ab").mkdir(exist_ok=True)
    for path in (folder / "arriving" / ("a" * 20), folder / "ab" / ("c" * 62)):
        path.write_bytes(b"lost")
    chat = app.extensions["quotechat"]
    chat.write_with(lambda sql: sql.run("INSERT INTO piece (place, at, data) VALUES (?, 0, ?)", "lost", b"lost"))
    assert files.sweep() >= 2
    assert not (folder / "arriving" / ("a" * 20)).exists()
    assert azin.read(file).data == b"kept"
    assert azin.ask("HEAD", begun).headers["Upload-Offset"] == "8"
    azin.remove(file, {"id": begun.rpartition("/")[2]})


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)
def test_a_full_disk_stores_nothing_by_halves(tmp_path: Path, store_kind: str) -> None:
    """507 in the middle of a part: none of it stays, reading goes on, and with space again the upload does."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("only root may mount, and not in every container")
    try:
        full = create_app(Settings(data=disk / "data", limits=False, guest_files=True))
        try:
            ada, data = Sender(full, "Ada"), os.urandom(1_500_000)
            there = ada.upload(data)
            where = ada.ask("POST", FILES, data[:1000], upload_complete="?0").headers["Location"]
            free = os.statvfs(disk)
            (disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_bsize - 700_000))
            refused = ada.ask("PATCH", where, data[1000:], upload_offset=1000, upload_complete="?1")
            assert (refused.status_code, refused.get_json()["code"]) == (507, "storage-full")
            assert ada.ask("HEAD", where).headers["Upload-Offset"] == "1000"
            assert ada.read(there).data == data
            (disk / "ballast").unlink()
            done = ada.ask("PATCH", where, data[1000:], upload_offset=1000, upload_complete="?1")
            assert done.status_code == 201 and ada.read(done.get_json()["file"]).data == data
        finally:
            full.extensions["quotechat"].close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("store_kind", ["postgres"], indirect=True)
def test_machines_share_files(tmp_path: Path, new_database: Callable[[], str], store_kind: str) -> None:
    """Two servers with a directory each and one database: begun on one, gone on with, read and deleted on the other."""
    database, apps = new_database(), []
    try:
        for name in ("one", "two"):
            data = tmp_path / name
            apps.append(create_app(Settings(data=data, database=database, limits=False, guest_files=True)))
        here, there = Sender(apps[0], "Ada"), Sender(apps[1], "Ada")
        there.headers, there.user = here.headers, here.user
        data = os.urandom(700_000)
        where = here.ask("POST", FILES, data[:300_000], upload_complete="?0").headers["Location"]
        assert there.ask("HEAD", where).headers["Upload-Offset"] == "300000"
        done = there.ask("PATCH", where, data[300_000:], upload_offset=300_000, upload_complete="?1")
        pictured = here.upload(photo(), "a.jpg")
        files = [done.get_json()["file"], pictured]
        message = send(here, *files).get_json()["message"]["id"]
        for machine in (here, there):
            assert machine.read(files[0]).data == data
            assert machine.read(files[0], Range="bytes=299990-300009").data == data[299_990:300_010]
            assert machine.read(pictured, "/thumb").status_code == 200
        assert there.ask("DELETE", f"/api/v1/rooms/lobby/messages/{message}").status_code == 200
        assert here.read(files[0]).status_code == here.read(pictured, "/thumb").status_code == 404
        until(lambda: kept(apps[0]) == 0)
        assert stored(apps[0]) == stored(apps[1]) == []
    finally:
        for app in apps:
            app.extensions["quotechat"].close()


def test_an_upload_is_completed_once(app: Flask, azin: Sender) -> None:
    """However many ask at once: each gets the file, or 409 while another is at it; what is served is whole."""
    before, chat, folder = kept(app), app.extensions["quotechat"], app.config["QUOTECHAT"].data / "files"
    for data, name in ((photo(6), "a.jpg"), (os.urandom(600_000), "b.bin")):
        where = azin.ask("POST", FILES + f"?name={name}", data, upload_complete="?0").headers["Location"]

        def complete(_: int, where: str = where, length: int = len(data)) -> Any:
            headers = {**azin.headers, "Upload-Offset": str(length), "Upload-Complete": "?1"}
            return app.test_client().patch(where, headers=headers)

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(complete, range(4)))
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert any(answer.status_code == 201 for answer in answers)
        file = complete(0).get_json()["file"]
        assert {answer.get_json()["file"]["id"] for answer in answers if answer.status_code == 201} == {file["id"]}
        assert len(azin.read(file).data) == file["size"]
        assert chat.read_with(lambda sql: list(moving.check(sql, Places(folder), lambda *_: None))) == []
        azin.remove(file)
    assert kept(app) == before and not list((folder / "arriving").glob("*"))


def test_a_file_that_another_request_completes_is_kept(
    app: Flask, azin: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that finds no place left for it in the quota drops nothing that is complete, and may be sent."""
    complete = Files._complete

    def overtaken(self: Files, *given: Any) -> File:
        complete(self, *given)
        raise QuotaFull("account", "Too late.")

    where = azin.ask("POST", FILES + "?name=a", b"abc", upload_complete="?0").headers["Location"]
    headers = {**azin.headers, "Upload-Offset": "3", "Upload-Complete": "?1"}
    with monkeypatch.context() as patch:
        patch.setattr(Files, "_complete", overtaken)
        assert app.test_client().patch(where, headers=headers).status_code == 409
    file = app.test_client().patch(where, headers=headers).get_json()["file"]
    assert azin.read(file).data == b"abc"
    azin.remove(file)


@pytest.mark.parametrize("store_kind", ["sqlite"], indirect=True)
def test_ranges_are_for_reading(azin: Sender) -> None:
    """HEAD and units that nobody knows have no ranges (RFC 9110 §14.2); a weak tag is as good to know what one has."""
    file = azin.upload(b"0123456789")
    whole = azin.ask("HEAD", f"/api/v1/files/{file['id']}", Range="bytes=0-1")
    assert (whole.status_code, whole.headers["Content-Length"]) == (200, "10")
    for odd in ("items=0-1", "bytes=", "bytes=5-2", "bytes=-", "bytes=0-1,3-4", "bytes=\u0661-2", "bytes= 0 - 1 0"):
        answer = azin.read(file, Range=odd.encode().decode("latin-1"))
        assert (odd, answer.status_code, answer.data) == (odd, 200, b"0123456789")
    for beyond in ("bytes=10-", "bytes=999999999999-"):
        answer = azin.read(file, Range=beyond)
        assert (beyond, answer.status_code) == (beyond, 416)
        documents().check_answer("GET", answer.request.path, 416, answer.mimetype, answer.data)
    assert azin.read(file, Range="bytes=-999999999999").data == b"0123456789"
    tag = whole.headers["ETag"]
    assert azin.read(file, If_None_Match=f"W/{tag}").status_code == 304
    assert azin.read(file, Range="bytes=0-1", If_Range=f"W/{tag}").status_code == 200
    empty = azin.upload(b"")
    assert azin.read(empty, Range="bytes=-5").status_code == azin.read(empty, Range="bytes=0-").status_code == 416
    azin.remove(file, empty)


def test_names_are_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of new folders and of an upload that begins: without them the bytes would be lost with the power."""
    flushed: list[Path] = []
    fsync = os.fsync

    def note(number: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{number}")))
        fsync(number)

    store = open_store(Settings(data=tmp_path / "data"))
    try:
        monkeypatch.setattr(os, "fsync", note)
        place, folder, upload = Directory(tmp_path / "files", store), tmp_path / "files", "a" * 20
        assert place.append(upload, 0, [b"hello"]) == 5
        assert flushed == [tmp_path, folder, folder / "arriving"]
        staged = place.stage(upload, place.local(upload))
        del flushed[:]
        store.write_with(lambda sql: place.put(sql, staged))
        assert flushed == [folder, path_of(folder, staged.hash).parent]
    finally:
        store.close()

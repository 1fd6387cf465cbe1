"""The operator's commands, as a shell runs them, beside a server that runs."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from servers import ROOT, Running, environment, finished, quotechat, running, until

from quotechat.cli.operating.carry import _place
from quotechat.config import Settings
from quotechat.protocol import commands
from quotechat.store.base import CreateRoom, Write
from quotechat.store.migrate import migrations
from quotechat.store.open import open_store


def run(*arguments: str | Path, code: int = 0, **env: str) -> str:
    """What the command says; it ends with `code`."""
    command = quotechat(*map(str, arguments))
    done = finished(command, env=environment(**env))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def serving(data: Path, **more: str) -> Any:
    env = environment(QUOTECHAT_LIMITS="off", **more)
    return running(quotechat("serve", "--port", "0", "--data", str(data)), env=env)


class Person:
    """Somebody with an identity, in the lobby."""

    def __init__(self, server: Running, name: str = "Ann", token: str | None = None) -> None:
        self.api = f"{server.url}/api/v1"
        self.name = name
        self.token = token or self.ask("POST", "/guests", {"user": name}).json()["token"]

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if hasattr(self, "token") else {}
        return requests.request(method, self.api + path, json=body, headers=headers, timeout=60)

    def say(self, text: str, **more: Any) -> str:
        """Say it in the lobby; the cursor after it."""
        answer = self.ask("POST", "/rooms/lobby/messages", {"user": self.name, "message": text, **more})
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["cursor"]
        return found

    def read(self, after: str) -> requests.Response:
        return self.ask("GET", f"/rooms/lobby/events?after={after}")


def answered(ask: Callable[[], requests.Response]) -> requests.Response:
    """Ask again and again until a poll brings something; a hold may be over before, on a busy machine."""
    while (answer := ask()).ok and not answer.json()["events"]:
        pass
    return answer


def test_a_restored_server_refuses_the_cursors_of_the_history_that_was_lost(tmp_path: Path) -> None:
    """A backup of a running server, restored: earlier cursors go on, later ones get 410 for ever, people stay."""
    with serving(tmp_path / "data") as server:
        ann = Person(server)
        kept = [ann.say(f"kept {number}") for number in range(3)]
        said = run("backup", tmp_path / "file", "--data", tmp_path / "data")
        assert re.search(r"holds 1 room, 3 events, 3 messages, \d+ quotes, 0 waiting\. Every chain is whole\.$", said)
        lost = [ann.say(f"lost {number}") for number in range(4)]
        assert "uses" in run("restore", tmp_path / "file", "--data", tmp_path / "data", code=1)
    assert "not empty" in run("restore", tmp_path / "file", "--data", tmp_path / "data", code=1)
    run("restore", tmp_path / "file", "--data", tmp_path / "new")
    with serving(tmp_path / "new") as server:
        ann = Person(server, token=ann.token)
        for count in range(6):
            for position, cursor in enumerate(kept, start=1):
                assert [each["seq"] for each in ann.read(cursor).json()["events"]] == [*range(position + 1, 4 + count)]
            codes = [(answer.status_code, answer.json()["code"]) for answer in map(ann.read, lost)]
            changed = [(410, "history-changed")] * min(count, 4)
            assert codes == changed + [(410, "cursor-ahead")] * (4 - len(changed))
            ann.say(f"new {count}")
        assert ann.ask("PATCH", "/rooms/lobby/messages/1", {"message": "still mine"}).status_code == 200
    assert "All 10 events are whole" in run("verify", "--data", tmp_path / "new")


def unused(database: str) -> bool:
    """Whether no server or command is connected any more: PostgreSQL notices the end of one a moment later."""
    with psycopg.connect(database) as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return connection.execute(asked).fetchone() == (0,)


def test_a_moved_server_goes_on_where_it_was(tmp_path: Path, database: str) -> None:
    """SQLite to PostgreSQL and back to a file, by the commands: cursors, people and what waits come along."""
    data, there = tmp_path / "data", {"QUOTECHAT_DATABASE": database}
    move = ("move", "--to", database, "--data", data)
    with serving(data) as server:
        ann = Person(server)
        cursors = [ann.say(f"number {number}", client_id=f"k{number}") for number in range(1, 6)]
        assert "Stop its servers" in run(*move, code=1)
        cursors.append(ann.say("meanwhile"))
        later = {"user": "Ann", "message": "later", "send_at": "+2h"}
        waits = ann.ask("POST", "/rooms/lobby/messages", later).json()["scheduled"]
    until(lambda: unused(database), what="the end of the first attempt's connections")
    said = run(*move)
    assert "holds 1 room, 6 events, 6 messages" in said and "Every chain is whole, and the same." in said
    password = re.search(r"//[^:]*:([^@]*)@", database)
    assert password is None or password[1] not in said
    with serving(tmp_path / "unused", **there) as server:
        ann = Person(server, token=ann.token)
        for position, cursor in enumerate(cursors, start=1):
            assert [each["seq"] for each in ann.read(cursor).json()["events"]] == list(range(position + 1, 7))
        assert ann.ask("GET", "/rooms/lobby/scheduled").json()["scheduled"] == [waits]
        assert ann.ask("PATCH", "/rooms/lobby/messages/1", {"message": "still mine"}).status_code == 200
        again = ann.ask("POST", "/rooms/lobby/messages", {"user": "Ann", "message": "number 2", "client_id": "k2"})
        assert again.json()["seq"] == 2 and again.json()["duplicate"]
        assert "in use" in run("move", "--to", tmp_path / "back", code=1, **there)
    assert "7 events" in run("export", "--all", tmp_path / "all.ndjson", **there)
    said = run("import", tmp_path / "all.ndjson", "--data", tmp_path / "copy")
    assert said.startswith("lobby: 7 events, imported; at 7.")
    until(lambda: unused(database), what="the end of the server's connections")
    run("move", "--to", tmp_path / "back", **there)
    for place in (tmp_path / "copy", tmp_path / "back"):
        assert "All 7 events are whole" in run("verify", "--data", place)
    with serving(tmp_path / "back") as server:
        ann = Person(server, token=ann.token)
        assert [each["seq"] for each in ann.read(cursors[-1]).json()["events"]] == [7]
        assert ann.say("on and on").startswith("8.")
    told = json.loads(run("rooms", "--json", "--data", tmp_path / "back"))
    assert (told["room"], told["first"], told["events"]) == ("lobby", 1, 8)
    assert json.loads(run("stats", "--json", **there))["store"] == "PostgreSQL"
    assert re.search(r"^lobby +8\.[0-9a-f]{16} +1 +8 ", run("rooms", "--data", tmp_path / "back"), re.M)


@pytest.mark.parametrize("command", [["backup", "file"], ["restore", "file"]])
def test_copies_of_files_are_not_for_postgresql(tmp_path: Path, command: list[str]) -> None:
    """They would copy a directory that the server does not use; what to do instead is said."""
    said = run(*command, "--data", tmp_path, code=1, QUOTECHAT_DATABASE="postgresql://127.0.0.1:1/none")
    assert "is for SQLite" in said and "pg_dump" in said and "quotechat move" in said


def test_retention_beside_a_server_passes_those_who_keep_up(tmp_path: Path) -> None:
    """At the floor a reader goes on, below it is 410 – also in the middle of paging, and whatever memory holds."""
    with serving(tmp_path) as server:
        ann = Person(server)
        cursors = [ann.say(f"number {number}") for number in range(1, 21)]
        cursors.append(ann.say("a young answer", reply_to=2))
        paging = ann.ask("GET", "/rooms/lobby/events?after=0&limit=5").json()
        assert paging["cursor"] == cursors[4] and paging["more"]
        age(tmp_path, days=100, up_to=20)
        with ThreadPoolExecutor(1) as pool:
            waiting = f"/rooms/lobby/events?after={cursors[20]}&wait=25"
            held = pool.submit(answered, lambda: ann.ask("GET", waiting))
            until(lambda: "quotechat_held_polls 1" in requests.get(f"{server.url}/metrics", timeout=60).text)
            retain = ("retain", "--keep", "90d", "--data", tmp_path)
            assert "lobby: 20 of 21 events would be cut" in run(*retain, "--dry-run")
            assert ann.read(cursors[0]).status_code == 200
            assert "lobby: 20 of 21 events cut" in run(*retain)
            assert "lobby: 0 of 1 event cut" in run(*retain, "lobby")
            for expired in (paging["cursor"], cursors[18], "19", "1"):
                answer = ann.read(expired)
                assert (answer.status_code, answer.json()["code"]) == (410, "cursor-expired")
            for kept in (cursors[19], "20", "0"):
                assert [each["seq"] for each in ann.read(kept).json()["events"]] == [21]
            parent = ann.read("0").json()["events"][0]["message"]["reply_to"]
            assert parent == {"id": 2, "user": "Ann", "deleted": True}
            ann.say("to the one who waits")
            assert [each["seq"] for each in held.result(60).json()["events"]] == [22]
        shown = ann.ask("GET", "/rooms/lobby").json()["messages"]
        assert [each["message"] for each in shown] == ["a young answer", "to the one who waits"]
        assert "All 2 events are whole" in run("verify", "--data", tmp_path)
        run("rebuild", "--data", tmp_path)
        assert ann.ask("GET", "/rooms/lobby").json()["messages"] == shown
    assert not [file for file in tmp_path.iterdir() if file.is_file() and b"number 1" in file.read_bytes()]
    assert "'90' is not" in run("retain", "--keep", "90", "--data", tmp_path, code=2)
    assert "no room 'none'" in run("retain", "--keep", "0s", "none", "--data", tmp_path, code=1)
    assert "All 2 events are whole" in run("verify", "--data", tmp_path)


def age(data: Path, *, days: int, up_to: int) -> None:
    """Make events of the lobby older than they are."""
    with contextlib.closing(sqlite3.connect(data / "quotechat.db")) as connection, connection:
        connection.execute("UPDATE event SET at = at - ? WHERE seq <= ?", (days * 86_400_000, up_to))


@pytest.mark.parametrize(
    "command", [["verify"], ["migrate"], ["rebuild"], ["backup", "file"], ["export", "--all"], ["rooms"], ["stats"],
                ["move", "--to", "elsewhere"], ["retain", "--keep", "1d"]],
)
def test_without_a_database_nothing_is_made(tmp_path: Path, command: list[str]) -> None:
    """Exit code 1, the reason in one line, and no file."""
    said = run(*[tmp_path / each if each == "file" else each for each in command], "--data", tmp_path, code=1)
    assert "there is no database at" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_room_called_all_is_a_room(tmp_path: Path) -> None:
    """Anybody may make it: its export has neither other rooms nor the secret, which is for --all."""
    with contextlib.closing(open_store(Settings(data=tmp_path / "data"))) as store:
        store.found(0)
        store.commit([Write(CreateRoom("all"), 0)])
        secret = store.secret()
    of = ("--data", tmp_path / "data")
    run("export", "all", tmp_path / "room", *of)
    told = [json.loads(line) for line in (tmp_path / "room").read_text().splitlines()]
    assert [each["command"] for each in told] == ["export", "room", "whole"] and [*told[0]["rooms"]] == ["all"]
    run("export", "--all", tmp_path / "everything", *of)
    assert secret in (tmp_path / "everything").read_text()
    assert "name a room, or give --all" in run("export", *of, code=2)
    assert "--all is without a room" in run("export", "--all", "all", tmp_path / "more", *of, code=2)
    run("import", tmp_path / "everything", "--data", tmp_path / "copy")
    (tmp_path / "cut").write_bytes((tmp_path / "everything").read_bytes()[:-9])
    assert "the command goes on from there" in run("import", tmp_path / "cut", "--data", tmp_path / "new", code=1)
    for place in ("copy", "data"):
        with contextlib.closing(open_store(Settings(data=tmp_path / place))) as store:
            said = commands.SendMessage(room="all", message=commands.NewMessage(user="Ann", message=place))
            store.commit([Write(said, 0)])
    refused = run("import", tmp_path / "everything", "--data", tmp_path / "copy", code=1)
    assert "nothing is overwritten" in refused and "goes on" not in refused


def test_migrate(tmp_path: Path) -> None:
    """Tables that are up to date stay as they are; those of a newer version are refused, and not touched."""
    data = tmp_path / "data"
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=environment()):
        newest = migrations("sqlite")[-1].number
        assert run("migrate", "--data", data) == f"The tables are up to date: schema {newest}.\n"
    with contextlib.closing(sqlite3.connect(data / "quotechat.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    assert "upgrade quotechat" in run("migrate", "--data", data, code=1)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("postgresql://qc:xyzzy@db/chat", "postgresql://qc:…@db/chat"),
        ("postgresql://db/chat?user=qc&password=xyzzy&sslmode=require",
         "postgresql://db/chat?user=qc&password=…&sslmode=require"),
        ("postgresql://qc@db/chat?sslpassword=xyzzy", "postgresql://qc@db/chat?sslpassword=…"),
        ("/srv/chat", "/srv/chat"),
    ],
)  # fmt: skip
def test_a_target_is_shown_without_its_password(target: str, shown: str) -> None:
    """Wherever libpq takes one."""
    assert _place(target) == shown


def test_the_reference_says_what_the_commands_say() -> None:
    """docs/reference/cli.md is --help; `python tools/cli_reference.py` writes it anew."""
    made = subprocess.run(
        [sys.executable, "-c", "import cli_reference; print(cli_reference.page(), end='')"],
        env=environment(PYTHONPATH=f"{ROOT / 'src'}:{ROOT / 'tools'}"), capture_output=True, text=True, check=True,
    )
    assert (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8") == made.stdout


def test_an_operator_removes_messages_and_rooms_beside_a_server(tmp_path: Path) -> None:
    """Readers are told: a message as any deletion, a room as one that is unknown; asked first, unless --yes."""
    data = tmp_path / "data"
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=environment()) as server:
        api = f"{server.url}/api/v1"
        token = requests.post(f"{api}/guests", json={"user": "Ann"}).json()["token"]
        requests.post(f"{api}/rooms", json={"name": "tea"}, headers={"Authorization": f"Bearer {token}"})
        for text in ("xyzzy", "stays"):
            requests.post(f"{api}/rooms/tea/messages", json={"user": "Ann", "message": text})
        before = requests.get(f"{api}/rooms/tea").json()["cursor"]
        run("messages", "remove", "tea", "1", "--data", data, code=1)
        assert "xyzzy" in requests.get(f"{api}/rooms/tea").text
        assert "is deleted" in run("messages", "remove", "tea", "1", "--yes", "--data", data)
        events = requests.get(f"{api}/rooms/tea/events?after={before}&wait=25").json()["events"]
        assert [(each["command"], each["message"]["id"]) for each in events] == [("message-deleted", 1)]
        assert "xyzzy" not in requests.get(f"{api}/rooms/tea/events?after=0").text
        run("messages", "remove", "tea", "9", "--yes", "--data", data, code=1)
        cursor = requests.get(f"{api}/rooms/tea").json()["cursor"]
        held: list[requests.Response] = []
        held_at = f"{api}/rooms/tea/events?after={cursor}&wait=20"
        poll = threading.Thread(target=lambda: held.append(answered(lambda: requests.get(held_at))))
        poll.start()
        until(lambda: "quotechat_held_polls 1" in requests.get(f"{server.url}/metrics").text, what="the hold")
        assert "tea: removed." in run("rooms", "remove", "tea", "--yes", "--data", data)
        poll.join(60)
        assert [(answer.status_code, answer.json()["code"]) for answer in held] == [(404, "room-unknown")]
        assert requests.get(f"{api}/rooms/tea").status_code == 404
        requests.post(f"{api}/rooms", json={"name": "tea"}, headers={"Authorization": f"Bearer {token}"})
        refused = requests.get(f"{api}/rooms/tea/events?after={cursor}")
        assert (refused.status_code, refused.json()["code"]) == (410, "cursor-ahead")
    assert "whole" in run("verify", "--data", data)

"""The operator's commands, as a shell runs them, beside a server that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from servers import ROOT, Running, environment, quotechat, running


def run(*arguments: str | Path, code: int = 0) -> str:
    """What the command says; it ends with `code`."""
    command = quotechat(*map(str, arguments))
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def serving(data: Path) -> Any:
    env = environment(QUOTECHAT_LIMITS="off")
    return running(quotechat("serve", "--port", "0", "--data", str(data)), env=env)


class Person:
    """Somebody with an identity, in the lobby."""

    def __init__(self, server: Running, name: str = "Ann", token: str | None = None) -> None:
        self.api = f"{server.url}/api/v1"
        self.name = name
        self.token = token or self.ask("POST", "/guests", {"user": name}).json()["token"]

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if hasattr(self, "token") else {}
        return requests.request(method, self.api + path, json=body, headers=headers, timeout=10)

    def say(self, text: str, **more: Any) -> str:
        """Say it in the lobby; the cursor after it."""
        answer = self.ask("POST", "/rooms/lobby/messages", {"user": self.name, "message": text, **more})
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["cursor"]
        return found

    def read(self, after: str) -> requests.Response:
        return self.ask("GET", f"/rooms/lobby/events?after={after}")


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


@pytest.mark.parametrize("command", [["verify"], ["rebuild"], ["backup", "file"]])
def test_without_a_database_nothing_is_made(tmp_path: Path, command: list[str]) -> None:
    """Exit code 1, the reason in one line, and no file."""
    said = run(*[tmp_path / each if each == "file" else each for each in command], "--data", tmp_path, code=1)
    assert "there is no database at" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_reference_says_what_the_commands_say() -> None:
    """docs/reference/cli.md is --help; `python tools/cli_reference.py` writes it anew."""
    made = subprocess.run(
        [sys.executable, "-c", "import cli_reference; print(cli_reference.page(), end='')"],
        env=environment(PYTHONPATH=f"{ROOT / 'src'}:{ROOT / 'tools'}"), capture_output=True, text=True, check=True,
    )
    assert (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8") == made.stdout

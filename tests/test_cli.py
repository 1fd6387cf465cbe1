"""The command ``quotechat``, as a shell runs it."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result
from servers import ROOT, environment, quotechat, running, until

from quotechat import __version__, create_app
from quotechat.cli import main
from quotechat.config import Settings


def invoke(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(main, arguments, env=env)


def test_version_is_the_package_s() -> None:
    """--version prints name and version."""
    assert invoke("--version").output == f"quotechat {__version__}\n"


def test_module_is_the_command() -> None:
    """``python -m quotechat`` is the same command, by its name."""
    done = subprocess.run(quotechat("--help"), env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: quotechat ")


def test_config_shows_values_and_sources() -> None:
    """config --show prints every variable, its value and where that is from."""
    output = invoke("config", "--show", QUOTECHAT_PORT="9001").output
    assert re.search(r"^QUOTECHAT_PORT +9001 +environment$", output, re.M)
    assert re.search(r"^QUOTECHAT_LIMITS +on +default$", output, re.M)


def test_config_warns_of_misspelt_variables() -> None:
    """A variable that looks like a setting and is none is named."""
    assert "QUOTECHAT_PROT" in invoke("config", QUOTECHAT_PROT="9001").output


@pytest.mark.parametrize("command", [["serve"], ["demo"], ["config"]])
def test_wrong_setting_is_a_usage_error(command: list[str]) -> None:
    """Exit code 2 and the variable's name, before anything is started."""
    result = invoke(*command, QUOTECHAT_PORT="http")
    assert result.exit_code == 2
    assert "QUOTECHAT_PORT must be a whole number" in result.output


def test_demo_serves_a_seeded_room_and_keeps_nothing(tmp_path: Path) -> None:
    """There are messages, replies, colours and a quote; who signs in finds what is new; the curl lines are right; the
    directory goes."""
    env = environment(TMPDIR=str(tmp_path))
    with running(quotechat("demo", "--port", "0"), env=env, cwd=ROOT) as server:
        until(lambda: "nothing is kept" in server.output, what="all that it says")
        room = requests.get(f"{server.url}/api/v1/rooms/lobby", timeout=30).json()
        assert any("reply_to" in message for message in room["messages"])
        assert all(message["color"] for message in room["messages"])
        assert requests.get(f"{server.url}/api/v1/quotes/random", timeout=30).json()["author"]
        address = f"{server.url}/api/v1/rooms/lobby/messages?user=Me"
        assert f"curl -d 'Hello from curl' '{address}'" in server.output
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        posted = requests.post(address, data="Hello from curl", headers=form, timeout=30)
        assert posted.status_code == 201
        name, password = re.search(r"as (\w+), password (\w+),", server.output).groups()  # type: ignore[union-attr]
        with requests.Session() as viewer:
            body, headers = {"name": name, "password": password}, {"Origin": server.url}
            begun = viewer.post(f"{server.url}/api/v1/sessions", json=body, headers=headers, timeout=30)
            assert begun.status_code == 201
            rooms = viewer.get(f"{server.url}/api/v1/inbox", timeout=30).json()["rooms"]
        assert (rooms["team"]["mentions"], rooms["team"]["unread"], rooms["design"]["unread"]) == (1, 2, 3)
        assert any(room.get("kind") == "direct" and room["unread"] == 1 for room in rooms.values())
        assert list(tmp_path.glob("quotechat-demo-*"))
    assert not list(tmp_path.glob("quotechat-demo-*"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory with a few messages in it, not open any more."""
    app = create_app(Settings(data=tmp_path, limits=False))
    client = app.test_client()
    for number in range(5):
        body = {"user": "Azin", "message": f"message {number}"}
        assert client.post("/api/v1/rooms/lobby/messages", json=body).status_code == 201
    app.extensions["quotechat"].close()
    return tmp_path


def test_verify_passes_a_whole_history(data: Path) -> None:
    """Exit code 0, and how many events there are."""
    result = invoke("verify", "--data", str(data))
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "All 5 events are whole.")


def test_verify_finds_a_changed_event(data: Path) -> None:
    """Exit code 1, with the room and the event where the chain breaks."""
    tamper(data)
    result = invoke("verify", "--data", str(data))
    assert result.exit_code == 1
    assert re.search(r"lobby: event 3 of 5: \w+", result.output)


def test_verify_without_a_database_says_so(tmp_path: Path) -> None:
    """Nothing is created by looking."""
    result = invoke("verify", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert "no database" in result.output
    assert not list(tmp_path.iterdir())


def test_rebuild_replays_the_log(data: Path) -> None:
    """What was lost beside the log is there again, and how many events it took is said."""
    with contextlib.closing(sqlite3.connect(data / "quotechat.db")) as connection, connection:
        connection.execute("DELETE FROM message")
    result = invoke("rebuild", "--data", str(data))
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "All 5 events are replayed.")
    with contextlib.closing(sqlite3.connect(data / "quotechat.db")) as connection:
        assert connection.execute("SELECT count(*) FROM message").fetchone()[0] > 0


def tamper(data: Path) -> None:
    """Change the text of the lobby's third event behind the server's back."""
    with contextlib.closing(sqlite3.connect(data / "quotechat.db")) as connection, connection:
        found = connection.execute("UPDATE event SET body = replace(body, 'a', 'b') WHERE seq = 3")
        assert found.rowcount == 1

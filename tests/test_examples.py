"""Every example runs as it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from servers import ROOT, Running, environment, quotechat, running, until

from quotechat.client import Client

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def server(data: str) -> Iterator[Running]:
    env = environment(QUOTECHAT_LIMITS="off")
    with running(quotechat("serve", "--port", "0", "--data", data), env=env) as server:
        yield server


def run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def texts(server: Running) -> list[str]:
    with Client(server.url) as client:
        return [message["message"] for message in client.snapshot()["messages"] if not message.get("deleted")]


def test_curl(server: Running) -> None:
    """It sends, repeats safely, and a held request brings what another one says."""
    said, once, again, held = map(json.loads, run("sh", str(EXAMPLES / "curl.sh"), server.url).splitlines())
    assert said["message"]["message"] == "Hello from curl"
    assert (again["seq"], again["duplicate"]) == (once["seq"], True)
    assert [event["message"]["message"] for event in held["events"]] == ["And here it is"]


def test_echo_bot(server: Running, tmp_path: Path) -> None:
    """It answers what was said before, during and after a kill -9 of it, each once."""
    command = [sys.executable, "-u", str(EXAMPLES / "echo_bot.py"), server.url]
    with Client(server.url, user="Ada") as client:
        for turn in range(2):
            bot = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True)
            assert bot.stdout is not None and bot.stdout.readline() == "listening\n"
            client.post(f"echo: turn {turn}")
            until(lambda turn=turn: f"turn {turn}" in texts(server), 60, "an echo")  # type: ignore[misc]  # bound at once
            until((tmp_path / "echo-bot.cursor").exists, what="its place, without which it begins at now")
            bot.kill()
            bot.communicate()
            client.post("echo: while it was away")
        bot = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True)
        until(lambda: texts(server).count("while it was away") == 2, 60, "the echoes of what it had not heard")
        bot.kill()
        bot.communicate()
    assert texts(server).count("turn 0") == texts(server).count("turn 1") == 1


def test_grader_bot(server: Running, data: str, tmp_path: Path) -> None:
    """It grades what was said before, during and after a kill -9 of it, each once, and keeps no file."""
    token = run(*quotechat("bots", "add", "grader", "--data", data)).strip()
    command = [sys.executable, "-u", str(EXAMPLES / "grader_bot.py"), server.url]
    env = environment(QUOTECHAT_TOKEN=token)
    with Client(server.url, user="Ada") as client:
        for turn in range(3):
            client.post(f"homework: {turn}*7={turn * 7}")
            bot = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
            until(lambda turn=turn: texts(server).count("right") == turn + 1, 60, "a grade")  # type: ignore[misc]  # bound at once
            bot.kill()
            bot.communicate()
    assert texts(server).count("right") == 3 and list(tmp_path.iterdir()) == []


def test_quote_bot(server: Running) -> None:
    """Twice on one day is once."""
    with Client(server.url) as client:
        client.quote("Festina lente.", "Augustus")
    command = (sys.executable, str(EXAMPLES / "quote_bot.py"), server.url, "lobby", "2030-01-01")
    assert run(*command).startswith("said: ")
    assert run(*command) == "said already\n"
    assert len([text for text in texts(server) if "2030-01-01" in text]) == 1


def test_embedded(tmp_path: Path) -> None:
    """Sign in with the application, say something in the chat, and the application has heard it."""
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(
        f"import sys\nsys.path[:0] = [{str(ROOT / 'src')!r}, {str(EXAMPLES)!r}]\n"
        "from quotechat.config import Settings\nfrom quotechat.serving import gunicorn_settings, prepare\n"
        "globals().update(gunicorn_settings(prepare(Settings.from_env())))\n"
    )
    env = environment(QUOTECHAT_PORT="0", QUOTECHAT_DATA=str(tmp_path / "data"))
    command = [sys.executable, "-m", "gunicorn", "-c", str(config), "embedded:app"]
    with running(command, env=env, cwd=tmp_path) as server, requests.Session() as session:
        assert "Sign in" in session.get(server.url, timeout=30).text
        session.post(f"{server.url}/login", data={"user": "Ada"}, timeout=30)
        assert 'value="Ada"' in session.get(f"{server.url}/chat/", timeout=30).text
        message = {"user": "Ada", "message": "from inside"}
        sent = session.post(f"{server.url}/chat/api/v1/rooms/lobby/messages", json=message, timeout=30)
        assert sent.status_code == 201
        until(lambda: session.get(f"{server.url}/heard", timeout=30).json() == ["from inside"], 60, "the signal")


@pytest.mark.parametrize("transport", ["short_polling", "long_polling", "websocket"])
def test_transports_alone(transport: str) -> None:
    """Each says Hello in its own way: the same messages, in order."""
    began = time.monotonic()
    out = run(sys.executable, str(EXAMPLES / "transports" / f"{transport}.py"), "3")
    assert out.splitlines()[:3] == ["Hello 1", "Hello 2", "Hello 3"]
    assert time.monotonic() - began > 1.9, "it streams, it does not only list"


def test_every_example_is_listed() -> None:
    """The list names each file, and nothing else."""
    listed = set(re.findall(r"\]\(([^)]+)\)", (EXAMPLES / "README.md").read_text()))
    there = {path.name for path in EXAMPLES.iterdir() if path.name not in ("README.md", "__pycache__")}
    assert listed == there

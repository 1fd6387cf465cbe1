"""The operator's commands about hooks and webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from receiver import Answer, Receiver, receiving

from quotechat.app import create_app
from quotechat.cli import main
from quotechat.config import Settings


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_webhooks_from_the_command_line(tmp_path: Path, receiver: Receiver) -> None:
    """Made, listed, tested, enabled and sent again; a hook's address is one at which a server takes messages."""
    env = {"QUOTECHAT_DATA": str(tmp_path), "QUOTECHAT_WEBHOOK_NETWORKS": "127.0.0.0/8",
           "QUOTECHAT_PUBLIC_URL": "https://chat.example.org"}  # fmt: skip

    def run(*command: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, command, env=env)
        assert done.exit_code == code, done.output
        return done.output

    run("users", "add", "Azin", "--role", "owner")
    run("bots", "add", "grader", "--keeper", "Azin")
    app = create_app(Settings(data=tmp_path, webhooks="off"))
    try:
        url = receiver.url("/grades")
        key, secret = run("webhooks", "add", "grades", url, "--bot", "grader", "--room", "lobby").split()
        assert "https" in run("webhooks", "add", "x", "http://8.8.8.8/", "--bot", "grader", code=1)
        assert run("webhooks", "list").split() == [key, "on", "0", "grader", "grades"]
        assert run("webhooks", "test", key).startswith("204 in ")
        receiver.of("/grades")[-1].verify(secret)
        receiver.scripts["/grades"] = [Answer(500)]
        assert run("webhooks", "test", key, code=1).startswith("500 in ")
        address = run("hooks", "add", "lobby", "Builds").strip()
        assert address.startswith("https://chat.example.org/hooks/")
        path = address.removeprefix("https://chat.example.org")
        assert app.test_client().post(path, data="Build 7 is green").get_data(as_text=True) == "ok"
        assert json.loads(run("webhooks", "list", "--json"))["behind"] == 1
        run("webhooks", "replay", key, "lobby", "now")
        assert json.loads(run("webhooks", "list", "--json"))["behind"] == 0
        run("webhooks", "enable", key)
        assert "no webhook" in run("webhooks", "test", "aaaaaaaa", code=1)
        assert "nowhere" in run("hooks", "add", "nowhere", "Builds", code=1).lower()
    finally:
        app.extensions["quotechat"].close()

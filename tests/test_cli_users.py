"""The operator's commands about accounts, beside a server that runs."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from servers import environment, finished, quotechat, running, until

from quotechat.cli import main
from quotechat.config import Settings
from quotechat.store.accounts import accounts
from quotechat.store.base import Created, CreateRoom, Write
from quotechat.store.open import open_store

PASSWORD = "correct horse battery 9"
COOKIE = "quotechat-session"


def run(*command: object, code: int = 0, given: str = "", **changes: str) -> str:
    """What `quotechat` prints; its exit code is checked."""
    done = finished(quotechat(*map(str, command)), given=given, env=environment(**changes))
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def sign_in(url: str, name: str, password: str = PASSWORD) -> requests.Response:
    return requests.post(f"{url}/api/v1/sessions", json={"name": name, "password": password}, timeout=30)


def test_an_invite_server_prints_one_link_until_it_has_an_owner(tmp_path: Path) -> None:
    """The link makes the owner, once; the next start prints none. An open server never asks."""
    serve = quotechat("serve", "--port", "0", "--data", str(tmp_path / "data"))
    env = environment(QUOTECHAT_ACCESS="invite")
    with running(serve, env=env) as server:
        code = until(lambda: re.search(r"http://\S+/setup#([a-z2-7-]+)\n", server.output), what="a setup link")
        assert code is not None
        body = {"code": code[1], "name": "Azin", "password": PASSWORD}
        assert requests.post(f"{server.url}/api/v1/setup", json=body, timeout=30).status_code == 201
        assert requests.post(f"{server.url}/api/v1/setup", json=body, timeout=30).status_code == 404
        assert requests.get(f"{server.url}/api/v1/rooms", timeout=30).status_code == 401
    with running(serve, env=env) as server:
        assert "setup#" not in server.output
        assert sign_in(server.url, "Azin").status_code == 201
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path / "open")), env=environment()) as server:
        assert "setup#" not in server.output
        assert requests.get(f"{server.url}/api/v1/rooms", timeout=30).status_code == 200


def test_accounts_from_the_command_line(tmp_path: Path) -> None:
    """Made, shown, renamed, banned, signed out and closed, while the server runs; links are printed."""
    data = tmp_path / "data"
    of = ("--data", data)
    assert run("users", "add", "Azin", "--role", "owner", "--password-stdin", *of, given=f"{PASSWORD}\n")
    assert "harder" in run("users", "add", "Weak", "--password-stdin", *of, given="password1234\n", code=1)
    assert "owner already" in run("users", "setup", *of, code=1)
    env = environment(QUOTECHAT_ACCESS="invite", QUOTECHAT_LIMITS="off")
    with running(quotechat("serve", "--port", "0", "--data", str(data)), env=env) as server:
        link = run("users", "add", "Bo", *of, QUOTECHAT_PUBLIC_URL="https://chat.example.org").strip()
        assert link.startswith("https://chat.example.org/reset#")
        body = {"code": link.partition("#")[2], "password": PASSWORD}
        assert requests.post(f"{server.url}/api/v1/resets", json=body, timeout=30).status_code == 204
        listed = run("users", "list", *of).splitlines()
        assert [line.split()[1:3] for line in listed] == [["Azin", "owner"], ["Bo", "member"]]
        run("users", "rename", "Bo", "Bob", *of)
        run("users", "role", "bob", "admin", *of)
        assert "admin" in run("users", "show", "Bob", *of)
        # Each request over a connection of its own: the server ends one that rests while a command runs.
        cookies = sign_in(server.url, "Bob").cookies
        assert requests.get(f"{server.url}/api/v1/me", cookies=cookies, timeout=30).status_code == 200
        run("users", "sign-out", "Bob", *of)
        assert requests.get(f"{server.url}/api/v1/me", cookies=cookies, timeout=30).status_code == 401
        assert "--until is an RFC 3339 time" in run("users", "ban", "Bob", "--until", "soon", *of, code=1)
        run("users", "ban", "Bob", "--until", "+1h", *of)
        assert sign_in(server.url, "Bob").json()["code"] == "forbidden"
        run("users", "unban", "Bob", *of)
        assert sign_in(server.url, "Bob").status_code == 201
        assert "#" in run("users", "reset", "Bob", *of) and "/join#" in run("invite", "--uses", "3", *of)
        token = run("sign-in", "Bob", "--url", server.url, given=f"{PASSWORD}\n").strip().splitlines()[-1]
        assert token.startswith("qct_")
        run("say", "lobby", "hello", "--url", server.url, QUOTECHAT_TOKEN=token)
        assert "–" in run("quote", "--url", server.url, QUOTECHAT_TOKEN=token)
        shown = requests.get(
            f"{server.url}/api/v1/rooms/lobby", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        assert shown.json()["messages"][0]["message"] == "hello"
        run("users", "close", "Bob", *of)
        assert sign_in(server.url, "Bob").status_code == 401
    assert "only owner" in run("users", "role", "Azin", "member", *of, code=1)
    assert "no account" in run("users", "show", "Nobody", *of, code=1)


def test_bots_and_tokens_from_the_command_line(tmp_path: Path) -> None:
    """A bot's token is printed once; tokens of any account are made, listed and revoked, and last as the API's do."""
    of = ("--data", tmp_path / "data")
    run("users", "add", "Azin", "--role", "owner", *of)
    assert run("bots", "add", "tea-timer", "--room", "lobby", "--keeper", "Azin", *of).startswith("qct_")
    assert "taken" in run("bots", "add", "TEA-timer", *of, code=1)
    assert run("bots", "list", *of).split()[1] == "tea-timer"
    first = run("tokens", "list", "tea-timer", *of).split()
    assert first[1:] == ["read,write,manage", "lobby", "first"]
    made = run("tokens", "add", "Azin", "--scope", "read", "--for", "90d", "--note", "backup", *of).strip()
    assert made.startswith(f"qct_{run('tokens', 'list', 'Azin', *of).split()[0]}_")
    for age in ("30m", "731d"):
        wrong = run("tokens", "add", "Azin", "--for", age, *of, code=2)
        assert "--for: A token lasts between an hour and two years." in wrong
    run("tokens", "revoke", first[0], *of)
    assert run("tokens", "list", "tea-timer", *of) == ""
    run("bots", "close", "tea-timer", *of)
    assert run("bots", "list", *of) == ""


@pytest.mark.parametrize("command", ["setup", "list"])
def test_a_store_is_made_if_there_is_none(tmp_path: Path, command: str) -> None:
    """The owner may be prepared before the server has ever run, which then begins as always."""
    run("users", command, "--data", tmp_path / "data")
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path / "data")), env=environment()) as server:
        assert requests.get(f"{server.url}/api/v1/rooms/lobby", timeout=30).status_code == 200


def test_a_restored_server_forgets_nobody(tmp_path: Path) -> None:
    """A backup carries accounts, sessions and tokens: who was signed in still is; who was signed out stays out."""
    data, env = tmp_path / "data", {"QUOTECHAT_ACCESS": "invite", "QUOTECHAT_LIMITS": "off"}
    run("users", "add", "Azin", "--role", "owner", "--password-stdin", "--data", data, given=PASSWORD)
    serve = ("serve", "--port", "0", "--data")

    def name(url: str, cookie: str, **headers: str) -> str | None:
        answer = requests.get(f"{url}/api/v1/me", cookies={COOKIE: cookie}, headers=headers, timeout=30)
        return answer.json()["account"]["name"] if answer.status_code == 200 else None

    with running(quotechat(*serve, str(data)), env=environment(**env)) as server:
        stays, leaves = (sign_in(server.url, "Azin").cookies[COOKIE] for _ in range(2))
        made = requests.post(f"{server.url}/api/v1/tokens", json={"name": "laptop"}, cookies={COOKIE: stays},
                             headers={"Origin": server.url}, timeout=30)  # fmt: skip
        token = made.json()["token"]
        out = requests.delete(f"{server.url}/api/v1/sessions/this", cookies={COOKIE: leaves},
                              headers={"Origin": server.url}, timeout=30)  # fmt: skip
        assert out.status_code == 204
        run("backup", tmp_path / "file", "--data", data)
    run("restore", tmp_path / "file", "--data", tmp_path / "new")
    told = json.loads(run("stats", "--json", "--data", tmp_path / "new"))
    assert (told["accounts"], told["sessions"], told["tokens"]) == (1, 1, 1)
    with running(quotechat(*serve, str(tmp_path / "new")), env=environment(**env)) as server:
        assert name(server.url, stays) == "Azin"
        assert name(server.url, "", Authorization=f"Bearer {token}") == "Azin"
        assert name(server.url, leaves) is None and name(server.url, "x" * 43) is None
        assert sign_in(server.url, "Azin").status_code == 201
        assert sign_in(server.url, "Azin", "another horse 77 battery").status_code == 401


def test_the_operator_lets_in_and_puts_out(tmp_path: Path) -> None:
    """Members of a room are listed, let in and put out at the data; what cannot be done is said."""
    with contextlib.closing(open_store(Settings(data=tmp_path))) as store:
        store.found(1)
        ann = store.write_with(lambda sql: accounts.make(sql, "Ann", "member", 1))
        store.write_with(lambda sql: accounts.make(sql, "Bo", "member", 1))
        made = store.commit([Write(CreateRoom("staff", None, "closed"), 1, ann.identity)])[0]
        assert isinstance(made, Created)
        room = made.room["name"]

    def run(*arguments: str) -> tuple[int, str]:
        ran = CliRunner().invoke(main, ["rooms", *arguments, "--data", str(tmp_path)])
        return ran.exit_code, ran.output

    assert run("let-in", room, "Bo")[0] == 0
    assert [line.split()[1:] for line in run("members", room)[1].splitlines()] == [["Ann", "manager"], ["Bo", "member"]]
    assert run("put-out", room, "Bo")[0] == 0
    assert [line.split()[1:] for line in run("members", room)[1].splitlines()] == [["Ann", "manager"]]
    for wrong in (("put-out", room, "Ann"), ("let-in", room, "Cai"), ("put-out", room, "Cai"), ("let-in", "no", "Bo")):
        assert run(*wrong)[0] == 1, wrong
    assert run("members", "no")[0] == 1
    assert [each["kind"] for each in map(json.loads, run("--json")[1].splitlines())] == ["log", "open", "closed"]

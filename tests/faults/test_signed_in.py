"""kill -9 of every process: who was signed in still is, and nobody else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import requests
from deployment import Gunicorn
from servers import environment, quotechat

PASSWORD = "correct horse battery 9"
COOKIE = "quotechat-session"
DEVICES = 4


def test_kill_9_signs_nobody_in_or_out(tmp_path: Path) -> None:
    """What was answered before SIGKILL holds after it: sessions and tokens that began, and those that ended."""
    stay_signed_in(tmp_path)


def stay_signed_in(data: Path, database: str = "", *, also: Callable[[], None] = lambda: None, rounds: int = 2) -> None:
    """Kill a server `rounds` times and once more, and ask who is signed in; `also` is what happens with each kill."""
    env = {"QUOTECHAT_ACCESS": "invite", "QUOTECHAT_DATABASE": database}
    add = quotechat("users", "add", "Azin", "--role", "owner", "--password-stdin", "--data", str(data))
    subprocess.run(add, input=PASSWORD.encode(), env=environment(**env), check=True, capture_output=True)
    server = Gunicorn(data, workers=2, env=env)
    url = f"{server.urls[0]}/api/v1"
    origin = {"Origin": server.urls[0]}

    def status(cookie: str = "", **headers: str) -> int:
        return requests.get(f"{url}/me", cookies={COOKIE: cookie}, headers=headers, timeout=30).status_code

    def sign_in() -> str:
        found = requests.post(f"{url}/sessions", json={"name": "Azin", "password": PASSWORD}, timeout=30)
        assert found.status_code == 201, found.text
        return str(found.cookies[COOKIE])

    def change(method: str, path: str, cookie: str, body: object = None) -> requests.Response:
        return requests.request(method, url + path, json=body, cookies={COOKIE: cookie}, headers=origin, timeout=30)

    def kill() -> None:
        server.kill_all()
        also()
        server.start()

    stay: list[str] = []
    left: list[str] = []
    server.start()
    try:
        made = [change("POST", "/tokens", sign_in(), {"name": f"program {number}"}).json() for number in range(2)]
        for _ in range(rounds):
            stay += [sign_in() for _ in range(DEVICES)]
            left.append(sign_in())
            # The last answer before the kill is the end of a session.
            assert change("DELETE", "/sessions/this", left[-1]).status_code == 204
            kill()
            assert [status(cookie) for cookie in stay] == [200] * len(stay)
            assert [status(cookie) for cookie in (*left, "", "x" * 43, stay[0][:-1])] == [401] * (len(left) + 3)
            assert [status(Authorization=f"Bearer {each['token']}") for each in made] == [200, 200]
        assert change("DELETE", f"/tokens/{made[0]['id']}", stay[0]).status_code == 204
        kill()
        assert [status(Authorization=f"Bearer {each['token']}") for each in made] == [401, 200]
        assert status(stay[0]) == 200 and status(left[0]) == 401
    finally:
        server.kill_all()

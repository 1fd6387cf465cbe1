"""`quotechat doctor` names the line to change, tried with the real nginx; with a good set-up it finds nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from private_nginx import around
from private_postgres import free_port
from servers import Running, environment, finished, quotechat, running, until

from quotechat.doctor import Doctor

NGINX = """
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    upstream quotechat {{ server 127.0.0.1:{upstream}; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {target};
            {lines}
        }}
    }}
"""
GOOD = {
    "version": "proxy_http_version 1.1;",
    "host": "proxy_set_header Host $http_host;",
    "upgrade": "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;",
    "buffering": "proxy_buffering off;",
    "timeout": "proxy_read_timeout 75s;",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = str(tmp_path_factory.mktemp("data"))
    command = quotechat("serve", "--port", "0", "--data", data)
    with running(command, env=environment(QUOTECHAT_LIMITS="off")) as server:
        yield server


@contextlib.contextmanager
def nginx(directory: Path, server: Running, target: str = "http://quotechat", **changes: str) -> Iterator[str]:
    """The address of an nginx before the server, with some lines of a good set-up changed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("nginx is missing: apt-get install nginx-light")
        pytest.skip("nginx is missing: apt-get install nginx-light")
    port = free_port()
    lines = "\n            ".join({**GOOD, **changes}.values())
    config = directory / "nginx.conf"
    upstream = server.url.rsplit(":", 1)[1]
    inside = NGINX.format(port=port, upstream=upstream, target=target, lines=lines)
    config.write_text(around(directory, inside))
    process = subprocess.Popen(
        [program, "-p", str(directory), "-e", "stderr", "-c", str(config)],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: _answers(port) or process.poll() is not None, what="nginx")
        assert process.poll() is None, process.communicate()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def doctor(url: str, patience: float = 30.0) -> tuple[int, dict[str, list[dict[str, object]]]]:
    """Exit code, and the findings by what they say: ok, warning, wrong."""
    command = quotechat("doctor", url, "--json", "--hold", "2", "--patience", f"{patience:g}")
    done = finished(command, env=environment())
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, list[dict[str, object]]] = {"ok": [], "warning": [], "wrong": []}
    for line in done.stdout.splitlines():
        finding = json.loads(line)
        found[finding["state"]].append(finding)
    return done.returncode, found


def test_nothing_is_wrong_without_a_proxy(server: Running) -> None:
    """Straight to the server: everything is fine, and everything was looked at."""
    code, found = doctor(server.url)
    assert (code, found["wrong"], found["warning"]) == (0, [], [])
    assert [each["check"] for each in found["ok"]] == [
        "server", "Host", "HTTP version", "clock", "WebSocket", "WebSocket", "stream", "stream", "long poll",
    ]  # fmt: skip


def test_nothing_is_wrong_behind_a_good_nginx(server: Running, tmp_path: Path) -> None:
    """With the lines that it recommends there is nothing to recommend."""
    with nginx(tmp_path, server) as url:
        code, found = doctor(url)
    assert (code, found["wrong"], found["warning"]) == (0, [], [])


@pytest.mark.parametrize(
    ("changes", "check", "line"),
    [
        ({"upgrade": ""}, "WebSocket", "proxy_set_header Upgrade $http_upgrade;"),
        (
            # Buffering alone still lets chunks through (nginx 1.22); with gzip it gathers them.
            {"buffering": "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types *;"},
            "stream", "proxy_buffering off;",
        ),
        ({"timeout": "proxy_read_timeout 1s;"}, "long poll", "proxy_read_timeout 75s;"),
        ({"version": "proxy_http_version 1.0;"}, "HTTP version", "proxy_http_version 1.1;"),
        ({"host": ""}, "Host", "proxy_set_header Host $http_host;"),
    ],
    ids=["no upgrade", "buffering", "short time-out", "HTTP/1.0", "wrong Host"],
)  # fmt: skip
def test_a_broken_nginx(server: Running, tmp_path: Path, changes: dict[str, str], check: str, line: str) -> None:
    """The first thing that is wrong names the line, and no line is named that is right as it is."""
    with nginx(tmp_path, server, **changes) as url:
        for patience in (2.5, 30):  # for which it waits in vain, in some cases; a busy machine may need more
            code, found = doctor(url, patience)
            if named(found) == {line}:
                break
    assert code == 1
    first = found["wrong"][0]
    assert first["check"] == check or check == "long poll"
    assert named(found) == {line}, found


def named(found: dict[str, list[dict[str, object]]]) -> set[str]:
    """The lines of nginx that are to be changed."""
    return {str(each["fix"].get("nginx")).split("    #")[0].split("\n")[0] for each in found["wrong"]}  # type: ignore[attr-defined]  # a dict


def test_a_host_that_is_not_the_visitor_s(server: Running, tmp_path: Path) -> None:
    """nginx's own default, the address of the server, is let in but refuses browsers: that is told too."""
    with nginx(tmp_path, server, target=server.url, host="") as url:
        code, found = doctor(url)
    assert code == 1
    assert found["wrong"][0]["fix"]["nginx"] == "proxy_set_header Host $http_host;"  # type: ignore[index]  # a dict


def test_a_server_that_is_for_accounts(tmp_path: Path) -> None:
    """Its 401 is not taken for a proxy's fault; with the token of an account everything is looked at."""
    of = ("--data", str(tmp_path / "data"))
    for command in (("users", "add", "Azin", "--role", "owner"), ("tokens", "add", "Azin")):
        token = finished(quotechat(*command, *of), env=environment()).stdout.strip()
    with running(quotechat("serve", "--port", "0", *of), env=environment(QUOTECHAT_ACCESS="invite")) as server:
        stranger, bad, good = (
            list(Doctor(server.url, hold=1, patience=30, token=given).examine()) for given in (None, "qct_no", token)
        )
    assert (stranger[-1].check, stranger[-1].state) == ("account", "warning")
    assert (bad[-1].check, bad[-1].state) == ("account", "wrong")
    assert {"WebSocket", "stream", "long poll"} <= {each.check for each in good}
    assert "account" not in {each.check for each in good} and "wrong" not in {each.state for each in good}


def test_nobody_there(tmp_path: Path) -> None:
    """Nobody at all is exit code 3; a proxy without a server, and something else, are told as such."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that nobody else listens there either
        assert doctor(f"http://127.0.0.1:{taken.getsockname()[1]}")[0] == 3


def test_lines_for_people(server: Running) -> None:
    """Without --json: a mark, the check and what it found, in a line each."""
    command = quotechat("doctor", server.url, "--hold", "1")
    done = finished(command, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("ok     server: quotechat ")


def test_the_beat_of_a_stream(server: Running) -> None:
    """`?heartbeat=` is cut to 1 to 15 seconds; what is no number is refused."""
    address = f"{server.url}/api/v1/rooms/lobby/events"
    accept = {"Accept": "application/x-ndjson"}
    refused = requests.get(address, params={"heartbeat": "often"}, headers=accept, timeout=30)
    assert refused.json()["field"] == "heartbeat"
    began = time.monotonic()
    with requests.get(address, params={"heartbeat": "0.001"}, headers=accept, stream=True, timeout=30) as stream:
        lines = stream.iter_lines()
        commands = [json.loads(next(lines))["command"] for _ in range(3)]
    assert commands == ["heartbeat", "caught-up", "heartbeat"]
    assert 0.9 < time.monotonic() - began < 14

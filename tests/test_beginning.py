"""How a server begins: it says where it is when it can answer, and a fault of its surroundings is one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import requests
from servers import ROOT, environment, finished, quotechat, running, until

ALTERED = str(ROOT / "tests" / "faults" / "altered.py")


def begun(data: Path, *flags: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A server that is expected to end by itself."""
    command = quotechat("serve", "--data", str(data), *flags)
    return finished(command, env=environment(**settings))


def test_the_line_and_systemd_tell_when_a_worker_serves(tmp_path: Path) -> None:
    """Neither comes while a worker is still starting: when they are there, its store is open and it answers."""
    env = environment(NOTIFY_SOCKET=str(tmp_path / "notify"))
    database = tmp_path / "data" / "quotechat.db"
    command = [sys.executable, ALTERED, "slow-start", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(env["NOTIFY_SOCKET"])
        systemd.settimeout(30)
        with running(command, env=env) as server:
            assert database.exists()
            assert requests.get(f"{server.url}/healthz", timeout=60).status_code == 200
            until(lambda: requests.get(f"{server.url}/readyz", timeout=60).status_code == 200, what="a writer")
            assert systemd.recv(1000).startswith(b"READY=1\n")
            assert server.output.count("http://") == 1


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    """It is said at once which one, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = begun(tmp_path, "--port", str(port))
    assert done.returncode != 0
    line = f"quotechat: cannot listen on 127.0.0.1 port {port}: another program does;"
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1 and done.stdout == ""


def test_an_address_of_another_machine_is_one_line(tmp_path: Path) -> None:
    """As for a port in use."""
    done = begun(tmp_path, "--host", "192.0.2.1", "--port", "0")
    assert done.returncode != 0 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("quotechat: cannot listen on 192.0.2.1 port 0: ")


def test_a_file_instead_of_a_directory_is_one_line(tmp_path: Path) -> None:
    """The setting, and what is there."""
    (tmp_path / "file").touch()
    for data in (tmp_path / "file", tmp_path / "file" / "below"):
        done = begun(data)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert done.stderr.startswith("quotechat: QUOTECHAT_DATA") and str(data) in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make what belongs to another user")
@pytest.mark.parametrize(
    ("closed", "below"), [("", ""), ("", "data"), ("theirs", "data/deep")], ids=["there", "to be made", "closed to us"]
)
def test_a_directory_of_another_user_is_one_line(closed: str, below: str) -> None:
    """Which directory, whose it is, and who the server is; no traceback."""
    program = (
        "import os, sys, quotechat.serving; from quotechat.cli import main\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); main(sys.argv[1:])"
    )
    with tempfile.TemporaryDirectory() as made:
        theirs = Path(made) / "theirs"
        theirs.mkdir(mode=0o755)
        os.chmod(made, 0o755)
        if closed:
            (theirs / "data").mkdir()
            theirs.chmod(0o700)
        done = subprocess.run(
            [sys.executable, "-c", program, "serve", "--port", "0", "--data", str(theirs / below)],
            env=environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"{theirs} belongs to root, and the server runs as nobody" in done.stderr


def test_a_second_server_on_the_same_directory_is_told_of(tmp_path: Path) -> None:
    """It serves, since both may; and says that it is not alone."""
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path))
    with running(command, env=environment()) as first:
        assert "uses" not in first.output
        with running(command, env=environment()) as second:
            until(lambda: f"another server or command uses {tmp_path} too" in second.output, what="the notice")
            answer = requests.post(
                f"{first.url}/api/v1/rooms/lobby/messages", json={"user": "Ann", "message": "hi"}, timeout=30
            )
            events = requests.get(f"{second.url}/api/v1/rooms/lobby/events?after=0", timeout=30).json()["events"]
            assert events == [answer.json()]


def test_the_master_imports_and_begins_nothing(tmp_path: Path) -> None:
    """All that serves but the metrics, which look at the worker that they are in; no thread, no file, no store."""
    script = """
import os, sys, threading
from quotechat import app
before = os.listdir("/proc/self/fd")
app.preload()
assert os.listdir("/proc/self/fd") == before and threading.active_count() == 1 and os.listdir() == []
assert "prometheus_client" not in sys.modules
there = set(sys.modules)
from quotechat import create_app
create_app().extensions["quotechat"].close()
print(sorted(name for name in set(sys.modules) - there if name.startswith(("quotechat.live.", "quotechat.web."))))
"""
    env = environment(QUOTECHAT_DATA=str(tmp_path / "data"))
    done = subprocess.run([sys.executable, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "['quotechat.web.api.metrics']\n")

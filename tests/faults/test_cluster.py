"""`make cluster`: any request to any server, through a real nginx."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import Any

import postgres
import pytest
import requests
from servers import ROOT, environment
from websockets.sync.client import connect

ROOM = "/api/v1/rooms/lobby"


def test_a_cluster_is_one_chat() -> None:
    """A guest of one server writes through nginx; sockets of both and one through nginx have it; Ctrl-C ends it all."""
    postgres.needed()
    if not os.path.exists("/usr/sbin/nginx"):
        if os.environ.get("CI") == "true":
            pytest.fail("nginx is missing; .ci/run installs it")
        pytest.skip("nginx is missing (Debian: nginx-light)")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "cluster.py")], cwd=ROOT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        front, *behind = re.findall(r"http://[0-9.]+:[0-9]+", process.stdout.readline())
        assert len(behind) == 2
        session = requests.Session()
        session.headers["Connection"] = "close"  # a kept one that rests for 2 s on a busy machine is ended
        token = session.post(f"{behind[0]}/api/v1/guests", json={"user": "Ann"}).json()["token"]
        session.headers["Authorization"] = f"Bearer {token}"
        made = session.post(f"{behind[1]}/api/v1/rooms", json={"name": "tea"})
        assert made.status_code == 201
        held: list[Any] = []
        url = f"{front}/api/v1/rooms/tea/events?after=0&wait=25"
        waiting = threading.Thread(target=lambda: held.append(requests.get(url).json()))
        waiting.start()
        with contextlib.ExitStack() as stack:
            urls = [f"{each.replace('http', 'ws')}/api/v1/ws?room=tea&after=0" for each in (front, *behind)]
            sockets = [stack.enter_context(connect(each)) for each in urls]
            for number in range(4):
                body = {"user": "Ann", "message": f"{number}", "client_id": f"k{number}"}
                first = session.post(f"{front}/api/v1/rooms/tea/messages", json=body)
                again = session.post(f"{behind[number % 2]}/api/v1/rooms/tea/messages", json=body)
                assert (first.status_code, again.status_code) == (201, 200) and again.json()["duplicate"]
            edited = session.patch(f"{front}/api/v1/rooms/tea/messages/1", json={"message": "edited"})
            assert edited.status_code == 200
            waiting.join(60)
            assert held[0]["events"][0]["seq"] == 1
            for socket in sockets:
                seqs: list[int] = []
                while len(seqs) < 5:
                    envelope = json.loads(socket.recv(timeout=60))
                    seqs += [envelope["seq"]] if "seq" in envelope else []
                assert seqs == [1, 2, 3, 4, 5]
        # More than nginx keeps in memory; that it is too long is for the server to say.
        long = session.post(f"{front}/api/v1/rooms/tea/messages", json={"user": "Ann", "message": "x" * 60_000})
        assert (long.status_code, long.json()["field"]) == (422, "message")
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(120)
        _, errors = process.communicate()
    assert "Traceback" not in errors

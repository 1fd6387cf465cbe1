"""kill -9 at any moment: what was acknowledged is there, once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from servers import ROOT, environment, quotechat, running

MESSAGES = "/api/v1/rooms/lobby/messages"
EVENTS = "/api/v1/rooms/lobby/events"
KILLS = int(os.environ.get("QUOTECHAT_TEST_KILLS", "50"))


class Writer(threading.Thread):
    """Sends numbered messages, each again with the same client_id until it is acknowledged."""

    def __init__(self, number: int) -> None:
        super().__init__(daemon=True)
        self.number = number
        self.url = ""
        self.acked: dict[str, int] = {}
        self.stop = threading.Event()
        self.count = 0

    def run(self) -> None:
        while not self.stop.is_set():
            self.count += 1
            self._send(f"{self.number}-{self.count}")

    def _send(self, key: str) -> None:
        body = {"user": f"Writer {self.number}", "message": key, "client_id": key}
        while key not in self.acked:
            try:
                answer = requests.post(self.url + MESSAGES, json=body, timeout=5)
                if answer.status_code in (200, 201):
                    self.acked[key] = answer.json()["seq"]
            except requests.RequestException:
                # The server is dead or was killed in the midst of it: stored or not, only a repeat tells.
                if self.stop.is_set():
                    return
                time.sleep(0.005)


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_acknowledged_is_lost(tmp_path: Path, workers: int) -> None:
    """Killed at random moments during writes, all processes at once, and started again."""
    chance = random.Random(workers)
    writers = [Writer(number) for number in range(4)]
    env = environment(QUOTECHAT_LIMITS="off")
    command = quotechat("serve", "--port", "0", "--data", str(tmp_path), "--workers", str(workers))
    for turn in range(KILLS // 2):
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        line = ""
        while "http://" not in line:
            line = process.stdout.readline()
        for writer in writers:
            writer.url = line.split(" at ")[1].split()[0]
            if turn == 0:
                writer.start()
        before = sum(len(writer.acked) for writer in writers)
        deadline = time.monotonic() + 20
        # At least one more acknowledged, then somewhere in the next moments.
        while sum(len(writer.acked) for writer in writers) == before:
            assert time.monotonic() < deadline, "nothing is acknowledged"
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.15))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    for writer in writers:
        writer.stop.set()
    for writer in writers:
        writer.join(10)
    acked = {key: seq for writer in writers for key, seq in writer.acked.items()}
    with running(command, env=env) as server:
        found: dict[str, int] = {}
        after, more = "0", True
        while more:
            page = requests.get(f"{server.url}{EVENTS}?after={after}").json()
            for event in page["events"]:
                assert event["seq"] == len(found) + 1
                assert event["message"]["message"] not in found, "stored twice"
                found[event["message"]["message"]] = event["seq"]
            after, more = page["cursor"], page["more"]
    assert len(acked) > KILLS
    assert {key: found.get(key) for key in acked} == acked
    verify = [sys.executable, "-m", "quotechat", "verify", "--data", str(tmp_path)]
    result = subprocess.run(verify, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and f"All {len(found)} events are whole" in result.stdout, result.stderr

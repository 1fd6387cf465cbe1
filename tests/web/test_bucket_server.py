"""A server whose files are in a real S3 storage: slow readers, a storage that hangs, keys that stay secret.

`make s3` starts the storage: OpenStack Swift, of Debian's package python3-swift.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from servers import Running, environment, quotechat, running, until
from storages import ENDPOINT, KEY, SECRET, Real
from test_uploads import FILES, guest, raw, threads, told

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not ENDPOINT, reason="needs a storage: `make s3` starts one"),
]


@pytest.fixture(scope="module")
def bucket() -> Real:
    return Real()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bucket: Real) -> Iterator[Running]:
    env = environment(
        QUOTECHAT_LIMITS="off", QUOTECHAT_GUEST_FILES="on", QUOTECHAT_FILES="s3", QUOTECHAT_BUCKET_ENDPOINT=ENDPOINT,
        QUOTECHAT_BUCKET=f"{bucket._name}/chat", QUOTECHAT_BUCKET_KEY=KEY, QUOTECHAT_BUCKET_SECRET=SECRET,
    )  # fmt: skip
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=env) as server:
        yield server


def test_slow_readers_hold_no_thread(server: Running) -> None:
    """20 readers do not read 8 MB: others are answered, a new one gets all, and the first one goes on when it reads."""
    azin, data = guest(server.url), os.urandom(8_000_000)
    file = requests.post(server.url + FILES, data=data, headers=azin, timeout=60).json()["file"]
    where, before = f"/api/v1/files/{file['id']}", threads(server)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(raw(server.url, "GET", where, azin)) for _ in range(20)]
        heads = [reader.recv(100) for reader in readers]
        assert all(head.startswith(b"HTTP/1.1 200 OK") for head in heads)
        assert requests.get(server.url + where, headers=azin, timeout=60).content == data
        assert threads(server) < before + 30
        assert (heads[0] + told(readers[0])).partition(b"\r\n\r\n")[2] == data


def test_a_storage_that_hangs_is_503_in_time(server: Running, bucket: Real) -> None:
    """It takes connections and answers nothing: messages go on, 30 reads are refused, most at once; then they work."""
    azin = guest(server.url)
    file = requests.post(server.url + FILES, data=b"tea" * 200_000, headers=azin, timeout=60).json()["file"]
    where, storage = f"{server.url}/api/v1/files/{file['id']}", int(os.environ["QUOTECHAT_TEST_S3_PID"])
    os.kill(storage, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(30) as pool:
            refused = [pool.submit(requests.get, where, headers=azin, timeout=100) for _ in range(30)]
            until(lambda: sum(each.done() for each in refused) >= 15)
            said = {"user": "Azin", "message": "Meanwhile"}
            assert requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json=said, headers=azin, timeout=60).ok
            assert not all(each.done() for each in refused)  # twelve wait for the storage
            assert {each.result().status_code for each in refused} == {503}
    finally:
        os.kill(storage, signal.SIGCONT)
    until(lambda: requests.get(where, headers=azin, timeout=60).content == b"tea" * 200_000)
    requests.delete(where, headers=azin, timeout=60)
    until(lambda: len(bucket.keys()) <= 1)


def test_no_key_is_in_a_log(server: Running, tmp_path: Path) -> None:
    """A storage that refuses the key is named by its code alone; no header is logged."""
    assert SECRET not in server.output
    with running(
        quotechat("serve", "--port", "0", "--data", str(tmp_path)),
        env=environment(
            QUOTECHAT_GUEST_FILES="on", QUOTECHAT_FILES="s3", QUOTECHAT_BUCKET_ENDPOINT=ENDPOINT,
            QUOTECHAT_BUCKET="files", QUOTECHAT_BUCKET_KEY=KEY, QUOTECHAT_BUCKET_SECRET="a-wrong-key-that-is-long",
            QUOTECHAT_LOG_LEVEL="debug",
        ),
    ) as other:  # fmt: skip
        answer = requests.post(other.url + FILES, data=b"x", headers=guest(other.url), timeout=60)
        assert answer.status_code == 503
        until(lambda: "SignatureDoesNotMatch" in other.output)
        assert "a-wrong-key" not in other.output and "AWS4-HMAC" not in other.output and KEY not in other.output

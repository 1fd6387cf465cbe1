"""A real server, clients of it, and one that can be killed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import Running, environment, quotechat, running
from trouble import Mortal

from quotechat.client import Backoff, Client


def quick() -> Backoff:
    """Pauses of some milliseconds."""
    return Backoff(0.005, 0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One real server for a module's tests, without limits per client."""
    env = environment(QUOTECHAT_LIMITS="off")
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=env) as server:
        yield server


@pytest.fixture
def connected() -> Iterator[Callable[..., Client]]:
    """Makes clients that do not wait long after a failure, and closes them at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda url, **options: stack.enter_context(
            Client(url, **{"user": "Ada", "backoff": quick(), "patience": 120, **options})
        )


@pytest.fixture
def client(server: Running, connected: Callable[..., Client]) -> Client:
    return connected(server.url)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    server = Mortal(tmp_path / "data")
    server.start()
    yield server
    server.kill()

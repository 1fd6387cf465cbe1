"""An application in this process, and real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from servers import Running, environment, quotechat, running

from quotechat import create_app
from quotechat.config import Settings


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """An application on an empty store, without limits per client."""
    app = create_app(Settings(data=tmp_path / "data", limits=False))
    yield app
    app.extensions["quotechat"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One real server for a module's tests, without limits per client."""
    env = environment(QUOTECHAT_LIMITS="off")
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=env) as server:
        yield server

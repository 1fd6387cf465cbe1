"""One real server for each module, without limits per client; `tools` speak to it byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import Running, environment, quotechat, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_ORIGINS="https://listed.example")
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=env) as server:
        yield server
        assert "Traceback" not in server.output

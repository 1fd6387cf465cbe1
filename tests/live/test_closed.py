"""An application that is closed gives back all that it had opened."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from servers import until

from quotechat import create_app
from quotechat.config import Settings


def test_a_closed_application_holds_no_descriptor(tmp_path: Path) -> None:
    """Files, pipes, sockets: as many as before, after the second one as after the first."""
    left = []
    for number in range(3):
        app = create_app(Settings(data=tmp_path / str(number)))
        assert app.test_client().get("/").status_code == 200
        app.extensions["quotechat"].close()
        del app
        gc.collect()
        left.append(len(os.listdir("/proc/self/fd")))
    # Another test's thread may be about to close something, or to open it.
    until(lambda: len(os.listdir("/proc/self/fd")) <= left[0], what="as few as after the first")

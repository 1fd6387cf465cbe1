"""kill -9 at any moment: what was acknowledged is there, once."""

from __future__ import annotations

import os
from pathlib import Path

from deployment import Gunicorn
from kills import kill_randomly
from servers import environment, finished, quotechat

KILLS = int(os.environ.get("QUOTECHAT_TEST_KILLS", "5"))


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """A worker, the master or all are killed during writes and started again; `make faults` tells how long it takes."""
    kills = kill_randomly(Gunicorn(tmp_path, workers=2), tmp_path, KILLS, seed=1)
    assert not kills.violations, "\n".join(map(str, kills.violations))
    result = finished(quotechat("verify", "--data", str(tmp_path)), env=environment())
    assert result.returncode == 0 and "are whole" in result.stdout, result.stderr

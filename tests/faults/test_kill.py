"""kill -9 at any moment: what was acknowledged is there, once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from deployment import Gunicorn
from kills import kill_randomly
from servers import environment

KILLS = int(os.environ.get("QUOTECHAT_TEST_KILLS", "5"))


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """A worker, the master or all are killed during writes and started again; `make faults` tells how long it takes."""
    kills = kill_randomly(Gunicorn(tmp_path, workers=2), tmp_path, KILLS, seed=1)
    assert not kills.violations, "\n".join(map(str, kills.violations))
    verify = [sys.executable, "-m", "quotechat", "verify", "--data", str(tmp_path)]
    result = subprocess.run(verify, env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "are whole" in result.stdout, result.stderr

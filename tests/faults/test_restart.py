"""A stop and a reload with many who wait: told within a second, and nothing is lost or refused."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from deployment import Gunicorn
from restart import restart

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_all_who_wait_are_told(tmp_path: Path, number: signal.Signals) -> None:
    """Polls are answered and sockets get 1012 within a second, of the signal or of the new workers serving."""
    found = restart(Gunicorn(tmp_path / "data", workers=2), tmp_path / "data", number, 60, 30)
    assert not found.violations, "\n".join(map(str, found.violations))
    assert len(found.told) == 60 and len(found.answered) == 30 and found.within < 1000
    assert min(found.hints) >= 0 and max(found.hints) - min(found.hints) > 300, "they would all come back at once"
    assert number == signal.SIGTERM or (found.serving and not found.refused)

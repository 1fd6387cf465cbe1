"""A stop and a reload with many who wait: told at once, and nothing is lost or refused."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from deployment import Gunicorn
from restart import restart


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_all_who_wait_are_told(tmp_path: Path, number: signal.Signals) -> None:
    """Polls are answered and sockets get 1012: soon after SIGTERM, on SIGHUP as soon as the new workers serve.

    A hold would end by itself after 20 s; `make faults` tells how long it takes on a machine that is not busy.
    """
    found = restart(Gunicorn(tmp_path / "data", workers=2), tmp_path / "data", number, 60, 30)
    assert not found.violations, "\n".join(map(str, found.violations))
    assert len(found.told) == 60 and len(found.answered) == 30
    assert found.within < 12_000
    assert min(found.hints) >= 0 and max(found.hints) - min(found.hints) > 300, "they would all come back at once"
    assert number == signal.SIGTERM or (found.serving and not found.refused)

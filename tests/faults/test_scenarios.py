"""Scenarios once, briefly; `make faults` plays all of them, longer and with many seeds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import postgres
import pytest
from checker import names
from scenarios import CAUGHT, SCENARIOS
from stage import Played

#: Those that another one holds for the most part, with other faults or another database, or a test of their own
#: (test_threads.py::test_one_client_id_is_one_event): `make long` and `make faults`.
LONG = {
    "slow-hangup", "kill-worker", "wake-ups-lost", "many-polls", "clock-jumps", "quiet-room", "connections-cut",
    "notices-lost", "failover", "old-backup", "same-id-at-once",
    "flush-skipped", "mark-forgotten", "number-from-a-sequence", "check-then-wait",
}  # fmt: skip


def sampled(names: Iterable[str]) -> list[Any]:
    """The parameters of a test, some of them marked as long."""
    return [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in names]


@pytest.mark.parametrize("scenario", sampled(SCENARIOS))
def test_no_promise_is_broken(scenario: str, played: Played, tmp_path: Path) -> None:
    """Every check of the checker holds for what the clients saw."""
    _needed(scenario)
    result = played(scenario)
    if result.violations:
        result.history.dump(tmp_path / "history.jsonl")
    assert not result.violations, "\n".join([f"see {tmp_path}/history.jsonl", *map(str, result.violations)])


@pytest.mark.parametrize("mutant", sampled(CAUGHT))
def test_each_mutant_is_caught_by_name(mutant: str, played: Played) -> None:
    """A server that is wrong in one way is caught, by the check that is named for what it breaks."""
    _needed(CAUGHT[mutant][0])
    result = played(mutant)
    assert CAUGHT[mutant][1] in names(result.violations), "\n".join(map(str, result.violations))


def _needed(scenario: str) -> None:
    if SCENARIOS[scenario].databases:
        postgres.needed()


def test_every_mutant_has_its_check() -> None:
    """No mutant is there that is not looked for."""
    from altered import MUTANTS

    assert set(MUTANTS) == set(CAUGHT)
    assert {*SCENARIOS, *CAUGHT} >= LONG

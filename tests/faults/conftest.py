"""Scenarios and mutants mostly wait, so a few of them run at once, in the background of the tests that ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from checker import names
from scenarios import CAUGHT, SCENARIOS
from stage import Played, Result, run

AT_ONCE = 4
SECONDS = 1.8


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """What came of a scenario, or of a mutant in the scenario that provokes it; only those that tests ask for run."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results: dict[str, Future[Result]] = {}
        for name in _asked(request.session.items):
            scenario, altered = (CAUGHT[name][0], [name]) if name in CAUGHT else (name, [])
            data = tmp_path_factory.mktemp(name) / "data"
            results[name] = pool.submit(_play, scenario, data, altered)
        yield lambda name: results[name].result(900)


def _play(scenario: str, data: Path, altered: list[str]) -> Result:
    """Play it; a mutant that chance has let through gets another try, and more time for it."""
    result = run(SCENARIOS[scenario], data, seconds=SECONDS, altered=altered)
    for seed in (2, 3) if altered else ():
        if CAUGHT[altered[0]][1] in names(result.violations):
            break
        again = data.with_name(f"again-{seed}")
        again.mkdir()
        result = run(SCENARIOS[scenario], again / "data", seed=seed, seconds=seed * SECONDS, altered=altered)
    return result


def _asked(items: Sequence[pytest.Item]) -> Iterator[str]:
    """The names that the tests to be run have as their parameter."""
    for item in items:
        parameters = getattr(item, "callspec", None)
        for kind in ("scenario", "mutant"):
            if parameters is not None and kind in parameters.params:
                yield parameters.params[kind]

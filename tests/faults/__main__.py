"""``make faults``: every scenario with many seeds, every mutant, hundreds of kills, restarts; prints what happened.

``python tests/faults [PART…]`` plays only these parts. SEEDS, SECONDS, ROUNDS and KILLS (environment) set the length.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import postgres
import removal
from altered import LEAKS
from checker import names
from deployment import Gunicorn
from kills import KINDS, kill_randomly
from restart import restart
from scenarios import CAUGHT, SCENARIOS
from stage import Result, Scenario, run

SEEDS = int(os.environ.get("SEEDS", "5"))
SECONDS = float(os.environ.get("SECONDS", "4"))
KILLS = int(os.environ.get("KILLS", "500"))
SOCKETS = int(os.environ.get("SOCKETS", "500"))
POLLS = int(os.environ.get("POLLS", "200"))
ROUNDS = int(os.environ.get("ROUNDS", "100"))
"""Removals of a member, on each store."""
ONLY = os.environ.get("ONLY", "")
"""Scenarios to play, separated by commas; all where it is empty."""
AT_ONCE = 2
RACES = [
    ("SQLite", ""), ("PostgreSQL", ""), ("SQLite", "no-notifier"), ("PostgreSQL", "no-notices"),
    ("SQLite", "right-ends-by-notice"),
]  # fmt: skip
"""Stores, and changes to the code under which members are removed; the last one leaks, and must be seen to."""


def scenarios() -> bool:
    """Each scenario with each seed; whether no promise was broken."""
    row("scenario", "what happens", "seeds", "sends", "acked", "unknown", "reads", "events", "faults",
        "removals", "violations")  # fmt: skip
    row("---", "---", *["---:"] * 9)
    good = True
    chosen = [each for name, each in SCENARIOS.items() if not ONLY or name in ONLY.split(",")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {each.name: [pool.submit(_play, each, seed) for seed in range(1, SEEDS + 1)] for each in chosen}
        for each in chosen:
            results = [future.result() for future in runs[each.name]]
            total = sum((Counter(result.figures) for result in results), Counter())
            wrong = [violation for result in results for violation in result.violations]
            figures = [total[name] for name in ("sends", "acked", "unknown", "reads", "events", "faults", "removals")]
            row(each.name, each.what, SEEDS, *figures, len(wrong))
            for violation in wrong:
                print(f"    {violation}")
            good = good and not wrong
    return good


def mutants() -> bool:
    """Each mutant in the scenario that provokes it; whether each was caught by its check."""
    row("mutant", "scenario", "caught by", "also seen by", "seeds caught")
    row("---", "---", "---", "---", "---:")
    good = True
    for mutant, (scenario, check) in CAUGHT.items():
        found = [names(_play(SCENARIOS[scenario], seed, mutant).violations) for seed in range(1, SEEDS + 1)]
        caught = sum(check in each for each in found)
        others = sorted(set().union(*found) - {check})
        row(mutant, scenario, check, ", ".join(others) or "–", f"{caught} of {SEEDS}")
        good = good and caught == SEEDS
    return good


def kills() -> bool:
    """Hundreds of kills under write load; whether nothing acknowledged was lost or repeated, and starts are quick."""
    with tempfile.TemporaryDirectory(prefix="quotechat-kills-") as directory:
        data = Path(directory) / "data"
        done = kill_randomly(Gunicorn(data, workers=2), data, KILLS, seed=1)
    row("kills", *KINDS, "acknowledged", "lost", "repeated", "other violations", "start p50 s", "p99 s", "max s")
    row(*["---:"] * 11)
    lost, twice = done.found("lost"), done.found("twice")
    row(
        sum(done.by_kind.values()), *(done.by_kind[kind] for kind in KINDS), done.acked, lost, twice,
        len(done.violations) - lost - twice, *(f"{done.start(share):.2f}" for share in (0.5, 0.99, 1.0)),
    )  # fmt: skip
    for violation in done.violations:
        print(f"    {violation}")
    return not done.violations and done.start(0.99) < 3.0


def restarts() -> bool:
    """A stop and a reload under load; whether all were told in a second, and a reload refused nobody."""
    row("signal", "sockets", "held polls", "new workers ms", "1012 first–last ms", "polls first–last ms", "retry_in_ms",
        "sockets back over ms", "POSTs", "refused", "violations")  # fmt: skip
    row("---", *["---:"] * 10)
    good = True
    for number in (signal.SIGTERM, signal.SIGHUP):
        with tempfile.TemporaryDirectory(prefix="quotechat-restart-") as directory:
            data = Path(directory) / "data"
            found = restart(Gunicorn(data, workers=2), data, number, SOCKETS, POLLS)
        spans = [f"{min(each):.0f}–{max(each):.0f}" for each in (found.told, found.answered, found.hints, found.back)]
        row(
            found.signal, SOCKETS, POLLS, f"{found.serving:.0f}" if found.serving else "–", *spans, found.posts,
            found.refused, len(found.violations),
        )  # fmt: skip
        for violation in found.violations:
            print(f"    {violation}")
        refused = found.refused if number == signal.SIGHUP else 0
        good &= not found.violations and not refused and found.within < 1000
    return good


def removals() -> bool:
    """A member removed in the midst of what is written, again and again; whether no reader of it got one event more."""
    row("store", "altered", "rounds", "readers", "leaks", "other violations")
    row("---", "---", *["---:"] * 4)
    good = True
    with postgres.postgres(fsync="off", full_page_writes="off") as server:
        for store, altered in RACES:
            database = server.fresh(f"race_{len(altered)}") if store == "PostgreSQL" else ""
            rounds = 1 if altered in LEAKS else ROUNDS
            with tempfile.TemporaryDirectory(prefix="quotechat-removals-") as directory:
                with removal.place(Path(directory), database, (altered,) if altered else ()) as here:
                    found = removal.play(here, rounds)
            leaks = sum("leak" in each for each in found)
            row(store, altered or "–", rounds, rounds * 2 * len(removal.READERS), leaks, len(found) - leaks)
            good &= bool(leaks) if altered in LEAKS else not found
            for fault in () if altered in LEAKS else found:
                print(f"    {fault}")
    return good


def _play(scenario: Scenario, seed: int, mutant: str | None = None) -> Result:
    with tempfile.TemporaryDirectory(prefix="quotechat-faults-") as directory:
        where = Path(directory)
        altered = [mutant] if mutant else []
        result = run(
            scenario, where / "data", seed=seed, seconds=SECONDS, altered=altered, membership=mutant not in CAUGHT
        )
        if result.violations and not mutant:
            kept = Path(tempfile.gettempdir()) / f"quotechat-{scenario.name}-{seed}.jsonl"
            result.history.dump(kept)
            print(f"    {scenario.name}, seed {seed}: the history is in {kept}", file=sys.stderr)
        return result


def row(*cells: object) -> None:
    """One line of a table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


PARTS: dict[str, Callable[[], bool]] = {
    each.__name__: each for each in (scenarios, mutants, removals, kills, restarts)
}  # fmt: skip


def main(parts: list[str]) -> int:
    """Play `parts`; 1 where something did not hold."""
    good = True
    for part in parts or list(PARTS):
        began = time.monotonic()
        print(f"\n{part}\n", flush=True)
        good &= PARTS[part]()
        print(f"\n({time.monotonic() - began:.0f} s)")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

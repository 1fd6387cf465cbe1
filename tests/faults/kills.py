"""kill -9 at random moments under write load: a worker, the master, or all at once, and a start each time."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from checker import Least, Violation, check
from deployment import Deployment, any_worker, kill
from servers import until
from stage import Stage

KINDS = ("worker", "master", "all")


@dataclass
class Kills:
    """How a run of kills went. `starts`: seconds from the command to the first answer."""

    stage: Stage
    by_kind: Counter[str] = field(default_factory=Counter)
    starts: list[float] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    @property
    def acked(self) -> int:
        """Messages that were acknowledged."""
        return len({send.key for send in self.stage.history.sends if send.outcome == "ok"})

    def found(self, check: str) -> int:
        """How often a check found something."""
        return sum(each.check == check for each in self.violations)

    def start(self, share: float) -> float:
        """The start time that this share of all starts did not exceed."""
        ordered = sorted(self.starts)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def kill_randomly(deployment: Deployment, data: Path, count: int, seed: int) -> Kills:
    """`count` kills; then the whole log is read by every way, and judged."""
    stage = Stage(deployment, data, seed, 0)
    kills = Kills(stage)
    with stage.serving():
        stage.senders(6, rate=100)
        stage.readers(["long", "ws", "ndjson"])
        for _ in range(count):
            _one(kills)
    kills.violations = check(stage.history, Least(acked=count, events=count, faults=count, final=5))
    return kills


def _one(kills: Kills) -> None:
    stage, deployment = kills.stage, kills.stage.deployment
    before = _acks(stage)
    # At least one more acknowledged, then somewhere in the next moments.
    until(lambda: _acks(stage) > before, 120, "another ack")
    time.sleep(stage.chance.uniform(0, 0.15))
    kind = stage.chance.choice(KINDS)
    kills.by_kind[kind] += 1
    with stage.history.fault(f"kill {kind}"):
        worker = any_worker(deployment, stage.chance)
        if kind == "worker" and worker is not None:
            kill(worker)
            until(lambda: worker not in deployment.workers(), what="its end")
            return
        if kind == "master":
            for master in deployment.masters():
                kill(master)
        else:
            deployment.kill_all()
        kills.starts.append(deployment.start())


def _acks(stage: Stage) -> int:
    return sum(sender.acked for sender in stage.clients if hasattr(sender, "acked"))

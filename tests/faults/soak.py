"""``make soak MINUTES=30``: a steady mixed load with reconnects; what a worker holds comes back to where it began.

Prints a table and draws `docs/images/soak.svg`. The load is modest: it looks for leaks, not for limits.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from checker import Least, check
from clients import READING
from deployment import Gunicorn
from history import seq_of
from servers import ROOT
from stage import Stage

MINUTES = float(os.environ.get("MINUTES", "30"))
EVERY = 2.0
IDLE = 8.0
"""Seconds of silence before and after the load: connections that are kept have been given up by then."""


class Sample(NamedTuple):
    """All workers together, at so many seconds: MiB of resident memory, threads, open descriptors."""

    at: float
    memory: float
    threads: int
    descriptors: int


def sample(pids: list[int], began: float) -> Sample:
    """What they hold now (proc(5))."""
    page = os.sysconf("SC_PAGE_SIZE")
    proc = [Path(f"/proc/{pid}") for pid in pids]
    return Sample(
        time.monotonic() - began,
        sum(int((each / "statm").read_text().split()[1]) for each in proc) * page / 2**20,
        sum(len(list((each / "task").iterdir())) for each in proc),
        sum(len(list((each / "fd").iterdir())) for each in proc),
    )


def main() -> int:
    """1 where a promise was broken, or threads or descriptors did not come back."""
    with tempfile.TemporaryDirectory(prefix="quotechat-soak-") as directory:
        data = Path(directory) / "data"
        stage = Stage(Gunicorn(data, workers=2), data, 1, 0)
        with stage.serving():
            # Once round, so that what is made on first use is there before anything is compared.
            _load(stage, 20, [])
            samples: list[Sample] = []
            _load(stage, MINUTES * 60, samples)
    violations = check(stage.history, Least(acked=100, events=500, final=10))
    for violation in violations:
        print(f"    {violation}")
    acked = sum(send.outcome == "ok" for send in stage.history.sends)
    connections = len(stage.history.reads)
    return _report(samples, f"{acked} messages, {connections} polls and connections, {len(violations)} violations") or (
        1 if violations else 0
    )


def _load(stage: Stage, seconds: float, samples: list[Sample]) -> None:
    """Silence, load, silence; a sample every two seconds."""
    began, workers = time.monotonic(), stage.deployment.workers()

    def watch(for_seconds: float) -> None:
        until = time.monotonic() + for_seconds
        while time.monotonic() < until:
            samples.append(sample(workers, began))
            time.sleep(EVERY)

    watch(IDLE)
    position = max((send.cursor for send in stage.history.sends), key=lambda each: seq_of(each) or 0, default="0")
    stage.senders(6, rate=3)
    stage.readers([*READING, *READING, READING, READING], hop=(2, 10), after=position)
    watch(seconds)
    stage.settle()
    watch(IDLE)


def _report(samples: list[Sample], what: str) -> int:
    first, last = samples[2], samples[-1]
    load = [each for each in samples if IDLE < each.at < samples[-1].at - IDLE]
    half = load[len(load) // 2 :]
    print(f"\n{MINUTES:g} minutes, two workers: {what}\n")
    print("| both workers | before | most | after | second half of the load, a minute |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in ("memory", "threads", "descriptors"):
        values = [getattr(each, name) for each in samples]
        unit = " MiB" if name == "memory" else ""
        slope = _slope([(each.at / 60, getattr(each, name)) for each in half])
        before, after = getattr(first, name), getattr(last, name)
        print(f"| {name} | {before:.4g}{unit} | {max(values):.4g}{unit} | {after:.4g}{unit} | {slope:+.3f}{unit} |")
    (ROOT / "docs" / "images" / "soak.svg").write_text(drawing(samples))
    # A few more threads or descriptors than at the start are pools that have grown to their size.
    return int(last.threads > first.threads + 8 or last.descriptors > first.descriptors + 8)


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line of least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def drawing(samples: list[Sample]) -> str:
    """Three lines, each on an axis of its own from 0 to its most."""
    width, height, top = 720, 110, 28
    parts = []
    for place, (name, color) in enumerate([("memory", "#2563eb"), ("threads", "#15803d"), ("descriptors", "#b45309")]):
        values = [float(getattr(each, name)) for each in samples]
        most, end = max(values), samples[-1].at
        base = top + place * (height + 40) + height
        points = " ".join(
            f"{60 + each.at / end * (width - 80):.1f},{base - value / most * height:.1f}"
            for each, value in zip(samples, values, strict=True)
        )
        unit = "MiB of memory" if name == "memory" else name
        parts += [
            f'<line x1="60" y1="{base}" x2="{width - 20}" y2="{base}" stroke="#9ca3af"/>',
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>',
            f'<text x="60" y="{base - height - 6}">{unit}, both workers</text>',
            f'<text x="54" y="{base - height + 10}" text-anchor="end">{most:.0f}</text>',
            f'<text x="54" y="{base}" text-anchor="end">0</text>',
        ]
    total = top + 3 * (height + 40)
    parts.append(f'<text x="{width - 20}" y="{total - 14}" text-anchor="end">{samples[-1].at / 60:.1f} minutes</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" font-family="sans-serif" font-size="12"'
        f' fill="#6b7280" role="img"><title>What the workers hold during the soak</title>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    sys.exit(main())

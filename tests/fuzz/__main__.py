"""``make fuzz``: atheris on each target, for MINUTES in all; prints what was run. A finding ends it with 1.

``python tests/fuzz TARGET FILE…`` plays files again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seeds import SEEDS, WORDS

MINUTES = float(os.environ.get("MINUTES", "5"))
ONLY = os.environ.get("ONLY", "")
"""Targets to run, separated by commas; all where it is empty."""
NAMES = ("json", "frames", "markup", "cursor", "request")
LONGEST = 1_024
"""Bytes of an input: what needs more of them has a test of its own, and this many more are tried."""


def fuzz(name: str, arguments: list[str]) -> None:
    """Run libFuzzer on the target; does not return."""
    import atheris

    with atheris.instrument_imports(include=["quotechat", "wsproto", "gunicorn.http"]):
        from targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


def run(name: str, seconds: float) -> bool:
    """Fuzz one target in a process of its own; whether nothing was found. Prints one row."""
    with tempfile.TemporaryDirectory(prefix="quotechat-fuzz-") as directory:
        corpus = Path(directory, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(SEEDS[name]):
            Path(corpus, str(number)).write_bytes(seed)
        words = Path(directory, "words")
        words.write_text("".join(f'"{_escaped(each)}"\n' for each in WORDS[name]), "ascii")
        kept = Path(tempfile.gettempdir(), f"quotechat-fuzz-{name}-")
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, __file__, "--fuzz", name, f"-max_total_time={seconds:.0f}", f"-max_len={LONGEST}",
             f"-dict={words}", f"-artifact_prefix={kept}", "-timeout=5", "-rss_limit_mb=2048", "-print_final_stats=1",
             str(corpus)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        )  # fmt: skip
    told = done.stderr
    executions = int(next(iter(re.findall(r"number_of_executed_units: (\d+)", told)), 0))
    covered = re.findall(r"cov: (\d+)", told)
    edges = f"{covered[0]} → {covered[-1]}" if covered else "–"
    found = "something" if done.returncode else "nothing"
    print(f"| {name} | {time.monotonic() - began:.0f} | {executions:,} | {edges} | {found} |")
    if done.returncode:
        print(told[-4000:], file=sys.stderr)
    sys.stdout.flush()
    return done.returncode == 0 and executions > 0


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{each:02x}" for each in word)


def main(arguments: list[str]) -> int:
    """All targets, or one of them on files."""
    if arguments[:1] == ["--fuzz"]:
        fuzz(arguments[1], arguments[2:])
    if arguments:
        from targets import TARGETS

        for file in arguments[1:]:
            TARGETS[arguments[0]](Path(file).read_bytes())
        return 0
    chosen = [name for name in NAMES if not ONLY or name in ONLY.split(",")]
    print("| target | seconds | executions | edges | found |\n|---|---:|---:|---:|---|", flush=True)
    # Each, also where one before it has found something.
    return 1 if False in [run(name, MINUTES * 60 / len(chosen)) for name in chosen] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

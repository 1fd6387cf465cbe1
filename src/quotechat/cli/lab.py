"""The command ``lab``: measure the cost of each transport."""

from __future__ import annotations

import contextlib
import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import click


@click.command()
@click.argument("url", required=False)
@click.option("--probes", default=30, show_default=True, metavar="N", help="Messages to send.")
@click.option("--rate", default=2.0, show_default=True, metavar="N", help="Messages a second.")
@click.option("--interval", default=2.0, show_default=True, metavar="S", help="Seconds between two short polls.")
@click.option("--idle", default=30.0, show_default=True, metavar="S",
              help="Seconds of silence to measure beside the probes, at least.")  # fmt: skip
@click.option("--cut", default=0.0, metavar="S",
              help="Cut the readers' connections halfway for S seconds, a reader without a cursor beside them.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def lab(
    url: str | None, probes: int, rate: float, interval: float, idle: float, cut: float, as_json: bool
) -> None:
    """Measure short polling, long polling and WebSocket side by side.

    At the server at URL, or at one of its own that is thrown away.
    """
    from quotechat.lab import is_wrong, measure, table

    if min(probes, rate, interval, idle) <= 0 or cut < 0:
        raise click.UsageError("probes, rate, interval and idle are more than 0, and cut is not less")
    with contextlib.ExitStack() as stack:
        server = url.rstrip("/") if url else stack.enter_context(_own_server())
        length = probes + max(0, math.ceil(idle - probes / rate))
        bar = stack.enter_context(click.progressbar(length=length, label="probes, then silence", file=sys.stderr))
        try:
            rows = measure(
                server, probes=probes, rate=rate, interval=interval, idle=idle, cut=cut,
                progress=bar.update,
            )  # fmt: skip
        except (OSError, RuntimeError) as fault:
            raise click.ClickException(f"{server} could not be measured: {fault}") from None
    click.echo(json.dumps([row._asdict() for row in rows], indent=2) if as_json else table(rows))
    if any(map(is_wrong, rows)):
        sys.exit(1)


@contextlib.contextmanager
def _own_server() -> Iterator[str]:
    """Serve from an empty directory, which goes with the server, and yield the address."""
    with tempfile.TemporaryDirectory(prefix="quotechat-lab-") as directory:
        command = [sys.executable, "-m", "quotechat", "serve", "--port", "0", "--data", directory]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            yield _address(process)
        finally:
            process.terminate()
            process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"http://\S+:[0-9]+", line):
            return found[0]
    raise click.ClickException("a server could not be started:\n" + "".join(said))

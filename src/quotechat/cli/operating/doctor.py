"""The command ``doctor``: find out why a server cannot be reached as it should."""

from __future__ import annotations

import json
import sys

import click

_MARKS = {"ok": ("ok", "green"), "warning": ("look", "yellow"), "wrong": ("WRONG", "red")}


@click.command()
@click.argument("url")
@click.option("--hold", type=click.FloatRange(min=1), default=30.0, show_default=True, metavar="S",
              help="Seconds to hold connections open.")  # fmt: skip
@click.option("--patience", type=click.FloatRange(min=0.1), default=5.0, show_default=True, metavar="S",
              help="Seconds that what should come at once may take.")  # fmt: skip
@click.option("--token", envvar="QUOTECHAT_TOKEN", show_envvar=True, metavar="TOKEN",
              help="Of an account that reads the lobby, for a server that is for people with accounts.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, one a line.")
def doctor(url: str, hold: float, patience: float, token: str | None, as_json: bool) -> None:
    """Test the way to the server at URL, through all proxies, and say which line to change.

    It takes about as long as --hold and writes nothing. Exit code 1 if something is wrong, 3 if no server
    answers.
    """
    from ...doctor import Doctor

    wrong = False
    try:
        for finding in Doctor(url, hold=hold, patience=patience, token=token).examine():
            wrong |= finding.state == "wrong"
            if as_json:
                click.echo(json.dumps(finding._asdict(), ensure_ascii=False))
                continue
            mark, color = _MARKS[finding.state]
            click.echo(f"{click.style(f'{mark:5}', fg=color)}  {finding.check}: {finding.told}")
            for where, lines in finding.fix.items():
                for line in lines.split("\n"):
                    click.echo(f"       {where + ':':10} {line}")
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None
    except OSError as fault:
        click.echo(f"Error: {url} does not answer: {fault}", err=True)
        sys.exit(3)
    if wrong:
        sys.exit(1)

"""The operator's commands that list and count: rooms, stats."""

from __future__ import annotations

import json
from typing import Any

import click

from ..console import now_ms, reporting_faults
from ..options import option, settings_of

_COLUMNS = {
    "room": "room", "head": "head", "first": "first kept", "events": "events", "bytes": "bytes", "last": "last",
    "kind": "kind",
}  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
@click.pass_context
def rooms(ctx: click.Context, as_json: bool, data: str | None) -> None:
    """Each room: its head, the first event that is kept, how many there are, their bytes, when the last came, and its
    kind; or remove one, or let accounts in and put them out.

    The server may run: one moment of the data is looked at, and nothing is changed.
    """
    from ...store.open import look
    from ...store.transfer import inventory

    if ctx.invoked_subcommand is not None:
        return
    with reporting_faults(), look(settings_of(data=data)) as sql:
        found = inventory.rooms(sql)
    if as_json:
        for each in found:
            click.echo(json.dumps(each, ensure_ascii=False))
        return
    _table([list(_COLUMNS.values()), *([_shown(each[name]) for name in _COLUMNS] for each in found)])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def stats(as_json: bool, data: str | None) -> None:
    """Count what the server keeps, accounts and sessions too, and show the space that it takes.

    The server may run: one moment of the data is looked at, and nothing is changed.
    """
    from ...store.open import look, size
    from ...store.transfer import inventory

    settings = settings_of(data=data)
    with reporting_faults(), look(settings) as sql:
        found = {
            "store": "PostgreSQL" if settings.database else str(settings.data),
            **inventory.totals(sql, now_ms(), settings.session_idle_days * 86_400_000),
        }
        found["disk_bytes"] = size(settings, sql)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    _table([[name.replace("_", " "), _shown(value)] for name, value in found.items()])


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _table(rows: list[list[str]]) -> None:
    """Columns as wide as they need be: words to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if cell[:1].isdigit() and "." not in cell else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())

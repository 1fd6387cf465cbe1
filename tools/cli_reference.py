"""Write docs/reference/cli.md: what each command says about itself. `python tools/cli_reference.py` after a change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from quotechat.cli import main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
_INTRODUCTION = """\
# Commands

What `quotechat COMMAND --help` prints. `tools/cli_reference.py` writes this page.

Exit codes: 0 done; 1 it could not be done, or what was looked at is not whole, and the reason is on standard error;
2 wrong usage, and nothing was begun; 3 the server did not answer. Progress goes to standard error where that is
a terminal.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections(group: click.Group = main, above: str = "quotechat") -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        path = f"{above} {name}"
        context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100)
        yield f"## {path}\n\n```\n{context.get_help()}\n```\n"
        if isinstance(command, click.Group):
            yield from _sections(command, path)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

"""The command ``quotechat``: the group here, its commands by theme in the files beside.

Only words and options live in this package; the work is done elsewhere.
"""

from __future__ import annotations

import io
import sys

import click

from quotechat import __version__

from . import lab, members, programs, search, serve, talk, users, webhooks
from .operating import carry, doctor, figures, files, operate, remove


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="quotechat", message="%(prog)s %(version)s")
def main() -> None:
    """A chat server that loses no message, over polling, streams or WebSockets."""
    for stream in (sys.stdout, sys.stderr):
        # A character that a terminal cannot show must not end the command.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


_COMMANDS = (
    *(serve.serve, serve.demo, serve.config),
    *(operate.verify, operate.migrate, operate.rebuild, operate.retain),
    *(figures.rooms, figures.stats, remove.messages),
    *(carry.backup, carry.restore, carry.export, carry.import_, carry.move),
    *(lab.lab, files.files),
    *(users.users, users.invite, programs.bots, programs.tokens, webhooks.hooks, webhooks.webhooks),
    *(talk.say, talk.tail, search.search, talk.quote, talk.sign_in, doctor.doctor),
)
assert members.members.name in figures.rooms.commands  # it adds its commands to those of rooms
for _command in _COMMANDS:
    main.add_command(_command)

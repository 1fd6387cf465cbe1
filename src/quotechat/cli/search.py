"""The command ``quotechat search``: ask a server, or make the index anew where the data are."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

import click

from ..client import Client, Hit
from ..client.shapes import Found
from ..protocol.markup import ansi
from . import talk
from .console import counted, progress, reporting_faults
from .options import option, settings_of

_AT_ONCE = 1000
"""Events of one step: no sender shares this process."""
_LOOK_EVERY = 0.2


class _Asking(click.Group):
    """A group whose first command is taken if none is named: ``quotechat search tea``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["find", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Asking)
def search() -> None:
    """Find messages; `quotechat search WORDS` is `quotechat search find WORDS`."""


@search.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
@talk.url_option
@click.option("--token", envvar="QUOTECHAT_TOKEN", show_envvar=True, metavar="TOKEN", help="In whose name.")
@click.option("-n", "most", type=click.IntRange(1, 50), default=20, show_default=True, metavar="N",
              help="At most so many.")  # fmt: skip
@click.option("--best", is_flag=True, help="The best first; needs in:ROOM or a date.")
@talk.patience_option
@talk.json_option
def find(
    words: tuple[str, ...], url: str, token: str | None, most: int, best: bool, patience: float, as_json: bool
) -> None:
    """List messages that have all WORDS, the newest first; exit code 1 if there is none.

    Also -WORD, in:ROOM, from:NAME, on:DATE, before:, after:, has:link and others; a phrase of several words is one
    argument.
    """
    asked = " ".join(f'"{word}"' if " " in word and '"' not in word and ":" not in word else word for word in words)
    with talk.reporting_client_faults(), Client(url, token, patience=patience) as client:
        hits, found = gathered(lambda before, limit: client.search(asked, before=before, limit=limit, best=best), most)
    for hit in hits:
        click.echo(talk.line_of(hit) if as_json else _shown(hit))
    if "searched" in found:
        click.echo(f"Looked through back to {found['searched']['through'][:10]}.", err=True)
    if found.get("incomplete"):
        click.echo("The index is still being made: older messages may be missing.", err=True)
    if not hits:
        sys.exit(1)


@search.command()
@option("data", "Directory that the server keeps its data in.", metavar="DIR")
def rebuild(data: str | None) -> None:
    """Make the index of the search anew from the log.

    The server may run; meanwhile it finds its newest messages, and those that the new index has reached. Only needed if
    a file of the index was damaged in a way that nothing noticed.
    """
    from ..store.open import open_index, open_store
    from ..store.search.following import follow, reached

    settings = settings_of(data=data)
    with reporting_faults(), contextlib.closing(open_store(settings, make=False)) as store:
        with contextlib.closing(open_index(settings, store)) as index, progress("events") as bar:
            index.clear()
            while True:
                done = index.step(lambda log, writer: follow(log, writer, _AT_ONCE))
                if done is None:
                    time.sleep(_LOOK_EVERY)  # a server's indexer does it
                now, end = reached(store, index)
                bar(now, end)
                if now >= end and not (index.clearing() or (done is not None and done.more)):
                    break
            click.echo(f"{counted(end, 'event')} are indexed; the index has {index.size():,} bytes.")


def gathered(ask: Callable[[str | None, int], Found], most: int) -> tuple[list[Hit], Found]:
    """Return up to `most` hits and the last answer; a search that ended since its time was up goes on."""
    found = ask(None, most)
    hits = found["hits"]
    while "searched" in found and "before" in found and len(hits) < most:
        found = ask(found["before"], most - len(hits))
        hits += found["hits"]
    return hits, found


def _shown(hit: Hit) -> str:
    message = hit["message"]
    said = ansi.safe(" ".join(message.get("message", "").split()))
    at = message["at"][:16].replace("T", " ")
    return f"{hit['room']} #{message['id']}  {at}  {ansi.safe(message['user'])}: {said}"

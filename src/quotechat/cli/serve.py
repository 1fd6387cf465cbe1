"""Serving: serve, demo, and config, which shows the settings."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import click

from quotechat import __version__

from ..config import Settings, SettingsError, unknown_variables
from .options import option, settings_of
from .seeding import VIEWER, seed
from .users import new_setup_code


@click.command()
@option("host", "Address to listen on.", metavar="ADDRESS")
@option("port", "TCP port; 0 takes any free one.", short="-p", metavar="PORT")
@option("data", "Directory that holds all that the server keeps.", metavar="DIR")
@option("workers", "Processes that serve.", metavar="N")
@option("threads", "Threads for HTTP requests in each process.", metavar="N")
def serve(**flags: str | None) -> None:
    """Serve, until Ctrl-C or SIGTERM. SIGHUP restarts the workers without refusing anyone."""
    run = _server()
    settings = settings_of(**flags)
    code = _setup_code(settings) if settings.access != "open" else None
    ready = None if code is None else partial(_ask_for_owner, settings, code)
    try:
        run(replace(settings, data=settings.data.absolute()), ready=ready)
    except SettingsError as fault:
        click.echo(f"quotechat: {fault}", err=True)
        sys.exit(2)  # as for a setting that cannot be read


@click.command()
@option("host", "Address to listen on.", metavar="ADDRESS")
@option("port", "TCP port; 0 takes any free one.", short="-p", metavar="PORT")
def demo(**flags: str | None) -> None:
    """Serve three rooms with a few messages in them, from a directory that is thrown away at the end."""
    run = _server()
    directory = tempfile.mkdtemp(prefix="quotechat-demo-")
    settings = settings_of(data=directory, database="", listen_database="", **flags)
    master = os.getpid()
    try:
        # In a child: gunicorn forks this process later, and threads do not survive that.
        password = secrets.token_hex(6)
        _in_child(lambda: seed(settings, password))
        run(settings, ready=partial(_introduce, password))
    finally:
        # The workers are forks that leave through here too; the directory is the master's to remove.
        if os.getpid() == master:
            shutil.rmtree(directory, ignore_errors=True)


@click.command()
@click.option("--show", is_flag=True, help="Print every setting, its value and where that is from.")
def config(show: bool) -> None:
    """Check the settings in the environment; with --show, print them."""
    from ..store.open import check_driver

    settings = settings_of()
    try:
        check_driver(settings)
    except SettingsError as fault:
        raise click.UsageError(str(fault)) from None
    for name in unknown_variables():
        click.echo(f"warning: {name} is no setting of quotechat", err=True)
    if not show:
        click.echo("The settings are fine. --show prints them.")
        return
    rows = settings.show()
    names, values = (max(len(row[part]) for row in rows) for part in (0, 1))
    for name, value, source in rows:
        click.echo(f"{name:{names}}  {value:{values}}  {source}".rstrip())


def _server() -> Callable[..., None]:
    """Return `serving.serve`, imported when it is needed."""
    try:
        from quotechat.serving import serve as run
    except ImportError as fault:  # of gunicorn, which is not the one that we know
        raise click.ClickException(str(fault)) from fault
    return run


def _setup_code(settings: Settings) -> str | None:
    """Return the code of a new setup link; None if an owner can sign in already."""
    read, write = os.pipe()
    # In a child: gunicorn forks this process later, and connections do not survive that.
    _in_child(lambda: os.write(write, (new_setup_code(settings) or "").encode()))
    os.close(write)
    with open(read) as pipe:
        return pipe.read() or None


def _ask_for_owner(settings: Settings, code: str, url: str) -> None:
    click.echo(
        f"quotechat {__version__} at {url} (Ctrl-C stops it)\n"
        "Nobody can sign in yet. Open this link, once and within a day, to become the owner:\n"
        f"  {settings.public_url or url}/setup#{code}"
    )


def _in_child(work: Callable[[], object]) -> None:
    """Do `work` in a child process and wait for it. Raises ClickException if it failed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        raise click.ClickException("it could not be set up")


def _introduce(password: str, url: str) -> None:
    click.echo(
        f"quotechat {__version__}, a demo: {url}\n"
        "\n"
        f"Sign in there as {VIEWER}, password {password}, to find unread rooms and a mention; or just write.\n"
        "\n"
        "Wait for a message in one terminal, send one in another:\n"
        f"  curl '{url}/api/v1/rooms/lobby/events?after=now&wait=25'\n"
        f"  curl -d 'Hello from curl' '{url}/api/v1/rooms/lobby/messages?user=Me'\n"
        "\n"
        "Ctrl-C stops; nothing is kept."
    )

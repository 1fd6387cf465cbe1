"""The command ``quotechat``: serve, demo, config, verify, rebuild, lab.

Only words and options live here; what the commands do is elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any, TypeVar

import click

from quotechat import __version__
from quotechat.config import Settings, SettingsError, default_of, unknown_variables, variable

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: (user, colour, text, index of the message it answers, index of those who like it)
_CONVERSATION: list[tuple[str, str, str, int | None, list[str]]] = [
    ("Azin", "teal", "Good morning! Is anybody here?", None, []),
    ("Bo", "orange", "**Here.** I came over *long-polling*, and you?", 0, []),
    ("Azin", "teal", "By WebSocket. Same messages, same order: `seq` says so.", 1, ["Bo", "Chidi"]),
    ("Chidi", "purple", "I only have curl. It works: https://curl.se", None, ["Azin"]),
    ("Bo", "orange", "Then nobody is left out.", 3, []),
]
_QUOTE = ("The great enemy of communication, we find, is the illusion of it.", "William H. Whyte, 1950")


def _option(name: str, doc: str, *, short: str | None = None, metavar: str) -> Callable[[_Command], _Command]:
    """An option that sets the setting `name`; its variable serves too."""
    names = [f"--{name}"] if short is None else [short, f"--{name}"]
    doc = f"{doc} [env: {variable(name)}; default: {default_of(name)}]"
    return click.option(*names, name, metavar=metavar, help=doc)


def _settings(**flags: str | None) -> Settings:
    """The settings of the environment, with the flags that were given over them."""
    given = {variable(name): value for name, value in flags.items() if value is not None}
    try:
        return Settings.from_env({**os.environ, **given})
    except SettingsError as fault:
        raise click.UsageError(str(fault)) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="quotechat", message="%(prog)s %(version)s")
def main() -> None:
    """A chat server that loses no message, over polling, streams or WebSockets."""


@main.command()
@_option("host", "Address to listen on.", metavar="ADDRESS")
@_option("port", "TCP port; 0 takes any free one.", short="-p", metavar="PORT")
@_option("data", "Directory that holds all that the server keeps.", metavar="DIR")
@_option("workers", "Processes that serve.", metavar="N")
@_option("threads", "Threads for HTTP requests in each process.", metavar="N")
def serve(**flags: str | None) -> None:
    """Serve, until Ctrl-C or SIGTERM. SIGHUP restarts the workers without refusing anyone."""
    from quotechat.serving import serve as run

    settings = _settings(**flags)
    run(replace(settings, data=settings.data.absolute()))


@main.command()
@_option("host", "Address to listen on.", metavar="ADDRESS")
@_option("port", "TCP port; 0 takes any free one.", short="-p", metavar="PORT")
def demo(**flags: str | None) -> None:
    """Serve a room with a few messages in it, from a directory that is thrown away at the end."""
    from quotechat.serving import serve as run

    directory = tempfile.mkdtemp(prefix="quotechat-demo-")
    settings = _settings(data=directory, **flags)
    master = os.getpid()
    try:
        # In a child: gunicorn forks this process later, and threads do not survive that.
        _in_child(lambda: _seed(settings))
        run(settings, ready=_introduce)
    finally:
        # The workers are forks that leave through here too; the directory is the master's to remove.
        if os.getpid() == master:
            shutil.rmtree(directory, ignore_errors=True)


@main.command()
@click.option("--show", is_flag=True, help="Print every setting, its value and where that is from.")
def config(show: bool) -> None:
    """Check the settings in the environment; with --show, print them."""
    settings = _settings()
    for name in unknown_variables():
        click.echo(f"warning: {name} is no setting of quotechat", err=True)
    if not show:
        click.echo("The settings are fine. --show prints them.")
        return
    rows = settings.show()
    names, values = (max(len(row[part]) for row in rows) for part in (0, 1))
    for name, value, source in rows:
        click.echo(f"{name:{names}}  {value:{values}}  {source}".rstrip())


@main.command()
@_option("data", "Directory that the server keeps its data in.", metavar="DIR")
def verify(data: str | None) -> None:
    """Walk the hash chain of every room; exit with 1 where history is not whole."""
    from quotechat.app import database_path
    from quotechat.store.sqlite import SqliteStore

    path = database_path(_settings(data=data))
    if not path.is_file():
        raise click.ClickException(f"there is no database at {path}")
    with contextlib.closing(SqliteStore(path)) as store:
        events, problems = _walk(store.verify())
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo(f"All {events} events are whole.")


@main.command()
@_option("data", "Directory that the server keeps its data in.", metavar="DIR")
def rebuild(data: str | None) -> None:
    """Make messages, reactions and quotes anew from the log, in one transaction."""
    from quotechat.app import database_path
    from quotechat.store.sqlite import SqliteStore

    path = database_path(_settings(data=data))
    if not path.is_file():
        raise click.ClickException(f"there is no database at {path}")
    bar = click.progressbar(length=1, label="events", file=sys.stderr)

    def progress(done: int, all_there_are: int) -> None:
        bar.length = max(all_there_are, 1)
        bar.update(done - bar.pos)

    with contextlib.closing(SqliteStore(path)) as store, bar:
        count = store.rebuild(progress)
    click.echo(f"All {count} events are replayed.")


@main.command()
@click.argument("url", required=False)
@click.option("--probes", default=30, show_default=True, metavar="N", help="Messages to send.")
@click.option("--rate", default=2.0, show_default=True, metavar="N", help="Messages a second.")
@click.option("--interval", default=2.0, show_default=True, metavar="S", help="Seconds between two short polls.")
@click.option("--idle", default=5.0, show_default=True, metavar="S", help="Seconds of silence to listen to first.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def lab(url: str | None, probes: int, rate: float, interval: float, idle: float, as_json: bool) -> None:
    """Measure short polling, long polling and WebSocket side by side.

    At the server at URL, or at one of its own that is thrown away.
    """
    from quotechat.lab import measure, table

    if min(probes, rate, interval, idle) <= 0:
        raise click.UsageError("probes, rate, interval and idle are more than 0")
    with contextlib.ExitStack() as stack:
        server = url.rstrip("/") if url else stack.enter_context(_own_server())
        length = probes + math.ceil(idle)
        bar = stack.enter_context(click.progressbar(length=length, label="silence, then probes", file=sys.stderr))
        try:
            rows = measure(
                server, probes=probes, rate=rate, interval=interval, idle=idle,
                progress=lambda _, count: bar.update(count),
            )  # fmt: skip
        except (OSError, RuntimeError) as fault:
            raise click.ClickException(f"{server} could not be measured: {fault}") from None
    click.echo(json.dumps([row._asdict() for row in rows], indent=2) if as_json else table(rows))
    if any(row.missed or row.repeated for row in rows):
        sys.exit(1)


@contextlib.contextmanager
def _own_server() -> Iterator[str]:
    """The address of a server on an empty directory, which goes with it."""
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


def _walk(steps: Iterator[tuple[str, int, int, str | None]]) -> tuple[int, list[str]]:
    """Follow a verification, with a bar per room; how many events there are, and what is wrong."""
    problems: list[str] = []
    heads: dict[str, int] = {}
    for room, seqs in groupby(steps, key=lambda step: step[0]):
        with contextlib.ExitStack() as stack:
            bar, done = None, 0
            for _, seq, head, problem in seqs:
                heads[room] = head
                # Made at the first step, which is the first to know the length.
                bar = bar or stack.enter_context(click.progressbar(length=head, label=room, file=sys.stderr))
                bar.update(seq - done)
                done = seq
                if problem is not None:
                    problems.append(f"{room}: event {seq} of {head}: {problem}")
    return sum(heads.values()), problems


def _in_child(work: Callable[[], None]) -> None:
    """Do `work` in a child process and wait for it. Raises ClickException where it failed."""
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
        raise click.ClickException("the demo could not be set up")


def _seed(settings: Settings) -> None:
    """Fill the lobby over the public API, as any program would."""
    from quotechat import create_app

    app = create_app(replace(settings, limits=False))
    people = {name: app.test_client() for name in ("Azin", "Bo", "Chidi")}
    sign_in = {name: _sign_in(client, name) for name, client in people.items()}

    def ask(name: str, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = people[name].open(f"/api/v1{path}", method=method, json=body, headers=sign_in[name])
        if answer.status_code >= 400:
            raise click.ClickException(f"{method} {path}: {answer.get_data(as_text=True)}")
        found: dict[str, Any] = answer.get_json(silent=True) or {}
        return found

    ids: list[int] = []
    for user, color, text, answers, likes in _CONVERSATION:
        body: dict[str, Any] = {"user": user, "message": text, "color": color}
        if answers is not None:
            body["reply_to"] = ids[answers]
        ids.append(ask(user, "POST", "/rooms/lobby/messages", body)["seq"])
        for fan in likes:
            ask(fan, "PUT", f"/rooms/lobby/messages/{ids[-1]}/reaction", {"reaction": "like"})
    ask("Azin", "POST", "/quotes", {"quote": _QUOTE[0], "author": _QUOTE[1]})
    app.extensions["quotechat"].close()


def _sign_in(client: Any, name: str) -> dict[str, str]:
    token = client.post("/api/v1/guests", json={"user": name}).get_json()["token"]
    return {"Authorization": f"Bearer {token}"}


def _introduce(url: str) -> None:
    click.echo(
        f"quotechat {__version__}, a demo: {url}\n"
        "\n"
        "Wait for a message in one terminal, send one in another:\n"
        f"  curl '{url}/api/v1/rooms/lobby/events?after=now&wait=25'\n"
        f"  curl -d 'Hello from curl' '{url}/api/v1/rooms/lobby/messages?user=Me'\n"
        "\n"
        "Ctrl-C stops; nothing is kept."
    )

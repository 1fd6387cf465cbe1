"""The commands ``say``, ``tail``, ``quote`` and ``sign-in``: a room from a terminal, over the Python client.

Exit codes: 0 done, 1 refused by the server, 2 wrong usage, 3 no answer, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import codecs
import contextlib
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from ..client import Backoff, Client, ClientError, Event, Message, Quote, Reset, Unanswered
from ..client.api import ACCOUNT_TOKEN
from ..protocol.markup import ansi
from ..protocol.names import COLORS
from . import following, tokens
from .options import check_cursor
from .uploading import line_of_file, uploaded

_Command = TypeVar("_Command", bound=Callable[..., Any])

DEFAULT_URL = "http://127.0.0.1:8000"
_TRANSPORTS = ("long-poll", "stream", "short-poll")


# --- Shared by the commands -----------------------------------------------------------------------


def url_option(command: _Command) -> _Command:
    return click.option(
        "--url", envvar="QUOTECHAT_URL", show_envvar=True, default=DEFAULT_URL, show_default=True, metavar="URL",
        help="The server.",
    )(command)  # fmt: skip


def json_option(command: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")(command)


def patience_option(command: _Command) -> _Command:
    return click.option(
        "--patience", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="S",
        help="Seconds to go on asking without an answer.",
    )(command)  # fmt: skip


def _complete_room(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """List the server's rooms for the completion of a shell; none if it does not answer at once."""
    url = ctx.params.get("url") or os.environ.get("QUOTECHAT_URL") or DEFAULT_URL
    try:
        with Client(url, patience=0, timeout=2) as client:
            rooms = client.rooms()
    except (ClientError, ValueError):
        return []
    return [
        CompletionItem(room["name"], help=room.get("title")) for room in rooms if room["name"].startswith(incomplete)
    ]


class _NoAnswer(click.ClickException):
    exit_code = 3


@contextlib.contextmanager
def reporting_client_faults() -> Iterator[None]:
    """Report a fault of the client by its message alone: exit code 3 if the server did not answer, else 1."""
    try:
        yield
    except Unanswered as fault:
        again = f"\nWhether it was stored is not known: --client-id {fault.client_id} sends it again safely."
        where = "\nIs the server elsewhere? --url or QUOTECHAT_URL says where."
        raise _NoAnswer(f"{fault}{where}{again if fault.client_id else ''}") from None
    except (ClientError, ValueError) as fault:
        raise click.ClickException(str(fault)) from None


def line_of(value: object) -> str:
    readable = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not readable, separators=(",", ":"))


# --- say ------------------------------------------------------------------------------------------


@click.command()
@click.argument("room", required=False, metavar="[ROOM]", shell_complete=_complete_room)
@click.argument("text", required=False, metavar="[TEXT|-]")
@url_option
@click.option("-u", "--user", envvar="QUOTECHAT_USER", show_envvar=True, metavar="NAME",
              help="Who says it.  [default: the name of the token's account, or your login]")  # fmt: skip
@click.option("--token", envvar="QUOTECHAT_TOKEN", show_envvar=True, metavar="TOKEN", help="In whose name.")
@click.option("--color", type=click.Choice(sorted(COLORS)), metavar="NAME", help="One of the twelve colours.")
@click.option("--reply-to", type=int, metavar="ID", help="The message that it answers.")
@click.option("--at", "send_at", metavar="WHEN", help="Later: +10m, or a time such as 2030-01-01T09:00:00+01:00.")
@click.option("--file", "paths", multiple=True, type=click.Path(exists=True, dir_okay=False), metavar="PATH",
              help="Upload it and send it with the message; up to ten times.")  # fmt: skip
@click.option("--alt", "alts", multiple=True, metavar="TEXT", help="What the file shows; for several in their order.")
@click.option("--lines", is_flag=True, help="Send each line of the standard input by itself, as it comes.")
@click.option("--client-id", metavar="ID", help="Send again what may have been stored under this id.")
@patience_option
@json_option
def say(
    room: str | None, text: str | None, url: str, user: str | None, token: str | None, color: str | None,
    reply_to: int | None, send_at: str | None, paths: tuple[str, ...], alts: tuple[str, ...], lines: bool,
    client_id: str | None, patience: float, as_json: bool,
) -> None:  # fmt: skip
    """Say TEXT, or the standard input, in ROOM (the lobby).

    One argument alone is the text. It is sent again until the server has it, and stored once.
    """
    if lines and paths:
        raise click.UsageError("--lines sends many messages, and a file belongs to one")
    if lines and (text is not None or client_id is not None):
        raise click.UsageError("--lines reads the standard input, and makes a client_id for each line")
    if text is None and not lines:
        room, text = None, room
    if text is None and paths:
        text = ""
    if user is None and not (token or "").startswith(ACCOUNT_TOKEN):
        user = getpass.getuser()
    with reporting_client_faults(), Client(url, token, user=user, patience=patience) as client:
        files = uploaded(client, room or "lobby", paths, alts)
        for said in _texts(text, lines):
            ack = client.post(
                said, room=room or "lobby", color=color, reply_to=reply_to, send_at=send_at, files=files,
                client_id=client_id,
            )  # fmt: skip
            if as_json:
                shown = {"room": room or "lobby", "client_id": ack.client_id, "seq": ack.seq, "cursor": ack.cursor,
                         "duplicate": ack.duplicate, "scheduled": ack.scheduled}  # fmt: skip
                click.echo(line_of({name: value for name, value in shown.items() if value is not None}))
            elif ack.scheduled:
                click.echo(f"{room or 'lobby'}: waits until {ack.scheduled['send_at']} (id {ack.scheduled['id']})")
            else:
                click.echo(f"{room or 'lobby'} #{ack.seq}{' (stored before)' if ack.duplicate else ''}")


def _texts(text: str | None, lines: bool) -> Iterator[str]:
    if lines:
        yield from (line.rstrip("\r\n") for line in map(_decoded, _input()) if line.strip())
    elif text is None or text == "-":
        if sys.stdin.isatty():
            raise click.UsageError("say what? Give TEXT, or pipe something in")
        whole = _decoded(b"".join(_input()))
        yield whole.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    else:
        yield text


def _input() -> Iterator[bytes]:
    """Yield the lines of the standard input, without the mark that some editors put before a text (U+FEFF)."""
    for number, line in enumerate(sys.stdin.buffer):
        yield line if number else line.removeprefix(codecs.BOM_UTF8)


def _decoded(data: bytes) -> str:
    try:
        return data.decode(sys.stdin.encoding)
    except UnicodeDecodeError as fault:
        raise click.ClickException(
            f"the input is not {fault.encoding.upper()}: byte {fault.start + 1} is {data[fault.start]:#04x};"
            " convert it first (iconv -f latin1 -t utf-8)"
        ) from None


@click.command(name="sign-in")
@click.argument("name")
@url_option
@click.option("--account", is_flag=True, help="NAME is an account: ask for its password.")
@patience_option
def sign_in(name: str, url: str, account: bool, patience: float) -> None:
    """Print a token for NAME, for QUOTECHAT_TOKEN: of its account, by its password, or of a new guest.

    A server that is for people with accounts wants the password; --account asks for it elsewhere too.
    """
    if account or tokens.wants_password(url):
        click.echo(tokens.new_token(url, name, click.prompt("Password", hide_input=True, err=True)))
        return
    with reporting_client_faults(), Client(url, patience=patience) as client:
        click.echo(client.sign_in(name))


# --- tail -----------------------------------------------------------------------------------------


@click.command()
@click.argument("room", default="lobby", metavar="[ROOM]", shell_complete=_complete_room)
@url_option
@click.option("--token", envvar="QUOTECHAT_TOKEN", show_envvar=True, metavar="TOKEN", help="In whose name.")
@click.option("--since", metavar="CURSOR", help="Go on after this cursor; 0 is the oldest event that is kept.")
@click.option("-n", "latest", type=click.IntRange(0, 200), default=10, show_default=True, metavar="N",
              help="Without --since: begin with so many of the latest messages.")  # fmt: skip
@click.option("--transport", type=click.Choice(_TRANSPORTS), default="long-poll", show_default=True,
              help="How to read.")  # fmt: skip
@click.option("--interval", type=click.FloatRange(min=0.05), default=2.0, show_default=True, metavar="S",
              help="Seconds between two short polls.")  # fmt: skip
@json_option
def tail(
    room: str, url: str, token: str | None, since: str | None, latest: int, transport: Any, interval: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Show the messages of ROOM (the lobby), as they are sent, without missing anything.

    With @inbox for ROOM, it shows what is new in all the rooms of the account, whenever that changes.

    It goes on by itself after every failure. With --json each line is an envelope of the protocol, and the
    `cursor` of the last one is the --since of the next time.
    """
    if room == "@inbox":
        with _stopping(), reporting_client_faults():
            following.tail(url, token, since, as_json=as_json)
        return
    check_cursor(since)
    lines = _Lines(_colors())
    shown = _Envelopes(room) if as_json else lines
    with _stopping(), reporting_client_faults(), Client(url, token, backoff=Backoff(most=10)) as client:
        if since is None:
            snapshot = client.snapshot(room, max(latest, 1))
            since = snapshot["cursor"]
            if not as_json:
                for message in snapshot["messages"][-latest:] if latest else []:
                    lines.message(message)
        reader = client.events(room, after=since, transport=transport, interval=interval)
        while True:
            try:
                for event in reader:
                    shown.event(event)
            except Reset as reset:
                shown.reset(reset)


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """Ctrl-C and a pipe that was closed are ordinary ends."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The rest of the buffer cannot be written; without this, Python reports that at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _colors() -> bool:
    """Return True to show colours: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Envelopes:
    """As the server sent it, one envelope a line."""

    def __init__(self, room: str) -> None:
        self._room = room

    def event(self, event: Event) -> None:
        _print(line_of(event.envelope))

    def reset(self, reset: Reset) -> None:
        _print(
            line_of({"command": "reset", "room": self._room, "error": reset.problem.body, "snapshot": reset.snapshot})
        )


class _Lines:
    """Write for people: a line for each message, shorter ones for its changes."""

    def __init__(self, colors: bool) -> None:
        self._colors = colors

    def event(self, event: Event) -> None:
        if event.quote is not None and not event.quote.get("removed"):
            _print(f"{_clock(event.at)}  {self._quote(event.quote)}")
        elif event.message is not None:
            self._happened(event.command, event.message)
        elif event.command == "audit":
            self._audited(event)

    def _happened(self, command: str, message: Message) -> None:
        number = f"#{message['id']}"
        if command == "message-sent":
            self.message(message)
        elif command == "message-edited":
            _print(f"       {number} is now: {self._text(message)}")
        elif command == "message-deleted":
            _print(f"       {number} was deleted")
        elif command == "reactions-changed":
            emoji = "".join(f", {count} {each}" for each, count in message.get("reactions", {}).items())
            _print(f"       {number} has {message.get('likes', 0)} likes, {message.get('dislikes', 0)} dislikes{emoji}")

    def _audited(self, event: Event) -> None:
        act: dict[str, Any] = dict(event.envelope["audit"])
        about = [f"{name} {value}" for name, value in act.items() if name not in ("what", "detail")]
        detail = [f"({act['detail']})"] if "detail" in act else []
        _print(f"{_clock(event.at)}  {ansi.safe(' '.join([act['what'], *about, *detail]))}")

    def message(self, message: Message) -> None:
        user = self._styled([{"text": message.get("user", ""), "bold": True}], message.get("color"))
        if message.get("deleted"):
            _print(f"{_clock(message.get('at', ''))}  {user}: (deleted)")
            return
        answered = message.get("reply_to")
        if answered:
            excerpt = "(deleted)" if answered.get("deleted") else answered.get("excerpt", "")
            _print(f"       {self._styled([{'text': answered.get('user', '') + ': ' + excerpt, 'code': True}])}")
        _print(f"{_clock(message.get('at', ''))}  {user}: {self._text(message)}")

    def reset(self, reset: Reset) -> None:
        click.echo(f"quotechat: {reset.problem} Here is the room as it is now:", err=True)
        for message in reset.snapshot["messages"]:
            self.message(message)

    def _text(self, message: Message) -> str:
        runs = message.get("runs") or [{"text": message.get("message", "")}]
        # More lines of one message stand under its first.
        lines = [self._styled(runs, message.get("color"))] if message.get("message") else []
        lines += map(line_of_file, message.get("files", ()))
        return "\n".join(lines).replace("\n", "\n       ")

    def _quote(self, quote: Quote) -> str:
        return f"“{self._styled([{'text': quote['quote'], 'italic': True}])}” – {ansi.safe(quote['author'])}"

    def _styled(self, runs: list[dict[str, Any]], color: str | None = None) -> str:
        if self._colors:
            return ansi.render(cast(Any, runs), color)
        return "".join(ansi.safe(run["text"]) for run in runs)


def _print(line: str) -> None:
    # Flushed: a reader of a pipe wants each line when it comes.
    print(line, flush=True)


def _clock(at: str) -> str:
    """Return the time of day here of an RFC 3339 time."""
    return f"{datetime.fromisoformat(at).astimezone():%H:%M}" if at else "     "


# --- quote ----------------------------------------------------------------------------------------


@click.group(invoke_without_command=True)
@url_option
@click.option("--token", envvar="QUOTECHAT_TOKEN", show_envvar=True, metavar="TOKEN", help="In whose name.")
@patience_option
@json_option
@click.pass_context
def quote(ctx: click.Context, url: str, token: str | None, patience: float, as_json: bool) -> None:
    """One quote by chance; or add one, or search."""
    with reporting_client_faults():
        client = ctx.with_resource(Client(url, token, patience=patience))
        ctx.obj = client, as_json
        if ctx.invoked_subcommand is None:
            _show_quote(client.random_quote(), as_json)


@quote.command()
@click.argument("text")
@click.option("-a", "--author", required=True, metavar="NAME", help="Who said it.")
@click.option("--room", default="lobby", show_default=True, metavar="ROOM", help="The room that hears of it.",
              shell_complete=_complete_room)  # fmt: skip
@click.pass_obj
def add(found: tuple[Client, bool], text: str, author: str, room: str) -> None:
    """Add TEXT to the collection."""
    client, as_json = found
    with reporting_client_faults():
        ack = client.quote(text, author, room=room)
    click.echo(line_of({"room": room, "seq": ack.seq, "cursor": ack.cursor}) if as_json else f"{room} #{ack.seq}")


@quote.command()
@click.argument("words", nargs=-1, required=True)
@click.option("-n", "most", type=click.IntRange(1, 500), default=20, show_default=True, metavar="N",
              help="At most so many.")  # fmt: skip
@click.pass_obj
def search(found: tuple[Client, bool], words: tuple[str, ...], most: int) -> None:
    """List quotes that have all WORDS, the newest first; exit code 1 if there is none."""
    client, as_json = found
    with reporting_client_faults():
        quotes = client.quotes(" ".join(words), limit=most)
    for each in quotes:
        _show_quote(each, as_json)
    if not quotes:
        sys.exit(1)


def _show_quote(quote: Quote, as_json: bool) -> None:
    text = f"{ansi.safe(quote['quote'])}\n  – {ansi.safe(quote['author'])}"
    click.echo(line_of(quote) if as_json else text)

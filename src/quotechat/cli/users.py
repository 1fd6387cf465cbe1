"""The operator's commands about accounts: lists, links, bans. At the data, with a running server or without."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click

from ..config import Settings
from ..protocol.errors import Refused
from .console import age, now_ms, reporting_faults
from .options import option, settings_of

_ROLES = ("owner", "admin", "member", "guest")


class Opened(NamedTuple):
    """The open store, and the calls on its accounts."""

    store: Any
    people: Any
    bots: Any
    settings: Settings


@contextlib.contextmanager
def opened(data: str | None) -> Iterator[Opened]:
    """Open the store of the settings for changes to accounts; a refusal becomes the command's message."""
    from ..hub.accounts.bots import Bots
    from ..hub.accounts.people import People
    from ..store.open import open_store

    settings = settings_of(data=data)
    with reporting_faults(), contextlib.closing(open_store(settings)) as store:
        try:
            yield Opened(store, People(store, now_ms, access=settings.access), Bots(store, now_ms), settings)
        except Refused as refused:
            raise click.ClickException(refused.detail) from refused


@contextlib.contextmanager
def _people(data: str | None) -> Iterator[tuple[Any, Settings]]:
    with opened(data) as at_hand:
        yield at_hand.people, at_hand.settings


def account_of(people: Any, name: str) -> Any:
    """Return the account of that name. Raises ClickException."""
    found = people.named(name)
    if found is None or found.state == "closed":
        raise click.ClickException(f"there is no account {name}")
    return found


def link(settings: Settings, kind: str, code: str) -> str:
    """Return the address of a link; the code is behind the #, which no log sees."""
    return f"{base_of(settings)}/{kind}#{code}"


def base_of(settings: Settings) -> str:
    """Return the address of the server, as people reach it."""
    host = settings.host if settings.host not in ("0.0.0.0", "::") else "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    # With port 0 the server says where it is when it has started.
    here = f"http://{shown}:{settings.port}" if settings.port else ""
    return settings.public_url or here


def _shown(account: Any) -> dict[str, Any]:
    at = datetime.fromtimestamp(account.made_at / 1000, UTC).isoformat(timespec="seconds")
    state = account.state_at(now_ms())
    return {"id": account.key, "name": account.name, "role": account.role, "state": state, "at": at}


@click.group()
def users() -> None:
    """Accounts: list them, make links to come in by, set roles, ban."""


data_option = option("data", "Directory that the server keeps its data in.", metavar="DIR")


@users.command()
@data_option
def setup(data: str | None) -> None:
    """Print a link that makes the first owner, for a day."""
    with _people(data) as (people, settings):
        click.echo(link(settings, "setup", people.setup_link().code))


@users.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="member", show_default=True, help="What it may do.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input.")
@data_option
def add(name: str, role: str, password_stdin: bool, data: str | None) -> None:
    """Make an account NAME, and print a link by which its owner chooses a password."""
    from ..hub.accounts.passwords import Passwords

    hash_ = None
    with _people(data) as (people, settings):
        if password_stdin:
            passwords = Passwords(settings.password_chars)
            known = (name, people.site()["title"], "quotechat")
            hash_ = passwords.hash(passwords.check(sys.stdin.readline().rstrip("\r\n"), *known))
        account, made = people.make(None, name, role, hash_)
        if password_stdin:
            click.echo(f"{account.name} is {role}.")
        else:
            click.echo(link(settings, "reset", made.code))


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@data_option
def list_(as_json: bool, data: str | None) -> None:
    """Every account that is not closed."""
    with _people(data) as (people, _):
        for account in reversed(people.listed(limit=1_000_000)):
            shown = _shown(account)
            click.echo(json.dumps(shown, ensure_ascii=False) if as_json else "  ".join(map(str, shown.values())))


@users.command()
@click.argument("name")
@data_option
def show(name: str, data: str | None) -> None:
    """One account."""
    with _people(data) as (people, _):
        for key, value in _shown(account_of(people, name)).items():
            click.echo(f"{key:6} {value}")


def _change(doc: str, change: Callable[..., Any], *arguments: Any, name: str | None = None) -> None:
    """Add a command that changes one account."""

    def run(data: str | None, **given: Any) -> None:
        with _people(data) as (people, settings):
            said = change(people, settings, account_of(people, given.pop("name")), **given)
        if said is not None:
            click.echo(said)

    command: Any = click.command(name or change.__name__.strip("_").replace("_", "-"), help=doc)(data_option(run))
    for argument in reversed((click.Argument(["name"]), *arguments)):
        command.params.insert(0, argument)
    users.add_command(command)


def _role(people: Any, settings: Settings, account: Any, role: str) -> None:
    people.set_role(None, account.key, role)


def _rename(people: Any, settings: Settings, account: Any, new: str) -> None:
    people.rename(None, account.key, new)


def _reset(people: Any, settings: Settings, account: Any) -> str:
    return link(settings, "reset", people.reset_link(None, account.key).code)


def _sign_out(people: Any, settings: Settings, account: Any) -> None:
    people.sign_out(None, account.key)


def _ban(people: Any, settings: Settings, account: Any, until: str | None, delete_messages: bool) -> None:
    from ..protocol.moments import due

    try:
        ends = None if until is None else due(until, now_ms(), 3650)
    except Refused as refused:
        raise click.ClickException(refused.detail.replace("send_at", "--until")) from refused
    people.ban(None, account.key, ends, erase=delete_messages)


def _unban(people: Any, settings: Settings, account: Any) -> None:
    people.unban(None, account.key)


def _close(people: Any, settings: Settings, account: Any, delete_messages: bool) -> None:
    people.close(None, account.key, erase=delete_messages)


_delete = click.Option(["--delete-messages"], is_flag=True, help="Delete its messages too; the server does that.")


_change("Give NAME another role.", _role, click.Argument(["role"], type=click.Choice(_ROLES)))
_change("Give NAME another name.", _rename, click.Argument(["new"]))
_change("Print a link by which NAME chooses a new password, for a day.", _reset)
_change("Sign NAME out everywhere.", _sign_out)
_change(
    "Let NAME do nothing any more.", _ban,
    click.Option(["--until"], metavar="T", help="Such as +30d, or 2030-01-01T09:00:00Z. Without it, for good."),
    _delete,
)  # fmt: skip
_change("Lift the ban of NAME.", _unban)
_change("Close the account of NAME for good.", _close, _delete)


@click.command()
@click.option("--uses", type=click.IntRange(1, 1000), default=1, show_default=True, help="For how many people.")
@click.option("--for", "span", type=age, default="7d", show_default=True, metavar="AGE", help="For how long.")
@click.option("--note", help="What it is for; administrators see it.")
@click.option("--role", type=click.Choice(["member", "guest"]), default="member", show_default=True,
              help="A guest sees only the rooms named.")  # fmt: skip
@click.option("--room", "rooms", multiple=True, metavar="R", help="A room to let them into; may be given again.")
@data_option
def invite(uses: int, span: int, note: str | None, role: str, rooms: tuple[str, ...], data: str | None) -> None:
    """Print a link by which people join."""
    with _people(data) as (people, settings):
        made = people.invite(None, role=role, uses=uses, lasts_ms=span, note=note, rooms=rooms)
        click.echo(link(settings, "join", made.code))


def new_setup_code(settings: Settings) -> str | None:
    """Return the code of a link that makes the first owner; None if there is one."""
    from ..hub.accounts.people import People
    from ..store.open import open_store

    with contextlib.closing(open_store(settings, patience=20.0)) as store:
        people = People(store, now_ms)
        return None if people.has_owner() else str(people.setup_link().code)

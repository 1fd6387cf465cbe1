"""The operator's commands about programs: bots and tokens. At the data, with a running server or without."""

from __future__ import annotations

import json
from typing import Any

import click

from ..protocol.errors import Invalid
from ..protocol.rights.principal import SCOPES
from .console import age, now_ms
from .users import account_of, data_option, opened

_OPTIONS = {"expires_in": "--for", "name": "--note", "rooms": "--room"}
"""The options of a token, by the fields of the API that are the same."""


@click.group()
def bots() -> None:
    """Bots: accounts of programs."""


@bots.command("add")
@click.argument("name")
@click.option("--room", "rooms", multiple=True, metavar="R", help="For this room alone; may be given again.")
@click.option("--keeper", metavar="NAME", help="The account that answers for it; without it, the operator.")
@data_option
def add_bot(name: str, rooms: tuple[str, ...], keeper: str | None, data: str | None) -> None:
    """Make a bot NAME, and print its token, which is shown once."""
    with opened(data) as at_hand:
        key = None if keeper is None else account_of(at_hand.people, keeper).key
        click.echo(at_hand.bots.make(None, name, _rooms(rooms), key).text)


@bots.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@data_option
def list_bots(as_json: bool, data: str | None) -> None:
    """Every bot, with its keeper."""
    with opened(data) as at_hand:
        for bot in at_hand.bots.every():
            keeper = at_hand.people.ids({bot.keeper}).get(bot.keeper) if bot.keeper is not None else None
            shown = {"id": bot.key, "name": bot.name, "keeper": keeper}
            line = "  ".join(each or "-" for each in shown.values())
            click.echo(json.dumps(shown, ensure_ascii=False) if as_json else line)


@bots.command("close")
@click.argument("name")
@data_option
def close_bot(name: str, data: str | None) -> None:
    """Close the bot NAME for good. Its messages stay."""
    with opened(data) as at_hand:
        at_hand.bots.close(None, account_of(at_hand.people, name).key)


@click.group()
def tokens() -> None:
    """Tokens, by which programs act for an account or a bot."""


@tokens.command("list")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@data_option
def list_tokens(name: str, as_json: bool, data: str | None) -> None:
    """The tokens of the account or bot NAME, without their secrets."""
    from ..store.accounts import sessions

    with opened(data) as at_hand:
        account = account_of(at_hand.people, name)
        for token in at_hand.store.read_with(lambda sql: sessions.tokens_of(sql, account.id)):
            shown: dict[str, Any] = {
                "id": token.id, "name": token.name, "scopes": token.scopes.split(),
                "rooms": None if token.rooms is None else token.rooms.split(),
            }  # fmt: skip
            columns = (token.id, token.scopes.replace(' ', ','), (token.rooms or '*').replace(' ', ','), token.name)
            line = "  ".join(columns)
            click.echo(json.dumps(shown, ensure_ascii=False) if as_json else line)


@tokens.command("add")
@click.argument("name")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, help="What it may do; all without it.")
@click.option("--room", "rooms", multiple=True, metavar="R", help="For this room alone; may be given again.")
@click.option("--for", "span", type=age, metavar="AGE",
              help="For how long, an hour to two years; without it, for good.")  # fmt: skip
@click.option("--note", default="command line", show_default=True, help="What it is for.")
@data_option
def add_token(
    name: str, scopes: tuple[str, ...], rooms: tuple[str, ...], span: int | None, note: str, data: str | None
) -> None:
    """Make a token of the account or bot NAME, and print it; it is shown once."""
    from ..hub.accounts.credentials import mint
    from ..store.accounts import sessions
    from ..store.administration import audit

    with opened(data) as at_hand:
        wanted = tuple(each for each in SCOPES if each in scopes) or SCOPES
        account = account_of(at_hand.people, name)
        try:
            token, text = mint(account.id, note, now_ms(), wanted, _rooms(rooms), span)
        except Invalid as fault:
            raise click.BadParameter(fault.detail, param_hint=_OPTIONS.get(fault.field or "")) from None

        def work(sql: Any) -> None:
            sessions.add_token(sql, token)
            audit.tell(sql, token.at, "token-made", account=account.key, detail=token.id)

        at_hand.store.write_with(work)
        click.echo(text)


@tokens.command("revoke")
@click.argument("token_id", metavar="ID")
@data_option
def revoke_token(token_id: str, data: str | None) -> None:
    """Revoke the token ID, as `quotechat tokens list` shows it."""
    from ..store.accounts import accounts, sessions
    from ..store.administration import audit

    with opened(data) as at_hand:

        def work(sql: Any) -> None:
            key = accounts.by_id(sql, sessions.revoke_any(sql, token_id)).key
            audit.tell(sql, now_ms(), "token-revoked", account=key, detail=token_id)

        at_hand.store.write_with(work)


def _rooms(given: tuple[str, ...]) -> tuple[str, ...] | None:
    from ..protocol.names import clean_room

    return tuple(clean_room(each, "room") for each in given) or None

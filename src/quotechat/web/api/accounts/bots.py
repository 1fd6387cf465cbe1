"""The API of bots, and of their tokens, for their keepers and for administrators."""

from __future__ import annotations

from flask import Blueprint, Response

from ....hub.accounts.bots import Bots
from ....hub.chat import Chat
from ....protocol.errors import Invalid
from ....protocol.rights.permissions import CREATE_BOT
from ....protocol.types import account_types as types
from ...http import authentication, parameters, quota
from ...http.services import services
from ...spec.described import described
from ..messages import live
from . import showing, token_fields

blueprint = Blueprint("bots", __name__, url_prefix="/api/v1")

_ONE = ("account-unknown", "forbidden", "scope-missing")


@blueprint.get("/bots")
@described(answers={200: types.Bots}, problems=("scope-missing",), identity="needed")
def listed() -> Response:
    """{`bots`}, the newest first: one's own; all for administrators."""
    found = _bots().listed(authentication.need_account())
    keepers = authentication.services().people.ids({each.keeper for each in found if each.keeper is not None})
    return live({"bots": [showing.account(each, ids=keepers) for each in found]})


@blueprint.post("/bots")
@described(
    answers={201: types.NewBot},
    body=types.BotBody,
    problems=("account-unknown", "conflict", "forbidden", "rate-limited", "scope-missing"),
    writes=True,
    limit="change",
    identity="needed",
)
def make() -> Response:
    """Make a bot: {`name`, `rooms`?, `scopes`?, `keeper`?} → 201 {`account`, `token`}, the secret shown once."""
    principal, fields = authentication.need_account(), parameters.fields()
    quota.take_change()
    authentication.need_right(principal, CREATE_BOT)
    name, keeper = fields.get("name"), fields.get("keeper")
    if not isinstance(name, str):
        raise Invalid("name", "name is missing, or no text.")
    if keeper is not None and not isinstance(keeper, str):
        raise Invalid("keeper", "keeper is no text.")
    made = _bots().make(principal, name, token_fields.rooms(fields), keeper, token_fields.scopes(fields))
    keepers = authentication.services().people.ids({made.account.keeper or 0})
    return live({"account": showing.account(made.account, ids=keepers), "token": made.text}, 201)


@blueprint.patch("/bots/<account_id>")
@described(
    answers={200: types.Account}, body=types.BotChange, problems=("conflict", "rate-limited", *_ONE), writes=True,
    limit="change", identity="needed",
)  # fmt: skip
def hand_over(account_id: str) -> Response:
    """Give a bot another keeper: {`keeper`} → the bot."""
    principal, keeper = authentication.need_account(), parameters.json_object().get("keeper")
    quota.take_change()
    if not isinstance(keeper, str):
        raise Invalid("keeper", "keeper is missing, or no text.")
    found = _bots().hand_over(principal, account_id, keeper)
    keepers = authentication.services().people.ids({found.keeper or 0})
    return live(showing.account(found, ids=keepers))


@blueprint.delete("/bots/<account_id>")
@described(answers={204: None}, problems=_ONE, writes=True, identity="needed")
def close(account_id: str) -> Response:
    """Close a bot for good; its messages stay."""
    _bots().close(authentication.need_account(), account_id)
    return Response(status=204)


@blueprint.get("/bots/<account_id>/tokens")
@described(answers={200: types.Tokens}, problems=_ONE, identity="needed")
def tokens(account_id: str) -> Response:
    """{`tokens`} of a bot, the newest first, without their secrets."""
    principal = authentication.need_person()
    return live({"tokens": [showing.token(each) for each in _bots().tokens(principal, account_id)]})


@blueprint.post("/bots/<account_id>/tokens")
@described(
    answers={201: types.NewToken},
    body=types.TokenBody,
    problems=("proof-needed", "conflict", "rate-limited", *_ONE),
    writes=True,
    limit="change",
    identity="needed",
)
def new_token(account_id: str) -> Response:
    """Make a token of a bot: {`name`, `scopes`?, `rooms`?, `expires_in`?} → 201, once with its secret."""
    principal = authentication.need_person("token")
    quota.take_change()
    fields, chat = parameters.fields(), _chat()
    found, text = _bots().add_token(
        principal, account_id, token_fields.name(fields), token_fields.scopes(fields), token_fields.rooms(fields),
        token_fields.lasts(fields, chat.now()),
    )  # fmt: skip
    return live({**showing.token(found), "token": text}, 201)


@blueprint.delete("/bots/<account_id>/tokens/<token_id>")
@described(answers={204: None}, problems=("proof-needed", "token-unknown", *_ONE), writes=True, identity="needed")
def revoke(account_id: str, token_id: str) -> Response:
    """Revoke a token of a bot."""
    principal = authentication.need_person("token")
    _bots().revoke_token(principal, account_id, token_id)
    return Response(status=204)


def _bots() -> Bots:
    return authentication.services().bots


def _chat() -> Chat:
    return services().chat

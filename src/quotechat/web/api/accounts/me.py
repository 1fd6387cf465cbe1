"""The calls of an account about itself: name, password, tokens, its messages as a visitor, and its end."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from ....hub.accounts.accounts import Accounts
from ....hub.accounts.own_export import OwnExport
from ....hub.chat import Chat
from ....protocol import json
from ....protocol.errors import Invalid, Overloaded, ParameterInvalid, Unauthenticated
from ....protocol.events import rfc3339
from ....protocol.rights.principal import SCOPES, Principal
from ....protocol.types import account_types as types
from ....protocol.types import wire
from ....store import reading
from ....store.accounts import accounts, personal, sessions
from ....store.accounts.accounts import Account
from ...http import authentication, parameters, quota, security
from ...http.services import services
from ...spec.described import described
from ...transports import downloading
from ..messages import live
from . import showing, token_fields

blueprint = Blueprint("me", __name__, url_prefix="/api/v1")

SETTINGS = {"presence": ("on", "off"), "level": ("everything", "mentions", "nothing"), "notify": ("on", "off")}
"""The settings of an account and their values. `notify` is kept for clients: the server and its pages do not use it."""


@blueprint.get("/me")
@described(answers={200: types.Me}, identity="optional")
def me() -> Response:
    """The caller: {`account`?, `access`, `site`, `scopes`, `session`?, `proved_until`?, `settings`}."""
    of_accounts = authentication.services()
    found = of_accounts.people.site()
    shown: dict[str, Any] = {"access": of_accounts.access, "site": {"title": found["title"]}, "scopes": list(SCOPES)}
    contact = found["contact"] or services().settings.contact
    if contact:
        shown["site"]["contact"] = contact
    caller = authentication.caller()
    if caller is None:
        security.identity()  # a token that is not ours is refused, also by an answer that needs no identity
        return live(shown | {"settings": {}})
    return live(shown | _session_fields(caller))


def _session_fields(caller: authentication.Caller) -> dict[str, Any]:
    principal, session = caller.principal, caller.session
    account = _own(principal)
    shown: dict[str, Any] = {
        "account": showing.own(account),
        "scopes": [each for each in SCOPES if each in principal.scopes],
        "settings": json.loads(account.settings.encode()),
    }
    if session is not None:
        shown["session"] = showing.session(session, session.hash)
        until = _accounts().proved_until(session)
        if until is not None:
            shown["proved_until"] = rfc3339(until)
    return shown


@blueprint.patch("/me")
@described(
    answers={200: types.Account},
    body=types.MeBody,
    problems=("conflict", "rate-limited", "scope-missing"),
    writes=True,
    limit="change",
    identity="needed",
)
def change() -> Response:
    """Change name or settings: {`name`?, `settings`?} → the account. A name once a day; 50 tries an hour."""
    principal, fields = authentication.need_account(), parameters.fields()
    quota.take_change()
    settings = clean_settings(fields.get("settings", {}))
    if "name" in fields:
        # A refused name counts too: a guest learns from a refusal which accounts there are.
        _chat().limits.allow("guest", principal.identity or "", security.address())
    if "name" in fields or settings:
        _accounts().change(principal, fields.get("name"), settings, security.visitor())
    return live(showing.own(_own(principal)))


@blueprint.put("/me/password")
@described(
    answers={204: None},
    body=types.PasswordBody,
    problems=("scope-missing", "proof-needed"),
    writes=True,
    identity="needed",
)
def password() -> Response:
    """Set a new password: {`password`, `end_tokens`?}. Needs a proof; every other session ends."""
    _, session = authentication.need_proof("password")
    fields = parameters.fields()
    end_tokens = fields.get("end_tokens", False)
    if not isinstance(end_tokens, bool):
        raise Invalid("end_tokens", "end_tokens is true or false.")
    _accounts().change_password(session, fields.get("password"), authentication.client(), end_tokens=end_tokens)
    return Response(status=204)


@blueprint.delete("/me")
@described(
    answers={202: None},
    body=types.CloseBody,
    optional_body=True,
    problems=("scope-missing", "proof-needed", "sign-in-failed", "rate-limited", "conflict"),
    writes=True,
    identity="needed",
)
def close() -> Response:
    """Close the account for good: {`password`?, `messages`?: `keep` or `delete`} → 202; they go in the background.

    The password is needed if it was not given within the last ten minutes.
    """
    principal, session = authentication.need_session()
    fields = parameters.fields(needed=False)
    erase = token_fields.erase(fields)
    if fields.get("password") is not None:
        _accounts().confirm(session, fields["password"], authentication.client())
    else:
        authentication.need_proof("account")
    _accounts().close(principal, erase=erase)
    return authentication.end(Response(status=202))


@blueprint.get("/me/export")
@described(answers={200: str}, media=("application/x-ndjson", "application/x-tar"), query=("files",),
           problems=("scope-missing", "rate-limited", "overloaded", "storage-full"), identity="needed")  # fmt: skip
def export() -> Response:
    """One's own data, as lines of JSON: account, sessions, tokens, memberships, messages, reactions, files.

    Of all rooms, left ones too. With `?files=1` a tar archive: these lines as `quotechat.ndjson`, where a file has its
    `path`, and the contents of the files. Without, those are at their addresses; each has its `sha256`.
    """
    principal = authentication.need_account()
    with_files = parameters.flag("files")
    _chat().limits.allow("export", principal.identity or "")
    find = authentication.services().files.content if with_files else None
    try:
        found = OwnExport(_chat(), principal.account or 0, find)
    except Overloaded:
        _chat().limits.refund("export", principal.identity or "")
        raise
    try:
        _accounts().exported(principal)
    except BaseException:
        found.close()
        raise
    kind, name = ("x-tar", "quotechat.tar") if with_files else ("x-ndjson", "quotechat.ndjson")
    headers = {
        "Content-Type": f"application/{kind}",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return downloading.whole(found, headers)


@blueprint.get("/me/scheduled")
@described(answers={200: wire.Waiting}, identity="needed")
def scheduled() -> Response:
    """{`scheduled`}: one's own messages that wait, of all rooms, the next first; by a token, of its rooms."""
    principal = authentication.need_account()
    found = _chat().read_with(lambda sql: reading.scheduled_anywhere(sql, principal.identity or ""))
    return live({"scheduled": [each for each in found if principal.rooms is None or each["room"] in principal.rooms]})


@blueprint.post("/me/claims")
@described(
    answers={200: types.Claimed},
    body=types.ClaimBody,
    optional_body=True,
    problems=("conflict", "rate-limited", "scope-missing"),
    writes=True,
    limit="change",
    identity="needed",
)
def claim() -> Response:
    """Take over the messages that the caller wrote as a visitor: {`token`}, or the visitor's cookie → {`messages`}."""
    principal, fields = authentication.need_account(), parameters.fields(needed=False)
    quota.take_change()
    token = fields.get("token")
    if token is not None and not isinstance(token, str):
        raise Invalid("token", "token is no text.")
    visitor = security.visitor() if token is None else security.guest_identity(token)
    if visitor is None:
        raise Invalid("token", "There is no visitor's cookie, and no token.")
    return live({"messages": _accounts().claim(principal, visitor)})


# --- Notices and blocks -----------------------------------------------------------------------------


@blueprint.delete("/me/notices/<int:notice_id>")
@described(
    answers={204: None}, problems=("not-found", "rate-limited", "scope-missing"), writes=True, limit="change",
    identity="needed",
)  # fmt: skip
def dismiss(notice_id: int) -> Response:
    """Take a notice of the inbox away."""
    number = authentication.need_account().account or 0
    quota.take_change()
    _chat().write_with(lambda sql: personal.dismiss(sql, number, notice_id))
    return Response(status=204)


@blueprint.get("/me/blocks")
@described(answers={200: types.Blocked}, problems=("scope-missing",), identity="needed")
def blocks() -> Response:
    """{`blocked`}: the accounts that one does not want to hear of."""
    found = blocked_by(authentication.need_account())
    keepers = showing.makers_of(found)
    return live({"blocked": [showing.account(each, ids=keepers) for each in found]})


@blueprint.put("/me/blocks/<account_id>")
@described(
    answers={204: None}, problems=("account-unknown", "conflict", "rate-limited", "scope-missing"), writes=True,
    limit="change", identity="needed",
)  # fmt: skip
def block(account_id: str) -> Response:
    """Block an account: its direct messages are refused, its mentions make no news."""
    set_block(authentication.need_account(), account_id, on=True)
    return Response(status=204)


@blueprint.delete("/me/blocks/<account_id>")
@described(
    answers={204: None}, problems=("account-unknown", "rate-limited", "scope-missing"), writes=True, limit="change",
    identity="needed",
)  # fmt: skip
def unblock(account_id: str) -> Response:
    """Block it no longer."""
    set_block(authentication.need_account(), account_id, on=False)
    return Response(status=204)


def set_block(principal: Principal, account_id: str, *, on: bool) -> None:
    """Block an account, or block it no longer. Raises AccountUnknown, Conflict, RateLimited."""
    quota.take_change()
    number = principal.account or 0
    if on:
        authentication.services().people.one(account_id, principal)  # a guest is not told who else is here
        _chat().write_with(lambda sql: personal.block(sql, number, account_id))
    else:
        _chat().write_with(lambda sql: personal.unblock(sql, number, account_id))


def blocked_by(principal: Principal) -> list[Account]:
    """Return the accounts that `principal` blocks."""
    number = principal.account or 0
    return _chat().read_with(lambda sql: personal.blocked(sql, number))


# --- Tokens -----------------------------------------------------------------------------------------


@blueprint.get("/tokens")
@described(answers={200: types.Tokens}, problems=("scope-missing",), identity="needed")
def tokens() -> Response:
    """{`tokens`}: one's own, the newest first, without their secrets."""
    principal = authentication.need_person()
    found = _chat().read_with(lambda sql: sessions.tokens_of(sql, principal.account or 0))
    return live({"tokens": [showing.token(each) for each in found]})


@blueprint.post("/tokens")
@described(
    answers={201: types.NewToken},
    body=types.TokenBody,
    problems=("scope-missing", "proof-needed", "conflict", "rate-limited"),
    writes=True,
    limit="change",
    identity="needed",
)
def new_token() -> Response:
    """Make a token for a program: {`name`, `scopes`?, `rooms`?, `expires_in`?} → 201, once with its secret."""
    principal = authentication.need_person("token")
    quota.take_change()
    fields = parameters.fields()
    found, text = _accounts().new_token(
        principal.account or 0, token_fields.name(fields), token_fields.scopes(fields), token_fields.rooms(fields),
        token_fields.lasts(fields, _chat().now()), principal.proof,
    )  # fmt: skip
    return live({**showing.token(found), "token": text}, 201)


@blueprint.delete("/tokens/this")
@described(answers={204: None}, problems=("token-unknown", "parameter-invalid"), writes=True, identity="needed")
def revoke_this() -> Response:
    """Revoke the token that asks, whatever its scopes are."""
    found = authentication.caller()
    if found is None:
        raise Unauthenticated("This needs an account: sign in, or send a token.")
    if found.session is not None:
        raise ParameterInvalid("Only a token revokes itself so.", "Authorization")
    _accounts().revoke_proof(found.principal)
    return Response(status=204)


@blueprint.delete("/tokens/<token_id>")
@described(answers={204: None}, problems=("token-unknown", "scope-missing"), writes=True, identity="needed")
def revoke(token_id: str) -> Response:
    """Revoke a token of the list."""
    principal = authentication.need_person()
    _accounts().revoke_token(principal.account or 0, token_id)
    return Response(status=204)


# --- Inside -----------------------------------------------------------------------------------------


def clean_settings(found: Any) -> dict[str, Any]:
    """Return the settings in `found` that are to be changed. Raises Invalid with the field `settings`."""
    if not isinstance(found, dict):
        raise Invalid("settings", "settings is an object.")
    given = {name: value for name, value in found.items() if value is not None}
    for name, value in given.items():
        if name not in SETTINGS or value not in SETTINGS[name]:
            raise Invalid("settings", f"Settings are: {', '.join(f'{n} {v}' for n, v in SETTINGS.items())}.")
    return given


def _row(sql: Any, principal: Principal) -> accounts.Account:
    return accounts.by_id(sql, principal.account or 0)


def _own(principal: Principal) -> accounts.Account:
    return _chat().read_with(lambda sql: _row(sql, principal))


def _accounts() -> Accounts:
    return authentication.services().accounts


def _chat() -> Chat:
    return services().chat

"""The API of administrators: accounts, invitations, the site."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from ....hub.accounts.credentials import DAY_MS
from ....hub.accounts.people import People
from ....hub.chat import Chat
from ....protocol.errors import Invalid
from ....protocol.events import rfc3339
from ....protocol.rights.permissions import INVITE
from ....protocol.rights.principal import Principal
from ....protocol.types import account_types as types
from ....store.accounts.accounts import Account
from ...http import authentication, parameters
from ...http.services import services
from ...spec.described import described
from ..messages import live
from . import showing, token_fields

blueprint = Blueprint("administration", __name__, url_prefix="/api/v1")

_DEFAULT, _MOST = 50, 200
_MOST_REASON = 500
_ADMIN = ("forbidden", "scope-missing")


# --- Accounts ---------------------------------------------------------------------------------------


@blueprint.get("/accounts")
@described(
    answers={200: types.Accounts},
    query=("name_part", "limit", "before_account"),
    problems=("account-unknown", "scope-missing"),
    identity="needed",
)
def accounts() -> Response:
    """{`accounts`, `has_more`}, the newest first; `?q=` is a part of a name. Guests see whom they share a room with."""
    principal = authentication.need_account()
    limit = parameters.limit(_DEFAULT, _MOST)
    found = _people().listed(parameters.one("q") or "", limit, parameters.one("before"), principal)
    return live({"accounts": _shown(found[:limit], principal), "has_more": len(found) > limit})


@blueprint.post("/accounts")
@described(
    answers={201: types.NewAccount},
    body=types.AccountBody,
    problems=("conflict", "proof-needed", *_ADMIN),
    writes=True,
    identity="needed",
)
def make() -> Response:
    """Make an account: {`name`, `role`} → 201, once with the link by which its owner chooses a password."""
    principal, fields = _admin(), parameters.fields()
    role = _text(fields, "role", "member")
    _prove_for(role)
    account, made = _people().make(principal, _text(fields, "name"), role)
    return live({**_shown([account], principal)[0], "link": showing.link("reset", made.code)}, 201)


@blueprint.get("/accounts/<account_id>")
@described(
    answers={200: types.Account}, problems=("account-unknown", "scope-missing"), identity="needed"
)
def account(account_id: str) -> Response:
    """One account."""
    principal = authentication.need_account()
    return live(_shown([_people().one(account_id, principal)], principal)[0])


@blueprint.patch("/accounts/<account_id>")
@described(
    answers={200: types.Account},
    body=types.AccountChange,
    problems=("account-unknown", "conflict", "proof-needed", *_ADMIN),
    writes=True,
    identity="needed",
)
def change(account_id: str) -> Response:
    """Change another's {`name`?, `role`?, `state`?: `closed`, `messages`?: `delete`} → the account."""
    principal, fields, people = _admin(), parameters.fields(), _people()
    people.one(account_id)
    if fields.get("state") not in (None, "closed"):
        raise Invalid("state", "An account can be closed; a ban has an address of its own.")
    name, role = (None if fields.get(each) is None else _text(fields, each) for each in ("name", "role"))
    if role is not None:
        authentication.need_person("role")
    changed = people.change(
        principal, account_id, name=name, role=role, closed=fields.get("state") is not None,
        erase=token_fields.erase(fields),
    )  # fmt: skip
    return live(_shown([changed], principal)[0])


@blueprint.post("/accounts/<account_id>/reset")
@described(
    answers={200: types.ResetLink},
    problems=("account-unknown", "conflict", "invalid", "proof-needed", *_ADMIN),
    writes=True,
    identity="needed",
)
def reset(account_id: str) -> Response:
    """A link by which its owner chooses a new password: {`link`, `expires_at`}. Needs a proof."""
    principal = _admin()
    authentication.need_person("password")
    made = _people().reset_link(principal, account_id)
    return live({"link": showing.link("reset", made.code), "expires_at": rfc3339(made.ticket.ends_at)})


@blueprint.delete("/accounts/<account_id>/sessions")
@described(
    answers={204: None}, problems=("account-unknown", "conflict", *_ADMIN), writes=True, identity="needed"
)
def sign_out(account_id: str) -> Response:
    """Sign an account out everywhere."""
    principal = _admin()
    authentication.need_person()
    _people().sign_out(principal, account_id)
    return Response(status=204)


@blueprint.put("/accounts/<account_id>/ban")
@described(
    answers={204: None},
    body=types.BanBody,
    optional_body=True,
    problems=("account-unknown", "conflict", *_ADMIN),
    writes=True,
    identity="needed",
)
def ban(account_id: str) -> Response:
    """Ban an account: {`until`?, `messages`?: `keep` or `delete`, `reason`?}; without `until`, for good."""
    principal, fields = _admin(), parameters.fields(needed=False)
    until = None if fields.get("until") is None else showing.until(fields["until"], "until", _chat().now())
    reason = _reason(fields)
    _people().ban(principal, account_id, until, erase=token_fields.erase(fields), reason=reason)
    return Response(status=204)


@blueprint.delete("/accounts/<account_id>/ban")
@described(
    answers={204: None}, problems=("account-unknown", "conflict", *_ADMIN), writes=True, identity="needed"
)
def unban(account_id: str) -> Response:
    """Let a banned account sign in again."""
    _people().unban(_admin(), account_id)
    return Response(status=204)


# --- Bars -------------------------------------------------------------------------------------------


@blueprint.get("/bars")
@described(answers={200: types.Bars}, problems=_ADMIN, identity="needed")
def bars() -> Response:
    """{`bars`}: addresses from which visitors may not write, and visitors (`visitor-…`) who may not."""
    _admin()
    found = authentication.services().bars.listed()
    return live({"bars": [showing.bar(each) for each in found]})


@blueprint.put("/bars/<path:address>")
@described(
    answers={204: None}, body=types.BarBody, optional_body=True, problems=("not-found", "message-unknown", *_ADMIN),
    writes=True, identity="needed",
)
def bar(address: str) -> Response:
    """Let nobody without an account write from an address, or an IPv6 /64: {`until`?, `reason`?}, 30 days at most.

    `ROOM:ID` instead of an address bars the visitor who sent that message, wherever it writes from.
    """
    principal, fields = _admin(), parameters.fields(needed=False)
    until = None if fields.get("until") is None else showing.until(fields["until"], "until", _chat().now())
    authentication.services().bars.put(principal, address, until, _reason(fields))
    return Response(status=204)


@blueprint.delete("/bars/<path:address>")
@described(
    answers={204: None}, problems=("not-found", "invalid", "message-unknown", *_ADMIN), writes=True, identity="needed"
)
def lift(address: str) -> Response:
    """Lift a bar: of an address, of a visitor as it is listed, or of who sent `ROOM:ID`."""
    authentication.services().bars.lift(_admin(), address)
    return Response(status=204)


# --- Invitations ------------------------------------------------------------------------------------


@blueprint.get("/invitations")
@described(answers={200: types.Invitations}, problems=_ADMIN, identity="needed")
def invitations() -> Response:
    """{`invitations`} that can be used, the newest first: all for administrators, else one's own."""
    found = _people().invitations(_inviter())
    makers = _people().ids({each.made_by for each in found if each.made_by is not None})
    return live({"invitations": [showing.ticket(each, makers) for each in found]})


@blueprint.post("/invitations")
@described(
    answers={201: types.NewInvitation},
    body=types.InvitationBody,
    optional_body=True,
    problems=("rate-limited", "room-unknown", "conflict", *_ADMIN),
    writes=True,
    identity="needed",
)
def invite() -> Response:
    """Make a link: {`role`?, `rooms`?, `uses`?, `expires_in`?, `note`?} → 201, once with its address.

    `role` is `member` or `guest`. Who joins by it is a member of `rooms`, which the caller has to manage.
    """
    principal, fields = _inviter(), parameters.fields(needed=False)
    uses = fields.get("uses", 1)
    if not isinstance(uses, int) or isinstance(uses, bool):
        raise Invalid("uses", "uses is a whole number.")
    rooms = (token_fields.rooms(fields) or ()) if fields.get("rooms") != [] else ()
    lasts = showing.span(fields.get("expires_in", "+7d"), "expires_in", _chat().now())
    note = fields.get("note")
    if note is not None and not isinstance(note, str):
        raise Invalid("note", "note is no text.")
    _chat().limits.allow("invitation", principal.identity or "")
    role = _text(fields, "role", "member")
    made = _people().invite(principal, role=role, uses=uses, lasts_ms=min(lasts, 3650 * DAY_MS), note=note, rooms=rooms)
    makers = {} if principal.account is None else {principal.account: principal.id or ""}
    return live({**showing.ticket(made.ticket, makers), "link": showing.link("join", made.code)}, 201)


@blueprint.delete("/invitations/<ticket_id>")
@described(answers={204: None}, problems=("link-unknown", *_ADMIN), writes=True, identity="needed")
def revoke(ticket_id: str) -> Response:
    """Revoke an invitation; accounts that it made stay."""
    _people().revoke_invitation(_inviter(), ticket_id)
    return Response(status=204)


# --- The site ---------------------------------------------------------------------------------------


@blueprint.get("/site")
@described(answers={200: types.Site}, problems=_ADMIN, identity="needed")
def site() -> Response:
    """The settings of administrators: {`title`, `contact`, `rooms_by`, `invites_by`, `directs`, `bots_by`}."""
    _admin()
    return live(_people().site())


@blueprint.patch("/site")
@described(answers={200: types.Site}, body=types.SiteBody, problems=_ADMIN, writes=True, identity="needed")
def change_site() -> Response:
    """Set some of it; all as it is then."""
    return live(_people().change_site(_admin(), parameters.fields()))


# --- Inside -----------------------------------------------------------------------------------------


def _shown(found: list[Account], principal: Principal) -> list[dict[str, Any]]:
    """Return accounts as `principal` sees them: all of its own, and of everybody's if it is an administrator."""
    ids = showing.makers_of(found)
    return [
        showing.account(each, whole=principal.is_admin or each.id == principal.account, ids=ids) for each in found
    ]


def _admin() -> Principal:
    return authentication.need_admin()


def _inviter() -> Principal:
    principal = authentication.need_account()
    authentication.need_right(principal, INVITE)
    return principal


def _reason(fields: dict[str, Any]) -> str | None:
    found = fields.get("reason")
    if found is not None and (not isinstance(found, str) or len(found) > _MOST_REASON):
        raise Invalid("reason", f"A reason is a text of at most {_MOST_REASON} characters.")
    return found or None


def _prove_for(role: str) -> None:
    """Require that the caller gave the password lately, if `role` makes an administrator."""
    if role in ("admin", "owner"):
        authentication.need_person("role")


def _text(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    found = fields.get(name, default)
    if not isinstance(found, str):
        raise Invalid(name, f"{name} is missing, or no text.")
    return found


def _people() -> People:
    return authentication.services().people


def _chat() -> Chat:
    return services().chat

"""The pages /people and /people/ID: write to an account, block it; roles and bans. Forms, without JavaScript too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from ...hub.accounts.people import Invited, People
from ...protocol.errors import AccountUnknown, Invalid, ProofNeeded, Refused, SignInFailed, Unauthenticated
from ...protocol.rights.principal import Principal, outranks
from ..api.accounts import me, showing
from ..http import authentication, parameters, site
from ..http.services import services
from .own import administrator, page, prove, shown_link
from .parts.answers import to, to_sign_in

blueprint = Blueprint("people_pages", __name__)
blueprint.register_error_handler(Unauthenticated, to_sign_in)

_SHOWN = 100
_NEED_PASSWORD = {"reset": "password", "role": "role"}
ROLES = ("guest", "member", "admin", "owner")


@blueprint.get("/people")
def people() -> Response:
    """Show all accounts."""
    principal, search = _signed_in(), request.args.get("q", "")[:100]
    found = _people().listed(search, _SHOWN, parameters.one("before"), principal)
    return page(
        "people.html", principal, None, here="people", heading="People", search=search,
        people=[showing.account(each, whole=principal.is_admin) for each in found[:_SHOWN]],
        has_more=len(found) > _SHOWN, can_change=_can_change(principal),
    )  # fmt: skip


@blueprint.get("/people/<account_id>")
def person(account_id: str) -> Response:
    """Show one account, and the actions that the caller may take on it."""
    _signed_in()
    return _person(account_id)


@blueprint.post("/people/<account_id>")
def change_person(account_id: str) -> Response:
    """Run the action on an account that `do` of the form names."""
    principal, what, link = _signed_in(), request.form.get("do", ""), None
    try:
        if what in ("block", "unblock"):
            me.set_block(principal, account_id, on=what == "block")
        else:
            link = _administer(what, account_id)
    except AccountUnknown:
        raise
    except Refused as refused:
        return _person(account_id, refused, what)
    try:
        return _person(account_id, link=link, done="" if link else "Done.")
    except AccountUnknown:  # a guest has unblocked somebody with whom it shares no room any more
        return to(site.url_for("own_pages.me"))


def _administer(what: str, account_id: str) -> Invited | None:
    """Change an account, as an administrator; return the link that is made. Raises as `People.change`, Invalid."""
    administrator()
    if what in _NEED_PASSWORD:
        _prove_again(_NEED_PASSWORD[what])
    principal, found, form = administrator(), _people(), request.form  # a proof has begun another session
    if what == "reset":
        return found.reset_link(principal, account_id)
    if what == "role":
        found.change(principal, account_id, role=form.get("role", ""))
    elif what == "sign-out":
        found.sign_out(principal, account_id)
    elif what == "ban":
        given = form.get("until", "")
        until = showing.until(given, "until", services().chat.now()) if given else None
        found.ban(principal, account_id, until, erase=form.get("messages") == "delete")
    elif what == "unban":
        found.unban(principal, account_id)
    else:
        raise Invalid("do", "Nothing is known under this word.")
    return None


def _prove_again(what: str) -> None:
    """Prove the session with the form's password; without one it must be proved. Raises ProofNeeded, SignInFailed."""
    if request.form.get("old"):
        prove()
    else:
        authentication.need_person(what)


def _person(
    account_id: str, refused: Refused | None = None, what: str = "", *, link: Invited | None = None, done: str = ""
) -> Response:
    """Render the page of one account; if `refused` asks for the password, with a form that repeats the action."""
    principal = _signed_in()
    account = _people().one(account_id, principal)
    return page(
        "person.html", principal, refused, here="people", heading=account.name, done=done,
        person=showing.account(account, whole=principal.is_admin), can_change=_can_change(principal),
        again=what if isinstance(refused, ProofNeeded | SignInFailed) else "",
        is_self=account.key == principal.id, is_blocked=account.key in [each.key for each in me.blocked_by(principal)],
        roles=[role for role in ROLES if role != "owner" or principal.role == "owner"],
        **shown_link("reset", link, "With this link a new password is chosen."),
    )  # fmt: skip


def _can_change(principal: Principal) -> Callable[[dict[str, Any]], bool]:
    return lambda each: each["id"] != principal.id and outranks(principal.role, each["role"])


def _signed_in() -> Principal:
    return authentication.need_session()[0]


def _people() -> People:
    return authentication.services().people

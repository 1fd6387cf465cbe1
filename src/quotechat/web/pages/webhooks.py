"""The page /admin/webhooks: addresses that the server calls. Forms, without JavaScript too."""

from __future__ import annotations

from flask import Blueprint, Response, request

from ...hub.webhooks.webhooks import Wanted, Webhooks
from ...protocol.errors import Invalid, Refused, Unauthenticated
from ...protocol.names import clean_room
from ...store.accounts.accounts import HOOK
from ..api import webhooks as api
from ..http import authentication
from . import own
from .parts.answers import to_sign_in

blueprint = Blueprint("webhook_pages", __name__)
blueprint.register_error_handler(Unauthenticated, to_sign_in)

_WORDS = {
    "gone": "ended by the receiver",
    "failing": "off after 3 days of failures",
    "not-allowed": "waits, since the account that made it may have none now",
    "disabled": "off",
}


@blueprint.get("/admin/webhooks")
def webhooks() -> Response:
    """Show all webhooks, with their last calls."""
    return _page()


@blueprint.post("/admin/webhooks")
def make() -> Response:
    """Make a webhook, and show its secret once."""
    principal, form = own.administrator(), request.form
    try:
        rooms = [clean_room(each, "rooms") for each in form.get("rooms", "").split()]
        wanted = Wanted(form.get("name"), form.get("url"), rooms or None, not rooms, None, "mentions" in form)
        _, secret = _webhooks().make(principal, form.get("account", ""), wanted)
    except Refused as refused:
        return _page("new", refused)
    return _page(secret=secret)


@blueprint.post("/admin/webhooks/<webhook_id>")
def change(webhook_id: str) -> Response:
    """Change a webhook; `do` names the action."""
    principal, found, what = own.administrator(), _webhooks(), request.form.get("do", "")
    try:
        if what == "test":
            call = api.called(api.tested(principal, webhook_id))
            return _page(done=f"It answered {call.get('status', 'nothing: ' + call.get('error', ''))}.")
        if what == "secret":
            return _page(secret=found.change_secret(principal, webhook_id)[1])
        if what == "enable":
            found.enable(principal, webhook_id)
        elif what == "remove":
            found.remove(principal, webhook_id)
        else:
            raise Invalid("do", "Nothing is known under this word.")
    except Refused as refused:
        return _page("change", refused)
    return _page(done="Done.")


def _page(part: str = "", refused: Refused | None = None, *, done: str = "", secret: str = "") -> Response:
    principal = own.administrator()
    shown = [api.shown(each) for each in _webhooks().listed(principal)]
    tries = {
        each["id"]: [api.called(call, room) for call, room in _webhooks().tries(principal, each["id"])]
        for each in shown
    }
    bots = authentication.services().bots.listed(principal)
    return own.page(
        "webhooks.html", principal, refused, here="admin", heading="Webhooks", part=part, done=done, secret=secret,
        webhooks=shown, tries=tries, words=_WORDS, bots={each.key: each.name for each in bots if each.settings != HOOK},
    )  # fmt: skip


def _webhooks() -> Webhooks:
    return authentication.services().webhooks

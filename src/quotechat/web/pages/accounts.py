"""Pages to sign in, join, set up and reset, and to sign out. Forms, without JavaScript too."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from flask import Blueprint, Response, current_app, request

from ...hub.accounts.accounts import Accounts
from ...hub.accounts.clients import Client, SignedIn
from ...protocol.errors import Refused
from ...store.accounts import accounts
from ..http import authentication, security, site
from ..http.services import services
from .parts import answers
from .parts.answers import to

blueprint = Blueprint("account_pages", __name__)

_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,1000}")


class EntryPage(NamedTuple):
    """A page by which people sign in or join: its heading, its text, its fields."""

    heading: str
    said: str
    fields: tuple[str, ...]
    new_password: bool = True


ENTRY_PAGES = {
    "sign-in": EntryPage("Sign in", "Sign in with your name and password.", ("name", "password"), new_password=False),
    "setup": EntryPage(
        "Set up", "You become the owner of this server. The link was printed where it was started.",
        ("code", "name", "password"),
    ),
    "join": EntryPage("Join", "Somebody has invited you. Choose a name and a password.", ("code", "name", "password")),
    "device": EntryPage(
        "Sign in here", "You made a link on another device, to sign in on this one.", ("code",), new_password=False
    ),
    "reset": EntryPage("Choose a password", "Choose a new password. Every device is signed out.", ("code", "password")),
}  # fmt: skip


@blueprint.get("/sign-in")
def sign_in() -> Response:
    """Show the form; a user that is signed in goes on."""
    if authentication.caller() is not None:
        return to(_next(request.args.get("next")))
    return _page("sign-in")


@blueprint.post("/sign-in")
def begin() -> Response:
    """Sign in, and return to the page before."""
    form = request.form
    return _enter("sign-in", lambda: _accounts().sign_in(form.get("name"), form.get("password"), _client()))


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """End this session."""
    caller = authentication.caller()
    if caller is not None and caller.session is not None:
        _accounts().sign_out(caller.session.hash)
    return authentication.end(to(site.url_for("account_pages.sign_in")))


@blueprint.get("/setup")
def setup() -> Response:
    """Show the form for the first owner."""
    return _page("setup")


@blueprint.post("/setup")
def set_up() -> Response:
    """Make the first owner."""
    form = request.form
    return _enter(
        "setup", lambda: _accounts().set_up(form.get("code"), form.get("name"), form.get("password"), _client())
    )


@blueprint.get("/join")
def join() -> Response:
    """Show the form for an invited person."""
    return _page("join")


@blueprint.post("/join")
def joined() -> Response:
    """Make the account."""
    form = request.form
    return _enter("join", lambda: _accounts().join(form.get("code"), form.get("name"), form.get("password"), _client()))


@blueprint.get("/reset")
def reset() -> Response:
    """Show the form for a new password."""
    return _page("reset")


@blueprint.post("/reset")
def new_password() -> Response:
    """Set the new password."""
    form = request.form
    return _enter("reset", lambda: _accounts().reset(form.get("code"), form.get("password"), _client()))


@blueprint.get("/device")
def device() -> Response:
    """Show the form for another device of one's own."""
    return _page("device")


@blueprint.post("/device")
def use_device() -> Response:
    """Sign in by the link that was made there."""
    return _enter("device", lambda: _accounts().use_device(request.form.get("code"), _client()))


def _enter(kind: str, begin: Callable[[], SignedIn]) -> Response:
    try:
        signed_in = begin()
    except Refused as refused:
        return _page(kind, refused)
    return authentication.begin(to(_next(request.form.get("next")) if not _wrote_before() else _own()), signed_in)


def _wrote_before() -> bool:
    """Return True if messages of this browser's visitor wait for an account to claim them."""
    visitor = security.visitor()
    chat = services().chat
    return visitor is not None and chat.read_with(lambda sql: accounts.unclaimed(sql, visitor)) > 0


def _own() -> str:
    return site.url_for("own_pages.me")


def _page(kind: str, refused: Refused | None = None) -> Response:
    about, found = ENTRY_PAGES[kind], authentication.services().people.site()
    return answers.page(
        "enter.html",
        refused,
        here=kind,
        heading=about.heading,
        said=about.said,
        fields=about.fields,
        action=request.script_root + request.path if kind != "sign-in" else site.url_for("account_pages.begin"),
        # The password is never sent back.
        draft={name: request.form.get(name, "") for name in ("code", "name")},
        next=_next(request.values.get("next"), default=""),
        site_title=found["title"],
        contact=found["contact"] or services().settings.contact,
        password_label="Password" if not about.new_password else "New password" if kind == "reset" else "Password",
        password_kind="new-password" if about.new_password else "current-password",
        password_help=f"At least {current_app.config['QUOTECHAT'].password_chars} characters, such as several words."
        if about.new_password
        else "",
    )


def _next(path: str | None, default: str | None = None) -> str:
    """Return the next page: a path of ours, and nothing else (CWE-601)."""
    if path and _OWN_PATH.fullmatch(path):
        return path if default is not None else site.base() + path
    return site.url_for("pages.auto") if default is None else default


def _client() -> Client:
    return authentication.client(security.visitor())


def _accounts() -> Accounts:
    return authentication.services().accounts

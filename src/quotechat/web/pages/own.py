"""The pages of a user that is signed in: /me and /admin. Forms, without JavaScript too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from ...hub.accounts.people import Invited
from ...hub.chat import Chat
from ...protocol import commands, json
from ...protocol.errors import Forbidden, Invalid, Refused, RoomUnknown, ScheduledUnknown, Unauthenticated
from ...protocol.markup import text
from ...protocol.names import clean_name
from ...protocol.rights.permissions import CREATE_BOT
from ...protocol.rights.principal import Principal
from ...store import reading
from ...store.accounts import accounts, sessions
from ...store.accounts.sessions import Session
from ...store.administration import figures
from ..api import moderation
from ..api.accounts import me as me_calls
from ..api.accounts import showing, token_fields
from ..http import access, authentication, quota, security, site
from ..http.services import services
from .about import LEVELS
from .parts import answers, forms
from .parts.answers import to, to_sign_in

blueprint = Blueprint("own_pages", __name__)

_REASONS = {
    "conflict": "the room is archived, or somebody else has the name",
    "forbidden": "you were not allowed to write there",
    "invalid": "a file of it is not there any more",
    "room-unknown": "the room is not there for you any more",
    "unauthenticated": "your account was banned then",
}
"""Why a scheduled message was refused when it was due, by the code of the problem; a room's page says the same."""
_USUAL = {"level": "mentions", "presence": "on"}
"""The settings of an account that has chosen none."""
_LOOKED_AT = 400
"""Characters of a scheduled message of which its excerpt is made."""


@site.template_filter("clock_day")
def clock_day(at: str) -> str:
    """Format day and time of an RFC 3339 time in UTC."""
    return f"{at[:10]} {at[11:16]} UTC"


blueprint.register_error_handler(Unauthenticated, to_sign_in)

# --- /me --------------------------------------------------------------------------------------------


@blueprint.get("/me")
def me() -> Response:
    """Show one's own account."""
    return _me()


@blueprint.post("/me/name")
def rename() -> Response:
    """Change one's own name."""
    principal, _ = authentication.need_session()

    def change() -> None:
        _chat().limits.allow("guest", principal.identity or "", security.address())
        _services().accounts.change_name(principal, request.form.get("name"), security.visitor())

    return _own("name", change, "Your name is changed.")


@blueprint.post("/me/password")
def password() -> Response:
    """Change one's own password."""
    authentication.need_session()

    def change() -> None:
        session = prove()
        _services().accounts.change_password(
            session, request.form.get("password"), authentication.client(), end_tokens="end_tokens" in request.form
        )

    return _own("password", change, "Your password is changed, and every other device is signed out.")


@blueprint.post("/me/settings")
def settings() -> Response:
    """Change one's own level and presence, as far as they were changed in the form."""
    principal, _ = authentication.need_session()

    def change() -> None:
        quota.take_change()
        stored = _chat().read_with(lambda sql: accounts.by_id(sql, principal.account or 0).settings)
        given = forms.changed(_USUAL | json.own(stored))
        _services().accounts.change(principal, None, me_calls.clean_settings(given), security.visitor())

    return _own("settings", change, "Saved.")


@blueprint.post("/me/sessions/<session_id>/end")
def end_session(session_id: str) -> Response:
    """Sign a device out."""
    _, session = authentication.need_session()
    for each in _chat().read_with(lambda sql: sessions.of_account(sql, session.account_id)):
        if each.id == session_id != session.id:
            _services().accounts.sign_out_other(session.account_id, each.hash)
    if session_id == session.id:
        _services().accounts.sign_out(session.hash)
        return authentication.end(to(site.url_for("account_pages.sign_in")))
    return to(site.url_for("own_pages.me"))


@blueprint.post("/me/sessions/others/end")
def end_others() -> Response:
    """Sign every other device out."""
    authentication.need_session()

    def end() -> None:
        session = prove()
        _services().accounts.sign_out_everywhere(session.account_id, session.hash)

    return _own("others", end, "Every other device is signed out.")


@blueprint.post("/me/devices")
def device() -> Response:
    """Make a link for another device, and show it once."""
    authentication.need_session()
    try:
        quota.take_change()
        session = prove()
        made = Invited(*_services().accounts.device_link(session))
    except Refused as refused:
        return _me("device", refused)
    return _me(link=made)


@blueprint.post("/me/tokens")
def new_token() -> Response:
    """Make a token for a program, and show it once."""
    authentication.need_session()
    made: list[str] = []

    def make() -> None:
        quota.take_change()
        name = clean_name(request.form.get("name", ""), "name", 100)
        session = prove()
        made.append(_services().accounts.new_token(session.account_id, name, proof=session.hash)[1])

    return _own("token", make, "", made)


@blueprint.post("/me/tokens/<token_id>/revoke")
def revoke_token(token_id: str) -> Response:
    """Revoke a token."""
    principal, _ = authentication.need_session()
    return _own("token", lambda: _services().accounts.revoke_token(principal.account or 0, token_id), "Revoked.")


@blueprint.post("/me/bots")
def new_bot() -> Response:
    """Make a bot, and show its token once."""
    principal, _ = authentication.need_session()
    made: list[str] = []

    def make() -> None:
        quota.take_change()
        authentication.need_right(principal, CREATE_BOT)
        given = request.form.get("rooms", "").split()
        rooms = token_fields.rooms({"rooms": given or None})
        prove()
        made.append(_services().bots.make(authentication.need_account(), request.form.get("name", ""), rooms).text)

    return _own("bot", make, "", made)


@blueprint.post("/me/bots/<account_id>/close")
def close_bot(account_id: str) -> Response:
    """Close a bot."""
    principal, _ = authentication.need_session()
    return _own("bot", lambda: _services().bots.close(principal, account_id), "The bot is closed.")


@blueprint.post("/me/scheduled/<int:scheduled_id>/cancel")
def cancel(scheduled_id: int) -> Response:
    """Cancel a message that waits in the form's room, or put one away that was refused; it may be gone already."""
    principal, _ = authentication.need_session()
    try:
        with contextlib.suppress(RoomUnknown, ScheduledUnknown):
            submit(principal, "cancel-scheduled", request.form.get("room", ""), scheduled={"id": scheduled_id})
    except Refused as refused:
        return _me("scheduled", refused)
    return to(site.url_for("own_pages.me"))


@blueprint.post("/me/claims")
def claim() -> Response:
    """Take over the messages written in this browser without an account."""
    principal, _ = authentication.need_session()
    visitor = security.visitor()

    def take() -> None:
        quota.take_change()
        if visitor:
            _services().accounts.claim(principal, visitor)

    return _own("claim", take, "They are yours now.")


@blueprint.post("/me/close")
def close() -> Response:
    """Close the account for good."""
    principal, session = authentication.need_session()
    try:
        _services().accounts.confirm(session, request.form.get("old"), authentication.client())
        _services().accounts.close(principal, erase=request.form.get("messages") == "delete")
    except Refused as refused:
        return _me("close", refused)
    return authentication.end(to(site.url_for("account_pages.sign_in")))


def _own(part: str, change: Callable[[], object], done: str, made: list[str] | None = None) -> Response:
    """Run the action and show the page again, with a refusal beside its form."""
    try:
        change()
    except Refused as refused:
        return _me(part, refused)
    # From here on the caller has another name.
    authentication.forget()
    return _me(part, done=done, token=made[0] if made else None)


def _me(
    part: str = "", refused: Refused | None = None, *, done: str = "", token: str | None = None,
    link: Invited | None = None,
) -> Response:  # fmt: skip
    principal, session = authentication.need_session()
    chat, number, visitor = _chat(), session.account_id, security.visitor()
    found, tokens, written, waiting, account = chat.read_with(
        lambda sql: (
            sessions.of_account(sql, number), sessions.tokens_of(sql, number),
            accounts.unclaimed(sql, visitor) if visitor else 0,
            reading.scheduled_anywhere(sql, principal.identity or ""), accounts.by_id(sql, number),
        )
    )  # fmt: skip
    return page(
        "me.html", principal, refused, here="me", heading=principal.name, part=part, done=done, token=token,
        sessions=[showing.session(each, session.hash) for each in found],
        tokens=[showing.token(each) for each in tokens], claimable=written,
        bots=[showing.account(each) for each in _services().bots.own(number)],
        can_make_bots=authentication.may(principal, CREATE_BOT),
        settings=json.own(account.settings), levels={name: LEVELS[name] for name in me_calls.SETTINGS["level"]},
        scheduled=[_scheduled(each) for each in waiting],
        blocked=[showing.account(each) for each in me_calls.blocked_by(principal)],
        **shown_link("device", link, "With this link you sign in on another device, within ten minutes."),
    )  # fmt: skip


def _scheduled(each: dict[str, Any]) -> dict[str, Any]:
    """Return a scheduled message as the page shows it: {`id`, `room`, `at`, `text`, `refused`: why, or None}."""
    code = each.get("code")
    return {
        "id": each["id"], "room": each["room"], "at": each["send_at"],
        "text": text.excerpt(each["message"]["message"][:_LOOKED_AT]) or "Files",
        "refused": None if code is None else _REASONS.get(code, code),
    }  # fmt: skip


def submit(principal: Principal, command: str, room: str, **inner: Any) -> None:
    """Store a command of the account that is signed in, with those inner objects. Raises Refused."""
    _chat().submit(
        commands.decode({"command": command, "room": room, **inner}), identity=principal.identity,
        address=security.address(), first_byte_at=access.first_byte_at(), proof=principal.proof,
    )  # fmt: skip


def prove() -> Session:
    """Prove the session with the password of the form. Raises SignInFailed."""
    return authentication.prove(request.form.get("old"))[1]


# --- /admin -----------------------------------------------------------------------------------------


@blueprint.get("/admin")
def admin() -> Response:
    """Show the invitations and the settings of the site."""
    return administration()


@blueprint.post("/admin/invitations")
def invite() -> Response:
    """Make an invitation, and show its link once."""
    principal, form = administrator(), request.form
    try:
        lasts = showing.span(form.get("expires_in", "+7d"), "expires_in", _chat().now())
        uses = form.get("uses", "1")
        if not uses.isascii() or not uses.isdigit() or len(uses) > 6:
            raise Invalid("uses", "uses is a whole number.")
        note = form.get("note", "").strip() or None
        _chat().limits.allow("invitation", principal.identity or "")
        rooms = token_fields.rooms({"rooms": form.get("rooms", "").split() or None}) or ()
        role = form.get("role", "member")
        made = _services().people.invite(
            principal, role=role, uses=int(uses), lasts_ms=lasts, note=note, rooms=rooms
        )
    except Refused as refused:
        return administration("invite", refused)
    return administration("invite", link=made)


@blueprint.post("/admin/invitations/<ticket_id>/revoke")
def revoke(ticket_id: str) -> Response:
    """Revoke an invitation."""
    try:
        _services().people.revoke_invitation(administrator(), ticket_id)
    except Refused as refused:
        return administration("invite", refused)
    return to(site.url_for("own_pages.admin"))


@blueprint.post("/admin/site")
def site_settings() -> Response:
    """Change the settings of the site."""
    principal = administrator()
    given = forms.changed(_services().people.site())
    try:
        _services().people.change_site(principal, dict(given))
    except Refused as refused:
        return administration("site", refused, given=given)
    return administration(done="Saved.")


def administration(
    part: str = "", refused: Refused | None = None, *, link: Invited | None = None, done: str = "",
    given: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    principal = administrator()
    found = _services().people
    return page(
        "admin.html", principal, refused, here="admin", heading="Administration", part=part, done=done,
        access=_services().access, stored=found.site(), site=found.site() | (given or {}),
        figures=_chat().read_with(figures.read),
        reports=moderation.listed(principal), has_webhooks=_services().webhooks.policy.allows(principal),
        invitations=[showing.ticket(each, {}) for each in found.invitations(principal)],
        **shown_link("join", link, "With this link people join."),
    )  # fmt: skip


# --- Inside -----------------------------------------------------------------------------------------


def _signed_in() -> Principal:
    return authentication.need_session()[0]


def administrator() -> Principal:
    """Return the administrator that is signed in. Raises Unauthenticated, Forbidden."""
    principal = _signed_in()
    if not principal.is_admin:
        raise Forbidden("Only administrators may see this.")
    return principal


def shown_link(kind: str, made: Invited | None, said: str) -> dict[str, Any]:
    """Return a link as templates show it: {`link`, `link_said`, `qr`, a picture}; {`link`: None} if none was `made`."""
    if made is None:
        return {"link": None}
    import segno

    link = showing.link(kind, made.code)
    return {"link": link, "link_said": said, "qr": segno.make(link, error="m").svg_data_uri(scale=4)}


def page(template: str, principal: Principal, refused: Refused | None, **about: Any) -> Response:
    """Render a page for the account `principal`, with the problem of a refused form."""
    return answers.page(
        template, refused, account={"name": principal.name, "role": principal.role},
        site_title=_services().people.site()["title"], **about,
    )  # fmt: skip


def _services() -> authentication.Services:
    return authentication.services()


def _chat() -> Chat:
    return services().chat

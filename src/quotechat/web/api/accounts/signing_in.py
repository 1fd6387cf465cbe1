"""Beginning and ending a session: by name and password, by a setup link, an invitation, or a reset link."""

from __future__ import annotations

from flask import Blueprint, Response

from ....hub.accounts.accounts import PROOF_MS, Accounts
from ....hub.accounts.clients import Client, SignedIn
from ....hub.chat import Chat
from ....protocol.errors import NotFound
from ....protocol.events import rfc3339
from ....protocol.types import account_types as types
from ....store.accounts import sessions
from ...http import authentication, parameters, quota, security
from ...http.services import services
from ...spec.described import described
from ..messages import live
from . import showing

blueprint = Blueprint("signing_in", __name__, url_prefix="/api/v1")

_LINK = ("link-unknown", "conflict", "rate-limited")


@blueprint.post("/sessions")
@described(
    answers={201: types.SignedIn},
    body=types.SignInBody,
    problems=("sign-in-failed", "forbidden", "rate-limited"),
    writes=True,
)
def sign_in() -> Response:
    """Sign in: {`name`, `password`} → 201, and the cookie of a session. One answer for all that is wrong."""
    fields = parameters.json_object()
    found = _accounts().sign_in(fields.get("name"), fields.get("password"), _client())
    return _begun(found)


@blueprint.get("/sessions")
@described(answers={200: types.Sessions}, problems=("scope-missing",), identity="needed")
def listed() -> Response:
    """{`sessions`}: those of the account, the one used last first."""
    principal, session = authentication.need_session()
    number = session.account_id
    found = _chat().read_with(lambda sql: sessions.of_account(sql, number))
    return live({"sessions": [showing.session(each, principal.proof) for each in found]})


@blueprint.delete("/sessions/this")
@described(answers={204: None}, writes=True, identity="needed")
def end_this() -> Response:
    """Sign out here."""
    _, session = authentication.need_session()
    _accounts().sign_out(session.hash)
    return authentication.end(Response(status=204))


@blueprint.delete("/sessions/<string(length=8):session_id>")
@described(answers={204: None}, problems=("scope-missing", "not-found"), writes=True, identity="needed")
def end(session_id: str) -> Response:
    """Sign out one device of the list."""
    _, session = authentication.need_session()
    number = session.account_id
    found = _chat().read_with(lambda sql: sessions.of_account(sql, number))
    digest = next((each.hash for each in found if each.id == session_id), None)
    if digest is None:
        raise NotFound("There is no such session.")
    if digest == session.hash:
        _accounts().sign_out(digest)
        return authentication.end(Response(status=204))
    _accounts().sign_out_other(number, digest)
    return Response(status=204)


@blueprint.delete("/sessions")
@described(answers={204: None}, problems=("scope-missing", "proof-needed"), writes=True, identity="needed")
def end_all() -> Response:
    """Sign out everywhere, here too. Needs a proof."""
    _, session = authentication.need_proof("sessions")
    _accounts().sign_out_everywhere(session.account_id)
    return authentication.end(Response(status=204))


@blueprint.post("/sessions/proof")
@described(
    answers={200: types.Proved},
    body=types.ProofBody,
    problems=("sign-in-failed", "scope-missing", "rate-limited"),
    writes=True,
    identity="needed",
)
def prove() -> Response:
    """Give the password again: {`password`} → {`proved_until`}, ten minutes from now, and a new cookie of the session.

    The cookie of before is refused from then on.
    """
    _, session = authentication.prove(parameters.json_object().get("password"))
    return live({"proved_until": rfc3339((session.proved_at or 0) + PROOF_MS)})


@blueprint.post("/setup")
@described(answers={201: types.SignedIn}, body=types.CodeBody, problems=_LINK, writes=True)
def set_up() -> Response:
    """Become the first owner: {`code`, `name`, `password`} → 201, and the cookie of a session."""
    fields = parameters.json_object()
    return _begun(_accounts().set_up(fields.get("code"), fields.get("name"), fields.get("password"), _client()))


@blueprint.post("/joins")
@described(answers={201: types.SignedIn}, body=types.CodeBody, problems=_LINK, writes=True)
def join() -> Response:
    """Make an account by an invitation: {`code`, `name`, `password`} → 201, and the cookie of a session."""
    fields = parameters.json_object()
    return _begun(_accounts().join(fields.get("code"), fields.get("name"), fields.get("password"), _client()))


@blueprint.post("/resets")
@described(answers={204: None}, body=types.ResetBody, problems=("link-unknown", "rate-limited"), writes=True)
def reset() -> Response:
    """Choose a new password by a link: {`code`, `password`} → 204, and the cookie of a session; all others end."""
    fields = parameters.json_object()
    found = _accounts().reset(fields.get("code"), fields.get("password"), _client())
    return authentication.begin(Response(status=204), found)


@blueprint.post("/devices")
@described(
    answers={201: types.ResetLink}, problems=("scope-missing", "proof-needed", "rate-limited"), writes=True,
    limit="change", identity="needed",
)  # fmt: skip
def device() -> Response:
    """Make a link for another device of one's own: 201 {`link`, `expires_at`}, ten minutes, once. Needs a proof."""
    _, session = authentication.need_proof("device")
    quota.take_change()
    ticket, code = _accounts().device_link(session)
    return live({"link": showing.link("device", code), "expires_at": rfc3339(ticket.ends_at)}, 201)


@blueprint.post("/devices/use")
@described(
    answers={201: types.SignedIn}, body=types.DeviceBody, problems=("link-unknown", "rate-limited"), writes=True
)
def use_device() -> Response:
    """Sign in by such a link: {`code`} → 201, and the cookie of a session."""
    return _begun(_accounts().use_device(parameters.json_object().get("code"), _client()))


def _begun(found: SignedIn) -> Response:
    return authentication.begin(live(showing.signed_in(found), 201), found)


def _client() -> Client:
    return authentication.client(security.visitor())


def _accounts() -> Accounts:
    return authentication.services().accounts


def _chat() -> Chat:
    return services().chat

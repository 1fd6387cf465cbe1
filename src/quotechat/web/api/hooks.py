"""Hooks in: the API by which managers make them, and the addresses to which other systems post."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs

from flask import Blueprint, Response, request

from ...hub.chat import Chat
from ...hub.programs.hooks import Hook, Hooks, split
from ...protocol import commands, json
from ...protocol.errors import Invalid, ParameterInvalid, TokenUnknown
from ...protocol.events import rfc3339
from ...protocol.markup import slack
from ...protocol.types import program_types as types
from ...protocol.types import wire
from ..http import access, authentication, parameters, security, site
from ..http.services import services
from ..spec.described import described
from .messages import live

blueprint = Blueprint("hooks", __name__, url_prefix="/api/v1")
posted = Blueprint("hooks_in", __name__)

_ONE = ("room-unknown", "forbidden")
_POST = ("token-unknown", "room-unknown", "forbidden", "conflict", "client-id-reused", "rate-limited")


@blueprint.get("/rooms/<room>/hooks")
@described(answers={200: types.Hooks}, problems=_ONE, identity="needed")
def listed(room: str) -> Response:
    """{`hooks`} of a room, the newest first; for its managers."""
    return live({"hooks": [shown(each) for each in _hooks().listed(authentication.need_account(), room)]})


@blueprint.post("/rooms/<room>/hooks")
@described(
    answers={201: types.NewHook}, body=types.HookBody, problems=("conflict", *_ONE), writes=True, identity="needed"
)
def make(room: str) -> Response:
    """Make a hook: {`name`} → 201 {`hook`, `url`}; the address is shown once."""
    principal, name = authentication.need_account(), parameters.json_object().get("name")
    if not isinstance(name, str):
        raise Invalid("name", "name is missing, or no text.")
    hook, secret = _hooks().make(principal, room, name, address=security.address(), proof=authentication.proof())
    return live({"hook": shown(hook), "url": address_of(hook, secret)}, 201)


@blueprint.delete("/rooms/<room>/hooks/<token_id>")
@described(answers={204: None}, problems=("token-unknown", *_ONE), writes=True, identity="needed")
def remove(room: str, token_id: str) -> Response:
    """Revoke a hook; its messages stay."""
    _hooks().remove(authentication.need_account(), room, token_id)
    return Response(status=204)


_taken = described(
    answers={200: wire.MessageSent},
    body=types.HookPost,
    text_body=True,
    problems=_POST,
    writes=True,
    media=("text/plain", "application/json"),
)


@posted.post("/hooks/<token_id>/<secret>")
@_taken
def take(token_id: str, secret: str) -> Response:
    """Say something in the room of the hook: plain text, {`text`}, or a payload of Slack's shape → `ok`.

    With `Accept: application/json` the answer is the event of the first message.
    """
    return _take(token_id, secret)


@posted.post("/hooks/<token_id>")
@_taken
def take_with_header(token_id: str) -> Response:
    """Say something in the room of the hook; its secret is the bearer token here, so no log of a proxy has it."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenUnknown("There is no such hook, or it was revoked.")
    return _take(token_id, secret.strip())


# --- Inside -----------------------------------------------------------------------------------------


def _take(token_id: str, secret: str) -> Response:
    chat = _chat()
    principal, room = _hooks().open(token_id, secret)
    chat.limits.allow("hook", principal.identity or "", security.address())
    key, parts = _key(), list[commands.SendMessage]()
    for number, part in enumerate(split(_text(), chat.bounds.message), 1):
        message = commands.NewMessage(user=principal.name or "", message=part)
        client_id = key if number == 1 else _next(key, number)
        parts.append(commands.SendMessage(message=message, room=room, client_id=client_id))
    stored = chat.submit_parts(
        parts, identity=principal.identity, address=security.address(), first_byte_at=access.first_byte_at(),
        proof=principal.proof,
    )  # fmt: skip
    if parameters.accepted("text/plain", "application/json") == "application/json":
        repeated = {"duplicate": True} if stored.duplicate else {}
        return live(json.own(stored.event.encoded) | repeated)
    answer = Response("ok", content_type="text/plain; charset=utf-8")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _text() -> str:
    """Return the text of the body. Raises Invalid, MalformedJson, UnsupportedMediaType, TooLarge."""
    if not parameters.is_text() and request.mimetype:
        return _text_of(parameters.json_body())
    body = parameters.text_body()
    if request.mimetype != "application/x-www-form-urlencoded":
        return body
    payload = _payload(body)
    return body if payload is None else _text_of(json.loads(payload.encode()) if payload else None)


def _payload(body: str) -> str | None:
    """Return the field `payload` of a form; None if the body is a text, as a bare `curl -d` sends it."""
    (payload,) = parse_qs(body, keep_blank_values=True).get("payload", [None])[:1]
    is_form = payload is not None and (body.startswith("payload=") or payload.lstrip().startswith("{"))
    return payload if is_form else None


def _text_of(value: Any) -> str:
    text = slack.text_of(value) if isinstance(value, dict) else ""
    if not text.strip():
        raise Invalid("text", 'There is no text in it: send plain text, {"text": …}, or blocks that have text.')
    return text


def _key() -> str | None:
    """Return the idempotency key of the request. Raises ParameterInvalid."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    key = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
    if not commands.CLIENT_ID.fullmatch(key):
        raise ParameterInvalid("An Idempotency-Key has 1 to 64 of A-Z a-z 0-9 _ -.", "Idempotency-Key")
    return key


def _next(key: str | None, number: int) -> str | None:
    """Return the key of a further message of the same post."""
    if key is None:
        return None
    # Shortened, two long keys could become one.
    return f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}_{number}"


def address_of(hook: Hook, secret: str) -> str:
    """Return the address to which other systems post; it is shown once."""
    public: str = services().settings.public_url
    base = public or request.host_url.rstrip("/") + site.base()
    return f"{base}/hooks/{hook.token.id}/{secret}"


def shown(found: Hook) -> dict[str, Any]:
    """Return a hook as managers see it, without its secret."""
    return {"id": found.token.id, "name": found.account.name, "account": found.account.key, "room": found.room,
            "at": rfc3339(found.token.at)} | (
        {} if found.token.used_at is None else {"used_at": rfc3339(found.token.used_at)}
    )  # fmt: skip


def _hooks() -> Hooks:
    return authentication.services().hooks


def _chat() -> Chat:
    return services().chat

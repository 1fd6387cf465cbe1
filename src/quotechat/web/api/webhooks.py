"""The API of webhooks: addresses that this server calls with events."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from ...hub.chat import Chat
from ...hub.programs.cursors import ALL
from ...hub.webhooks.webhooks import Shown, Wanted, Webhooks
from ...protocol import cursor, names
from ...protocol.errors import Invalid
from ...protocol.events import rfc3339
from ...protocol.limits import MOST_ROOMS
from ...protocol.rights.principal import Principal
from ...protocol.types import program_types as types
from ...store.programs.webhooks import Try
from ..http import authentication, parameters, security
from ..http.services import services
from ..spec.described import CURSORS, described
from .messages import live

blueprint = Blueprint("webhooks", __name__, url_prefix="/api/v1")

_ONE = ("webhook-unknown", "forbidden")
_MADE = ("account-unknown", "room-unknown", "conflict")


@blueprint.get("/webhooks")
@described(answers={200: types.Webhooks}, problems=("forbidden",), identity="needed")
def listed() -> Response:
    """{`webhooks`}, the newest first: those of one's own bots; all for administrators."""
    return live({"webhooks": [shown(each) for each in _webhooks().listed(authentication.need_account())]})


@blueprint.post("/webhooks")
@described(
    answers={201: types.NewWebhook},
    body=types.WebhookBody,
    problems=("forbidden", *_MADE),
    writes=True,
    identity="needed",
)
def make() -> Response:
    """Make a webhook: {`name`, `url`, `account`, `rooms`?, `commands`?, `mentions`?} → 201 {`webhook`, `secret`}.

    It begins with the next event of each room. The secret is shown once.
    """
    principal = authentication.need_account()
    _webhooks().check(principal)
    fields = parameters.fields()
    account = _text(fields, "account")
    _text(fields, "name"), _text(fields, "url")
    webhook, secret = _webhooks().make(principal, account, _wanted({"rooms": ALL, **fields}))
    return live({"webhook": shown(webhook), "secret": secret}, 201)


@blueprint.get("/webhooks/<webhook_id>")
@described(answers={200: types.WebhookWithTries}, problems=_ONE, identity="needed")
def one(webhook_id: str) -> Response:
    """One webhook, with its positions and its last calls; the answers are not kept."""
    principal = authentication.need_account()
    found, tries = _webhooks().one(principal, webhook_id), _webhooks().tries(principal, webhook_id)
    return live(shown(found) | {"tries": [called(each, room) for each, room in tries]})


@blueprint.patch("/webhooks/<webhook_id>")
@described(
    answers={200: types.Webhook}, body=types.WebhookChange, problems=(*_ONE, *_MADE), writes=True, identity="needed"
)
def change(webhook_id: str) -> Response:
    """Change name, address, rooms or events; in rooms that are new to it, it begins with the next event."""
    principal, fields = authentication.need_account(), parameters.fields()
    return live(shown(_webhooks().change(principal, webhook_id, _wanted(fields))))


@blueprint.delete("/webhooks/<webhook_id>")
@described(answers={204: None}, problems=_ONE, writes=True, identity="needed")
def remove(webhook_id: str) -> Response:
    """Forget a webhook; nothing more is sent."""
    _webhooks().remove(authentication.need_account(), webhook_id)
    return Response(status=204)


@blueprint.post("/webhooks/<webhook_id>/test")
@described(
    answers={200: types.Called}, problems=(*_ONE, "conflict", "rate-limited"), writes=True, identity="needed"
)
def test(webhook_id: str) -> Response:
    """Call it now with an event of the type `webhook.test`, and tell how that went."""
    return live(called(tested(authentication.need_account(), webhook_id)))


@blueprint.post("/webhooks/<webhook_id>/replay")
@described(
    answers={200: types.Webhook},
    body=types.ReplayBody,
    problems=(*_ONE, "room-unknown", *CURSORS),
    writes=True,
    identity="needed",
)
def replay(webhook_id: str) -> Response:
    """Send the events after a cursor again, or for the first time: {`room`, `after`}."""
    principal, fields = authentication.need_account(), parameters.json_object()
    room, after = names.clean_room(_text(fields, "room"), "room"), cursor.parse(_text(fields, "after"))
    return live(shown(_webhooks().replay(principal, webhook_id, room, after)))


@blueprint.post("/webhooks/<webhook_id>/secret")
@described(answers={200: types.NewWebhook}, problems=_ONE, writes=True, identity="needed")
def secret(webhook_id: str) -> Response:
    """Make a new secret → {`webhook`, `secret`}; for 24 hours the calls are signed with both."""
    webhook, text = _webhooks().change_secret(authentication.need_account(), webhook_id)
    return live({"webhook": shown(webhook), "secret": text})


@blueprint.post("/webhooks/<webhook_id>/enable")
@described(answers={200: types.Webhook}, problems=_ONE, writes=True, identity="needed")
def enable(webhook_id: str) -> Response:
    """Let it go on from its position, at once."""
    return live(shown(_webhooks().enable(authentication.need_account(), webhook_id)))


def tested(principal: Principal, webhook_id: str) -> Try:
    """Call a webhook now, within the rate of the caller. Raises as `Webhooks.test`, and RateLimited."""
    _chat().limits.allow("webhook-test", principal.identity or "", security.address())
    return _webhooks().test(principal, webhook_id)


def shown(found: Shown) -> dict[str, Any]:
    """Return a webhook as its keepers see it, without its secret."""
    webhook = found.webhook
    fields: dict[str, Any] = {
        "id": webhook.key, "name": webhook.name, "account": found.bot.key, "url": webhook.url,
        "rooms": {room: str(place.cursor) for room, place in sorted(found.positions.items())},
        "commands": webhook.commands.split(),
        "behind": sum(place.head - place.cursor.seq for place in found.positions.values()),
        "state": "on" if found.reason is None else "disabled", "at": rfc3339(webhook.at),
    }  # fmt: skip
    if found.failing is not None:
        since, tries, next_at = found.failing
        fields["failing"] = {"since": rfc3339(since), "tries": tries, "next_at": rfc3339(next_at)}
    more = {"all": bool(webhook.all_rooms), "mentions": bool(webhook.mentions), "reason": found.reason,
            "made_by": found.maker}  # fmt: skip
    return fields | {name: value for name, value in more.items() if value}


def called(found: Try, room: str | None = None) -> dict[str, Any]:
    """Return a call as keepers see it."""
    fields: dict[str, Any] = {"at": rfc3339(found.at), "ms": found.ms}
    more = {"status": found.status, "error": found.error, "room": room, "seq": found.seq or None}
    return fields | {name: value for name, value in more.items() if value is not None}


# --- Inside -----------------------------------------------------------------------------------------


def _wanted(fields: dict[str, Any]) -> Wanted:
    """Return the fields of a body. Raises Invalid."""
    rooms, commands, mentions = fields.get("rooms"), fields.get("commands"), fields.get("mentions")
    if commands is not None and not _are_texts(commands):
        raise Invalid("commands", "commands is a list of events.")
    if mentions is not None and not isinstance(mentions, bool):
        raise Invalid("mentions", "mentions is true or false.")
    name = _text(fields, "name") if "name" in fields else None
    url = _text(fields, "url") if "url" in fields else None
    return Wanted(name, url, _rooms(rooms), rooms == ALL, commands, mentions)


def _rooms(found: Any) -> list[str] | None:
    if found is None or found == ALL:
        return None
    if not _are_texts(found) or not 1 <= len(found) <= MOST_ROOMS:
        raise Invalid("rooms", f"rooms is a list of 1 to {MOST_ROOMS} rooms, or all.")
    return [names.clean_room(each, "rooms") for each in dict.fromkeys(found)]


def _are_texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(each, str) for each in found)


def _text(fields: dict[str, Any], name: str) -> str:
    found = fields.get(name)
    if not isinstance(found, str):
        raise Invalid(name, f"{name} is missing, or no text.")
    return found


def _webhooks() -> Webhooks:
    return authentication.services().webhooks


def _chat() -> Chat:
    return services().chat

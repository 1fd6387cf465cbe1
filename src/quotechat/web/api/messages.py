"""Sending over HTTP: every form of POST becomes the one command that a WebSocket would carry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from ...hub.chat import Cancelled, Chat, Scheduled, Stored
from ...hub.submissions import bucket_of
from ...protocol import commands, json
from ...protocol.errors import Invalid, MalformedEnvelope, MessageUnknown, ParameterInvalid, ScheduledUnknown
from ...protocol.types import body_types, wire
from ..http import access, authentication, parameters, quota, security
from ..http.services import services
from ..spec.described import COMMANDS, FOR_MANAGERS, OWN_MESSAGE, Example, described, envelope
from ..transports import sending

blueprint = Blueprint("messages", __name__, url_prefix="/api/v1")

_LOBBY = "/api/v1/rooms/lobby/"
"""The room of the examples."""


@blueprint.post("/rooms/<room>/messages")
@described(
    answers={200: wire.MessageSent, 201: wire.MessageSent, 202: wire.Scheduled},
    query=("user",),
    body=body_types.MessageBody,
    text_body=True,
    problems=("room-unknown", "forbidden", "conflict", "client-id-reused", "rate-limited"),
    writes=True,
    limit="message",
    identity="optional",
    examples=(
        Example(_LOBBY + "messages", {"user": "Azin", "message": "*Hello!*", "client_id": "a1"}, status=201),
        Example(_LOBBY + "messages?user=Azin", "Hello from curl", {"Content-Type": "text/plain"}, 201),
        Example(_LOBBY + "messages", {"user": "Azin", "message": "Tea?", "send_at": "+10m"}, status=202),
    ),
)
def send(room: str) -> Response:
    """Send a message: as JSON, or with the whole body as the text and `?user=`.

    201 and the event; 200 if it was stored before; 202 if it is scheduled.
    """
    if parameters.is_text():
        fields: dict[str, Any] = {"user": _signed(), "message": _without_last_newline(parameters.text_body())}
        return answer_to(_submit("send-message", room, {}, message=fields), created=True)
    key, name = request.headers.get("Idempotency-Key"), security.given_name()
    command = _message_command(room, key, parameters.json_body(), name=name)
    answer = answer_to(_submitted(command), created=True)
    return sending.keep(answer, partial(_message_command, room, None, name=name), partial(_shown, created=True))


@blueprint.patch("/rooms/<room>/messages/<int:message_id>")
@described(
    answers={200: wire.MessageEdited},
    body=body_types.EditBody,
    problems=OWN_MESSAGE,
    writes=True,
    limit="message",
    identity="needed",
    examples=(Example(_LOBBY + "messages/1", {"message": "Hello, all!"}),),
)
def edit(room: str, message_id: int) -> Response:
    """Change the text of one's own message, or what its files show: {`message`?, `files`?: [{`id`, `alt`?}]}."""
    fields = parameters.json_object()
    with _number(message_id) as number:
        return answer_to(_submit("edit-message", room, fields, message={**fields, "id": number}))


@blueprint.delete("/rooms/<room>/messages/<int:message_id>")
@described(
    answers={200: wire.MessageDeleted},
    problems=("invalid", *OWN_MESSAGE),
    writes=True,
    limit="message",
    identity="needed",
    examples=(Example(_LOBBY + "messages/1"),),
)
def delete(room: str, message_id: int) -> Response:
    """Take one's own message back; managers of the room delete any."""
    with _number(message_id) as number:
        return answer_to(_submit("delete-message", room, {}, message={"id": number}))


@blueprint.put("/rooms/<room>/messages/<int:message_id>/reaction")
@described(
    answers={200: wire.Event},
    body=body_types.ReactionBody,
    problems=OWN_MESSAGE,
    writes=True,
    limit="message",
    identity="needed",
    examples=(Example(_LOBBY + "messages/1/reaction", {"reaction": "like"}),),
)
def react(room: str, message_id: int) -> Response:
    """Like or dislike: {`reaction`}; or an emoji, which `on`: false takes back."""
    fields = parameters.json_object()
    with _number(message_id) as number:
        return answer_to(_submit("react", room, fields, message={**fields, "id": number}))


@blueprint.delete("/rooms/<room>/messages/<int:message_id>/reaction")
@described(
    answers={200: wire.Event},
    problems=("invalid", *OWN_MESSAGE),
    writes=True,
    limit="message",
    identity="needed",
    examples=(Example(_LOBBY + "messages/1/reaction"),),
)
def unreact(room: str, message_id: int) -> Response:
    """Take one's like or dislike back."""
    with _number(message_id) as number:
        return answer_to(_submit("react", room, {}, message={"id": number, "reaction": "none"}))


@blueprint.get("/rooms/<room>/scheduled")
@described(
    answers={200: wire.Waiting},
    problems=("room-unknown", "rate-limited"),
    identity="needed",
    examples=(Example(_LOBBY + "scheduled"),),
)
def waiting(room: str) -> Response:
    """{`scheduled`}: one's own messages that wait, the next first."""
    return live({"scheduled": _chat().open(security.principal(), room).scheduled()})


@blueprint.delete("/rooms/<room>/scheduled/<int:scheduled_id>")
@described(
    answers={200: wire.Scheduled},
    problems=("room-unknown", "scheduled-unknown", "not-found", "forbidden", "conflict", "invalid", "client-id-reused",
              "rate-limited"),
    writes=True,
    limit="message",
    identity="needed",
    examples=(Example(_LOBBY + "scheduled/1"),),
)  # fmt: skip
def cancel(room: str, scheduled_id: int) -> Response:
    """Do not send a waiting message."""
    with _number(scheduled_id, ScheduledUnknown) as number:
        return answer_to(_submit("cancel-scheduled", room, {}, scheduled={"id": number}))


@blueprint.post("/rooms/<room>/commands")
@described(
    answers={200: wire.Ack | wire.Pong},
    body=commands.Write | commands.Ping,
    problems=("malformed-envelope", "forbidden", "room-unknown", "message-unknown", "scheduled-unknown",
              "quote-unknown", "conflict", "client-id-reused", "rate-limited"),
    writes=True,
    limit="message",
    identity="optional",
    examples=tuple(
        Example(_LOBBY + "commands", envelope(name))
        for name in COMMANDS
        if not name.endswith("subscribe") and name != "typing" and name not in FOR_MANAGERS
    ),
)  # fmt: skip
def command(room: str) -> Response:
    """Any envelope that a WebSocket would take, but subscribe, unsubscribe and typing: 200 and the `ack`."""
    envelope = parameters.json_body()
    if not isinstance(envelope, dict):
        raise MalformedEnvelope("An envelope is a JSON object.")
    envelope = _in_room(_keyed(envelope, request.headers.get("Idempotency-Key")), room)
    asked = commands.decode(envelope, security.given_name())
    if isinstance(asked, commands.Ping):
        _chat().open(security.principal(), room)  # nothing is there if there is no such room
        return live({"command": "pong", **_client_id(asked.client_id)})
    quota.taken_from(bucket_of(asked))
    outcome = _submitted(asked)
    return live({"command": "ack", **_client_id(asked.client_id), **outcome.ack()})


def submit_quote(room: str, fields: dict[str, Any]) -> Response:
    """Add a quote: 201 and the quote; 200 if it was stored before."""
    outcome = _submit("add-quote", room, fields, quote=fields)
    quote = outcome.event.envelope["quote"]
    return live(quote | {"duplicate": True}, 200) if outcome.duplicate else live(quote, 201)


def remove_quote(quote_id: int) -> Response:
    """Take one's own quote back: 200 and the event, in the room that has the quote."""
    room = _chat().quote_room(security.principal(), quote_id)
    return answer_to(_submit("remove-quote", room, {}, quote={"id": quote_id}))


def submit(command: str, room: str, fields: dict[str, Any], **inner: Any) -> Any:
    """Store a command with those inner objects; `fields` are of the body, for its `client_id`. Raises Refused."""
    return _submit(command, room, fields, **inner)


def submit_besides(command: str, room: str, **inner: Any) -> Any:
    """Store a further command of the same request: the `Idempotency-Key` is that of the first one. Raises Refused."""
    return _submitted(_decoded(command, room, None, {}, **inner))


def live(value: Any, status: int = 200) -> Response:
    """Return an answer that no cache may keep."""
    answer = Response(json.dumps(value), status, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _chat() -> Chat:
    return services().chat


def _submit(command: str, room: str, fields: dict[str, Any], **inner: Any) -> Any:
    return _submitted(_decoded(command, room, request.headers.get("Idempotency-Key"), fields, **inner))


def _submitted(command: commands.Command) -> Any:
    authentication.check_command(security.principal(), command)
    command = security.signed(command, security.given_name())
    quota.given(command)
    return _chat().submit(
        command, identity=security.identity(), address=security.address(), first_byte_at=access.first_byte_at(),
        proof=authentication.proof(),
    )  # fmt: skip


def _message_command(room: str, key: str | None, value: Any, *, name: str | None) -> commands.SendMessage:
    """Return the message in a JSON body; `key` is that of the header, `name` signs it if it has no `user`."""
    fields = parameters.an_object(value)
    message = fields if name is None or fields.get("user") is not None else {**fields, "user": name}
    command = _decoded("send-message", room, key, fields, message=message)
    assert isinstance(command, commands.SendMessage)
    return command


def _decoded(command: str, room: str, key: str | None, fields: dict[str, Any], **inner: Any) -> commands.Command:
    outer: dict[str, Any] = {name: fields[name] for name in ("client_id", "room") if name in fields}
    return commands.decode(_in_room(_keyed({**outer, "command": command, **inner}, key), room))


@contextlib.contextmanager
def _number(number: int, unknown: type[MessageUnknown | ScheduledUnknown] = MessageUnknown) -> Iterator[int]:
    """Yield the `number` in an address, or the last id, which nothing has, for one that can be no id.

    So its command takes the way of any unknown id: the same limit, and the same refusals in the same order.
    """
    if 1 <= number <= commands.LARGEST_ID:
        yield number
        return
    try:
        yield commands.LARGEST_ID
    except unknown:
        raise unknown(number) from None


def _in_room(envelope: dict[str, Any], room: str) -> dict[str, Any]:
    named = envelope.get("room", room)
    if isinstance(named, str) and named != room:
        raise ParameterInvalid("The room in the path and in the body differ.", "room")
    return {**envelope, "room": named}


def _keyed(envelope: dict[str, Any], key: str | None) -> dict[str, Any]:
    """Take the `client_id` from the header `Idempotency-Key` if it is given so; quotes around it are optional."""
    if key is None:
        return envelope
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    named = envelope.get("client_id")
    if named is None:
        named = key
    if isinstance(named, str) and named != key:
        raise ParameterInvalid("client_id and Idempotency-Key differ.", "client_id")
    return {**envelope, "client_id": named}


def _signed() -> str:
    name = parameters.one("user")
    name = security.user() if name is None else name
    if name is None:
        raise Invalid("user", "Say who you are: ?user=Name.")
    return name


def _without_last_newline(text: str) -> str:
    # `echo hi | curl --data-binary @-` ends in one that is not meant.
    return text.removesuffix("\n").removesuffix("\r")


def _client_id(client_id: str | None) -> dict[str, str]:
    return {} if client_id is None else {"client_id": client_id}


def answer_to(outcome: Any, *, created: bool = False) -> Response:
    """Return the answer to a stored command: its event, or the scheduled message."""
    status, body = _shown(outcome, created=created)
    answer = Response(body, status, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _shown(outcome: Any, *, created: bool = False) -> tuple[int, bytes]:
    """Return status and body of the answer to a stored command."""
    if isinstance(outcome, Scheduled | Cancelled):
        return (202 if isinstance(outcome, Scheduled) else 200), json.dumps(outcome.ack())
    assert isinstance(outcome, Stored)
    if outcome.duplicate:
        return 200, outcome.event.encoded[:-1] + b',"duplicate":true}'
    return (201 if created else 200), outcome.event.encoded

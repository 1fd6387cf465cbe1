"""The presence of the members of a room: asked for, never pushed."""

from __future__ import annotations

from flask import Blueprint, Response

from ...hub.chat import Chat
from ...protocol.errors import ParameterInvalid
from ...protocol.types import typing_types as types
from ..http import authentication, parameters
from ..http.services import services
from ..spec.described import described
from .messages import live

blueprint = Blueprint("presence", __name__, url_prefix="/api/v1")


@blueprint.get("/presence")
@described(
    answers={200: types.Presence},
    query=("present_in",),
    problems=("parameter-invalid", "scope-missing", "room-unknown", "forbidden", "rate-limited"),
    identity="needed",
)
def presence() -> Response:
    """{`present`: by id, `here` or the minutes since}, of the members of `?room=` that were here today."""
    principal, room = authentication.need_account(), parameters.one("room")
    if room is None:
        raise ParameterInvalid("room is missing.", "room")
    authentication.check_room(principal, room)
    chat = _chat()
    chat.open(principal, room)
    return live({"present": chat.presence.of_room(principal, room)})


def _chat() -> Chat:
    return services().chat

"""The mentions of an account."""

from __future__ import annotations

import re

from flask import Blueprint, Response

from ...hub.chat import Chat
from ...protocol.errors import ParameterInvalid
from ...protocol.types import mention_types as types
from ...store.following import mentions
from ...store.following.mentions import Before
from ..http import authentication, parameters, reads
from ..http.services import services
from ..spec.described import described
from .messages import live

blueprint = Blueprint("mentions", __name__, url_prefix="/api/v1")

_DEFAULT_LIMIT, _MOST = 50, 200


@blueprint.get("/mentions")
@described(
    answers={200: types.Mentions},
    query=("before_mention", "limit"),
    problems=("parameter-invalid", "scope-missing", "rate-limited"),
    identity="needed",
)
def mentioned() -> Response:
    """{`mentions`, `has_more`}: messages that mention or answer the caller, the newest first."""
    principal, before = authentication.need_account(), _before()
    limit = parameters.limit(_DEFAULT_LIMIT, _MOST)
    found = _chat().read_with(lambda sql: mentions.read(sql, principal, before, limit))
    reads.count(len(found["mentions"]))
    return live(found)


def _before() -> Before | None:
    given = parameters.one("before")
    if given is None:
        return None
    room, _, number = given.rpartition(":")
    if not room or not re.fullmatch("[0-9]{1,15}", number):
        raise ParameterInvalid("before is ROOM:ID, of a message.", "before")
    return Before(room, int(number))


def _chat() -> Chat:
    return services().chat

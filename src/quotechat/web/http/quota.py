"""The rest of a write limit, in headers: draft-ietf-httpapi-ratelimit-headers, in the form of its version 11.

The limits are token buckets: `q` is how much comes at once, `w` the seconds in which all of it comes back, `r` the
rest, `t` the seconds until nothing is missing. If `r` is 0, `Retry-After` says when the next one may come.

Beyond a limit a room that the caller may not read is unknown all the same (docs/protocol.md §9, order of checks).
"""

from __future__ import annotations

import math

from flask import Response, current_app, g, request
from flask.sansio.scaffold import Scaffold

from ...hub.budgets.limits import Rate
from ...hub.chat import Chat
from ...protocol import commands
from ...protocol.errors import RateLimited, Refused, RoomUnknown
from ...protocol.rights.principal import Principal
from . import problems, security
from .services import services

POLICY = "RateLimit-Policy"
STATE = "RateLimit"


def install(scope: Scaffold) -> None:
    """Add the rest of the limit to answers to limited writes; refuse an unknown room before a limit."""
    scope.register_error_handler(RateLimited, _refused)

    @scope.after_request
    def tell(answer: Response) -> Response:
        view = current_app.view_functions.get(request.endpoint or "")
        kind: str | None = g.pop("quotechat_bucket", None) or getattr(getattr(view, "call", None), "limit", None)
        if kind is not None:
            _tell(answer, kind)
        return answer


def needs_the_room(refused: Refused, command: commands.Command) -> bool:
    """Return True if `refused` is a limit, and `command` one that may be given only in a room that can be read."""
    return isinstance(refused, RateLimited) and not isinstance(command, commands.CancelScheduled)


def after_the_room(chat: Chat, principal: Principal, room: str, limit: Refused) -> Refused:
    """Return `limit`, or RoomUnknown if `principal` may not read `room`; waits for the store."""
    try:
        chat.open(principal, room)
    except RoomUnknown as unknown:
        return unknown
    except Refused:  # the store is unavailable
        pass
    return limit


def given(command: commands.Command) -> None:
    """Note the command of this request, for the refusal beyond a limit."""
    g.quotechat_command = command


def _refused(limit: RateLimited) -> Response:
    room, command = (request.view_args or {}).get("room"), g.get("quotechat_command")
    if room is None or (command is not None and not needs_the_room(limit, command)):
        return problems.response(limit)
    return problems.response(after_the_room(services().chat, security.principal(), room, limit))


def taken_from(kind: str) -> None:
    """Tell the rest of another limit than that of the call: commands of one address take from several."""
    g.quotechat_bucket = kind


def take_change() -> None:
    """Take from `change`, as each change of one's own that is no command does. Raises RateLimited."""
    services().chat.limits.allow("change", *security.client())


def _tell(answer: Response, kind: str) -> None:
    chat = services().chat
    try:
        key = security.address() if kind == "guest" else security.client_key()
    except Refused:  # a token that is not ours: nothing is counted for it
        return
    found = chat.limits.left(kind, key)
    if found is not None:
        rate, tokens = found
        answer.headers[POLICY] = f'"{kind}";q={rate.burst:g};w={math.ceil(rate.burst / rate.per_second)}'
        answer.headers[STATE] = state(kind, rate, tokens)


def state(kind: str, rate: Rate, tokens: float) -> str:
    """Return the header's value for a bucket that holds `tokens`."""
    return f'"{kind}";r={int(tokens)};t={math.ceil((rate.burst - tokens) / rate.per_second)}'

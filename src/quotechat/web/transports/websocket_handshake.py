"""The WebSocket handshake: flask-sock routes it, simple-websocket answers it; then the reactor owns the socket.

All refusals that HTTP can express come before the upgrade.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, has_request_context, request
from flask_sock import Sock
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import WebsocketMismatch

from ...live.connection import Connection
from ...live.detach import can_detach, detach, has_body
from ...protocol import json
from ...protocol.errors import NotAcceptable, ParameterInvalid, Refused
from ...protocol.types import wire
from ..http import access, parameters, problems, security, site
from ..http.services import services
from ..spec.described import described
from .websocket_client import Client, First
from .websocket_peer import Socket

_ALLOWED = "GET, OPTIONS"
SUBPROTOCOL = "quotechat.v1"

# 16 bytes in base 64 (RFC 6455 §4.2.1): the last letter has four bits that are nothing, but need not be 0.
_KEY = re.compile("[A-Za-z0-9+/]{22}==")

blueprint = Blueprint("websocket", __name__, url_prefix="/api/v1")
_sock = Sock(blueprint)


class _NoThread:
    """Replaces the thread with which simple-websocket would read from the socket."""

    name = ""

    def __init__(self, target: object) -> None:
        pass

    def start(self) -> None:
        """Do nothing: the reactor reads."""


class _Options(Mapping[str, Any]):
    """The options of flask-sock: ours for our route, those of the application around us for its routes."""

    def __init__(self, theirs: Mapping[str, Any]) -> None:
        self._theirs = theirs
        self._ours = {"thread_class": _NoThread, "subprotocols": [SUBPROTOCOL]}

    def _those(self) -> Mapping[str, Any]:
        ours = has_request_context() and request.blueprint == f"{site.NAME}.{blueprint.name}"
        return self._ours if ours else self._theirs

    def __getitem__(self, name: str) -> Any:
        return self._those()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._those())

    def __len__(self) -> int:
        return len(self._those())


def install(app: Flask) -> None:
    """Answer requests without an upgrade to the route of `app`."""
    app.register_error_handler(WebsocketMismatch, without_upgrade)


def without_upgrade(fault: WebsocketMismatch) -> Response:
    """Answer a request without an upgrade. Werkzeug would answer 400 to every method, OPTIONS too."""
    if request.method == "OPTIONS":
        return Response(status=200, headers={"Allow": _ALLOWED})
    if request.method != "GET":
        return problems.of_http(MethodNotAllowed(_ALLOWED.split(", ")))
    return problems.response(ParameterInvalid("This is a WebSocket: ask with an upgrade.", "Upgrade"))


@blueprint.before_request
def _before_the_upgrade() -> Response | None:
    """Make all refusals that HTTP can express: after the upgrade there are only envelopes."""
    if request.method != "GET":  # RFC 6455 §4.1; Flask lets HEAD in with it
        raise MethodNotAllowed(_ALLOWED.split(", "))
    chat = services().chat
    chat.check_accepting(access.first_byte_at())
    upgrade, connection = (request.headers.get(name, "").lower() for name in ("Upgrade", "Connection"))
    if upgrade != "websocket" or "upgrade" not in [each.strip() for each in connection.split(",")]:
        raise ParameterInvalid("Here is a WebSocket: ask for the upgrade.", "Upgrade")
    # simple-websocket answers 500 to requests that are refused here (RFC 6455 §4.2.2).
    if request.headers.get("Sec-WebSocket-Version") != "13":
        answer = problems.response(ParameterInvalid("WebSocket version 13 is spoken here.", "Sec-WebSocket-Version"))
        answer.status_code = 426
        answer.set_data(json.dumps({**json.loads(answer.get_data()), "status": 426}))
        answer.headers["Sec-WebSocket-Version"] = "13"
        return answer
    if not _KEY.fullmatch(request.headers.get("Sec-WebSocket-Key", "")):
        raise ParameterInvalid("A handshake needs a key of 16 bytes.", "Sec-WebSocket-Key")
    if request.method != "GET" or request.environ.get("SERVER_PROTOCOL") != "HTTP/1.1" or has_body(request.environ):
        raise ParameterInvalid("A handshake is a GET of HTTP/1.1 without a body.")
    if not can_detach(request.environ):
        raise NotAcceptable("This server cannot hand its sockets over; put a proxy in front that ends TLS.")
    # flask-sock has one set of options for an application; if others have set them, ours are there now.
    options = current_app.config.get("SOCK_SERVER_OPTIONS", {})
    if not isinstance(options, _Options):
        current_app.config["SOCK_SERVER_OPTIONS"] = _Options(options)
    # It would accept permessage-deflate, which triples the cost of sending.
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    who = security.client()
    chat.limits.enter("socket", *who)
    g.quotechat_socket_place = partial(chat.limits.leave, "socket", *who)
    return None


@blueprint.teardown_request
def _not_upgraded(fault: BaseException | None) -> None:
    """Give the place back: the handshake failed after all."""
    leave = g.pop("quotechat_socket_place", None)
    if leave is not None:
        leave()


@_sock.route("/ws")  # type: ignore[untyped-decorator]  # flask-sock is published without types
@described(
    answers={101: None, 426: wire.Problem},
    query=("room", "after"),
    media=("application/problem+json",),
    problems=("origin-refused", "not-acceptable", "rate-limited", "overloaded", "draining"),
    identity="optional",
)
def upgraded(ws: Any) -> None:
    """The handshake is done: hand the socket to the reactor."""
    reactor = services().reactor
    first: First
    try:
        parameters.check_encoding()
        first = parameters.one("room"), parameters.one("after")
    except Refused as refused:
        first = refused  # told over the socket: a browser could not read why there is none
    client = Client(security.identity(), security.address(), security.given_name(), security.principal())
    sock, ahead = detach(request.environ)
    limit = services().settings.socket_bytes
    place = g.pop("quotechat_socket_place")
    reactor.add(Socket(sock, place, Connection(limit), client, first, ahead, request.environ))

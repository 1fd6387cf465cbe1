"""Addresses under the prefix that are none, where the application around us would answer in its own way."""

from __future__ import annotations

import contextlib

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import WebsocketMismatch

from . import problems, websocket

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def install(scope: Blueprint) -> None:
    """Answer for every address below `scope` that is none."""
    scope.add_url_rule("/<path:rest>", "unknown", _unknown, methods=_METHODS)


def _unknown(rest: str) -> Response:
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    with contextlib.suppress(HTTPException):
        if adapter.match(method="GET", return_rule=True, websocket=True)[0].websocket:
            return websocket.without_upgrade(WebsocketMismatch())
    allowed = []
    for method in adapter.allowed_methods():
        with contextlib.suppress(HTTPException):
            if adapter.match(method=method, return_rule=True)[0].endpoint != request.endpoint:
                allowed.append(method)
    # Returned, not raised: the application around us may have a handler for just these.
    return problems.of_http(MethodNotAllowed(allowed) if allowed else NotFound())

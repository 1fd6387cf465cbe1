"""Answer unknown addresses: that of a page with a trailing slash, and that of a form, redirect to the page.

Under a prefix the application around us would answer in its own way.
"""

from __future__ import annotations

import contextlib

from flask import Blueprint, Flask, Response, current_app, request, url_for
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import WebsocketMismatch

from ..http import parameters, problems, site
from ..transports import websocket_handshake
from .parts.answers import to

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

#: Blueprints of pages to which an address with a trailing slash redirects.
_LED_TO = (
    "pages", "lessons", "room_pages", "about_page", "account_pages", "own_pages", "people_pages", "inbox_page",
    "moderation_pages", "webhook_pages", "search_page", "reference",
)  # fmt: skip


def install(scope: Flask | Blueprint) -> None:
    """Answer for every unknown address of `scope`."""
    if isinstance(scope, Flask):
        scope.register_error_handler(NotFound, without_slash)
        scope.register_error_handler(MethodNotAllowed, of_a_form)
        return
    scope.add_url_rule("/<path:rest>", "unknown", _unknown, methods=_METHODS)


def without_slash(fault: NotFound) -> Response:
    """Redirect an address with a trailing slash to its page; else answer that there is nothing."""
    return _to_page() or problems.of_http(fault)


def of_a_form(fault: MethodNotAllowed) -> Response:
    """Redirect a browser from the address of a form to the page with the form; else refuse the method."""
    return _to_form() or problems.of_http(fault)


def _to_form() -> Response | None:
    """Redirect to the page with the form: it shows a refusal at the form's address, and may be opened again there."""
    adapter = current_app.create_url_adapter(request)
    person = parameters.accepted("application/json", "text/html") == "text/html"
    if adapter is None or request.method not in ("GET", "HEAD") or not person:
        return None
    with contextlib.suppress(HTTPException):
        endpoint, values = adapter.match(method="POST")
        if _blueprint(endpoint) == "about_page":
            return to(site.url_for("about_page.about", name=values["name"]))
        path = request.path if _blueprint(endpoint) in _LED_TO else ""
        while path := path.rpartition("/")[0]:
            with contextlib.suppress(HTTPException):
                above, values = adapter.match(path, method="GET")
                if _blueprint(above) in _LED_TO:
                    return to(url_for(above, **values))
    return None


def _blueprint(endpoint: str) -> str:
    return endpoint.removeprefix(f"{site.NAME}.").partition(".")[0]


def _to_page() -> Response | None:
    adapter = current_app.create_url_adapter(request)
    if adapter is None or request.method not in ("GET", "HEAD") or not request.path.endswith("/"):
        return None
    with contextlib.suppress(HTTPException):
        endpoint, values = adapter.match(request.path.rstrip("/"), method="GET")
        if _blueprint(endpoint) in _LED_TO:
            query = request.query_string.decode("ascii", "replace")
            address = url_for(endpoint, **values) + (f"?{query}" if query else "")
            return Response(status=308, headers={"Location": address})
    return None


def _unknown(rest: str) -> Response:
    page = _to_page() or _to_form()
    if page is not None:
        return page
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    with contextlib.suppress(HTTPException):
        if adapter.match(method="GET", return_rule=True, websocket=True)[0].websocket:
            return websocket_handshake.without_upgrade(WebsocketMismatch())
    allowed = []
    for method in adapter.allowed_methods():
        with contextlib.suppress(HTTPException):
            if adapter.match(method=method, return_rule=True)[0].endpoint != request.endpoint:
                allowed.append(method)
    # Returned, not raised: the application around us may have a handler for just these.
    return problems.of_http(MethodNotAllowed(allowed) if allowed else NotFound())

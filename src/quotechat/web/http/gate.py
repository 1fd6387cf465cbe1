"""Let in callers that the setting `access` allows, with the scope that is needed, before anything is looked up.

A caller without access gets the same answer for every address, existing or not.
"""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, redirect, request
from flask.sansio.scaffold import Scaffold

from ...live import detach, handoff
from ...protocol.errors import OriginRefused, ScopeMissing, Unauthenticated
from ...protocol.rights.principal import Principal
from ...protocol.rooms import AUDIT
from . import authentication, same_origin, security, site
from .services import services

#: Each is served, but for /favicon.ico: browsers ask for it by themselves, and a 404 costs less than a page to sign in.
_FOR_ALL = frozenset({
    "/sign-in", "/join", "/reset", "/setup", "/device", "/api/v1/seen", "/healthz", "/readyz",
    "/openapi.json", "/asyncapi.json", "/reference", "/learn", "/robots.txt", "/favicon.ico",
})  # fmt: skip
_FOR_ALL_BELOW = ("/static/", "/hooks/", "/learn/")
_TO_SIGN_IN = frozenset({"/api/v1/sessions", "/api/v1/setup", "/api/v1/joins", "/api/v1/resets", "/api/v1/devices/use"})
_OWN_GUARD = frozenset({"/metrics"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: Blueprints and calls that need the scope `write`; every other change needs `manage`.
_WRITES = frozenset({
    "messages", "files", "quotes", "pages", "members.join", "members.leave", "inbox.read", "inbox.level",
    "about_page.join", "about_page.leave", "about_page.level",
})  # fmt: skip
_REMOVES = frozenset({"members.remove"})
#: Calls, and blueprints, that need a session: a token with any scopes is refused.
_NEED_SESSION = frozenset({
    "signing_in", "own_pages", "people_pages", "inbox_page", "moderation_pages", "webhook_pages",
    "me.password", "me.close", "me.tokens", "me.new_token", "me.revoke",
    "bots.tokens", "bots.new_token", "bots.revoke", "administration.reset", "administration.sign_out",
})  # fmt: skip
#: Calls without a room in their path that a token for some rooms may use: they check its rooms themselves.
_FOR_SOME_ROOMS = frozenset({
    "me.me", "me.scheduled", "me.revoke_this", "rooms.rooms", "rooms.create", "polling.events_of_rooms", "quotes",
    "search.search", "cursors", "files", "inbox", "mentions", "presence", "websocket", "health", "specs", "reference",
})  # fmt: skip
#: Blueprints whose calls count as presence of a person; clients make other calls, such as polls, by themselves.
_BY_HAND = frozenset({"rooms", "messages", "pages", "mentions", "search"})
_ANY_SCOPE = frozenset({"me.revoke_this", "messages.command"})
"""A token may always end itself; each command has its own scope, which is checked when it is read."""


def install(scope: Scaffold, *, whole: bool) -> None:
    """Guard every request of `scope`; if the application is `whole` ours, it has a page to sign in."""

    @scope.before_request
    def guard() -> Response | None:
        if _is_for_all():
            return None
        caller = authentication.caller()
        if caller is not None:
            _check_session(caller)
            _check_token(caller)
            request.environ[handoff.PRINCIPAL] = caller.principal
            if (request.blueprint or "").rpartition(".")[2] in _BY_HAND:
                services().chat.presence.active(caller.principal.identity)
            if request.method in _SAFE:
                # The next poll on the connection is a request of its own, and may be refused. Commands are checked
                # in the transaction that stores them.
                detach.guard(request.environ)
        elif authentication.services().access != "open" and not security.is_known():
            return _refused(whole=whole)
        _check_log(caller)
        return None


def _is_for_all() -> bool:
    path = site.path()
    if path in _FOR_ALL or path in _OWN_GUARD or path.startswith(_FOR_ALL_BELOW):
        return True
    return path in _TO_SIGN_IN and request.method == "POST"


def _refused(*, whole: bool) -> Response:
    if site.path().startswith("/api/") or not whole:
        raise Unauthenticated("Sign in first: this server is for people who have an account.")
    there = site.here()
    to = site.url_for("account_pages.sign_in")
    answer = redirect(to if there == "/" else f"{to}?{urlencode({'next': there})}", 303)
    answer.headers["Cache-Control"] = "no-store"
    return answer  # type: ignore[return-value]  # Flask's own class, as everywhere


def _check_log(caller: authentication.Caller | None) -> None:
    """Raise RoomUnknown if the address names the log of administration, and the caller may not read it."""
    named = request.view_args or {}
    if AUDIT in (named.get("room"), named.get("name")):
        # A page would show it as a room without messages.
        shown = caller is not None and "room" in named
        authentication.check_room(caller.principal if caller is not None and shown else None, AUDIT)


def _check_session(caller: authentication.Caller) -> None:
    """Refuse a write by a cookie, which browsers send by themselves, unless it comes from a page of ours."""
    if caller.session is None or request.method in _SAFE:
        return
    named = "Origin" in request.headers or "Sec-Fetch-Site" in request.headers
    if not named or not (same_origin.is_our_page() or same_origin.is_listed()):
        raise OriginRefused("A write with a session needs Origin or Sec-Fetch-Site; programs use a token.")


def _check_token(caller: authentication.Caller) -> None:
    if caller.session is not None or caller.host:
        return
    if _is_one_of(_NEED_SESSION):
        raise ScopeMissing("session")
    if not _is_one_of(_ANY_SCOPE):
        authentication.check_scope(caller.principal, _scope(caller.principal))
    _check_rooms(caller.principal)


def _check_rooms(principal: Principal) -> None:
    """Refuse a token for some rooms in another room, and for calls on the whole server."""
    room = (request.view_args or {}).get("room")
    if room is not None:
        authentication.check_room(principal, room)
    elif principal.rooms is not None and request.url_rule is not None and not _is_one_of(_FOR_SOME_ROOMS):
        raise ScopeMissing("manage" if site.path().startswith("/api/") else "session")


def _scope(principal: Principal) -> str:
    if request.method in _SAFE:
        return "read"
    return "write" if _is_one_of(_WRITES) or _leaves(principal) else "manage"


def _leaves(principal: Principal) -> bool:
    """Return True if the call removes the caller itself from a room, by its id."""
    return _is_one_of(_REMOVES) and (request.view_args or {}).get("account_id") == principal.id


def _is_one_of(calls: frozenset[str]) -> bool:
    """Return True if `calls` has this call, such as ``me.password``, or its blueprint."""
    name = (request.endpoint or "").removeprefix(f"{site.NAME}.")
    return name in calls or name.partition(".")[0] in calls

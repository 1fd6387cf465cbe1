"""Identify callers, and check that the page that asks is ours (protocol §7: Who is who, Same origin).

An identity is a random id, signed, in an HttpOnly cookie or a bearer token. The secret comes from the store,
so that all workers on all machines sign alike and a restart forgets no identity.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any, NamedTuple, cast

from flask import Flask, Response, g, request
from flask.sansio.scaffold import Scaffold
from itsdangerous import BadSignature, URLSafeSerializer

from ...config import Settings
from ...hub.accounts.hosted import User
from ...live.detach import guard
from ...protocol import names
from ...protocol.errors import Forbidden, Invalid, ParameterInvalid, Refused, Unauthenticated
from ...protocol.rights.principal import Principal
from . import authentication, parameters, problems, same_origin, site
from .proxies import address as address  # it identifies the caller, as the rest of this module
from .services import services, services_of

_OLD_COOKIE = "quotechat"
"""The name of the cookie in earlier versions, equal for all servers."""
_SIGNED = re.compile(r"\.?[A-Za-z0-9_-]{30,60}\.[A-Za-z0-9_-]{20,60}")
"""A signed identity of any server, which cannot be guessed."""
_ANY_COOKIE = re.compile(r"quotechat(-[0-9a-f]{8})?")
_COOKIE_SECONDS = 400 * 24 * 3600
"""The longest time for which browsers keep a cookie (RFC 6265bis §5.5)."""


# --- The caller -----------------------------------------------------------------------------------


def identity() -> str | None:
    """Return the identity of the caller, or None. Raises Unauthenticated for a token that is not ours."""
    who = _who()
    return who[0] if who else None


def user() -> str | None:
    """Return the name of the caller, from its account, its token or the application around us; None without one."""
    who = _who()
    return who[1] if who else None


def client_key() -> str:
    """Return the key under which limits count the caller: its identity, else its address."""
    return identity() or address()


def client() -> tuple[str, str]:
    """Return the key under which limits count the caller, and its address."""
    return client_key(), address()


def given_name() -> str | None:
    """Return the only name under which the caller may write, from its account or the application around us, or None."""
    who = _from_account() or _from_host()
    return who[1] if who else None


def principal() -> Principal:
    """Return the caller. Raises Unauthenticated for a token that is not ours."""
    caller = authentication.caller()
    if caller is not None:
        return caller.principal
    return Principal(identity(), name=given_name(), role="member" if is_known() else "visitor")


def is_known() -> bool:
    """Return True if the application around us knows the caller."""
    return _from_host() is not None


def visitor() -> str | None:
    """Return the identity in the visitor's cookie, if there is one."""
    found = _from_cookie()
    return found[0] if found else None


def guest_identity(token: str) -> str:
    """Return the identity in the token of a guest. Raises Invalid."""
    try:
        return str(_signer("token").loads(token.strip())[0])
    except BadSignature:
        raise Invalid("token", "This token was not given by this server.") from None


def signed(command: Any, name: str | None) -> Any:
    """Return `command`, which signs as `name` if that is given. Raises Forbidden."""
    user = getattr(getattr(command, "message", command), "user", None)
    if name is not None and user is not None and names.clean_user(user, len(user) or 1) != name:
        # repr: a name that would be refused here may hold characters that must not be shown.
        raise Forbidden(f"You are signed in as {name!r}, and write under that name only.")
    return command


def new_token(name: str) -> str:
    """Make a bearer token with a new identity for `name`. Raises Forbidden for a client of the host application."""
    if _from_host() is not None or _from_account() is not None:
        raise Forbidden("You are signed in: a guest would be somebody else.")
    return _signer("token").dumps([secrets.token_hex(16), name])


class Keys(NamedTuple):
    """The keys that sign identities, made of the secret of the store."""

    cookie: str
    """The name of the cookie."""
    renewal: bytes
    signers: dict[str, URLSafeSerializer]


def cookie_name() -> str:
    """Return the name of this server's cookie. Browsers share a host's cookies among its ports: another server there
    has another name, so that neither takes the other's identity away."""
    return services().keys.cookie


def give_cookie(answer: Response) -> None:
    """Give a browser an identity with `answer`, if it has none, or has it under the old name."""
    if _from_host() is None and _from_account() is None and _cookie(cookie_name()) is None:
        _set_cookie(answer, _cookie(_OLD_COOKIE) or g.get("quotechat_renewed") or secrets.token_hex(16))


def _set_cookie(answer: Response, identity: str) -> None:
    answer.set_cookie(
        cookie_name(),
        _signer("cookie").dumps(identity),
        max_age=_COOKIE_SECONDS,
        path=site.base() or "/",
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )


def _who() -> tuple[str, str | None] | None:
    if "quotechat_who" not in g:
        # The host before a guest's token, which must not make another person of its user.
        g.quotechat_who = _from_account() or _from_host() or _from_token() or _from_cookie() or _renewed()
    return cast("tuple[str, str | None] | None", g.quotechat_who)


def _from_account() -> tuple[str, str | None] | None:
    """Return the identity and name of the account that asks."""
    caller = authentication.caller()
    if caller is None or caller.principal.identity is None:
        return None
    return caller.principal.identity, caller.principal.name


def _from_token() -> tuple[str, str | None] | None:
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise BadSignature("another scheme")
        found = _signer("token").loads(token.strip())
        return str(found[0]), str(found[1])
    except BadSignature:
        raise Unauthenticated("This token was not given by this server.") from None


def _from_host() -> tuple[str, str | None] | None:
    """Return the id and name of the caller in the application around us (`QuoteChat.identify`)."""
    if "quotechat_host_user" not in g:
        g.quotechat_host_user = _asked_host()
    return cast("tuple[str, str | None] | None", g.quotechat_host_user)


def _asked_host() -> tuple[str, str | None] | None:
    found = cast("User | tuple[str, str] | str | None", authentication.host_user())
    if found is None:
        return None
    user_id, name = found[:2] if isinstance(found, tuple) else (found, None)
    try:
        known = None if name is None else names.clean_user(name, _settings().user_chars)
    except Refused:
        # Nobody can write under it; but a bad name must not allow its owner to write under any other.
        known = name
    # Never equal to an id of ours, which is 32 hex digits.
    return f"host:{user_id}", known


def _from_cookie() -> tuple[str, str | None] | None:
    found = _cookie(cookie_name()) or _cookie(_OLD_COOKIE)
    return (found, None) if found else None


def _cookie(name: str) -> str | None:
    try:
        return str(_signer("cookie").loads(request.cookies.get(name, "")))
    except BadSignature:
        # Another server had this address before: the browser gets a new one.
        return None


def _renewed() -> tuple[str, str | None] | None:
    """Make an identity for an open page whose server lost its data, and with it the secret that signs identities.

    The browser keeps cookies, since it sends an old one. The answer sets the new one (`_headers`). The identity is
    derived from the old cookie: requests at the same time get the same identity.
    """
    if "Upgrade" in request.headers or not same_origin.is_our_page():
        return None
    old = [value for name, value in request.cookies.items() if _ANY_COOKIE.fullmatch(name) and _SIGNED.fullmatch(value)]
    if not old:
        return None
    key = services().keys.renewal
    g.quotechat_renewed = hashlib.blake2b("\n".join(sorted(old)).encode(), digest_size=16, key=key).hexdigest()
    # The next request on this connection brings another cookie.
    guard(request.environ)
    return g.quotechat_renewed, None


def _signer(kind: str) -> URLSafeSerializer:
    return services().keys.signers[kind]


# --- Whose page -----------------------------------------------------------------------------------


def install(app: Flask, scope: Scaffold, settings: Settings, secret: str) -> None:
    """Check every request of `scope` before all else, and add our headers to every answer.

    `scope` is `app` itself or, in another's application, our blueprint. `secret` signs identities, and is the same in
    all processes.
    """
    own = hashlib.blake2b(secret.encode(), digest_size=4, person=b"quotechat.cookie")
    services_of(app).keys = Keys(
        f"quotechat-{own.hexdigest()}",
        hashlib.blake2b(secret.encode(), person=b"quotechat.renew").digest(),
        {kind: URLSafeSerializer(secret, salt=f"quotechat.{kind}") for kind in ("cookie", "token")},
    )
    scope.before_request(_check)
    scope.after_request(_headers)
    if scope is not app:
        scope.before_request(_guarded)


def _settings() -> Settings:
    return services().settings


def _guarded() -> None:
    """Let every request pass through the application around us.

    Else its guards would miss requests on connections that the reactor keeps.
    """
    guard(request.environ)


def _check() -> Response | None:
    # Larger is refused while reading; the form parser asks for this too.
    request.max_content_length = _settings().body_bytes
    if not _settings().allows_host(request.headers.get("Host", "")):
        # The error page would print links with that host.
        g.quotechat_host_refused = True
        named = request.headers.get("Host", "")[:80]
        return problems.response(ParameterInvalid(f"The Host {named!r} is not served here.", "Host"))
    parameters.drop_odd_range()
    if request.method == "OPTIONS" and same_origin.is_listed() and "Access-Control-Request-Method" in request.headers:
        return _preflight()
    same_origin.check()
    if "websocket" not in request.headers.get("Upgrade", "").lower():  # those are told over the socket
        parameters.check_encoding()
    return None


def _preflight() -> Response:
    answer = Response(status=204)
    answer.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
    answer.headers["Access-Control-Allow-Headers"] = (
        "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Upload-Complete,"
        " Upload-Length, Upload-Offset"
    )
    answer.headers["Access-Control-Max-Age"] = "600"
    return answer


def _headers(answer: Response) -> Response:
    if answer.direct_passthrough:
        # Files are small. In one piece the server can send them to a slow reader without a thread.
        answer.direct_passthrough = False
        answer.get_data()
    headers = answer.headers
    if answer.status_code in (204, 304):
        headers.remove("Content-Type")  # Flask adds one, though there is no content
    if "quotechat_renewed" in g and "Set-Cookie" not in headers:
        _set_cookie(answer, g.quotechat_renewed)
    headers["X-Content-Type-Options"] = "nosniff"
    # Not no-referrer: with that, a browser sends the Origin of our own forms as null.
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    # The answer with a file has a policy of its own.
    headers.setdefault("Content-Security-Policy", _content_security_policy())
    # Readers who can reach the server may read; search engines must not publish it.
    headers["X-Robots-Tag"] = "noindex"
    if answer.mimetype == "text/html":
        # A room is fetched when the pointer rests on its link; its socket reads on from the cursor in that page.
        headers["Speculation-Rules"] = f'"{site.url_for("static", filename="speculation.json")}"'
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    if "quotechat_who" in g or "quotechat_caller" in g or "Set-Cookie" in headers:
        # Some caches ignore no-store: they must not give this answer to another caller.
        answer.vary.update(("Cookie", "Authorization"))
    if _settings().origins:
        headers.add("Vary", "Origin")
        if same_origin.is_listed():
            headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            headers["Access-Control-Expose-Headers"] = (
                "ETag, Link, Location, Upload-Complete, Upload-Offset, Preference-Applied, RateLimit,"
                " RateLimit-Policy, Retry-After, X-Request-Id"
            )
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


def _content_security_policy() -> str:
    # 'self' does not cover ws: in older Safari, so the sockets of this host are named.
    sockets = "" if g.get("quotechat_host_refused") else f" ws://{request.host} wss://{request.host}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self';"
        f" connect-src 'self'{sockets}; font-src 'self'; manifest-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )



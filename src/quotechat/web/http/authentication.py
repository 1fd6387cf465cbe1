"""Find the account that asks: by the token of a program, or by the session of a browser. Once for each request.

Both are looked up in the store each time, so one that has ended is refused from the commit on, at every worker.
Visitors, and users of the application around us, are recognised in `security`.
"""

from __future__ import annotations

import secrets
from ipaddress import ip_network
from typing import NamedTuple, cast

from flask import Flask, Response, after_this_request, g, request
from itsdangerous import BadSignature, URLSafeSerializer

from ...config import Settings
from ...hub.accounts.accounts import Accounts
from ...hub.accounts.bars import Bars
from ...hub.accounts.bots import Bots
from ...hub.accounts.clients import Client, SignedIn
from ...hub.accounts.credentials import TOKEN_PREFIX, Credentials, Rules
from ...hub.accounts.hosted import Hosted, User
from ...hub.accounts.passwords import Passwords
from ...hub.accounts.people import People
from ...hub.chat import Chat
from ...hub.files import Files, open_files
from ...hub.programs.cursors import Cursors
from ...hub.programs.hooks import Hooks
from ...hub.webhooks.calls import policy
from ...hub.webhooks.webhooks import Placed, Webhooks
from ...live import handoff
from ...protocol import commands
from ...protocol.cursor import cursor_of
from ...protocol.errors import Forbidden, RoomUnknown, ScopeMissing, Unauthenticated
from ...protocol.inbox import INBOX
from ...protocol.rights.permissions import CREATE_BOT, CREATE_CLOSED, CREATE_ROOM, INVITE, allows_on_server, scope_of
from ...protocol.rights.principal import Principal
from ...protocol.rooms import AUDIT
from ...store.accounts.sessions import Session, hashed
from . import proxies, site
from .services import services as of_application
from .services import services_of

_SESSION = "quotechat-session"
_DEVICE = "quotechat-device"
_DEVICE_SECONDS = 400 * 24 * 3600
"""The longest time for which browsers keep a cookie (RFC 6265bis §5.5)."""
_MOST_KNOWN = 5
"""The number of accounts for which a device is remembered."""
_REFUSALS = {
    CREATE_ROOM: "Only administrators create rooms here.",
    CREATE_CLOSED: "You may not create closed rooms here.",
    INVITE: "Only administrators invite here.",
    CREATE_BOT: "Only administrators make bots here.",
}


class Services(NamedTuple):
    """The parts of the hub that views use for accounts."""

    accounts: Accounts
    people: People
    bots: Bots
    hosted: Hosted
    bars: Bars
    cursors: Cursors
    hooks: Hooks
    files: Files
    webhooks: Webhooks
    credentials: Credentials
    access: str
    signer: URLSafeSerializer


class Caller(NamedTuple):
    """The account that sends the request, and its session if it has one."""

    principal: Principal
    session: Session | None = None
    host: bool = False
    """True if the application around us identified it: then that application asks for passwords, not we."""


def install(app: Flask, chat: Chat, settings: Settings) -> None:
    """Give `app` its accounts."""
    rules = Rules(
        settings.access, settings.session_days, settings.session_idle_days, settings.limits,
        settings.name_hold_seconds * 1000,
    )  # fmt: skip
    changed = chat.access_changed
    services_of(app).accounts = Services(
        Accounts(chat, Passwords(settings.password_chars), rules, chat.now, changed),
        People(chat, chat.now, changed, settings.access),
        Bots(chat, chat.now, changed),
        Hosted(chat, chat.now, changed),
        Bars(chat, chat.now),
        Cursors(chat),
        Hooks(chat, changed),
        open_files(chat, settings),
        Webhooks(chat, _placed(chat), policy(settings.webhooks, settings.webhook_networks), chat.now, changed),
        Credentials(chat, rules, chat.now),
        settings.access,
        URLSafeSerializer(chat.secret(), salt="quotechat.device"),
    )


def _placed(chat: Chat) -> Placed:
    return lambda reader, room, after: cursor_of(chat.open(reader, room).place(after).cursor)


def services() -> Services:
    """Return the services of the current application."""
    return of_application().accounts


# --- The caller -------------------------------------------------------------------------------------


def caller() -> Caller | None:
    """Return the account that asks, or None. Raises Unauthenticated for a token that is not valid."""
    if "quotechat_caller" not in g:
        found = _by_token() if "Authorization" in request.headers else _by_session()
        g.quotechat_caller = found or _by_host()
    return cast("Caller | None", g.quotechat_caller)


def forget() -> None:
    """Forget the caller, to be looked up anew: the request itself has changed it."""
    g.pop("quotechat_caller", None)
    g.pop("quotechat_who", None)


def need_account() -> Principal:
    """Return the account that asks. Raises Unauthenticated."""
    found = caller()
    if found is None:
        raise Unauthenticated("This needs an account: sign in, or send a token.")
    return found.principal


def need_own_account(principal: Principal) -> Principal:
    """Return `principal`. Raises Unauthenticated if it has no account."""
    if not principal.has_account:
        raise Unauthenticated("This needs an account: sign in, or send a token.")
    return principal


def need_session() -> tuple[Principal, Session]:
    """Return the account and its session. Raises Unauthenticated, and ScopeMissing for a token."""
    need_account()
    found = caller()
    assert found is not None
    if found.session is None:
        raise ScopeMissing("session")
    return found.principal, found.session


def need_proof(what: str) -> tuple[Principal, Session]:
    """As `need_session`, if the password was given lately. Raises ProofNeeded."""
    principal, session = need_session()
    services().accounts.need_proof(session, what)
    return principal, session


def prove(password: object) -> tuple[Principal, Session]:
    """Take `password` as a proof, and return the account and its session, which has a new secret.

    Every answer to this request carries the new cookie. Raises as `need_session`, and SignInFailed, RateLimited.
    """
    _, session = need_session()
    renewed = services().accounts.prove(session, password, client())
    g.quotechat_secret = renewed.secret
    forget()
    after_this_request(lambda answer: begin(answer, renewed))
    return need_session()


def need_person(what: str | None = None) -> Principal:
    """Return the account of a person: by a session, a proved one if `what` is given, or by the application around us.

    Raises as `need_session` and `need_proof`.
    """
    principal = need_account()
    found = caller()
    if found is None or not found.host:
        need_session()
        if what is not None:
            need_proof(what)
    return principal


def need_admin() -> Principal:
    """Return the administrator that asks. Raises Unauthenticated, Forbidden."""
    principal = need_account()
    if not principal.is_admin:
        raise Forbidden("Only administrators may do this.")
    return principal


def may(principal: Principal, action: str) -> bool:
    """Return True if `principal` may do `action`, which concerns no room, as the site is set up now."""
    return allows_on_server(principal, action, services().people.site())


def need_right(principal: Principal, action: str) -> None:
    """Raise Forbidden if `principal` may not do `action`, which concerns no room."""
    if not may(principal, action):
        raise Forbidden(_REFUSALS[action])


def proof() -> bytes | None:
    """Return the hash of the session or token that the request rests on."""
    found = caller()
    return None if found is None else found.principal.proof


def check_room(principal: Principal | None, room: str) -> None:
    """Raise RoomUnknown if the token of `principal` is for other rooms, or if it may not read the audit log."""
    if room == AUDIT and not (principal is not None and principal.is_admin):
        raise RoomUnknown(room)
    if principal is not None and principal.rooms is not None and room not in (INBOX, *principal.rooms):
        raise RoomUnknown(room)


def check_scope(principal: Principal | None, scope: str) -> None:
    """Raise ScopeMissing if the token of `principal` lacks `scope`."""
    if principal is not None and scope not in principal.scopes:
        raise ScopeMissing(scope)


def check_command(principal: Principal | None, command: commands.Command) -> None:
    """Raise ScopeMissing or RoomUnknown if the token of `principal` is not for `command`."""
    check_room(principal, command.room)
    # Members may leave with `write`; to remove others needs `manage`.
    leaves = isinstance(command, commands.RemoveMember) and principal is not None and command.member.id == principal.id
    check_scope(principal, "write" if leaves else scope_of(str(command.__struct_config__.tag)))


def _by_token() -> Caller | None:
    scheme, _, token = request.headers["Authorization"].partition(" ")
    if scheme.lower() != "bearer" or not token.strip().startswith(TOKEN_PREFIX):
        return None
    return Caller(services().credentials.by_token(token.strip()))


def _by_session() -> Caller | None:
    secret = _secret()
    if not secret:
        return None
    found = services().credentials.by_session(secret)
    if found is None:
        return None
    services().credentials.touch(found[1], short_address())
    return Caller(*found)


def host_user() -> object:
    """Return the user that the application around us names as the caller. Asked once for each request."""
    if "quotechat_host_said" not in g:
        g.quotechat_host_said = of_application().identify()
    return g.quotechat_host_said


def _by_host() -> Caller | None:
    user = host_user()
    return Caller(services().hosted.seen(user), host=True) if isinstance(user, User) else None


# --- Cookies ----------------------------------------------------------------------------------------


def session_cookie() -> str:
    """Return the name of the session's cookie: over https and without a prefix, one that no other host can set."""
    return f"__Host-{_SESSION}" if request.is_secure and not site.base() else _SESSION


def _secret() -> str | None:
    """Return the secret of the session: from the cookie, or the new one that this request has made."""
    found: str | None = g.get("quotechat_secret") or request.cookies.get(session_cookie())
    return found


def client(visitor: str | None = None) -> Client:
    """Return the browser or program that signs in; `visitor` is the identity of its cookie."""
    device, known = _device()
    secret = _secret()
    return Client(
        proxies.address(), request.headers.get("User-Agent", ""), request.host.partition(":")[0],
        short_address(), device, frozenset(known), visitor, hashed(secret) if secret else None,
    )  # fmt: skip


def begin(answer: Response, signed_in: SignedIn) -> Response:
    """Return `answer` with the cookies of a session that has begun."""
    # The connection goes on, and the session that it was used by may have ended.
    request.environ.pop(handoff.PRINCIPAL, None)
    days = of_application().settings.session_days
    _set(answer, session_cookie(), signed_in.secret, days * 86_400)
    device, known = _device()
    accounts = [signed_in.account.key, *(each for each in known if each != signed_in.account.key)][:_MOST_KNOWN]
    _set(answer, _DEVICE, services().signer.dumps([device or secrets.token_hex(16), accounts]), _DEVICE_SECONDS)
    return answer


def end(answer: Response) -> Response:
    """Return `answer` with the session's cookie removed from the browser."""
    answer.delete_cookie(session_cookie(), path=site.base() or "/", secure=request.is_secure, httponly=True,
                         samesite="Lax")  # fmt: skip
    return answer


def short_address() -> str:
    """Return the address without its last part, /24 or /48, as lists of sessions show it; "" if there is none."""
    found = proxies.address().partition("/")[0]
    return str(ip_network((found, 48 if ":" in found else 24), strict=False).network_address) if found else ""


def _device() -> tuple[str | None, list[str]]:
    try:
        device, known = services().signer.loads(request.cookies.get(_DEVICE, ""))
        return str(device), [str(each) for each in known]
    except (BadSignature, TypeError, ValueError):
        return None, []


def _set(answer: Response, name: str, value: str, seconds: int) -> None:
    answer.set_cookie(
        name, value, max_age=seconds, path=site.base() or "/", httponly=True, samesite="Lax", secure=request.is_secure
    )

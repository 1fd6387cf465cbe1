"""Checks and figures for operators: is it up, is it ready, and how busy."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Blueprint, Response, request

from quotechat import __version__

from ...hub.chat import Chat
from ...protocol.errors import Forbidden, Unauthenticated
from ...protocol.events import rfc3339
from ..http import security
from ..http.services import services
from ..spec.described import Example, described
from .messages import live

if TYPE_CHECKING:
    # prometheus-client looks when it is imported which process this is, so the master must not import it.
    pass

log = logging.getLogger(__name__)

_PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"

blueprint = Blueprint("health", __name__)


class Health(msgspec.Struct):
    """`ok`, or the fault; the parts by name."""

    status: str
    parts: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


@blueprint.get("/healthz")
@described(answers={200: Health}, examples=(Example("/healthz"),))
def healthz() -> Response:
    """The process answers."""
    return live({"status": "ok"})


class Seen(msgspec.Struct):
    """A request as it came to the server: `http` is the version of the last hop."""

    version: str
    at: str
    http: str
    host: str
    scheme: str
    address: str


@blueprint.get("/api/v1/seen")
@described(answers={200: Seen}, examples=(Example("/api/v1/seen"),))
def seen() -> Response:
    """This request as it came here, through all proxies: for `quotechat doctor`."""
    chat = services().chat
    protocol = request.environ.get("SERVER_PROTOCOL", "")
    return live(
        Seen(__version__, rfc3339(chat.now()), protocol, request.host, request.scheme, security.address())
    )


@blueprint.get("/readyz")
@described(answers={200: Health, 503: Health}, examples=(Example("/readyz"),))
def readyz() -> Response:
    """Ready for new requests: the database answers, every thread lives, it is not draining; else 503."""
    chat = services().chat
    parts = {"database": _database(chat), "serving": "draining" if chat.draining else "ok"}
    parts |= chat.parts()
    # Without them a server searches late, or calls late, and serves.
    ready = all(state == "ok" for name, state in parts.items() if name not in ("indexer", "webhooks"))
    answer = live({"status": "ok" if ready else "unready", "parts": parts}, 200 if ready else 503)
    if not ready:
        answer.headers["Retry-After"] = "1"
    return answer


@blueprint.get("/metrics")
@described(
    answers={200: str},
    media=("text/plain",),
    problems=("unauthenticated", "forbidden"),
    examples=(Example("/metrics"),),
)
def metrics() -> Response:
    """Figures of all workers for Prometheus, in its text format 0.0.4; for this machine, or with the token."""
    _allow()
    found = services().metrics
    answer = Response(found.text(), content_type=_PROMETHEUS_TEXT)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _database(chat: Chat) -> str:
    try:
        chat.check_readable()
    except Exception:
        log.exception("the database does not answer")
        return "failed"
    return "ok"


def _allow() -> None:
    """Raise Unauthenticated or Forbidden. Without a token only this machine may ask, and no proxy on it."""
    token = services().settings.metrics_token
    if token:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Unauthenticated("The token of QUOTECHAT_METRICS_TOKEN is asked for.")
    elif not (_is_loopback(security.address()) and _is_loopback(_name()) and not _was_forwarded()):
        raise Forbidden("Only this machine may ask; set QUOTECHAT_METRICS_TOKEN to let others.")


def _name() -> str:
    name = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
    return name.strip("[]")


def _was_forwarded() -> bool:
    found: Any = request.headers
    return any(name in found for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"

"""The two machine-readable specifications: OpenAPI 3.1 for HTTP, AsyncAPI 3 for WebSocket and streams.

Both are made of the descriptions beside the code: the types of `commands` and `wire`, and `described` of
each view. Nothing is said twice here that is said there; docs/protocol.md stays the contract in words.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import Any, get_args

from flask import Blueprint, Response, current_app, request

from ...in_turn import in_turn
from ...live.connection import CLOSE_CODES
from ...protocol import commands, json
from ...protocol.types import inbox_types, schemas, typing_types, wire
from ..http import problems, security, site
from ..http.services import services
from .described import PATH, QUERY, Call, calls, described, envelope

blueprint = Blueprint("specs", __name__)

_TOKEN = {"type": "http", "scheme": "bearer", "description": "From `POST /api/v1/guests`."}
_COOKIE = {"type": "apiKey", "in": "cookie", "description": "What a browser gets with a page."}
_INFO = {
    "title": "quotechat",
    "version": "1",  # that of the protocol, not of the program
    "description": (
        "Rooms with one append-only event log each; every transport serves the same events from the same cursor."
        " HEAD is answered wherever GET is, OPTIONS everywhere. Every answer has an"
        " `X-Request-Id`. The protocol in words: docs/protocol.md."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}
_STREAM_ANSWERS: tuple[type, ...] = (wire.CaughtUp, wire.Heartbeat, wire.Reset, typing_types.Typists)
INBOX: tuple[type, ...] = (inbox_types.InboxChanged, inbox_types.News, typing_types.Typists)


@blueprint.get("/openapi.json")
@described(answers={200: dict[str, Any]}, conditional=True)
def openapi() -> Response:
    """The HTTP API, as OpenAPI 3.1."""
    # The paths begin with our prefix; if the whole application is under one, only the request knows.
    return _document({**openapi_document(), "servers": [{"url": request.script_root or "/"}]})


@blueprint.get("/asyncapi.json")
@described(answers={200: dict[str, Any]}, conditional=True)
def asyncapi() -> Response:
    """WebSocket and streams, as AsyncAPI 3."""
    return _document(asyncapi_document(request.host, site.base(), secure=request.is_secure))


def _document(value: dict[str, Any]) -> Response:
    """It changes with the version and the settings alone: may be kept, but is asked for again."""
    encoded = json.dumps(value)
    answer = Response(encoded, content_type="application/json")
    answer.headers["Cache-Control"] = "no-cache"
    answer.set_etag(hashlib.blake2b(encoded, digest_size=12).hexdigest())
    return answer.make_conditional(request)  # type: ignore[return-value]  # itself


# --- OpenAPI --------------------------------------------------------------------------------------


def openapi_document() -> dict[str, Any]:
    """Return the document of the current application, made once: all its routes are there from the start."""
    ours = services()
    if ours.openapi is None:
        ours.openapi = _openapi_document()
    return ours.openapi


def _openapi_document() -> dict[str, Any]:
    found = list(calls(current_app))
    kinds = _Kinds()
    for _, _, call, _ in found:
        kinds.want(*_types(call) if call else ())
    kinds.want(wire.Problem)
    kinds.resolve("#/components/schemas/{name}")
    paths: dict[str, Any] = {}
    for rule, method, call, said in found:
        if call is not None:
            path = paths.setdefault(braced(rule.rule), {})
            name = rule.endpoint.removeprefix(f"{site.NAME}.")
            path[method.lower()] = _operation(name, sorted(rule.arguments), call, said, kinds)
    schemes = {"token": _TOKEN, "cookie": {**_COOKIE, "name": security.cookie_name()}}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": kinds.components, "securitySchemes": schemes},
    }


def braced(rule: str) -> str:
    """Return a path as OpenAPI writes it: ``/rooms/<room>`` → ``/rooms/{room}``."""
    return re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule)


class _Kinds:
    """The types that a document speaks of, and their schemas."""

    def __init__(self) -> None:
        self._wanted: list[Any] = []
        self._found: list[Any] = []
        self.components: dict[str, Any] = {}

    def want(self, *kinds: Any) -> None:
        self._wanted += [kind for kind in kinds if kind not in self._wanted]

    def resolve(self, template: str) -> None:
        self._found, self.components = schemas.schemas(self._wanted, template)

    def schema(self, kind: Any) -> Any:
        return self._found[self._wanted.index(kind)]


def _types(call: Call) -> list[Any]:
    bodies = [call.body] if call.body is not None else []
    return [kind for kind in call.answers.values() if kind is not None] + bodies


def _operation(endpoint: str, path: list[str], call: Call, said: str, kinds: _Kinds) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": endpoint,
        "description": _unwrapped(said),
        "parameters": [_parameter(name, "path", PATH[name]) for name in path]
        + [_parameter(name, "query", QUERY[name]) for name in call.query],
        "responses": _responses(call, kinds),
    }
    if call.body is not None:
        content: dict[str, Any] = {"application/json": {"schema": kinds.schema(call.body)}}
        bodies = [example.body for example in call.examples if isinstance(example.body, dict)]
        if bodies:
            content["application/json"]["examples"] = {str(n): {"value": body} for n, body in enumerate(bodies, 1)}
        if call.text_body:
            content["text/plain"] = {"schema": {"type": "string"}}
        found["requestBody"] = {"required": not call.optional_body, "content": content}
    if call.binary is not None:
        found["requestBody"] = {"content": {call.binary: {"schema": {"type": "string", "format": "binary"}}}}
    if call.identity != "none":
        either: list[dict[str, list[str]]] = [{"token": []}, {"cookie": []}]
        found["security"] = either + ([{}] if call.identity == "optional" else [])
    return found


def _unwrapped(said: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in said.strip().split("\n\n"))


#: Parameters that mean another thing than elsewhere under their name.
_NAMES = {
    "rooms": "after", "before_account": "before", "before_mention": "before", "before_hit": "before", "asked": "q",
    "present_in": "room", "file_name": "name", "name_part": "q",
}  # fmt: skip


def _parameter(name: str, place: str, about: tuple[dict[str, Any], str]) -> dict[str, Any]:
    # Several rooms share the name of one: the list is only told apart here.
    named = _NAMES.get(name, name) if place == "query" else name
    return {
        "name": named,
        "in": place,
        "required": place == "path" or name in ("rooms", "asked", "present_in"),
        "description": about[1],
        "schema": about[0],
    }


_JSON = ("application/json", "application/problem+json")


def _responses(call: Call, kinds: _Kinds) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in call.answers.items():
        answer: dict[str, Any] = {"description": problems.phrase(status)}
        if kind is not None:
            answer["content"] = {
                media: {"schema": kinds.schema(kind) if media in _JSON else {"type": "string"}} for media in call.media
            }
        found[str(status)] = answer
    if call.conditional:
        found["200"]["headers"] = {"ETag": _header("For `If-None-Match`: 304 while nothing has changed.")}
        found["304"] = {"description": "What the client has is what there is."}
    if call.ranges:
        found["206"]["headers"] = {"Content-Range": _header("Which bytes these are, and of how many.")}
        found["416"] = _beyond_the_end()
    if call.limit is not None:
        for status in call.answers:
            found[str(status)]["headers"] = {
                "RateLimit-Policy": _header("What may be written; left out where limits are off."),
                "RateLimit": _header("What is left of it."),
            }
    for status, codes in problems.by_status(call.all_problems()).items():
        found[str(status)] = _problem(status, codes)
    return found


def _beyond_the_end() -> dict[str, Any]:
    """Return the answer to a range that a file does not have: a problem that no code is for."""
    fields = {name: {"type": "string"} for name in ("type", "title", "detail", "request_id")}
    properties = fields | {"type": {"const": "about:blank"}, "status": {"const": 416}}
    return {
        "description": "The range begins beyond the end.",
        "headers": {"Content-Range": _header("How many bytes there are.")},
        "content": {"application/problem+json": {"schema": {
            "type": "object", "required": ["type", "title", "status", "detail"], "properties": properties,
        }}},
    }  # fmt: skip


def _header(said: str) -> dict[str, Any]:
    return {"description": said, "schema": {"type": "string"}}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem", "properties": {"code": {"enum": codes}}}
    found: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {problems.title(code)}" for code in codes),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status in (429, 503):
        found["headers"] = {
            "Retry-After": {"required": True, "description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        }
    return found


# --- AsyncAPI -------------------------------------------------------------------------------------


def asyncapi_document(host: str, base: str = "", *, secure: bool) -> dict[str, Any]:
    """Return the document for a server at `host`, under the path `base`."""
    scheme = "wss" if secure else "ws"
    web = "https" if secure else "http"
    path = f"{base}/api/v1"
    return {
        "asyncapi": "3.0.0",
        "info": {**_INFO, "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "servers": {
            "websocket": {"host": host, "protocol": scheme, "pathname": path, "description": "WebSocket."},
            "http": {"host": host, "protocol": web, "pathname": path, "description": "Streams over HTTP."},
        },
        **_channels(),
    }


@in_turn
@cache
def _channels() -> dict[str, Any]:
    """Return all but the parts that depend on the host."""
    incoming, outgoing = get_args(commands.Command), get_args(wire.Event) + get_args(wire.Answer) + INBOX
    streamed = get_args(wire.Event) + _STREAM_ANSWERS
    _, found = schemas.schemas([*incoming, *outgoing])
    return {
        "channels": {
            "socket": _socket_channel([*incoming, *outgoing]),
            "stream": _stream_channel(list(streamed)),
        },
        "operations": {
            "command": _does("receive", "socket", incoming, "What a client asks; each is answered, in any order.")
            | {"reply": {"channel": _ref("channels/socket"), "messages": _on("socket", get_args(wire.Answer))}},
            "tell": _does("send", "socket", outgoing, "Events of the rooms that are followed, and answers."),
            "stream": _does("send", "stream", streamed, "The events of one room, without end."),
        },
        "components": {
            "messages": {_key(kind): _message(kind) for kind in (*incoming, *outgoing)},
            "schemas": found,
        },
    }


def _socket_channel(kinds: list[Any]) -> dict[str, Any]:
    return {
        "address": "/ws",
        "description": (
            "One WebSocket for as many rooms as are followed. Text frames, one envelope in each. Close codes: "
            + "; ".join(f"{code} {meaning}" for code, meaning in CLOSE_CODES.items())
            + "."
        ),
        "servers": [_ref("servers/websocket")],
        "messages": {_key(kind): _ref(f"components/messages/{_key(kind)}") for kind in kinds},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {"room": QUERY["room"][0], "after": QUERY["after"][0]},
                    "description": "An optional first subscription.",
                },
            }
        },
    }


def _stream_channel(kinds: list[Any]) -> dict[str, Any]:
    return {
        "address": "/rooms/{room}/events",
        "description": (
            "With `Accept: application/x-ndjson` one envelope on each line; with `text/event-stream` one in each"
            " `data`, its cursor as `id`, and heartbeats as comments."
        ),
        "servers": [_ref("servers/http")],
        "parameters": {"room": {"description": PATH["room"][1], "examples": ["lobby"]}},
        "messages": {_key(kind): _ref(f"components/messages/{_key(kind)}") for kind in kinds},
    }


def _does(action: str, channel: str, kinds: tuple[Any, ...], said: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": _ref(f"channels/{channel}"),
        "description": said,
        "messages": _on(channel, kinds),
    }


def _on(channel: str, kinds: tuple[Any, ...]) -> list[dict[str, str]]:
    return [_ref(f"channels/{channel}/messages/{_key(kind)}") for kind in kinds]


def _message(kind: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": _tag(kind),
        "description": _unwrapped(kind.__doc__),
        "payload": _ref(f"components/schemas/{kind.__name__}"),
    }
    if kind in get_args(commands.Command):
        found["examples"] = [{"payload": envelope(_tag(kind))}]
    return found


def _key(kind: Any) -> str:
    """Return the key of a message; a command may have the name of an answer."""
    return f"{_tag(kind)}-command" if kind is commands.Typing else _tag(kind)


def _tag(kind: Any) -> str:
    tag: str = kind.__struct_config__.tag
    return tag


def _ref(path: str) -> dict[str, str]:
    return {"$ref": f"#/{path}"}

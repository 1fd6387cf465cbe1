"""The reference for people: each call and each envelope, out of the specifications, with a line to copy.

`Reference` is what the page at /reference and docs/reference/api.md both show.
"""

from __future__ import annotations

import json
import shlex
from typing import Any, NamedTuple

from flask import Blueprint, Response, current_app, make_response, request

from ..http import problems, reads, site
from . import specs
from .described import Call, Example, calls

blueprint = Blueprint("reference", __name__)


@blueprint.get("/reference")
def page() -> Response:
    """Show every call and every envelope, with this server's own address."""
    reads.count(reads.REFERENCE)
    html = site.render_template("reference.html", reference=Reference(request.host_url.rstrip("/") + site.base()))
    answer = make_response(html)
    answer.headers["Cache-Control"] = "no-store"
    return answer


class Field(NamedTuple):
    """One field or parameter; `kind` names a type of `Reference.types` if that is its own section."""

    name: str
    text: str
    kind: str | None
    required: bool
    about: str


class Shown(NamedTuple):
    """One call."""

    anchor: str
    method: str
    path: str
    about: str
    identity: str
    parameters: list[Field]
    body: str | None
    answers: list[tuple[str, str | None]]
    problems: list[tuple[int, str]]
    lines: list[str]


class Envelope(NamedTuple):
    """One envelope."""

    name: str
    about: str
    fields: list[Field]
    example: str | None


class Reference:
    """All of it, for a server at `base`; needs an application context."""

    def __init__(self, base: str) -> None:
        self._base = base
        http, sockets = specs.openapi_document(), specs.asyncapi_document("localhost", secure=False)
        self._schemas: dict[str, Any] = sockets["components"]["schemas"] | http["components"]["schemas"]
        paths = http["paths"]
        self.calls = [
            self._call(method, path, paths[path][method.lower()], call)
            for method, path, call in (
                (method, specs.braced(rule.rule), call) for rule, method, call, _ in calls(current_app) if call
            )
        ]
        operations, messages = sockets["operations"], sockets["components"]["messages"]
        self.commands = [self._envelope(messages[name]) for name in _named(operations["command"])]
        told = [self._envelope(messages[name]) for name in _named(operations["tell"])]
        self.events = [each for each in told if any(field.name == "seq" and field.required for field in each.fields)]
        self.answers = [each for each in told if each not in self.events]
        shown = {message["payload"]["$ref"].rpartition("/")[2] for message in messages.values()}
        self.types = [
            Envelope(name, schema.get("description", ""), self._fields(schema), None)
            for name, schema in sorted(self._schemas.items())
            if name not in shown
        ]
        self.typed = {each.name for each in self.types}
        self.problems = [
            (number, code, problems.title(code)) for number, codes in problems.by_status().items() for code in codes
        ]

    def _call(self, method: str, path: str, operation: dict[str, Any], call: Call) -> Shown:
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        return Shown(
            anchor=f"{method}-{path}".lower().replace("/", "-").replace("{", "").replace("}", "").replace(".", "-"),
            method=method,
            path=path,
            about=operation["description"],
            identity=call.identity,
            parameters=[
                Field(each["name"], _text(each["schema"])[0], None, each["required"], each["description"])
                for each in operation["parameters"]
            ],
            body=None if body is None else _text(body)[1] or "a command",
            answers=[(f"{status} {problems.phrase(status)}", self._answer(kind, operation, status))
                     for status, kind in call.answers.items()],
            problems=[(number, code) for number, codes in problems.by_status(call.all_problems()).items()
                      for code in codes],
            lines=[curl(method, self._base, example, call) for example in call.examples],
        )  # fmt: skip

    def _answer(self, kind: Any, operation: dict[str, Any], status: int) -> str | None:
        content = operation["responses"][str(status)].get("content", {}).get("application/json")
        return None if kind is None or content is None else _text(content["schema"])[1]

    def _envelope(self, message: dict[str, Any]) -> Envelope:
        schema = self._schemas[message["payload"]["$ref"].rpartition("/")[2]]
        fields = [field for field in self._fields(schema) if field.name != "command"]
        examples = message.get("examples")
        example = json.dumps(examples[0]["payload"]) if examples else None
        return Envelope(message["name"], message["description"], fields, example)

    def _fields(self, schema: dict[str, Any]) -> list[Field]:
        required = schema.get("required", [])
        return [
            Field(name, *_text(each), name in required, each.get("description", ""))
            for name, each in schema.get("properties", {}).items()
        ]


def curl(method: str, base: str, example: Example, call: Call) -> str:
    """Return the line to copy; a token is taken from the shell's variable."""
    parts = ["curl"]
    if "application/x-ndjson" in example.headers.values() or "text/event-stream" in example.headers.values():
        parts.append("-N")
    usual = "POST" if example.body is not None else "GET"
    if method != usual:
        parts += ["-X", method]
    if call.identity == "needed" or (isinstance(example.body, dict) and "send_at" in example.body):
        parts.append('-H "Authorization: Bearer $TOKEN"')
    for name, value in example.headers.items():
        # A bare -d is read as text.
        if name != "Content-Type":
            parts.append("-H " + shlex.quote(f"{name}: {value}"))
    if isinstance(example.body, dict):
        parts.append("-H 'Content-Type: application/json'")
    if example.body is not None:
        body = example.body if isinstance(example.body, str) else json.dumps(example.body)
        parts.append("-d " + shlex.quote(body))
    return " ".join([*parts, shlex.quote(base + example.path)])


def _named(operation: dict[str, Any]) -> list[str]:
    return [each["$ref"].rpartition("/")[2] for each in operation["messages"]]


def _text(schema: dict[str, Any]) -> tuple[str, str | None]:
    """Return a schema in a few words, and the type that it refers to."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name, name
    if "anyOf" in schema:
        inner = [_text(each) for each in schema["anyOf"] if each != {"type": "null"}]
        return " or ".join(text for text, _ in inner), inner[0][1] if len(inner) == 1 else None
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"]), None
    if schema.get("type") == "array":
        text, kind = _text(schema["items"])
        return f"list of {text}", kind
    if isinstance(schema.get("additionalProperties"), dict):
        text, kind = _text(schema["additionalProperties"])
        return f"object of {text}", kind
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(
        schema.get("type", ""), schema.get("type", "anything")
    ), None

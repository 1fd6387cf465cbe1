"""Holds what a server answers against its own specifications, more strictly than they are: nothing undeclared."""

from __future__ import annotations

import json
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
from flask import Flask, Response, request

from quotechat import create_app
from quotechat.config import Settings


@cache
def documents() -> Conforming:
    """The specifications, which are the same for all applications; made once for each process of the tests."""
    with tempfile.TemporaryDirectory() as directory:
        app = create_app(Settings(data=Path(directory)))
        try:
            return Conforming(app)
        finally:
            app.extensions["quotechat"].close()


def check_answers(app: Flask) -> None:
    """Hold each answer that `app` gives against the specifications."""

    @app.after_request
    def conforms(answer: Response) -> Response:
        if not answer.is_streamed:
            body = answer.get_data()
            documents().check_answer(request.method, request.path, answer.status_code, answer.mimetype, body)
        return answer


class Conforming:
    """The documents of one application, ready to check answers and envelopes."""

    def __init__(self, app: Flask) -> None:
        client = app.test_client()
        self.openapi: dict[str, Any] = client.get("/openapi.json").get_json()
        self.asyncapi: dict[str, Any] = client.get("/asyncapi.json").get_json()
        self._paths = {
            re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + r"\Z"): path
            # Without parameters first: /quotes/random is no {quote_id}.
            for path in sorted(self.openapi["paths"], key=lambda path: path.count("{"))
        }
        self._validators: dict[str, Any] = {}
        self._strict: dict[str, Any] = {}

    def check_answer(self, method: str, path: str, status: int, media: str, body: bytes) -> None:
        """AssertionError where the document does not know this answer."""
        declared = self._path(path)
        if declared is None or method == "OPTIONS":
            return
        operation = self.openapi["paths"][declared].get("get" if method == "HEAD" else method.lower())
        if operation is None:
            assert status in (400, 405), f"{method} {path}: {status}"
            return
        where = f"{method} {declared} {status} {media}"
        assert str(status) in operation["responses"], f"{where} is not declared"
        if not body or method == "HEAD" or status == 304:
            return
        content = operation["responses"][str(status)].get("content", {})
        assert media in content, f"{where} is not declared"
        if media.endswith("json") and not media.endswith("ndjson"):
            self._validate(where, content[media]["schema"], self.openapi, json.loads(body))

    def check_envelope(self, text: str | bytes) -> None:
        """AssertionError where this is no event and no answer of the document."""
        value = json.loads(text)
        name = value["command"]
        declared = [each["$ref"].rpartition("/")[2] for each in self.asyncapi["operations"]["tell"]["messages"]]
        assert name in declared, f"{name} is not declared"
        payload = self.asyncapi["components"]["messages"][name]["payload"]
        self._validate(name, payload, self.asyncapi, value)

    def _path(self, path: str) -> str | None:
        return next((declared for pattern, declared in self._paths.items() if pattern.match(path)), None)

    def _validate(self, where: str, schema: Any, document: dict[str, Any], value: Any) -> None:
        if where not in self._validators:
            whole = {**strict(schema), "components": self._components(document)}
            self._validators[where] = jsonschema_rs.Draft202012Validator(whole)
        faults = [f"{error.instance_path}: {error.message}" for error in self._validators[where].iter_errors(value)]
        assert not faults, f"{where}: {faults[:3]} in {value}"

    def _components(self, document: dict[str, Any]) -> dict[str, Any]:
        """What schemas of `document` refer to, made strict once."""
        kind = "openapi" if "openapi" in document else "asyncapi"
        if kind not in self._strict:
            self._strict[kind] = {"schemas": strict(document["components"]["schemas"])}
        return self._strict[kind]


def strict(schema: Any) -> Any:
    """`schema` with objects that have nothing but what they declare."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(each) for name, each in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found

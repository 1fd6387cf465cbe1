"""Requests that nobody thought of, made of the specification: no fault of ours, and only declared answers.

Schemathesis makes and checks them; Hypothesis draws, as in the other tests of ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quotechat import create_app
from quotechat.config import Settings

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "2"))
"""Requests for each call and kind."""
KNOWN = {"room": "lobby", "message_id": 1, "quote_id": 1, "scheduled_id": 1}


class Fuzzed:
    """The schema of an application, and the header of somebody who owns things there.

    Imports here, so that who only collects tests does not wait for it.
    """

    def __init__(self, app: Flask) -> None:
        import schemathesis
        from schemathesis.checks import not_a_server_error
        from schemathesis.specs.openapi import checks

        schemathesis.serializer.alias("application/partial-upload", "application/octet-stream")
        self.modes = {mode.value: mode for mode in schemathesis.GenerationMode}
        always = [
            not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
            checks.response_headers_conformance, checks.response_schema_conformance,
        ]  # fmt: skip
        # Besides, where the request is wrong on purpose.
        wrong = [checks.negative_data_rejection, checks.unsupported_method, checks.allow_header_conformance]
        self.checks = {"positive": always, "negative": always + wrong}
        client = app.test_client()
        token = client.post("/api/v1/guests", json={"user": "Azin"}).get_json()["token"]
        self.headers = {"Authorization": f"Bearer {token}"}
        for message in ({"user": "Azin", "message": "Hi"}, {"user": "Azin", "message": "Later", "send_at": "+1h"}):
            client.post("/api/v1/rooms/lobby/messages", json=message, headers=self.headers)
        client.post("/api/v1/quotes", json={"quote": "Less is more.", "author": "Mies"}, headers=self.headers)
        self.document = client.get("/openapi.json").get_json()
        schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
        self.operations = {result.ok().label: result.ok() for result in schema.get_all_operations()}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """Without limits per client, and without held polls: those only take time."""
    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), limits=False, threads=1))
    yield Fuzzed(app)
    app.extensions["quotechat"].close()


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_answers_conform(fuzzed: Fuzzed, mode: str) -> None:
    """Of every call, whatever is sent, half of it about what is there."""
    faults = {}
    for label, operation in fuzzed.operations.items():
        if label == "GET /api/v1/ws":  # tests/web/test_websocket.py: this client cannot upgrade
            continue
        if mode == "negative" and not _takes_anything(fuzzed.document, label):
            continue
        try:
            _ask(fuzzed, operation, mode)
        except (Exception, BaseExceptionGroup) as fault:
            faults[label] = _told(fault)
    assert faults == {}, "\n".join(f"{label}: {fault}" for label, fault in faults.items())


def _ask(fuzzed: Fuzzed, operation: Any, mode: str) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def conforms(data: Any) -> None:
        case = data.draw(operation.as_strategy(generation_mode=fuzzed.modes[mode]))
        if mode == "positive" and data.draw(st.booleans()):
            for name in set(KNOWN) & set(case.path_parameters):
                case.path_parameters[name] = KNOWN[name]
        case.query.pop("wait", None)
        case.call_and_validate(headers=fuzzed.headers, checks=fuzzed.checks[mode])

    conforms()


def _takes_anything(document: dict[str, Any], label: str) -> bool:
    """Whether there is something to get wrong."""
    method, path = label.split()
    operation = document["paths"][path][method.lower()]
    return bool(operation["parameters"] or "requestBody" in operation)


def _told(fault: BaseException) -> str:
    inner = [_told(each) for each in getattr(fault, "exceptions", ())]
    return " | ".join([str(fault), *inner])

"""For those who operate it: is it up, is it ready, what does it do."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from ..hub.chat import Chat
from ..protocol.errors import Draining
from .described import Example, described
from .messages import live

blueprint = Blueprint("health", __name__)

_HELP = {
    "commits": ("counter", "Transactions committed by this worker."),
    "stored": ("counter", "Commands that this worker has stored."),
    "held_polls": ("gauge", "Long-polls held now by this worker."),
    "sockets": ("gauge", "WebSockets open now at this worker."),
    "kept_senders": ("gauge", "Connections whose messages this worker takes without a thread."),
    "feeds": ("gauge", "Rooms that this worker keeps the tail of."),
}


@blueprint.get("/healthz")
@described(answers={200: dict[str, str]}, examples=(Example("/healthz"),))
def healthz() -> Response:
    """The process answers."""
    return live({"status": "ok"})


@blueprint.get("/readyz")
@described(answers={200: dict[str, str]}, problems=("draining",), examples=(Example("/readyz"),))
def readyz() -> Response:
    """The store answers, and new requests are welcome; else 503."""
    chat: Chat = current_app.extensions["quotechat"]
    if chat.draining:
        raise Draining()
    chat.rooms()
    return live({"status": "ok"})


@blueprint.get("/metrics")
@described(answers={200: str}, media=("text/plain",), examples=(Example("/metrics"),))
def metrics() -> Response:
    """Figures of this worker, in Prometheus' text format 0.0.4."""
    chat: Chat = current_app.extensions["quotechat"]
    lines = []
    for name, value in chat.figures().items():
        kind, text = _HELP[name]
        full = f"quotechat_{name}" + ("_total" if kind == "counter" else "")
        lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}", f"{full} {value:g}"]
    answer = Response("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")
    answer.headers["Cache-Control"] = "no-store"
    return answer

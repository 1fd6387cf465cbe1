"""Somebody's application with ways of its own, and the chat in it: for tests that need a real server."""

from __future__ import annotations

import threading
from typing import Any

from flask import Flask, Response, abort, request, session
from flask_sock import Sock

from quotechat import QuoteChat
from quotechat.signals import message_sent

told: list[str] = []
barred: set[str] = set()
free = threading.Event()
free.set()


def make(**options: Any) -> Flask:
    """The application. ``/login?user=`` signs in, ``/logout`` out; a cookie ``barred`` bars from everything, and so
    does ``/bar?user=``, until another is barred."""
    app = Flask("host", template_folder="templates", static_folder="static")
    app.secret_key = "the host's own"
    app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": 100}
    chat = QuoteChat(url_prefix="/chat", **options)

    @app.before_request
    def guard() -> None:
        if "barred" in request.cookies:
            abort(401)
        if session.get("user") in barred:
            abort(403)

    @app.after_request
    def headers(answer: Response) -> Response:
        answer.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        answer.headers["X-Host"] = "yes"
        return answer

    @app.errorhandler(404)
    def missing(fault: Exception) -> tuple[str, int]:
        return "the host's own 404", 404

    @app.errorhandler(500)
    def broken(fault: Exception) -> tuple[str, int]:
        return "the host's own 500", 500

    @app.get("/")
    def home() -> str:
        return f"visits: {session.setdefault('visits', 1)}"

    @app.get("/break")
    def fail() -> str:
        raise RuntimeError("broken")

    @app.get("/login")
    def login() -> str:
        session["user"] = request.args["user"]
        return "in"

    @app.get("/logout")
    def logout() -> str:
        session.pop("user", None)
        return "out"

    @app.get("/bar")
    def bar() -> str:
        barred.clear()
        barred.add(request.args["user"])
        return "barred"

    @app.get("/hold")
    def hold() -> str:
        free.clear()
        return "held"

    @app.get("/release")
    def release() -> str:
        free.set()
        return "released"

    @app.get("/told")
    def tell() -> dict[str, list[str]]:
        return {"told": told}

    sock = Sock(app)

    @sock.route("/echo")
    def echo(ws: Any) -> None:
        ws.send(ws.receive())

    @chat.identify
    def who() -> tuple[str, str] | None:
        return (session["user"], session["user"].title()) if "user" in session else None

    chat.init_app(app)
    # Of this application alone: others in this process would wait for it too when they close.
    message_sent.connect(slowly, sender=app)
    return app


def slowly(app: Flask, event: dict[str, Any]) -> None:
    free.wait(60)
    told.append(event["message"]["message"])

"""A Flask application with users of its own and the chat inside: `flask --app examples/embedded.py run`."""

from __future__ import annotations

from flask import Flask, Response, redirect, request, session

from quotechat import QuoteChat
from quotechat.signals import message_sent

app = Flask(__name__)
app.secret_key = "change me"
chat = QuoteChat(url_prefix="/chat")
heard: list[str] = []


@chat.identify
def who() -> tuple[str, str] | None:
    return (session["user"], session["user"]) if "user" in session else None


@message_sent.connect
def remember(app: Flask, event: dict) -> None:
    heard.append(event["message"]["message"])


@app.get("/")
def home() -> str:
    name = session.get("user")
    form = '<form method="post" action="/login"><input name="user" required> <button>Sign in</button></form>'
    return f"<h1>My application</h1>{f'Hello, {name}. ' if name else form}<a href='/chat/'>Chat</a>"


@app.post("/login")
def login() -> Response:
    session["user"] = "".join(sign for sign in request.form["user"] if sign.isalnum())[:40]
    return redirect("/")


@app.get("/heard")
def what_was_heard() -> list[str]:
    return heard[-10:]


chat.init_app(app)

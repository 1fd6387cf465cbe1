"""Step 1, since a time: the page asks for the messages that are newer than its last one."""

import time

from flask import Flask, request, send_file
from werkzeug.exceptions import BadRequest

app = Flask(__name__)
messages = []


def now():
    """Return the time in milliseconds."""
    return time.time_ns() // 1_000_000


def message_sent():
    """Return the message in this request, or refuse the request."""
    match request.get_json():
        case {"user": str(user), "message": str(message)}:
            return {"user": user, "message": message}
    raise BadRequest("A message has a user and a message, and both are text.")


@app.get("/")
def page():
    return send_file("index.html")


@app.get("/messages")
def read():
    since = request.args.get("since", 0, int)
    return [message for message in messages if message["at"] > since]


@app.post("/messages")
def send():
    message = {"at": now(), **message_sent()}
    messages.append(message)
    return message, 201

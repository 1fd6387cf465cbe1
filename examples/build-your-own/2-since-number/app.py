"""Step 2, since a number: each message has the next number, and the page asks for what comes after its last one."""

import threading

from flask import Flask, request, send_file
from werkzeug.exceptions import BadRequest

app = Flask(__name__)
messages = []
lock = threading.Lock()


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
    after = request.args.get("after", 0, int)
    return messages[after:]


@app.post("/messages")
def send():
    message = message_sent()
    with lock:  # one sender at a time: no number is given twice
        message["seq"] = len(messages) + 1
        messages.append(message)
    return message, 201

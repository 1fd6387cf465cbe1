"""Step 3, long poll: the server holds the request until there is a message."""

import threading

from flask import Flask, request, send_file
from werkzeug.exceptions import BadRequest

app = Flask(__name__)
messages = []
news = threading.Condition()


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
    after, wait = request.args.get("after", 0, int), request.args.get("wait", 0, float)
    if not messages[after:]:
        with news:
            news.wait(timeout=wait)
    return messages[after:]


@app.post("/messages")
def send():
    message = message_sent()
    with news:  # one sender at a time: no number is given twice
        message["seq"] = len(messages) + 1
        messages.append(message)
        news.notify_all()
    return message, 201

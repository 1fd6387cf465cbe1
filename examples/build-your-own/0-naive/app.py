"""Step 0, naive: the page asks for all messages, again and again."""

from flask import Flask, request, send_file
from werkzeug.exceptions import BadRequest

app = Flask(__name__)
messages = []


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
    return messages


@app.post("/messages")
def send():
    message = message_sent()
    messages.append(message)
    return message, 201

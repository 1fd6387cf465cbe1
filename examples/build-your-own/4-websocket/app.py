"""Step 4, WebSocket: the page loads the messages, then the server sends each new one over a WebSocket."""

import json
import threading

from flask import Flask, request, send_file
from flask_sock import Sock
from werkzeug.exceptions import BadRequest

app = Flask(__name__)
sock = Sock(app)
messages = []
news = threading.Condition()


def message_sent():
    """Return the message in this request, or refuse the request."""
    match request.get_json():
        case {"user": str(user), "message": str(message)}:
            return {"user": user, "message": message}
    raise BadRequest("A message has a user and a message, and both are text.")


def messages_after(after, wait):
    """Return the messages after this number; wait for one, so many seconds at most."""
    with news:  # held from the check to the wait: no message comes in between
        news.wait_for(lambda: len(messages) > after, timeout=wait)
        return messages[after:]


@app.get("/")
def page():
    return send_file("index.html")


@app.get("/messages")
def read():
    return messages_after(request.args.get("after", 0, int), request.args.get("wait", 0, float))


@app.post("/messages")
def send():
    message = message_sent()
    with news:  # one sender at a time: no number is given twice
        message["seq"] = len(messages) + 1
        messages.append(message)
        news.notify_all()
    return message, 201


@sock.route("/ws")
def listen(ws):
    after = len(messages)
    while ws.connected:
        for message in messages_after(after, wait=1):
            ws.send(json.dumps(message))
            after = message["seq"]

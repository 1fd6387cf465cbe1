"""Step 6, two workers: a repeated command is stored once, and a second process shares the work."""

import json
import threading
from collections import defaultdict
from contextlib import suppress
from uuid import uuid4

from flask import Flask, request, send_file
from flask_sock import Sock
from simple_websocket import ConnectionClosed

app = Flask(__name__)
sock = Sock(app)
events = []
stored = {}  # the event of each client_id
likes = defaultdict(set)  # the users who like each message
news = threading.Condition()


def event_of(command):
    """Return the event that this command becomes; raise ValueError if there is none."""
    match command:
        case {"command": "send-message", "message": {"user": str(user), "message": str(message)}}:
            return {"command": "message-sent", "message": {"user": user, "message": message}}
        case {"command": "like-message", "message": {"id": int(id), "user": str(user)}}:
            likes[id].add(user)
            return {"command": "likes-changed", "message": {"id": id, "likes": len(likes[id])}}
    raise ValueError("The server does not know this command.")


def submit(command):
    """Store the event of this command, once for each client_id, and return it."""
    with news:  # one sender at a time: no number is given twice
        event = {**event_of(command), "seq": len(events) + 1}
        client_id = str(command.get("client_id") or uuid4())
        if client_id not in stored:
            stored[client_id] = event
            events.append(event)
            news.notify_all()
        return stored[client_id]


def events_after(after, wait):
    """Return the events after this number; wait for one, so many seconds at most."""
    with news:  # held from the check to the wait: no event comes in between
        news.wait_for(lambda: len(events) > after, timeout=wait)
        return events[after:]


@app.get("/")
def page():
    return send_file("index.html")


@app.get("/events")
def read():
    return events_after(request.args.get("after", 0, int), request.args.get("wait", 0, float))


@app.post("/commands")
def send():
    return submit(request.get_json()), 201


@app.errorhandler(ValueError)
def refuse(error):
    return {"command": "error", "error": str(error)}, 400


@sock.route("/ws")
def listen(ws):
    after = request.args.get("after", 0, int)
    threading.Thread(target=push, args=[ws, after], daemon=True).start()
    while True:
        try:
            submit(json.loads(ws.receive()))
        except ValueError as error:
            ws.send(json.dumps({"command": "error", "error": str(error)}))


def push(ws, after):
    """Send the events after this number until the WebSocket is closed."""
    with suppress(ConnectionClosed):
        while ws.connected:
            for event in events_after(after, wait=1):
                ws.send(json.dumps(event))
                after = event["seq"]

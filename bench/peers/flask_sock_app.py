"""flask-sock as its documentation shows it: a thread for each socket, a list of sockets, a loop that sends."""

import json
import threading

from flask import Flask, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed

app = Flask(__name__)
sock = Sock(app)
clients = set()
messages = []
news = threading.Condition()


@sock.route("/ws")
def follow(ws):
    clients.add(ws)
    try:
        while True:
            ws.receive()
    except ConnectionClosed:
        clients.discard(ws)


@app.post("/messages")
def post():
    with news:
        messages.append(json.dumps({"command": "message-sent", "message": request.get_json()}))
        news.notify_all()
        text = messages[-1]
    for ws in list(clients):
        try:
            ws.send(text)
        except ConnectionClosed:
            clients.discard(ws)
    return text, 201


@app.get("/events")
def events():
    after = int(request.args["after"])
    with news:
        news.wait_for(lambda: len(messages) > after, 25)
        found, head = messages[after:], len(messages)
    return f'{{"events":[{",".join(found)}],"cursor":"{head}"}}', 200, {"Content-Type": "application/json"}

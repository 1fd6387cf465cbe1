"""A WebSocket, alone: one connection stays open, and the server says "Hello" over it every second.

`python websocket.py` runs both, on flask-sock and simple-websocket. Each message is wrapped in an object that says what
it is, so that another kind of message would not break this client.
"""

import json
import sys
import threading
import time

from flask import Flask
from flask_sock import Sock
from simple_websocket import Client
from werkzeug.serving import make_server

app = Flask(__name__)
sock = Sock(app)
said = []


def speak():
    while True:
        said.append(f"Hello {len(said) + 1}")
        time.sleep(1)


@sock.route("/ws")
def stream(ws):
    after = json.loads(ws.receive())["after"]  # the first message says where the client is
    while True:
        for text in said[after:]:
            after += 1
            ws.send(json.dumps({"command": "message-sent", "seq": after, "message": text}))
        time.sleep(0.1)  # a real server waits on a condition here


def client(url, count):
    ws = Client.connect(url)
    ws.send(json.dumps({"command": "subscribe", "after": 0}))
    seq = 0
    while seq < count:
        envelope = json.loads(ws.receive())
        if envelope["command"] == "message-sent":  # anything else is for a later version
            seq = envelope["seq"]
            print(envelope["message"], flush=True)
    ws.close()


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    for work in (speak, server.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    client(f"ws://127.0.0.1:{server.server_port}/ws", int(sys.argv[1]) if len(sys.argv) > 1 else 5)

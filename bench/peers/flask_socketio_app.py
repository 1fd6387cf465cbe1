"""Flask-SocketIO under gunicorn's gevent worker, as its manual recommends. Nothing is kept."""

from flask import Flask, request
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode="gevent")


@app.post("/messages")
def post():
    socketio.emit("message-sent", request.get_json())
    return "{}", 201

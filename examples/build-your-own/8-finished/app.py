"""Finished: a cursor names its history, and a reader with a cursor of another history begins again."""

import json
import secrets
import sqlite3
import threading
import time
from contextlib import closing, suppress
from uuid import uuid4

from flask import Flask, request, send_file
from flask_sock import Sock
from simple_websocket import ConnectionClosed

app = Flask(__name__)
sock = Sock(app)
news = threading.Condition()


def open_log():
    """Open the file that all workers share, in the folder where they were started."""
    return closing(sqlite3.connect("chat.sqlite3", isolation_level=None))


with open_log() as log:
    log.execute("CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, client_id UNIQUE, cursor UNIQUE, event)")
    log.execute("CREATE TABLE IF NOT EXISTS likes (message, user, UNIQUE (message, user))")


def event_of(command, log):
    """Return the event that this command becomes; raise ValueError if there is none."""
    match command:
        case {"command": "send-message", "message": {"user": str(user), "message": str(message)}}:
            return {"command": "message-sent", "message": {"user": user, "message": message}}
        case {"command": "like-message", "message": {"id": int(id), "user": str(user)}}:
            log.execute("INSERT OR IGNORE INTO likes VALUES (?, ?)", [id, user])
            (likes,) = log.execute("SELECT count(*) FROM likes WHERE message = ?", [id]).fetchone()
            return {"command": "likes-changed", "message": {"id": id, "likes": likes}}
    raise ValueError("The server does not know this command.")


def submit(command):
    """Store the event of this command, once for each client_id, and return it."""
    with open_log() as log:
        log.execute("BEGIN IMMEDIATE")  # one sender at a time, in any worker: no number is given twice
        event = event_of(command, log)
        client_id = str(command.get("client_id") or uuid4())
        stored = log.execute("SELECT event FROM events WHERE client_id = ?", [client_id]).fetchone()
        if stored:
            return json.loads(stored[0])
        (seq,) = log.execute("SELECT count(*) + 1 FROM events").fetchone()
        event |= {"seq": seq, "cursor": f"{seq}.{secrets.token_hex(8)}"}
        log.execute("INSERT INTO events VALUES (?, ?, ?, ?)", [seq, client_id, event["cursor"], json.dumps(event)])
        log.execute("COMMIT")
        return event


def stored_after(after):
    """Return the events after this cursor, or a reset if this log has never given it."""
    with open_log() as log:
        known = log.execute("SELECT seq FROM events WHERE cursor = ?", [after]).fetchone()
        if not known and after != "0":
            return [{"command": "reset", "cursor": "0"}]
        rows = log.execute("SELECT event FROM events WHERE seq > ? ORDER BY seq", known or [0])
        return [json.loads(event) for (event,) in rows]


def events_after(after, wait):
    """Return the events after this cursor; wait for one, so many seconds at most."""
    with news:  # held from the check to the wait: no wake-up comes in between
        return news.wait_for(lambda: stored_after(after), timeout=wait)


def watch():
    """Wake the readers of this worker when any worker has stored an event."""
    with open_log() as log:
        version = None
        while True:
            before, version = version, log.execute("PRAGMA data_version").fetchone()
            if version != before:
                with news:
                    news.notify_all()
            time.sleep(0.02)


threading.Thread(target=watch, daemon=True).start()


@app.get("/")
def page():
    return send_file("index.html")


@app.get("/events")
def read():
    return events_after(request.args.get("after", "0"), request.args.get("wait", 0, float))


@app.post("/commands")
def send():
    return submit(request.get_json()), 201


@app.errorhandler(ValueError)
def refuse(error):
    return {"command": "error", "error": str(error)}, 400


@sock.route("/ws")
def listen(ws):
    after = request.args.get("after", "0")
    threading.Thread(target=push, args=[ws, after], daemon=True).start()
    while True:
        try:
            submit(json.loads(ws.receive()))
        except ValueError as error:
            ws.send(json.dumps({"command": "error", "error": str(error)}))


def push(ws, after):
    """Send the events after this cursor until the WebSocket is closed."""
    with suppress(ConnectionClosed):
        while ws.connected:
            for event in events_after(after, wait=1):
                ws.send(json.dumps(event))
                after = event["cursor"]

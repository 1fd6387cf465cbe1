"""Everything that the break_it.py of a step needs: a server, a sender, a reader, and an account of what happens.

A trial runs against the step in whose folder its break_it.py is, or against the folder that is named:
``python break_it.py ../2-since-number``. With ``--json`` it prints the account as data. The sender and the reader do
what the page of that step does.
"""

import argparse
import contextlib
import importlib.util
import json
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import flask
import simple_websocket
from werkzeug.serving import make_server


class Trial:
    """One attempt to break a step; when it ends, it prints what was lost, late or repeated."""

    def __init__(self, file, title):
        parser = argparse.ArgumentParser(description=title)
        parser.add_argument("folder", nargs="?", type=Path, default=Path(file).parent, help="the step to break")
        parser.add_argument("--json", action="store_true", help="print the account as JSON")
        arguments = parser.parse_args()
        self.folder, self.quiet = arguments.folder.resolve(), arguments.json
        if not (self.folder / "app.py").is_file():
            parser.error(f"{arguments.folder} is not the folder of a step")
        self.step = _number(self.folder)
        if self.step < _number(Path(file).resolve().parent):
            parser.error(f"{self.folder.name} comes before the step whose fault this is")
        self.title, self.began = title, time.monotonic()
        self.events, self.sent, self.arrived, self.fault = [], [], Counter(), ""

    def __enter__(self):
        self._cleanup = contextlib.ExitStack()
        self.at_the_end = self._cleanup.callback
        # What a server keeps is kept here, and gone at the end.
        self.data = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        if not self.quiet:
            print(f"{self.title}, against {self.folder.name}\n")
        return self

    def __exit__(self, kind, error, traceback):
        self._cleanup.close()
        if kind is None:
            self._conclude()

    def note(self, actor, does):
        """Write down that an actor did something now."""
        at = round((time.monotonic() - self.began) * 1000)
        self.events.append({"at": at, "actor": actor, "does": does})
        if not self.quiet:
            print(f"{at:6} ms  {actor:9} {does}", flush=True)

    def lost(self):
        """Return the texts that were sent and never arrived."""
        return [text for text in self.sent if not self.arrived[text]]

    def repeated(self):
        """Return the texts that arrived more than once."""
        return [text for text, times in self.arrived.items() if times > 1]

    def _conclude(self):
        lost, repeated = self.lost(), self.repeated()
        if not self.fault and (lost or repeated):
            found = {"lost": lost, "repeated": repeated}
            self.fault = "; ".join(f"{name}: {_quoted(texts)}" for name, texts in found.items() if texts)
        arrived = sum(self.arrived[text] for text in self.sent)
        account = {"step": self.folder.name, "title": self.title, "events": self.events, "sent": len(self.sent)}
        account |= {"arrived": arrived, "lost": lost, "repeated": repeated, "fault": self.fault}
        if self.quiet:
            print(json.dumps(account, ensure_ascii=False))
        else:
            print(f"\nsent {len(self.sent)}, arrived {arrived}, lost {len(lost)}, repeated {len(repeated)}")
            print(f"FAULT: {self.fault}" if self.fault else "No fault: nothing was lost, late or repeated.")

    # --- Servers ------------------------------------------------------------------------------------

    def serve(self):
        """Serve the step in this process, so that its clock and its threads can be held up; return its module."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        here = os.getcwd()
        os.chdir(self.data)
        self.at_the_end(os.chdir, here)
        description = importlib.util.spec_from_file_location("app", self.folder / "app.py")
        module = sys.modules["app"] = importlib.util.module_from_spec(description)
        description.loader.exec_module(module)
        if hasattr(module, "news"):
            module.news = Condition()
        server = make_server("127.0.0.1", 0, module.app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        return module

    def start(self, *names):
        """Start so many workers of the step, each a process of its own as ``flask run`` makes it."""
        command = [sys.executable, "-m", "flask", "--app", str(self.folder / "app.py"), "run", "--port", "0"]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen(command, cwd=self.data, **pipes) for _ in names]
        for process in processes:
            self.at_the_end(end, process)
        return [self._started(process, name) for process, name in zip(processes, names, strict=True)]

    def _started(self, process, name):
        for line in process.stderr:
            if found := re.search(r"http://[\d.]+:\d+", line):
                process.url = found[0]
                self.note(name, "starts")
                return process
        raise RuntimeError(f"{name} did not start")


class Condition(threading.Condition):
    """A Condition that tells when a thread waits on it, and can hold up the next reader before it takes the lock."""

    def __init__(self):
        super().__init__()
        self.waiting = threading.Event()
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.holds_readers_up = False

    def __enter__(self):
        if self.holds_readers_up and flask.has_request_context() and flask.request.method == "GET":
            self.reached.set()
            self.go_on.wait(10)
        return super().__enter__()

    def wait(self, timeout=None):
        self.waiting.set()
        return super().wait(timeout)


def end(process):
    """End a server at once, as a power cut does."""
    process.kill()
    process.wait()
    process.stderr.close()


class Sender:
    """Sends as the page of the step does."""

    def __init__(self, trial, url=""):
        self.trial, self.url = trial, url or trial.url

    def command(self, text, client_id=None):
        """Return the body of the request that sends this text."""
        message = {"user": "Azin", "message": text}
        if self.trial.step < 5:
            return message
        return {"command": "send-message", "message": message} | ({"client_id": client_id} if client_id else {})

    def send(self, text, how=""):
        """Send a message by POST."""
        self.trial.note("sender", f'sends "{text}"{how}')
        self.trial.sent.append(text)
        self.post(self.command(text))

    def post(self, body):
        """Send a message or a command by POST; return the answer."""
        request = urllib.request.Request(self.url + self.path, json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def post_and_hang_up(self, body):
        """Send by POST over a connection that breaks before the answer comes."""
        host, port = self.url.removeprefix("http://").split(":")
        data = json.dumps(body).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    @property
    def path(self):
        return "/messages" if self.trial.step < 5 else "/commands"


class Reader:
    """Reads as the page of the step does, and remembers its place as the page does."""

    def __init__(self, trial, url=""):
        self.trial, self.url = trial, url or trial.url
        self.place = "0" if trial.step >= 8 else 0
        self.shown, self.likes = [], 0
        self.empty = 0  # how many answers held nothing

    def path(self, wait=0):
        """Return the path of the next request."""
        step, waiting = self.trial.step, f"&wait={wait}" if wait else ""
        if step < 2:
            return f"/messages?since={self.place}" if step else "/messages"
        return f"/{'messages' if step < 5 else 'events'}?after={self.place}{waiting}"

    def ask(self, wait=0):
        """Ask once, and return what the answer holds, item by item, in words."""
        path = self.path(wait)
        self.trial.note("reader", f"asks: GET {path}")
        with urllib.request.urlopen(self.url + path, timeout=wait + 10) as answer:
            body = answer.read()
        items = [self.take(item) for item in json.loads(body)]
        self.empty += not items
        self.trial.note("reader", f"gets {_listed(items)}, {len(body):,} bytes")
        return items

    def connect(self):
        """Open the WebSocket."""
        path = "/ws" if self.trial.step < 5 else f"/ws?after={self.place}"
        self.trial.note("reader", f"connects: WebSocket {path}")
        self.socket = simple_websocket.Client.connect(self.url.replace("http", "ws") + path)
        self.trial.at_the_end(self.socket.close)

    def hear(self, seconds):
        """Take the next event that comes over the WebSocket, if one comes in time."""
        data = self.socket.receive(timeout=seconds)
        self.trial.note("reader", f"gets {_listed([self.take(json.loads(data))] if data else [])}")
        return data

    def hear_until(self, text):
        """Take what comes over the WebSocket until this message."""
        while text not in self.shown:
            if not self.hear(10):
                raise TimeoutError(f'"{text}" does not come')

    def take(self, item):
        """Apply a message or an event as the page does; return it in words."""
        step, command = self.trial.step, item.get("command", "message-sent")
        self.place = item.get("cursor") or item.get("seq") or item.get("at") or self.place
        match command:
            case "message-sent":
                text = item["message"] if step < 5 else item["message"]["message"]
                self.shown.append(text)
                self.trial.arrived[text] += 1
                return f'"{text}"'
            case "message-liked":
                self.likes += 1
                return "one like more"
            case "likes-changed":
                self.likes = item["message"]["likes"]
                return f"likes: {self.likes}"
            case "reset":
                self.trial.arrived.subtract(self.shown)
                self.shown.clear()
                return "reset: begin again"
        return command


def _number(folder):
    return int(folder.name.partition("-")[0])


def _quoted(texts):
    return _listed([f'"{text}"' for text in texts])


def _listed(items):
    """Return items as a sentence has them; how many they are if they are many."""
    return f"{len(items)} messages" if len(items) > 8 else ", ".join(items) or "nothing"

"""Long polling, alone: the same server, but it does not answer before there is something to say.

`python long_polling.py` runs both. Beside short polling only two things change: the server waits on a condition, and
the client does not pause.
"""

import http.server
import json
import sys
import threading
import time
import urllib.request

said = []
news = threading.Condition()


def speak():
    while True:
        with news:
            said.append(f"Hello {len(said) + 1}")
            news.notify_all()  # after the message is there: whoever looks now finds it
        time.sleep(1)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        after = int(self.path.partition("?after=")[2])
        with news:
            # "Is there more than you have?", not "has something happened?": what came before we waited counts too.
            news.wait_for(lambda: len(said) > after, timeout=25)
            answer = json.dumps(said[after:]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def client(url, count):
    after = 0
    while after < count:
        with urllib.request.urlopen(f"{url}?after={after}") as answer:
            messages = json.load(answer)  # empty after 25 s of silence: ask again
        for text in messages:
            print(text, flush=True)
        after += len(messages)


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    for work in (speak, server.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    client(f"http://127.0.0.1:{server.server_port}/", int(sys.argv[1]) if len(sys.argv) > 1 else 5)

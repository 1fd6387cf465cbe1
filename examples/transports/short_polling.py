"""Short polling, alone: a server that says "Hello" every second, and a client that asks again and again.

`python short_polling.py` runs both; the server knows nothing of the client.
"""

import http.server
import json
import sys
import threading
import time
import urllib.request

said = []  # the log: message n has the number n


def speak():
    while True:
        said.append(f"Hello {len(said) + 1}")
        time.sleep(1)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        after = int(self.path.partition("?after=")[2])
        answer = json.dumps(said[after:]).encode()  # at once, and mostly nothing
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def client(url, count):
    after = 0  # the client remembers where it is
    while after < count:
        with urllib.request.urlopen(f"{url}?after={after}") as answer:
            messages = json.load(answer)
        for text in messages:
            print(text, flush=True)
        after += len(messages)
        time.sleep(2)  # what is said now is seen up to 2 s later


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    for work in (speak, server.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    client(f"http://127.0.0.1:{server.server_port}/", int(sys.argv[1]) if len(sys.argv) > 1 else 5)

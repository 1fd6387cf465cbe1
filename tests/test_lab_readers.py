"""The readers of the lab, against a server that ends connections."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from servers import until

from quotechat.lab.readers import Network, Poller


class Fickle(BaseHTTPRequestHandler):
    """Answers one request on each connection, with one event, and ends it without a word."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seq = int(self.path.partition("after=")[2].partition(".")[0]) + 1
        event = {"seq": seq, "cursor": f"{seq}.0", "message": {"client_id": f"c{seq}"}}
        content = json.dumps({"events": [event], "more": False}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def test_connections_that_end_at_rest_are_no_fault() -> None:
    """However many a server ends, the poller goes on, as long as there was an answer on each."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fickle)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    reader = Poller(f"http://127.0.0.1:{server.server_port}", "lobby", "0.0", Network(), interval=0.001)
    try:
        reader.start()
        until(lambda: len(reader.arrived) >= 20 or reader.fault, what="20 events")
        assert reader.fault is None and reader.repeated == 0
    finally:
        reader.ending = True
        reader.join()
        server.shutdown()
        serving.join()
        server.server_close()


def test_a_server_that_is_gone_is_a_fault() -> None:
    """A poller gives up when one connection after the other brings nothing."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and not listened at
        reader = Poller(f"http://127.0.0.1:{nobody.getsockname()[1]}", "lobby", "0.0", Network())
        reader.start()
        until(lambda: reader.fault, what="a fault")
        reader.join()
    assert isinstance(reader.fault, ConnectionRefusedError)

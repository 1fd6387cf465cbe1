"""Receives a webhook: `python examples/webhook_receiver.py SECRET-FILE`, which has the secret that was shown once.

It checks the signature (Standard Webhooks) and answers what the bot is to say. An event may come twice, with the same
webhook-id: here that does no harm, since grading again gives the same and the bot says it once. A receiver that
changes something keeps the ids that are done, together with the change.
"""

from __future__ import annotations

import base64
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from grader_bot import grade


def signed(secret: str, head: dict[str, str], body: bytes) -> bool:
    """Return True if one of the signatures is by `secret`, and made within the last 5 minutes."""
    if abs(time.time() - int(head.get("webhook-timestamp", 0))) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return any(hmac.compare_digest(wanted, each) for each in head.get("webhook-signature", "").split())


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = {name.lower(): value for name, value in self.headers.items()}
        if not signed(Path(sys.argv[1]).read_text().strip(), head, body):
            return self.answer(401, {})
        event = json.loads(body)
        is_message = event["type"] == "message.sent"
        text = grade(event["data"]["message"].get("message", "")) if is_message else None
        return self.answer(200, {"text": text} if text else {})

    def answer(self, status: int, found: dict[str, str]) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    print(f"receiving at http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()

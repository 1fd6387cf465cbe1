"""Deliveries beside uploads: `make bench-uploads`. What do readers notice of eight people who upload at once?

READERS WebSockets (1,000) follow a room, into which messages come at a fixed rate: first with nothing beside, then
beside UPLOADS processes (8) that upload 5 MiB of random bytes again and again, then beside as many that upload a photo
of 12 megapixels, which a child process cleans and makes a small picture of. On a server with its default workers and
one store. A latency is the time from the sender's clock to the arrival at one of ten readers.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from typing import Any

from bench.__main__ import free_port
from bench.claims import serving
from bench.load import HANDSHAKE, Readers, Senders

READERS = int(os.environ.get("READERS") or 1000)
UPLOADS = int(os.environ.get("UPLOADS") or 8)
SECONDS = float(os.environ.get("SECONDS") or 10)
RATE = 10.0
JOIN = f"GET /api/v1/ws?room=lobby HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}\r\n".encode()
MESSAGES = "/api/v1/rooms/lobby/messages?user=bench"


def photo() -> bytes:
    """Return a JPEG of 12 megapixels that does not compress well."""
    from PIL import Image

    noise = Image.frombytes("RGB", (500, 375), random.Random(1).randbytes(500 * 375 * 3))
    file = io.BytesIO()
    noise.resize((4000, 3000)).save(file, "JPEG", quality=85)
    return file.getvalue()


def upload(port: int, data: bytes, uploaded: Any, faults: Any) -> None:
    """Upload and remove `data` until the process is ended."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/v1/guests", json.dumps({"user": f"Guest {os.getpid()}"}), headers)
    headers = {"Authorization": f"Bearer {json.loads(connection.getresponse().read())['token']}"}
    while True:
        connection.close()
        connection.request("POST", "/api/v1/rooms/lobby/files?name=x", data + os.urandom(8), headers)
        answer = connection.getresponse()
        body = answer.read()
        with uploaded.get_lock(), faults.get_lock():
            uploaded.value += answer.status == 201
            faults.value += answer.status != 201
        if answer.status == 201:
            connection.close()
            connection.request("DELETE", f"/api/v1/files/{json.loads(body)['file']['id']}", headers=headers)
            connection.getresponse().read()


def measured(port: int, readers: Readers, what: str, data: bytes | None) -> None:
    """Send for `SECONDS` beside uploads of `data`, and print what readers had of it."""
    uploaded, faults = multiprocessing.Value("q", 0), multiprocessing.Value("q", 0)
    beside = [
        multiprocessing.Process(target=upload, args=(port, data, uploaded, faults), daemon=True)
        for _ in range(UPLOADS if data else 0)
    ]
    for process in beside:
        process.start()
    readers.read(1.0)
    readers.latencies.clear()
    readers.deliveries, before, began = 0, uploaded.value, time.monotonic()
    senders = Senders(port, MESSAGES, count=1, rate=RATE, seconds=SECONDS)
    senders.start()
    readers.read(SECONDS + 20, lambda: senders.ended() and readers.deliveries >= senders.sent * len(readers))
    took, done = time.monotonic() - began, uploaded.value - before
    for process in beside:
        process.kill()
        process.join()
    cut = statistics.quantiles(readers.latencies, n=100)
    missed = senders.sent * len(readers) - readers.deliveries
    size = len(data or b"") / 1e6
    print(
        f"{what:34} p50 {cut[49]:6.0f} ms  p99 {cut[98]:6.0f} ms  max {max(readers.latencies):6.0f} ms"
        f"  {senders.sent} messages, {missed} missed"
        f"  {done / took:5.1f} uploads/s of {size:.1f} MB, {faults.value} refused"
    )


def main() -> None:
    """Print a line for each of the three."""
    with tempfile.TemporaryDirectory() as data:
        port = free_port()
        with serving(data, port, QUOTECHAT_GUEST_FILES="on"), contextlib.closing(Readers()) as readers:
            for _ in range(READERS):
                readers.add(port, JOIN)
            print(f"{len(readers)} readers, {RATE:.0f} messages a second; load of the machine {os.getloadavg()[0]:.1f}")
            measured(port, readers, "nothing beside", None)
            measured(port, readers, f"{UPLOADS} uploads of random bytes", random.Random(2).randbytes(5 * 1024 * 1024))
            measured(port, readers, f"{UPLOADS} uploads of photos", photo())


if __name__ == "__main__":
    main()

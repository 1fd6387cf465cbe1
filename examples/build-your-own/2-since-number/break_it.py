"""Send a message right after a reader has asked."""

import sys
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trial import Reader, Sender, Trial


def follow(reader):
    """Ask as the page does, until there is a message: every two seconds, or with requests that the server holds."""
    while not reader.ask(wait=25 if trial.step > 2 else 0):
        if reader.empty == 2:
            settled.set()
        if trial.step == 2:
            time.sleep(2)


with Trial(__file__, "A message right after the reader has asked") as trial:
    app = trial.serve()
    sender, reader = Sender(trial), Reader(trial)
    settled = threading.Event() if trial.step == 2 else app.news.waiting
    reading = threading.Thread(target=follow, args=[reader])
    reading.start()
    settled.wait(10)
    sent_at = time.monotonic()
    sender.send("one")
    reading.join()
    late = time.monotonic() - sent_at
    trial.note("reader", f"has it {late * 1000:.0f} ms after it was sent")
    if reader.empty:
        trial.fault = f"{reader.empty} requests for nothing, and the message came {late:.1f} s late"

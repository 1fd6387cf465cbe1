"""Hold up a reader between its check for messages and its wait, and send a message meanwhile."""

import sys
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trial import Reader, Sender, Trial

with Trial(__file__, "A message between the check and the wait") as trial:
    app = trial.serve()
    sender, reader = Sender(trial), Reader(trial)
    app.news.holds_readers_up = True  # as the operating system may do with any thread, at any line
    reading = threading.Thread(target=reader.ask, kwargs={"wait": 2})
    reading.start()
    app.news.reached.wait(10)
    trial.note("server", "has checked, found no message, and is held up before it waits")
    sender.send("one")
    sent_at = time.monotonic()
    trial.note("server", 'goes on, with "one" in its list')
    app.news.go_on.set()
    reading.join()
    if app.news.waiting.is_set():
        late = time.monotonic() - sent_at
        trial.fault = f"the server waited for {late:.1f} s, as long as it may, with the message in its list"

"""Send a message after the page has loaded, and before its WebSocket is connected."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trial import Reader, Sender, Trial

with Trial(__file__, "A message between GET and WebSocket") as trial:
    app = trial.serve()
    sender, reader = Sender(trial), Reader(trial)
    sender.send("one")
    reader.ask()
    sender.send("two", how=" before the WebSocket is connected")
    reader.connect()
    app.news.waiting.wait(10)
    sender.send("three")
    reader.hear_until("three")

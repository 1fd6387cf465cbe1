"""Send to one worker, and read from the other."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trial import Reader, Sender, Trial

with Trial(__file__, "A sender and a reader at different workers") as trial:
    a, b = trial.start("worker A", "worker B")
    reader = Reader(trial, b.url)
    reader.connect()
    Sender(trial, a.url).send("one", how=" to worker A")
    reader.hear(3)
    Sender(trial, b.url).send("two", how=" to worker B")
    reader.hear_until("two")

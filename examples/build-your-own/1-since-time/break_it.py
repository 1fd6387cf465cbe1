"""Send two messages in one millisecond, and ask in between."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trial import Reader, Sender, Trial

with Trial(__file__, "Two messages in one millisecond") as trial:
    app = trial.serve()
    app.now = lambda: 1_800_000_000_000  # the server's clock stands still, as each clock does between two ticks
    sender, reader = Sender(trial), Reader(trial)
    sender.send("one")
    reader.ask()
    sender.send("two", how=" in the same millisecond")
    reader.ask()

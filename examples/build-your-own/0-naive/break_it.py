"""Ask again when nothing is new, with a history of 100 messages."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trial import Reader, Sender, Trial

with Trial(__file__, "Asking when nothing is new") as trial:
    trial.serve()
    sender, reader = Sender(trial), Reader(trial)
    for number in range(100):
        trial.sent.append(f"message {number}")
        sender.post(sender.command(f"message {number}"))
    trial.note("sender", "has sent 100 messages")
    reader.ask()
    for _ in range(3):
        reader.ask()
    if again := trial.arrived.total() - 100:
        trial.fault = f"{again} messages came for nothing in 3 requests, and more with each message that is stored"

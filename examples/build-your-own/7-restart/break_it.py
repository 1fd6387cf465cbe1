"""Restart the server with the log of a backup, and read on with the cursor from before."""

import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trial import Reader, Sender, Trial, end

with Trial(__file__, "A cursor of a log that is gone") as trial:
    log, backup = trial.data / "chat.sqlite3", trial.data / "backup"
    (worker,) = trial.start("worker")
    sender, reader = Sender(trial, worker.url), Reader(trial, worker.url)
    sender.send("one")
    shutil.copy(log, backup)
    trial.note("operator", "makes a backup")
    sender.send("two")
    sender.send("three")
    reader.ask()
    end(worker)
    shutil.copy(backup, log)
    trial.sent = ["one"]
    trial.note("operator", 'loses the disk, and restores the backup, which has only "one"')
    (worker,) = trial.start("worker")
    sender.url = reader.url = worker.url
    for text in ("four", "five", "six"):
        sender.send(text)
    while reader.ask():
        pass

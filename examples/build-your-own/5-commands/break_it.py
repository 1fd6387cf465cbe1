"""Lose the answers to a message and to a like, and send both again."""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trial import Reader, Sender, Trial

with Trial(__file__, "An answer that is lost on the way") as trial:
    trial.serve()
    sender, reader = Sender(trial), Reader(trial)
    trial.sent.append("one")
    message = sender.command("one", client_id="a1")
    sender.post_and_hang_up(message)
    trial.note("sender", 'sends "one"; the connection breaks before the answer')
    reader.ask(wait=10)
    trial.note("sender", 'sends "one" again, since it cannot know')
    sender.post(message)

    like = {"command": "like-message", "client_id": "a2", "message": {"id": 1, "user": "Bo"}}
    reader.connect()
    for attempt in ("likes it, over the WebSocket", "likes it again, since it has no answer either"):
        trial.note("reader", attempt)
        reader.socket.send(json.dumps(like))
    trial.note("reader", 'sends "two" over the WebSocket')
    trial.sent.append("two")
    reader.socket.send(json.dumps(sender.command("two")))
    reader.hear_until("two")
    if trial.repeated():
        trial.fault = f'"one" is stored twice, and one person has {reader.likes} likes'

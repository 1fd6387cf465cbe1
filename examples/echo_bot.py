"""Answers whoever speaks to it: `python examples/echo_bot.py http://127.0.0.1:8000`, then say "echo: hello".

It misses nothing while it runs, whatever happens to the network or the server. It keeps its place in a file, so that
after a stop it goes on where it was; what it sends has a client_id made from what it answers, so that it never answers
twice.
"""

from __future__ import annotations

import sys
from pathlib import Path

from quotechat.client import Client, Reset

PLACE = Path("echo-bot.cursor")


def keep(cursor: str) -> None:
    """Store the place as a whole or not at all: a bot that is killed meanwhile finds the one before."""
    new = PLACE.with_suffix(".new")
    new.write_text(cursor)
    new.replace(PLACE)


def main(url: str, room: str = "lobby") -> None:
    client = Client(url, user="Echo")
    reader = client.events(room, after=PLACE.read_text() if PLACE.exists() else "now")
    print("listening", flush=True)
    while True:
        try:
            for event in reader:
                message = event.message or {}
                text = message.get("message", "")
                if event.command == "message-sent" and text.startswith("echo: "):
                    answer = text.removeprefix("echo: ")
                    client.post(answer, room=room, reply_to=message["id"], client_id=f"echo-{event.seq}")
                keep(event.cursor)
        except Reset as reset:
            # Another log: what was said in between cannot be had, so go on from how it is now.
            print(f"begun anew: {reset}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

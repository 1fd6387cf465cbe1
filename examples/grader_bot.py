"""Grades homework: `QUOTECHAT_TOKEN=… python examples/grader_bot.py http://127.0.0.1:8000`; say "homework: 6*7=42".

It keeps nothing. The server remembers, under the name "grader", how far it is: what it has not finished comes again
after a crash, a restart or a week off. What it sends has a client_id made from what it answers, so it answers once.
"""

from __future__ import annotations

import os
import re
import sys

from quotechat.client import Client, Gap

HOMEWORK = re.compile(r"homework: (\d+)\*(\d+)=(\d+)")


def grade(text: str) -> str | None:
    """Return the grade of a homework; None if it is none."""
    found = HOMEWORK.fullmatch(text)
    if found is None:
        return None
    one, other, result = map(int, found.groups())
    return "right" if one * other == result else f"no: {one * other}"


def main(url: str, room: str = "lobby") -> None:
    client = Client(url, os.environ["QUOTECHAT_TOKEN"], user="grader")
    cursor = client.cursor("grader", [room], start="0")
    print("listening", flush=True)
    while True:
        try:
            for event in cursor:
                message = event.message or {}
                answer = grade(message.get("message", "")) if event.command == "message-sent" else None
                if answer is not None:
                    client.post(answer, room=room, reply_to=message["id"], client_id=f"grade-{event.seq}")
        except Gap as gap:
            print(gap, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Says the quote of the day. For cron: `0 9 * * 1-5  python examples/quote_bot.py http://127.0.0.1:8000`.

However often it runs on one day, the quote is stored once: the client_id is the day.
"""

from __future__ import annotations

import random
import sys
from datetime import date

from quotechat.client import Client, ClientIdReused


def main(url: str, room: str = "lobby", day: str = "") -> None:
    day = day or date.today().isoformat()
    with Client(url, user="Quote of the day", patience=600) as client:
        quotes = sorted(client.quotes(limit=500), key=lambda each: each["id"])
        quote = random.Random(day).choice(quotes)
        text = f"**{day}** “{quote['quote']}” – {quote['author']}"
        try:
            ack = client.post(text, room=room, color="amber", client_id=f"quote-of-{day}")
        except ClientIdReused:
            print("said already, with another quote: one was added since")
            return
        print("said already" if ack.duplicate else f"said: {quote['quote']}")


if __name__ == "__main__":
    main(*sys.argv[1:])

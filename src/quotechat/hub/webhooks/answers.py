"""Send the answer of a receiver to the room, as the bot of its webhook; once, even if it answers repeatedly."""

from __future__ import annotations

from ...protocol import webhooks
from ...protocol.commands import NewMessage, SendMessage
from ...protocol.events import Event
from ...store.accounts.accounts import Account
from ..chat import Chat
from ..programs.hooks import split


def say(chat: Chat, bot: Account, event: Event, text: str) -> None:
    """Send `text` as a reply to `event`, by `bot`; a long one as several messages. Raises Refused.

    The `webhook-id` is the client_id, so the answer to a further try of the same event is a repeat.
    """
    client_id, parts = webhooks.identifier(event.cursor), list[SendMessage]()
    for number, part in enumerate(split(text, chat.bounds.message), 1):
        message = NewMessage(user=bot.name, message=part, reply_to=webhooks.message_of(event) if number == 1 else None)
        key = client_id if number == 1 else f"{client_id}_{number}"
        parts.append(SendMessage(message=message, room=event.room, client_id=key))
    chat.submit_parts(parts, identity=bot.identity)

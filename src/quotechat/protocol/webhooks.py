"""Webhooks: the body for a receiver and its signature, which events it gets, and when a failure is tried again.

Pure. The form is that of Standard Webhooks 1.0.0: the receiver checks `webhook-signature` over the identifier, the time
and the body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from . import events, json
from .cursor import Cursor
from .errors import MalformedJson
from .events import Event
from .markup import mentions

COMMANDS: Final = (
    events.MESSAGE_SENT, events.MESSAGE_EDITED, events.MESSAGE_DELETED, events.REACTIONS_CHANGED, events.QUOTE_ADDED,
    events.QUOTE_REMOVED, events.ROOM_CHANGED, events.MEMBER_JOINED, events.MEMBER_CHANGED, events.MEMBER_LEFT,
)  # fmt: skip
"""The events that a webhook may ask for."""
MOST_BYTES: Final = 64 * 1024
"""Bytes of a body."""
PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
TEST: Final = "webhook.test"
GAP: Final = "events.gap"
GONE: Final = 410
"""The status by which a receiver says that it is to be called no more."""

_S, _M, _H = 1000, 60_000, 3_600_000
DELAYS: Final = (5 * _S, 30 * _S, 2 * _M, 10 * _M, 30 * _M, _H, 3 * _H, 6 * _H)
"""Milliseconds from a failure to the next try; the last one from then on."""
MOST_DELAY: Final = 6 * _H
LEAST_DELAY: Final = _S
GIVE_UP: Final = 72 * _H
"""Milliseconds of failures after which a webhook is disabled."""
_SPREAD = 0.2
_EXCERPT = 2000


class EventFilter(NamedTuple):
    """Which events a webhook gets: those of `commands`; with `mentions` only calls of `bot` and direct messages."""

    bot: str
    commands: frozenset[str]
    mentions: bool = False


def wants(event_filter: EventFilter, event: Event, *, direct: bool, answers: bool = False) -> bool:
    """Return True if `event` is for that webhook; the messages of its own bot are not.

    One that `answers` the bot calls it, as one that names it does. Those of another bot are for it only if they call
    it, so that two programs do not talk to each other for ever.
    """
    if event.command not in event_filter.commands:
        return False
    message = _message(event)
    if message.get("by") == event_filter.bot:
        return False
    called = answers or event_filter.bot in mentions.of(message.get("runs"))
    if message.get("bot"):
        return called
    return called or direct or not event_filter.mentions


def replied_to(event: Event) -> int | None:
    """Return the message that a bot answers in `event`, by which a chain of bots is followed."""
    return answered(event) if _message(event).get("bot") else None


def answered(event: Event) -> int | None:
    """Return the message that the message of `event` answers."""
    parent: dict[str, Any] | None = _message(event).get("reply_to")
    return None if parent is None else parent["id"]


def message_of(event: Event) -> int | None:
    """Return the message that an answer to `event` answers, None if there is none any more."""
    if event.command == events.MESSAGE_DELETED:
        return None
    found: int | None = _message(event).get("id")
    return found


def _message(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = json.own(event.body).get("message", {})
    return found


# --- Bodies -----------------------------------------------------------------------------------------


def identifier(cursor: str) -> str:
    """Return the `webhook-id` of the event before that cursor: the same at each try."""
    return cursor.replace(".", "_")


def kind(command: str) -> str:
    """Return the `type` of an event: ``message-sent`` is ``message.sent``."""
    return command.replace("-", ".", 1)


def body(event: Event) -> bytes:
    """Return the body for `event`, of at most `MOST_BYTES`: of a message that is longer, only the beginning."""
    whole = _body(kind(event.command), event.at, event.encoded)
    if len(whole) <= MOST_BYTES:
        return whole
    envelope = event.envelope
    for part in envelope.values():
        if isinstance(part, dict):
            part.pop("runs", None)
            part |= {name: value[:_EXCERPT] for name, value in part.items() if isinstance(value, str)}
            part["truncated"] = True
    return _body(kind(event.command), event.at, json.dumps(envelope))


def test_body(at: str) -> bytes:
    """Return the body of a test."""
    return _body(TEST, at, json.dumps({"at": at}))


def gap_body(room: str, first: int, last: int, at: str) -> bytes:
    """Return the body that tells of events that retention cut before they could be sent."""
    return _body(GAP, at, json.dumps({"room": room, "from": first, "to": last}))


def gap_identifier(room_id: int, last: int) -> str:
    """Return the `webhook-id` of a gap."""
    return f"gap_{room_id}_{last}"


def headers(secrets: Sequence[str], webhook_id: str, now: int, content: bytes) -> dict[str, str]:
    """Return the headers of a try at `now` (ms since 1970), signed with each of `secrets`."""
    at = now // 1000
    return {
        "Content-Type": "application/json",
        "User-Agent": "quotechat-webhooks",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature(each, webhook_id, at, content)}" for each in secrets),
    }


def signature(secret: str, webhook_id: str, at: int, content: bytes) -> str:
    """Return the signature of a body that is sent at `at` (s since 1970), in base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, f"{webhook_id}.{at}.".encode() + content, hashlib.sha256)).decode()


def secret_of(data: bytes) -> str:
    """Return a secret of these random bytes, as receivers take it."""
    return PREFIX + base64.b64encode(data).decode()


def _body(name: str, at: str, data: bytes) -> bytes:
    return b'{"type":"%b","timestamp":"%b","data":%b}' % (name.encode(), at.encode(), data)


# --- Answers ----------------------------------------------------------------------------------------


def is_done(status: int) -> bool:
    """Return True if the receiver has taken the event."""
    return 200 <= status < 300


def may_answer(status: int, head: Mapping[str, str]) -> bool:
    """Return True if the body of an answer is read: it may be something to say in the room."""
    media = head.get("content-type", "").partition(";")[0].strip().lower()
    return is_done(status) and media == "application/json"


def answer_of(content: bytes | None) -> str | None:
    """Return the text that a receiver wants to be said; None if there is none."""
    if not content:
        return None
    try:
        found = json.loads(content)
    except MalformedJson:
        return None
    text = found.get("text") if isinstance(found, dict) else None
    return text if isinstance(text, str) and text.strip() else None


def delay(failures: int, head: Mapping[str, str] | None = None, now: int = 0, chance: float | None = None) -> int:
    """Return the milliseconds until the next try, after so many `failures`, 1 at least.

    `head` are the headers of an answer at `now` (ms since 1970), of which `Retry-After` counts. `chance`, 0 to 1,
    spreads tries that failed together.
    """
    part = random.random() if chance is None else chance
    asked = _retry_after((head or {}).get("retry-after", ""), now)
    if asked is not None:
        # Not earlier than was asked for.
        return round(min(MOST_DELAY, max(LEAST_DELAY, asked) * (1 + _SPREAD * part)))
    usual = DELAYS[min(failures, len(DELAYS)) - 1]
    return round(usual * (1 - _SPREAD + 2 * _SPREAD * part))


def _retry_after(text: str, now: int) -> int | None:
    """Return the milliseconds that `Retry-After` asks for (RFC 9110 §10.2.3), None if it asks for nothing."""
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return int(text) * 1000
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return max(0, round(found.timestamp() * 1000) - now)


def after_change(position: Cursor, head: int) -> Cursor:
    """Return the position from which a webhook goes on in a room whose history is another one now."""
    return Cursor(min(position.seq, head))

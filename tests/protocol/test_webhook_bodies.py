"""Webhooks without a receiver: signatures by an independent verifier, what is sent, and when it is tried again."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from quotechat.protocol import webhooks
from quotechat.protocol.events import Event, event

BOT, OTHER = "k3v9aaaabbbb", "k3v9ccccdddd"
SECRET, NEWER = webhooks.secret_of(b"\x01" * 32), webhooks.secret_of(b"\x02" * 32)


def said(command: str = "message-sent", **message: Any) -> Event:
    body = json.dumps({"message": {"id": 7, "user": "Bo", "at": "", "message": "Hello", **message}}).encode()
    return event("tea", 7, "7.0123456789abcdef", command, 1_700_000_000_000, body)


def test_an_independent_verifier_takes_the_signature() -> None:
    """With the secret, with either of two while it is changed, and with no other, nor another body."""
    body = webhooks.body(said())
    head = webhooks.headers([NEWER, SECRET], webhooks.identifier("7.0123456789abcdef"), time.time_ns() // 10**6, body)
    assert head["webhook-id"] == "7_0123456789abcdef"
    for secret in (SECRET, NEWER):
        taken = Webhook(secret).verify(body, head)
        assert taken["type"] == "message.sent" and taken["data"]["seq"] == 7
    for secret, content in ((webhooks.secret_of(b"\x03" * 32), body), (SECRET, body + b" ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(content, head)


@pytest.mark.parametrize(
    ("message", "mentions", "direct", "expected"),
    [
        ({"by": OTHER}, False, False, True),
        ({}, False, False, True),
        ({"by": BOT}, False, False, False),
        ({"by": BOT, "runs": [{"text": "@me", "mention": BOT}]}, True, True, False),
        ({"by": OTHER}, True, False, False),
        ({"by": OTHER}, True, True, True),
        ({"by": OTHER, "runs": [{"text": "@it", "mention": BOT}]}, True, False, True),
        ({"by": OTHER, "runs": [{"text": "@room", "mention": "room"}]}, True, False, False),
        ({"by": OTHER, "bot": True}, False, False, False),
        ({"by": OTHER, "bot": True}, False, True, False),
        ({"by": OTHER, "bot": True, "runs": [{"text": "@it", "mention": BOT}]}, False, False, True),
    ],
)
def test_which_messages_are_sent(message: dict[str, Any], mentions: bool, direct: bool, expected: bool) -> None:
    """Not the bot's own; another bot's only if it calls this one; with `mentions` calls and direct messages."""
    event_filter = webhooks.EventFilter(BOT, frozenset({"message-sent"}), mentions)
    assert webhooks.wants(event_filter, said(**message), direct=direct) is expected
    assert not webhooks.wants(event_filter, said("message-edited", **message), direct=direct)


def test_a_long_event_is_cut() -> None:
    """Its body has at most 64 KiB, and says that it is cut."""
    long = webhooks.body(said(message="é" * 100_000, runs=[{"text": "é" * 100_000}]))
    assert len(long) <= webhooks.MOST_BYTES
    message = json.loads(long)["data"]["message"]
    assert message["truncated"] and message["message"].startswith("éé") and "runs" not in message


def test_when_it_is_tried_again() -> None:
    """After longer and longer, spread by a fifth, or when the receiver says, up to six hours."""
    usual = [webhooks.delay(failures, chance=0.5) / 1000 for failures in range(1, 11)]
    assert usual == [5, 30, 120, 600, 1800, 3600, 10800, 21600, 21600, 21600]
    assert (webhooks.delay(1, chance=0.0), webhooks.delay(1, chance=1.0)) == (4000, 6000)
    now = 1_700_000_000_000
    for text, seconds in (
        ("120", 120), ("0", 1), ("999999999", 21600), ("Tue, 14 Nov 2023 22:15:20 GMT", 120),
        ("Tue, 14 Nov 2000 22:15:20 GMT", 1), ("soon", 5), ("-3", 5), ("", 5), ("1.5", 5),
    ):  # fmt: skip
        chance = 0.5 if seconds == 5 else 0.0
        assert webhooks.delay(1, {"retry-after": text}, now, chance) == seconds * 1000, text


def test_what_is_said_of_an_answer() -> None:
    """The text of a JSON object, of a 2xx; anything else says nothing."""
    assert webhooks.answer_of(b'{"text": "Good"}') == "Good"
    for content in (None, b"", b"[]", b'{"text": 7}', b'{"text": " "}', b"{", b'{"text":"a","text":"b"}', b"\xff"):
        assert webhooks.answer_of(content) is None
    assert webhooks.may_answer(202, {"content-type": "application/json; charset=utf-8"})
    assert not webhooks.may_answer(200, {"content-type": "text/html"})
    assert not webhooks.may_answer(500, {"content-type": "application/json"})

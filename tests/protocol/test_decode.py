"""What each command takes, and what it is refused for: one envelope, no server (docs/protocol.md §2 and §7)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from quotechat.protocol import commands
from quotechat.protocol.commands import Bounds, decode
from quotechat.protocol.errors import Invalid, MalformedEnvelope
from quotechat.protocol.moments import due

NOW_MS = int(datetime(2026, 11, 22, 21, tzinfo=UTC).timestamp() * 1000)

WHOLE: list[dict[str, Any]] = [
    {"command": "send-message", "message": {"user": "Azin", "message": "Hello!"}},
    {
        "command": "send-message", "room": "tea", "client_id": "a-Z_9",
        "message": {"user": "Azin", "message": "Hi", "color": "teal", "reply_to": 1, "send_at": "+10m"},
    },
    {"command": "edit-message", "message": {"id": 1, "message": "Hello again"}},
    {"command": "delete-message", "message": {"id": 2**53 - 1}},
    {"command": "react", "message": {"id": 1, "reaction": "none"}},
    {"command": "cancel-scheduled", "scheduled": {"id": 1}},
    {"command": "add-quote", "quote": {"quote": "So it goes.", "author": "Kurt Vonnegut"}},
    {"command": "remove-quote", "quote": {"id": 1}},
    {"command": "set-room", "about": {"title": None, "topic": "t", "kind": "closed", "slow": 5, "archived": False}},
    {"command": "add-member", "member": {"name": "Bo", "role": "manager"}},
    {"command": "set-member", "member": {"id": "k3vaaaaabbbb", "muted_until": None}},
    {"command": "remove-member", "member": {"id": "k3vaaaaabbbb"}},
    {"command": "join", "room": "tea"},
    {"command": "mark-read", "read": {"id": 3, "back": True}},
    {"command": "set-level", "level": "nothing"},
    {"command": "report-message", "message": {"id": 1}, "reason": "rude"},
    {"command": "subscribe", "room": "tea", "after": "0"},
    {"command": "unsubscribe", "room": "tea"},
    {"command": "typing", "room": "tea", "user": "Azin"},
    {"command": "ping", "measure": True},
]  # fmt: skip


@pytest.mark.parametrize("envelope", WHOLE, ids=lambda envelope: envelope["command"])
def test_each_command_is_understood(envelope: dict[str, Any]) -> None:
    """A whole envelope becomes the command of that name; the room is the lobby if it is left out."""
    command = decode(envelope)
    assert type(command).__struct_config__.tag == envelope["command"]
    assert command.room == envelope.get("room", "lobby")
    assert command.client_id == envelope.get("client_id")


def test_every_command_has_an_example_here() -> None:
    """No command is left out of these tests."""
    assert {each["command"] for each in WHOLE} == set(commands._KNOWN)


def test_unknown_fields_are_ignored() -> None:
    """A newer client may say more, at any level."""
    envelope = {"command": "ping", "later": 1}
    assert decode(envelope) == commands.Ping()
    sent = decode({"command": "send-message", "message": {"user": "A", "message": "m", "later": []}})
    assert isinstance(sent, commands.SendMessage)


@pytest.mark.parametrize("envelope", [None, 1, "ping", [], [WHOLE[-1]], {}, {"command": 1}, {"command": "no"}])
def test_what_is_no_envelope_is_malformed(envelope: Any) -> None:
    """Not an object, no command, or one that does not exist: `malformed-envelope`."""
    with pytest.raises(MalformedEnvelope):
        decode(envelope)


def _but(envelope: dict[str, Any], **changes: Any) -> dict[str, Any]:
    inner = next((name for name in ("message", "scheduled", "quote") if name in envelope), None)
    changed = dict(envelope)
    for name, value in changes.items():
        if name in ("room", "client_id", "command", "after", "measure") or inner is None:
            changed[name] = value
        else:
            changed[inner] = {**changed[inner], name: value}
    return changed


SEND, EDIT, REACT = WHOLE[0], WHOLE[2], WHOLE[4]


@pytest.mark.parametrize(
    ("envelope", "field"),
    [
        (_but(SEND, user=None), "user"),
        (_but(SEND, message=1), "message"),
        (_but(SEND, reply_to=0), "reply_to"),
        (_but(SEND, reply_to="1"), "reply_to"),
        (_but(SEND, reply_to=1.5), "reply_to"),
        (_but(SEND, reply_to=True), "reply_to"),
        (_but(SEND, send_at=5), "send_at"),
        (_but(SEND, room=None), "room"),
        (_but(SEND, client_id=""), "client_id"),
        (_but(SEND, client_id="a" * 65), "client_id"),
        (_but(SEND, client_id="é"), "client_id"),
        (_but(SEND, client_id="a\n"), "client_id"),
        (_but(SEND, client_id=7), "client_id"),
        (_but(EDIT, id=2**53), "id"),
        (_but(EDIT, id=-1), "id"),
        (_but(REACT, reaction="love"), "reaction"),
        (_but(REACT, reaction=""), "reaction"),
        (_but(REACT, reaction="🎉🎉"), "reaction"),
        (_but(REACT, reaction="🎉 "), "reaction"),
        (_but(REACT, reaction="❤"), "reaction"),  # it needs U+FE0F to be shown as an emoji
        (_but(REACT, reaction="like", on=False), "on"),
        (_but(REACT, reaction="none", on=False), "on"),
        (_but(REACT, reaction="🎉", on=0), "on"),
        ({"command": "subscribe", "after": None}, "after"),
        ({"command": "ping", "measure": 1}, "measure"),
        ({"command": "send-message"}, "message"),
        ({"command": "send-message", "message": {"user": "A"}}, "message"),
        ({"command": "send-message", "message": {"message": "m"}}, "user"),
        ({"command": "cancel-scheduled", "scheduled": {}}, "id"),
        ({"command": "add-quote", "quote": {"quote": "q"}}, "author"),
    ],
)
def test_a_field_that_is_wrong_is_named(envelope: dict[str, Any], field: str) -> None:
    """A field that is missing, of another type or out of bounds: `invalid`, with its name."""
    with pytest.raises(Invalid) as refused:
        decode(envelope)
    assert refused.value.field == field


def test_null_is_left_out() -> None:
    """An optional field that is null is as if it were left out."""
    assert decode(_but(SEND, client_id=None, color=None, reply_to=None, send_at=None)) == decode(SEND)


def test_normalised_is_what_is_compared() -> None:
    """Two spellings of one text have one content, once they are normalised; the room and the id do not count."""
    first = decode(_but(SEND, user="Zoë", message="cafe\u0301", client_id="one")).normalised(Bounds())
    second = decode(_but(SEND, user="Zoe\u0308", message="café", room="tea")).normalised(Bounds())
    other = decode(_but(SEND, user="Zoë", message="coffee")).normalised(Bounds())
    assert first.content() == second.content() != other.content()


@pytest.mark.parametrize(
    "envelope", [_but(SEND, message="x" * 4001), _but(SEND, user="x" * 41), _but(EDIT, message="")]
)
def test_texts_have_bounds(envelope: dict[str, Any]) -> None:
    """What is too long or empty is found when the command is normalised."""
    with pytest.raises(Invalid):
        decode(envelope).normalised(Bounds())


@pytest.mark.parametrize(
    ("send_at", "seconds"),
    [
        ("+0s", 0), ("+90s", 90), ("+10m", 600), ("+2h", 7200), ("+365d", 365 * 86_400),
        ("2026-11-22T21:00:01Z", 1), ("2026-11-22t22:00:00.500+00:30", 1800.5),
        ("2026-11-22T21:00:00.123456789Z", 0.123),
    ],
)  # fmt: skip
def test_when_a_message_is_due(send_at: str, seconds: float) -> None:
    """`+<n>` s, m, h or d from now, or a time of RFC 3339 with its offset."""
    assert due(send_at, NOW_MS, 365) == NOW_MS + seconds * 1000


@pytest.mark.parametrize(
    "send_at",
    [
        "", "10m", "+m", "+1w", "+1.5h", "+-1s", "tomorrow", "2026-11-22", "2026-11-22T21:00:00",
        "2026-13-01T00:00:00Z",
        "2026-11-22T20:59:59Z", "2027-11-23T21:00:00Z", "+366d", "+9999999999s", "0000-01-01T00:00:00Z",
        "2026-11-22T21:00:00+99:99", "٢٠٢٦-11-22T21:00:00Z",
    ],
)  # fmt: skip
def test_a_time_that_is_wrong_is_refused(send_at: str) -> None:
    """No time, no offset, in the past, or farther ahead than is allowed: `invalid` with field `send_at`."""
    with pytest.raises(Invalid) as refused:
        due(send_at, NOW_MS, 365)
    assert refused.value.field == "send_at"


@pytest.mark.parametrize("files", [["x"], [1], [None], [{}], [{"id": 1}], "x", {}])
def test_what_is_wrong_in_a_list_is_of_the_list(files: Any) -> None:
    """`field` is the name of a field that a client can show, whatever is wrong with an element or its id."""
    with pytest.raises(Invalid) as caught:
        decode({"command": "send-message", "message": {"user": "Azin", "message": "Hi", "files": files}})
    assert caught.value.field == "files"

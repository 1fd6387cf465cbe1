"""What a program gets from a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from quotechat.client import (
    Client,
    ClientIdReused,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RoomUnknown,
    Unanswered,
    Unauthenticated,
)


def test_every_command_has_its_call(client: Client) -> None:
    """Post, reply, edit, react, delete and quote reach a reader as the events that they make."""
    client.sign_in("Every")
    reader = client.events()
    first = client.post("one", color="teal").seq
    assert first is not None
    client.post("two", reply_to=first)
    client.edit(first, "one, edited")
    client.react(first, "like")
    client.delete(first)
    client.quote("Words", "Somebody")
    events = [next(reader) for _ in range(6)]
    assert [event.command for event in events] == [
        "message-sent", "message-sent", "message-edited", "reactions-changed", "message-deleted", "quote-added",
    ]  # fmt: skip
    assert [event.seq for event in events] == list(range(first, first + 6))
    answer = events[1].message
    assert answer is not None and answer["reply_to"]["id"] == first
    assert events[5].quote is not None and events[5].quote["author"] == "Somebody"
    assert reader.cursor == events[-1].cursor


@pytest.mark.parametrize("transport", ["long-poll", "stream", "short-poll"])
def test_transports_bring_the_same(client: Client, transport: str) -> None:
    """The same events from the same cursor, in the same envelopes, over each transport."""
    after = client.snapshot()["cursor"]
    sent = [client.post(f"{transport} {number}").seq for number in range(3)]
    with client.events(after=after, transport=transport, interval=0.01) as reader:  # type: ignore[arg-type]  # each is one
        events = [next(reader) for _ in range(3)]
    assert [event.seq for event in events] == sent
    with client.events(after=after) as other:
        assert [next(other).envelope for _ in range(3)] == [event.envelope for event in events]


def test_now_is_when_events_is_called(client: Client) -> None:
    """What is sent between `events()` and the first look is not missed."""
    reader = client.events()
    seq = client.post("at once").seq
    assert next(reader).seq == seq


def test_a_repeat_is_stored_once(client: Client) -> None:
    """The same client_id gets the first event, marked as a duplicate; other content is refused."""
    first = client.post("once", client_id="again-1")
    again = client.post("once", client_id="again-1")
    assert (again.seq, again.duplicate, first.duplicate) == (first.seq, True, False)
    with pytest.raises(ClientIdReused):
        client.post("twice", client_id="again-1")


def test_scheduling(client: Client) -> None:
    """A timedelta, a datetime and the protocol's own form; what waits can be listed and cancelled."""
    client.sign_in("Later")
    for send_at in (timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1), "+1h"):
        ack = client.post("later", send_at=send_at)
        assert ack.scheduled is not None and ack.seq is None
        assert [each["id"] for each in client.scheduled()] == [ack.scheduled["id"]]
        client.cancel(ack.scheduled["id"])
        assert client.scheduled() == []
    with pytest.raises(ValueError, match="time zone"):
        client.post("when?", send_at=datetime.now())


def test_problems_are_exceptions_by_code(client: Client, connected: Callable[..., Client]) -> None:
    """Each refusal is its own class, with the code, the status and the field of the problem."""
    with pytest.raises(RoomUnknown) as unknown:
        client.post("x", room="nowhere")
    assert (unknown.value.code, unknown.value.status) == ("room-unknown", 404)
    assert isinstance(unknown.value, NotFound)
    with pytest.raises(Invalid) as invalid:
        client.post(" ")
    assert invalid.value.field == "message"
    seq = client.post("mine").seq
    assert seq is not None
    with pytest.raises(Unauthenticated):
        client.edit(seq, "theirs")
    client.sign_in("Owner")
    own = client.post("mine").seq
    assert own is not None
    other = connected(client.url)
    with pytest.raises(Conflict):
        other.post("I am you", user="Owner")
    other.sign_in("Other")
    with pytest.raises(Forbidden):
        other.delete(own)
    with pytest.raises(RoomUnknown):
        client.events("nowhere")


def test_quotes(client: Client) -> None:
    """Added, searched, and one by chance."""
    with pytest.raises(ValueError, match="who says it"):
        Client(client.url).post("nobody")
    client.quote("The map is not the territory.", "Alfred Korzybski")
    assert [quote["author"] for quote in client.quotes("territory")] == ["Alfred Korzybski"]
    assert client.random_quote()["quote"]


def test_rooms_and_history(client: Client) -> None:
    """Rooms are created and listed; older messages come page by page."""
    client.create_room("history", "A room of its own")
    assert "history" in [room["name"] for room in client.rooms()]
    ids = [client.post(f"number {number}", room="history").seq for number in range(5)]
    snapshot = client.snapshot("history", limit=2)
    assert [message["id"] for message in snapshot["messages"]] == ids[3:]
    older = client.messages("history", before=snapshot["messages"][0]["id"], limit=2)
    assert [message["id"] for message in older] == ids[1:3]


def test_patience_ends_with_the_client_id() -> None:
    """Where nobody answers, the exception has the client_id with which the send can be taken up again."""
    with Client("http://127.0.0.1:9", user="Ada", patience=0.2) as client, pytest.raises(Unanswered) as unanswered:
        client.post("hello?", client_id="later")
    assert unanswered.value.client_id == "later"


def test_an_address_that_is_none() -> None:
    """Refused at once, before anything is asked."""
    with pytest.raises(ValueError, match="not the address"):
        Client("ftp://example.org")

"""The one door: a room is read through a handle, which one caller has opened, and no further than it may."""

from __future__ import annotations

import inspect

import pytest
from test_chat import Opened, opened, said  # noqa: F401  # the fixture of the hub's tests

from quotechat.hub.chat import Chat
from quotechat.protocol.cursor import NOW, Cursor, parse
from quotechat.protocol.errors import CursorAhead, RoomUnknown
from quotechat.protocol.rights.principal import VISITOR, Principal

DOORS = {"open", "trusted", "create_room"}


def test_there_is_no_other_door() -> None:
    """No public method of the chat takes the name of a room, but for those that open it for a caller."""
    public = [each for each in inspect.getmembers(Chat, inspect.isfunction) if not each[0].startswith("_")]
    assert {name for name, method in public if {"room", "name"} & set(inspect.signature(method).parameters)} == DOORS


def test_a_token_for_other_rooms_opens_nothing(opened: Opened) -> None:  # noqa: F811
    """A room that the token is not for is unknown, as one that is not there; so it is not listed."""
    chat = opened()
    chat.create_room("tea", None)
    token = Principal("acct:bo", 7, "bo", "Bo", "member", rooms=frozenset({"tea", "nowhere"}))
    assert chat.open(token, "tea").read(NOW).events == []
    for room in ("lobby", "nowhere"):
        with pytest.raises(RoomUnknown, match=room):
            chat.open(token, room)
    assert [room["name"] for room in chat.rooms(token)] == ["tea"]
    assert [room["name"] for room in chat.rooms(VISITOR)] == ["lobby", "tea"]


def test_opening_and_reading_is_one_question(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The head that says if a room may be read also answers the first read; the second one asks anew."""
    chat = opened()
    chat.submit(said("one"), identity=None)
    asked = []
    head = chat._store.head
    monkeypatch.setattr(chat._store, "head", lambda *given: asked.append(given) or head(*given))  # type: ignore[func-returns-value]
    handle = chat.open(VISITOR, "lobby")
    assert handle.head().cursor.startswith("1.") and len(asked) == 1
    chat.submit(said("two"), identity=None)
    assert handle.since == 1 and [event.seq for event in handle.read(Cursor(0)).events] == [1, 2]
    assert handle.since == 2 and len(asked) == 2


def test_no_cursor_leads_beyond_what_was_allowed(opened: Opened) -> None:  # noqa: F811
    """A number that is guessed ahead of the head is refused, even if the log has come there meanwhile."""
    chat = opened()
    handle = chat.open(VISITOR, "lobby")
    ahead = chat.submit(said("meanwhile"), identity=None)
    with pytest.raises(CursorAhead):
        handle.read(Cursor(ahead.seq))  # type: ignore[union-attr]
    assert handle.read(parse(ahead.cursor)).events == []  # type: ignore[arg-type,union-attr]

"""Where in a log the right to read it ends."""

from __future__ import annotations

import pytest

from quotechat.protocol import json
from quotechat.protocol.events import Event, event
from quotechat.protocol.rights import readership
from quotechat.protocol.rights.principal import VISITOR, Principal

BO = Principal("acct:bo", 7, "bo", "Bo", "member")
ANN = Principal("acct:ann", 8, "ann", "Ann", "member")


def happened(seq: int, command: str, **body: object) -> Event:
    return event("tea", seq, f"{seq}.0000000000000000", command, 0, json.dumps(body))


LEFT = happened(3, "member-left", member={"id": "bo", "user": "Bo"}, reason="removed")


def test_a_right_ends_with_the_leaving() -> None:
    """It ends for the member that left, and for nobody else."""
    assert readership.ends(LEFT, BO) is True
    assert readership.ends(LEFT, ANN) is False
    assert readership.ends(LEFT, VISITOR) is False


@pytest.mark.parametrize(
    ("about", "visitor", "account"),
    [({"kind": "closed"}, True, None), ({"kind": "open"}, False, False), ({}, False, False)],
)
def test_closing_a_room_ends_the_right_of_visitors(about: dict[str, str], visitor: bool, account: bool | None) -> None:
    """Only the store knows which accounts are members of a room that was open; other changes end nothing."""
    changed = happened(3, "room-changed", about={"name": "tea", **about})
    assert readership.ends(changed, VISITOR) is visitor
    assert readership.ends(changed, BO) is account


def test_other_events_end_nothing() -> None:
    """The content of a message is not even looked at."""
    assert readership.ends(happened(3, "message-sent", member={"id": "bo"}), BO) is False


def test_slices_end_at_a_change() -> None:
    """At the first one above the given seq, which is included."""
    log = [happened(2, "message-sent"), LEFT, happened(4, "message-sent"), happened(5, "room-changed")]
    assert readership.until_change(log) == log[:2]
    assert readership.first_change(log, 3) == 3
    assert readership.first_change(log, 5) is None
    assert readership.until_change(log[:1]) == log[:1]

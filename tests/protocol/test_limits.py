"""The numbers of the protocol are the same wherever a program that stands alone repeats them."""

from __future__ import annotations

from quotechat import doctor
from quotechat.client import reader
from quotechat.protocol import limits
from quotechat.web.spec.described import QUERY


def test_those_who_stand_alone_know_them() -> None:
    """The Python client and the doctor, which import nothing of the server, wait as long as it holds a poll."""
    assert reader.LONGEST_WAIT == doctor.LONGEST_WAIT == limits.LONGEST_WAIT


def test_they_are_described() -> None:
    """The description of the API has these numbers."""
    assert QUERY["wait"][0]["maximum"] == limits.LONGEST_WAIT
    assert QUERY["heartbeat"][0]["maximum"] == limits.HEARTBEAT
    assert QUERY["rooms"][0]["maxItems"] == limits.MOST_ROOMS

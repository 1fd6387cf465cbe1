"""Polls that the application does not see: no right outlives its end in them."""

from __future__ import annotations

import json
import socket
from typing import Any

from flask import Flask
from servers import until

from quotechat.hub.chat import Chat
from quotechat.live.handoff import Handoff
from quotechat.protocol import commands
from quotechat.protocol.cursor import START
from quotechat.protocol.rights.principal import VISITOR
from quotechat.store.accounts import accounts
from quotechat.web.http.services import services_of
from quotechat.web.transports.kept import AnswerParts, Head
from quotechat.web.transports.parking import ParkedPoll, Place

ASKED = "GET /api/v1/rooms/tea/events?after={}&wait=25 HTTP/1.1\r\nHost: here\r\n\r\n"


def test_no_poll_repeats_one_whose_page_ends_with_the_right(app: Flask) -> None:
    """The room is closed between the application's look at the right and its page, whose last event tells of it."""
    chat: Chat = app.extensions["quotechat"]
    ours = services_of(app)
    chat.create_room("tea", None)
    boss = chat.write_with(lambda sql: accounts.make(sql, "Boss", "owner", chat.now()))
    chat.operate(commands.AddMember(commands.NewMember(id=boss.key, role="manager"), room="tea"))
    handle = chat.open(VISITOR, "tea")
    handle.follow()
    chat.operate(commands.SetRoom(about=commands.AboutChange(kind="closed"), room="tea"))
    page = handle.read(START)
    assert [each.command for each in page.events] == ["room-changed"]
    given_back: list[bytes] = []

    def give_back(sock: socket.socket, data: bytes, at: float) -> None:
        sock.close()
        given_back.append(data)

    near, far = socket.socketpair()
    near.setblocking(False)
    far.settimeout(60)
    given = Handoff(give_back, "", lambda: True, None, 2, ASKED.format("0").encode())
    environ: dict[str, Any] = {}
    given.put(environ)
    parts, place = AnswerParts(Head({}, []), None), Place("tea", page.cursor, 10)
    with far:
        poll = ParkedPoll(
            near, lambda: None, environ, parts, ours.parked_polls, handle, place, 25.0, page, lambda **_: ""
        )
        ours.reactor.add(poll)
        answer = json.loads(far.recv(65_536).partition(b"\r\n\r\n")[2])
        assert answer["cursor"] == page.cursor
        again = ASKED.format(page.cursor).encode()
        far.sendall(again)
        until(lambda: given_back or poll.busy, what="the next poll")
        assert given_back == [again]

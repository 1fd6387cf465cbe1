"""Which requests repeat an earlier one: the same method, target, client and credentials, whatever else they say."""

from __future__ import annotations

import pytest

from quotechat.live import repeats
from quotechat.live.repeats import Repeats

PEER = "192.0.2.1"
LINE = "POST /api/v1/rooms/lobby/messages?user=Azin HTTP/1.1"
HEADERS = {
    "Host": "chat.example.org", "Content-Type": "application/json", "Cookie": "a=1; b=2",
    "Authorization": "Bearer abc", "X-Forwarded-For": "198.51.100.7", "Origin": "https://chat.example.org",
    "User-Agent": "test", "X-Request-Id": "r1", "Content-Length": "2",
}  # fmt: skip
POLL = "GET /api/v1/rooms/lobby/events?after=12.ab&wait=25 HTTP/1.1"


def request(line: str = LINE, *more: str, **changed: str | None) -> bytes:
    """A request, with headers `changed` or left out, and with `more` of them."""
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None), *more]
    return "\r\n".join([*lines, "", "{}"]).encode("latin-1")


def poll(line: str = POLL, **changed: str | None) -> bytes:
    return request(line, **{"Content_Length": None, "Content_Type": None, **changed}).removesuffix(b"{}")


def key(raw: bytes, peer: str = PEER) -> bytes | None:
    head = repeats.read(raw, peer)
    return None if head is None else head.key


def backwards(raw: bytes) -> bytes:
    line, *lines = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return b"\r\n".join([line, *reversed(lines), b"", b"{}"])


ALIKE = {
    "another length": request(Content_Length="1000"),
    "another id": request(X_Request_Id="r2"),
    "no id": request(X_Request_Id=None),
    "a trace": request(LINE, "traceparent: 00-1-2-01"),
    "another browser": request(User_Agent="other", Accept_Language="fa"),
    "other spaces": request().replace(b"Host: chat.example.org", b"Host:\t chat.example.org "),
    "other letters": request().replace(b"Cookie", b"cookie").replace(b"Content-Length", b"CONTENT-LENGTH"),
    "another order": backwards(request()),
}


@pytest.mark.parametrize("case", ALIKE)
def test_what_may_differ(case: str) -> None:
    """Neither what is asked nor by whom."""
    assert key(ALIKE[case]) == key(request()) is not None


OTHERS = {
    "method": request(LINE.replace("POST", "PUT")),
    "room": request(LINE.replace("lobby", "tea")),
    "parameter": request(LINE.replace("Azin", "Bo")),
    "version": request(LINE.replace("1.1", "1.0")),
    "cookie": request(Cookie="a=1; b=3"),
    "no cookie": request(Cookie=None),
    "token": request(Authorization="Bearer abd"),
    "no token": request(Authorization=None),
    "address": request(X_Forwarded_For="198.51.100.8"),
    "two addresses": request(LINE, "X-Forwarded-For: 198.51.100.8"),
    "origin": request(Origin="https://evil.example"),
    "site": request(LINE, "Sec-Fetch-Site: cross-site"),
    "host": request(Host="evil.example"),
    "form": request(Content_Type="text/plain"),
    "close": request(LINE, "Connection: close"),
    "chunks": request(LINE, "Transfer-Encoding: chunked"),
    "idempotency": request(LINE, "Idempotency-Key: 1"),
    "expectation": request(LINE, "Expect: 100-continue"),
    "unknown": request(LINE, "X-Remote-User: root"),
    "folded": request(LINE, " Cookie: a"),
    "a colon apart": request().replace(b"Cookie:", b"Cookie :"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_may_not_differ(case: str) -> None:
    """Whatever decides for the application or for what is around it, also what is not known here."""
    assert key(OTHERS[case]) != key(request())


def test_another_peer_is_another_client() -> None:
    """The address of the connection counts as what a proxy says of it."""
    assert key(request(), "192.0.2.2") != key(request())


def test_addresses_keep_their_order() -> None:
    """Lines of one name mean another thing the other way round."""
    ways = [request(LINE, "X-Forwarded-For: 198.51.100.8"), request(LINE, "X-Forwarded-For: 198.51.100.7")]
    changed = ways[1].replace(b"X-Forwarded-For: 198.51.100.7", b"X-Forwarded-For: 198.51.100.8", 1)
    assert key(ways[0]) != key(changed)


NONE = {
    "half a header": request()[:60],
    "two lengths": request(LINE, "Content-Length: 2"),
    "no length": request(Content_Length=None),
    "a sign": request(Content_Length="+2"),
    "a fraction": request(Content_Length="2.0"),
    "no digit": request(Content_Length="\u00b2"),
    "a list": request(Content_Length="2, 2"),
    "a long length": request(Content_Length="0000000002"),
    "a line break": request(User_Agent="a\nContent-Length: 9"),
    "a return": request(X_Request_Id="a\rb"),
    "no colon": request().replace(b"User-Agent: test", b"User-Agent"),
    "an empty line first": b"\r\n" + request(LINE.replace("/api", "http://chat.example.org/api")),
    "a zero": request(User_Agent="a\0b"),
    "much": request(User_Agent="a" * 9000),
    "many": request(LINE, *[f"X-{number}: 1" for number in range(100)]),
    "a poll with a body": request(POLL),
    "a poll without a cursor": poll("GET /api/v1/rooms/lobby/events?wait=25 HTTP/1.1"),
    "two cursors": poll("GET /api/v1/rooms/lobby/events?after=1&after=2 HTTP/1.1"),
    "now": poll("GET /api/v1/rooms/lobby/events?after=now HTTP/1.1"),
}


@pytest.mark.parametrize("case", NONE)
def test_what_is_not_read_here(case: str) -> None:
    """It is for the server's own parser, which refuses it or not."""
    assert key(NONE[case]) is None


def test_where_a_body_is() -> None:
    """It may not have come yet; what follows it is another request."""
    found = repeats.read(request(Content_Length="5", X_Request_Id="r7") + b"abcPOST", PEER)
    assert found is not None and found.request_id == "r7"
    assert (request(Content_Length="5") + b"abcPOST")[found.begins : found.ends] == b"{}abc"
    twice = repeats.read(request(LINE, "X-Request-Id: r8"), PEER)
    assert twice is not None and twice.request_id == "r1,r8"
    assert repeats.key(request() + b"P", PEER) is None and repeats.key(request(), PEER) is not None


def test_a_poll_at_another_cursor_is_the_same() -> None:
    """Its cursor is apart, and only the parameter that the application reads."""
    other = poll(POLL.replace("12.ab", "13.cd"))
    found = repeats.read(other, PEER)
    assert found is not None and found.cursor == "13.cd" and found.key == key(poll())
    assert key(poll(POLL.replace("wait=25", "wait=5"))) != key(poll())
    assert key(poll(POLL.replace("?after", "?x=?after=1&after"))) != key(poll())


STEPS = {
    "a longer body": request(X_Request_Id=None, Content_Length="1000"),
    "no digits": request(X_Request_Id=None, Content_Length="x"),
    "a long length": request(X_Request_Id=None, Content_Length="0000000002"),
    "a later poll": poll(POLL.replace("12.ab", "13"), X_Request_Id=None),
    "no cursor": poll(POLL.replace("12.ab", "now"), X_Request_Id=None),
    "half a cursor": poll(POLL.replace("12.ab", "13."), X_Request_Id=None),
    "two cursors": poll(POLL.replace("12.ab", "12&after=3"), X_Request_Id=None),
    "an escape": poll(POLL.replace("12.ab", "13%2Eab"), X_Request_Id=None),
    "another question": poll(POLL.replace("after=12.ab", "x=?after=1&after=12.ab"), X_Request_Id=None),
    "two requests": request(X_Request_Id=None) * 2, "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("case", [*ALIKE.values(), *OTHERS.values(), *NONE.values(), *STEPS.values()])
def test_a_connection_is_read_as_if_nothing_came_before(case: bytes) -> None:
    """Whatever header it remembers, with a length or with a cursor, the next one says the same as alone."""
    for before in (request(X_Request_Id=None), poll(X_Request_Id=None), STEPS["another question"], case):
        reader = repeats.Reader(PEER)
        assert reader.read(before) == repeats.read(before, PEER)
        assert reader.read(case) == repeats.read(case, PEER)


def test_what_was_learnt_is_forgotten() -> None:
    """After a minute, and the oldest if there are too many."""
    now = [0.0]
    known = Repeats[str](lambda: now[0])
    known.learn(request(), PEER, "first")
    head = repeats.read(request(X_Request_Id="r9", Content_Length="9"), PEER)
    assert head is not None and known.find(head) == "first"
    now[0] = 61.0
    assert known.find(head) is None
    for number in range(repeats._MOST + 1):
        known.learn(request(Cookie=f"a={number}"), PEER, "other")
    assert len(known._known) <= repeats._MOST
    known.learn(request(Content_Length="3"), PEER, "not whole")
    assert known.find(head) is None

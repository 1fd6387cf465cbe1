"""Short and long polling, and every form of POST."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from raising import keeping
from servers import Running, environment, quotechat, running, until
from websockets.sync.client import connect

MESSAGES = "/api/v1/rooms/lobby/messages"
EVENTS = "/api/v1/rooms/lobby/events"
KEEPING = True
SHORTEST = {"command": "send-message", "message": {"user": "Azin", "message": "Hello!"}}


def texts(answer: Any) -> list[str]:
    return [event["message"]["message"] for event in answer.get_json()["events"]]


def test_every_form_of_post_becomes_the_same_event(client: FlaskClient) -> None:
    """JSON, the envelope, plain text and what a bare `curl -d` sends."""
    client.post(MESSAGES, json={"user": "Azin", "message": "Hello!"})
    client.post("/api/v1/rooms/lobby/commands", json=SHORTEST)
    client.post(f"{MESSAGES}?user=Azin", data="Hello!", content_type="text/plain")
    client.post(f"{MESSAGES}?user=Azin", data="Hello!\n", content_type="text/plain; charset=utf-8")
    client.post(f"{MESSAGES}?user=Azin", data="Hello!", content_type="application/x-www-form-urlencoded")
    events = client.get(f"{EVENTS}?after=0").get_json()["events"]
    shown = [{**event["message"], "id": 0, "at": ""} for event in events]
    assert len(shown) == 5 and all(each == shown[0] for each in shown)


def test_a_form_body_is_text_as_it_is(client: FlaskClient) -> None:
    """`curl -d 'a=b&c'` says "a=b&c"."""
    form = "application/x-www-form-urlencoded"
    answer = client.post(f"{MESSAGES}?user=Azin", data="a=b&c+%41", content_type=form)
    assert answer.get_json()["message"]["message"] == "a=b&c+%41"


def test_a_repeat_answers_the_first_event(client: FlaskClient) -> None:
    """201, then 200 with `duplicate`, by field or by header, in whatever form."""
    first = client.post(MESSAGES, json={"user": "Azin", "message": "x", "client_id": "k"})
    again = client.post(MESSAGES, json={"user": "Azin", "message": "x"}, headers={"Idempotency-Key": '"k"'})
    text = client.post(f"{MESSAGES}?user=Azin", data="x", content_type="text/plain", headers={"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code, text.status_code) == (201, 200, 200)
    assert again.get_json() == text.get_json() == {**first.get_json(), "duplicate": True}
    ack = client.post("/api/v1/rooms/lobby/commands", json={**SHORTEST, "client_id": "c"}).get_json()
    same = client.post("/api/v1/rooms/lobby/commands", json={**SHORTEST, "client_id": "c"}).get_json()
    assert same == {**ack, "duplicate": True} and ack["command"] == "ack" and ack["client_id"] == "c"
    other = client.post(MESSAGES, json={"user": "Azin", "message": "y", "client_id": "k"})
    assert (other.status_code, other.get_json()["code"]) == (422, "client-id-reused")


def test_pages_join_without_a_gap(client: FlaskClient) -> None:
    """`limit` and `more`: the pages are the log."""
    for number in range(5):
        client.post(MESSAGES, json={"user": "Azin", "message": f"{number}"})
    found, after, more = [], "0", True
    while more:
        answer = client.get(f"{EVENTS}?after={after}&limit=2")
        found += texts(answer)
        after, more = answer.get_json()["cursor"], answer.get_json()["more"]
    assert found == list("01234")
    empty = client.get(f"{EVENTS}?after={after}")
    assert empty.get_json() == {"events": [], "cursor": after, "more": False}
    assert empty.headers["Cache-Control"] == "no-store"


def test_after_left_out_is_now(client: FlaskClient) -> None:
    """Nothing of what was, and the cursor to go on from."""
    client.post(MESSAGES, json={"user": "Azin", "message": "old"})
    answer = client.get(EVENTS).get_json()
    assert answer["events"] == [] and answer["cursor"].startswith("1.")
    assert client.get(f"{EVENTS}?after=now").get_json() == answer


@pytest.mark.parametrize("digits", [15, 16, 25, 3000])
def test_numbers_above_the_maximum_are_cut(client: FlaskClient, digits: int) -> None:
    """In any length: `limit`, `wait` and `before` (protocol §7, Parameters)."""
    client.post("/api/v1/rooms/lobby/messages", json={"user": "Ada", "message": "hi"})
    many = "9" * digits
    events = client.get(f"/api/v1/rooms/lobby/events?after=0&limit={many}&wait={many}.{many}")
    assert len(events.get_json()["events"]) == 1
    older = client.get(f"/api/v1/rooms/lobby/messages?before={many}&limit={many}")
    assert len(older.get_json()["messages"]) == 1
    assert client.get(f"/api/v1/quotes?before={many}&limit={many}").status_code == 200


def test_snapshot_and_cursor_belong_together(client: FlaskClient) -> None:
    """What comes after the snapshot's cursor is what is not in it."""
    client.post(MESSAGES, json={"user": "Azin", "message": "in"})
    snapshot = client.get("/api/v1/rooms/lobby").get_json()
    client.post(MESSAGES, json={"user": "Azin", "message": "after"})
    assert [each["message"] for each in snapshot["messages"]] == ["in"]
    assert texts(client.get(f"{EVENTS}?after={snapshot['cursor']}")) == ["after"]


def test_a_preference_is_applied(client: FlaskClient) -> None:
    """`Prefer: wait=` is another way to say it (RFC 7240 §4.3)."""
    client.post(MESSAGES, json={"user": "Azin", "message": "x"})
    answer = client.get(f"{EVENTS}?after=0", headers={"Prefer": "respond-async, wait=60"})
    assert answer.headers["Preference-Applied"] == "wait=25" and texts(answer) == ["x"]


def test_a_reaction_over_http(client: FlaskClient) -> None:
    """PUT and DELETE, with absolute counts."""
    token = client.post("/api/v1/guests", json={"user": "Bo"}).get_json()["token"]
    mine = {"Authorization": f"Bearer {token}"}
    client.post(MESSAGES, json={"user": "Azin", "message": "x"})
    liked = client.put(f"{MESSAGES}/1/reaction", json={"reaction": "like"}, headers=mine).get_json()
    assert liked["message"] == {"id": 1, "likes": 1, "dislikes": 0}
    assert client.put(f"{MESSAGES}/1/reaction", json={"reaction": "like"}, headers=mine).get_json()["duplicate"]
    assert client.delete(f"{MESSAGES}/1/reaction", headers=mine).get_json()["message"]["likes"] == 0


def test_scheduling_over_http(client: FlaskClient) -> None:
    """202, listed, cancelled."""
    token = client.post("/api/v1/guests", json={"user": "Bo"}).get_json()["token"]
    mine = {"Authorization": f"Bearer {token}"}
    answer = client.post(MESSAGES, json={"user": "Bo", "message": "x", "send_at": "+1h"}, headers=mine)
    assert answer.status_code == 202
    scheduled = answer.get_json()["scheduled"]
    assert client.get("/api/v1/rooms/lobby/scheduled", headers=mine).get_json() == {"scheduled": [scheduled]}
    gone = client.delete(f"/api/v1/rooms/lobby/scheduled/{scheduled['id']}", headers=mine)
    assert gone.get_json() == {"scheduled": scheduled}
    assert client.get("/api/v1/rooms/lobby/scheduled", headers=mine).get_json() == {"scheduled": []}


def test_quotes_over_http(client: FlaskClient) -> None:
    """Added, listed, told as an event; one line of text for curl."""
    quote = client.post("/api/v1/quotes", json={"quote": "To be", "author": "W. S."})
    assert quote.status_code == 201
    assert client.get("/api/v1/quotes?limit=1").get_json()["quotes"] == [quote.get_json()]
    assert client.get(f"{EVENTS}?after=0").get_json()["events"][0]["quote"] == quote.get_json()
    assert client.get(f"/api/v1/quotes/{quote.get_json()['id']}").get_json() == quote.get_json()
    mine = {"Authorization": f"Bearer {client.post('/api/v1/guests', json={'user': 'Azin'}).get_json()['token']}"}
    for number in (999, 2**53, 10**16 - 1):  # the last ones are more than any client counts exactly
        for ask in (client.get, client.delete):
            unknown = ask(f"/api/v1/quotes/{number}", headers=mine).get_json()
            assert (unknown["code"], unknown["detail"]) == ("quote-unknown", "There is no such quote.")
    assert client.get("/api/v1/quotes?q=w.+BE").get_json() == {"quotes": [quote.get_json()], "has_more": False}
    assert client.get(f"/api/v1/quotes?q={'x' * 101}").get_json()["field"] == "q"
    line = client.get("/api/v1/quotes/random", headers={"Accept": "text/plain"})
    assert line.mimetype == "text/plain" and line.get_data(as_text=True).count("\n") == 1


def test_rooms_over_http(client: FlaskClient) -> None:
    """Created, listed, empty."""
    room = client.post("/api/v1/rooms", json={"name": "tea", "title": "Tea room"})
    assert room.status_code == 201 and room.headers["Location"] == "/api/v1/rooms/tea"
    assert [each["name"] for each in client.get("/api/v1/rooms").get_json()["rooms"]] == ["lobby", "tea"]
    snapshot = client.get("/api/v1/rooms/tea").get_json()
    assert snapshot["messages"] == [] and snapshot["cursor"].startswith("0.")
    assert client.get(f"/api/v1/rooms/tea/events?after={snapshot['cursor']}").status_code == 200


def test_several_rooms_in_one_poll(client: FlaskClient) -> None:
    """A page for each room, each with its own cursor."""
    client.post("/api/v1/rooms", json={"name": "tea"})
    client.post(MESSAGES, json={"user": "Azin", "message": "x"})
    answer = client.get("/api/v1/events?after=lobby:0&after=tea:now").get_json()["rooms"]
    assert list(answer) == ["lobby", "tea"]
    assert answer["lobby"] == client.get(f"{EVENTS}?after=0").get_json()
    assert answer["tea"] == client.get("/api/v1/rooms/tea/events").get_json()
    for query, status, code, room in [
        ("", 400, "parameter-invalid", None), ("after=lobby:0&after=lobby:1", 400, "parameter-invalid", None),
        ("after=lobby:0&after=tea:x", 400, "cursor-invalid", "tea"),
        ("after=lobby:0&after=none:0", 404, "room-unknown", "none"),
        ("after=lobby:0&after=tea:9", 410, "cursor-ahead", "tea"),
    ]:  # fmt: skip
        refused = client.get(f"/api/v1/events?{query}")
        assert (refused.status_code, refused.get_json()["code"]) == (status, code)
        assert refused.get_json().get("room") == room, "the room at fault is named"


# --- Before a real server ------------------------------------------------------------------------


def post(server: Running, text: str) -> None:
    assert requests.post(f"{server.url}{MESSAGES}?user=T", data=text, headers={"Content-Type": "text/plain"}).ok


def head(server: Running) -> str:
    cursor: str = requests.get(server.url + EVENTS).json()["cursor"]
    return cursor


def test_a_held_poll_answers_with_the_event(server: Running) -> None:
    """It waits, and then brings what came."""
    after, found = head(server), []

    def poll() -> None:
        found.append(requests.get(f"{server.url}{EVENTS}?after={after}&wait=20").json())

    waiting = threading.Thread(target=poll)
    waiting.start()
    until(lambda: "held_polls 1" in requests.get(f"{server.url}/metrics").text, what="a held poll")
    began = time.monotonic()
    post(server, "news")
    waiting.join(30)
    assert time.monotonic() - began < 15, "the hold would have ended by itself"
    assert [event["message"]["message"] for event in found[0]["events"]] == ["news"]


def test_a_held_poll_ends_empty_in_its_time(server: Running) -> None:
    """0.8 to 1.0 of what was asked, same cursor, no hint to come earlier."""
    after, began = head(server), time.monotonic()
    answer = requests.get(f"{server.url}{EVENTS}?after={after}&wait=1").json()
    assert 0.75 < time.monotonic() - began < 8
    assert answer == {"events": [], "cursor": after, "more": False}


def test_each_poll_of_a_connection_waits_its_own_time(server: Running) -> None:
    """News ends the first one; the next waits for its own 0.8 to 1.0 of what it asked, not for the rest of that."""

    def two_polls(session: requests.Session) -> tuple[dict[str, Any], dict[str, Any], float]:
        def poll(after: str) -> dict[str, Any]:
            return session.get(f"{server.url}{EVENTS}?after={after}&wait=2", timeout=60).json()

        after, found = head(server), []
        waiting = threading.Thread(target=lambda: found.append(poll(after)))
        waiting.start()
        until(lambda: found or "held_polls 1" in requests.get(f"{server.url}/metrics").text, what="a held poll")
        time.sleep(0.7)  # more of its time than the next may end early
        post(server, "news")
        waiting.join(60)
        began = time.monotonic()
        return found[0], poll(found[0]["cursor"]), time.monotonic() - began

    first: dict[str, Any] = {"events": []}
    while not first["events"]:  # on a busy machine it may end before the news, or the connection before the second
        with contextlib.suppress(requests.ConnectionError), requests.Session() as session:
            first, second, seconds = two_polls(session)
    assert second == {"events": [], "cursor": first["cursor"], "more": False}
    assert 1.55 < seconds < 30


def test_a_hold_for_several_rooms_ends_with_news_of_any(server: Running) -> None:
    """One place, one wake-up; the room without news keeps its cursor."""
    requests.post(f"{server.url}/api/v1/rooms", json={"name": "tea"})
    after, found = head(server), []

    def poll() -> None:
        query = f"after=lobby:{after}&after=tea:0&wait=20"
        found.append(requests.get(f"{server.url}/api/v1/events?{query}").json())

    waiting = threading.Thread(target=poll)
    waiting.start()
    until(lambda: "held_polls 1" in requests.get(f"{server.url}/metrics").text, what="a held poll")
    requests.post(f"{server.url}/api/v1/rooms/tea/messages?user=T", data="news", headers={"Content-Type": "text/plain"})
    waiting.join(30)
    rooms = found[0]["rooms"]
    assert rooms["lobby"] == {"events": [], "cursor": after, "more": False}
    assert [event["message"]["message"] for event in rooms["tea"]["events"]] == ["news"]
    until(lambda: "held_polls 0" in requests.get(f"{server.url}/metrics").text, what="its release")


def test_a_poll_whose_client_has_gone_is_released(server: Running) -> None:
    """Its place is free long before the poll would have ended."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as raw:
        raw.sendall(f"GET {EVENTS}?wait=25 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: "held_polls 1" in requests.get(f"{server.url}/metrics").text, what="a held poll")
    until(lambda: "held_polls 0" in requests.get(f"{server.url}/metrics").text, 15, "its release")


def test_held_polls_take_no_thread(tmp_path: Path) -> None:
    """A hundred are held by a server of eight threads, which answers others at once; one POST answers them all,
    and their connections serve the next request."""
    command, env = keeping(tmp_path, QUOTECHAT_LIMITS="off", QUOTECHAT_THREADS="8")
    with running(command, env=env) as server:
        sessions = [requests.Session() for _ in range(100)]
        with ThreadPoolExecutor(100) as pool:
            for number in range(1, 4):
                after = head(server)
                url = f"{server.url}{EVENTS}?after={after}&wait=25"
                held = [pool.submit(ask, session, url) for session in sessions]
                until(lambda: "held_polls 100" in requests.get(f"{server.url}/metrics").text, what="the holds")
                began = time.monotonic()
                post(server, f"hello {number}")
                for each in held:
                    page = each.result(60)
                    assert [event["seq"] for event in page["events"]] == [number]
                assert time.monotonic() - began < 15, "the holds would have ended by themselves"
                until(lambda: "held_polls 0" in requests.get(f"{server.url}/metrics").text, what="their release")
            # Connections went back and forth, and were opened once.
            assert min(map(connections, sessions)) == 1
        for session in sessions:
            session.close()


def ask(session: requests.Session, url: str) -> Any:
    answer = session.get(url, timeout=60)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"] and answer.headers["Date"]
    return answer.json()


def connections(session: requests.Session) -> int:
    """How many connections a session has opened."""
    (pool,) = session.get_adapter("http://").poolmanager.pools._container.values()
    return int(pool.num_connections)


def test_posts_never_starve(tmp_path: Path) -> None:
    """A hold for several rooms takes no thread: twice as many as there are threads wait, and a POST finds one."""
    env = environment(QUOTECHAT_LIMITS="off", QUOTECHAT_THREADS="8")
    with running(quotechat("serve", "--port", "0", "--data", str(tmp_path)), env=env) as server:
        requests.post(f"{server.url}/api/v1/rooms", json={"name": "tea"})
        answers: list[Any] = []
        url = f"{server.url}/api/v1/events?after=lobby:now&after=tea:now&wait=25"
        polls = [threading.Thread(target=lambda: answers.append(requests.get(url).json())) for _ in range(16)]
        for each in polls:
            each.start()
        until(lambda: "held_polls 16" in requests.get(f"{server.url}/metrics").text, what="the held polls")
        post(server, "hello")
        for each in polls:
            each.join(60)
        assert [len(answer["rooms"]["lobby"]["events"]) for answer in answers] == [1] * 16
        assert all(answer["rooms"]["tea"]["events"] == [] for answer in answers)


def test_a_held_poll_may_close_its_connection(server: Running) -> None:
    """As the client asks for it; and a second request that does not wait for the first answer ends it too."""
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    close = f"GET {EVENTS}?wait=20 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    twice = f"GET {EVENTS}?wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    listed = close.replace(b"Connection: close", b"Connection: TE, Close")
    for asked in (close, listed, twice + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        until(lambda: "held_polls 0" in requests.get(f"{server.url}/metrics").text, what="the end of the one before")
        with socket.create_connection(address, timeout=30) as raw:
            raw.sendall(asked)
            until(lambda: "held_polls 1" in requests.get(f"{server.url}/metrics").text, what="a held poll")
            post(server, "hello")
            answer = b""
            while data := raw.recv(65536):
                answer += data
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"Connection: close\r\n" in answer
        assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["events"]) == 1


def test_a_connection_may_ask_anything_between_its_polls(server: Running) -> None:
    """Polls again and again, in pieces, for other things, with a body: each gets its own answer, in order."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw:

        def asked(method: str, target: str, body: bytes = b"", pieces: int = 1) -> Any:
            head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            request = (head + (f"Content-Length: {len(body)}\r\n" if body else "") + "\r\n").encode() + body
            for start in range(0, len(request), -(-len(request) // pieces)):
                raw.sendall(request[start : start + -(-len(request) // pieces)])
                time.sleep(0.02 if pieces > 1 else 0)
            answer = b""
            while True:
                data = raw.recv(65536)
                assert data, f"closed after {answer!r}"
                answer += data
                found, end, rest = answer.partition(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", found) if end else None
                if length and len(rest) >= int(length[1]):
                    assert len(rest) == int(length[1]), "two answers for one request"
                    return json.loads(rest)

        after = head(server)
        for number in range(6):
            sender = threading.Timer(0.1, post, (server, f"word {number}"))
            sender.start()
            page = asked("GET", f"{EVENTS}?after={after}&wait=20", pieces=1 if number % 2 else 3)
            sender.join()
            assert [event["message"]["message"] for event in page["events"]] == [f"word {number}"]
            after = page["cursor"]
            if number == 2:
                assert asked("GET", "/healthz") == {"status": "ok"}
            if number == 3:
                said = asked("POST", MESSAGES, json.dumps({"user": "T", "message": "between"}).encode())
                assert said["message"]["message"] == "between"
                after = said["cursor"]
        # The same bytes at a cursor that was not answered, or is none, are read like any request.
        assert asked("GET", f"{EVENTS}?after=99999&wait=20")["code"] == "cursor-ahead"
        assert asked("GET", f"{EVENTS}?after=x&wait=20")["code"] == "cursor-invalid"
        began = time.monotonic()
        for _ in range(3):
            assert asked("GET", f"{EVENTS}?after={after}&wait=0.3") == {"events": [], "cursor": after, "more": False}
        assert 0.7 < time.monotonic() - began < 8


@pytest.mark.parametrize(
    "query",
    ["after={0}&wait=2&x=?after={1}", "x=?after={1}&after={0}&wait=2", "after={0}&wait=2#&after={1}",
    "after={0}&wait=2&xafter={1}",
     "%61fter={0}&wait=2&x=?after={1}", "wait=2&after={0}&a=/after={1}", "wait=2&after={0}&after%20={1}",
     "after={0}&wait=2&x=after={1}"],
)  # fmt: skip
def test_a_kept_poll_reads_its_own_cursor(server: Running, query: str) -> None:
    """What looks like a cursor in another parameter or behind a `#` moves nobody, on the first poll or on the next."""
    for text in ("one", "two", "three"):
        requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json={"user": "Ann", "message": text})
    head = int(requests.get(f"{server.url}/api/v1/rooms/lobby").json()["cursor"].partition(".")[0])
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as sock:
        other = str(head)
        for after in (head - 3, head - 3, head - 3, head - 2, head - 3):
            path = f"/api/v1/rooms/lobby/events?{query.format(after, other)}"
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = HTTPResponse(sock)
            answer.begin()
            page = json.loads(answer.read())
            assert [event["seq"] for event in page["events"]] == list(range(after + 1, head + 1))
            other = page["cursor"]


def test_every_answer_of_a_poll_leads_on(server: Running) -> None:
    """Over one connection, whoever answers: where there is more, a link; all headers are there each time."""
    path: str | None = f"{EVENTS}?after={head(server)}&limit=2&wait=5"
    for number in range(9):
        post(server, f"linked {number}")
    seen, names = [], []
    with requests.Session() as session:
        while path:
            answer = session.get(server.url + path, timeout=30)
            seen += [event["message"]["message"] for event in answer.json()["events"]]
            names.append({*answer.headers} - {"Link"})
            assert ("Link" in answer.headers) is answer.json()["more"]
            path = answer.links["next"]["url"] if "Link" in answer.headers else None
    assert seen == [f"linked {number}" for number in range(9)]
    assert len(names) == 5 and all(each == names[0] for each in names)


def test_a_burst_is_answered_in_few_answers(server: Running) -> None:
    """A reader by long polls gets all of a burst, in order, in fewer answers than there are events."""
    after, seen, answers = head(server), [], 0
    with connect(f"{server.url.replace('http', 'ws', 1)}/api/v1/ws") as ws, requests.Session() as session:
        for number in range(100):  # all at once
            ws.send(json.dumps({"command": "send-message", "message": {"user": "T", "message": str(number)}}))
        while len(seen) < 100:
            page = session.get(f"{server.url}{EVENTS}?after={after}&wait=10", timeout=60).json()
            seen += [event["message"]["message"] for event in page["events"]]
            after, answers = page["cursor"], answers + 1
        for _ in range(100):  # or its library does not come to read the close
            ws.recv(timeout=60)
    assert seen == [str(number) for number in range(100)]
    assert answers < 100


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/event-stream"])
def test_a_stream_brings_old_and_new(server: Running, kind: str) -> None:
    """Headers and a heartbeat at once, what was, `caught-up`, then what comes."""
    after = head(server)
    post(server, "old")
    url = f"{server.url}{EVENTS}?after={after}"
    with requests.get(url, headers={"Accept": kind}, stream=True, timeout=30) as stream:
        assert stream.headers["Content-Type"].startswith(kind) and stream.headers["Cache-Control"] == "no-store"
        lines = (line for line in stream.iter_lines(chunk_size=1) if line)
        assert b"heartbeat" in next(lines)
        seen: list[bytes] = []
        while b"caught-up" not in (line := next(lines)):
            seen.append(line)
        post(server, "new")
        while b'"new"' not in (line := next(lines)):
            seen.append(line)
    assert b'"old"' in b"".join(seen)
    if kind == "text/event-stream":
        assert seen[0].startswith(b"retry: ") and seen[1].startswith(b"id: ") and line.startswith(b"data: ")


def test_last_event_id_wins(server: Running) -> None:
    """An EventSource that reconnects goes on where it was, not where its URL began."""
    after = head(server)
    post(server, "next")
    headers = {"Accept": "text/event-stream", "Last-Event-ID": after}
    with requests.get(f"{server.url}{EVENTS}?after=0", headers=headers, stream=True, timeout=30) as stream:
        ids = (line for line in stream.iter_lines(chunk_size=1) if line.startswith(b"id: "))
        assert int(next(ids)[4:].split(b".")[0]) == int(after.split(".")[0]) + 1


def test_a_stream_that_cannot_be_served(server: Running) -> None:
    """410 before it begins."""
    headers = {"Accept": "application/x-ndjson"}
    answer = requests.get(f"{server.url}{EVENTS}?after=1.0000000000000000", headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (410, "history-changed")

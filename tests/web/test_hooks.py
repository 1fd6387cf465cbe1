"""Hooks over HTTP: other systems say something in one room, and nothing else; on both stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from people import Browser, joined, owner

from quotechat import create_app
from quotechat.config import Settings
from quotechat.hub.accounts.credentials import principal_of
from quotechat.hub.programs.hooks import Hooks
from quotechat.protocol.errors import StorageFull, Unauthenticated
from quotechat.store.accounts import accounts
from quotechat.store.accounts.sessions import hashed


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def hook(boss: Browser, room: str = "lobby", name: str = "Builds") -> str:
    """The path of a new hook."""
    made = boss.ask("POST", f"/rooms/{room}/hooks", {"name": name})
    assert made.status_code == 201, made.get_json()
    url: str = made.get_json()["url"]
    assert url.startswith("http://localhost/hooks/")
    return url.removeprefix("http://localhost")


def said(boss: Browser, room: str = "lobby") -> list[tuple[str, str]]:
    """Who said what in a room."""
    found = boss.ask("GET", f"/rooms/{room}/messages?limit=100").get_json()["messages"]
    return [(message["user"], message["message"]) for message in found]


GITHUB = {"text": "<https://github.example/a/b|a/b>: *3* new commits &amp; a tag", "username": "GitHub"}
GRAFANA = {
    "attachments": [{
        "title": "[FIRING:1] Disk", "title_link": "https://grafana.example/alert", "text": "**Value**: 93",
        "fallback": "[FIRING:1] Disk", "color": "#D63232", "footer": "Grafana v11",
    }],
}  # fmt: skip
ALERTMANAGER = {
    "channel": "#alerts", "username": "Alertmanager",
    "attachments": [{
        "title": "[FIRING:2] InstanceDown", "title_link": "https://am.example/#/alerts", "text": "",
        "fallback": "[FIRING:2] InstanceDown | https://am.example", "fields": [{"title": "Severity", "value": "page"}],
        "mrkdwn_in": ["fallback", "pretext", "text"],
    }],
}  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (GITHUB, "a/b https://github.example/a/b: **3** new commits & a tag"),
        (GRAFANA, "[FIRING:1] Disk https://grafana.example/alert\n**Value**: 93"),
        (ALERTMANAGER, "[FIRING:2] InstanceDown https://am.example/#/alerts\nSeverity: page"),
    ],
    ids=["GitHub", "Grafana", "Alertmanager"],
)
def test_what_other_systems_send(app: Flask, payload: dict[str, Any], expected: str) -> None:
    """As JSON and as a form, it becomes a message of the hook's bot; the answer is Slack's."""
    boss, client = owner(app), app.test_client()
    path = hook(boss)
    answer = client.post(path, json=payload)
    assert (answer.status_code, answer.get_data(as_text=True)) == (200, "ok")
    form = urlencode({"payload": json.dumps(payload)})
    assert client.post(path, data=form, content_type="application/x-www-form-urlencoded").status_code == 200
    later = urlencode({"channel": "#tea", "payload": json.dumps(payload)})
    assert client.post(path, data=later, content_type="application/x-www-form-urlencoded").status_code == 200
    assert said(boss) == [("Builds", expected)] * 3


def test_text_and_repeats(app: Flask) -> None:
    """Plain text is enough; with a key a repeat is said once; with `Accept` the answer is the event."""
    boss, client = owner(app), app.test_client()
    path = hook(boss)
    for _ in range(2):
        assert client.post(path, data="Tea is ready", headers={"Idempotency-Key": "tea-1"}).status_code == 200
    headers = {"Accept": "application/json", "Idempotency-Key": "tea-2"}
    event, again = (client.post(path, data="More tea", headers=headers).get_json() for _ in range(2))
    assert event["message"]["bot"] is True and event["command"] == "message-sent"
    assert again == {**event, "duplicate": True}
    assert said(boss) == [("Builds", "Tea is ready"), ("Builds", "More tea")]
    number, secret = path.split("/")[2:]
    bearer = {"Authorization": f"Bearer {secret}"}
    assert client.post(f"/hooks/{number}", data="By header", headers=bearer).status_code == 200
    assert said(boss)[-1] == ("Builds", "By header")


def test_a_long_text_is_split_at_its_lines(app: Flask) -> None:
    """Into at most five messages; what does not fit is refused whole."""
    boss, client = owner(app), app.test_client()
    path, line = hook(boss), "x" * 1500
    assert client.post(path, data="\n".join([line] * 5)).status_code == 200
    assert [len(text) for _, text in said(boss)] == [3001, 3001, 1500]
    for text in ("y" * 4001, "\n".join([line] * 11)):
        assert code(client.post(path, data=text)) == (422, "invalid")
    assert len(said(boss)) == 3


def test_a_long_text_is_one_message_to_limits_and_slow_rooms(tmp_path: Path, new_database: Callable[[], str]) -> None:
    """It is said whole or not at all; the next one waits."""
    settings = Settings(
        data=tmp_path, database=new_database(), messages_burst=5, messages_per_second=0.001, clients_per_address=1000
    )
    app = create_app(settings)
    boss, client, text = owner(app), app.test_client(), "\n".join(["x" * 3000] * 5)
    for room in ("quick", "slow"):
        assert boss.ask("POST", "/rooms", {"name": room}).status_code == 201
    quick, slow = hook(boss, "quick"), hook(boss, "slow", "Slow")
    assert boss.ask("PATCH", "/rooms/slow", {"slow": 3600}).status_code == 200
    assert [client.post(quick, data=text).status_code for _ in range(2)] == [200, 200]
    assert (client.post(slow, data=text).status_code, len(said(boss, "slow"))) == (200, 5)
    assert code(client.post(slow, data=text)) == (429, "rate-limited")
    assert (len(said(boss, "quick")), len(said(boss, "slow"))) == (10, 5)
    app.extensions["quotechat"].close()


def test_a_long_text_is_refused_whole(app: Flask) -> None:
    """Whatever its last part has that no message may have: nothing of it is said."""
    boss, client = owner(app), app.test_client()
    path = hook(boss)
    for last in ("\a" + "z" * 3000, "\u200b" * 3000):
        answer = client.post(path, json={"text": "\n".join(["x" * 3000, "y" * 3000, last])})
        assert code(answer) == (422, "invalid")
        assert said(boss) == []


def test_a_long_text_is_stored_in_one_transaction(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nothing comes between its parts, and a right that ends, or a full disk, keeps out all of them."""
    boss, client, chat = owner(app), app.test_client(), app.extensions["quotechat"]
    path, batches, commit = hook(boss), list[int](), chat._store.commit
    monkeypatch.setattr(chat._store, "commit", lambda writes: (batches.append(len(writes)), commit(writes))[1])
    text = "\n".join(["x" * 3000] * 5)
    assert client.post(path, data=text, headers={"Idempotency-Key": "k1"}).status_code == 200
    assert client.post(path, data=text, headers={"Idempotency-Key": "k1"}).status_code == 200
    assert (batches, len(said(boss))) == ([5, 5], 5)
    monkeypatch.setattr(chat._store, "commit", lambda writes: [StorageFull()] * len(writes))
    assert code(client.post(path, data=text)) == (507, "storage-full")


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("media", "headers"),
    [(FORM, {"Content-Encoding": "gzip"}), ("text/plain", {"Content-Encoding": "gzip"}),
     ("application/json", {"Content-Encoding": "gzip"}), (f"{FORM}; charset=latin-1", {})],
)  # fmt: skip
def test_a_body_in_another_form_is_refused(app: Flask, media: str, headers: dict[str, str]) -> None:
    """As by all calls, whatever the type of the body is: 415, and nothing is said."""
    boss = owner(app)
    body = urlencode({"payload": json.dumps({"text": "hi"})}) if media.startswith(FORM) else '{"text": "hi"}'
    refused = app.test_client().post(hook(boss), data=body, content_type=media, headers=headers)
    assert code(refused) == (415, "unsupported-media-type")
    assert said(boss) == []


def test_long_keys_that_begin_alike_are_different(app: Flask) -> None:
    """Of each post all messages are said, and a repeat says none again."""
    boss, client = owner(app), app.test_client()
    path, text = hook(boss), "\n".join(["z" * 2500] * 2)
    for key in ("k" * 63 + "1", "k" * 63 + "2", "k" * 63 + "1"):
        assert client.post(path, data=text, headers={"Idempotency-Key": key}).status_code == 200
    assert len(said(boss)) == 4


@pytest.mark.parametrize("payload", [{}, {"text": ""}, {"attachments": [{"color": "red"}]}, ["text"], {"text": 7}])
def test_a_payload_without_text_is_never_ok(app: Flask, payload: Any) -> None:
    """422, and nothing is said."""
    boss = owner(app)
    client, path = app.test_client(), hook(boss)
    assert code(client.post(path, json=payload)) == (422, "invalid")
    for form in ("payload=", urlencode({"payload": json.dumps(payload)})):
        refused = client.post(path, data=form, content_type="application/x-www-form-urlencoded")
        assert code(refused) == (422, "invalid")
    assert said(boss) == []


def test_a_hook_is_for_one_room_and_can_be_revoked(app: Flask) -> None:
    """Its secret opens nothing else, and after the revocation not even that; wrong ones are 404."""
    boss, client = owner(app), app.test_client()
    path = hook(boss)
    number, secret = path.split("/")[2:]
    token = {"Authorization": f"Bearer qct_{number}_{secret}"}
    boss.ask("POST", "/rooms", {"name": "tea"})
    for method, address in (("GET", "/rooms/lobby/messages"), ("POST", "/rooms/tea/messages"), ("GET", "/me")):
        assert client.open(f"/api/v1{address}", method=method, headers=token, json={"message": "x"}).status_code >= 403
    for wrong in (f"/hooks/{number}/{secret}x", f"/hooks/{number}/", f"/hooks/aaaaaaaa/{secret}", f"/hooks/{number}"):
        assert client.post(wrong, data="x").status_code == 404
    listed = boss.ask("GET", "/rooms/lobby/hooks").get_json()["hooks"]
    assert [(each["id"], each["name"], each["room"]) for each in listed] == [(number, "Builds", "lobby")]
    assert secret not in json.dumps(listed)
    assert boss.ask("DELETE", f"/rooms/lobby/hooks/{number}").status_code == 204
    assert code(client.post(path, data="x")) == (404, "token-unknown")
    assert code(boss.ask("DELETE", f"/rooms/lobby/hooks/{number}")) == (404, "token-unknown")


def test_only_managers_make_hooks(app: Flask) -> None:
    """Members do not, nor may a visitor; the creator of a room may; a name that is taken is a conflict."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    assert code(member.ask("POST", "/rooms/lobby/hooks", {"name": "x"})) == (403, "forbidden")
    assert code(Browser(app).ask("GET", "/rooms/lobby/hooks")) == (401, "unauthenticated")
    assert code(boss.ask("POST", "/rooms/nowhere/hooks", {"name": "x"})) == (404, "room-unknown")
    member.ask("POST", "/rooms", {"name": "tea"})
    hook(member, "tea", "Kettle")
    assert code(member.ask("POST", "/rooms/tea/hooks", {"name": "kettle"})) == (409, "conflict")
    assert code(member.ask("POST", "/rooms/tea/hooks", {})) == (422, "invalid")


def test_a_hook_has_one_token(app: Flask) -> None:
    """A member who may make no bots would have one by a second token of a hook."""
    boss = owner(app)
    member = joined(app, boss, "Bo")
    assert member.ask("POST", "/rooms", {"name": "tea"}).status_code == 201
    hook(member, "tea")
    assert code(member.ask("POST", "/bots", {"name": "Timer"})) == (403, "forbidden")
    bot = member.ask("GET", "/rooms/tea/hooks").get_json()["hooks"][0]["account"]
    assert code(member.ask("POST", f"/bots/{bot}/tokens", {"name": "more"})) == (409, "conflict")
    assert len(member.ask("GET", f"/bots/{bot}/tokens").get_json()["tokens"]) == 1


def test_in_a_closed_room_the_hook_is_a_member_that_all_see(app: Flask) -> None:
    """Its address is as good as its membership."""
    boss, client = owner(app), app.test_client()
    room = boss.ask("POST", "/rooms", {"name": "staff", "kind": "closed"}).get_json()["name"]
    path = hook(boss, room, "Alarm")
    assert client.post(path, data="Smoke").status_code == 200
    assert said(boss, room) == [("Alarm", "Smoke")]
    members = boss.ask("GET", f"/rooms/{room}/members").get_json()["members"]
    assert {each["user"]: each["bot"] for each in members if each.get("bot")} == {"Alarm": True}
    number = path.split("/")[2]
    assert boss.ask("DELETE", f"/rooms/{room}/hooks/{number}").status_code == 204
    last = boss.ask("GET", f"/rooms/{room}/events?after=0").get_json()["events"][-1]
    assert (last["command"], last["member"]["user"], last["reason"]) == ("member-left", "Alarm", "closed")
    told = boss.ask("GET", "/rooms/@audit/events?after=0").get_json()["events"]
    for what in ("hook-made", "token-revoked"):
        assert room == next(each["audit"]["room"] for each in told if each["audit"]["what"] == what)


def test_a_hook_ends_with_its_room(app: Flask) -> None:
    """It does not write into another room that gets the name."""
    boss = owner(app)
    assert boss.ask("POST", "/rooms", {"name": "builds"}).status_code == 201
    path, other = hook(boss, "builds"), hook(boss, name="Elsewhere")
    chat = app.extensions["quotechat"]
    chat._store.remove_room("builds", chat.now())
    assert boss.ask("POST", "/rooms", {"name": "builds"}).status_code == 201
    assert code(boss.client.post(path, json={"text": "late"})) == (404, "token-unknown")
    assert said(boss, "builds") == [] and boss.ask("GET", "/rooms/builds/hooks").get_json() == {"hooks": []}
    assert boss.client.post(other, json={"text": "on"}).status_code == 200


def test_a_session_that_has_ended_removes_no_hook(app: Flask) -> None:
    """It ended while the request waited: the hook goes on."""
    boss = owner(app)
    hook_id = hook(boss).split("/")[2]
    chat = app.extensions["quotechat"]
    account = chat.read_with(lambda sql: accounts.by_name(sql, "Azin"))
    with pytest.raises(Unauthenticated):
        Hooks(chat).remove(principal_of(account, hashed("ended"), None), "lobby", hook_id)
    assert [each["id"] for each in boss.ask("GET", "/rooms/lobby/hooks").get_json()["hooks"]] == [hook_id]

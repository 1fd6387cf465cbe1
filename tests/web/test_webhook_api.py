"""Webhooks over HTTP, with a real receiver: their makers, their rooms, and how they are changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hooked import Hooked, impatient
from people import PASSWORD, Browser, joined
from receiver import Answer, Receiver, nobody, receiving, says
from servers import until
from standardwebhooks import WebhookVerificationError

from quotechat.hub.webhooks import sender
from quotechat.hub.webhooks.calls import policy
from quotechat.hub.webhooks.sender import Done, Sender
from quotechat.hub.webhooks.webhooks import Wanted, Webhooks
from quotechat.protocol import webhooks as wire
from quotechat.protocol.cursor import START
from quotechat.protocol.errors import Unauthenticated
from quotechat.store.accounts import accounts
from quotechat.store.programs.webhooks import Lane
from quotechat.web.http import authentication


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, Browser]]:
    """One application for all tests here."""
    with impatient(tmp_path_factory.mktemp("data"), "") as made:
        yield made


@pytest.fixture
def app(made: tuple[Flask, Browser]) -> Flask:
    return made[0]


@pytest.fixture
def boss(made: tuple[Flask, Browser]) -> Browser:
    return made[1]


def code(answer: Any) -> tuple[int, str, str | None]:
    found = answer.get_json()
    return answer.status_code, found["code"], found.get("field")


def test_programs_do_not_talk_for_ever(boss: Browser, receiver: Receiver) -> None:
    """Another bot is heard only when it calls, and a chain of answers comes to each bot once."""
    one, other = Hooked(boss, receiver, ("echo",)), Hooked(boss, receiver, ("echo",))
    texts = {one.path: f"@{other.name} go on", other.path: f"@{one.name} no, you"}
    receiver.answer = lambda got: says(texts[got.path]) if got.path in texts else Answer()
    first = one.say("Begin", room="echo")
    # Both answer the first message; each answer calls the other bot once, and that chain ends there.
    until(lambda: one.done() and other.done() and len(one.said()) == 5)
    receiver.answer = lambda got: Answer()
    assert [one.seqs()[0], other.seqs()[0]] == [first, first]
    assert (len(one.seqs()), len(other.seqs())) == (2, 2)


def test_mentions_alone(app: Flask, boss: Browser, receiver: Receiver) -> None:
    """With `mentions` only what calls the bot, by its name or by an answer."""
    hook = Hooked(boss, receiver, mentions=True)
    first = hook.say("Nobody in particular")
    called = hook.say(f"@{hook.name} look")
    bearer, messages = {"Authorization": f"Bearer {hook.token}"}, f"/api/v1/rooms/{hook.room}/messages"
    own = app.test_client().post(messages, json={"message": "I see"}, headers=bearer).get_json()["seq"]
    hook.say("To somebody else", reply_to=first)
    answer = hook.say("Do you?", reply_to=own)
    until(hook.done)
    assert hook.seqs() == [called, answer]


def test_an_ended_session_makes_and_changes_nothing(app: Flask, boss: Browser, receiver: Receiver) -> None:
    """Of webhooks and hooks, though its request was let in before: it may wait for the name of a host, for one."""
    hook, accounts = Hooked(boss, receiver), app.extensions["quotechat.services"].accounts
    aside, password = Browser(app), {"name": "Azin", "password": PASSWORD}
    assert aside.ask("POST", "/sessions", password).status_code == 201
    with aside.client:
        aside.ask("GET", "/me")
        by = authentication.need_account()
    wanted = Wanted(name="mine", url=receiver.url("/mine"), all_rooms=True)
    assert accounts.webhooks.one(by, hook.id).webhook.key == hook.id
    aside.ask("DELETE", "/sessions/this")
    for act in (
        lambda: accounts.webhooks.make(by, hook.bot, wanted),
        lambda: accounts.webhooks.change(by, hook.id, wanted),
        lambda: accounts.webhooks.change_secret(by, hook.id),
        lambda: accounts.hooks.make(by, "lobby", "Mine"),
    ):
        with pytest.raises(Unauthenticated):
            act()


def test_three_days_of_failures_disable(
    app: Flask, boss: Browser, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The position stays; enabled, it goes on there."""
    monkeypatch.setattr(wire, "GIVE_UP", 200)
    hook = Hooked(boss, receiver)
    receiver.scripts[hook.path] = [Answer(500)] * 100
    sent = hook.say()
    until(lambda: hook.look()["state"] == "disabled")
    assert hook.look()["reason"] == "failing"
    receiver.scripts[hook.path] = []
    boss.ask("POST", f"/webhooks/{hook.id}/enable")
    until(hook.done)
    assert set(hook.seqs()) == {sent}


def test_a_changed_secret_signs_beside_the_old_one(boss: Browser, receiver: Receiver) -> None:
    """For a day, receivers with either take it."""
    hook = Hooked(boss, receiver)
    newer = boss.ask("POST", f"/webhooks/{hook.id}/secret").get_json()["secret"]
    assert newer != hook.secret
    hook.say()
    until(hook.done)
    got = receiver.of(hook.path)[-1]
    got.verify(hook.secret)
    got.verify(newer)
    with pytest.raises(WebhookVerificationError):
        got.verify(wire.secret_of(b"\0" * 32))


def test_a_test_tells_how_it_went(boss: Browser, receiver: Receiver) -> None:
    """Status and time; of an address that nobody answers at, what it failed at; and never what was answered."""
    hook = Hooked(boss, receiver)
    receiver.scripts[hook.path] = [says("private"), Answer(503)]
    first = boss.ask("POST", f"/webhooks/{hook.id}/test").get_json()
    assert first["status"] == 200 and first["ms"] >= 0 and "private" not in json.dumps(first)
    assert receiver.of(hook.path)[-1].body["type"] == "webhook.test"
    receiver.of(hook.path)[-1].verify(hook.secret)
    assert boss.ask("POST", f"/webhooks/{hook.id}/test").get_json()["status"] == 503
    with nobody() as url:
        boss.ask("PATCH", f"/webhooks/{hook.id}", {"url": url})
        assert boss.ask("POST", f"/webhooks/{hook.id}/test").get_json()["error"] == "connect"
    assert [each.get("status") for each in hook.look()["tries"]] == [None, 503, 200]
    assert hook.said() == []


def test_rooms_of_its_bot(app: Flask, boss: Browser, receiver: Receiver) -> None:
    """Without `rooms` it follows what its bot joins, from then on; put out of a closed room, it hears no more."""
    hook = Hooked(boss, receiver, rooms=("all-1",))
    boss.ask("PATCH", f"/webhooks/{hook.id}", {"rooms": "all"})
    assert hook.look()["all"] and hook.look()["rooms"] == {}
    closed = boss.ask("POST", "/rooms", {"name": "hidden", "kind": "closed"}).get_json()["name"]
    hook.say("Before", closed)
    assert boss.ask("PUT", f"/rooms/{closed}/members/{hook.bot}", {}).status_code in (200, 201)
    sent = hook.say("Within", closed)
    until(lambda: hook.seqs() == [sent])
    assert boss.ask("DELETE", f"/rooms/{closed}/members/{hook.bot}").status_code in (200, 204)
    hook.say("After", closed)
    assert hook.look()["rooms"] == {}
    other = Hooked(boss, receiver)
    other.say()
    until(other.done)
    assert hook.seqs() == [sent]


def test_who_may_have_webhooks(app: Flask, boss: Browser, receiver: Receiver) -> None:
    """Keepers for their own bots, administrators for all; the networks of the operator are for administrators."""
    member = joined(app, boss, "Bo")
    hook = Hooked(boss, receiver)
    own = member.ask("POST", "/bots", {"name": "Bo's bot"}).get_json()["account"]["id"]
    body = {"name": "mine", "url": "https://hooks.example.invalid/x", "account": own, "rooms": ["lobby"]}
    for path, method in (("", "GET"), ("/test", "POST"), ("", "DELETE"), ("/secret", "POST"), ("/enable", "POST")):
        assert code(member.ask(method, f"/webhooks/{hook.id}{path}"))[:2] == (404, "webhook-unknown")
    assert code(member.ask("POST", "/webhooks", {**body, "account": hook.bot}))[:2] == (403, "forbidden")
    assert code(member.ask("POST", "/webhooks", {**body, "url": receiver.url()})) == (422, "invalid", "url")
    made = member.ask("POST", "/webhooks", body).get_json()["webhook"]
    assert [each["id"] for each in member.ask("GET", "/webhooks").get_json()["webhooks"]] == [made["id"]]
    assert {made["id"], hook.id} <= {each["id"] for each in boss.ask("GET", "/webhooks").get_json()["webhooks"]}
    assert code(member.ask("POST", "/webhooks", body)) == (409, "conflict", "name")
    # An address that an administrator has set is not in a member's name any more, and the other way round.
    moved = boss.ask("PATCH", f"/webhooks/{made['id']}", {"url": receiver.url("/of-bo")}).get_json()
    assert moved["made_by"] != made["made_by"]
    assert member.ask("PATCH", f"/webhooks/{made['id']}", {"name": "still mine"}).status_code == 200
    assert code(member.ask("PATCH", f"/webhooks/{made['id']}", {"url": receiver.url("/x")})) == (422, "invalid", "url")
    free = {**body, "name": "null", **dict.fromkeys(("rooms", "commands", "mentions"))}
    left_out = member.ask("POST", "/webhooks", free).get_json()["webhook"]
    assert left_out["all"] and left_out["commands"] == ["message-sent"]
    assert member.ask("PATCH", f"/webhooks/{left_out['id']}", {"name": None}).get_json()["name"] == "null"
    bearer = {"Authorization": f"Bearer {hook.token}"}
    assert app.test_client().get("/api/v1/webhooks", headers=bearer).status_code == 403
    assert app.test_client().get("/api/v1/webhooks").status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "https://127.1/"), ("url", "https://[::ffff:a00:1]/"), ("url", "http://8.8.8.8/"), ("url", 7),
        ("url", "https://10.0.0.1/"), ("url", "https://169.254.169.254/latest"), ("account", "aaaaaaaaaaaa"),
        ("name", ""), ("rooms", []), ("rooms", ["nowhere"]), ("commands", []), ("commands", ["audit"]),
        ("mentions", "yes"),
    ],
)  # fmt: skip
def test_what_is_refused(boss: Browser, receiver: Receiver, field: str, value: Any) -> None:
    """With the field at fault, and nothing is made."""
    before = len(boss.ask("GET", "/webhooks").get_json()["webhooks"])
    bot = boss.ask("GET", "/bots").get_json()["bots"][0]["id"]
    body = {"name": "new", "url": receiver.url(), "account": bot, "rooms": ["lobby"], field: value}
    answer = boss.ask("POST", "/webhooks", body)
    assert answer.status_code in (404, 422), answer.get_json()
    assert answer.status_code == 404 or answer.get_json()["field"] in (field, None)
    assert len(boss.ask("GET", "/webhooks").get_json()["webhooks"]) == before


def test_a_replay_that_names_no_room_is_refused(boss: Browser, receiver: Receiver) -> None:
    """The refusal names the field."""
    hook = Hooked(boss, receiver)
    refused = boss.ask("POST", f"/webhooks/{hook.id}/replay", {"room": "No room", "after": "0"}).get_json()
    assert (refused["code"], refused["field"]) == ("invalid", "room")


def test_a_banned_maker_has_none(app: Flask, boss: Browser, receiver: Receiver) -> None:
    """While it is banned nothing is sent; afterwards it goes on where it was."""
    hook = Hooked(boss, receiver)
    admin = joined(app, boss, "Cleo")
    me = admin.ask("GET", "/me").get_json()["account"]["id"]
    boss.prove(PASSWORD)
    assert boss.ask("PATCH", f"/accounts/{me}", {"role": "admin"}).status_code == 200
    admin.ask("PATCH", f"/webhooks/{hook.id}", {"url": receiver.url(hook.path)})
    assert hook.look()["made_by"] == me
    boss.ask("PATCH", f"/accounts/{me}", {"role": "guest"})
    assert (hook.look()["state"], hook.look()["reason"]) == ("disabled", "not-allowed")
    assert code(boss.ask("POST", f"/webhooks/{hook.id}/test"))[:2] == (409, "conflict")
    sent = hook.say()
    boss.ask("PATCH", f"/accounts/{me}", {"role": "admin"})
    boss.ask("POST", f"/webhooks/{hook.id}/enable")  # else it is looked at again within half a minute
    until(hook.done)
    assert hook.seqs() == [sent]


@pytest.mark.parametrize("change", ["enable", "url"])
@pytest.mark.parametrize("why", ["not-allowed", "failing", "failing-at-first", "gone"])
def test_a_call_or_a_check_from_before_puts_nothing_off(
    app: Flask, boss: Browser, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, why: str, change: str
) -> None:
    """Whoever enables a webhook, or changes its address, waits for nothing that was found before."""
    hook, through, changed = Hooked(boss, receiver), Sender._through, threading.Event()
    chat, wrong = app.extensions["quotechat"], hook.path
    webhooks = Webhooks(chat, lambda *_: START, policy("members", ("127.0.0.0/8",)), chat.now, chat.access_changed)
    admin = joined(app, boss, f"Dora {hook.id}")
    me = admin.ask("GET", "/me").get_json()["account"]["id"]
    boss.prove(PASSWORD)
    assert boss.ask("PATCH", f"/accounts/{me}", {"role": "admin"}).status_code == 200
    assert admin.ask("PATCH", f"/webhooks/{hook.id}", {"url": receiver.url(hook.path)}).status_code == 200
    status = 410 if why == "gone" else 500
    receiver.answer = lambda got: Answer(status if got.path == wrong and not changed.is_set() else 204)
    monkeypatch.setattr(sender, "_NOT_ALLOWED_MS", 3_600_000)
    monkeypatch.setattr(wire, "DELAYS", (3_600_000,) if why == "failing-at-first" else (60, 60, 3_600_000))

    def overtaken(self: Sender, lane: Lane) -> Done:
        found = through(self, lane)
        is_it = found.later > 0 if why == "not-allowed" else found.failed is not None
        if lane.url.endswith(wrong) and is_it and (why != "failing" or lane.failures > 1) and not changed.is_set():
            chat.write_with(lambda sql: accounts.set_role(sql, accounts.by_key(sql, me), "admin", chat.now()))
            if change == "enable":
                webhooks.enable(None, hook.id)
            else:
                hook.path += "-anew"
                webhooks.change(None, hook.id, Wanted(url=receiver.url(hook.path)))
            changed.set()
        return found

    monkeypatch.setattr(Sender, "_through", overtaken)
    if why == "not-allowed":
        assert boss.ask("PATCH", f"/accounts/{me}", {"role": "guest"}).status_code == 200
    sent = hook.say()
    assert changed.wait(60)
    until(hook.done)
    assert (hook.look()["state"], hook.seqs()[-1]) == ("on", sent)


def test_what_it_is_for_counts_for_all_events_after_the_change(
    boss: Browser, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the events of a room are read between the look at the webhook and theirs."""
    receiver.answer = lambda got: Answer()
    hook, begun, on, job = Hooked(boss, receiver), threading.Event(), threading.Event(), Sender._job

    def overtaken(self: Sender, lane: Lane) -> Any:
        found = job(self, lane)
        if found is not None and found.webhook.key == hook.id and not begun.is_set():
            begun.set()
            assert on.wait(60)
        return found

    monkeypatch.setattr(Sender, "_job", overtaken)
    sent = hook.say()
    assert begun.wait(60)
    both = {"commands": ["message-sent", "reactions-changed"]}
    assert boss.ask("PATCH", f"/webhooks/{hook.id}", both).status_code == 200
    liked = {"command": "react", "message": {"id": sent, "reaction": "like"}}
    assert boss.ask("POST", f"/rooms/{hook.room}/commands", liked).status_code in (200, 201)
    on.set()
    until(hook.done)
    assert hook.seqs() == [sent, sent + 1]


def test_a_room_that_is_joined_meanwhile_is_followed(
    boss: Browser, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook for all rooms, set anew: its bot joins a room after the rooms have been read."""
    hook = Hooked(boss, receiver, ("mondays",))
    assert boss.ask("POST", "/rooms", {"name": "tuesdays"}).status_code == 201
    starts = Webhooks._starts

    def overtaken(self: Webhooks, bot: Any, wanted: Wanted) -> Any:
        found = starts(self, bot, wanted)
        assert boss.ask("POST", "/rooms/tuesdays/commands", {
            "command": "add-member", "member": {"id": bot.key}
        }).status_code in (200, 201)  # fmt: skip
        return found

    monkeypatch.setattr(Webhooks, "_starts", overtaken)
    assert boss.ask("PATCH", f"/webhooks/{hook.id}", {"rooms": "all"}).status_code == 200
    assert "tuesdays" in hook.look()["rooms"]

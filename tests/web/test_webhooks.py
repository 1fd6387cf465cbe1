"""Webhooks on both stores, with a real receiver: order, repeats, failures, and the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from hooked import Hooked, impatient
from people import PASSWORD, Browser
from receiver import Answer, Receiver, nobody, receiving, says
from servers import until


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[tuple[Flask, Browser]]:
    """One application for all tests here."""
    with impatient(tmp_path_factory.mktemp("data"), new_database()) as made:
        yield made


@pytest.fixture
def app(made: tuple[Flask, Browser]) -> Flask:
    return made[0]


@pytest.fixture
def boss(made: tuple[Flask, Browser]) -> Browser:
    return made[1]


def test_events_come_once_in_order_and_signed(boss: Browser, receiver: Receiver) -> None:
    """One POST for each, with the envelope as readers get it; what a webhook is not for passes it by."""
    hook = Hooked(boss, receiver)
    sent = [hook.say(f"Message {number}") for number in range(20)]
    liked = {"command": "react", "message": {"id": sent[0], "reaction": "like"}}
    assert boss.ask("POST", f"/rooms/{hook.room}/commands", liked).status_code in (200, 201)
    until(hook.done)
    assert hook.seqs() == sent
    got = receiver.of(hook.path)
    for each in got:
        each.verify(hook.secret)
        assert each.id == each.body["data"]["cursor"].replace(".", "_")
    assert got[0].body == {"type": "message.sent", "timestamp": got[0].body["data"]["at"], "data": got[0].body["data"]}
    assert got[0].body["data"]["message"]["message"] == "Message 0"
    assert receiver.most_busy[f"{hook.path} {hook.room}"] == 1


def test_a_receiver_in_trouble_gets_all_in_order(boss: Browser, receiver: Receiver) -> None:
    """Errors, resets, redirects, a wrong length, too many requests: the event comes again, none overtakes it."""
    hook = Hooked(boss, receiver, ("trouble-1", "trouble-2"))
    receiver.scripts[hook.path] = [
        Answer(500), Answer(reset=True), Answer(302, headers={"Location": receiver.url("/elsewhere")}),
        Answer(429, headers={"Retry-After": "0"}), Answer(503, headers={"Retry-After": "soon"}),
        Answer(200, b'{"text": "x"}', {"Content-Type": "application/json"}, lie=True), Answer(404),
    ]  # fmt: skip
    sent = {room: [hook.say(room=room) for _ in range(5)] for room in hook.rooms}
    until(hook.done)
    for room, seqs in sent.items():
        assert list(dict.fromkeys(receiver.seqs(hook.path, room))) == seqs
        assert receiver.seqs(hook.path, room) == sorted(receiver.seqs(hook.path, room))
    assert receiver.of("/elsewhere") == []
    assert len(hook.seqs()) == 10 + 7
    ids = [each.id for each in receiver.of(hook.path) if each.seq == receiver.of(hook.path)[0].seq]
    assert len(set(ids)) <= 2
    tries = hook.look()["tries"]
    assert len(tries) == 17 and {(each.get("status"), each.get("error")) for each in tries} == {
        (204, None), (500, None), (None, "reset"), (302, None), (429, None), (503, None), (None, "protocol"),
        (404, None),
    }  # fmt: skip


def test_a_room_that_fails_does_not_hold_up_others(boss: Browser, receiver: Receiver) -> None:
    """Each room has its own place and its own tries."""
    hook = Hooked(boss, receiver, ("sick", "sound"))
    receiver.answer = lambda got: Answer(500 if got.body["data"].get("room") == "sick" else 204)
    hook.say(room="sick")
    until(lambda: hook.look().get("failing"))
    sent = hook.say(room="sound")
    until(lambda: sent in receiver.seqs(hook.path, "sound"))
    receiver.answer = lambda got: Answer()
    until(hook.done)
    assert "failing" not in hook.look()


def test_an_answer_is_said_once(boss: Browser, receiver: Receiver) -> None:
    """As a reply by the bot, however often the event is tried; its own words are not sent to it."""
    hook = Hooked(boss, receiver)
    receiver.scripts[hook.path] = [says("Seven."), says("Seven."), says("No, eight.")]
    asked = hook.say("How much?")
    until(lambda: len(hook.said()) == 2)
    until(hook.done)
    for _ in range(2):
        boss.ask("POST", f"/webhooks/{hook.id}/replay", {"room": hook.room, "after": str(asked - 1)})
        until(hook.done)
    assert hook.seqs() == [asked] * 3
    assert hook.said() == [("Azin", "How much?"), (hook.name, "Seven.")]
    answer = boss.ask("GET", f"/rooms/{hook.room}/messages").get_json()["messages"][-1]
    assert answer["reply_to"]["id"] == asked and answer["bot"] and answer["by"] == hook.bot


def test_a_long_answer_in_a_slow_room_is_said_whole(boss: Browser, receiver: Receiver) -> None:
    """Its parts are one message."""
    hook = Hooked(boss, receiver)
    assert boss.ask("PATCH", f"/rooms/{hook.room}", {"slow": 3600}).status_code == 200
    receiver.scripts[hook.path] = [says("\n".join(["x" * 3000] * 3))]
    hook.say("How much?")
    until(hook.done)
    assert [len(text) for _, text in hook.said()[1:]] == [3000] * 3


def test_gone_disables_and_enabling_goes_on(boss: Browser, receiver: Receiver) -> None:
    """After 410 nothing is sent; the keeper and `@audit` are told; enabled, the same event comes again."""
    hook = Hooked(boss, receiver)
    receiver.scripts[hook.path] = [Answer(410)]
    sent = [hook.say(), hook.say()]
    until(lambda: hook.look()["state"] == "disabled")
    assert hook.look()["reason"] == "gone" and hook.seqs() == sent[:1]
    notices = boss.ask("GET", "/inbox").get_json()["notices"]
    assert (notices[0]["what"], notices[0]["text"]) == ("webhook-disabled", f"grader ({hook.name}): gone")
    log = boss.ask("GET", "/rooms/@audit/events?after=0&limit=500").get_json()["events"]
    whats = [each["audit"]["what"] for each in log if each["audit"].get("account") == hook.bot]
    assert whats == ["account-made", "webhook-made", "webhook-disabled"]
    assert hook.secret not in json.dumps(log) and receiver.url(hook.path) not in json.dumps(log)
    assert boss.ask("POST", f"/webhooks/{hook.id}/enable").get_json()["state"] == "on"
    until(hook.done)
    assert hook.seqs() == [sent[0], *sent]


def test_a_cut_is_told_as_a_gap(app: Flask, boss: Browser, receiver: Receiver) -> None:
    """Events that retention took before they were sent are named, once, and the rest follows."""
    hook = Hooked(boss, receiver)
    with nobody() as url:
        boss.ask("PATCH", f"/webhooks/{hook.id}", {"url": url})
        lost = [hook.say() for _ in range(3)]
        store = app.extensions["quotechat"]._store
        store.cut(hook.room, 2**50, 3)
        kept = hook.say()
        boss.ask("PATCH", f"/webhooks/{hook.id}", {"url": receiver.url(hook.path)})
    boss.ask("POST", f"/webhooks/{hook.id}/enable")
    until(hook.done)
    gap, *rest = receiver.of(hook.path)
    assert (gap.body["type"], gap.body["data"]) == ("events.gap", {"room": hook.room, "from": lost[0], "to": lost[-1]})
    assert [each.seq for each in rest] == [kept]


def test_closing_its_bot_ends_it(boss: Browser, receiver: Receiver) -> None:
    """It is gone, and nothing more is sent."""
    hook, other = Hooked(boss, receiver, ("ending",)), Hooked(boss, receiver, ("ending",))
    boss.prove(PASSWORD)
    assert boss.ask("DELETE", f"/bots/{hook.bot}").status_code == 204
    assert boss.ask("GET", f"/webhooks/{hook.id}").get_json()["code"] == "webhook-unknown"
    sent = other.say()
    until(other.done)
    assert (other.seqs(), hook.seqs()) == ([sent], [])

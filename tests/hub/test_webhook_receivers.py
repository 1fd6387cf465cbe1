"""Receivers that misbehave, each behind a webhook of its own, beside one that does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from receiver import Answer, Receiver, receiving
from servers import until

from quotechat.app import open_chat
from quotechat.config import Settings
from quotechat.hub.accounts.bots import Bots
from quotechat.hub.chat import Chat
from quotechat.hub.webhooks import choosing, sender
from quotechat.hub.webhooks.calls import Reach, policy
from quotechat.hub.webhooks.choosing import Running, chosen
from quotechat.hub.webhooks.sender import Sender
from quotechat.hub.webhooks.webhooks import Wanted, Webhooks
from quotechat.protocol import webhooks as wire
from quotechat.protocol.commands import NewMessage, SendMessage
from quotechat.protocol.cursor import Cursor, cursor_of
from quotechat.store.programs import webhooks as rows
from quotechat.store.programs.webhooks import Lane
from quotechat.store.shapes import Sql

POLICY = policy("admins", ["127.0.0.0/8"])
OK = Answer()


class World:
    """A chat, and a receiver with a path for each webhook; each test has a sender of its own."""

    def __init__(self, chat: Chat, receiver: Receiver) -> None:
        self.chat, self.receiver = chat, receiver
        self.made = Webhooks(
            chat, lambda reader, room, after: cursor_of(chat.open(reader, room).place(after).cursor), POLICY, chat.now
        )

    def room(self, name: str) -> str:
        self.chat.create_room(name, None)
        return name

    def webhook(self, name: str, rooms: list[str]) -> str:
        """Make a webhook for a path of the same name; return its public id."""
        bot = Bots(self.chat, self.chat.now).make(None, name).account
        shown, _ = self.made.make(None, bot.key, Wanted(name, self.receiver.url(f"/{name}"), rooms))
        return shown.webhook.key

    def say(self, room: str) -> int:
        message = NewMessage(user="Bo", message="Hello")
        outcome: Any = self.chat.submit(SendMessage(message=message, room=room), identity=None)
        return int(outcome.seq)

    def outcomes(self, key: str) -> set[int | str | None]:
        return {each.status or each.error for each, _ in self.made.tries(None, key)}

    def done(self, key: str) -> bool:
        shown = self.made.one(None, key)
        return all(each.cursor.seq == each.head for each in shown.positions.values())

    def first(self, name: str, room: str) -> list[int]:
        """Return the events of a room that came to a path, each where it came first."""
        return list(dict.fromkeys(self.receiver.seqs(f"/{name}", room)))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(wire, "DELAYS", (60,))
    monkeypatch.setattr(wire, "LEAST_DELAY", 50)
    monkeypatch.setattr(sender, "_LOOK_EVERY", 0.05)
    with closing(open_chat(Settings(data=tmp_path, limits=False, search=False))) as chat, receiving() as receiver:
        chat.start()
        yield World(chat, receiver)
        receiver.released.set()


@pytest.mark.parametrize("is_late", [True, False], ids=["late", "wrong"])
def test_whatever_a_receiver_does_it_gets_all_in_order(world: World, is_late: bool) -> None:
    """It hangs or drips; or it lies about the length, redirects, resets, asks for time, its name leads elsewhere: the
    event comes again, none overtakes it, and the webhook beside it gets each once."""
    json = {"Content-Type": "application/json"}
    troubles: Mapping[str, tuple[Answer, int | str]] = {
        "lies": (Answer(200, b'{"text": "x"}', json, lie=True), "protocol"),
        "redirects": (Answer(302, headers={"Location": world.receiver.url("/elsewhere")}), 302),
        "resets": (Answer(reset=True), "reset"),
        "asks": (Answer(429, headers={"Retry-After": "0"}), 429),
        "rebinds": (OK, "unsafe"),
    }
    if is_late:
        troubles = {"hangs": (Answer(hang=True), "timeout"), "drips": (Answer(drip=True), "timeout")}
    found = iter([["169.254.169.254"], ["127.0.0.1", "10.0.0.1"]])
    rooms = [world.room("red"), world.room("green")]
    keys = {name: world.webhook(name, rooms) for name in (*troubles, "behaves")}
    if not is_late:
        url = world.receiver.url("/rebinds").replace("127.0.0.1", "rebinds.example")
        world.chat.write_with(lambda sql: rows.aim(sql, rows.find(sql, keys["rebinds"]), url, None))
    for name, (answer, _) in troubles.items():
        world.receiver.scripts[f"/{name}"] = [OK, answer, answer] if name != "rebinds" else []
    # On a busy machine more calls than those take a second.
    reach = Reach(1.0 if is_late else 120.0, lambda name, port: next(found, ["127.0.0.1"]))
    Sender(world.chat, POLICY, reach=reach).start()
    sent = {room: [world.say(room) for _ in range(4)] for room in rooms}
    for name, key in keys.items():
        until(lambda key=key: world.done(key), what=f"all taken by the one that {name}")  # type: ignore[misc]
        for room in rooms:
            assert world.first(name, room) == sent[room], name
            if not is_late:  # else a call that was given up may be read after the next one
                assert world.receiver.seqs(f"/{name}", room) == sorted(world.receiver.seqs(f"/{name}", room)), name
    for name, (_, outcome) in troubles.items():
        assert outcome in world.outcomes(keys[name]), name
    if not is_late:
        assert {room: world.receiver.seqs("/behaves", room) for room in rooms} == sent
    assert world.receiver.of("/elsewhere") == []


def test_a_receiver_is_left_alone_as_long_as_it_asks(world: World) -> None:
    """`Retry-After` of an hour: the next try is not before; after 410 there is none. Enabled, both get the event."""
    room = world.room("red")
    later, gone = world.webhook("later", [room]), world.webhook("gone", [room])
    world.receiver.scripts["/later"] = [Answer(429, headers={"Retry-After": "3600"})]
    world.receiver.scripts["/gone"] = [Answer(410)]
    before = world.chat.now()
    Sender(world.chat, POLICY).start()
    sent = [world.say(room), world.say(room)]
    until(lambda: world.made.one(None, later).failing is not None)
    until(lambda: world.made.one(None, gone).reason == "gone")
    failing = world.made.one(None, later).failing
    assert failing is not None and failing[2] >= before + 3_600_000
    for name, key in (("later", later), ("gone", gone)):
        assert world.receiver.seqs(f"/{name}") == sent[:1]
        world.made.enable(None, key)
        until(lambda key=key: world.done(key))  # type: ignore[misc]
        assert world.receiver.seqs(f"/{name}") == [sent[0], *sent]


def test_receivers_that_hang_do_not_slow_others(world: World) -> None:
    """More calls hang than there are threads for quick ones, in more rooms than are looked at: another webhook, made
    last, gets what is said, while they hang."""
    rooms = [world.room(f"room{number}") for number in range(12)]
    for number in range(12):
        world.webhook(f"hangs{number}", rooms)
        world.receiver.scripts[f"/hangs{number}"] = [Answer(hang=True)] * 1000
    behaves = world.webhook("behaves", rooms)
    sent = {room: [world.say(room)] for room in rooms}
    Sender(world.chat, POLICY, reach=Reach(120.0)).start()
    until(lambda: world.done(behaves))
    assert {room: world.receiver.seqs("/behaves", room) for room in rooms} == sent
    assert all(len(world.receiver.of(f"/hangs{number}")) <= choosing.ROOMS_AT_ONCE for number in range(12))


def test_a_webhook_made_anew_gets_each_event_once(world: World) -> None:
    """Also after one that was removed a moment ago, and of which this worker had the lease."""
    room = world.room("red")
    Sender(world.chat, POLICY).start()
    removed = world.webhook("removed", [room])
    world.say(room)
    until(lambda: world.done(removed), what="what the first one gets")
    world.made.remove(None, removed)
    anew = world.webhook("anew", [room])
    sent = [world.say(room), world.say(room)]
    until(lambda: world.done(anew), what="what the second one gets")
    assert world.receiver.seqs("/anew", room) == sent


def test_a_call_of_a_removed_webhook_is_a_try_of_no_other(world: World) -> None:
    """It ends when the next webhook has been made."""
    room = world.room("red")
    removed = world.webhook("removed", [room])
    world.receiver.scripts["/removed"] = [Answer(hang=True)]
    world.say(room)
    with closing(Sender(world.chat, POLICY)) as ours:
        ours.step()
        until(lambda: world.receiver.of("/removed"), what="the call")
        world.made.remove(None, removed)
        anew = world.webhook("anew", [room])
        world.receiver.released.set()
        until(lambda: ours._done, what="its end")
        ours.step()
        assert not ours._done and world.made.tries(None, anew) == []


def test_a_clock_that_was_ahead_stops_no_webhook(world: World) -> None:
    """The next try, and the lease of a worker that has ended, are of a time that is long to come."""
    room = world.room("red")
    late = world.webhook("late", [room])
    said, ahead = world.say(room), world.chat.now() + 86_400_000

    def work(sql: Sql) -> None:
        sql.run("UPDATE subscriber SET lease_by = 'another', lease_until = ?", ahead)
        sql.run("UPDATE subscribed SET failures = 1, failing_since = ?, try_at = ?", ahead, ahead)

    world.chat.write_with(work)
    Sender(world.chat, POLICY).start()
    until(lambda: world.done(late), what="what it gets")
    assert world.receiver.seqs("/late", room) == [said]


# --- Which lanes begin, as a table --------------------------------------------------------------------


def lane(webhook: int, room: int, host: str = "") -> Lane:
    return Lane(webhook, room, f"room{room}", "open", Cursor(0), 0, 1, 0, None, f"https://{host or webhook}.example/x")


def test_few_lanes_of_one_webhook_and_of_one_receiver_begin() -> None:
    """Four rooms of a webhook, one if it fails; 32 quick lanes to a receiver, of all webhooks together."""
    many = [lane(1, room) for room in range(9)]
    assert chosen(many, {}, (), 0) == many[:4] and chosen(many, {}, (1,), 0) == many[:1]
    running = {(1, 0): Running("1.example", 0.0), (1, 7): Running("1.example", 0.0)}
    assert chosen(many, running, (), 0) == many[1:3] and chosen(many, running, (1,), 0) == []
    shared = [lane(webhook, 0, "HOOKS") for webhook in range(40)]
    assert chosen(shared, {}, (), 0) == shared[:32]
    hanging = {(99, 0): Running("hooks.example", 0.0)}
    assert len(chosen(shared, hanging, (), 0.5)) == 31 and len(chosen(shared, hanging, (), 1.0)) == 32


def test_slow_lanes_make_place_up_to_a_bound() -> None:
    """Sixty-four begin at once; those that take long count no more among them, until there are 256 in all."""
    lanes = [lane(webhook, 0) for webhook in range(400)]
    assert len(chosen(lanes, {}, (), 0)) == 64
    running = {(webhook, 0): Running(f"{webhook}.example", 0.0) for webhook in range(64)}
    assert chosen(lanes, running, (), 0.9) == [] and chosen(lanes, running, (), 1.0) == lanes[64:128]
    running = {(webhook, 0): Running(f"{webhook}.example", 0.0) for webhook in range(250)}
    assert len(chosen(lanes, running, (), 1.0)) == 6

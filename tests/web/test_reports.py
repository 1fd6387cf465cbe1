"""Reports of messages: made by accounts, seen by those who manage the room, closed with a word in the log."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from people import ORIGIN, Browser, joined, owner
from test_audit import app as app
from test_audit import number, told

from quotechat.protocol.errors import Unauthenticated
from quotechat.protocol.rights.principal import Principal
from quotechat.store.accounts.sessions import hashed
from quotechat.web.api import moderation


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def say(browser: Browser, room: str, text: str) -> int:
    """The id of a new message."""
    return int(browser.ask("POST", f"/rooms/{room}/messages", {"message": text}).get_json()["seq"])


def report(browser: Browser, room: str, message: int, reason: str = "spam", **about: Any) -> Any:
    envelope = {"command": "report-message", "message": {"id": message}, "reason": reason, **about}
    return browser.ask("POST", f"/rooms/{room}/commands", envelope)


def listed(browser: Browser, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.ask("GET", f"/reports{query}").get_json()["reports"]
    return found


def test_a_report_is_seen_by_those_who_manage_the_room(app: Flask) -> None:
    """Administrators for open rooms, managers for closed ones; of direct rooms without what was said."""
    boss = owner(app)
    bo, cleo = joined(app, boss, "Bo"), joined(app, boss, "Cleo")
    message = say(bo, "lobby", "kumquat")
    answer = report(cleo, "lobby", message, client_id="r1")
    assert answer.status_code == 200 and answer.get_json() == {"command": "ack", "client_id": "r1"}
    assert report(cleo, "lobby", message).status_code == 200
    [found] = listed(boss)
    assert found["message"] == {"id": message, "user": "Bo", "by": number(bo), "message": "kumquat"}
    assert (found["room"], found["reason"], found["by"]["name"]) == ("lobby", "spam", "Cleo")
    assert listed(bo) == listed(cleo) == []
    closed = bo.ask("POST", "/rooms", {"name": "staff", "kind": "closed", "members": [number(cleo)]}).get_json()["name"]
    report(cleo, closed, say(bo, closed, "secret"))
    assert [each["room"] for each in listed(bo)] == [closed] and [each["room"] for each in listed(boss)] == ["lobby"]
    direct = bo.ask("POST", "/directs", {"members": [number(cleo)]}).get_json()["name"]
    private = say(bo, direct, "private")
    report(cleo, direct, private, "he said: private")
    shown = listed(boss)[0]
    assert (shown["room"], shown["message"], shown["reason"]) == (direct, {"id": private}, "he said: private")


def test_a_page_of_reports_is_bounded_in_bytes(app: Flask) -> None:
    """It ends with the message that brings it to 256 KiB and says that there is more; page by page each comes once."""
    azin = owner(app)
    bea = joined(app, azin, "Bea")
    numbers = [say(azin, "lobby", "\U0001f600" * 4000) for _ in range(20)]
    for each in numbers:
        assert report(bea, "lobby", each).status_code == 200
    found: list[dict[str, Any]] = []
    more = True
    while more:
        before = f"&before={found[-1]['id']}" if found else ""
        answer = azin.ask("GET", f"/reports?limit=200{before}")
        assert len(answer.data) < 300_000
        found += answer.get_json()["reports"]
        more = answer.get_json()["has_more"]
    assert [each["message"]["id"] for each in found] == numbers[::-1]


def test_what_cannot_be_reported(app: Flask) -> None:
    """What is not there, not for one's eyes, deleted, or without a reason; and nobody without an account reports."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    closed = boss.ask("POST", "/rooms", {"name": "staff", "kind": "closed"}).get_json()["name"]
    hidden, message = say(boss, closed, "x"), say(boss, "lobby", "x")
    assert code(report(bo, "lobby", 99)) == (404, "message-unknown")
    assert code(report(bo, closed, hidden)) == (404, "room-unknown")
    for reason in ("", " ", "x" * 501, "a\x07"):
        assert report(bo, "lobby", message, reason).get_json()["field"] == "reason"
    boss.ask("DELETE", f"/rooms/lobby/messages/{message}")
    assert code(report(bo, "lobby", message)) == (409, "conflict")
    assert listed(boss) == []


def test_a_report_is_closed_by_those_who_see_it(app: Flask) -> None:
    """Done or dismissed, once or again; then it may be reported anew; the log has both."""
    boss = owner(app)
    bo, cleo = joined(app, boss, "Bo"), joined(app, boss, "Cleo")
    message = say(bo, "lobby", "x")
    report(cleo, "lobby", message)
    key = listed(boss)[0]["id"]
    assert code(bo.ask("PATCH", f"/reports/{key}", {"state": "done"})) == (404, "not-found")
    assert boss.ask("PATCH", f"/reports/{key}", {"state": "open"}).get_json()["field"] == "state"
    with app.app_context(), pytest.raises(Unauthenticated):  # its session has ended while it waited
        moderation.closed(Principal("account:x", 1, role="admin", proof=hashed("ended")), key, "done")
    closed = boss.ask("PATCH", f"/reports/{key}", {"state": "dismissed"}).get_json()
    assert (closed["state"], closed["closed_by"]) == ("dismissed", number(boss))
    assert listed(boss) == [] and [each["id"] for each in listed(boss, "?state=dismissed")] == [key]
    assert boss.ask("GET", "/reports?state=new").status_code == 400
    report(cleo, "lobby", message)
    assert len(listed(boss)) == 1
    acts = [each for each in told(boss) if each["what"].startswith("report")]
    assert acts[0] == {"what": "reported", "by": number(cleo), "room": "lobby", "message": message}
    assert acts[1]["what"] == "report-closed" and acts[1]["detail"] == "dismissed"


def test_reports_and_what_was_done_by_the_pages(app: Flask) -> None:
    """A form reports a message; administrators find it on their page, as it reads, close it, and read what was done."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    message = say(boss, "lobby", "**kumquat** and `x`")
    path = f"/rooms/lobby/messages/{message}/report"
    form = bo.client.get(path).get_data(as_text=True)
    assert 'name="reason"' in form and f"#m{message}" in form
    assert bo.client.get("/rooms/none/messages/1/report").status_code == 404
    assert bo.client.post(path, data={"reason": " "}, headers=ORIGIN).status_code == 422
    assert bo.client.post(path, data={"reason": "violet"}, headers=ORIGIN).status_code == 303
    shown = boss.client.get("/admin").get_data(as_text=True)
    assert "violet" in shown and ">kumquat and x<" in shown and f'href="/rooms/lobby#m{message}"' in shown
    key = listed(boss)[0]["id"]
    assert bo.client.post(f"/admin/reports/{key}", data={"state": "done"}, headers=ORIGIN).status_code == 403
    assert boss.client.post(f"/admin/reports/{key}", data={"state": "done"}, headers=ORIGIN).status_code == 303
    assert "Nothing is reported" in boss.client.get("/admin").get_data(as_text=True)
    acts = boss.client.get("/admin/audit").get_data(as_text=True)
    assert "report closed in lobby" in acts and "<bdi>Bo</bdi>" in acts
    assert bo.client.get("/admin/audit").status_code == 403
    assert Browser(app).client.get("/admin/audit").status_code == 303

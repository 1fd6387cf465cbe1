"""Links for another device, notices of strange ones, and blocks; on both stores."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from people import ORIGIN, PASSWORD, Browser, joined, owner
from test_audit import app as app
from test_audit import number, told


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def notices(app: Flask, browser: Browser) -> list[tuple[int, str, str]]:
    """The notices of the account that is signed in."""
    statement = "SELECT n.id, n.what, n.text FROM notice n JOIN account a ON a.id = n.account_id WHERE a.key = ?"
    chat, key = app.extensions["quotechat"], number(browser)
    found: list[tuple[int, str, str]] = chat.read_with(lambda sql: [tuple(row) for row in sql.all(statement, key)])
    return found


def test_a_link_signs_another_device_in_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made with a proof, used once within ten minutes; the new session has no proof, and its owner is told."""
    boss = owner(app)
    made = boss.ask("POST", "/devices")
    assert made.status_code == 201 and "/device#" in made.get_json()["link"]
    link = made.get_json()["link"].partition("#")[2]
    phone = Browser(app)
    assert phone.ask("POST", "/devices/use", {"code": link}).status_code == 201
    assert number(phone) == number(boss) and "proved_until" not in phone.ask("GET", "/me").get_json()
    assert code(phone.ask("POST", "/devices")) == (403, "proof-needed")
    assert code(Browser(app).ask("POST", "/devices/use", {"code": link})) == (404, "link-unknown")
    assert [(what, text) for _, what, text in notices(app, boss)] == [("signed-in", "A program")]
    late = boss.ask("POST", "/devices").get_json()["link"].partition("#")[2]
    clock = app.extensions["quotechat"].now() + 600_001
    monkeypatch.setattr(app.extensions["quotechat.services"].accounts.accounts, "clock", lambda: clock)
    assert code(Browser(app).ask("POST", "/devices/use", {"code": late})) == (404, "link-unknown")


@pytest.mark.parametrize("end", ["password", "sessions", "ban"])
def test_a_link_ends_with_what_it_rests_on(app: Flask, end: str) -> None:
    """A new password, signing out everywhere and a ban end the links for other devices too."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    link = bo.ask("POST", "/devices").get_json()["link"].partition("#")[2]
    if end == "password":
        assert bo.ask("PUT", "/me/password", {"password": "another horse 77 battery"}).status_code == 204
    elif end == "sessions":
        assert bo.ask("DELETE", "/sessions").status_code == 204
    else:
        assert boss.ask("PUT", f"/accounts/{number(bo)}/ban", {}).status_code == 204
    assert code(Browser(app).ask("POST", "/devices/use", {"code": link})) == (404, "link-unknown")


def test_a_strange_device_is_noticed(app: Flask) -> None:
    """One that has signed in before is not; the notice is taken away by its owner alone; failures are gathered."""
    boss = owner(app)
    bo, strange = joined(app, boss, "Bo"), Browser(app)
    assert bo.sign_in("Bo").status_code == 201 and notices(app, bo) == []
    for _ in range(3):
        assert strange.sign_in("Bo", "wrong").status_code == 401
        assert strange.sign_in("Nobody", "wrong").status_code == 401
    assert strange.sign_in("Bo").status_code == 201
    [(notice, what, _)] = notices(app, bo)
    narrow = {"Authorization": f"Bearer {bo.token(rooms=['lobby'])}"}
    assert "notices" not in app.test_client().get("/api/v1/inbox", headers=narrow).get_json()
    assert what == "signed-in"
    assert [each["detail"] for each in told(boss) if each["what"] == "sign-ins-failed"] == ["1"]
    assert len([each for each in told(boss) if each["what"] == "signed-in"]) == 1
    assert code(boss.ask("DELETE", f"/me/notices/{notice}")) == (404, "not-found")
    assert bo.ask("DELETE", f"/me/notices/{notice}").status_code == 204
    assert notices(app, bo) == [] and bo.ask("DELETE", f"/me/notices/{notice}").status_code == 404


def test_blocks(app: Flask) -> None:
    """One blocks others, not oneself, as often as one likes."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    for _ in range(2):
        assert bo.ask("PUT", f"/me/blocks/{number(boss)}").status_code == 204
    assert [each["name"] for each in bo.ask("GET", "/me/blocks").get_json()["blocked"]] == ["Azin"]
    assert code(bo.ask("PUT", f"/me/blocks/{number(bo)}")) == (409, "conflict")
    assert code(bo.ask("PUT", "/me/blocks/aaaaaaaaaaaa")) == (404, "account-unknown")
    assert bo.ask("DELETE", f"/me/blocks/{number(boss)}").status_code == 204
    assert bo.ask("GET", "/me/blocks").get_json() == {"blocked": []}


def test_another_device_by_the_pages(app: Flask) -> None:
    """One's own page shows link and QR code; the page of the link asks for the code alone."""
    boss = owner(app)
    shown = boss.client.post("/me/devices", data={"old": PASSWORD}, headers=ORIGIN).get_data(as_text=True)
    link = re.search(r"/device#([a-z2-7-]+)", shown)
    assert link is not None and "data:image/svg" in shown
    phone = Browser(app)
    page = phone.client.get("/device").get_data(as_text=True)
    assert 'name="code"' in page and 'name="password"' not in page
    assert phone.client.post("/device", data={"code": "x"}, headers=ORIGIN).status_code == 404
    assert phone.client.post("/device", data={"code": link[1]}, headers=ORIGIN).status_code == 303
    assert number(phone) == number(boss)

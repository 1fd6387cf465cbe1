"""Bots over HTTP: made and kept by members, acting by tokens alone; on both stores."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conforming import check_answers
from flask import Flask
from people import ORIGIN, PASSWORD, Browser, joined, owner

from quotechat import create_app
from quotechat.config import Settings


@pytest.fixture
def app(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Flask]:
    """An application whose answers are what its documents say."""
    app = create_app(Settings(data=tmp_path / "data", database=new_database(), limits=False, access="invite"))
    check_answers(app)
    yield app
    app.extensions["quotechat"].close()


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def number(browser: Browser) -> str:
    """The public id of the account that is signed in."""
    return str(browser.ask("GET", "/me").get_json()["account"]["id"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_bot_signs_with_its_name(app: Flask) -> None:
    """Its messages say that a program wrote them, in answers, snapshots and events; curl's default type is text."""
    boss = owner(app)
    made = boss.ask("POST", "/bots", {"name": "tea-timer"}).get_json()
    assert (made["account"]["role"], made["account"]["bot"], made["account"]["keeper"]) == ("bot", True, number(boss))
    headers = {**bearer(made["token"]), "Content-Type": "application/x-www-form-urlencoded"}
    sent = app.test_client().post("/api/v1/rooms/lobby/messages", data="Tea is ready", headers=headers)
    assert sent.status_code == 201
    own = boss.ask("POST", "/rooms/lobby/messages", {"message": "Thanks"}).get_json()["message"]
    message = sent.get_json()["message"]
    assert (message["user"], message["by"], message["bot"]) == ("tea-timer", made["account"]["id"], True)
    assert "bot" not in own
    edit = boss.ask("PATCH", f"/rooms/lobby/messages/{message['id']}", {"message": "x"}, **bearer(made["token"]))
    shown = boss.ask("GET", "/rooms/lobby").get_json()["messages"][0]
    assert edit.status_code == 200 and shown["bot"] is True and shown["message"] == "x"


def test_who_makes_bots_is_for_the_site_to_say(app: Flask) -> None:
    """Administrators; members, five each, if the site lets them; a bot none, nor a stranger."""
    boss = owner(app)
    bo = joined(app, boss, "Bo")
    assert code(bo.ask("POST", "/bots", {"name": "timer-z"})) == (403, "forbidden")
    boss.ask("PATCH", "/site", {"bots_by": "all"})
    made = [bo.ask("POST", "/bots", {"name": f"t{each + 2}"}) for each in range(6)]
    assert [each.status_code for each in made] == [201] * 5 + [409]
    first = made[0].get_json()
    assert code(Browser(app).ask("POST", "/bots", {"name": "t9"}, **bearer(first["token"]))) == (403, "forbidden")
    assert Browser(app).ask("POST", "/bots", {"name": "t9"}).status_code == 401
    assert code(bo.ask("POST", "/bots", {"name": "BO"})) == (409, "conflict")
    assert code(bo.ask("POST", "/bots", {"name": "tx", "keeper": number(boss)})) == (403, "forbidden")
    assert boss.ask("POST", "/bots", {"name": "ty", "keeper": number(bo)}).status_code == 409
    assert bo.ask("DELETE", f"/bots/{first['account']['id']}").status_code == 204
    assert boss.ask("POST", "/bots", {"name": "ty", "keeper": number(bo)}).status_code == 201
    assert [each["name"] for each in bo.ask("GET", "/bots").get_json()["bots"]] == ["ty", "t6", "t5", "t4", "t3"]
    assert Browser(app).ask("GET", "/me", **bearer(first["token"])).status_code == 401


def test_a_bot_has_no_password_and_no_session(app: Flask) -> None:
    """No link makes one, no role makes a person of it, and its tokens ask for no session's calls."""
    boss = owner(app)
    made = boss.ask("POST", "/bots", {"name": "tea-timer", "rooms": ["lobby"]}).get_json()
    key, token = made["account"]["id"], bearer(made["token"])
    boss.prove()
    assert code(boss.ask("POST", f"/accounts/{key}/reset")) == (409, "conflict")
    assert code(boss.ask("PATCH", f"/accounts/{key}", {"role": "member"})) == (409, "conflict")
    assert code(Browser(app).sign_in("tea-timer")) == (401, "sign-in-failed")
    for path in ("/sessions", "/tokens", f"/bots/{key}/tokens"):
        assert Browser(app).ask("GET", path, **token).get_json()["field"] == "session"
    assert code(Browser(app).ask("GET", "/rooms/none", **token)) == (404, "room-unknown")


def test_tokens_of_a_bot_are_its_keepers(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper and administrators make, list and revoke them, with a proof; nobody else."""
    boss = owner(app)
    boss.ask("PATCH", "/site", {"bots_by": "all"})
    bo, cleo = joined(app, boss, "Bo"), joined(app, boss, "Cleo")
    key = bo.ask("POST", "/bots", {"name": "tea-timer"}).get_json()["account"]["id"]
    for admin in (bo, boss):
        admin.prove()
        made = admin.ask("POST", f"/bots/{key}/tokens", {"name": "second", "scopes": ["read"]}).get_json()
        assert made["scopes"] == ["read"]
        assert made["id"] in [each["id"] for each in admin.ask("GET", f"/bots/{key}/tokens").get_json()["tokens"]]
        assert admin.ask("DELETE", f"/bots/{key}/tokens/{made['id']}").status_code == 204
        assert code(admin.ask("DELETE", f"/bots/{key}/tokens/{made['id']}")) == (404, "token-unknown")
    cleo.prove()
    for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/k3v9aaaa"), ("DELETE", "")):
        assert code(cleo.ask(method, f"/bots/{key}{path}", {"name": "x"})) == (403, "forbidden")
        assert code(cleo.ask(method, f"/bots/{number(bo)}{path}", {"name": "x"})) == (404, "account-unknown")
    clock = app.extensions["quotechat"].now() + 700_000
    monkeypatch.setattr(app.extensions["quotechat.services"].accounts.accounts, "clock", lambda: clock)
    assert code(bo.ask("POST", f"/bots/{key}/tokens", {"name": "third"})) == (403, "proof-needed")


def test_bots_end_with_their_keeper_or_are_handed_over(app: Flask) -> None:
    """A ban and its end hold for them too; closing the keeper closes them, but not those handed over before."""
    boss = owner(app)
    boss.ask("PATCH", "/site", {"bots_by": "all"})
    bo, cleo = joined(app, boss, "Bo"), joined(app, boss, "Cleo")
    stays, goes = (bo.ask("POST", "/bots", {"name": name}).get_json() for name in ("stays", "goes"))

    def works(bot: Any) -> bool:
        return bool(Browser(app).ask("GET", "/me", **bearer(bot["token"])).status_code == 200)

    key = number(bo)
    assert boss.ask("PUT", f"/accounts/{key}/ban", {}).status_code == 204 and not works(goes)
    assert boss.ask("DELETE", f"/accounts/{key}/ban").status_code == 204
    assert works(goes)
    bo.sign_in("Bo")
    changed = bo.ask("PATCH", f"/bots/{stays['account']['id']}", {"keeper": number(cleo)})
    assert changed.get_json()["keeper"] == number(cleo)
    assert code(bo.ask("PATCH", f"/bots/{stays['account']['id']}", {"keeper": number(bo)})) == (403, "forbidden")
    assert code(boss.ask("PATCH", f"/bots/{stays['account']['id']}", {"keeper": goes["account"]["id"]})) == (
        409, "conflict",
    )  # fmt: skip
    assert bo.ask("DELETE", "/me", {"password": PASSWORD, "messages": "keep"}).status_code == 202
    assert works(stays) and not works(goes)


def test_a_bots_own_ban_outlasts_that_of_its_keeper(app: Flask) -> None:
    """Whichever of the two began first: a bot acts again when both are over, or it has another keeper."""
    boss = owner(app)
    boss.ask("PATCH", "/site", {"bots_by": "all"})
    bo, cleo = joined(app, boss, "Bo"), joined(app, boss, "Cleo")
    bots = [bo.ask("POST", "/bots", {"name": name}).get_json() for name in ("before", "after", "free", "moved")]
    before, after, free, moved = (bot["account"]["id"] for bot in bots)

    keeper = number(bo)

    def put(key: str) -> None:
        assert boss.ask("PUT", f"/accounts/{key}/ban", {}).status_code == 204

    def lift(key: str) -> None:
        assert boss.ask("DELETE", f"/accounts/{key}/ban").status_code == 204

    def works() -> list[bool]:
        asked = (Browser(app).ask("GET", "/me", **bearer(bot["token"])).status_code for bot in bots)
        return [status == 200 for status in asked]

    put(before)
    put(keeper)
    put(after)
    assert works() == [False, False, False, False]
    lift(free)  # it is not banned itself, so nothing is lifted
    assert works() == [False, False, False, False]
    assert boss.ask("PATCH", f"/bots/{moved}", {"keeper": number(cleo)}).status_code == 200
    assert works() == [False, False, False, True]
    lift(keeper)
    assert works() == [False, False, True, True]
    lift(before)
    lift(after)
    assert works() == [True, True, True, True]


def test_bots_by_the_page(app: Flask) -> None:
    """One makes a bot on one's own page, sees its token once, and closes it."""
    boss = owner(app)
    fields = {"name": "tea-timer", "rooms": "lobby tea", "old": PASSWORD}
    shown = boss.client.post("/me/bots", data=fields, headers=ORIGIN).get_data(as_text=True)
    token = re.search(r"qct_[\w-]+", shown)
    assert token is not None and "tea-timer" in shown
    assert Browser(app).ask("GET", "/me", **bearer(token[0])).get_json()["account"]["name"] == "tea-timer"
    wrong = boss.client.post("/me/bots", data={**fields, "old": "wrong"}, headers=ORIGIN)
    assert wrong.status_code == 401 and 'value="lobby tea"' in wrong.get_data(as_text=True)
    key = boss.ask("GET", "/bots").get_json()["bots"][0]["id"]
    assert boss.client.post(f"/me/bots/{key}/close", headers=ORIGIN).status_code == 200
    assert boss.ask("GET", "/bots").get_json()["bots"] == []

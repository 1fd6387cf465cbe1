"""The forms for webhooks on /admin/webhooks, and for hooks on the page about a room."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from hooked import impatient
from people import ORIGIN, Browser, joined
from receiver import Answer, Receiver, receiving


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, Browser]]:
    """One application for all tests here."""
    with impatient(tmp_path_factory.mktemp("data"), "") as made:
        yield made


def post(browser: Browser, path: str, **form: str) -> tuple[int, str]:
    """Send a form as its page does."""
    answer = browser.client.post(path, data=form, headers=ORIGIN, follow_redirects=True)
    return answer.status_code, answer.get_data(as_text=True)


def test_webhooks_by_forms(made: tuple[Flask, Browser], receiver: Receiver) -> None:
    """Made, tested, given a new secret and removed; secrets are shown once, and what is refused keeps its words."""
    app, boss = made
    assert "Make a bot first" in boss.client.get("/admin/webhooks").get_data(as_text=True)
    bot = boss.ask("POST", "/bots", {"name": "grader"}).get_json()["account"]["id"]
    form = {"name": "grades", "url": receiver.url("/page"), "account": bot, "rooms": "lobby"}
    status, text = post(boss, "/admin/webhooks", **{**form, "url": "https://10.0.0.1/"})
    assert status == 422 and "cannot be called" in text and 'value="grades"' in text
    status, text = post(boss, "/admin/webhooks", **form)
    (secret,) = re.findall(r"<code>(whsec_[^<]+)</code>", text)
    assert status == 200 and receiver.url("/page") in text
    webhook = boss.ask("GET", "/webhooks").get_json()["webhooks"][0]["id"]
    status, text = post(boss, f"/admin/webhooks/{webhook}", do="test")
    assert status == 200 and "It answered 204." in text and secret not in text
    receiver.scripts["/page"] = [Answer(500)]
    assert "It answered 500." in post(boss, f"/admin/webhooks/{webhook}", do="test")[1]
    assert "<caption>Last calls</caption>" in boss.client.get("/admin/webhooks").get_data(as_text=True)
    text = post(boss, f"/admin/webhooks/{webhook}", do="secret")[1]
    assert "<code>whsec_" in text and secret not in text
    assert post(boss, f"/admin/webhooks/{webhook}", do="enable")[0] == 200
    assert post(boss, f"/admin/webhooks/{webhook}", do="dance")[0] == 422
    assert "None yet." in post(boss, f"/admin/webhooks/{webhook}", do="remove")[1]
    member = joined(app, boss, "Bo")
    assert member.client.get("/admin/webhooks").status_code == 403
    assert member.client.post(f"/admin/webhooks/{webhook}", data={"do": "test"}, headers=ORIGIN).status_code == 403
    assert "/admin/webhooks" in boss.client.get("/admin").get_data(as_text=True)


def test_hooks_by_forms(made: tuple[Flask, Browser]) -> None:
    """Managers make and revoke them on the page about the room; the address is shown once; others see nothing of it."""
    app, boss = made
    boss.ask("POST", "/rooms", {"name": "builds"})
    status, text = post(boss, "/rooms/builds/hooks", hook="Builds")
    (address,) = re.findall(r"<code>http://localhost(/hooks/[^<]+)</code>", text)
    assert status == 200
    assert app.test_client().post(address, data="Build 7 is green").get_data(as_text=True) == "ok"
    text = boss.client.get("/rooms/builds/about").get_data(as_text=True)
    assert "Builds" in text and address not in text
    assert post(boss, "/rooms/builds/hooks", hook="Builds")[0] == 409
    (hook,) = re.findall(r'action="(/rooms/builds/hooks/[^"]+)"', text)
    member = joined(app, boss, "Cy")
    assert "hooks" not in member.client.get("/rooms/builds/about").get_data(as_text=True)
    assert post(member, "/rooms/builds/hooks", hook="Mine")[0] == 403
    assert post(member, hook)[0] == 403
    assert post(boss, hook)[0] == 200
    assert app.test_client().post(address, data="Build 8").status_code == 404


@pytest.mark.parametrize("page", ["/admin/webhooks", "/admin/audit"])
def test_a_visitor_is_led_to_the_sign_in(app: Flask, page: str) -> None:
    """And from there back to the page, as from /admin."""
    answer = app.test_client().get(page)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/sign-in?next={page}")

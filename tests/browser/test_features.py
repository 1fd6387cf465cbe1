"""What people can say and do, on the polling page and on the WebSocket page side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from server import Server
from test_pages import later, live_and_loaded, long, post, sign, texts, waits, write

Open = Callable[..., Any]
PAIRS = [("/polling", "/websocket"), ("/websocket", "/polling")]


@pytest.fixture(params=[PAIRS[0], long(PAIRS[1])], ids=lambda pair: " to ".join(pair))
def pair(request: pytest.FixtureRequest, open_page: Open) -> tuple[Any, Any]:
    """Ada's page and Bo's, each over a transport of its own."""
    ada, bo = (open_page(path) for path in request.param)
    sign(ada, "Ada")
    sign(bo, "Bo")
    return ada, bo


def act(page: Any, number: int, action: str) -> None:
    """Choose what to do with a message, as a mouse does: beside it, else in its menu."""
    page.hover(f"#m{number}")
    beside = page.locator(f"#m{number} [data-action={action}]")
    if beside.count() and beside.is_visible():
        beside.click()
    else:
        page.click(f"#m{number} [data-action=more]")
        page.click(f"#message-menu [data-action={action}]")


def test_formatting_and_colours(pair: tuple[Any, Any], server: Server) -> None:
    """Bold, italic, underline, code, a link and a colour, live and after a reload; HTML stays text."""
    ada, bo = pair
    ada.click("[popovertarget=format]")
    ada.select_option("[name=color]", "teal")
    ada.keyboard.press("Escape")
    write(ada, "**b** *i* __u__ `c` https://a.example <b>x</b>")
    for page in (bo, ada):
        message = page.locator("#m1")
        for _ in live_and_loaded(page):
            for element, text in [("strong", "b"), ("em", "i"), ("u", "u"), ("code", "c")]:
                expect(message.locator(f".text {element}")).to_have_text(text)
            expect(message.locator(".text a")).to_have_attribute("href", "https://a.example")
            expect(message).to_have_class(re.compile(r"\bcolor-teal\b"))
            expect(message.locator(".text")).to_contain_text("<b>x</b>")


def test_reactions(pair: tuple[Any, Any]) -> None:
    """Counts that are not zero, and which is mine: live on both, changed, taken back, and after a reload."""
    ada, bo = pair
    write(ada, "x")
    expect(bo.locator("#m1")).to_be_visible()
    like, dislike = ("#m1 [data-action=like]", "#m1 [data-action=dislike]")
    for action, counts in [("like", ("1", "")), ("dislike", ("", "1")), ("dislike", ("", "")), ("like", ("1", ""))]:
        act(bo, 1, action)
        for page in (ada, bo):
            for button, count in zip((like, dislike), counts, strict=True):
                expect(page.locator(f"{button} .count")).to_have_text(count)
    for page, pressed in [(bo, "true"), (ada, "false")]:
        for _ in live_and_loaded(page):
            expect(page.locator(like)).to_have_attribute("aria-pressed", pressed)
    act(ada, 1, "like")
    for page in (ada, bo):
        expect(page.locator(f"{like} .count")).to_have_text("2")


def test_emoji(pair: tuple[Any, Any]) -> None:
    """One is chosen, counted on both pages, pressed only on one's own, and a press takes it back."""
    ada, bo = pair
    write(ada, "x")
    expect(bo.locator("#m1")).to_be_visible()
    act(bo, 1, "emoji")
    bo.click("#emoji [data-emoji='🎉']")
    chip = "#m1 .chip[data-emoji='🎉']"
    for page, pressed in [(ada, "false"), (bo, "true")]:
        expect(page.locator(chip)).to_have_text("🎉 1")
        expect(page.locator(chip)).to_have_attribute("aria-pressed", pressed)
    ada.click(chip)
    for page in (ada, bo):
        expect(page.locator(chip)).to_have_text("🎉 2")
        page.reload()
        expect(page.locator(chip)).to_have_attribute("aria-pressed", "true")
    for page in (ada, bo):
        page.click(chip)
    for page in (ada, bo):
        expect(page.locator(chip)).to_have_count(0)


def test_replies_and_a_deleted_parent(pair: tuple[Any, Any]) -> None:
    """A reply shows whom and what it answers; when that is deleted, it shows that, and no word of it."""
    ada, bo = pair
    write(ada, "**secret** words")
    expect(bo.locator("#m1")).to_be_visible()
    act(bo, 1, "reply")
    write(bo, "yes")
    for page in (ada, bo):
        expect(page.locator("#m2 .answers")).to_have_text(re.compile(r"Ada\s+secret words"))
    act(ada, 1, "delete")
    for page in (ada, bo):
        for _ in live_and_loaded(page):
            expect(page.locator("#m1")).to_have_class(re.compile("deleted"))
            expect(page.locator("#m2 .answers")).to_have_text(re.compile(r"Ada\s+This message was deleted\."))
            # A moment later where the message was announced.
            waits(page, lambda page=page: "secret" not in page.content(), "no word of it is left")


def test_editing_is_for_the_sender(pair: tuple[Any, Any]) -> None:
    """Edited text with the time of the edit on both pages; the other has no button for it."""
    ada, bo = pair
    write(ada, "first")
    expect(bo.locator("#m1")).to_be_visible()
    act(ada, 1, "edit")
    write(ada, "**second**")
    for page in (ada, bo):
        for _ in live_and_loaded(page):
            expect(page.locator("#m1 .text strong")).to_have_text("second")
            expect(page.locator("#m1 .edited")).to_have_text(re.compile(r"edited \d\d:\d\d"))
    for page in (bo, ada):
        page.hover("#m1")
        page.click("#m1 [data-action=more]")
        expect(page.locator("#message-menu [data-action=reply]")).to_be_visible()
    expect(bo.locator("#message-menu [data-action=edit]")).to_be_hidden()
    expect(ada.locator("#message-menu [data-action=edit]")).to_be_visible()


def test_scheduling(pair: tuple[Any, Any]) -> None:
    """A scheduled message is seen by its sender, can be cancelled or written anew, and comes by itself to everybody."""
    ada, bo = pair
    for count, text in [(1, "never"), (2, "nor this")]:
        later(ada, "+1h")
        write(ada, text)
        expect(ada.locator("#scheduled-count")).to_have_text(f"{count} scheduled")
    expect(bo.locator("#scheduled")).to_be_hidden()
    ada.click("#scheduled summary")
    ada.locator("#scheduled li", has_text="never").get_by_role("button", name="Cancel").click()
    expect(ada.locator("#scheduled-count")).to_have_text("1 scheduled")
    ada.eval_on_selector("[name=send_at] [value='+10s']", "option => { option.value = '+2s'; }")
    later(ada, "+2s")
    write(ada, "soon")
    for page in (ada, bo):
        expect(page.locator("#m1 .text")).to_have_text("soon")
    expect(ada.locator("#scheduled-count")).to_have_text("1 scheduled")
    ada.locator("#scheduled li", has_text="nor this").get_by_role("button", name="Edit").click()
    expect(ada.locator("#scheduled")).to_be_hidden()
    for _ in live_and_loaded(ada):
        expect(ada.locator("[name=message]")).to_have_value("nor this")
        expect(ada.locator("#later")).to_be_visible()
    ada.click("#not-later")
    write(ada, "but this")
    for page in (ada, bo):
        expect(page.locator("#m2 .text")).to_have_text("but this")


def test_a_message_becomes_a_quote(pair: tuple[Any, Any]) -> None:
    """Its text without markers and its user as the author: a card in the room, live and after a reload."""
    ada, bo = pair
    write(ada, "**Less** is more.")
    expect(bo.locator("#m1")).to_be_visible()
    act(bo, 1, "quote")
    for page in (ada, bo):
        for _ in live_and_loaded(page):
            expect(page.locator("#m2 blockquote")).to_have_text("Less is more.")
            expect(page.locator("#m2 .author")).to_have_text("Ada")
    write(ada, "after the card")
    for page in (ada, bo):
        expect(page.locator("#m3")).to_be_visible()
        expect(page.locator("#log article")).to_have_count(3)
    ada.goto(ada.url.split("/polling")[0].split("/websocket")[0] + "/quotes")
    expect(ada.locator("#quote-list li").first).to_contain_text("Less is more.")


def test_rooms(pair: tuple[Any, Any], server: Server) -> None:
    """Created from the list, entered by an address of its own, and apart from the lobby."""
    ada, bo = pair
    ada.click("#rooms >> role=link[name='New room']")
    ada.fill("form.fields [name=name]", "tea")
    ada.click("form.fields button")
    ada.wait_for_selector("#pill[data-state=live]")
    expect(ada.locator("#room-name")).to_have_text("tea")
    way = "/websocket" if "/websocket" in bo.url else "/polling"
    bo.goto(f"{server.url}{way}?room=tea")
    bo.wait_for_selector("#pill[data-state=live]")
    write(ada, "milk?", "Ada")
    waits(bo, lambda: texts(bo) == ["milk?"], "the message in the other room")
    bo.goto(f"{server.url}{way}")
    bo.wait_for_selector("#pill[data-state=live]")
    assert texts(bo) == []
    bo.click("#rooms >> role=link[name='All rooms']")
    bo.click("main a:has-text('tea')")
    expect(bo.locator("#m1 .text")).to_have_text("milk?")


def test_a_name_in_use_is_told(pair: tuple[Any, Any]) -> None:
    """Another person cannot sign as Ada; the words are kept, and sent under another name."""
    ada, bo = pair
    write(ada, "it is me")
    expect(bo.locator("#m1")).to_be_visible()
    write(bo, "no, me", "ada")
    expect(bo.locator("#outbox [data-state=failed]")).to_contain_text("in use")
    assert texts(ada) == ["it is me"]


def test_the_moment_is_the_viewers_own(server: Server, open_page: Open) -> None:
    """A time given by a clock on the wall is that of the viewer's zone, whatever the season."""
    page = open_page("/", timezone_id="Europe/Berlin")
    moments = page.evaluate(
        """async () => {
          const input = document.querySelector("#at-time input");
          const told = (value) => { input.value = value; return new Date(input.value).toISOString(); };
          return [told("2026-10-24T12:00"), told("2026-10-26T12:00"), told("2027-03-28T02:30")];
        }"""
    )
    # The last is in the hour that is left out: an hour on, as clocks do.
    assert moments == ["2026-10-24T10:00:00.000Z", "2026-10-26T11:00:00.000Z", "2027-03-28T01:30:00.000Z"]


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_refused_quote_says_why(script: bool, server: Server, open_page: Open) -> None:
    """Beside its field, with what was typed kept."""
    page = open_page("/quotes", live=False, java_script_enabled=script)
    page.fill("[name=quote]", "Words")
    page.fill("[name=author]", "A\u202ebc")
    page.click("#add-quote button")
    expect(page.locator("#author-wrong")).to_be_visible()
    expect(page.locator("#author-wrong")).not_to_be_empty()
    expect(page.locator("#quote-wrong")).to_be_hidden()
    expect(page.locator("[name=quote]")).to_have_value("Words")
    expect(page.locator("#quote-list")).not_to_contain_text("Words")


def test_a_quote_from_curl_is_a_card(server: Server, open_page: Open) -> None:
    """And the message before and after it stand around it, in the order of the log."""
    page = open_page("/polling")
    post(server, "before")
    page.evaluate("fetch('/api/v1/quotes', {method: 'POST', headers: {'Content-Type': 'application/json'},"
                  " body: JSON.stringify({quote: 'Between', author: 'Anon'})})")  # fmt: skip
    expect(page.locator("#m2 blockquote")).to_have_text("Between")
    post(server, "after")
    expect(page.locator("#m3 .text")).to_have_text("after")
    assert page.eval_on_selector_all("#log article", "all => all.map(a => a.id)") == ["m1", "m2", "m3"]


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_quotes_are_found_and_posted(script: bool, server: Server, open_page: Open) -> None:
    """By words of the text or the author; the one that is shown large goes into a room as a message."""
    page = open_page("/quotes", live=False, java_script_enabled=script)
    page.fill("[name=quote]", "Programs must be written for people to read")
    page.fill("[name=author]", "Harold Abelson")
    page.click("#add-quote button")
    expect(page.locator("#quote-list")).to_contain_text("Abelson")
    page.fill("[name=q]", "PEOPLE abelson")
    page.click("#search button")
    page.wait_for_url("**q=PEOPLE*")  # the page before has one quote too
    expect(page.locator("#quote-list li")).to_have_count(1)
    page.click("#quote-list .large")
    expect(page.locator("#chosen-quote")).to_have_text("Programs must be written for people to read")
    page.fill("#post-quote [name=user]", "Ada")
    page.click("#post-quote button")
    page.wait_for_url("**/#m2")
    expect(page.locator("#m2 .text")).to_have_text("“Programs must be written for people to read” — Harold Abelson")
    page.goto(f"{server.url}/quotes?q=nowhere-to-be-found")
    expect(page.locator("#quote-list li")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("No quote has these words")

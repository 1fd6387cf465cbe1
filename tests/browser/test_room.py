"""The room: its head, menus, composer, keys, and coming back. One server; each test has a room of its own."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from server import Server
from test_features import act
from test_layout import create, inside, phone
from test_pages import later, live_and_loaded, long, sign, waits, write
from test_quality import violations

Open = Callable[..., Any]
FIELD = "[name=message]"
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, driver: Any, port: int) -> Iterator[Server]:
    """One for the module."""
    data = tmp_path_factory.mktemp("room") / "data"
    data.mkdir()
    running = Server(data, port)
    running.start()
    yield running
    running.kill()


def say(server: Server, room: str, *texts: str) -> None:
    """As curl does, into a room."""
    for text in texts:
        body = json.dumps({"user": "Bo", "message": text}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{server.url}/api/v1/rooms/{room}/messages", body, headers)
        urllib.request.urlopen(request, timeout=60).close()


def screen(width: int, scheme: str) -> dict[str, Any]:
    size = phone(width) if width < 1000 else {"viewport": {"width": width, "height": 800}}
    return {**size, "color_scheme": scheme}


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light"), long(390, "light"), long(1280, "dark")])
def test_what_opens_is_in_the_window(width: int, scheme: str, server: Server, open_page: Open) -> None:
    """Each menu and panel, with nothing for axe to find; Esc closes it."""
    room = f"menus-{width}-{scheme}"
    create(server, room, "A title that is longer than what a phone has for it")
    say(server, room, "hello")
    page = open_page(f"/rooms/{room}", **screen(width, scheme))
    sign(page, f"Ada {width}")

    def of_the_message() -> None:
        page.tap("#m1 .text") if width < 1000 else page.click("#m1 [data-action=more]")

    def the_emoji() -> None:
        of_the_message()
        page.click("#message-menu [data-action=emoji]")
        page.fill("#emoji input", "heart")
        expect(page.locator("#emoji .emoji-grid [title='red heart']")).to_be_visible()

    def of_the_time() -> None:
        page.click("[popovertarget=when]")
        page.select_option("[name=send_at]", "at")

    def the_keys() -> None:
        page.focus("#pill")
        page.keyboard.press("?")

    def of_the_names() -> None:
        page.fill(FIELD, "")
        page.locator(FIELD).press_sequentially("@b")

    for opens, card in [
        (lambda: page.click("#pill"), "#diagnosis"), (of_the_message, "#message-menu"), (the_emoji, "#emoji"),
        (lambda: page.click("[popovertarget=format]"), "#format"), (of_the_time, "#when"),
        (lambda: page.click("[popovertarget=add]"), "#add"), (the_keys, "#keys"), (of_the_names, "#mentions"),
        (lambda: page.keyboard.press("Control+k"), "#switcher"),
    ]:  # fmt: skip
        opens()
        expect(page.locator(card)).to_be_visible()
        waits(page, lambda card=card: inside(page, card), f"{card} in the window")
        assert violations(page) == [], card
        page.keyboard.press("Escape")
        expect(page.locator(card)).to_be_hidden()
    waits(page, lambda: inside(page, "#room-name"), "the room's name in the window")


def test_the_dot_is_silent_while_all_is_well(server: Server, open_page: Open) -> None:
    """Its panel has the newest event and the cursor; numbers are shown beside the messages if they are wanted."""
    create(server, "head", "Heads")
    say(server, "head", "one", "two")
    page = open_page("/rooms/head")
    expect(page.locator("#pill")).to_have_attribute("data-quiet", "")
    expect(page.locator(".room-title")).to_have_text("Heads")
    page.click("#pill")
    expect(page.locator("#diagnosis")).to_contain_text("event 2")
    expect(page.locator("#facts")).to_contain_text(re.compile(r"2\.[0-9a-f]{16}"))
    number = "getComputedStyle(document.querySelector('#m2 .number'), '::after').content"
    assert page.evaluate(number) == "none"
    page.check("#event-numbers")
    waits(page, lambda: "#2" in page.evaluate(number), "the numbers")


def test_code_of_several_lines_is_a_block(server: Server, open_page: Open) -> None:
    """In the first HTML and as it comes; code within a line stays there."""
    create(server, "code")
    page = open_page("/rooms/code")
    say(server, "code", "see `x`:\n```\nif x:\n\n    pass\n```")
    for _ in live_and_loaded(page):
        block = page.locator("#m1 code.block")
        expect(block).to_have_text("if x:\n\n    pass")
        assert block.evaluate("element => getComputedStyle(element).display") == "block"
        expect(page.locator("#m1 code:not(.block)")).to_have_text("x")


def test_a_name_is_asked_for_first_and_another_is_offered(server: Server, open_page: Open) -> None:
    """There is no field for a text before there is a name; one that is in use leads to a free one."""
    create(server, "names")
    ada, other = open_page("/rooms/names"), open_page("/rooms/names")
    expect(ada.locator(FIELD)).to_be_hidden()
    expect(ada.locator("[name=user]")).to_be_focused()
    ada.keyboard.type("Ada")
    ada.keyboard.press("Enter")
    expect(ada.locator("[name=user]")).to_be_hidden()
    expect(ada.locator(FIELD)).to_be_focused()
    ada.keyboard.type("it is me")
    ada.keyboard.press("Enter")
    expect(other.locator("#m1")).to_be_visible()
    write(other, "no, me", "Ada")
    other.get_by_role("button", name="Send as Ada 2").click()
    expect(other.locator("#m2 .user")).to_have_text("Ada 2")
    expect(other.locator("#outbox article")).to_have_count(0)
    expect(other.locator("[name=user]")).to_have_value("Ada 2")


def test_a_reply_waits_for_the_name(server: Server, open_page: Open) -> None:
    """Who answers before there is a name gives it first; Esc in a panel closes the panel and keeps the reply."""
    create(server, "answers")
    say(server, "answers", "who is there?")
    page = open_page("/rooms/answers")
    act(page, 1, "reply")
    expect(page.locator("#context")).to_be_visible()
    expect(page.locator("[name=user]")).to_be_focused()
    expect(page.locator(FIELD)).to_be_hidden()
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    expect(page.locator(FIELD)).to_be_focused()
    page.click("[popovertarget=format]")
    for place in ("[popovertarget=format]", "#format select"):  # what opens a panel keeps the focus
        expect(page.locator("#format")).to_be_visible()
        page.focus(place)
        page.keyboard.press("Escape")
        expect(page.locator("#format")).to_be_hidden()
        expect(page.locator("#context")).to_be_visible()
        page.click("[popovertarget=format]")
    page.keyboard.press("Escape")
    page.fill(FIELD, "I am")
    page.press(FIELD, "Enter")
    expect(page.locator("#m2 .answers-text")).to_contain_text("who is there?")


def test_one_edits_where_the_message_stands(server: Server, open_page: Open) -> None:
    """With what was half written kept for afterwards."""
    create(server, "edits")
    page = open_page("/rooms/edits")
    write(page, "frist", "Ada")
    expect(page.locator("#m1")).to_be_visible()
    page.fill(FIELD, "half")
    act(page, 1, "edit")
    expect(page.locator("#m1 #composer")).to_be_visible()
    expect(page.locator("#m1 .text")).to_be_hidden()
    expect(page.locator(FIELD)).to_be_focused()
    assert violations(page) == []
    write(page, "first")
    expect(page.locator("#m1 .text")).to_have_text("first")
    expect(page.locator("main > #composer")).to_be_visible()
    expect(page.locator(FIELD)).to_have_value("half")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), long(1280, "light"), long(1280, "dark")])
def test_nothing_is_wrong_after_what_one_does(width: int, scheme: str, server: Server, open_page: Open) -> None:
    """By axe: after an answer, a reaction, a deletion that waits and one that is done, and something refused."""
    room = f"acts-{width}-{scheme}"
    create(server, room)
    say(server, room, "hello")
    page = open_page(f"/rooms/{room}", clock=True, **screen(width, scheme))

    def act(number: int, action: str) -> None:
        page.eval_on_selector(f"#m{number} [data-action=more]", "button => button.click()")
        page.click(f"#message-menu [data-action={action}]")

    def write(text: str) -> None:
        page.fill(FIELD, text)
        page.click("#composer [type=submit]")

    sign(page, "Ada")
    act(1, "reply")
    expect(page.locator("#context")).to_be_visible()
    assert violations(page) == []
    write("an **answer** with `code` and https://a.example")
    expect(page.locator("#m2 .answers")).to_be_visible()
    act(1, "like")
    expect(page.locator("#m1 [data-action=like]")).to_have_attribute("aria-pressed", "true")
    later(page, "+1h")
    write("later")
    page.click("#scheduled summary")
    assert violations(page) == []
    act(2, "delete")
    assert violations(page) == []
    page.clock.fast_forward(6_000)
    expect(page.locator("#m2.deleted")).to_be_visible()
    sign(page, "Ada\u202e")
    write("refused")
    expect(page.locator("#outbox [data-state=failed]")).to_be_visible()
    assert violations(page) == []


def test_a_reaction_by_keyboard(server: Server, open_page: Open) -> None:
    """From the message: its menu, the search by a name, Enter; the focus is on the message again, after Esc too."""
    create(server, "react")
    say(server, "react", "hello")
    page = open_page("/rooms/react")
    sign(page, "Ada")
    page.focus("#m1")
    page.keyboard.press("m")
    expect(page.locator("#message-menu [data-action=like]")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#emoji input")).to_be_focused()
    page.keyboard.type("party pop")
    expect(page.locator("#emoji .emoji-grid button")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#m1 .chip[data-emoji='🎉']")).to_have_text("🎉 1")
    expect(page.locator("#m1")).to_be_focused()
    page.keyboard.press("m")
    expect(page.locator("#message-menu [data-action=like]")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#emoji input")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#emoji .emoji-grid button").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#emoji")).to_be_hidden()
    expect(page.locator("#m1")).to_be_focused()


def test_the_focus_is_given_on(server: Server, open_page: Open) -> None:
    """By who uses the keyboard: what has it may go with what it does. And a link with Ctrl opens a tab of its own."""
    create(server, "focus")
    say(server, "focus", *(f"word {number}" for number in range(30)))
    page = open_page("/rooms/focus", viewport={"width": 800, "height": 400})
    sign(page, "Ada")
    act(page, 30, "reply")
    expect(page.locator("#cancel-context")).to_be_visible()
    page.focus("#cancel-context")
    page.keyboard.press("Enter")
    expect(page.locator("#context")).to_be_hidden()
    expect(page.locator(FIELD)).to_be_focused()
    page.evaluate("document.getElementById('scroller').scrollTop = 0")
    expect(page.locator("#newer")).to_be_visible()
    page.focus("#newer")
    page.keyboard.press("Enter")
    expect(page.locator("#newer")).to_be_hidden()
    expect(page.locator(FIELD)).to_be_focused()
    sign(page, "Ada\u202e")
    write(page, "refused")
    expect(page.locator("#outbox >> text=Discard")).to_be_visible()
    page.focus("#outbox >> text=Discard")
    page.keyboard.press("Enter")
    expect(page.locator("#outbox article")).to_have_count(0)
    expect(page.locator(FIELD)).to_be_focused()
    is_free = """([selector, ctrlKey]) => {
      let free = null;
      addEventListener("click", (event) => {
        free = !event.defaultPrevented;
        event.preventDefault();
      }, { once: true });
      const click = new MouseEvent("click", { ctrlKey, bubbles: true, cancelable: true });
      document.querySelector(selector).dispatchEvent(click);
      return free;
    }"""
    for selector in ("#m30 .number", "#earlier"):
        assert [page.evaluate(is_free, [selector, ctrl]) for ctrl in (True, False)] == [True, False], selector


def test_few_stops_of_tab_lead_to_the_composer(server: Server, open_page: Open) -> None:
    """One message of the log is among them, with its own; the page begins in the composer."""
    create(server, "stops")
    say(server, "stops", *[f"word {number} https://a.example" for number in range(10)])
    page = open_page("/rooms/stops")
    sign(page, "Ada")
    page.reload()
    expect(page.locator(FIELD)).to_be_focused()
    page.focus("#pill")
    stops = 0
    while not page.evaluate(f"document.activeElement.matches('{FIELD}')"):
        page.keyboard.press("Tab")
        stops += 1
        assert stops <= 12
    # Where nothing has the focus, on a phone, the first stop leads there.
    page = open_page("/rooms/stops", **phone(390))
    sign(page, "Bo")
    page.reload()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".skip")).not_to_be_focused()  # with the next frame
    for _ in range(3):
        if not page.evaluate(f"document.activeElement.matches('{FIELD}')"):
            page.keyboard.press("Tab")
    expect(page.locator(FIELD)).to_be_focused()


def test_names_are_completed_and_words_searched(server: Server, open_page: Open) -> None:
    """Behind an @ in the composer; Ctrl+K leads to people and to the search."""
    create(server, "calls")
    say(server, "calls", "hello")
    page = open_page("/rooms/calls")
    sign(page, "Ada")
    page.keyboard.type("see @b")
    expect(page.locator("#mentions [role=option]")).to_have_text(["Bo"])
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(page.locator(FIELD)).to_have_value("see @Bo ")
    page.keyboard.press("Control+k")
    expect(page.locator("#switcher input")).to_be_focused()
    page.keyboard.type("hel")
    expect(page.locator("#switcher [role=option]")).to_have_text([re.compile("Search for “hel”")])
    assert violations(page) == []
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=hel")


def test_what_comes_while_nobody_looks_is_under_the_line(server: Server, open_page: Open) -> None:
    """The line is set anew each time that the page is hidden, and the page is at the first of it when it is seen."""
    create(server, "hidden")
    say(server, "hidden", "old")
    page = open_page("/rooms/hidden", viewport={"width": 800, "height": 500})
    for first, count in [(2, 1), (3, 30)]:
        page.evaluate(HIDE, True)
        say(server, "hidden", *[f"new {number}" for number in range(count)])
        expect(page.locator(f"#m{first + count - 1}")).to_have_count(1)
        page.evaluate(HIDE, False)
        expect(page.locator(".first-new")).to_have_id(f"m{first}")
        expect(page.locator(f"#m{first}")).to_be_in_viewport()
    expect(page.locator("#newer")).to_have_text("30 new ↓")
    page.click("#missed [data-done]")
    expect(page.locator(".first-new")).to_have_count(0)
    expect(page.locator("#m32")).to_be_in_viewport()
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    expect(page.locator("#missed")).to_be_hidden()


def test_a_bot_is_marked(server: Server, open_page: Open) -> None:
    """A follow-up has no face of its own, and a message of a program says so."""
    create(server, "bots")
    say(server, "bots", "one", "two")
    page = open_page("/rooms/bots")
    expect(page.locator("#m1 .face")).to_have_text("BO")
    expect(page.locator("#m2 .face")).to_be_hidden()
    shown = page.evaluate("""async () => {
      const { blank, showMessage } = await import("/static/js/entries/message.js");
      const article = blank();
      showMessage(article, { id: 9, user: "Build", by: "abc", bot: true, message: "done", at: "2026-11-28T10:00:00Z" });
      return [article.querySelector(".bot").hidden, article.querySelector(".face").textContent];
    }""")
    assert shown == [False, "BU"]


def test_it_moves_and_is_seen_as_the_system_says(server: Server, open_page: Open) -> None:
    """Nothing moves for those who want it so; in colours of their own, what is pressed or current has a mark."""
    create(server, "systems")
    say(server, "systems", "hello")
    page = open_page("/rooms/systems")
    sign(page, "Ada")
    act(page, 1, "like")
    expect(page.locator("#m1 [data-action=like]")).to_have_attribute("aria-pressed", "true")
    page.goto(f"{page.url}#m1")
    # It flashes, for less time than this test may take to look.
    moving = """() => {
      document.getElementById("m1").classList.add("flash");
      return [...document.querySelectorAll("*")].map((each) => getComputedStyle(each))
        .flatMap(({ animationDuration, transitionDuration, animationName }) =>
          [animationName === "none" ? 0 : parseFloat(animationDuration), parseFloat(transitionDuration)])
        .filter((seconds) => seconds > 0.001).length;
    }"""
    waits(page, lambda: page.evaluate(moving) > 0, "something moves")
    page.emulate_media(reduced_motion="reduce")
    waits(page, lambda: page.evaluate(moving) == 0, "nothing moves")
    marked = "each => getComputedStyle(each).outlineStyle"
    for selector in ("#m1 [data-action=like]", "#rooms [aria-current]"):
        assert page.eval_on_selector(selector, marked) == "none", selector
    page.emulate_media(forced_colors="active")
    for selector in ("#m1 [data-action=like]", "#rooms [aria-current]"):
        assert page.eval_on_selector(selector, marked) == "solid", selector
    dot = page.eval_on_selector("#pill .dot", "each => getComputedStyle(each).backgroundColor")
    assert dot == page.evaluate("getComputedStyle(document.body).color")

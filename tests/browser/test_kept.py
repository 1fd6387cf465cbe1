"""Nothing that a person typed or did is lost: through failures, refusals, reloads, other tabs, and undo."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from server import Server
from test_behaviour import held_polls, scroll_to, tab
from test_pages import loads, long, post, sign, stop_time, texts, waits, write

Open = Callable[..., Any]
COMMANDS = "**/api/v1/rooms/lobby/commands"
FIELD = "[name=message]"


def stored(server: Server, number: int) -> dict[str, Any]:
    """A message as the server has it."""
    with urllib.request.urlopen(f"{server.url}/api/v1/rooms/lobby", timeout=60) as answer:
        messages = json.load(answer)["messages"]
    found: dict[str, Any] = next(message for message in messages if message["id"] == number)
    return found


def said(page: Any, *words: str) -> None:
    """These messages by Ada, in the log."""
    for word in words:
        write(page, word, "Ada")
        expect(page.locator("#log article .text").last).to_have_text(word)


def act(page: Any, number: int, action: str) -> None:
    """Choose what to do with a message, whatever lies under the mouse."""
    chosen = page.evaluate(
        """([number, action]) => {
          const beside = document.querySelector(`#m${number} [data-action=${action}]`);
          const found = beside && !beside.hidden;
          (found ? beside : document.querySelector(`#m${number} [data-action=more]`)).click();
          return found;
        }""",
        [number, action],
    )
    if not chosen:
        page.wait_for_selector("#message-menu:popover-open")
        page.eval_on_selector(f"#message-menu [data-action={action}]", "button => button.click()")


def fail(page: Any, times: int, only: str = "") -> list[str]:
    """Break the next requests with commands, or only those with this text; answers what each asked for."""
    asked: list[str] = []

    def handle(route: Any) -> None:
        message = route.request.post_data_json.get("message", {})
        asked.append(message.get("message") or message.get("reaction") or "")
        matching = [text for text in asked if only in text]
        breaks = only in asked[-1] and len(matching) <= times
        route.abort() if breaks else route.continue_()

    page.route(COMMANDS, handle)
    return asked


def settled(page: Any) -> None:
    """Nothing waits for the server."""
    unsent = "Object.keys(localStorage).filter(key => key.startsWith('quotechat:outbox:')).length"
    waits(page, lambda: page.evaluate(unsent) == 0, "nothing is unsent")


def test_the_last_of_two_edits_holds(server: Server, open_page: Open) -> None:
    """Although the requests of the first fail: the second is not sent before the first is answered."""
    page = open_page("/polling")
    said(page, "v0")
    asked = fail(page, 2)
    for text in ("v1", "v2 final"):
        page.press(FIELD, "ArrowUp")
        write(page, text)
        waits(page, lambda: asked, "the first try")  # before which a second edit takes the place of the first
    expect(page.locator("#m1 .text")).to_have_text("v2 final")
    settled(page)
    assert asked == ["v1", "v1", "v1", "v2 final"]
    assert stored(server, 1)["message"] == "v2 final"


def test_the_last_of_two_edits_holds_in_two_tabs(server: Server, open_page: Open) -> None:
    """Although the first tab is still repeating its own: the second sends that one first."""
    one = open_page("/polling")
    said(one, "v0")
    two = tab(one, f"{server.url}/polling")
    fail(one, 1_000)
    one.press(FIELD, "ArrowUp")
    write(one, "v1")
    expect(one.locator("#outbox")).to_contain_text("v1")
    two.press(FIELD, "ArrowUp")
    write(two, "v2 final")
    expect(two.locator("#m1 .text")).to_have_text("v2 final")
    one.unroute(COMMANDS)
    settled(one)
    expect(one.locator("#outbox article")).to_have_count(0)
    assert stored(server, 1)["message"] == "v2 final"


def test_a_reaction_that_is_taken_back_is_not_there(server: Server, open_page: Open) -> None:
    """Although the request that set it fails at first, and the page and the server agree."""
    page = open_page("/polling")
    said(page, "x")
    asked = fail(page, 2, "like")
    act(page, 1, "like")
    waits(page, lambda: asked, "the first try")
    act(page, 1, "like")
    settled(page)
    assert asked == ["like", "like", "like", "none"]
    assert "likes" not in stored(server, 1)
    expect(page.locator("#m1 [data-action=like]")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#m1 [data-action=like] .count")).to_have_text("")


def test_a_double_click_sends_one_after_the_other(server: Server, open_page: Open) -> None:
    """The second request is not there before the first is answered, so nothing can overtake."""
    page = open_page("/polling")
    said(page, "x")
    held: list[Any] = []
    page.route(COMMANDS, lambda route: route.continue_() if held else held.append(route))
    asked: list[str] = []
    page.on("request", lambda request: request.url.endswith("/commands") and asked.append(request.post_data))
    act(page, 1, "like")
    waits(page, lambda: held, "the first request")  # before which the second click takes back what was never sent
    act(page, 1, "like")
    page.wait_for_timeout(300)
    assert len(asked) == 1
    held[0].continue_()
    settled(page)
    assert len(asked) == 2
    assert "likes" not in stored(server, 1)
    expect(page.locator("#m1 [data-action=like]")).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("path", ["/polling", "/websocket"])
def test_an_outage_loses_nothing(path: str, server: Server, open_page: Open) -> None:
    """An edit, a reaction, a deletion and a quote while the server is away come to it afterwards, once."""
    page = open_page(path, fresh=True)
    said(page, "to edit", "to like", "to delete", "to quote")
    # The menu comes a moment after the page.
    loads(page, "menu")
    page.clock.install()
    server.kill()
    act(page, 1, "edit")
    write(page, "edited meanwhile")
    act(page, 2, "like")
    act(page, 3, "delete")
    act(page, 4, "quote")
    expect(page.locator("#outbox")).to_contain_text("edited meanwhile")
    expect(page.locator("#m2 [data-action=like]")).to_have_attribute("aria-pressed", "true")
    # Longer than the time for undoing, and than six attempts took once.
    for _ in range(20):
        page.clock.run_for(2_000)
        page.wait_for_timeout(50)  # in which a request fails
    expect(page.locator("#outbox")).to_contain_text("edited meanwhile")
    server.start()
    page.clock.run_for(31_000)  # than which no pause is longer
    expect(page.locator("#m1 .text")).to_have_text("edited meanwhile")
    expect(page.locator("#m3.deleted")).to_have_count(1)
    expect(page.locator("#log .quote-card")).to_contain_text("to quote")
    settled(page)
    expect(page.locator("#outbox article")).to_have_count(0)
    assert stored(server, 1)["message"] == "edited meanwhile"
    assert stored(server, 2)["likes"] == 1
    assert stored(server, 3)["deleted"] is True


def test_an_edit_survives_a_reload(server: Server, open_page: Open) -> None:
    """Unsent when the page goes, it is sent by the next one; what is deleted there is deleted."""
    page = open_page("/polling")
    said(page, "v0", "gone")
    fail(page, 1_000)
    act(page, 2, "delete")
    act(page, 1, "edit")
    write(page, "after the reload")
    expect(page.locator("#outbox")).to_contain_text("after the reload")
    page.unroute(COMMANDS)
    page.reload()
    expect(page.locator("#m1 .text")).to_have_text("after the reload")
    expect(page.locator("#m2.deleted")).to_have_count(1)


def test_a_refused_edit_comes_back(server: Server, open_page: Open) -> None:
    """Into the field, with the reason; mended there, it is saved, and nothing is left over."""
    page = open_page("/")
    said(page, "v0")
    page.press(FIELD, "ArrowUp")
    write(page, "a new\u000btext")
    expect(page.locator("#refusal")).to_contain_text("control character")
    expect(page.locator(FIELD)).to_have_value("a new\u000btext")
    expect(page.locator("#context")).to_be_visible()
    page.reload()
    expect(page.locator(FIELD)).to_have_value("a new\u000btext")
    expect(page.locator("#outbox [data-state=failed]")).to_contain_text("control character")
    write(page, "a new text")
    expect(page.locator("#m1 .text")).to_have_text("a new text")
    expect(page.locator("#outbox article")).to_have_count(0)


def test_a_refused_edit_does_not_push_a_draft_aside(server: Server, open_page: Open) -> None:
    """Who writes on already finds it in its row, and by Edit in the field; what was written returns after it."""
    page = open_page("/polling")
    said(page, "v0")
    held: list[Any] = []
    page.route(COMMANDS, lambda route: held.append(route))
    page.press(FIELD, "ArrowUp")
    write(page, "bad\u000btext")
    page.fill(FIELD, "half a thou")
    waits(page, lambda: held, "the request")
    held[0].continue_()
    row = page.locator("#outbox [data-state=failed]")
    expect(row).to_contain_text("bad")
    expect(page.locator(FIELD)).to_have_value("half a thou")
    page.unroute(COMMANDS)
    row.get_by_role("button", name="Edit").click()
    expect(page.locator(FIELD)).to_have_value("bad\u000btext")
    write(page, "good text")
    expect(page.locator(FIELD)).to_have_value("half a thou")
    expect(page.locator("#m1 .text")).to_have_text("good text")


def test_a_refused_deletion_says_so(server: Server, open_page: Open) -> None:
    """The message stands there as before, and what was told is taken back in words."""
    page = open_page("/polling")
    said(page, "kept")
    # As after the server's data was replaced: it is not this person's any more.
    page.context.clear_cookies()
    act(page, 1, "delete")
    row = page.locator("#outbox [data-state=failed]")
    expect(row).to_contain_text("not deleted")
    expect(page.locator("#m1[data-leaving]")).to_have_count(0)
    row.get_by_role("button", name="Discard").click()
    expect(row).to_have_count(0)


def test_a_name_in_use_can_be_mended(server: Server, open_page: Open) -> None:
    """Edit puts the text back and the cursor into the name; Retry takes the name that stands there now."""
    ada, bo = open_page("/"), open_page("/")
    said(ada, "it is me")
    row = bo.locator("#outbox [data-state=failed]")
    write(bo, "one", "Ada")
    expect(row).to_contain_text("in use")
    sign(bo, "Bo")
    row.get_by_role("button", name="Retry").click()
    expect(bo.locator("#m2 .text")).to_have_text("one")
    expect(bo.locator("#m2 .user")).to_have_text("Bo")
    write(bo, "two", "Ada")
    bo.fill(FIELD, "half a thou")
    row.get_by_role("button", name="Edit").click()
    expect(bo.locator(FIELD)).to_have_value("two")
    expect(bo.locator("[name=user]")).to_be_focused()
    bo.keyboard.type("Bo")
    bo.keyboard.press("Enter")
    expect(bo.locator("#m3 .text")).to_have_text("two")
    expect(bo.locator("#outbox article")).to_have_count(0)
    expect(bo.locator(FIELD)).to_have_value("half a thou")


def test_a_control_character_can_be_mended(server: Server, open_page: Open) -> None:
    """The row says what is wrong; Edit puts the text back into the field, and takes the row away once it is sent."""
    page = open_page("/")
    row = page.locator("#outbox [data-state=failed]")
    write(page, "a new\u000btext", "Ada")
    expect(row).to_contain_text("control character")
    expect(page.locator(FIELD)).to_have_value("")
    row.get_by_role("button", name="Edit").click()
    expect(page.locator(FIELD)).to_have_value("a new\u000btext")
    expect(page.locator(FIELD)).to_be_focused()
    write(page, "a new text")
    expect(page.locator("#m1 .text")).to_have_text("a new text")
    expect(page.locator("#outbox article")).to_have_count(0)


def test_a_moment_in_the_past_can_be_mended(server: Server, open_page: Open) -> None:
    """Edit puts the cursor into the time, which stands there as it was."""
    page = open_page("/")
    sign(page, "Ada")
    page.click("[popovertarget=when]")
    page.select_option("[name=send_at]", "at")
    page.fill("#at-time input", "2020-01-01T12:00")
    page.click("#when-done")
    write(page, "too late")
    row = page.locator("#outbox [data-state=failed]")
    row.get_by_role("button", name="Edit").click()
    expect(page.locator("#at-time input")).to_be_focused()
    expect(page.locator("#at-time input")).to_have_value("2020-01-01T12:00")
    page.select_option("[name=send_at]", "")
    page.click("#when-done")
    page.press(FIELD, "Enter")
    expect(page.locator("#m1 .text")).to_have_text("too late")


@pytest.mark.parametrize("path", ["/polling", long("/websocket")])
def test_ones_own_reaction_is_pressed_in_all_tabs(path: str, server: Server, open_page: Open) -> None:
    """And a click in the other tab takes it back."""
    one = open_page(path)
    said(one, "x")
    two = tab(one, server.url + path)
    like = "#m1 [data-action=like]"
    act(one, 1, "like")
    for page in (one, two):
        expect(page.locator(like)).to_have_attribute("aria-pressed", "true")
        expect(page.locator(f"{like} .count")).to_have_text("1")
    act(two, 1, "like")
    for page in (one, two):
        expect(page.locator(like)).to_have_attribute("aria-pressed", "false")
        expect(page.locator(f"{like} .count")).to_have_text("")


def test_a_selection_survives_the_reactions_of_others(server: Server, open_page: Open) -> None:
    """And the focus on a link: only the counts change."""
    page, other = open_page("/"), open_page("/")
    sign(page, "Ada")
    page.fill(FIELD, "see https://a.example now\n\n\n\nbelow")
    page.press(FIELD, "Enter")
    expect(other.locator("#m1")).to_be_visible()
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#m1 .text'))")
    page.focus("#m1 .text a")
    act(other, 1, "like")
    expect(page.locator("#m1 [data-action=like] .count")).to_have_text("1")
    post(server, "another")
    expect(page.locator("#m3")).to_be_visible()
    assert page.evaluate("getSelection().toString()").startswith("see https://a.example now")
    expect(page.locator("#m1 .text a")).to_be_focused()


def test_a_deleted_message_is_only_deleted(server: Server, open_page: Open) -> None:
    """The stub is not struck through, and several deletions are undone together, by the button and by Z."""
    page = open_page("/", clock=True)
    said(page, "one", "two", "three")
    stop_time(page)
    for undo in ("button", "key"):
        act(page, 1, "delete")
        act(page, 2, "delete")
        expect(page.locator("#toast")).to_contain_text("2 messages deleted")
        if undo == "button":
            page.click("#toast button")
        else:
            page.focus("#m3")
            page.keyboard.press("z")
        expect(page.locator("[data-leaving]")).to_have_count(0)
    act(page, 3, "delete")
    page.clock.resume()
    expect(page.locator("#m3.deleted")).to_have_count(1)
    expect(page.locator("[data-leaving]")).to_have_count(0)
    assert [stored(server, number).get("deleted") for number in (1, 2, 3)] == [None, None, True]


def test_a_deletion_is_undone_though_another_tab_opens(server: Server, open_page: Open) -> None:
    """The other tab shows what is being deleted, does not send it, and hears that it stays."""
    one = open_page("/", clock=True)
    said(one, "kept", "gone")
    stop_time(one)
    act(one, 1, "delete")
    two = tab(one, server.url)
    expect(two.locator("#m1")).to_have_attribute("data-leaving", "")
    one.click("#toast button")
    expect(two.locator("[data-leaving]")).to_have_count(0)
    act(one, 2, "delete")
    one.clock.resume()
    expect(two.locator("#m2.deleted")).to_have_count(1)
    assert [stored(server, number).get("deleted") for number in (1, 2)] == [None, True]


def test_a_changed_message_is_not_said_beside_the_scheduled_one(server: Server, open_page: Open) -> None:
    """It was to replace one that waits; if that one is gone when the server hears of it, the person chooses."""
    page = open_page("/polling")
    sign(page, "Ada")
    page.click("[popovertarget=when]")
    page.select_option("[name=send_at]", "+1h")
    page.click("#when-done")
    write(page, "old")
    page.click("#scheduled summary")
    fail(page, 1_000)
    page.locator("#scheduled li").get_by_role("button", name="Edit").click()
    expect(page.locator(FIELD)).to_have_value("old")
    page.click("#not-later")
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    write(page, "new")
    page.evaluate("""async () => {
        const { scheduled } = await (await fetch("/api/v1/rooms/lobby/scheduled")).json();
        await fetch(`/api/v1/rooms/lobby/scheduled/${scheduled[0].id}`, { method: "DELETE" });
    }""")
    page.unroute(COMMANDS)
    page.evaluate("dispatchEvent(new Event('online'))")
    row = page.locator("#outbox [data-state=failed]")
    expect(row).to_contain_text("waits no more")
    assert texts(page) == []
    row.get_by_role("button", name="Retry").click()
    expect(page.locator("#m1 .text")).to_have_text("new")


def test_ones_own_words_are_not_new(server: Server, open_page: Open) -> None:
    """No line stands over them, and it goes when one writes; one's own quote does not count as new below."""
    post(server, "before")
    page = open_page("/")
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    said(page, "mine")
    expect(page.locator(".first-new")).to_have_count(0)
    address = page.url
    page.goto("about:blank")
    post(server, "new")
    page.goto(address)
    expect(page.locator(".first-new")).to_have_id("m3")
    write(page, "an answer")
    expect(page.locator("#m4")).to_be_visible()
    expect(page.locator(".first-new")).to_have_count(0)


def test_ones_own_quote_is_not_new(server: Server, open_page: Open) -> None:
    """Scrolled up, saving a quote shows no count of new messages."""
    for number in range(40):
        post(server, f"word {number}")
    page = open_page("/")
    scroll_to(page, 200)
    page.locator("#m10").scroll_into_view_if_needed()
    act(page, 10, "quote")
    expect(page.locator("#log .quote-card")).to_have_count(1)
    expect(page.locator("#newer")).to_have_text("↓")


@pytest.mark.parametrize("path", ["/websocket", "/polling"])
def test_a_silent_server_is_not_called_live(path: str, server: Server, open_page: Open) -> None:
    """A message without an answer for 3 s, or a network that went: the page looks, and says so meanwhile."""
    import os
    import signal

    page = open_page(path)
    said(page, "x")
    page.evaluate("""() => {
        window.states = [];
        const pill = document.getElementById("pill");
        new MutationObserver(() => states.push(pill.dataset.state)).observe(pill, { attributes: true });
    }""")
    assert server.process is not None
    group = server.process.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        write(page, "unanswered")
        expect(page.locator("#pill")).not_to_have_attribute("data-state", "live")
    finally:
        os.killpg(group, signal.SIGCONT)
    # Without the check the page would give up, much later, without having looked.
    assert page.evaluate("states.find((state) => state !== 'live')") == "checking"
    expect(page.locator("#m2 .text")).to_have_text("unanswered")
    expect(page.locator("#pill")).to_have_attribute("data-state", "live")
    page.evaluate("states.splice(0)")
    # Anew each time: a page that looks already, since its message was slow, does not look twice.
    again = "dispatchEvent(new Event('offline')), states"
    waits(page, lambda: "checking" in page.evaluate(again), "the check")
    expect(page.locator("#pill")).to_have_attribute("data-state", "live")


def test_without_storage_ones_own_messages_can_be_edited(server: Server, open_page: Open) -> None:
    """A browser that keeps nothing for the page does not take the page's knowledge away."""
    page = open_page("/", live=False)
    page.add_init_script("""for (const name of ["localStorage", "sessionStorage"])
        Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError"); } });""")
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    said(page, "v0")
    page.press(FIELD, "ArrowUp")
    write(page, "v1")
    expect(page.locator("#m1 .text")).to_have_text("v1")


def test_a_line_is_copied_in_insecure_contexts(server: Server, open_page: Open) -> None:
    """Without the clipboard interface by a field; if that is refused too, the line is shown."""
    page = open_page("/", permissions=["clipboard-read", "clipboard-write"])
    said(page, "x")
    page.evaluate("window.read = navigator.clipboard.readText.bind(navigator.clipboard)")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    act(page, 1, "curl")
    expect(page.locator("#toast")).to_contain_text("Copied")
    assert "curl -N" in page.evaluate("read()")
    page.evaluate("document.execCommand = () => false")
    act(page, 1, "curl")
    expect(page.locator("#toast")).to_contain_text("Copy this line: curl -N")


def test_many_rooms_by_polling_do_not_wait_for_each_other(server: Server, open_page: Open, no_websockets: str) -> None:
    """An eighth room opens, and from the seventh one sends at once, though a browser has six connections.

    Of its pages four hold a request, never more.
    """
    page = open_page("/", live=False, base=no_websockets)
    for number in range(8):
        body = json.dumps({"name": f"room-{number}"}).encode()
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{server.url}/api/v1/rooms", body, headers)).close()
    tabs, held = [], []
    for number in range(8):
        tabs.append(tab(page, f"{no_websockets}/polling?room=room-{number}"))
        held.append(held_polls(server))
    waits(page, lambda: held.append(held_polls(server)) or held[-1] >= 4, "that four hold a request")
    for number in (6, 7, 0):
        held.append(held_polls(server))
        write(tabs[number], "hello", "Ada")
        # Less than a poll is held.
        expect(tabs[number].locator("#m1 .text")).to_have_text("hello", timeout=20_000)
        expect(tabs[number].locator("#outbox article")).to_have_count(0, timeout=20_000)
    assert max(held) == 4

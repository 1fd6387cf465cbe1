"""How the chat page behaves: history, links, tabs, undo, what is new, the keyboard."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import expect
from server import Server
from test_features import act
from test_pages import long, post, shown, sign, stop_time, texts, waits, write

Open = Callable[..., Any]


def fill(server: Server, count: int) -> None:
    """So many messages, numbered from 1."""
    with requests.Session() as session:
        session.headers["Connection"] = "close"  # the server ends one that rests, perhaps as the next request is sent
        for number in range(1, count + 1):
            body = {"user": "curl", "message": f"word {number}"}
            session.post(f"{server.url}/api/v1/rooms/lobby/messages", json=body, timeout=60).raise_for_status()


def drawn(page: Any) -> None:
    """Wait until the page is at the place where it begins: it goes there with its first frames."""
    page.evaluate("async () => { for (const _ of [1, 2, 3]) await new Promise(requestAnimationFrame); }")


def scroll_to(page: Any, top: int) -> None:
    """And wait until the page has noticed."""
    drawn(page)
    page.evaluate(
        """async (top) => {
          document.getElementById("scroller").scrollTop = top;
          for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
        }""",
        top,
    )


def held_polls(server: Server) -> int:
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        found = re.search(r"^quotechat_held_polls (\d+)", answer.read().decode(), re.M)
    assert found
    return int(found[1])


def tab(page: Any, path: str) -> Any:
    """Another tab of the same browser."""
    other = page.context.new_page()
    other.goto(path)
    other.wait_for_selector("#pill[data-state=live]")
    return other


def test_one_tab_polls_for_all(server: Server, open_page: Open) -> None:
    """Five tabs, one held request; every tab shows every message; another leads when the leader goes."""
    first = open_page("/polling")
    tabs = [first] + [tab(first, f"{server.url}/polling") for _ in range(4)]
    waits(first, lambda: held_polls(server) == 1, "one held poll")
    for number in range(1, 4):
        post(server, f"word {number}")
        for page in tabs:
            waits(page, lambda page=page, number=number: len(shown(page)) == number, "the message in every tab")
        waits(tabs[0], lambda: held_polls(server) <= 1, "one held poll")
        tabs.pop(0).close()
    write(tabs[0], "from a tab", "Ada")
    for page in tabs:
        waits(page, lambda page=page: texts(page)[-1:] == ["from a tab"], "the message in every tab")
        assert [number for number, _ in shown(page)] == [1, 2, 3, 4]


def test_history_comes_without_a_jump(server: Server, open_page: Open) -> None:
    """Scrolling up loads what is older, and what the reader looks at stays where it is."""
    fill(server, 120)
    page = open_page("/")
    assert [number for number, _ in shown(page)] == list(range(71, 121))
    drawn(page)
    # Its name goes, since it is said by the one before; its words stay.
    where = "id => document.querySelector(`#${id} .text`).getBoundingClientRect().top"
    before = page.evaluate("""() => {
        const scroller = document.getElementById("scroller");
        scroller.scrollTop = 0;
        return document.querySelector("#m71 .text").getBoundingClientRect().top;
    }""")
    waits(page, lambda: len(shown(page)) >= 100, "an older page")
    assert abs(page.evaluate(where, "m71") - before) < 2
    scroll_to(page, 0)
    waits(page, lambda: len(shown(page)) == 120, "all of it")
    assert [number for number, _ in shown(page)] == list(range(1, 121))
    expect(page.locator("#earlier")).to_be_hidden()


def test_what_changes_while_history_is_on_its_way(server: Server, open_page: Open) -> None:
    """An edit, a deletion and a reaction reach the page before an answer that was made before them."""
    fill(server, 58)
    writer = open_page("/")

    def command(name: str, message: dict[str, Any]) -> None:
        body = {"command": name, "client_id": str(uuid.uuid4()), "message": message}
        answer = writer.request.post(f"{server.url}/api/v1/rooms/lobby/commands", data=body)
        assert answer.ok, answer.text()

    for text in ("to edit", "to delete"):
        command("send-message", {"user": "Ada", "message": text})
    command("send-message", {"user": "Ada", "message": "it is gone", "reply_to": 60})
    for number in range(50):
        command("send-message", {"user": "Ada", "message": f"newer {number}"})
    page = open_page("/")
    assert shown(page)[0] == (62, "newer 0")

    def answer(route: Any) -> None:
        made = route.fetch()
        command("edit-message", {"id": 59, "message": "edited"})
        command("delete-message", {"id": 60})
        command("react", {"id": 58, "reaction": "like"})
        post(server, "they are stored")
        waits(page, lambda: texts(page)[-1] == "they are stored", "the events")
        route.fulfill(response=made)

    page.route("**/messages?before=*", answer)
    page.locator("#earlier").dispatch_event("click")
    waits(page, lambda: len(shown(page)) > 51, "the older page")
    found = dict(shown(page))
    assert found[59] == "edited"
    assert "to delete" not in found[60]
    assert "to delete" not in page.locator("#m61").inner_text()
    expect(page.locator("#m58 [data-action=like] .count")).to_have_text("1")


def test_a_link_to_a_message_loads_around_it(server: Server, open_page: Open) -> None:
    """Near ones come into the page; far ones get a page of the past, which leads back to the present."""
    fill(server, 120)
    page = open_page("/#m15")
    expect(page.locator("#m15")).to_be_focused()
    expect(page.locator("#m15")).to_be_in_viewport()
    expect(page.locator("#m120")).to_have_count(1)
    page.goto(f"{server.url}/?before=60#m40")
    page.wait_for_selector("#pill[data-state=live]")
    expect(page.locator("#m40")).to_be_in_viewport()
    assert [number for number, _ in shown(page)] == list(range(10, 60))
    post(server, "news")
    expect(page.locator("#newer")).to_have_text(re.compile("1 new"))
    assert [number for number, _ in shown(page)] == list(range(10, 60))
    page.click("#newer")
    expect(page.locator("#m121 .text")).to_have_text("news")
    page.goto(f"{server.url}/#m999")
    expect(page.locator("#toast")).to_contain_text("no message 999")
    assert [number for number, _ in shown(page)] == list(range(72, 122))  # nothing was loaded to say so


def test_what_is_new_stands_under_a_line(server: Server, open_page: Open) -> None:
    """At the next visit: from the first message on that was not seen."""
    fill(server, 3)
    page = open_page("/")
    expect(page.locator(".first-new")).to_have_count(0)
    address = page.url
    page.goto("about:blank")
    post(server, "word 4")
    post(server, "word 5")
    page.goto(address)
    expect(page.locator(".first-new")).to_have_count(1)
    expect(page.locator(".first-new")).to_have_id("m4")
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    expect(page.locator(".first-new")).to_have_count(0)


HOLDS = """() => {
  window.held = [];
  addEventListener("storage", (event) => {
    if (!window.held) return;
    event.stopImmediatePropagation();
    held.push(event);
  });
  window.letGo = () => {
    const all = held;
    window.held = null;
    for (const { key, newValue } of all) dispatchEvent(new StorageEvent("storage", { key, newValue }));
  };
}"""


def test_an_own_quote_is_new_in_no_tab(server: Server, open_page: Open) -> None:
    """Also if a tab hears of it from the server before it hears that another tab of this browser saved it."""
    fill(server, 2)
    page = open_page("/")
    page.goto(f"{server.url}/")
    other = page.context.new_page()
    other.add_init_script(f"({HOLDS})()")
    other.goto(f"{server.url}/")
    other.wait_for_selector("#pill[data-state=live]")
    act(page, 1, "quote")
    expect(other.locator("#m3.first-new blockquote")).to_have_text("word 1")
    waits(other, lambda: other.evaluate("held.length > 0"), "the news of the storage")
    other.evaluate("letGo()")
    expect(other.locator(".first-new")).to_have_count(0)
    act(page, 2, "quote")
    expect(other.locator("#m4.own blockquote")).to_have_text("word 2")
    page.goto(f"{server.url}/quotes")
    page.fill("[name=quote]", "Words")
    page.fill("[name=author]", "Ada")
    page.click("#add-quote button")
    expect(other.locator("#m5.own blockquote")).to_have_text("Words")
    expect(other.locator(".first-new")).to_have_count(0)


def test_reading_above_is_not_disturbed(server: Server, open_page: Open) -> None:
    """Who reads above stays there and sees how much is new; a click leads down."""
    fill(server, 60)
    page = open_page("/")
    scroll_to(page, 600)
    place = "document.getElementById('scroller').scrollTop"
    assert page.evaluate(place) == 600
    for number in range(3):
        post(server, f"new {number}")
    expect(page.locator("#newer")).to_have_text("3 new ↓")
    assert page.evaluate(place) == 600
    page.click("#newer")
    expect(page.locator("#m63")).to_be_in_viewport()
    expect(page.locator("#newer")).to_be_hidden()


def test_a_deletion_can_be_undone(server: Server, open_page: Open) -> None:
    """For five seconds nothing is sent; then, or when the page is left, it is."""
    page, other = open_page("/", clock=True), open_page("/polling")
    for number in (1, 2):
        write(page, f"word {number}", "Ada")
        page.wait_for_selector(f"#m{number}")
    stop_time(page)
    act(page, 1, "delete")
    page.click("#toast button")
    act(page, 2, "delete")
    page.goto("about:blank")
    expect(other.locator("#m2")).to_have_class(re.compile("deleted"))
    expect(other.locator("#m1")).not_to_have_class(re.compile("deleted"))


def test_the_title_counts_what_came_unseen(server: Server, open_page: Open) -> None:
    """While the tab is hidden, in the title and on the icon; seen again, both are plain."""
    page = open_page("/")
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    post(server, "one")
    post(server, "two")
    waits(page, lambda: page.title().startswith("(2) "), "the count")
    icon = page.locator("link[rel=icon]").first
    expect(icon).to_have_attribute("href", re.compile(r"favicon-unread\b.*svg$"))
    page.evaluate(hide, False)
    waits(page, lambda: not page.title().startswith("("), "the plain title")
    expect(icon).to_have_attribute("href", re.compile(r"favicon(?!-unread).*svg$"))


def test_a_page_that_is_open_long_stays_small(server: Server, open_page: Open) -> None:
    """Beyond 800 entries the oldest go, and history brings them back."""
    page = open_page("/")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: post(server, f"word {number}"), range(820)))
    waits(page, lambda: page.locator("#m820").count() == 1, "the last")
    waits(page, lambda: page.locator("#log article").count() < 800, "the oldest are gone")
    scroll_to(page, 0)
    waits(page, lambda: len(shown(page)) > 430, "older ones again")
    numbers = [number for number, _ in shown(page)]
    assert numbers == list(range(numbers[0], 821))


def test_what_is_far_from_the_view_is_not_laid_out(server: Server, open_page: Open) -> None:
    """It keeps its height, and the keyboard goes from message to message all the same."""
    fill(server, 130)
    page = open_page("/")

    def all_shown() -> bool:
        scroll_to(page, 0)
        return len(shown(page)) == 130

    waits(page, all_shown, "all of history")
    scroll_to(page, 10**6)
    height = page.evaluate("scroller.scrollHeight")
    is_drawn = "article => article.checkVisibility({ contentVisibilityAuto: true })"
    waits(page, lambda: not page.eval_on_selector("#log article", is_drawn), "the oldest are left out")
    assert page.evaluate("scroller.scrollHeight") == height
    assert [number for number, _ in shown(page)] == list(range(1, 131))
    page.focus("#m81")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#m80")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#m81")).to_be_focused()


STAYS = """async () => {
  const { Scroll } = await import("/static/js/entries/scroll.js");
  const { put } = await import("/static/js/entries/stretches.js");
  const frames = async () => { for (const _ of [1, 2, 3, 4]) await new Promise(requestAnimationFrame); };
  const add = (parent, name) => parent.appendChild(document.createElement(name));
  // Above the window, as what a burst pushed out of it.
  const scroller = add(document.body, "div");
  scroller.style = "position: fixed; inset-block-start: -9000px; block-size: 100px; inline-size: 90px; overflow: auto";
  const log = add(scroller, "div");
  let last = null;
  const more = (count) => {
    for (; count; count -= 1) {
      const article = document.createElement("article");
      article.style.blockSize = "20px";
      put(log, article, last);
      last = article;
    }
  };
  const scroll = new Scroll(scroller, add(scroller, "button"));
  more(3);
  // Between the look at the heights and the next frame, in which the stretch may be left out.
  await new Promise((done) => new ResizeObserver(() => setTimeout(done)).observe(log.firstChild));
  more(90);
  await frames();
  const heights = [...log.children].map((each) => each.getBoundingClientRect().height);
  scroll.toBottom();
  await frames();
  for (const size of ["900px", "1500px"]) {
    log.style = `block-size: ${size}; overflow: clip`;
    scroller.getBoundingClientRect();
  }
  await frames();
  scroller.remove();
  return [heights, scroll.stuck];
}"""


def test_a_burst_leaves_the_reader_at_the_newest(server: Server, open_page: Open) -> None:
    """A stretch that grows as it is left out keeps its whole height; a log that shrinks is no reader who scrolls up."""
    assert open_page("/").evaluate(STAYS) == [[60 * 20, 33 * 20], True]


@pytest.mark.parametrize("path", ["/websocket", long("/polling")])
def test_waking_looks_at_once(path: str, server: Server, open_page: Open) -> None:
    """When the network is back, or the page is seen again, nobody waits for a back-off of up to 30 s."""
    page = open_page(path, clock=True)
    server.kill()
    page.wait_for_selector("#pill[data-state=waiting]")
    stop_time(page)
    # As if the pause never ended.
    page.wait_for_selector("#pill[data-state=waiting]")
    server.start()
    post(server, "meanwhile")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#m1 .text")).to_have_text("meanwhile")
    expect(page.locator("#pill")).to_have_attribute("data-state", "live")


def test_drafts_are_kept_for_each_room(server: Server, open_page: Open) -> None:
    page = open_page("/")
    sign(page, "Ada")
    page.fill("[name=message]", "half a thou")
    page.click("#rooms >> role=link[name='New room']")
    page.fill("form.fields [name=name]", "tea")
    page.click("form.fields button")
    expect(page.locator("[name=message]")).to_have_value("")
    page.goto(server.url)
    expect(page.locator("[name=message]")).to_have_value("half a thou")


def test_copy_as_curl_reads_on_from_here(server: Server, open_page: Open) -> None:
    """The copied line, run in a shell, streams what came after the message and goes on with what comes."""
    fill(server, 2)
    page = open_page("/", permissions=["clipboard-read", "clipboard-write"])
    act(page, 1, "curl")
    expect(page.locator("#toast")).to_contain_text("Copied")
    line = page.evaluate("navigator.clipboard.readText()")
    shell = ["sh", "-c", f"exec {line}"]
    with subprocess.Popen(shell, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as stream:
        assert stream.stdout is not None
        post(server, "word 3")
        found: list[str] = []
        while len(found) < 2:
            found += re.findall(r'"message":"(word \d)"', stream.stdout.readline())
        stream.terminate()
    assert found == ["word 2", "word 3"]


def test_a_session_by_keyboard_alone(server: Server, open_page: Open) -> None:
    """From the load to a reaction, an answer, an edit, a deletion and its undoing, without a mouse."""
    post(server, "hello")
    page = open_page("/", clock=True)
    keys = page.keyboard
    page.focus("[name=user]")
    keys.type("Ada")
    keys.press("Enter")
    expect(page.locator("[name=message]")).to_be_focused()
    keys.type("**typed**")
    keys.press("Enter")
    expect(page.locator("#m2 strong")).to_have_text("typed")
    expect(page.locator("[name=message]")).to_be_focused()
    keys.press("ArrowUp")
    expect(page.locator("[name=message]")).to_have_value("**typed**")
    keys.type(" again")
    keys.press("Enter")
    expect(page.locator("#m2 .text")).to_have_text("typed again")
    page.focus("#m2")
    keys.press("ArrowUp")
    expect(page.locator("#m1")).to_be_focused()
    keys.press("l")
    expect(page.locator("#m1 [data-action=like]")).to_have_attribute("aria-pressed", "true")
    keys.press("r")
    expect(page.locator("[name=message]")).to_be_focused()
    keys.type("and you")
    keys.press("Enter")
    expect(page.locator("#m5 .answers")).to_contain_text("hello")
    keys.press("Escape")
    page.focus("#m5")
    stop_time(page)
    keys.press("Delete")
    expect(page.locator("#m5")).to_have_attribute("data-leaving", "")
    keys.press("z")
    expect(page.locator("#m5")).not_to_have_attribute("data-leaving", "")
    keys.press("?")
    expect(page.locator("#keys")).to_be_visible()
    keys.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


def test_enter_while_composing_sends_nothing(server: Server, open_page: Open) -> None:
    """The Enter that ends a word of an input method does not send, join or go to a room, and arrows choose among its
    words. Safari tells that Enter by its number alone."""
    page = open_page("/")
    composed = """(field, about) => field.dispatchEvent(
        new KeyboardEvent("keydown", { bubbles: true, cancelable: true, ...about }))"""
    enter = {"key": "Enter", "keyCode": 229}
    page.fill("[name=user]", "Ada")
    assert page.eval_on_selector("[name=user]", composed, enter)  # not prevented: the browser has it
    expect(page.locator("#composer[data-who=first]")).to_be_attached()
    page.press("[name=user]", "Enter")
    page.keyboard.press("ControlOrMeta+k")
    page.fill("#switcher input", "lobby")
    for keys in (enter, {"key": "ArrowDown", "isComposing": True}):
        assert page.eval_on_selector("#switcher input", composed, keys)
        expect(page.locator("#switcher")).to_be_visible()
    page.keyboard.press("Escape")
    page.fill("[name=message]", "にほん")
    page.eval_on_selector("[name=message]", """field => field.dispatchEvent(
        new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, isComposing: true }))""")
    page.press("[name=message]", "Shift+Enter")
    page.press("[name=message]", "End")
    expect(page.locator("[name=message]")).to_have_value("にほん\n")
    page.press("[name=message]", "Enter")
    waits(page, lambda: len(shown(page)) == 1, "the message")


@pytest.mark.parametrize("path", ["/websocket", "/polling", *(long(each) for each in ("/", "/polling?mode=short"))])
def test_a_page_outlives_the_data_of_its_server(
    path: str, server: Server, open_page: Open, tmp_path: Path
) -> None:
    """The data is wiped while the page is open: what it sends then is its own, without a reload."""
    page = open_page(path)
    write(page, "before", "Ada")
    waits(page, lambda: texts(page)[-1:] == ["before"], "the first message")
    server.kill()
    server.data = tmp_path / "other"
    server.data.mkdir()
    server.start()
    page.wait_for_selector("#pill[data-state=live]")
    waits(page, lambda: "before" not in texts(page), "the page of the new room")
    page.wait_for_selector("#pill[data-state=live]")
    write(page, "after", "Ada")
    waits(page, lambda: texts(page)[-1:] == ["after"], "the message")

    def cookies() -> list[Any]:
        return [each for each in page.context.cookies() if len(each["name"]) == len("quotechat-01234567")]

    # The answer that brings the second may come after the event.
    waits(page, lambda: len(cookies()) == 2, "a cookie of each server")
    both = "; ".join(f"{each['name']}={each['value']}" for each in cookies())
    with urllib.request.urlopen(
        urllib.request.Request(f"{server.url}/api/v1/rooms/lobby", headers={"Cookie": both}), timeout=60
    ) as answer:
        assert json.load(answer)["mine"]["messages"] == [1]


def test_after_a_reset_what_is_older_can_be_loaded(server: Server, open_page: Open, tmp_path: Path) -> None:
    """The link to earlier messages is there if the log that is shown now has some, and only then."""

    def restart_on(name: str, count: int) -> None:
        """With the data of another server, in which so many messages are."""
        data = tmp_path / name / "data"
        data.mkdir(parents=True)
        other = Server(data)
        other.start()
        fill(other, count)
        other.kill()
        server.kill()
        server.data = data
        server.start()

    fill(server, 51)
    page = open_page("/")
    earlier, nothing = page.locator("#earlier"), page.locator("#nothing")
    expect(earlier).to_be_visible()
    restart_on("empty", 0)
    waits(page, lambda: shown(page) == [], "the empty log")
    expect(earlier).to_be_hidden()
    expect(nothing).to_be_visible()
    restart_on("long", 60)
    waits(page, lambda: len(shown(page)) == 50, "the newest of the other log")
    expect(nothing).to_be_hidden()
    expect(earlier).to_be_visible()
    # As by the keyboard: a mouse would scroll to the link first, which loads what is older as well, and hides it.
    earlier.dispatch_event("click")
    waits(page, lambda: len(shown(page)) == 60, "all of it")
    assert [number for number, _ in shown(page)] == list(range(1, 61))


def test_a_visitor_whom_the_server_no_longer_lets_in_signs_in(server: Server, open_page: Open) -> None:
    """The page does not stand there as if it were live."""
    page = open_page("/polling")
    server.kill()
    server.settings["QUOTECHAT_ACCESS"] = "private"
    server.start()
    page.wait_for_url(f"{server.url}/sign-in?next=%2Fpolling")

"""The pages in a real browser, before a real server, through the worst that can happen to it."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Error, expect
from server import Server, until

Open = Callable[..., Any]


def long(*values: Any) -> Any:
    """A parameter that `make pages` alone tries: another of `make test` runs the same code."""
    return pytest.param(*values, marks=pytest.mark.long)


def sign(page: Any, user: str) -> None:
    """Say who one is, at first or anew."""
    if not page.locator("[name=user]").is_visible():
        page.click("[popovertarget=format]")
        page.click("#rename")
    page.fill("[name=user]", user)
    if page.input_value("[name=message]"):
        page.focus("[name=message]")
    else:
        page.press("[name=user]", "Enter")


def later(page: Any, choice: str) -> None:
    """Choose when to send, by the value of the choice."""
    page.click("[popovertarget=when]")
    page.select_option("[name=send_at]", choice)
    page.click("#when-done")


def write(page: Any, text: str, user: str = "") -> None:
    if user and page.input_value("[name=user]") != user:
        sign(page, user)
    page.fill("[name=message]", text)
    page.press("[name=message]", "Enter")


def post(server: Server, text: str) -> None:
    """What curl does: no cookie, no script."""
    body = json.dumps({"user": "curl", "message": text}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/api/v1/rooms/lobby/messages", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def choose(page: Any, action: str) -> None:
    """Take an action from the menu of the first message."""
    page.hover("#log article >> nth=0")
    page.click("#log [data-action=more] >> nth=0")
    page.click(f"#message-menu [data-action={action}]")


def shown(page: Any) -> list[tuple[int, str]]:
    """Number and text of every message in the log, as the page has them."""
    script = "a => a.map(m => [Number(m.dataset.id), m.querySelector('.text').textContent])"
    return [tuple(pair) for pair in page.eval_on_selector_all("#log article", script)]


def texts(page: Any) -> list[str]:
    return [text for _, text in shown(page)]


def waits(page: Any, probe: Callable[[], object], what: str, seconds: float = 90) -> None:
    """Like `until`, but lets the browser's own events through."""

    def look() -> object:
        page.wait_for_timeout(20)
        return probe()

    until(look, what, seconds)


def stop_time(page: Any) -> None:
    """No timer of the page runs out until `page.clock.resume()`: what it offers for some seconds stays."""
    for _ in range(2):
        # Refused where that second has passed meanwhile; time stands still from then on.
        with contextlib.suppress(Error):
            return page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    raise AssertionError("time goes on")


def live_and_loaded(page: Any) -> Iterator[None]:
    """Twice: what is claimed of the page holds as it is now, and after a reload."""
    yield
    page.reload()
    yield


def loads(page: Any, *modules: str) -> None:
    """Wait for modules that follow a moment after the page; each is a request, unlike what the page has joined."""
    asked = "performance.getEntriesByType('resource').map(({ name }) => name.split('/').at(-1))"
    waits(page, lambda: {f"{each}.js" for each in modules} <= set(page.evaluate(asked)), "the modules")


def test_all_pages_and_curl_see_one_order(server: Server, open_page: Open) -> None:
    """Whoever writes, over whatever transport: all pages show the same messages in the same order."""
    pages = [open_page(path) for path in ("/polling", "/polling?mode=short", "/websocket", "/")]
    for number, page in enumerate(pages):
        write(page, f"from page {number}", f"Person {number}")
        post(server, f"after page {number}")
    for page in pages:
        waits(page, lambda page=page: len(shown(page)) == 8, "all eight messages")
    assert all(shown(page) == shown(pages[0]) for page in pages)
    assert [number for number, _ in shown(pages[0])] == list(range(1, 9))


def test_reload_keeps_history_draft_and_name(server: Server, open_page: Open) -> None:
    """A reload loses neither what was said nor what is being written."""
    page = open_page("/")
    write(page, "said **loud**", "Ada")
    page.wait_for_selector("#log strong")
    page.fill("[name=message]", "half a thou")
    page.reload()
    assert texts(page) == ["said loud"]
    expect(page.locator("[name=message]")).to_have_value("half a thou")
    expect(page.locator("[name=user]")).to_have_value("Ada")


@pytest.mark.parametrize("path", ["/polling?mode=short", "/websocket", *(long(each) for each in ("/polling", "/"))])
def test_a_killed_server_loses_and_repeats_nothing(path: str, server: Server, open_page: Open) -> None:
    """kill -9 in the midst of writing, restart on the same port: every message is there once, on every
    page, and no page had to be touched."""
    writer, reader = open_page(path), open_page("/polling")
    sign(writer, "Ada")
    for number in range(5):
        write(writer, f"word {number}")
    server.kill()
    for number in range(5, 10):
        write(writer, f"word {number}")
    writer.wait_for_selector("#pill[data-state=waiting], #pill[data-state=connecting]")
    server.start()
    expected = [f"word {number}" for number in range(10)]
    for page in (writer, reader):
        waits(page, lambda page=page: len(shown(page)) >= 10, "all ten words")
        assert texts(page) == expected
    waits(writer, lambda: writer.locator("#outbox article").count() == 0, "nothing is unsent")
    writer.wait_for_selector("#pill[data-state=live]")
    assert texts(open_page("/")) == expected


def test_unsent_words_survive_a_reload(server: Server, open_page: Open) -> None:
    """What was written while the server was away is sent by the next page that opens, once."""
    page = open_page("/")
    sign(page, "Ada")
    server.kill()
    write(page, "kept")
    page.wait_for_selector("#outbox article")
    server.start()
    page.reload()
    waits(page, lambda: texts(page) == ["kept"], "the kept message")
    expect(page.locator("#outbox article")).to_have_count(0)


def test_auto_falls_back_where_websockets_are_blocked(
    server: Server, open_page: Open, no_websockets: str
) -> None:
    """Behind a proxy that refuses upgrades `/` polls, and misses nothing that came meanwhile."""
    page = open_page("/", base=no_websockets, live=False)
    for number in range(3):
        post(server, f"early {number}")
    page.wait_for_selector("#pill[data-state=live]:has-text('long poll')")
    post(server, "late")
    write(page, "from behind", "Ada")
    waits(page, lambda: len(shown(page)) == 5, "all five messages")
    assert sorted(texts(page)) == ["early 0", "early 1", "early 2", "from behind", "late"]
    assert [number for number, _ in shown(page)] == [1, 2, 3, 4, 5]


def test_without_javascript_the_form_posts(server: Server, open_page: Open) -> None:
    """Without a script the page reads and writes, shows reasons, and keeps the text and the name."""
    page = open_page("/", live=False, java_script_enabled=False)
    page.fill("[name=user]", "Ada")
    page.fill("[name=message]", "plain and **simple**")
    page.click("#composer button[type=submit]")
    expect(page.locator("#log article .text")).to_have_text(["plain and simple"])
    expect(page.locator("[name=user]")).to_have_value("Ada")
    page.fill("[name=message]", "   \u200b")
    page.click("#composer button[type=submit]")
    expect(page.locator("#refusal")).not_to_be_empty()
    expect(page.locator("[name=user]")).to_have_value("Ada")


def test_reactions_edits_and_deletions_cross_over(server: Server, open_page: Open) -> None:
    """What one does to a message, the other sees without a reload."""
    one, other = open_page("/websocket"), open_page("/polling")
    write(one, "first", "Ada")
    like = other.locator("#log article [data-action=like]")
    waits(other, lambda: like.count() == 1, "the message")
    choose(other, "like")
    one.wait_for_selector("#log [data-action=like]:has-text('1')")
    expect(like).to_have_attribute("aria-pressed", "true")
    one.press("[name=message]", "ArrowUp")
    write(one, "first, better")
    other.wait_for_selector("#log .text:has-text('first, better')")
    choose(one, "delete")
    other.wait_for_selector("#log article.deleted")


def test_a_refused_message_stays_with_its_reason(server: Server, open_page: Open) -> None:
    """A refusal is told in words, and the text is still there to discard."""
    page = open_page("/")
    write(page, "hello", "Ada\u202e")
    expect(page.locator("#outbox [data-state=failed]")).to_contain_text("hello")
    page.click("#outbox >> text=Discard")
    expect(page.locator("#outbox article")).to_have_count(0)


def test_quotes_with_and_without_javascript(server: Server, open_page: Open) -> None:
    """A quote can be added either way, and is then among the latest."""
    for script in (True, False):
        page = open_page("/quotes", live=False, java_script_enabled=script)
        page.fill("[name=quote]", f"Script: {script}")
        page.fill("[name=author]", "Anon")
        page.click("#add-quote button")
        page.wait_for_selector(f"#quote-list >> text=Script: {script}")
        if not script:
            continue
        # A number that stands for another quote is refused once, and not for ever.
        page.evaluate("fetch('/api/v1/quotes', {method: 'POST', headers: {'Content-Type': 'application/json'},"
                      " body: JSON.stringify({quote: 'One', author: 'Anon', client_id: 'used'})})")  # fmt: skip
        page.eval_on_selector("#add-quote [name=client_id]", "field => { field.value = 'used'; }")
        page.fill("[name=quote]", "Another")
        page.fill("[name=author]", "Anon")
        page.click("#add-quote button")
        expect(page.locator("#quote-wrong")).to_be_visible()
        page.click("#add-quote button")
        page.wait_for_selector("#quote-list >> text=Another")


def test_an_unknown_room_can_be_created(server: Server, open_page: Open) -> None:
    """404 with a form; the form makes the room, and one can write there at once."""
    page = open_page("/rooms/tea", live=False)
    expect(page.locator("h1")).not_to_have_text("tea")
    page.click(".new-room button")
    page.wait_for_selector("#pill[data-state=live]")
    write(page, "milk?", "Ada")
    page.wait_for_selector("#log article")
    assert page.url.endswith("/rooms/tea")

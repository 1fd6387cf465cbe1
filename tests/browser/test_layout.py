"""Where things stand: on phones, at large zoom, on paper, and what hostile text cannot reach."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect
from server import Server
from test_features import act
from test_pages import live_and_loaded, post, sign, waits, write
from test_quality import violations

Open = Callable[..., Any]
PHONE: dict[str, Any] = {"has_touch": True, "is_mobile": True}


def phone(width: int, height: int = 844) -> dict[str, Any]:
    return {"viewport": {"width": width, "height": height}, **PHONE}


def create(server: Server, name: str, title: str = "") -> None:
    body = json.dumps({"name": name, "title": title or name}).encode()
    request = urllib.request.Request(f"{server.url}/api/v1/rooms", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def inside(page: Any, selector: str) -> bool:
    """Whether the whole box is in the window."""
    found: bool = page.eval_on_selector(
        selector,
        """element => {
          const { left, right, top, bottom, width, height } = element.getBoundingClientRect();
          return width > 0 && height > 0 && left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
        }""",
    )
    return found


@pytest.mark.parametrize("widths", [[320, 360, 390, 412], [1280]], ids=["phones", "desk"])
def test_menus_are_inside_the_window(widths: list[int], server: Server, open_page: Open) -> None:
    """The drawer of rooms and the diagnosis, with long names and many rooms; they close by Esc or a click beside."""
    create(server, "d" * 63, "A title of some length, about this and that, and more")
    for number in range(40):
        create(server, f"room-{number}")
    desk = widths == [1280]
    page = open_page("/", **({"viewport": {"width": 1280, "height": 844}} if desk else phone(widths[0])))
    for width in widths:
        page.set_viewport_size({"width": width, "height": 844})
        for opener, card in [("#pill", "#diagnosis"), *([] if desk else [(".drawer", "#rooms")])]:
            for close in ("Escape", "click"):
                page.click(opener)
                expect(page.locator(card)).to_be_visible()
                waits(page, lambda card=card: inside(page, card), f"{card} in the window")
                assert page.eval_on_selector(card, "card => card.scrollWidth <= card.clientWidth")
                if close == "click":
                    assert width != widths[0] or violations(page) == []
                    page.mouse.click(width - 5, 790)
                else:
                    page.keyboard.press(close)
                expect(page.locator(card)).to_be_hidden()


def test_menus_work_without_javascript(server: Server, open_page: Open) -> None:
    create(server, "tea")
    page = open_page("/", live=False, java_script_enabled=False, **phone(390))
    page.click(".drawer")
    page.click("#rooms a:has-text('tea')")
    expect(page.locator("#room-name")).to_have_text("tea")


def test_the_log_can_be_read_at_any_height(server: Server, open_page: Open) -> None:
    """It has ten lines or so at 400 % zoom and on a phone on its side; what does not fit is reached by scrolling."""
    for number in range(1, 31):
        post(server, f"word {number}")
    for number, (width, height) in enumerate([(320, 256), (427, 267), (844, 390), (390, 508)]):
        page = open_page("/", viewport={"width": width, "height": height})
        sign(page, f"Ada {number}")
        box = page.locator("#scroller").bounding_box()
        assert box and box["height"] >= 160
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        waits(page, lambda page=page: inside(page, "#composer [type=submit]"), "Send in the window")
        page.locator("#m30").scroll_into_view_if_needed()
        waits(page, lambda page=page: inside(page, "#m30"), "the newest message in the window")


def test_a_window_of_usual_size_does_not_scroll(server: Server, open_page: Open) -> None:
    """Head and composer stay; the log alone scrolls."""
    for number in range(1, 41):
        post(server, f"word {number}")
    page = open_page("/")
    for width, height in [(1280, 800), (390, 844), (360, 640)]:
        page.set_viewport_size({"width": width, "height": height})
        fits = f"document.documentElement.scrollHeight <= {height}"
        waits(page, lambda fits=fits: page.evaluate(fits), "no more than a window")
        expect(page.locator("#m40")).to_be_in_viewport()


def test_long_names_make_nothing_wider(server: Server, open_page: Open) -> None:
    """A room of 63 letters, its title, and a name of 40: Send stays where a thumb reaches it."""
    name = "w" * 63
    create(server, name)
    page = open_page(f"/rooms/{name}")
    write(page, "x" * 200, "W" * 40)
    expect(page.locator("#m1")).to_be_visible()
    act(page, 1, "reply")
    for _ in live_and_loaded(page):
        expect(page.locator("#context")).to_be_visible()
        for width in (320, 390, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            waits(page, lambda: inside(page, "#composer [type=submit]"), "Send in the window")
            far = "all => Math.max(...all.map(each => each.getBoundingClientRect().right))"
            right = page.eval_on_selector_all("#composer *", far)
            assert right <= page.eval_on_selector("#composer", "form => form.getBoundingClientRect().right")
    assert violations(page) == []


def test_fields_do_not_make_phones_zoom(server: Server, open_page: Open) -> None:
    """Every field of every page has letters of 16 px or more where a finger points."""
    script = "all => all.map(field => [field.name || field.type, parseFloat(getComputedStyle(field).fontSize)])"
    page = open_page("/", **phone(390))
    for path in ("/", "/quotes", "/lab", "/new-room", "/search", "/sign-in", "/rooms/none", "/reference"):
        page.goto(server.url + path)
        sizes = page.eval_on_selector_all("input:not([type=hidden], [type=checkbox]), select, textarea", script)
        assert sizes and [each for each in sizes if each[1] < 16] == [], path


def test_a_follow_up_has_its_author_and_time(server: Server, open_page: Open) -> None:
    """For whoever hears the page; the eye sees them at the first of a run alone."""
    page = open_page("/")
    for number in (1, 2):
        write(page, f"word {number}", "Ada")
        page.wait_for_selector(f"#m{number}")
    expect(page.locator("#m2.follows")).to_have_count(1)
    heard = page.locator("#m2").aria_snapshot()
    time = page.locator("#m2 .time").text_content()
    assert "Ada" in heard and time and time in heard
    box = page.locator("#m2 .byline").bounding_box()
    assert box is None or box["width"] * box["height"] <= 1


OVERRIDES = {"rlo": "\u202e", "lro": "\u202d", "rli": "\u2067", "rle": "\u202b", "rlo-twice": "\u202e\u202e"}


def test_a_link_reads_as_it_leads(server: Server, open_page: Open) -> None:
    """Whatever marks of direction stand open before it, in a message from left to right or from right to left."""
    url = "https://evil.example/moc.knab//:sptth"
    post(server, url)
    for mark in OVERRIDES.values():
        post(server, f"{mark}{url}")
        post(server, f"مرحبا {mark}{url} مرحبا")
    page = open_page("/", viewport={"width": 1280, "height": 800})
    # Where each letter stands, from the left: the same in all.
    script = """a => {
      const range = document.createRange();
      const text = a.firstChild;
      return [...text.data].map((_, i) => {
        range.setStart(text, i);
        range.setEnd(text, i + 1);
        return range.getBoundingClientRect().left - a.getBoundingClientRect().left;
      });
    }"""
    plain = page.eval_on_selector("#m1 .text a", script)
    assert plain == sorted(plain)
    for number, name in enumerate(OVERRIDES):
        for marked in (2 * number + 2, 2 * number + 3):
            places = page.eval_on_selector(f"#m{marked} .text a", script)
            assert places == pytest.approx(plain, abs=0.5), name


def test_piled_accents_stay_with_their_message(server: Server, open_page: Open) -> None:
    """Neither a name nor a text is drawn over what others said, and accents that languages have are whole."""
    post(server, "what others said")
    page = open_page("/")
    page.wait_for_selector("#m1")
    above = page.locator("#m1").bounding_box()
    before = page.screenshot(clip=above)
    pile = "\u0301" * 38
    body = json.dumps({"user": "Nina", "message": f"Z{pile}"}).encode()
    request = urllib.request.Request(
        f"{server.url}/api/v1/rooms/lobby/messages", body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()
    page.wait_for_selector("#m2")
    # The server takes no such name any more; logs that are older may hold one.
    page.eval_on_selector("#m2 .user", "(user, name) => { user.textContent = name; }", f"N{pile}")
    waits(page, lambda: page.screenshot(clip=above) == before, "what others said, as it was")
    post(server, "Ế Ậ Ǻ ก็ ที่ น้ำ ཀྵྨ Ÿ́ gjpqy Ç")
    page.wait_for_selector("#m3")
    whole = page.locator("#m3").bounding_box()
    clipped = page.screenshot(clip=whole)
    page.eval_on_selector_all("#m3 *", "all => all.forEach(e => { e.style.overflow = 'visible'; })")
    waits(page, lambda: page.screenshot(clip=whole) == clipped, "the same, clipped or not")


def test_all_that_is_loaded_is_printed(server: Server, open_page: Open) -> None:
    """Not one screen of it."""
    for number in range(1, 61):
        post(server, f"word {number}")
    page = open_page("/", viewport={"width": 800, "height": 500})
    page.emulate_media(media="print", color_scheme="dark")
    rolls = "document.getElementById('scroller')"
    assert page.evaluate(f"{rolls}.scrollHeight <= {rolls}.clientHeight + 1")
    boxes = [page.locator(f"#m{number}").bounding_box() for number in (11, 60)]
    assert all(boxes) and boxes[1]["y"] > boxes[0]["y"] + 500
    for unwanted in ("#composer", "#rooms", "#pill"):
        expect(page.locator(unwanted)).to_be_hidden()
    ink, paper = page.evaluate("""[["#m60 .text", "color"], ["html", "backgroundColor"]].map(([selector, which]) =>
        getComputedStyle(document.querySelector(selector))[which].match(/[0-9.]+/g).slice(0, 3).map(Number))""")
    assert max(ink) < 80 and min(paper) > 200
    assert page.pdf().count(b"/Type /Page\n") > 1


def test_the_sheet_of_keys_has_room(server: Server, open_page: Open) -> None:
    """The box stands beside its label, and what closes the sheet touches nothing."""
    page = open_page("/")
    page.focus("#pill")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    box = page.locator("#single-keys").bounding_box()
    label = page.locator("#keys label").bounding_box()
    assert abs(box["y"] + box["height"] / 2 - label["y"] - label["height"] / 2) < 2
    above = page.locator("#keys p").last.bounding_box()
    assert page.locator("#keys form").bounding_box()["y"] >= above["y"] + above["height"] + 8


def react(server: Server, number: int, action: str, user: str) -> None:
    """React as a guest of this name."""
    who = json.dumps({"user": user}).encode()
    guests = urllib.request.Request(f"{server.url}/api/v1/guests", who, {"Content-Type": "application/json"})
    with urllib.request.urlopen(guests, timeout=60) as answer:
        token = json.load(answer)["token"]
    body = json.dumps({"command": "react", "message": {"id": number, "reaction": action}}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{server.url}/api/v1/rooms/lobby/commands", body, headers)
    urllib.request.urlopen(request, timeout=60).close()


def test_without_javascript_days_counts_and_the_newest(server: Server, open_page: Open) -> None:
    """Each day has its date, reactions their counts in words, and the page opens at the newest message."""
    for number in range(1, 41):
        post(server, f"word {number}")
    for user, action in [("Ada", "like"), ("Bo", "like"), ("Cy", "dislike")]:
        react(server, 40, action, user)
    page = open_page("/", live=False, java_script_enabled=False, viewport={"width": 800, "height": 500})
    today = datetime.now(UTC)
    expect(page.locator("h2.day")).to_have_text([f"{today:%A}, {today.day} {today:%B %Y} (UTC)"])
    expect(page.locator("#m40")).to_contain_text("2 likes, 1 dislike")
    expect(page.locator("#m39")).not_to_contain_text("like")
    expect(page.locator("#m40")).to_be_in_viewport(ratio=1)
    expect(page.locator("#m1")).not_to_be_in_viewport()
    expect(page.locator("main")).not_to_contain_text("opens a WebSocket", use_inner_text=True)
    expect(page.locator("noscript a")).to_be_visible()
    page.goto(f"{server.url}/#m3")
    expect(page.locator("#m3")).to_be_in_viewport()


def test_few_messages_stand_at_the_top_without_javascript(server: Server, open_page: Open) -> None:
    post(server, "one")
    page = open_page("/", live=False, java_script_enabled=False)
    assert page.locator("#m1").bounding_box()["y"] < 250


def test_days_are_those_of_the_viewer(server: Server, open_page: Open) -> None:
    """The server's headings are in UTC; with a script there is one for each day of the viewer's, and it is named anew
    when a day has passed."""
    post(server, "one")
    page = open_page("/", clock=True, timezone_id="Pacific/Kiritimati")
    expect(page.locator("h2.day")).to_have_text(["Today"])
    page.clock.fast_forward("24:00:00")
    expect(page.locator("h2.day")).to_have_text(["Yesterday"])


def test_a_tall_message_is_folded(server: Server, open_page: Open) -> None:
    """It shows its beginning; a button, by keyboard too, shows all of it, and less again. Short ones have none."""
    tall = "\n".join(f"line {number}" for number in range(400))
    post(server, tall)
    post(server, "short")
    page = open_page("/", viewport={"width": 800, "height": 900})
    show = page.locator("#m1").get_by_role("button", name="Show all")
    expect(show).to_be_visible()
    waits(page, lambda: page.locator("#m1").bounding_box()["height"] < 600, "its beginning")
    expect(page.locator("#m2 .unfold")).to_have_count(0)
    assert page.locator("#m1 .text").text_content() == tall
    assert violations(page) == []
    show.focus()
    page.keyboard.press("Enter")
    waits(page, lambda: page.locator("#m1").bounding_box()["height"] > 9_000, "all of it")
    page.locator("#m1").get_by_role("button", name="Show less").press("Enter")
    waits(page, lambda: page.locator("#m1").bounding_box()["height"] < 600, "less of it")
    # One that comes, and one that is edited.
    write(page, "w" * 4000, "Ada")
    expect(page.locator("#m3").get_by_role("button", name="Show all")).to_be_visible()
    page.press("[name=message]", "ArrowUp")
    write(page, "short now")
    expect(page.locator("#m3 .text")).to_have_text("short now")
    expect(page.locator("#m3 .unfold")).to_have_count(0)


BLANKS = {"plain": "", "spaces": "  \t", "no-break": "\u00a0", "zero-width": "\u200b\u2060", "braille": "\u2800"}


def test_rows_of_empty_lines_are_one(server: Server, open_page: Open) -> None:
    """To the eye; the text itself stays as it was written."""
    written = ["start" + f"\n{blank}" * 900 + "\nend\n\nlast" for blank in BLANKS.values()]
    for text in written:
        post(server, text)
    page = open_page("/")
    for number, (text, name) in enumerate(zip(written, BLANKS, strict=True), 1):
        message = page.locator(f"#m{number}")
        assert message.locator(".text").text_content() == text, name
        assert message.locator(".text").bounding_box()["height"] < 24 * 5 + 10, name
        expect(message.locator(".unfold")).to_have_count(0)


def test_tall_quotes_are_folded(server: Server, open_page: Open) -> None:
    """In the room and on the page of quotes."""
    body = json.dumps({"quote": "\n".join("abcde" for _ in range(150)), "author": "Anon"}).encode()
    page = open_page("/")
    page.evaluate("""body => fetch('/api/v1/quotes',
        {method: 'POST', headers: {'Content-Type': 'application/json'}, body})""", body.decode())
    for _ in range(2):
        show = page.locator("article, main li").get_by_role("button", name="Show all").first
        expect(show).to_be_visible()
        assert page.locator("blockquote").last.bounding_box()["height"] < 600
        page.goto(f"{server.url}/quotes")


def test_excerpts_and_quotes_read_as_they_are(server: Server, open_page: Open) -> None:
    """No letters are turned around in what tells about a text: an excerpt, a card, a quote that is posted."""
    turned = "\u202ehttps://evil.example/moc.knab//:sptth"
    post(server, turned)
    page = open_page("/")
    write(page, "mine", "Ada")
    act(page, 1, "reply")
    expect(page.locator(".context-text")).to_have_text(turned[1:])
    write(page, "an answer")
    act(page, 1, "quote")
    for _ in live_and_loaded(page):
        expect(page.locator("#m3 .answers-text")).to_have_text(turned[1:])
        expect(page.locator("#m4 blockquote")).to_have_text(turned[1:])
    page.goto(f"{server.url}/quotes")
    expect(page.locator("#quote-list blockquote").first).to_have_text(turned[1:])
    page.locator("#quote-list .large").first.click()
    expect(page.locator("#chosen-quote")).to_have_text(turned[1:])
    page.click("#post-quote button")
    expect(page.locator("#m5 .text")).to_have_text(f"“{turned[1:]}” — curl")


def test_code_marks_are_told_beside_the_others(server: Server, open_page: Open) -> None:
    """Programmers learn there why `__init__` is underlined, and what to do."""
    page = open_page("/")
    assert "__init__" in (page.get_attribute("[data-mark='`']", "title") or "")
    sign(page, "Ada")
    page.click("[popovertarget=format]")
    page.click("[data-open=keys]")
    expect(page.locator("#keys")).to_contain_text("__init__")


def test_actions_of_the_newest_are_in_view(server: Server, open_page: Open) -> None:
    """On a phone a tap shows them, at the bottom of the window, and gives way to what is chosen."""
    for number in range(1, 31):
        post(server, f"word {number}")
    page = open_page("/", **phone(390))
    page.tap("#m30 .text")
    expect(page.locator("#message-menu")).to_be_visible()
    waits(page, lambda: inside(page, "#message-menu"), "the menu in the window")
    assert violations(page) == []
    page.tap("#message-menu [data-action=reply]")
    expect(page.locator("#message-menu")).to_be_hidden()
    expect(page.locator("#context")).to_contain_text("word 30")

"""What stands in the fields: nothing is cut, all can be undone, and a draft outlives reloads and other tabs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect
from server import Server
from test_behaviour import tab
from test_kept import FIELD, act, said
from test_pages import post, sign, texts, waits, write

Open = Callable[..., Any]


def test_a_long_text_is_not_cut(server: Server, open_page: Open) -> None:
    """It says how much is too much and is not sent, as a message and as an edit, until it is short enough."""
    page = open_page("/")
    said(page, "v0")
    for text, words in [("a" * 4500, "500 characters too many"), ("😀" * 4001, "1 character too many")]:
        for begin in ("End", "ArrowUp"):
            page.press(FIELD, begin)
            page.fill(FIELD, "")
            page.focus(FIELD)
            page.keyboard.insert_text(text)
            expect(page.locator(FIELD)).to_have_value(text)
            expect(page.locator("#too-long")).to_contain_text(words)
            page.press(FIELD, "Enter")
            expect(page.locator(FIELD)).to_have_value(text)
            expect(page.locator("#outbox article")).to_have_count(0)
            page.press(FIELD, "Escape")
            page.fill(FIELD, "")
            expect(page.locator("#too-long")).to_be_hidden()
    assert texts(page) == ["v0"]


def test_4000_emoji_are_a_message(server: Server, open_page: Open) -> None:
    """As many as the server takes: they count as one character each."""
    page = open_page("/")
    sign(page, "Ada")
    page.focus(FIELD)
    page.keyboard.insert_text("😀" * 4000)
    page.press(FIELD, "Enter")
    waits(page, lambda: texts(page) == ["😀" * 4000], "the whole message")


def test_other_fields_are_not_cut_either(server: Server, open_page: Open) -> None:
    """Name, quote and author."""
    page = open_page("/quotes", live=False)
    for name, count in [("quote", 1001), ("author", 101)]:
        page.focus(f"#{name}")
        page.keyboard.insert_text("x" * count)
        assert len(page.input_value(f"#{name}")) == count
        expect(page.locator(f"#{name}-wrong")).to_contain_text("1 character too many")
    page.click("#add-quote button")
    expect(page.locator("#added")).to_be_empty()
    expect(page.locator("#quote-list")).not_to_contain_text("xxxxx")
    page = open_page("/")
    page.focus("[name=user]")
    page.keyboard.insert_text("x" * 43)
    expect(page.locator("#too-long")).to_contain_text("3 characters too many")


def test_formatting_can_be_undone(server: Server, open_page: Open) -> None:
    """By keys or by the button: Ctrl+Z takes the marks away, and then what was typed before them."""
    page = open_page("/")
    sign(page, "Ada")
    keys = page.keyboard
    for way in ("keys", "button"):
        page.fill(FIELD, "")
        page.focus(FIELD)
        keys.type("hello world")
        page.eval_on_selector(FIELD, "field => field.setSelectionRange(0, 5)")
        if way == "keys":
            keys.press("Control+b")
        else:
            page.click("[popovertarget=format]")
            page.click("[data-mark='**']")
        expect(page.locator(FIELD)).to_have_value("**hello** world")
        waits(page, lambda: page.evaluate("getSelection().toString()") == "hello", "the selection")
        keys.press("Control+z")
        expect(page.locator(FIELD)).to_have_value("hello world")
        keys.press("Control+z")
        expect(page.locator(FIELD)).not_to_have_value("hello world")
        page.keyboard.press("Escape")


def test_the_beginning_of_an_edit_can_be_undone(server: Server, open_page: Open) -> None:
    """Then the page edits no more, and what stood in the field before is there, and can be undone too."""
    page = open_page("/")
    said(page, "v0")
    page.focus(FIELD)
    page.keyboard.type("half")
    act(page, 1, "edit")
    expect(page.locator(FIELD)).to_have_value("v0")
    page.keyboard.press("Control+z")
    expect(page.locator(FIELD)).to_have_value("half")
    expect(page.locator("#context")).to_be_hidden()
    act(page, 1, "edit")
    page.keyboard.press("Escape")
    expect(page.locator(FIELD)).to_have_value("half")
    page.keyboard.press("Control+z")
    expect(page.locator(FIELD)).to_have_value("v0")


def test_what_is_edited_or_answered_is_in_the_draft(server: Server, open_page: Open) -> None:
    """A reload, Esc or another message lose neither the text nor what it is about."""
    post(server, "question")
    page = open_page("/")
    said(page, "v0")
    page.fill(FIELD, "half a thou")
    act(page, 2, "edit")
    page.fill(FIELD, "v1 with many words")
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    expect(page.locator(FIELD)).to_have_value("v1 with many words")
    expect(page.locator("#context")).to_contain_text("Editing")
    page.press(FIELD, "Escape")
    expect(page.locator(FIELD)).to_have_value("half a thou")
    act(page, 2, "edit")
    expect(page.locator(FIELD)).to_have_value("v1 with many words")
    act(page, 1, "reply")
    expect(page.locator(FIELD)).to_have_value("half a thou")
    page.reload()
    page.wait_for_selector("#pill[data-state=live]")
    expect(page.locator("#context")).to_contain_text("question")
    page.press(FIELD, "Enter")
    expect(page.locator("#m3 .answers")).to_contain_text("question")
    act(page, 2, "edit")
    page.press(FIELD, "Enter")
    expect(page.locator("#m2 .text")).to_have_text("v1 with many words")


def test_a_draft_belongs_to_its_tab(server: Server, open_page: Open) -> None:
    """What another tab sends does not take it away."""
    one = open_page("/")
    sign(one, "Ada")
    two = tab(one, server.url)
    one.fill(FIELD, "of the first tab")
    write(two, "of the second", "Ada")
    expect(two.locator("#m1 .text")).to_have_text("of the second")
    one.reload()
    expect(one.locator(FIELD)).to_have_value("of the first tab")
    two.reload()
    expect(two.locator(FIELD)).to_have_value("")
    one.close()
    expect(tab(two, server.url).locator(FIELD)).to_have_value("of the first tab")

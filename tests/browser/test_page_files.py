"""Files in the page: chosen, dropped, shown; without JavaScript too; and nothing hostile runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hostile_files import HOSTILE, photo
from playwright.sync_api import Error, expect
from server import Server
from test_features import act
from test_pages import later, loads, sign, waits

Open = Callable[..., Any]
DROP = """([name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name));
  const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.querySelector("#log").dispatchEvent(event);
}"""
KEPT = """() => new Promise((done) => {
  indexedDB.open("quotechat", 1).onsuccess = ({ target: { result } }) => {
    const asked = result.transaction("files").objectStore("files").getAll();
    asked.onsuccess = () => {
      result.close();
      done(asked.result.map(({ alt }) => alt));
    };
  };
})"""


@pytest.fixture
def server(tmp_path: Path, driver: Any, port: int) -> Iterator[Server]:
    """A server on which visitors upload."""
    data = tmp_path / "data"
    data.mkdir()
    running = Server(data, port, QUOTECHAT_GUEST_FILES="on")
    running.start()
    yield running
    running.kill()


def test_a_page_sends_and_shows_files(open_page: Open) -> None:
    """Chosen and dropped, sent without a text; a picture has its place before it is there, all else is a link.
    Without a text too it is sent when, and as the answer, that was chosen; refused, it is corrected like any other."""
    ada, bo = open_page("/"), open_page("/polling")
    sign(ada, "Ada")
    loads(ada, "field", "upload")
    expect(ada.locator("[name=file]")).to_have_js_property("multiple", True)  # what was loaded runs
    ada.set_input_files("[name=file]", {"name": "photo.jpg", "mimeType": "text/html", "buffer": photo()})
    ada.evaluate(DROP, ["notes.txt", "x" * 1_500_000])
    expect(ada.locator(".files-waiting li")).to_have_count(2)
    expect(ada.locator(".files-waiting progress")).to_have_count(0)
    ada.evaluate("document.getElementById('composer').requestSubmit()")
    for page in (bo, ada):
        for _ in ("live", "loaded"):
            picture = page.locator("#m1 .picture img")
            expect(picture).to_have_attribute("alt", "photo.jpg")
            assert (picture.get_attribute("width"), picture.get_attribute("height")) == ("20", "40")
            # Not by wait_for_function, whose eval the page's policy refuses.
            waits(page, lambda picture=picture: picture.evaluate("each => each.naturalWidth") == 20, "the picture")
            expect(page.locator("#m1 a.file")).to_have_text("notes.txt1.5 MB")
            page.reload()
    expect(ada.locator(".files-waiting li")).to_have_count(0)
    ada.set_input_files("[name=file]", {"name": "no.txt", "mimeType": "", "buffer": b"no"})
    ada.click(".files-waiting button")
    expect(ada.locator(".files-waiting")).to_be_hidden()
    act(ada, 1, "reply")
    later(ada, "+1h")
    ada.set_input_files("[name=file]", {"name": "later.txt", "mimeType": "", "buffer": b"later"})
    expect(ada.locator(".files-waiting li")).to_have_count(1)
    expect(ada.locator(".files-waiting progress")).to_have_count(0)
    ada.press("[name=message]", "Enter")
    expect(ada.locator("#scheduled-count")).to_have_text("1 scheduled")  # and not sent at once
    expect(ada.locator("#context")).to_be_hidden()
    expect(ada.locator("#later")).to_be_hidden()
    (waiting,) = ada.evaluate("fetch('/api/v1/rooms/lobby/scheduled').then((answer) => answer.json())")["scheduled"]
    assert len(waiting["message"]["files"]) == 1
    assert waiting["message"]["reply_to"] == 1
    sign(ada, "Ada\u202e")
    ada.set_input_files("[name=file]", {"name": "again.txt", "mimeType": "", "buffer": b"again"})
    expect(ada.locator(".files-waiting li")).to_have_count(1)
    expect(ada.locator(".files-waiting progress")).to_have_count(0)
    ada.press("[name=message]", "Enter")
    ada.click("#outbox .choices >> text=Edit")
    expect(ada.locator("[name=user]")).to_be_focused()
    ada.fill("[name=user]", "Ada")
    ada.press("[name=user]", "Enter")
    ada.press("[name=message]", "Enter")
    expect(ada.locator("#m2 a.file")).to_have_text("again.txt5 B")


def test_a_form_sends_one_file_without_javascript(open_page: Open) -> None:
    """Larger than any other form may be; the message is there with it."""
    page = open_page("/", live=False, java_script_enabled=False)
    page.fill("[name=user]", "Ada")
    page.fill("[name=message]", "Look")
    page.set_input_files("[name=file]", {"name": "large.bin", "mimeType": "", "buffer": b"x" * 300_000})
    page.click("#composer [type=submit]")
    expect(page.locator("#m1 a.file")).to_have_text("large.bin300 kB")
    expect(page.locator("#m1 .text")).to_have_text("Look")


def test_no_script_in_a_file_runs(server: Server, chromium: Any) -> None:
    """Opened in a browser, as a page, in a frame and as a script: nothing of it runs."""
    token = requests.post(f"{server.url}/api/v1/guests", json={"user": "Eve"}, timeout=60).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    files = {}
    for name, data in HOSTILE.items():
        if len(data) < 10_000:
            url = f"{server.url}/api/v1/rooms/lobby/files?name={name}"
            sent = requests.post(url, data, headers=headers, timeout=60)
            files[name] = sent.json()["file"]["id"]
    for start in range(0, len(files), 10):
        body = {"user": "Eve", "message": "", "files": list(files.values())[start : start + 10]}
        assert requests.post(f"{server.url}/api/v1/rooms/lobby/messages", json=body, headers=headers, timeout=60).ok
    # Without any policy, of pages and of files: types and headers alone must do.
    page = chromium.new_page(bypass_csp=True)
    page.goto(f"{server.url}/healthz")
    page.evaluate("document.title = 'still'")
    for file_id in files.values():
        page.evaluate(
            """async (at) => {
              for (const name of ["iframe", "script"]) {
                const element = document.createElement(name);
                element.src = at;
                const done = new Promise((seen) => { element.onload = element.onerror = seen; setTimeout(seen, 150); });
                document.documentElement.append(element);
                await done;
              }
            }""",
            f"/api/v1/files/{file_id}",
        )
    assert page.title() == "still"
    for name in ("script.svg", "page.html", "comment.png"):
        with contextlib.suppress(Error):  # it is a download
            page.goto(f"{server.url}/api/v1/files/{files[name]}")
        assert "run" not in page.title() and page.title() != "1"
    page.close()


def test_a_picture_opens_large(open_page: Open) -> None:
    """By keyboard and by touch, with what its sender says that it shows; the focus comes back to where the keys led."""
    page = open_page("/", has_touch=True)
    sign(page, "Ada")
    loads(page, "field", "kept", "upload")
    pictures = [{"name": name, "mimeType": "image/jpeg", "buffer": photo()} for name in ("one.jpg", "two.jpg")]
    expect(page.locator("[name=file]")).to_have_js_property("multiple", True)  # what was loaded runs
    page.set_input_files("[name=file]", pictures)
    expect(page.locator(".files-waiting li")).to_have_count(2)
    expect(page.locator(".files-waiting progress")).to_have_count(0)
    page.fill(".files-waiting li:first-child input", "A heron")
    page.evaluate("document.getElementById('composer').requestSubmit()")
    links, dialog = page.locator("#m1 .picture"), page.locator("dialog.viewer")
    expect(links.first.locator("img")).to_have_attribute("alt", "A heron")
    links.first.focus()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    expect(dialog.locator("img")).to_have_attribute("alt", "A heron")
    assert dialog.bounding_box() == {"x": 0, "y": 0, **page.viewport_size}, "it has its style sheet"
    for text in ("A heron", "one.jpg", "20 × 40"):
        expect(dialog).to_contain_text(text)
    page.keyboard.press("ArrowLeft")  # there is none
    expect(dialog.locator("bdi")).to_have_text("one.jpg")
    page.keyboard.press("ArrowRight")
    expect(dialog.locator("bdi")).to_have_text("two.jpg")
    expect(dialog.locator("a")).to_have_attribute("download", "two.jpg")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(links.last).to_be_focused()
    links.first.tap()
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").tap()
    expect(dialog).to_be_hidden()
    links.first.click()
    page.evaluate("fetch('/api/v1/rooms/lobby/messages/1', { method: 'DELETE' })")
    expect(dialog).to_be_hidden()  # what is deleted is not shown on


def test_a_description_is_given_after_sending(open_page: Open) -> None:
    """From the menu of one's own message with a picture: readers have it at once, and its text and place stay."""
    ada, bo = open_page("/"), open_page("/")
    sign(ada, "Ada")
    loads(ada, "field", "kept", "upload")
    ada.set_input_files("[name=file]", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo()})
    expect(ada.locator(".files-waiting li")).to_have_count(1)
    expect(ada.locator(".files-waiting progress")).to_have_count(0)
    ada.fill("[name=message]", "Look")
    ada.evaluate("document.getElementById('composer').requestSubmit()")
    for page, count in ((ada, 1), (bo, 0)):
        expect(page.locator("#m1 .picture img")).to_have_attribute("alt", "photo.jpg")
        page.evaluate("document.querySelector('#m1 [data-action=more]').click()")
        expect(page.get_by_role("menuitem", name="Reply", exact=True)).to_be_visible()
        expect(page.get_by_role("menuitem", name="Describe files")).to_have_count(count)
        page.keyboard.press("Escape")
        expect(page.locator("#message-menu")).to_be_hidden()
    ada.evaluate("document.querySelector('#m1 [data-action=more]').click()")
    ada.get_by_role("menuitem", name="Describe files").click()
    field = ada.get_by_role("dialog", name="What the files show").get_by_role("textbox", name="photo.jpg")
    expect(field).to_be_focused()
    field.fill("A  heron")
    ada.keyboard.press("Enter")
    for page in (ada, bo):
        expect(page.locator("#m1 .picture img")).to_have_attribute("alt", "A heron")
        expect(page.locator("#m1 .text")).to_have_text("Look")
        expect(page.locator("#m1 .edited")).to_be_visible()
    expect(ada.locator("#m1")).to_be_focused()


def test_an_upload_goes_on_after_a_reload(open_page: Open, server: Server) -> None:
    """At the offset of the server, with what was written about it; once it is sent, nothing of it is left. It is not
    sent while that is too long."""
    page = open_page("/")
    sign(page, "Ada")
    loads(page, "field", "kept", "upload")
    asked: list[tuple[str, str | None]] = []

    def only_the_first_piece(route: Any) -> None:
        asked.append((route.request.method, route.request.headers.get("upload-offset")))
        if len(asked) > 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/api/v1/files/*", only_the_first_piece)
    picture = photo() + bytes(2_500_000)
    page.set_input_files("[name=file]", {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": picture})
    long = "A heron" + " and another" * 50
    page.fill(".files-waiting input", long)
    page.locator(".files-waiting input").blur()
    waits(page, lambda: len(asked) > 1, "the second piece, which is lost")
    page.unroute("**/api/v1/files/*")
    begun: list[str] = []
    page.on("request", lambda each: begun.append(each.url) if each.method == "POST" and "/files" in each.url else None)
    waits(page, lambda: page.evaluate(KEPT) == [long], "what is kept")
    page.reload()
    expect(page.locator(".files-waiting input")).to_have_value(long)
    expect(page.locator(".files-waiting progress")).to_have_count(0)
    page.evaluate("document.getElementById('composer').requestSubmit()")
    expect(page.locator(".files-waiting input")).to_be_focused()
    expect(page.locator("#refusal")).to_contain_text("107 characters too many")
    page.fill(".files-waiting input", "A heron")
    page.locator(".files-waiting input").blur()
    page.evaluate("document.getElementById('composer').requestSubmit()")
    expect(page.locator("#m1 .picture img")).to_have_attribute("alt", "A heron")
    assert asked[0] == ("PATCH", "0") and begun == []
    waits(page, lambda: page.evaluate(KEPT) == [], "nothing is kept")
    page.reload()
    loads(page, "field", "kept")
    expect(page.locator(".files-waiting li")).to_have_count(0)

"""The HTML that the documentation shows, opened as a page of the server."""

from __future__ import annotations

import re
from typing import Any

from server import ROOT, Server
from test_pages import post

PAGE = ROOT / "docs" / "reference" / "js-client.md"


def test_the_page_of_the_reference(chromium: Any, server: Server) -> None:
    """It shows what was said and what is said."""
    (html,) = re.findall(r"^```html\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    post(server, "before")
    context = chromium.new_context()
    page = context.new_page()
    page.route("**/shown.html", lambda route: route.fulfill(content_type="text/html", body=html))
    page.goto(f"{server.url}/shown.html")
    page.wait_for_selector("p:has-text('before')")
    post(server, "and live")
    page.wait_for_selector("p:has-text('and live')")
    context.close()

"""The persons of the browser tests: who is done with a test begins the next as somebody new.

A browser context is a person: cookies and storage. To make one is cheap, but it loads each module and style of pages
anew, half of what a page costs. So a context is used again, emptied of all but its cache.
"""

from __future__ import annotations

from typing import Any

SECONDS = 60.0
"""For anything in a browser: a busy machine took 20."""
KEPT = 4
"""Contexts between two tests; each has a process."""


class Person:
    def __init__(self, browser: Any, options: dict[str, Any]) -> None:
        self.options = options
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(SECONDS * 1000)
        self._keeper: Any = None  # a page without a script, which keeps the process and empties the storage

    def begin(self, url: str) -> None:
        """Forget who this was on the server at `url`, which runs."""
        if self._keeper is None:
            self._keeper = self.context.new_page()
        if not self._keeper.url.startswith(f"{url}/"):
            self._keeper.goto(f"{url}/healthz")
        self._keeper.evaluate("localStorage.clear()")
        self.context.clear_cookies()

    def leave(self) -> None:
        for page in self.context.pages:
            if page is not self._keeper:
                page.close()



class People:
    """Everybody whom a browser has; `page` is a new person's, `leave` ends a test."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._waiting: list[Person] = []
        self._here: list[Person] = []
        self._once: list[Any] = []

    def page(self, url: str, *, fresh: bool = False, viewport: dict[str, int] | None = None, **options: Any) -> Any:
        """The first page of a person on the server at `url`; a `fresh` one is not kept."""
        if fresh or options.get("java_script_enabled") is False:
            context = self._browser.new_context(**options, **({"viewport": viewport} if viewport else {}))
            context.set_default_timeout(SECONDS * 1000)
            self._once.append(context)
            return context.new_page()
        person = next((each for each in self._waiting if each.options == options), None)
        if person:
            self._waiting.remove(person)
        else:
            person = Person(self._browser, options)
        self._here.append(person)
        person.begin(url)
        page = person.context.new_page()
        if viewport:
            page.set_viewport_size(viewport)
        return page

    def leave(self) -> None:
        """Close all pages; keep those who may come again, the latest first."""
        for context in self._once:
            context.close()
        for person in self._here:
            person.leave()
        self._waiting[:0] = self._here
        for person in self._waiting[KEPT:]:
            person.context.close()
        del self._waiting[KEPT:], self._here[:], self._once[:]

    def close(self) -> None:
        for person in self._waiting:
            person.context.close()

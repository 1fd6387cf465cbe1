"""The column of rooms beside every page: the caller, the rooms with their news, and links to other pages.

Plain links, so that it works without JavaScript; static/js/reader/column.js keeps the numbers up to date.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from ....hub.chat import Chat
from ....protocol import rooms
from ....protocol.errors import Refused
from ....protocol.rights.permissions import BEGIN_DIRECT, CREATE_ROOM, allows_on_server
from ....protocol.rights.principal import Principal
from ....store.following.inbox import Entry
from ...http import authentication, security, site
from ...http.services import services
from ...transports import inbox_polls
from .. import lessons

log = logging.getLogger(__name__)

MOST_SHOWN = 100
"""Rooms in the column, at most; all of them are on the page of all rooms."""
_PALE = ("nothing", "hidden")
_OF_THE_LAB = (lessons.ROOM, lessons.SILENT_ROOM)


class Link(NamedTuple):
    """A room in the column."""

    name: str
    label: str
    """Its shown name; for a direct room the names of its people."""
    title: str = ""
    kind: str = rooms.OPEN
    unread: int = 0
    mentions: int = 0
    pale: bool = False
    """True if the member has muted its notifications."""
    seq: int | None = None
    """The number of its newest event, if the browser itself keeps the read position."""

    @property
    def has_news(self) -> bool:
        """Return True if there is news of which the member wants to be notified."""
        return bool(self.mentions or (self.unread and not self.pale))

    @property
    def news(self) -> str:
        """Return the news in words."""
        parts = [f"{self.unread} unread"] if self.unread else []
        if self.mentions:
            parts.append(f"{self.mentions} mention{'s' if self.mentions > 1 else ''}")
        return ", ".join(parts)


class Column(NamedTuple):
    """The content of the column."""

    rooms: Sequence[Link] = ()
    directs: Sequence[Link] = ()
    person: Principal | None = None
    """The account of the caller."""
    shows_rooms: bool = False
    can_create: bool = False
    can_write_to: bool = False
    site_title: str = "quotechat"
    is_open: bool = True
    """True if people without an account may use the server."""

    @property
    def has_news(self) -> bool:
        """Return True if there is news in any room."""
        return any(each.has_news for each in (*self.rooms, *self.directs))


def install() -> None:
    """Make the column available to the templates."""
    site.template_global("column", column)


def column(current: str = "") -> Column:
    """Return the column for the caller; `current` is the room that the page shows.

    It is empty if the store cannot be read: the page that says so has a column too.
    """
    try:
        return _column(current)
    except Refused:
        return Column()
    except Exception:
        log.exception("the column of rooms cannot be made")
        return Column()


def _column(current: str) -> Column:
    settings = authentication.services().people.site()
    if _is_stranger():
        return Column(site_title=settings["title"])
    principal = security.principal()
    found = _of_account(principal, current) if principal.has_account else _of_visitor(principal, current)
    return Column(
        rooms=[each for each in found if each.kind != rooms.DIRECT],
        directs=[each for each in found if each.kind == rooms.DIRECT],
        person=principal if principal.has_account else None,
        shows_rooms=True,
        can_create=allows_on_server(principal, CREATE_ROOM, settings),
        can_write_to=principal.has_account and allows_on_server(principal, BEGIN_DIRECT, settings),
        site_title=settings["title"],
        is_open=authentication.services().access == "open",
    )


def _is_stranger() -> bool:
    """Return True if the caller sees no room, since the server needs an account and the caller has none."""
    is_open = authentication.services().access == "open"
    return not is_open and authentication.caller() is None and not security.is_known()


def _of_account(principal: Principal, current: str) -> list[Link]:
    """Return the rooms in the inbox of an account, and the one that it looks at without having joined."""
    entries = inbox_polls.read(_chat(), principal).entries
    found = [_of_entry(each, current) for each in entries if each.is_shown or each.name == current]
    if current and all(each.name != current for each in found):
        found.append(Link(current, current))
    return _cut(found, current)


def _of_entry(entry: Entry, current: str) -> Link:
    is_direct = entry.kind == rooms.DIRECT
    people = ", ".join(name for _, name in entry.people) or "Notes to yourself"
    seen = entry.name == current  # what is shown is being read
    return Link(
        entry.name, people if is_direct else entry.name, entry.title or "", entry.kind,
        0 if seen else entry.unread, 0 if seen else entry.mentions, entry.level in _PALE,
    )  # fmt: skip


def _of_visitor(principal: Principal, current: str) -> list[Link]:
    """Return the open rooms; those of the lab are for programs."""
    found = [
        Link(each["name"], each["name"], each.get("title", ""), seq=int(each["cursor"].partition(".")[0]))
        for each in _chat().rooms(principal)
        if each["name"] not in _OF_THE_LAB or each["name"] == current
    ]
    return _cut(found, current)


def _cut(found: list[Link], current: str) -> list[Link]:
    """Return the rooms by name; if there are too many, the current one and those with news come first."""
    kept = sorted(found, key=lambda each: (each.name != current, not each.has_news, each.label.casefold()))
    return sorted(kept[:MOST_SHOWN], key=lambda each: (each.label.casefold(), each.name))


def _chat() -> Chat:
    return services().chat

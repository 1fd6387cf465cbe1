"""Read the inbox of an account: its rooms, with counts, its position in each, and its mentions.

Statements only, in one open transaction. An inbox costs four statements, however many rooms it has; of many inboxes in
one transaction each room is read once.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from ...protocol import events, inbox, json, rooms
from ..shapes import PART, Row, Sql

MOST_NOTICES = 50
_ROOM = "r.id, r.name, r.title, r.kind, r.last, r.messages, r.news"
_JOINED = (
    f"SELECT {_ROOM}, m.read_id, m.read_n, m.level FROM member m JOIN room r ON r.id = m.room_id"
    " WHERE m.account_id = ? ORDER BY m.room_id"
)
_MEMBER = "SELECT room_id, read_id, read_n, level FROM member WHERE account_id = ? ORDER BY room_id"
_NOT_BLOCKED = (
    "NOT EXISTS (SELECT 1 FROM blocked b JOIN account s ON s.id = b.other WHERE b.account_id = ?"
    " AND s.identity = g.identity)"
)
_MENTIONS = (
    "SELECT room_id, count(DISTINCT message_id) FROM"
    " (SELECT room_id, message_id FROM mention WHERE account_id = ? AND seen = 0"
    " UNION ALL SELECT x.room_id, x.message_id FROM member m JOIN mention x ON x.account_id = 0"
    " AND x.room_id = m.room_id AND x.message_id > m.read_id"
    " JOIN message g ON g.room_id = x.room_id AND g.id = x.message_id"
    " WHERE m.account_id = ? AND g.identity <> (SELECT identity FROM account WHERE id = ?)"
    f" AND {_NOT_BLOCKED}) AS found GROUP BY room_id"
)
_MENTIONS_IN = (
    "SELECT count(DISTINCT x.message_id) FROM mention x WHERE x.room_id = ? AND (x.account_id = ? AND x.seen = 0"
    " OR x.account_id = 0 AND x.message_id > ? AND EXISTS (SELECT 1 FROM message g WHERE g.room_id = x.room_id"
    " AND g.id = x.message_id AND g.identity <> (SELECT identity FROM account WHERE id = ?)"
    f" AND {_NOT_BLOCKED}))"
)
_PEOPLE = (
    "SELECT o.room_id, a.key, a.name FROM member m JOIN room r ON r.id = m.room_id AND r.kind = 'direct'"
    " JOIN member o ON o.room_id = m.room_id AND o.account_id <> m.account_id JOIN account a ON a.id = o.account_id"
    " WHERE m.account_id = ?"
)
_MOVED = "SELECT id, name, last, messages, news, moved_at FROM room"
_REVISIONS = (
    "SELECT a.id, a.revision + coalesce(i.revision, 0) FROM account a LEFT JOIN inbox_revision i ON i.account_id = a.id"
)
_OWN = (
    "SELECT a.revision + coalesce(i.revision, 0), a.settings FROM account a"
    " LEFT JOIN inbox_revision i ON i.account_id = a.id WHERE a.id = ?"
)
_SENDERS = (
    "SELECT DISTINCT a.id FROM message g JOIN account a ON a.identity = g.identity WHERE g.room_id = ? AND g.id > ?"
)
_CALLS_ALL = "SELECT 1 FROM mention WHERE account_id = 0 AND room_id = ? AND message_id > ? LIMIT 1"
_MOST_NAMED = 500


Rooms = dict[int, Row]
"""Rooms that were read in this transaction, by their key."""


class _Read(msgspec.Struct, gc=False):
    id: int
    messages: int


class _Shown(msgspec.Struct, omit_defaults=True, gc=False):
    """An entry as the API shows it: zeros and the usual level are left out."""

    kind: str | None = None
    people: list[dict[str, str]] | None = msgspec.field(default=None, name="with")
    title: str | None = None
    last: int = 0
    messages: int = 0
    read: _Read | None = None
    unread: int = 0
    mentions: int = 0
    level: str | None = None


class Entry(NamedTuple):
    """One room of an inbox. Without `read_id` the account has not joined it, and is only mentioned there."""

    room: int
    name: str
    title: str | None
    kind: str
    last: int
    messages: int
    news: int
    read_id: int | None = None
    read_n: int | None = None
    level: str | None = None
    mentions: int = 0
    people: tuple[tuple[str, str], ...] = ()

    @property
    def unread(self) -> int:
        """Return how many messages are unread."""
        if self.read_id is None or self.read_n is None:
            return 0
        return inbox.unread(self.last, self.messages, self.read_id, self.read_n)

    @property
    def is_shown(self) -> bool:
        """Return True unless its member has hidden it, and is not mentioned there."""
        return self.level != inbox.HIDDEN or self.mentions > 0

    @property
    def own(self) -> int:
        """Return a number that changes with all but the counts of the room, which are told to everybody."""
        return hash((self[1:4], self[7:]))

    def shown(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        found: dict[str, Any] = msgspec.to_builtins(self._shown())
        return found

    def with_level(self, wanted: str | None) -> Entry:
        """Return it with the level that the settings of its member give it, if the room has none of its own."""
        level = inbox.default_level(self.kind, wanted)
        if self.level is not None or self.read_id is None or level == inbox.default_level(self.kind):
            return self
        return self._replace(level=level)

    def _shown(self) -> _Shown:
        _, _, title, kind, last, messages, _, read_id, read_n, level, mentions, people = self
        shown = _Shown(None, None, title or None, last, messages)
        if kind != rooms.OPEN:
            shown.kind = kind
        if kind == rooms.DIRECT:
            shown.people = [{"id": key, "name": name} for key, name in people]
        if read_id is not None and read_n is not None:
            shown.read = _Read(read_id, read_n)
            shown.unread = inbox.unread(last, messages, read_id, read_n)
        shown.mentions = mentions
        if level is not None and level != inbox.default_level(kind):
            shown.level = level
        return shown


class State(NamedTuple):
    """An inbox as it is at one moment."""

    revision: int
    entries: list[Entry]
    notices: list[dict[str, Any]]

    @property
    def cursor(self) -> str:
        """The cursor of all of it."""
        return inbox.cursor(self.revision, [(entry[0], entry[6]) for entry in self.entries])

    @property
    def own(self) -> array[int]:
        """Return `Entry.own` of each entry, in their order."""
        return array("q", [entry.own for entry in self.entries])

    def encoded(self, cursor: str, only: Collection[int] | None = None, gone: Sequence[str] = ()) -> bytes:
        """Return it as the API shows it; with `only` these rooms, and the names of those that are `gone`."""
        fields: dict[str, Any] = {"cursor": cursor}
        if only is None:
            fields["complete"] = True
        fields["rooms"] = {each.name: each._shown() for each in self.entries if only is None or each.room in only}
        if self.notices:
            fields["notices"] = self.notices
        if gone:
            fields["gone"] = gone
        return json.dumps(fields)


def read(sql: Sql, account: int, only: Collection[str] | None = None, known: Rooms | None = None) -> State:
    """Return the inbox of an account, of its rooms or of those that are named `only`.

    `known` are the rooms that were read before in this transaction; missing ones are added.
    """
    revision, settings = sql.one(_OWN, account) or (0, "{}")
    mentions = dict(_pairs(sql.all(_MENTIONS, account, account, account, account)))
    entries = [Entry(*row) for row in sql.all(_JOINED, account)] if known is None else _joined(sql, account, known)
    if any(each[3] == rooms.DIRECT for each in entries):
        people = people_of(sql, account)
        entries = [each._replace(people=tuple(people[each.room])) if each.room in people else each for each in entries]
    if mentions:
        entries = _mentioned(sql, account, entries, mentions)
    level = _level_in(settings)
    if level is not None:
        entries = [each.with_level(level) for each in entries]
    kept = [each for each in entries if (only is None or each.name in only) and PART not in each.name]
    # Notices name other rooms, and tell of sessions: they are not for a token for some rooms.
    return State(revision, kept, _notices(sql, account) if only is None else [])


def wanted_level(sql: Sql, account: int) -> str | None:
    """Return the level that an account wants for rooms without one of their own; None if it has set none."""
    row = sql.one("SELECT settings FROM account WHERE id = ?", account)
    return None if row is None else _level_in(row[0])


def _level_in(settings: str) -> str | None:
    found = None if settings == "{}" else json.own(settings).get("level")
    return found if found in inbox.LEVELS else None


def _joined(sql: Sql, account: int, known: Rooms) -> list[Entry]:
    """Return the entries of `_JOINED`, of which those of rooms are read once for all."""
    rows = list(sql.all(_MEMBER, account))
    missing = [row[0] for row in rows if row[0] not in known]
    for start in range(0, len(missing), _MOST_NAMED):
        some = missing[start : start + _MOST_NAMED]
        found = sql.all(f"SELECT {_ROOM} FROM room r WHERE r.id IN ({', '.join('?' * len(some))})", *some)
        known |= {row[0]: row for row in found}
    return [Entry(*(*known[row[0]], *row[1:])) for row in rows if row[0] in known]


def _mentioned(sql: Sql, account: int, joined: list[Entry], mentions: dict[int, int]) -> list[Entry]:
    """Return the entries with the mentions of each, and the rooms that the account is only mentioned in."""
    entries = [each._replace(mentions=mentions.pop(each.room, 0)) if each.room in mentions else each for each in joined]
    entries += [Entry(*row)._replace(mentions=mentions[row[0]]) for row in _open(sql, account, mentions)]
    return sorted(entries)


def mentions_in(sql: Sql, account: int, room: int, read_id: int) -> int:
    """Count the messages of one room that mention a member of it which has read up to `read_id`."""
    row = sql.one(_MENTIONS_IN, room, account, read_id, account, account)
    return 0 if row is None else int(row[0])


class Moved(NamedTuple):
    """The counts of a room; `at` is the time of its newest event."""

    room: int
    name: str
    last: int
    messages: int
    news: int
    at: int


def moved(sql: Sql, since: int | None) -> list[Moved]:
    """Return the rooms whose newest event is of the time `since` or later; None for all."""
    rows = sql.all(_MOVED) if since is None else sql.all(f"{_MOVED} WHERE moved_at >= ?", since)
    return [Moved(*row) for row in rows]


def revisions(sql: Sql, accounts: Collection[int]) -> dict[int, int]:
    """Return the revisions of inboxes, by account: they move with its own state, here and among its rights."""
    found: dict[int, int] = {}
    numbers = sorted(accounts)
    for start in range(0, len(numbers), _MOST_NAMED):
        some = numbers[start : start + _MOST_NAMED]
        rows = sql.all(f"{_REVISIONS} WHERE a.id IN ({', '.join('?' * len(some))})", *some)
        found |= dict(_pairs(rows))
    return found


def calls_all(sql: Sql, room: int, after: int) -> bool:
    """Return True if a message after `after` mentions everybody in the room."""
    return sql.one(_CALLS_ALL, room, after) is not None


def senders(sql: Sql, room: int, after: int) -> set[int]:
    """Return the accounts that sent a message in the room after `after`."""
    return {row[0] for row in sql.all(_SENDERS, room, after)}


def _open(sql: Sql, account: int, room_ids: Collection[int]) -> list[Row]:
    """Return open rooms that the account has not joined; none for a guest, which may not see them."""
    numbers = sorted(room_ids)[:_MOST_NAMED]
    if not numbers:
        return []
    marks = ", ".join("?" * len(numbers))
    seen = f"SELECT {_ROOM} FROM room r JOIN account a ON a.id = ? AND a.role <> 'guest'"
    return list(sql.all(f"{seen} WHERE r.id IN ({marks}) AND r.kind = 'open'", account, *numbers))


def people_of(sql: Sql, account: int) -> dict[int, list[tuple[str, str]]]:
    """Return the others of the direct rooms of an account, by room, as (id, name)."""
    found: dict[int, list[tuple[str, str]]] = {}
    for room_id, key, name in sql.all(_PEOPLE, account):
        found.setdefault(room_id, []).append((key, name))
    return {room_id: sorted(people, key=itemgetter(1)) for room_id, people in found.items()}


def _notices(sql: Sql, account: int) -> list[dict[str, Any]]:
    rows = sql.all(
        "SELECT id, what, at, text FROM notice WHERE account_id = ? ORDER BY id DESC LIMIT ?", account, MOST_NOTICES
    )
    return [{"id": row[0], "what": row[1], "at": events.rfc3339(row[2]), "text": row[3]} for row in rows]


def _pairs(rows: Iterable[Row]) -> Iterable[tuple[int, int]]:
    return ((row[0], row[1]) for row in rows)

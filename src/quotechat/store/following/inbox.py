"""Read the inbox of an account: its rooms, with counts, its position in each, and what mentions it.

Statements only, in one open transaction. An inbox costs three statements, however many rooms it has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from ...protocol import events, inbox, rooms
from ..shapes import PART, Row, Sql

MOST_NOTICES = 50
_ROOM = "r.id, r.name, r.title, r.kind, r.last, r.messages, r.news"
_JOINED = (
    f"SELECT {_ROOM}, m.read_id, m.read_n, m.level FROM member m JOIN room r ON r.id = m.room_id"
    " WHERE m.account_id = ? ORDER BY r.id"
)
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
    " WHERE m.account_id = ? ORDER BY a.name, a.id"
)
_MOVED = "SELECT id, name, last, messages, news, moved_at FROM room"
_REVISIONS = (
    "SELECT a.id, a.revision + coalesce(i.revision, 0) FROM account a LEFT JOIN inbox_revision i ON i.account_id = a.id"
)
_SENDERS = (
    "SELECT DISTINCT a.id FROM message g JOIN account a ON a.identity = g.identity WHERE g.room_id = ? AND g.id > ?"
)
_CALLS_ALL = "SELECT 1 FROM mention WHERE account_id = 0 AND room_id = ? AND message_id > ? LIMIT 1"
_MOST_NAMED = 500


class Entry(NamedTuple):
    """One room of an inbox. Without `read` the account has not joined it, and is only mentioned there."""

    room: int
    name: str
    title: str | None
    kind: str
    last: int
    messages: int
    news: int
    read: tuple[int, int] | None
    level: str | None
    mentions: int = 0
    people: tuple[tuple[str, str], ...] = ()

    @property
    def unread(self) -> int:
        """Return how many messages are unread."""
        return 0 if self.read is None else inbox.unread(self.last, self.messages, *self.read)

    @property
    def own(self) -> int:
        """Return a number that changes with all but the counts of the room, which are told to everybody."""
        return hash((self.name, self.title, self.kind, self.read, self.level, self.mentions, self.people))

    def shown(self) -> dict[str, Any]:
        """Return it as the API shows it: zeros and the usual level are left out."""
        fields: dict[str, Any] = {} if self.kind == rooms.OPEN else {"kind": self.kind}
        if self.kind == rooms.DIRECT:
            fields["with"] = [{"id": key, "name": name} for key, name in self.people]
        level = self.level if self.level != inbox.default_level(self.kind) else None
        values = {"title": self.title, "last": self.last, "messages": self.messages}
        fields |= {name: value for name, value in values.items() if value}
        if self.read is not None:
            fields["read"] = {"id": self.read[0], "messages": self.read[1]}
        counts = {"unread": self.unread, "mentions": self.mentions, "level": level}
        return fields | {name: value for name, value in counts.items() if value}


class State(NamedTuple):
    """An inbox as it is at one moment."""

    revision: int
    entries: list[Entry]
    notices: list[dict[str, Any]]

    @property
    def cursor(self) -> str:
        """The cursor of all of it."""
        return inbox.cursor(self.revision, ((entry.room, entry.news) for entry in self.entries))

    def shown(self, only: Collection[int] | None = None) -> dict[str, Any]:
        """Return it as the API shows it; with `only` these rooms, else all of it."""
        entries = [entry for entry in self.entries if only is None or entry.room in only]
        fields: dict[str, Any] = {"cursor": self.cursor}
        if only is None:
            fields["complete"] = True
        fields["rooms"] = {entry.name: entry.shown() for entry in entries}
        if self.notices:
            fields["notices"] = self.notices
        return fields


def read(sql: Sql, account: int, only: Collection[str] | None = None) -> State:
    """Return the inbox of an account, of its rooms or of those that are named `only`."""
    revision = revisions(sql, (account,)).get(account, 0)
    mentions = dict(_pairs(sql.all(_MENTIONS, account, account, account, account)))
    joined = list(sql.all(_JOINED, account))
    people = people_of(sql, account) if any(each[3] == rooms.DIRECT for each in joined) else {}
    entries = [_entry(each, mentions.pop(each[0], 0), people) for each in joined]
    entries += [_entry((*each, None, None, None), mentions[each[0]], {}) for each in _open(sql, account, mentions)]
    kept = [each for each in entries if PART not in each.name and (only is None or each.name in only)]
    return State(revision, sorted(kept), _notices(sql, account))


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
    """Return the revisions of inboxes, by account: they move with what is its own, here and among its rights."""
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


def _entry(row: Iterable[Any], mentions: int, people: dict[int, list[tuple[str, str]]]) -> Entry:
    room, name, title, kind, last, messages, news, read_id, read_n, level = row
    read = None if read_id is None else (read_id, read_n)
    return Entry(room, name, title, kind, last, messages, news, read, level, mentions, tuple(people.get(room, ())))


def _open(sql: Sql, account: int, room_ids: Collection[int]) -> list[Row]:
    """Return open rooms that the account has not joined; none for a guest, who does not see them."""
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
    return found


def _notices(sql: Sql, account: int) -> list[dict[str, Any]]:
    rows = sql.all(
        "SELECT id, what, at, text FROM notice WHERE account_id = ? ORDER BY id DESC LIMIT ?", account, MOST_NOTICES
    )
    return [{"id": row[0], "what": row[1], "at": events.rfc3339(row[2]), "text": row[3]} for row in rows]


def _pairs(rows: Iterable[Row]) -> Iterable[tuple[int, int]]:
    return ((row[0], row[1]) for row in rows)

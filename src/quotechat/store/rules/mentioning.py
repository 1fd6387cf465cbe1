"""Mentions of a message: the accounts that its text names and the author that it answers; a row for each mention.

Rows are written by the rules and not by projections: whether a mention was seen, and who blocked whom, stands in no
log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...protocol import json
from ...protocol.markup import mentions, text
from ...protocol.markup.mentions import Candidate
from ...protocol.rights.permissions import MENTION_ALL, MENTION_FEW, READ, allows
from ...protocol.rights.principal import Principal
from .. import members
from ..accounts.accounts import is_active
from ..shapes import Row
from .asked import Asked

ROOM_KEY = 0
"""The key of a mention of the whole room, in place of that of an account."""
MOST_CALLED = 20
"""Members of a room that any member may mention all together."""
_WHO = (
    "SELECT a.id, a.key, a.state, a.until, a.role, m.role, EXISTS (SELECT 1 FROM blocked b JOIN account s"
    " ON s.id = b.other WHERE b.account_id = a.id AND s.identity = ?) FROM account a"
    " LEFT JOIN member m ON m.account_id = a.id AND m.room_id = ?"
)
_NAMED = f"{_WHO} WHERE a.skeleton = ?"
_AUTHOR = f"{_WHO} WHERE a.key = ?"
PARENT = "SELECT body FROM message WHERE room_id = ? AND id = ?"

Called = dict[int, str]
"""Kinds of mentions (`name`, `room`, `reply`) by the key of the account, or `ROOM_KEY`."""


def mark(
    asked: Asked, said: str, runs: list[text.Run] | None, candidates: Sequence[Candidate]
) -> tuple[list[text.Run] | None, Called]:
    """Return the runs of `said` with their mentions, and the kind of mention by account."""
    if not candidates:
        return runs, {}
    known: dict[str, str] = {}
    keys: dict[str, int] = {}
    for skeleton in dict.fromkeys(each.skeleton for each in candidates):
        found = _everybody(asked) if skeleton == mentions.ROOM_SKELETON else _named(asked, skeleton)
        if found is not None:
            keys[found[1]], known[skeleton] = found
    marked = mentions.mark(said, runs, candidates, known)
    return marked, {keys[who]: "room" if who == mentions.ROOM else "name" for who in mentions.of(marked)}


def author(asked: Asked, parent: int | None) -> Called:
    """Return the author of the message that is answered."""
    row = None if parent is None else asked.ledger.sql.one(PARENT, asked.room.id, parent)
    by = None if row is None else json.own(row[0]).get("by")
    if by is None:  # of a visitor, or deleted
        return {}
    found = _who(asked, asked.ledger.sql.one(_AUTHOR, asked.write.identity or "", asked.room.id, by))
    return {} if found is None else {found[0]: "reply"}


def note(asked: Asked, message_id: int, called: Called) -> None:
    """Store the mentions of a new message, except of its sender."""
    for account, kind in called.items():
        if account != asked.standing.principal.account:
            _add(asked, message_id, account, kind)


def change(asked: Asked, message_id: int, called: Called) -> None:
    """Store the mentions of a message after an edit; the mention by its reply stays."""
    sql, key = asked.ledger.sql, (asked.room.id, message_id)
    rows = list(sql.all("SELECT account_id, kind FROM mention WHERE room_id = ? AND message_id = ?", *key))
    before = {account for account, _ in rows}
    for account, kind in rows:
        if kind != "reply" and account not in called:
            sql.run("DELETE FROM mention WHERE account_id = ? AND room_id = ? AND message_id = ?", account, *key)
            _tell(asked, account)
    note(asked, message_id, {account: kind for account, kind in called.items() if account not in before})


def likely_reads(
    candidates: Sequence[Candidate], room_id: int, identity: str | None
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the single-row reads that `mark` makes; the author of a reply's parent is known only from the parent."""
    for skeleton in dict.fromkeys(each.skeleton for each in candidates):
        if skeleton != mentions.ROOM_SKELETON:
            yield _NAMED, (identity or "", room_id, skeleton)


def _add(asked: Asked, message_id: int, account: int, kind: str) -> None:
    asked.ledger.sql.run(
        "INSERT INTO mention (account_id, room_id, message_id, kind) VALUES (?, ?, ?, ?)",
        account, asked.room.id, message_id, kind,
    )  # fmt: skip
    _tell(asked, account)


def _tell(asked: Asked, account: int) -> None:
    """Move the inbox of the account; a mention of the whole room reaches inboxes by the room's own news."""
    if account != ROOM_KEY:
        asked.ledger.move_inbox(account)
    else:
        asked.room.counts.news += 1


def _named(asked: Asked, skeleton: str) -> tuple[int, str] | None:
    """Return key and public id of the account of that name."""
    return _who(asked, asked.ledger.sql.one(_NAMED, asked.write.identity or "", asked.room.id, skeleton))


def _who(asked: Asked, row: Row | None) -> tuple[int, str] | None:
    """Return key and public id of the account in a row, if it sees the room and has not blocked the sender."""
    if row is None or row[6] or not is_active(row[2], row[3], asked.write.at):
        return None
    sees = allows(Principal(None, row[0], role=row[4]), READ, asked.room.kind, row[5])
    return (row[0], row[1]) if sees else None


def _everybody(asked: Asked) -> tuple[int, str] | None:
    few = asked.may(MENTION_FEW) and members.count(asked.ledger.sql, asked.room.id) <= MOST_CALLED
    return (ROOM_KEY, mentions.ROOM) if few or asked.may(MENTION_ALL) else None

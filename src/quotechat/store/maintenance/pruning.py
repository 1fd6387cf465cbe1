"""Forget rows that are over: old client_ids, names without a holder, past scheduled messages, ended sessions.

A transaction is bounded; it is done again until nothing is left.
"""

from __future__ import annotations

from ..ledger import Ledger
from ..shapes import Sql

AT_ONCE = 500
"""Rows of each table that one transaction forgets."""
NOTICE_MS = 30 * 86_400_000
"""Milliseconds after which a notice goes by itself."""
REFUSED_MS = 30 * 86_400_000
"""Milliseconds for which a scheduled message that was refused stays with its sender, from when it was due."""
_OLD = "SELECT room_id, sender, client_id, scheduled FROM sent WHERE at < ? ORDER BY at LIMIT ?"
# Another process may have forgotten it, and its sender may have used it again since.
_FORGET_SENT = "DELETE FROM sent WHERE room_id = ? AND sender = ? AND client_id = ? AND at < ?"
_FREE = "SELECT room_id, skeleton FROM name WHERE at < ? ORDER BY at LIMIT ?"
_OVER = (
    "DELETE FROM scheduled WHERE id = ? AND state NOT IN ('waiting', 'refused')"
    " AND NOT EXISTS (SELECT 1 FROM sent WHERE sent.scheduled = ?)"
)
_PAST = (
    "SELECT id, state FROM scheduled WHERE state NOT IN ('waiting', 'refused') AND due_at < ?"
    " AND NOT EXISTS (SELECT 1 FROM sent WHERE sent.scheduled = scheduled.id) ORDER BY due_at LIMIT ?"
)
_REFUSED = "SELECT id, state FROM scheduled WHERE state = 'refused' AND due_at < ? ORDER BY due_at LIMIT ?"
_DELETE_OVER = (
    "DELETE FROM scheduled WHERE id = ? AND state = ? AND NOT EXISTS (SELECT 1 FROM sent WHERE sent.scheduled = ?)"
)
_CANCEL_REFUSED = (
    "UPDATE scheduled SET state = 'cancelled', message = '{}', code = NULL, source = NULL"
    " WHERE id = ? AND state = 'refused'"
)
_ENDED = {
    "session": ("hash", "ends_at"), "token": ("id", "ends_at"), "ticket": ("hash", "ends_at"),
    "attempt": ("key", "try_at"), "bar": ("key", "until"),
}  # fmt: skip
"""Tables of rows that end: the primary key, and the time of the end."""


def prune(sql: Sql, sent_before: int, held_before: int, now: int) -> bool:
    """Forget some client_ids that were used, and names that were last used, before those times; whether there is more.

    Notices go `NOTICE_MS` after they were made, and scheduled messages that were refused `REFUSED_MS` after they were
    due, whatever those times are.
    A scheduled message that is over goes with the last client_id that is answered with it; one that has none, once it
    was due as long ago.
    """
    old = list(sql.all(_OLD, sent_before, AT_ONCE))
    for room_id, sender, client_id, scheduled in old:
        sql.run(_FORGET_SENT, room_id, sender, client_id, sent_before)
        if scheduled is not None:
            sql.run(_OVER, scheduled, scheduled)
    past = list(sql.all(_PAST, sent_before, AT_ONCE))
    refused = list(sql.all(_REFUSED, now - REFUSED_MS, AT_ONCE))
    for number, state in (*past, *refused):
        sql.run(_DELETE_OVER, number, state, number)
    for number, _ in refused:
        # A client_id is still answered with it: as if its sender had put it away.
        sql.run(_CANCEL_REFUSED, number)
    free = list(sql.all(_FREE, held_before, AT_ONCE))
    for room_id, skeleton in free:
        # It may have been used since, if other processes write beside this.
        sql.run("DELETE FROM name WHERE room_id = ? AND skeleton = ? AND at < ?", room_id, skeleton, held_before)
    notices = _forget_notices(sql, now - NOTICE_MS)
    return _forget_ended(sql, sent_before) or AT_ONCE in (
        len(old), len(past), len(refused), len(free), notices
    )  # fmt: skip


def _forget_notices(sql: Sql, before: int) -> int:
    """Forget some notices that were made before that; return how many. They are gone from inboxes too."""
    rows = list(sql.all("SELECT id, account_id FROM notice WHERE at < ? LIMIT ?", before, AT_ONCE))
    ledger = Ledger(sql)
    for number, account in rows:
        sql.run("DELETE FROM notice WHERE id = ?", number)
        ledger.move_inbox(account)
    ledger.flush()
    return len(rows)


def _forget_ended(sql: Sql, before: int) -> bool:
    """Forget some sessions, tokens, links and counted attempts that ended before that; whether there is more."""
    more = False
    for table, (key, end) in _ENDED.items():
        rows = list(sql.all(f"SELECT {key} FROM {table} WHERE {end} < ? LIMIT ?", before, AT_ONCE))
        for row in rows:
            sql.run(f"DELETE FROM {table} WHERE {key} = ? AND {end} < ?", row[0], before)
        more |= len(rows) == AT_ONCE
    return more

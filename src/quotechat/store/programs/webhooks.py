"""Webhooks: subscribers that this server calls by itself, with their tries and the lease of the worker that calls them.

Statements only. `hub.webhooks` decides which account may change them, and sends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ...protocol.cursor import Cursor
from ...protocol.errors import Conflict, WebhookUnknown
from ..accounts import accounts
from ..shapes import Sql
from . import subscribers
from .subscribers import WEBHOOK, Subscriber

MOST_MADE = 20
"""Webhooks that one account makes."""
MOST = 200
"""Webhooks of all."""
TRIES = 20
"""Tries that are kept of each."""
LONGEST_LEASE_MS = 60_000
"""Milliseconds ahead: a lease that ends later is from before the clock was set back. Twice what a worker takes."""
_LONGEST_PAUSE_MS = 12 * 3_600_000
"""Milliseconds ahead, likewise: a later try is of a wrong clock. The longest pause is six hours, and some more."""
ON, DISABLED = "on", "disabled"
_COLUMNS = (
    "s.id, w.key, s.name, s.account_id, s.url, s.secret, s.old_secret, s.old_until, s.all_rooms, s.commands,"
    " s.mentions, s.state, w.reason, w.made_by, s.at"
)
_FROM = "FROM webhook w JOIN subscriber s ON s.id = w.subscriber_id"


class Webhook(NamedTuple):
    """One row; `account` is its bot's key in the store. It has two secrets until `old_until`."""

    id: int
    key: str
    name: str
    account: int
    url: str
    secret: str
    old_secret: str | None
    old_until: int | None
    all_rooms: int
    commands: str
    mentions: int
    state: str
    reason: str | None
    made_by: int | None
    at: int

    @property
    def subscriber(self) -> Subscriber:
        """Return it as every subscriber is."""
        return Subscriber(self.id, self.name, bool(self.all_rooms), self.at)

    def secrets(self, now: int) -> list[str]:
        """Return the secrets with which it signs at the time `now`."""
        old = self.old_secret if self.old_secret and (self.old_until or 0) > now else None
        return [self.secret, *([old] if old else [])]


def listed(sql: Sql, keeper: int | None = None) -> list[Webhook]:
    """Return all webhooks, or those of the bots of `keeper`, the newest first."""
    of = "" if keeper is None else " JOIN account a ON a.id = s.account_id WHERE a.keeper = ?"
    rows = sql.all(f"SELECT {_COLUMNS} {_FROM}{of} ORDER BY s.id DESC", *(() if keeper is None else (keeper,)))
    return [Webhook(*row) for row in list(rows)]


def find(sql: Sql, key: str) -> Webhook:
    """Return the webhook with that public id. Raises WebhookUnknown."""
    row = sql.one(f"SELECT {_COLUMNS} {_FROM} WHERE w.key = ?", key)
    if row is None:
        raise WebhookUnknown()
    return Webhook(*row)


def by_id(sql: Sql, subscriber_id: int) -> Webhook | None:
    """Return the webhook with that key in the store."""
    row = sql.one(f"SELECT {_COLUMNS} {_FROM} WHERE s.id = ?", subscriber_id)
    return None if row is None else Webhook(*row)


def make(
    sql: Sql, name: str, account_id: int, url: str, secret: str, at: int, *, made_by: int | None, all_rooms: bool,
    commands: Iterable[str], mentions: bool,
) -> Webhook:  # fmt: skip
    """Store a new one, which follows no room yet. Raises Conflict if the name is taken, or there are too many."""
    sql.alone("subscriber")
    _check_count(sql, made_by)
    _check_name(sql, account_id, name)
    sql.run(
        "INSERT INTO subscriber (account_id, kind, name, all_rooms, commands, mentions, url, secret, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        account_id, WEBHOOK, name, int(all_rooms), " ".join(commands), int(mentions), url, secret, at,
    )  # fmt: skip
    made = subscribers.find(sql, account_id, name, WEBHOOK)
    key = accounts.public_id()[:8]
    sql.run("INSERT INTO webhook (subscriber_id, key, made_by) VALUES (?, ?, ?)", made.id, key, made_by)
    return find(sql, key)


def rename(sql: Sql, webhook: Webhook, name: str) -> None:
    """Give it another name. Raises Conflict."""
    sql.alone("subscriber")
    if name != webhook.name:
        _check_name(sql, webhook.account, name)
    sql.run("UPDATE subscriber SET name = ? WHERE id = ?", name, webhook.id)


def aim(sql: Sql, webhook: Webhook, url: str, made_by: int | None) -> None:
    """Let it call `url` at once, for which the account `made_by` answers from here on. Raises Conflict."""
    sql.alone("subscriber")
    if made_by != webhook.made_by:
        _check_count(sql, made_by)
    sql.run("UPDATE subscriber SET url = ? WHERE id = ?", url, webhook.id)
    sql.run("UPDATE webhook SET made_by = ? WHERE subscriber_id = ?", made_by, webhook.id)
    _forget_failures(sql, webhook)


def choose(sql: Sql, webhook: Webhook, commands: Iterable[str], mentions: bool) -> None:
    """Set which events it is for."""
    sql.run(
        "UPDATE subscriber SET commands = ?, mentions = ? WHERE id = ?", " ".join(commands), int(mentions), webhook.id
    )


def change_secret(sql: Sql, webhook: Webhook, secret: str, old_until: int) -> None:
    """Sign with `secret`, and until `old_until` with the one before too."""
    sql.run(
        "UPDATE subscriber SET secret = ?, old_secret = ?, old_until = ? WHERE id = ?",
        secret, webhook.secret, old_until, webhook.id,
    )  # fmt: skip


def enable(sql: Sql, webhook: Webhook) -> None:
    """Let it go on from its position, at once."""
    sql.run("UPDATE subscriber SET state = ? WHERE id = ?", ON, webhook.id)
    sql.run("UPDATE webhook SET reason = NULL WHERE subscriber_id = ?", webhook.id)
    _forget_failures(sql, webhook)


def _forget_failures(sql: Sql, webhook: Webhook) -> None:
    """Let it be tried at once, whatever a call or a check that has begun finds."""
    sql.run("UPDATE webhook SET revision = revision + 1 WHERE subscriber_id = ?", webhook.id)
    sql.run(
        "UPDATE subscribed SET failures = 0, failing_since = NULL, try_at = NULL WHERE subscriber_id = ?", webhook.id
    )


def disable(sql: Sql, webhook_id: int, reason: str) -> None:
    """Send nothing more, until it is enabled."""
    sql.run("UPDATE subscriber SET state = ? WHERE id = ?", DISABLED, webhook_id)
    sql.run("UPDATE webhook SET reason = ? WHERE subscriber_id = ?", reason, webhook_id)


def _check_name(sql: Sql, account_id: int, name: str) -> None:
    wanted = (account_id, WEBHOOK, name)
    if sql.one("SELECT 1 FROM subscriber WHERE account_id = ? AND kind = ? AND name = ?", *wanted) is not None:
        raise Conflict(f"This bot has a webhook {name} already.", "name")


def _check_count(sql: Sql, made_by: int | None) -> None:
    makers = [row[0] for row in list(sql.all("SELECT made_by FROM webhook ORDER BY subscriber_id"))]
    if len(makers) >= MOST:
        raise Conflict(f"There may be {MOST} webhooks.")
    if made_by is not None and makers.count(made_by) >= MOST_MADE:
        raise Conflict(f"An account may make {MOST_MADE} webhooks.")


# --- Lanes and leases ------------------------------------------------------------------------------


class Lane(NamedTuple):
    """A room of a webhook in which something is new: one event after the other goes through it.

    The events between `cursor` and `floor` were cut. `failing_since` is when the tries that failed began. `revision` is
    that of the webhook. The worker that asked has the lease for `held_ms` more milliseconds, 0 if it has none.
    """

    webhook: int
    room_id: int
    room: str
    kind: str
    cursor: Cursor
    floor: int
    head: int
    failures: int
    failing_since: int | None
    url: str
    revision: int = 0
    held_ms: int = 0


def due(sql: Sql, now: int, worker: str, of_each: int) -> list[Lane]:
    """Return the lanes that `worker` may send at `now`: first one of each webhook, then the second of each, and so on.

    Of one webhook there are `of_each` at most, the room with the oldest newest event first. Those that another worker
    holds, or that are to be tried later, are left out.
    """
    at = sql.clock(now)
    rows = sql.all(
        "SELECT webhook, room_id, room, kind, seq, tag, floor, head, failures, failing_since, url, revision, held_ms"
        " FROM ("
        "SELECT s.id AS webhook, r.id AS room_id, r.name AS room, r.kind, p.seq, p.tag, r.floor, r.head, p.failures,"
        " p.failing_since, s.url, w.revision, CASE WHEN s.lease_by = ? THEN s.lease_until - ? ELSE 0 END AS held_ms,"
        " r.moved_at, row_number() OVER (PARTITION BY s.id ORDER BY r.moved_at, r.id) AS place"
        f" {_FROM} JOIN subscribed p ON p.subscriber_id = s.id JOIN room r ON r.id = p.room_id"
        " WHERE s.state = 'on' AND r.head > p.seq AND (p.try_at IS NULL OR p.try_at <= ? OR p.try_at > ?)"
        " AND (s.lease_until IS NULL OR s.lease_until <= ? OR s.lease_until > ? OR s.lease_by = ?)) AS found"
        " WHERE place <= ? ORDER BY place, moved_at, webhook",
        worker, at, now, now + _LONGEST_PAUSE_MS, at, at + LONGEST_LEASE_MS, worker, of_each,
    )  # fmt: skip
    return [
        Lane(number, room_id, room, kind, Cursor(seq, tag or None), floor, head, failures, since, url, made, held)
        for number, room_id, room, kind, seq, tag, floor, head, failures, since, url, made, held in list(rows)
    ]


def troubled(sql: Sql) -> set[int]:
    """Return the webhooks that fail in any room."""
    rows = sql.all(
        "SELECT w.subscriber_id FROM webhook w WHERE EXISTS"
        " (SELECT 1 FROM subscribed p WHERE p.subscriber_id = w.subscriber_id AND p.failures > 0)"
    )
    return {row[0] for row in list(rows)}


def any_there(sql: Sql) -> bool:
    """Return True if there is any webhook."""
    return sql.one("SELECT 1 FROM webhook LIMIT 1") is not None


def lease(sql: Sql, webhook_id: int, worker: str, now: int, ms: int) -> bool:
    """Let `worker` alone send for a webhook, for `ms` milliseconds; False if another one does.

    By the clock that all workers share: of two whose own differ, one would take the lease of the other for over.
    """
    at = sql.clock(now)
    sql.run(
        "UPDATE subscriber SET lease_by = ?, lease_until = ? WHERE id = ?"
        " AND (lease_until IS NULL OR lease_until <= ? OR lease_until > ? OR lease_by = ?)",
        worker, at + ms, webhook_id, at, at + LONGEST_LEASE_MS, worker,
    )  # fmt: skip
    return holds(sql, webhook_id, worker)


def holds(sql: Sql, webhook_id: int, worker: str) -> bool:
    """Return True if `worker` was the last to get the lease."""
    row = sql.one("SELECT lease_by FROM subscriber WHERE id = ?", webhook_id)
    return row is not None and row[0] == worker


def is_changed(sql: Sql, lane: Lane) -> bool:
    """Return True if the webhook was enabled, or got another address, since the lane was read."""
    same = "SELECT 1 FROM webhook WHERE subscriber_id = ? AND revision = ?"
    return sql.one(same, lane.webhook, lane.revision) is None


def release(sql: Sql, worker: str) -> None:
    """Give up all leases of `worker`: it ends."""
    sql.run("UPDATE subscriber SET lease_by = NULL, lease_until = NULL WHERE lease_by = ?", worker)


def put_off(sql: Sql, lane: Lane, until: int) -> None:
    """Let nothing be sent in a lane until a time; that is no failure."""
    move(sql, lane, lane.cursor, failures=lane.failures, failing_since=lane.failing_since, try_at=until)


def move(
    sql: Sql, lane: Lane, cursor: Cursor, *, failures: int = 0, failing_since: int | None = None,
    try_at: int | None = None,
) -> None:  # fmt: skip
    """Note how far a lane has come, unless its position was set anew meanwhile."""
    sql.run(
        "UPDATE subscribed SET seq = ?, tag = ?, failures = ?, failing_since = ?, try_at = ?"
        " WHERE subscriber_id = ? AND room_id = ? AND seq = ? AND tag = ?",
        cursor.seq, cursor.tag or "", failures, failing_since, try_at,
        lane.webhook, lane.room_id, lane.cursor.seq, lane.cursor.tag or "",
    )  # fmt: skip


# --- Tries ------------------------------------------------------------------------------------------


class Try(NamedTuple):
    """One call: the `status` of its answer, or the `error` that there was instead. A test has no room."""

    at: int
    room_id: int
    seq: int
    status: int | None
    ms: int
    error: str | None = None


def note(sql: Sql, webhook_id: int, tries: Iterable[Try]) -> None:
    """Keep `tries`, and of all the last `TRIES`. Of two in one millisecond the second counts as a moment later.

    Nothing is kept of a webhook that was removed during the call.
    """
    noted = list(tries)[-TRIES:]
    if not noted or by_id(sql, webhook_id) is None:
        return
    row = sql.one("SELECT max(at) FROM delivery WHERE subscriber_id = ?", webhook_id)
    last = 0 if row is None else row[0] or 0
    values: list[Any] = []
    for each in noted:
        last = max(each.at, last + 1)
        values += (webhook_id, last, *each[1:])
    # One statement for all: of a lane that is far behind there are as many as are kept.
    marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(noted))
    sql.run(
        f"INSERT INTO delivery (subscriber_id, at, room_id, seq, status, ms, error) VALUES {marks}", *values
    )
    oldest = sql.one(
        "SELECT at FROM delivery WHERE subscriber_id = ? ORDER BY at DESC LIMIT 1 OFFSET ?", webhook_id, TRIES - 1
    )
    if oldest is not None:
        sql.run("DELETE FROM delivery WHERE subscriber_id = ? AND at < ?", webhook_id, oldest[0])


def tries(sql: Sql, webhook_id: int) -> list[tuple[Try, str | None]]:
    """Return the last tries of a webhook, the newest first, each with the name of its room."""
    rows = sql.all(
        "SELECT d.at, d.room_id, d.seq, d.status, d.ms, d.error, r.name FROM delivery d"
        " LEFT JOIN room r ON r.id = d.room_id WHERE d.subscriber_id = ? ORDER BY d.at DESC, d.room_id LIMIT ?",
        webhook_id, TRIES,
    )  # fmt: skip
    return [(Try(*row[:6]), row[6]) for row in list(rows)]


def failing(sql: Sql, webhook_id: int) -> tuple[int, int, int] | None:
    """Return since when it fails, how often it was tried in that room, and when again; None if all is well."""
    row = sql.one(
        "SELECT failing_since, failures, try_at FROM subscribed WHERE subscriber_id = ? AND failures > 0"
        " ORDER BY failing_since LIMIT 1", webhook_id,
    )  # fmt: skip
    return None if row is None or row[0] is None else (row[0], row[1], row[2] or 0)


def is_by(sql: Sql, room_id: int, message_id: int, identity: str) -> bool:
    """Return True if `identity` sent that message."""
    wanted = (room_id, message_id, identity)
    return sql.one("SELECT 1 FROM message WHERE room_id = ? AND id = ? AND identity = ?", *wanted) is not None


def bots_before(sql: Sql, room_id: int, message_id: int, identity: str) -> bool:
    """Return True if a bot of that `identity` has spoken before in a chain of bots that answer each other."""
    at: int | None = message_id
    for _ in range(_LONGEST_CHAIN):
        row = sql.one(
            "SELECT m.identity, m.reply_to, a.role FROM message m LEFT JOIN account a ON a.identity = m.identity"
            " WHERE m.room_id = ? AND m.id = ?", room_id, at,
        )  # fmt: skip
        if row is None or row[2] != "bot":
            return False
        if row[0] == identity:
            return True
        at = row[1]
        if at is None:
            return False
    return True


_LONGEST_CHAIN = 20
"""Answers of bots to bots; there are no more."""

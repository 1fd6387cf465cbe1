"""Rows that only one account sees: notices that belong to no room, and the accounts that it has blocked."""

from __future__ import annotations

from ...protocol.errors import Conflict, NotFound
from ..shapes import Sql
from .accounts import Account, by_key

MOST_BLOCKED = 1000
"""Accounts that one may block."""
_MOST_NOTICES = 100


def notify(sql: Sql, account_id: int, at: int, what: str, text: str) -> None:
    """Add a notice for an account, such as of a sign-in; beyond the limit the oldest are deleted."""
    sql.run("INSERT INTO notice (account_id, at, what, text) VALUES (?, ?, ?, ?)", account_id, at, what, text)
    sql.run(
        "DELETE FROM notice WHERE account_id = ? AND id NOT IN"
        " (SELECT id FROM notice WHERE account_id = ? ORDER BY id DESC LIMIT ?)", account_id, account_id, _MOST_NOTICES,
    )  # fmt: skip
    _moved(sql, account_id)


def dismiss(sql: Sql, account_id: int, notice_id: int) -> None:
    """Delete a notice. Raises NotFound."""
    if sql.one("SELECT 1 FROM notice WHERE id = ? AND account_id = ?", notice_id, account_id) is None:
        raise NotFound("There is no such notice.")
    sql.run("DELETE FROM notice WHERE id = ?", notice_id)
    _moved(sql, account_id)


def blocked(sql: Sql, account_id: int) -> list[Account]:
    """Return the accounts that one blocks, by their ids."""
    rows = list(sql.all("SELECT a.key FROM blocked b JOIN account a ON a.id = b.other WHERE b.account_id = ?"
                        " ORDER BY a.id", account_id))  # fmt: skip
    return [by_key(sql, key) for (key,) in rows]


def block(sql: Sql, account_id: int, key: str) -> None:
    """Block the account `key`. Raises AccountUnknown, Conflict."""
    other = by_key(sql, key)
    if other.id == account_id:
        raise Conflict("Nobody blocks themselves.")
    row = sql.one("SELECT count(*) FROM blocked WHERE account_id = ?", account_id)
    if row is not None and row[0] >= MOST_BLOCKED:
        raise Conflict(f"At most {MOST_BLOCKED:,} accounts can be blocked.")
    sql.run("INSERT INTO blocked (account_id, other) VALUES (?, ?) ON CONFLICT DO NOTHING", account_id, other.id)
    _moved(sql, account_id)


def unblock(sql: Sql, account_id: int, key: str) -> None:
    """Unblock the account `key`. Raises AccountUnknown."""
    sql.run("DELETE FROM blocked WHERE account_id = ? AND other = ?", account_id, by_key(sql, key).id)
    _moved(sql, account_id)


def _moved(sql: Sql, account_id: int) -> None:
    sql.run("UPDATE account SET revision = revision + 1 WHERE id = ?", account_id)

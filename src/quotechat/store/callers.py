"""Checks of the rules on accounts, in the transaction that writes: may the sender still write, and under which name.

Read after the room's lock, so nothing of a banned account, or of a session that has ended, is stored after that was
committed, however long the command was queued.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..protocol import commands, names
from ..protocol.errors import Conflict, Forbidden, Unauthenticated
from ..protocol.principal import account_id
from .accounts import is_active
from .base import Write
from .shapes import Sql

ACCOUNT = "SELECT id, state, until, name, role FROM account WHERE identity = ?"
_PROOF = (
    "SELECT ends_at FROM session WHERE hash = ? UNION ALL"
    " SELECT coalesce(ends_at, 9007199254740991) FROM token WHERE hash = ?"
)
_TAKEN = "SELECT state, until, identity FROM account WHERE skeleton = ?"
_CLAIMED = (
    "SELECT 1 FROM claim c JOIN account a ON a.id = c.account_id WHERE c.identity = ? AND a.identity = ?"
)


def check(sql: Sql, command: commands.Write, write: Write) -> None:
    """Raise Unauthenticated if the account may write no more, Forbidden for a name that is not its own."""
    if account_id(write.identity) is None:
        return
    row = sql.one(ACCOUNT, write.identity)
    if row is None or not is_active(row[1], row[2], write.at):
        raise Unauthenticated("This account may not write any more.")
    if write.proof is not None:
        proof = sql.one(_PROOF, write.proof, write.proof)
        if proof is None or proof[0] <= write.at:
            raise Unauthenticated("This session has ended: sign in again.")
    if isinstance(command, commands.SendMessage) and command.message.user != row[3]:
        raise Forbidden(f"You are signed in as {row[3]}.")


def current_name(sql: Sql, identity: str | None, at: int) -> str | None:
    """Return the name of the account that `identity` is, None for other identities. Raises Unauthenticated."""
    if account_id(identity) is None:
        return None
    row = sql.one(ACCOUNT, identity)
    if row is None or not is_active(row[1], row[2], at):
        raise Unauthenticated("This account may not write any more.")
    return str(row[3])


def is_bot(sql: Sql, identity: str | None) -> bool:
    """Return True if `identity` is the account of a bot."""
    if account_id(identity) is None:
        return False
    row = sql.one(ACCOUNT, identity)
    return row is not None and row[4] == "bot"


def check_free(sql: Sql, user: str, at: int, identity: str | None = None) -> None:
    """Raise Conflict if `user` looks like the name of an account, other than that of `identity`."""
    row = sql.one(_TAKEN, names.skeleton(user))
    if row is not None and (identity is None or row[2] != identity) and (row[0] != "closed" or (row[1] or 0) > at):
        raise Conflict(f"{user} is the name of an account: sign in, or choose another name.", "user")


def owns(sql: Sql, identity: str, owner: str | None) -> bool:
    """Return True if `owner` is `identity`, or a visitor whose messages the account `identity` has claimed."""
    if owner == identity:
        return True
    return owner is not None and account_id(identity) is not None and sql.one(_CLAIMED, owner, identity) is not None


def claimed(sql: Sql, identity: str) -> set[str]:
    """Return the identities of visitors that the account `identity` has claimed."""
    if account_id(identity) is None:
        return set()
    rows = sql.all(
        "SELECT c.identity FROM claim c JOIN account a ON a.id = c.account_id WHERE a.identity = ?", identity
    )
    return {row[0] for row in rows}


def foreseen(command: commands.Write, write: Write) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the reads of `check` and `check_free`, as (statement, values)."""
    if account_id(write.identity) is not None:
        yield ACCOUNT, (write.identity,)
        if write.proof is not None:
            yield _PROOF, (write.proof, write.proof)
    elif isinstance(command, commands.SendMessage):
        yield _TAKEN, (names.skeleton(command.message.user),)

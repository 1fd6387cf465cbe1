"""Check accounts for the rules, in the transaction that writes: if the sender may still write, and under which name.

Read after the room's lock, so nothing of a banned account, or of a session that has ended, is stored after that was
committed, however long the command was queued.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...protocol import commands, names
from ...protocol.errors import Conflict, Forbidden, Unauthenticated
from ...protocol.rights.permissions import allows_on_server
from ...protocol.rights.principal import Principal, account_id, has_own_id
from ..administration import site
from ..base import Write
from ..shapes import Sql
from .accounts import is_active

STANDING = (
    "SELECT a.id, a.key, a.state, a.until, a.name, a.role, m.role, m.muted_until, m.spoke_at, m.read_id FROM account a"
    " LEFT JOIN member m ON m.account_id = a.id AND m.room_id = ? WHERE a.identity = ?"
)
_PROOF = (
    "SELECT ends_at, NULL FROM session WHERE hash = ? UNION ALL"
    " SELECT coalesce(ends_at, 9007199254740991), scopes FROM token WHERE hash = ?"
)
_TAKEN = "SELECT state, until, identity FROM account WHERE skeleton = ?"
_CLAIMED = (
    "SELECT 1 FROM claim c JOIN account a ON a.id = c.account_id WHERE c.identity = ? AND a.identity = ?"
)


class Standing(NamedTuple):
    """The sender as the store has it now, and its membership of the room; `membership` is None if it is no member."""

    principal: Principal
    membership: str | None = None
    muted_until: int | None = None
    spoke_at: int | None = None
    read_id: int | None = None


def standing(sql: Sql, write: Write, room_id: int) -> Standing:
    """Return the sender's standing in a room. Raises Unauthenticated if its account may write no more.

    The same is looked up for a room that is not there, with the id 0.
    """
    identity = write.identity
    if not has_own_id(identity):
        return Standing(Principal(identity))
    row = sql.one(STANDING, room_id, identity)
    if row is None and account_id(identity) is None:
        return Standing(Principal(identity, role="member"))
    if row is None or not is_active(row[2], row[3], write.at):
        raise Unauthenticated("This account may not write any more.")
    scopes = None if write.proof is None else _check_proof(sql, write.proof, write.at)
    principal = Principal(identity, row[0], row[1], row[4], row[5])
    if scopes is not None:
        principal = principal._replace(scopes=frozenset(scopes.split()))
    return Standing(principal, *row[6:])


def present(sql: Sql, by: Principal | None, at: int) -> Principal | None:
    """Return `by` as it is now, for an act that lasts: its request may have waited since it was checked.

    None stands for the operator. Raises Unauthenticated if its account, session or token has ended.
    """
    if by is None or by.account is None:
        return by
    row = sql.one("SELECT name, role, state, until FROM account WHERE id = ?", by.account)
    if row is None or not is_active(row[2], row[3], at):
        raise Unauthenticated("This account may not act any more.")
    if by.proof is not None:
        _check_proof(sql, by.proof, at)
    return by._replace(name=row[0], role=row[1])


def present_admin(sql: Sql, by: Principal | None, at: int) -> Principal | None:
    """As `present`, for an act of administrators. Raises Forbidden if `by` is none any more."""
    found = present(sql, by, at)
    if found is not None and not found.is_admin:
        raise Forbidden("Only administrators may do this.")
    return found


def present_allowed(sql: Sql, by: Principal | None, at: int, action: str) -> Principal | None:
    """As `present`, for an `action` on the server. Raises Forbidden if `by` may not do it any more."""
    found = present(sql, by, at)
    if found is not None and not allows_on_server(found, action, site.all_of(sql)):
        raise Forbidden("This account may not do this any more.")
    return found


def _check_proof(sql: Sql, proof: bytes, at: int) -> Any:
    """Return the scopes of a token, None of a session. Raises Unauthenticated if it has ended."""
    row = sql.one(_PROOF, proof, proof)
    if row is None or row[0] <= at:
        raise Unauthenticated("This session has ended: sign in again.")
    return row[1]


def check_name(standing: Standing, command: object) -> None:
    """Raise Forbidden if a message is signed with another name than that of the account."""
    name = standing.principal.name
    if name is None or not isinstance(command, commands.SendMessage) or command.message.user == name:
        return
    if account_id(standing.principal.identity) is not None:
        raise Forbidden(f"You are signed in as {name}.")


def check_free(sql: Sql, user: str, at: int, identity: str | None = None) -> bool:
    """Return True if `user` is the name of the account of `identity`. Raises Conflict if it is that of another one."""
    row = sql.one(_TAKEN, names.skeleton(user))
    if row is None:
        return False
    if identity is not None and row[2] == identity:
        return True
    if row[0] != "closed" or (row[1] or 0) > at:
        raise Conflict(f"{user} is the name of an account: sign in, or choose another name.", "user")
    return False


def owns(sql: Sql, identity: str, owner: str | None) -> bool:
    """Return True if `owner` is `identity`, or a visitor whose messages the account `identity` has claimed."""
    if owner == identity:
        return True
    return owner is not None and has_own_id(identity) and sql.one(_CLAIMED, owner, identity) is not None


def claimed(sql: Sql, identity: str) -> set[str]:
    """Return the identities of visitors that the account `identity` has claimed."""
    if not has_own_id(identity):
        return set()
    rows = sql.all(
        "SELECT c.identity FROM claim c JOIN account a ON a.id = c.account_id WHERE a.identity = ?", identity
    )
    return {row[0] for row in rows}


def likely_reads(command: commands.Write, write: Write, room_id: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the reads of `standing` and `check_free`, as (statement, values)."""
    if has_own_id(write.identity):
        yield STANDING, (room_id, write.identity)
        if write.proof is not None:
            yield _PROOF, (write.proof, write.proof)
    elif isinstance(command, commands.SendMessage):
        yield _TAKEN, (names.skeleton(command.message.user),)

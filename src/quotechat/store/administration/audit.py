"""Record acts in the log `@audit`, in the transaction of the act. No text of a message is ever in it.

The log is locked last in a transaction, after rooms and accounts, so that two that tell wait for each other only here.
"""

from __future__ import annotations

from ...protocol.rights.principal import Principal
from ..ledger import Ledger
from ..shapes import Sql


def tell(
    sql: Sql,
    at: int,
    what: str,
    *,
    by: Principal | str | None = None,
    account: str | None = None,
    room: str | None = None,
    message: int | None = None,
    detail: str | None = None,
) -> None:
    """Append the event `audit`, in a write transaction that is about to end.

    `by` and `account` are accounts, by their public ids; without `by` it is the operator. In a batch of writes it is
    `Ledger.tell`.
    """
    ledger = Ledger(sql)
    ledger.tell(at, what, by=by.id if isinstance(by, Principal) else by, account=account, room=room, message=message,
                detail=detail)  # fmt: skip
    ledger.flush()


def ensure(sql: Sql, at: int) -> None:
    """Begin the log, if it has not begun."""
    Ledger(sql).audit_room(at)

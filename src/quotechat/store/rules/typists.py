"""The rule of typing: it changes nothing and is stored nowhere, so it is checked in a read."""

from __future__ import annotations

from msgspec.structs import replace

from ...protocol.commands import SendMessage
from ...protocol.errors import Invalid
from ..accounts import bars, held_names
from ..base import Typist as Typist
from ..base import Write
from ..ledger import Ledger
from ..shapes import Sql
from . import rights
from .asked import Settings, ask


def typist(sql: Sql, write: Write, settings: Settings) -> Typist:
    """Return the typist, if the message of `write` would be taken now; slow mode aside.

    Raises as that: RoomUnknown, Unauthenticated, Forbidden, Conflict, and Invalid if it has no name.
    """
    bars.check(sql, write)
    command, ledger = write.command, Ledger(sql)
    assert isinstance(command, SendMessage)
    asked = ask(ledger, command.room, write, settings)
    principal = asked.standing.principal
    user = principal.name if principal.has_account and principal.name else command.message.user
    if not user:
        raise Invalid("user", "A visitor says under which name it types.")
    rights.check(asked, replace(command, message=replace(command.message, user=user)))
    held_names.check(ledger, asked.room, write, user, settings.name_hold_ms)
    return Typist(asked.room.name, asked.room.head, principal.id, user)

"""The argument of every rule: the command, with the transaction, the room and the rights of its sender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ...protocol import rooms
from ...protocol.errors import RoomUnknown, Unauthenticated
from ...protocol.rights.permissions import READ, allows
from ..accounts import callers
from ..accounts.callers import Standing
from ..base import Stored, Write
from ..ledger import Ledger, Room
from ..rooms import MOST_DIRECTS, MOST_ROOMS
from ..shapes import PART


@dataclass(frozen=True)
class Settings:
    """The operator's settings for the rules."""

    schedule_days: int = 365
    name_hold_ms: int = 86_400_000
    most_rooms: int = MOST_ROOMS
    most_directs: int = MOST_DIRECTS


class Asked(NamedTuple):
    """A command that a rule handles, with its transaction, room, sender and settings."""

    ledger: Ledger
    room: Room
    write: Write
    settings: Settings
    standing: Standing

    @property
    def about(self) -> rooms.About:
        """Return the settings of the room."""
        return rooms.parsed(self.room.about)

    @property
    def by(self) -> dict[str, str]:
        """Return the field `by` that names the acting account; empty for a sender without an account."""
        number = self.standing.principal.id
        return {} if number is None else {"by": number}

    def may(self, action: str) -> bool:
        """Return True if the sender has the right in this room."""
        if self.write.operator:
            return True
        return allows(self.standing.principal, action, self.room.kind, self.standing.membership)

    def need_identity(self, reason: str | None = None) -> str:
        """Return the sender's identity. Raises Unauthenticated."""
        if self.write.identity is None:
            raise Unauthenticated(reason) if reason else Unauthenticated()
        return self.write.identity

    def tell(self, what: str, **about: str | int | None) -> None:
        """Note an act in this room for the log `@audit`."""
        self.ledger.tell(self.write.at, what, by=self.standing.principal.id, room=self.room.name, **about)

    def append(
        self,
        event: str,
        body: dict[str, Any],
        *,
        target: int | None = None,
        reaction: int | None = None,
        emoji: str | None = None,
    ) -> Stored:
        """Append the event that follows from the command."""
        return self.ledger.append(self.room, event, body, self.write, target=target, reaction=reaction, emoji=emoji)


def ask(ledger: Ledger, name: str, write: Write, settings: Settings) -> Asked:
    """Return the command with its room, which is locked, and its sender's rights there.

    Raises Unauthenticated, and RoomUnknown also for a room that the sender may not see, after the same statements.
    """
    # A room that is being loaded or removed has no members.
    room = None if PART in name else ledger.find(name)
    standing = callers.standing(ledger.sql, write, 0 if room is None else room.id)
    if room is not None:
        asked = Asked(ledger, room, write, settings, standing)
        if asked.may(READ):
            return asked
    raise RoomUnknown(name)

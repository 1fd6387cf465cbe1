"""A command under its rule: what every rule is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ...protocol.errors import Unauthenticated
from ..base import Stored, Write
from ..ledger import Ledger, Room
from ..rooms import MOST_ROOMS


@dataclass(frozen=True)
class Settings:
    """The operator's settings for the rules."""

    schedule_days: int = 365
    name_hold_ms: int = 86_400_000
    most_rooms: int = MOST_ROOMS


class Asked(NamedTuple):
    """A command under its rule: its transaction, room, sender and bounds."""

    ledger: Ledger
    room: Room
    write: Write
    settings: Settings

    def need_identity(self, reason: str | None = None) -> str:
        """Return the sender's identity. Raises Unauthenticated."""
        if self.write.identity is None:
            raise Unauthenticated(reason) if reason else Unauthenticated()
        return self.write.identity

    def append(
        self,
        event: str,
        body: dict[str, Any],
        *,
        target: int | None = None,
        reaction: int | None = None,
        emoji: str | None = None,
    ) -> Stored:
        """Store the event that comes of it."""
        return self.ledger.append(self.room, event, body, self.write, target=target, reaction=reaction, emoji=emoji)

"""The terms that an index keeps of a message or a quote. Pure.

Beside the terms of its text, a message has terms of our own: its room, its sender, and its contents. A word that
looks like one of them is found by the index and refused by the comparison with the text (`asking`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ...protocol.names import skeleton
from ...protocol.rights.principal import account_id
from ...protocol.search.terms import terms, units
from .index import QUOTES, Doc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def of_message(room_id: int, message_id: int, identity: str | None, message: dict[str, Any]) -> Doc:
    """Return the document of a message that is not deleted."""
    own = [of_room(room_id), of_name(skeleton(message["user"]))]
    if identity is not None:
        own.append(of_identity(identity))
    own += [f"h{each}" for each in sorted(holds(message))]
    own += [of_mention(each) for each in sorted(mentions(message))]
    said = terms(units(searched(message)))
    return Doc(room_id, message_id, ms(message["at"]), list(dict.fromkeys([*own, *said])))


def of_quote(quote: dict[str, Any]) -> Doc:
    """Return the document of a quote."""
    return Doc(QUOTES, quote["id"], ms(quote["at"]), terms(units(quote_text(quote))))


def shown(message: dict[str, Any]) -> str:
    """Return the text of a message as it is shown: its runs, joined."""
    runs: Iterable[dict[str, Any]] = message.get("runs", ())
    return "".join(run["text"] for run in runs) if runs else str(message.get("message", ""))


def searched(message: dict[str, Any]) -> str:
    """Return all of a message that is looked through: its text, and behind it the descriptions of its files."""
    return "\n".join([shown(message), *(file["alt"] for file in message.get("files", ()) if "alt" in file)])


def quote_text(quote: dict[str, Any]) -> str:
    """Return all of a quote that is looked through."""
    return f"{quote['author']}\n{quote['quote']}"


def holds(message: dict[str, Any]) -> set[str]:
    """Return the kinds of content beside the text of a message: ``link``, ``file``, ``image``."""
    found = {"link"} if any("href" in run for run in message.get("runs", ())) else set()
    for file in message.get("files", ()):
        found.add("file")
        if str(file.get("type", "")).startswith("image/"):
            found.add("image")
    return found


def mentions(message: dict[str, Any]) -> set[str]:
    """Return the public ids of the accounts that a message mentions, and ``room``."""
    return {str(run["mention"]) for run in message.get("runs", ()) if "mention" in run}


# --- Terms of our own -----------------------------------------------------------------------------


def of_room(room_id: int) -> str:
    """Return the term of a room."""
    return f"r{room_id}"


def of_identity(identity: str) -> str:
    """Return the term of a sender: of its account, or of a visitor."""
    account = account_id(identity)
    return f"v{_hashed(identity)}" if account is None else f"a{account}"


def of_name(skeleton: str) -> str:
    """Return the term of the look of a name."""
    return f"u{_hashed(skeleton)}"


def of_mention(account: str) -> str:
    """Return the term of an account that is mentioned."""
    return f"m{account}"


def _hashed(value: str) -> str:
    return hashlib.blake2b(value.encode(), digest_size=6).hexdigest()


def ms(at: str) -> int:
    """Return a time of the protocol in milliseconds since 1970."""
    return (datetime.fromisoformat(at) - _EPOCH) // _MS

"""An event in an export: its line, and the checks that its type does not make."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

from ...protocol import emoji, events, json, names, rooms
from ...protocol.errors import Invalid
from ...protocol.markup import text
from ...protocol.types import wire
from ...protocol.types.file_types import MOST_ALT
from ..shapes import DELETED_ACCOUNT
from .copying import Logged

_START = datetime.fromtimestamp(0, UTC)
_AROUND = frozenset({"command", "room", "seq", "cursor", "at", "private"})
"""The fields around the body of an event."""
_PRIVATE = ("target", "identity", "reaction", "emoji")
MOST_CHARS, MOST_IN_A_NAME, _MOST_IN_AN_EXCERPT = 100_000, 200, 80
"""The highest bounds that settings may set (config/settings.py), and that of text.excerpt."""
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Who = Annotated[str, Meta(max_length=MOST_IN_A_NAME)]


def event_line(room: str, event: Logged) -> bytes:
    """Return the line of an event: its public fields, and the private ones."""
    where = f"{event.seq}.{event.tag}"
    public = events.event(room, event.seq, where, event.command, event.at, event.body.encode()).encoded
    private = {name: getattr(event, name) for name in _PRIVATE if getattr(event, name) is not None}
    if event.digest is not None:
        private["digest"] = bytes(event.digest).hex()
    if not private:
        return public + b"\n"
    return b'%s,"private":%s}\n' % (public[:-1], json.dumps(private))


class Exact(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A line with no other fields than these."""


class _Private(Exact):
    target: wire.MessageId | None = None
    identity: Who | None = None
    reaction: Literal[-1, 0, 1] | None = None
    emoji: str | None = None
    digest: Digest | None = None


def logged(command: str, line: dict[str, Any]) -> Logged:
    """Parse the line of an event. Raises Invalid, MalformedJson, msgspec.ValidationError."""
    private = msgspec.convert(line.pop("private", {}), _Private)
    event: wire.Event = msgspec.convert(line | {"command": command}, wire.Event)
    body = {name: value for name, value in line.items() if name not in _AROUND}
    # Strict types before, so that equal is the same here.
    known_of_it = {name: value for name, value in msgspec.to_builtins(event).items() if name not in _AROUND}
    need(body == known_of_it, command, "It holds what no such event has.")
    seq, _, tag = event.cursor.partition(".")
    need(seq == str(event.seq), "cursor", "It is of another seq.")
    _check(event, private)
    return Logged(
        event.seq, command, _ms(event.at), json.dumps(body).decode(), tag,
        None if private.digest is None else bytes.fromhex(private.digest),
        private.target, private.identity, private.reaction, private.emoji,
    )  # fmt: skip


def _check(event: wire.Event, private: _Private) -> None:
    """Check the parts of an event that its type leaves open. Raises Invalid."""
    target = None
    if isinstance(event, _OfTheRoom):
        nameless = not isinstance(event, wire.RoomChanged) and event.member.user == DELETED_ACCOUNT
        need(private.digest is None or nameless, "digest", "Nothing of such an event is redacted.")
        _check_of_the_room(event)
    elif isinstance(event, wire.QuoteAdded):
        removed = event.quote.removed is not UNSET
        need(not removed or private.digest is not None, "quote", "It is blank, without a digest of what it was.")
        check_quote(event.quote)
    elif isinstance(event, wire.QuoteRemoved):
        need(event.quote.removed is not UNSET, "quote", "It is there.")
        check_quote(event.quote)
    elif isinstance(event, wire.Audited):
        need(event.room == rooms.AUDIT, "room", "It is told in the log of administration alone.")
    elif isinstance(event, wire.MessageSent):
        said = event.message
        need(said.id == event.seq, "id", "It is not the seq of its event.")
        seen = (said.likes, said.dislikes, said.reactions, said.edited_at)
        need(all(each is UNSET for each in seen), "message", "Nobody has seen it yet.")
    else:
        target = event.message.id
        need(target < event.seq, "id", "It is not of an earlier event.")
    need(private.target == target, "target", "It is not the message that the event changes.")
    if isinstance(event, wire.MessageSent | wire.MessageEdited):
        _check_message(event.message, blanked=private.digest is not None)
    is_reaction = isinstance(event, wire.ReactionsChanged)
    need(is_reaction == (private.reaction is not None), "reaction", "It is for reactions, which have one.")
    need(not is_reaction or private.identity is not None, "identity", "A reaction is somebody's.")
    known_emoji = private.emoji is not None and private.reaction in (0, 1) and emoji.is_emoji(private.emoji)
    need(private.emoji is None or known_emoji, "emoji", "It is none, or neither added nor taken back.")


_OfTheRoom = wire.RoomChanged | wire.MemberJoined | wire.MemberChanged | wire.MemberLeft


def _check_of_the_room(event: _OfTheRoom) -> None:
    if isinstance(event, wire.RoomChanged):
        for field, longest in (("title", 100), ("topic", rooms.MOST_TOPIC)):
            said = getattr(event.about, field)
            if said is not UNSET:
                names.kept_name(said, field, longest)
    else:
        names.kept_name(event.member.user, "user", MOST_IN_A_NAME)


def _check_message(said: wire.Message, *, blanked: bool) -> None:
    names.kept_name(said.user, "user", MOST_IN_A_NAME)
    if said.message is UNSET or said.deleted is not UNSET:
        need(blanked, "message", "It is blank, without a digest of what it was.")
    else:
        if said.message or not said.files:  # a message may be its files alone
            text.clean_message(said.message, MOST_CHARS)
    for file in [] if said.files is UNSET else said.files:
        need(file.alt is UNSET or file.alt == names.clean_alt(file.alt, MOST_ALT), "alt", "It is not on one line.")
    _ms(said.at)
    if said.edited_at is not UNSET:
        _ms(said.edited_at)
    if said.color is not UNSET:
        names.clean_color(said.color)
    if said.client_id is not UNSET:
        need(_CLIENT_ID.fullmatch(said.client_id) is not None, "client_id", "It is none.")
    runs = [] if said.runs is UNSET else said.runs
    shown = sum(len(run["text"]) for run in runs)
    need(not runs or (said.message is not UNSET and shown <= len(said.message)), "runs", "More than the text.")
    need(all(_HTTP.match(run["href"]) for run in runs if "href" in run), "runs", "A link leads to http or https.")
    if said.reply_to is not UNSET:
        need(said.reply_to.id < said.id, "reply_to", "It is not an earlier message.")
        names.kept_name(said.reply_to.user, "user", MOST_IN_A_NAME)
        excerpt = said.reply_to.excerpt
        need(excerpt is UNSET or len(excerpt) <= _MOST_IN_AN_EXCERPT, "excerpt", "Too long.")


def check_quote(quote: wire.Quote) -> None:
    """Raise Invalid if its text is none that the server would take."""
    if quote.removed is not UNSET:
        need(quote.quote == quote.author == "", "quote", "It is removed, and has a text.")
        need(quote.id <= 2**53 - 1, "id", "Too large.")
        _ms(quote.at)
        return
    text.clean_quote(quote.quote, MOST_CHARS)
    names.kept_name(quote.author, "author", MOST_IN_A_NAME)
    need(quote.id <= 2**53 - 1, "id", "Too large.")
    _ms(quote.at)


_HTTP = re.compile("https?://", re.IGNORECASE)

_CLIENT_ID = re.compile("[A-Za-z0-9_-]{1,64}")


def _ms(at: str) -> int:
    """Parse a time into milliseconds since 1970. Raises Invalid if there is no such moment, or it is before that."""
    try:
        found = (datetime.fromisoformat(at) - _START) // timedelta(milliseconds=1)
    except ValueError:
        found = -1
    need(found >= 0, "at", "There is no such time.")
    return found


def need(holds: bool, field: str, otherwise: str) -> None:
    """Raise Invalid unless it `holds`."""
    if not holds:
        raise Invalid(field, otherwise)

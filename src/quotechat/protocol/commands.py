"""Commands: one tagged union on ``command`` (protocol §2).

`decode` is the only way in, for every transport: types and bounds are checked here, texts and
names are normalised by `text` and `names` in `normalised`, so that the result can be stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from . import decoding, emoji, names, rooms
from .errors import Invalid, MalformedEnvelope
from .markup import text
from .rights.principal import has_own_id
from .types.file_types import Descriptions, FileIds, attached, described

LOBBY = "lobby"
MOST_REASON = 500
"""Characters of the reason of a report."""

CLIENT_ID = re.compile(r"\A[A-Za-z0-9_-]{1,64}\Z")
ClientId = Annotated[str, msgspec.Meta(pattern=CLIENT_ID.pattern)]
LARGEST_ID = 2**53 - 1
"""Beyond it JavaScript does not count exactly."""
Id = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]


@dataclass(frozen=True)
class Bounds:
    """Bounds of texts, in characters, and of how far ahead a message may be scheduled, in days."""

    message: int = 4000
    user: int = 40
    quote: int = 1000
    author: int = 100
    schedule_days: int = 365


ReactionName = Annotated[
    str, msgspec.Meta(description=f"`like`, `dislike`, `none`, or one emoji (RGI) of Unicode {emoji.VERSION}.")
]
_LIKES = ("like", "dislike", "none")


class NewMessage(msgspec.Struct, frozen=True):
    """The inner object of `SendMessage`."""

    user: str
    message: str
    color: str | None = None
    reply_to: Id | None = None
    send_at: str | None = None
    files: FileIds | None = None


class EditedMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The inner object of `EditMessage`: a new text, new descriptions of files, or both."""

    id: Id
    message: str | None = None
    files: Descriptions | None = None


class MessageId(msgspec.Struct, frozen=True):
    """The inner object of `DeleteMessage`."""

    id: Id


class Reaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """The inner object of `React`; `on` is for an emoji, which false takes back."""

    id: Id
    reaction: ReactionName
    on: bool | None = None

    @property
    def is_emoji(self) -> bool:
        """Return True if it is neither a like nor a dislike, nor takes one back."""
        return self.reaction not in _LIKES

    def check(self) -> None:
        """Raise Invalid unless `reaction` is a known word or an emoji, and `on` belongs to it."""
        if self.is_emoji and not emoji.is_emoji(self.reaction):
            raise Invalid("reaction", f"A reaction is like, dislike, none, or one emoji of Unicode {emoji.VERSION}.")
        if self.on is False and not self.is_emoji:
            raise Invalid("on", "Only an emoji is taken back with on: false; a like or dislike with none.")


class ScheduledId(msgspec.Struct, frozen=True):
    """The inner object of `CancelScheduled`."""

    id: Id


class QuoteId(msgspec.Struct, frozen=True):
    """The inner object of `RemoveQuote`."""

    id: Id


class NewQuote(msgspec.Struct, frozen=True):
    """The inner object of `AddQuote`."""

    quote: str
    author: str


AccountId = Annotated[str, Meta(pattern=r"\A[a-z2-7]{12}\Z", description="The public id of an account.")]
MemberRole = Literal["member", "manager"]


class AboutChange(msgspec.Struct, frozen=True):
    """The inner object of `SetRoom`: what is given changes. A `title` or `topic` that is null or empty is taken away;
    `everything` agrees that all history of a room opens."""

    title: str | UnsetType | None = UNSET
    topic: str | UnsetType | None = UNSET
    kind: Literal["open", "closed"] | UnsetType = UNSET
    posting: Literal["all", "managers"] | UnsetType = UNSET
    slow: Annotated[int, Meta(ge=0, le=rooms.MOST_SLOW)] | UnsetType = UNSET
    default: bool | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    everything: bool = False


class NewMember(msgspec.Struct, frozen=True):
    """The inner object of `AddMember`: an account by its `id` or its `name`."""

    id: AccountId | None = None
    name: str | None = None
    role: MemberRole | None = None


class MemberChange(msgspec.Struct, frozen=True):
    """The inner object of `SetMember`; `muted_until` is as `send_at`, or null to end it."""

    id: AccountId
    role: MemberRole | UnsetType = UNSET
    muted_until: str | UnsetType | None = UNSET


class MemberId(msgspec.Struct, frozen=True):
    """The inner object of `RemoveMember`."""

    id: AccountId


Level = Literal["everything", "mentions", "nothing", "hidden"]


class ReadMark(msgspec.Struct, frozen=True):
    """The inner object of `MarkRead`: everything up to `id` is read; with `back` it may be less than before."""

    id: Annotated[int, Meta(ge=0, le=LARGEST_ID)]
    back: bool = False


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="command"):
    room: str = LOBBY
    client_id: ClientId | None = None

    def normalised(self, bounds: Bounds) -> Self:
        """Return this command with its texts and names cleaned, as it is stored and compared. Raises Invalid."""
        return self

    def sender(self, identity: str | None) -> str:
        """Return the name in which a `client_id` is unique (protocol §7, Who is who)."""
        return identity or ""

    def content(self) -> bytes:
        """Return the part that is equal in a repeat (protocol §7, Answers): all but ``client_id`` and ``room``."""
        inner = [getattr(self, name) for name in self.__struct_fields__ if name not in ("room", "client_id")]
        return msgspec.json.encode((self.__struct_config__.tag, *inner))


class SendMessage(_Command, frozen=True, tag="send-message"):
    """Say something, now or later."""

    message: NewMessage

    def normalised(self, bounds: Bounds) -> Self:
        said = self.message
        clean = replace(
            said,
            user=names.clean_user(said.user, bounds.user),
            message=self._text(bounds),
            color=None if said.color is None else names.clean_color(said.color),
            files=attached(said.files),
        )
        return replace(self, message=clean)

    def _text(self, bounds: Bounds) -> str:
        """Return the text, which may be empty beside files. Raises Invalid."""
        said = self.message
        if said.files and names.is_blank(said.message):
            return ""
        return text.clean_message(said.message, bounds.message)

    def sender(self, identity: str | None) -> str:
        return identity if identity is not None and has_own_id(identity) else self.message.user

    def content(self) -> bytes:
        """As `_Command.content`; without files it is that of the versions before there were any."""
        if self.message.files:
            return super().content()
        fields = {name: getattr(self.message, name) for name in self.message.__struct_fields__ if name != "files"}
        return msgspec.json.encode((self.__struct_config__.tag, fields))


class EditMessage(_Command, frozen=True, tag="edit-message"):
    """Change the text of one's own message, or the descriptions of its files."""

    message: EditedMessage

    def normalised(self, bounds: Bounds) -> Self:
        said = self.message
        if said.message is None and not said.files:
            raise Invalid("message", "message is missing.")
        clean = None if said.message is None else text.clean_message(said.message, bounds.message)
        return replace(self, message=replace(said, message=clean, files=described(said.files)))


class DeleteMessage(_Command, frozen=True, tag="delete-message"):
    """Take one's own message back; managers of the room delete any."""

    message: MessageId


class React(_Command, frozen=True, tag="react"):
    """Like or dislike a message, or add an emoji to it; or take that back."""

    message: Reaction


class CancelScheduled(_Command, frozen=True, tag="cancel-scheduled"):
    """Do not send one's own waiting message."""

    scheduled: ScheduledId


class AddQuote(_Command, frozen=True, tag="add-quote"):
    """Add a quote to the collection; the room hears of it."""

    quote: NewQuote

    def normalised(self, bounds: Bounds) -> Self:
        clean = NewQuote(
            text.clean_quote(self.quote.quote, bounds.quote), names.clean_author(self.quote.author, bounds.author)
        )
        return replace(self, quote=clean)

    def sender(self, identity: str | None) -> str:
        return identity or self.quote.author


class RemoveQuote(_Command, frozen=True, tag="remove-quote"):
    """Take one's own quote out of the collection, or, as a manager of its room, any; the room hears of it."""

    quote: QuoteId


class SetRoom(_Command, frozen=True, tag="set-room"):
    """Change the settings of a room."""

    about: AboutChange

    def normalised(self, bounds: Bounds) -> Self:
        about = self.about
        title = names.clean_title(about.title) if isinstance(about.title, str) and about.title else about.title
        topic = about.topic
        if isinstance(topic, str) and topic:
            topic = names.clean_name(topic, "topic", rooms.MOST_TOPIC)
        return replace(self, about=replace(about, title=title, topic=topic))


class AddMember(_Command, frozen=True, tag="add-member"):
    """Add somebody to a room."""

    member: NewMember

    def normalised(self, bounds: Bounds) -> Self:
        if (self.member.id is None) == (self.member.name is None):
            raise Invalid("member", "A member is given by id or by name.")
        return self


class SetMember(_Command, frozen=True, tag="set-member"):
    """Change the role of a member, or mute it."""

    member: MemberChange


class RemoveMember(_Command, frozen=True, tag="remove-member"):
    """Remove a member, or leave."""

    member: MemberId


class Join(_Command, frozen=True, tag="join"):
    """Join an open room."""


class ReportMessage(_Command, frozen=True, tag="report-message"):
    """Tell those who manage the room that a message should not be there."""

    message: MessageId
    reason: str

    def normalised(self, bounds: Bounds) -> Self:
        return replace(self, reason=text.clean_reason(self.reason, MOST_REASON))


class MarkRead(_Command, frozen=True, tag="mark-read"):
    """Note up to where one has read a room; in an open room it joins."""

    read: ReadMark


class SetLevel(_Command, frozen=True, tag="set-level"):
    """Choose how much of a room one wants to hear."""

    level: Level


class Subscribe(_Command, frozen=True, tag="subscribe"):
    """Read a room from a cursor on (WebSocket only)."""

    after: str = "now"


class Unsubscribe(_Command, frozen=True, tag="unsubscribe"):
    """Read a room no longer (WebSocket only)."""


class Typing(_Command, frozen=True, tag="typing"):
    """Say that one writes just now (WebSocket only). `user` is for visitors: an account has its own name."""

    user: str | None = None

    def normalised(self, bounds: Bounds) -> Self:
        return self if self.user is None else replace(self, user=names.clean_user(self.user, bounds.user))


class Ping(_Command, frozen=True, tag="ping"):
    """Are you there? With `measure`, the answer tells the bytes of this socket."""

    measure: bool = False


Write = (
    SendMessage | EditMessage | DeleteMessage | React | CancelScheduled | AddQuote | RemoveQuote
    | SetRoom | AddMember | SetMember | RemoveMember | Join | ReportMessage
    | MarkRead | SetLevel
)
Command = Write | Subscribe | Unsubscribe | Ping | Typing

_KNOWN: dict[str, type[Command]] = {kind.__struct_config__.tag: kind for kind in get_args(Command)}
decoding.prepare(_KNOWN.values())


def decode(envelope: Any, name: str | None = None) -> Command:
    """Return the command in `envelope`, a parsed JSON value; texts are not yet normalised.

    `name` is the author of a message that names no `user`.

    Raises MalformedEnvelope if it is no envelope, Invalid for a field that is missing or wrong.
    """
    if not isinstance(envelope, dict):
        raise MalformedEnvelope("An envelope is a JSON object.")
    asked = envelope.get("command")
    kind = _KNOWN.get(asked) if isinstance(asked, str) else None
    if kind is None:
        raise MalformedEnvelope(
            f"There is no command {asked[:40]!r}." if isinstance(asked, str) else "An envelope needs a command."
        )
    if kind is SendMessage:
        envelope = decoding.with_inner(envelope, "message", lambda message: decoding.completed(message, name))
    elif kind is MarkRead:
        envelope = decoding.with_inner(envelope, "read", decoding.without_nulls)
    try:
        command = msgspec.convert(envelope, kind)
    except msgspec.ValidationError as fault:
        raise decoding.refusal(str(fault)) from None
    if isinstance(command, React):
        command.message.check()
    return command

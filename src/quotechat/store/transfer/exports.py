"""An export: a store's records as lines of JSON, of which the events are the stream's own envelopes.

The parts of an event that readers never see stand in its field ``private``. Binary values are hexadecimal. The first
line names the rooms, each with the cursor at its head, so a file that is cut off is known as such.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from ...protocol import commands, json, names, rooms
from ...protocol.errors import Invalid, MalformedJson
from ...protocol.files import media
from ...protocol.markup import text
from ...protocol.types import wire
from ...protocol.types.file_types import FileId
from ..base import Impossible
from ..files.moving import Piece
from ..projections import known
from . import carrying
from .copying import KEPT, Broken, Kept, Logged, Record, Room, Secret, Whole
from .export_events import MOST_CHARS, MOST_IN_A_NAME, Digest, Exact, Who, check_quote, event_line, logged, need

VERSION = 1


class Header(NamedTuple):
    """The first line: the cursors at the heads of the rooms, and how many events there are."""

    rooms: dict[str, str]
    events: int


def lines(header: Header, records: Iterable[Record]) -> Iterator[bytes]:
    """Yield the export, line by line, each with its newline."""
    yield _line({"command": "export", "version": VERSION, "rooms": header.rooms, "events": header.events})
    room = ""
    for record in records:
        if isinstance(record, Logged):
            yield event_line(room, record)
            continue
        if isinstance(record, Room):
            room = record.name
        yield _line(_written(room, record))


def header_of(line: bytes) -> Header:
    """Parse the first line. Raises Impossible."""
    try:
        found = json.loads(line)
        version = msgspec.convert(found, _AnyVersion).version
        if version != VERSION:
            raise Impossible(f"this export is of version {version}, this quotechat knows {VERSION}: upgrade quotechat")
        return Header(**msgspec.structs.asdict(msgspec.convert(found, _FirstLine)))
    except (MalformedJson, msgspec.ValidationError):
        raise Impossible("line 1: this was not made by `quotechat export`") from None


def records(header: Header, rest: Iterable[bytes], rename: str | None = None) -> Iterator[Record]:
    """Parse the lines after the first. Raises Broken if one is not as `lines` makes it, or the end is missing.

    `rename` is the new name of the only room.
    """
    reader, number = _Reader(header), 1
    for number, line in enumerate(rest, start=2):
        try:
            record = reader.read(json.loads(line))
        except msgspec.ValidationError as fault:
            raise Broken(f"line {number}: {_fault_text(str(fault))}") from None
        except Invalid as fault:
            raise Broken(f"line {number}: {fault.field}: {fault.detail}") from None
        except MalformedJson as fault:
            raise Broken(f"line {number}: {fault.detail}") from None
        if isinstance(record, Room) and rename is not None:
            record = record._replace(name=rename)
        yield record
    if reader.left:
        raise Broken(f"the file ends at line {number}, before room {min(reader.left)} is whole")


# --- Out ------------------------------------------------------------------------------------------


def _written(room: str, record: Record) -> dict[str, Any]:
    if isinstance(record, Secret):
        return {"command": "secret", "secret": record.secret}
    if isinstance(record, Room):
        usual = {name for name, value in Room._field_defaults.items() if getattr(record, name) == value}
        return {"command": "room", "room": room, **_hexed(record._asdict(), "name", *usual)}
    if isinstance(record, Kept):
        of = {"room": room} if record.table in KEPT else {}
        return {"command": record.table, **of, **_hexed(record.row)}
    if isinstance(record, Piece):
        data = base64.b64encode(record.data).decode()
        return {"command": "piece", "room": room, **_hexed(record._asdict(), "data"), "data": data}
    return {"command": "whole", "room": room}


def _hexed(row: dict[str, Any], *without: str) -> dict[str, Any]:
    """Return the fields that are not empty, fit for JSON."""
    return {
        name: bytes(value).hex() if isinstance(value, bytes | memoryview) else value
        for name, value in row.items()
        if value is not None and name not in without
    }


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value) + b"\n"


# --- In: bounds of a line -------------------------------------------------------------------------

_BOUNDS = commands.Bounds(MOST_CHARS, MOST_IN_A_NAME, MOST_CHARS, MOST_IN_A_NAME)
_Ms = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
_Position = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class _AnyVersion(msgspec.Struct):
    command: Literal["export"]
    version: int


class _FirstLine(msgspec.Struct):
    rooms: dict[wire.Room, wire.Cursor]
    events: _Position


class _Secret(Exact):
    # As store/disk/secret.py takes it; it makes 64 hexadecimal digits.
    secret: Annotated[str, Meta(pattern=r"\A[!-~]{32,256}\n?\Z")]

    def record(self) -> Record:
        return Secret(self.secret)


class _Quote(Exact):
    id: commands.Id
    body: str
    identity: Who | None = None

    def record(self) -> Record:
        quote = msgspec.convert(json.loads(self.body), wire.Quote)
        check_quote(quote)
        need(quote.id == self.id, "id", "The quote has another.")
        return Kept("quote", {"id": self.id, "identity": self.identity, "body": self.body})


class _Room(Exact):
    room: wire.Room
    at: _Ms
    floor: _Position
    floor_chain: Digest
    head: _Position
    chain: Digest
    title: str | None = None
    kind: Literal["open", "closed", "direct", "log"] = "open"
    about: Annotated[str, Meta(max_length=20_000)] = "{}"
    floor_messages: _Position = 0
    pair: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")] | None = None

    def record(self) -> Record:
        if self.title is not None:
            names.kept_name(self.title, "title", 100)
        need(self.floor <= self.head, "floor", "It is above the head.")
        need(self.floor_messages <= self.floor, "floor_messages", "They are more than the events.")
        need(self.pair is None or self.kind == "direct", "pair", "Only a direct room has one.")
        try:
            rooms.parsed(self.about)
        except msgspec.DecodeError as fault:
            raise Invalid("about", str(fault)) from None
        chains = (bytes.fromhex(self.floor_chain), bytes.fromhex(self.chain))
        pair = None if self.pair is None else bytes.fromhex(self.pair)
        return Room(
            self.room, self.title, self.at, self.floor, chains[0], self.head, chains[1],
            self.kind, self.about, self.floor_messages, pair,
        )  # fmt: skip


class _Scheduled(Exact):
    room: wire.Room
    id: commands.Id
    identity: Who
    due_at: _Ms
    message: str
    state: Literal["waiting", "sent", "cancelled", "refused"]
    client_id: commands.ClientId | None = None
    seq: wire.Seq | None = None
    code: Annotated[str, Meta(pattern=r"\A[a-z-]{1,40}\Z")] | None = None

    def record(self) -> Record:
        found = json.loads(self.message)
        need((self.code is not None) == (self.state == "refused"), "code", "It is there if the state is refused.")
        if found == {} and self.state not in ("waiting", "refused"):
            return _kept("scheduled", self)
        said = msgspec.convert(found, commands.NewMessage)
        need(found.keys() <= _WAITING, "message", "It holds what no waiting message has.")
        commands.SendMessage(message=said).normalised(_BOUNDS)
        # Made anew: a file's own value proves nothing.
        runs = text.runs(said.message)
        kept = {name: value for name, value in found.items() if name != "runs"} | ({"runs": runs} if runs else {})
        return _kept("scheduled", self, message=json.dumps(kept).decode())


class _Sent(Exact):
    room: wire.Room
    sender: Who
    client_id: commands.ClientId
    hash: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    at: _Ms
    seq: wire.Seq | None = None
    scheduled: commands.Id | None = None

    def record(self) -> Record:
        need(self.seq is not None or self.scheduled is not None, "seq", "It became nothing.")
        return _kept("sent", self, hash=bytes.fromhex(self.hash))


class _Name(Exact):
    room: wire.Room
    skeleton: Annotated[str, Meta(max_length=100 * MOST_IN_A_NAME)]
    identity: Who
    at: _Ms

    def record(self) -> Record:
        return _kept("name", self)


class _Member(Exact):
    room: wire.Room
    account_id: commands.Id
    read_id: _Position
    read_n: _Position
    at: _Ms
    role: Literal["member", "manager"] = "member"
    level: Literal["everything", "mentions", "nothing", "hidden"] | None = None
    muted_until: _Ms | None = None
    spoke_at: _Ms | None = None

    def record(self) -> Record:
        return _kept("member", self)


class _Mention(Exact):
    room: wire.Room
    account_id: Annotated[int, Meta(ge=0)]
    message_id: commands.Id
    kind: Literal["name", "room", "reply"]
    seen: Literal[0, 1] = 0

    def record(self) -> Record:
        return _kept("mention", self)


class _Report(Exact):
    room: wire.Room
    message_id: commands.Id
    account_id: commands.Id
    reason: Annotated[str, Meta(max_length=500)]
    at: _Ms
    state: Literal["open", "done", "dismissed"]
    closed_by: commands.Id | None = None

    def record(self) -> Record:
        return _kept("report", self)


class _Subscribed(Exact):
    room: wire.Room
    subscriber_id: commands.Id
    seq: _Position
    tag: Annotated[str, Meta(pattern=r"\A([0-9a-f]{16})?\Z")]

    def record(self) -> Record:
        return _kept("subscribed", self)


class _File(Exact):
    room: wire.Room
    id: FileId
    identity: Who
    name: Annotated[str, Meta(max_length=200)]
    type: str
    size: _Position
    length: _Position
    hash: Digest
    at: _Ms
    message_id: commands.Id | None = None
    scheduled: commands.Id | None = None
    thumb: Digest | None = None
    width: commands.Id | None = None
    height: commands.Id | None = None

    def record(self) -> Record:
        need(self.type in media.SHOWN or self.type == media.OTHER, "type", "No file has it.")
        need(names.clean_file(self.name) == self.name, "name", "No file has it.")
        thumb = None if self.thumb is None else bytes.fromhex(self.thumb)
        return _kept("file", self, hash=bytes.fromhex(self.hash), thumb=thumb)


class _Piece(Exact):
    room: wire.Room
    hash: Digest
    size: _Position
    at: _Position
    data: str

    def record(self) -> Record:
        try:
            data = base64.b64decode(self.data, validate=True)
        except ValueError:
            raise Invalid("data", "It is no base64.") from None
        need(self.at + len(data) <= self.size, "data", "More than the size.")
        return Piece(bytes.fromhex(self.hash), self.size, self.at, data)


class _Whole(Exact):
    room: wire.Room

    def record(self) -> Record:
        return Whole(self.room)


_Described = (
    _Secret | _Quote | _Room | _Scheduled | _Sent | _Name | _Member | _Mention | _Report | _Subscribed | _File | _Piece
    | _Whole
)
_LINES: dict[str, type[_Described]] = {
    "secret": _Secret, "quote": _Quote, "room": _Room, "scheduled": _Scheduled, "sent": _Sent, "name": _Name,
    "member": _Member, "mention": _Mention, "report": _Report, "subscribed": _Subscribed, "file": _File,
    "piece": _Piece, "whole": _Whole,
}  # fmt: skip
_WAITING = {"user", "message", "color", "reply_to", "files", "runs"}


class _Reader:
    """The lines behind the first, each in its place; `left` are the incomplete rooms."""

    def __init__(self, header: Header) -> None:
        self._heads, self.left = header.rooms, set(header.rooms)
        self._room: str | None = None

    def read(self, line: Any) -> Record:
        """Parse the record in a line. Raises Invalid, MalformedJson, msgspec.ValidationError."""
        command = line.pop("command", None) if isinstance(line, dict) else None
        if not isinstance(command, str) or not (command in _LINES or command in carrying.LINES or known(command)):
            raise Invalid("command", "An export has no such line.")
        self._place(command, line.get("room"))
        if command in carrying.LINES:
            return Kept(command, carrying.row_of(command, line))
        record = msgspec.convert(line, _LINES[command]).record() if command in _LINES else logged(command, line)
        if isinstance(record, Room):
            need(self._heads[record.name] == record.cursor, "head", "The first line has another.")
        return record

    def _place(self, command: str, room: Any) -> None:
        if command in ("secret", "quote", *carrying.LINES):
            need(self._room is None and len(self.left) == len(self._heads), "command", "It belongs before all rooms.")
        elif command == "room":
            need(self._room is None, "room", f"Before it, {self._room} is not whole.")
            need(isinstance(room, str) and room in self.left, "room", "It is none of the first line that is left.")
            self._room = room
        else:
            need(room == self._room and room is not None, "room", "It is not the one that is being told.")
            if command == "whole":
                self.left.discard(room)
                self._room = None


def _kept(table: str, line: msgspec.Struct, **other: Any) -> Kept:
    row = msgspec.structs.asdict(line) | other
    return Kept(table, {column: row[column] for column in KEPT[table]})


_AT, _MISSING = re.compile(r"- at `\$\.?(.*?)`"), re.compile("missing required field `(.*?)`")


def _fault_text(fault: str) -> str:
    """Return our text for a fault of msgspec such as "Expected `str`, got `int` - at `$.message.user`"."""
    missing, at = _MISSING.search(fault), _AT.search(fault)
    if missing:
        return f"{missing[1]} is missing"
    return f"{at[1] if at and at[1] else 'it'} is not what an export has there"

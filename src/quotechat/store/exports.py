"""An export: a store's records as lines of JSON, of which the events are the stream's own envelopes.

What readers never see of an event stands in its field ``private``. Binary values are hexadecimal. The first line tells
which rooms there are, each with the cursor at its head, so a file that is cut off is known as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ..protocol import events, json
from ..protocol.errors import MalformedJson
from .base import Impossible
from .copying import KEPT, Kept, Logged, Record, Room, Secret, Whole
from .projections import known

VERSION = 1
_START = datetime.fromtimestamp(0, UTC)
_AROUND = frozenset({"command", "room", "seq", "cursor", "at", "private"})
"""What stands around the body of an event."""
_PRIVATE = ("target", "identity", "reaction")


class Header(NamedTuple):
    """The first line: the cursors at the heads of the rooms, and how many events there are."""

    rooms: dict[str, str]
    events: int


def lines(header: Header, records: Iterable[Record]) -> Iterator[bytes]:
    """The export, line by line, each with its newline."""
    yield _line({"command": "export", "version": VERSION, "rooms": header.rooms, "events": header.events})
    room = ""
    for record in records:
        if isinstance(record, Logged):
            yield _event(room, record)
            continue
        if isinstance(record, Room):
            room = record.name
        yield _line(_written(room, record))


def header_of(line: bytes) -> Header:
    """What the first line tells. Raises Impossible."""
    try:
        found = json.loads(line)
        assert found["command"] == "export"
        version, header = found["version"], Header(dict(found["rooms"]), int(found["events"]))
    except (MalformedJson, AssertionError, LookupError, TypeError, ValueError):
        raise Impossible("line 1: this was not made by `quotechat export`") from None
    if version != VERSION:
        raise Impossible(f"this export is of version {version}, this quotechat knows {VERSION}: upgrade quotechat")
    return header


def records(header: Header, rest: Iterable[bytes], rename: str | None = None) -> Iterator[Record]:
    """What the lines after the first tell. Raises Impossible where one cannot be read, or the end is missing.

    `rename` is what the only room is to be called.
    """
    left, number = set(header.rooms), 1
    for number, line in enumerate(rest, start=2):
        try:
            record = _read(json.loads(line))
        except (MalformedJson, LookupError, TypeError, ValueError, AttributeError) as fault:
            raise Impossible(f"line {number} is not one of an export: {str(fault) or type(fault).__name__}") from None
        if isinstance(record, Whole):
            left.discard(record.room)
        if isinstance(record, Room) and rename is not None:
            record = record._replace(name=rename)
        yield record
    if left:
        raise Impossible(f"the file ends at line {number}, before room {min(left)} is whole")


def _event(room: str, event: Logged) -> bytes:
    where = f"{event.seq}.{event.tag}"
    public = events.event(room, event.seq, where, event.command, event.at, event.body.encode()).encoded
    private = {name: getattr(event, name) for name in _PRIVATE if getattr(event, name) is not None}
    if event.digest is not None:
        private["digest"] = bytes(event.digest).hex()
    if not private:
        return public + b"\n"
    return b'%s,"private":%s}\n' % (public[:-1], json.dumps(private))


def _written(room: str, record: Record) -> dict[str, Any]:
    if isinstance(record, Secret):
        return {"command": "secret", "secret": record.secret}
    if isinstance(record, Room):
        return {"command": "room", "room": room, **_hexed(record._asdict(), "name")}
    if isinstance(record, Kept):
        of = {} if record.table == "quote" else {"room": room}
        return {"command": record.table, **of, **_hexed(record.row)}
    return {"command": "whole", "room": room}


def _hexed(row: dict[str, Any], *without: str) -> dict[str, Any]:
    """What holds something, fit for JSON."""
    return {
        name: bytes(value).hex() if isinstance(value, bytes | memoryview) else value
        for name, value in row.items()
        if value is not None and name not in without
    }


def _read(line: dict[str, Any]) -> Record:
    command = line.pop("command")
    if command in KEPT:
        row = {column: line.get(column) for column in KEPT[command]}
        return Kept(command, row | ({"hash": bytes.fromhex(line["hash"])} if command == "sent" else {}))
    if command == "quote":
        return Kept(command, {"id": line["id"], "identity": line.get("identity"), "body": line["body"]})
    if command == "room":
        chains = {name: bytes.fromhex(line[name]) for name in ("floor_chain", "chain")}
        return Room(line["room"], line.get("title"), line["at"], line["floor"], head=line["head"], **chains)
    if command == "whole":
        return Whole(line["room"])
    if command == "secret":
        return Secret(line["secret"])
    return _logged(command, line)


def _logged(command: str, line: dict[str, Any]) -> Logged:
    if not known(command):
        raise ValueError(f"unknown command {command}")
    private, body = line.get("private", {}), {name: value for name, value in line.items() if name not in _AROUND}
    digest = private.get("digest")
    at = (datetime.fromisoformat(line["at"]) - _START) // timedelta(milliseconds=1)
    return Logged(
        line["seq"], command, at, json.dumps(body).decode(), line["cursor"].partition(".")[2],
        None if digest is None else bytes.fromhex(digest), *(private.get(name) for name in _PRIVATE),
    )  # fmt: skip


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value) + b"\n"

"""The WebSocket protocol (RFC 6455) for one socket, without I/O: bytes in become texts, answers become bytes out.

wsproto does the framing; here are the limits and the closing handshake. Nothing is compressed, since no
extension is ever negotiated. docs/explanation/websocket-library.md tells the reasons for wsproto.
"""

from __future__ import annotations

import struct

from wsproto.connection import Connection as Framing
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

GOING_AWAY = 1001
BINARY = 1003
POLICY = 1008
TOO_BIG = 1009
RESTART = 1012
TOO_FAR_BEHIND = 1013
SIGNED_OUT = 4401
CLOSE_CODES = {
    GOING_AWAY: "the server or the client goes away",
    BINARY: "a binary frame",
    POLICY: "wrong origin, a message that takes too long, or too many errors",
    TOO_BIG: "a message that is too big",
    RESTART: "the server restarts: come back after a random moment",
    TOO_FAR_BEHIND: "overload, or the client is too far behind: resume from the cursor",
    SIGNED_OUT: "the session, token or account has ended: do not come back before signing in",
}


def frame(payload: bytes) -> bytes:
    """Return `payload`, in UTF-8, as one unmasked text frame (§5.2). It is equal for all peers, so it is made once."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def whole_text(data: bytes, limit: int) -> str | None:
    """Return the text in `data` if that is exactly one valid message of at most `limit` bytes in one frame; else None.

    Nearly all messages come so. wsproto takes ten times as long; it gets everything else, and reports faults.
    """
    if len(data) < 6 or data[0] != 0x81 or data[1] < 0x80:
        return None
    size, start = data[1] & 0x7F, 6
    if size > 125:
        start = 8
        size = int.from_bytes(data[2:4], "big") if size == 126 else 0
        if size < 126:  # a 64-bit length follows, or the length is encoded longer than necessary
            return None
    if size > limit or len(data) != start + size:
        return None
    mask = data[start - 4 : start] * (size // 4 + 1)
    masked = int.from_bytes(data[start:], "little") ^ int.from_bytes(mask[:size], "little")
    try:
        return masked.to_bytes(size, "little").decode()
    except UnicodeDecodeError:
        return None


class Announced:
    """The length of incoming messages, from the headers of their frames (§5.2). wsproto reports malformed frames."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._skipped = 0
        self._message = 0

    @property
    def between(self) -> bool:
        """Return True if the next byte begins a frame, and that frame a message."""
        return not (self._header or self._skipped or self._message)

    def follow(self, data: bytes, limit: int) -> int | None:
        """Return the index in `data` after the header that brings a message over `limit` bytes; None if none does."""
        at = 0
        while at < len(data):
            if self._skipped:
                step = min(self._skipped, len(data) - at)
                self._skipped -= step
            else:
                step = min(self._missing(), len(data) - at)
                self._header += data[at : at + step]
                if not self._missing() and self._take_header() > limit:
                    return at + step
            at += step
        return None

    def _missing(self) -> int:
        """Return the bytes that the header still lacks, as far as its length is known; 0 if it is complete."""
        size = 6
        if len(self._header) > 1:
            size += {126: 2, 127: 8}.get(self._header[1] & 0x7F, 0)
        return max(0, (size if len(self._header) > 1 else 2) - len(self._header))

    def _take_header(self) -> int:
        """Take the complete header, and return the bytes of its message so far, its frame included."""
        first, second = self._header[:2]
        extended = self._header[2:-4]
        self._skipped = int.from_bytes(extended, "big") if extended else second & 0x7F
        self._header.clear()
        if first & 0x08:
            return 0  # a control frame, which may come within a message
        self._message = self._skipped + (self._message if first & 0x0F == 0 else 0)
        whole = self._message
        if first & 0x80:
            self._message = 0
        return whole


class Connection:
    """The server's side after the handshake. `limit` is the most bytes of a message, inclusive."""

    def __init__(self, limit: int) -> None:
        self._framing = Framing(ConnectionType.SERVER, extensions=[])
        self._limit = limit
        self._announced = Announced()
        self._too_big = False
        """True if a message over the limit was announced: nothing more is read."""
        self._parts: list[str] = []
        self._out: list[bytes] = []
        self.unfinished = False
        """True if a message has begun and not ended."""
        self.frames = 0
        """The number of parts of messages and control frames that have been received."""
        self.closing = False
        """True if we have sent our close frame: nothing else may be sent."""
        self.closed_by_peer = False
        """True if the peer's close frame has been received."""
        self.code: int | None = None
        """The close code that was sent first, by either side; None if there is none."""
        self.heard_pong = True
        """True if a pong came after the last `ping`."""

    def receive(self, data: bytes) -> list[str]:
        """Take bytes from the peer, and return the texts that they complete; `outgoing` has the protocol's answers."""
        texts: list[str] = []
        if self.closed_by_peer or self._too_big:
            return texts
        text = whole_text(data, self._limit) if self._announced.between and not self.unfinished else None
        if text is not None:
            self.frames += 1
            return texts if self.closing else [text]
        end = self._announced.follow(data, self._limit)
        # No byte beyond that header is parsed, so the outcome does not depend on how the bytes were split.
        self._framing.receive_data(data[:end])
        for event in self._framing.events():
            self.frames += 1
            if isinstance(event, TextMessage):
                text = self._add_part(event)
                if text is not None and not self.closing:
                    texts.append(text)
            elif isinstance(event, BytesMessage):
                self.close(BINARY, "text only")
            elif isinstance(event, Ping):
                if not self.closing:
                    self._out.append(self._framing.send(event.response()))
            elif isinstance(event, Pong):
                self.heard_pong = True
            elif isinstance(event, CloseConnection):
                self._closed(event)
                break
        # Last, so that earlier complete messages are taken, and a protocol error is reported as such.
        if end is not None:
            self._too_big = True
            self.close(TOO_BIG, f"at most {self._limit} bytes")
        return texts

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake (§7.1.2); the beginning of an incomplete message is dropped."""
        if not self.closing:
            self.closing = True
            self.code = code
            self._parts.clear()
            self._out.append(self._framing.send(CloseConnection(code, reason)))

    def ping(self) -> None:
        """Send a ping; `heard_pong` is False until it is answered."""
        if not self.closing:
            self.heard_pong = False
            self._out.append(self._framing.send(Ping()))

    def outgoing(self) -> bytes:
        """Take the bytes that are to be sent, in order."""
        out, self._out = b"".join(self._out), []
        return out

    def _add_part(self, event: TextMessage) -> str | None:
        """Add a part of a message; return the text if it is complete."""
        self.unfinished = not event.message_finished
        if event.data:  # empty ones are allowed (§5.4), in any number
            self._parts.append(event.data)
        if self.unfinished:
            return None
        text = "".join(self._parts)
        self._parts.clear()
        return text

    def _closed(self, event: CloseConnection) -> None:
        if self._framing.state is ConnectionState.OPEN:
            # Not from the peer: wsproto found the peer's bytes invalid (1002, 1007).
            self.close(event.code, event.reason or "")
            self.closed_by_peer = True
            return
        self.closed_by_peer = True
        if not self.closing:
            self.closing = True
            self.code = int(event.code)
            self._out.append(self._framing.send(event.response()))

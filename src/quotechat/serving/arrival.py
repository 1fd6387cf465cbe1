"""Decide when a request is complete. Bytes in, one decision out: wait, hand over, or refuse. No socket, no clock.

This decides only *when* a request goes to gunicorn's parser, never where it ends: framing is the parser's (RFC 9112
§6). A request not understood here goes there at once, and is refused there; `early` then tells that nothing may follow
on that connection.
"""

from __future__ import annotations

import re

MOST_HEAD = 32_768
"""Bytes of a request's line and headers, as many as nginx takes."""
_LONGEST_LINE = 8_190
_LONGEST_SIZE = 1_024
"""Bytes of the line before a chunk, or of the trailer after the last."""
_MOST_CHUNKS = 1_000
"""A small body in more chunks than these would cost the server more to parse than the client to send."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r\n)", re.IGNORECASE)
_FRAMED = re.compile(rb"\r\n(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*(?=\r\n)", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
_NOT_ASCII = re.compile(rb"[A-Z]+ [^ \r\n]*[\x80-\xff][^ \r\n]* HTTP/1\.[01]\r\n")
_SAY_ASCII = "400 Bad Request: The address must be ASCII: write é as %C3%A9."
_UPLOAD = re.compile(
    rb"(?:POST|PATCH) [^ ?]*/(?:rooms/[^/ ?]+/files|files/[^/ ?]+)(?:\?[^ ]*)? HTTP/1\.[01]\r\n"
)
"""Requests whose body the application reads itself, piece by piece: it may be larger than memory."""
_FORM = re.compile(rb"POST [^ ?]*/rooms/[^/ ?]+/messages HTTP/1\.[01]\r\n")
_MULTIPART = re.compile(rb"\r\ncontent-type:[ \t]*multipart/form-data[ \t]*;", re.IGNORECASE)
"""The form of a page, which may hold a file."""
_SIZE = re.compile(rb"([0-9a-f]{1,15})[ \t]*(?:;[^\r\n]*)?", re.IGNORECASE)


class Arrival:
    """The bytes of one request so far; its body may have `most` bytes."""

    def __init__(self, most: int) -> None:
        self.data = bytearray()
        self.whole = False
        """True if the request can be parsed without waiting for more bytes."""
        self.early = False
        """True if more bytes may come, or the request's end is unknown: the connection must close after the answer."""
        self.refusal: str | None = None
        """The status of the answer to a request that is not parsed, as `refusal` takes it."""
        self.streamed = False
        """True if the body is still to come, and is read by the application, not here."""
        self.wants_continue = False
        """True if the client waits for 100 before it sends the body (RFC 9110 §10.1.1)."""
        self._most = most
        self._advance = self._head
        self._at = 0  # bytes before it are understood; in the head, the search goes on here
        self._decoded = self._chunks = 0

    def take(self, data: bytes) -> None:
        """Add bytes from the client, and decide as far as they allow."""
        self.data += data
        while not (self.whole or self.refusal) and self._advance():
            pass

    # --- Each reads the next part; returns True if it got any further -----------------------------

    def _head(self) -> bool:
        end, stop = self._blank_line(max(0, self._at - 3))
        # The parser refuses it, now: such a head might never end.
        if self._bare_lf(min(stop, MOST_HEAD)):
            self._hand_over()
        elif stop > MOST_HEAD:
            line = self.data.find(b"\r\n")
            self.refusal = "431 Request Header Fields Too Large" if 0 <= line < _LONGEST_LINE else "414 URI Too Long"
        elif end < 0:
            self._at = len(self.data)
        elif _NOT_ASCII.match(self.data):
            self.refusal = _SAY_ASCII
        else:
            self._at = end + 4
            self._framing(bytes(self.data[: end + 2]))
            return True
        return False

    def _framing(self, head: bytes) -> None:
        found = _FRAMED.findall(head)
        length = _LENGTH.search(head)
        self.wants_continue = b" HTTP/1.1\r\n" in head and _EXPECTS.search(head) is not None
        if not found:
            self.whole = True
        elif len(found) > 1 or not (length or _CHUNKED.search(head)):
            self._hand_over()
        elif _UPLOAD.match(head) or (_FORM.match(head) and _MULTIPART.search(head)):
            self.streamed = True
            self._hand_over()
        elif length is None:
            self._advance = self._chunk
        elif int(length[1]) > self._most:
            self._hand_over()  # refused by the application, which need not read it for that
        else:
            self._at += int(length[1])
            self._advance = self._body

    def _body(self) -> bool:
        self.whole = len(self.data) >= self._at
        return False

    def _chunk(self) -> bool:
        end = self.data.find(b"\r\n", self._at, self._at + _LONGEST_SIZE)
        if end < 0:
            if len(self.data) - self._at >= _LONGEST_SIZE or self._bare_lf(len(self.data)):
                self._hand_over()
            return False
        found = _SIZE.fullmatch(self.data, self._at, end)
        if found is None:
            self._hand_over()
            return False
        size = int(found[1], 16)
        if size == 0:
            self._at = end  # with the line break: alone, it is the end of no trailers
            self._advance = self._trailers
            return True
        if self._decoded + size > self._most:
            # Once that much is there it is refused, without waiting for the rest.
            if len(self.data) > end + 2 + self._most - self._decoded:
                self._hand_over()
            return False
        if len(self.data) < end + 2 + size + 2:
            return False
        self._decoded += size
        self._chunks += 1
        self._at = end + 2 + size + 2
        if self.data[self._at - 2 : self._at] != b"\r\n" or self._chunks > _MOST_CHUNKS:
            self._hand_over()
        return True

    def _trailers(self) -> bool:
        end, stop = self._blank_line(self._at)
        if stop - self._at > _LONGEST_LINE or self._bare_lf(stop):
            self._hand_over()
        else:
            self.whole = end >= 0
        return False

    def _blank_line(self, start: int) -> tuple[int, int]:
        """Return the end of the lines from `start`, or -1, and how far they had come a byte before that was known:
        decisions use that limit, so they do not depend on how the bytes were split into packets."""
        end = self.data.find(b"\r\n\r\n", start)
        return end, end + 3 if end >= 0 else len(self.data)

    def _bare_lf(self, stop: int) -> bool:
        """Return True if a line up to `stop` ends without CR. Two counts: a regular expression takes far longer."""
        start = self._at - (self.data[self._at - 1 : self._at] == b"\r")
        return self.data.count(b"\n", start, stop) != self.data.count(b"\r\n", start, stop)

    def _hand_over(self) -> None:
        self.whole = self.early = True

"""RFC 6455 read plainly, all bytes at once: what a server of texts makes of what a client sent. Slow, and obvious."""

from __future__ import annotations

from dataclasses import dataclass, field

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_OPCODES = {0, TEXT, BINARY, CLOSE, PING, PONG}
_CODES = {*range(1000, 1004), *range(1007, 1014), *range(3000, 5000)}
"""Close codes that a peer may send (§7.4). 1014 was registered later, and wsproto does not know it."""


@dataclass
class Read:
    """What came of it."""

    texts: list[str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None
    unfinished: bool = False
    ended: bool = False
    """Nothing after it is looked at: the peer closed, or the connection failed."""


class Fault(Exception):
    """The connection fails, with this code (§7.1.7)."""


def read(data: bytes, limit: int) -> Read:
    """What becomes of `data`, where a message has at most `limit` bytes."""
    found = Read()
    message: bytes | None = None
    binary = False
    announced = 0
    at = 0

    def close(code: int) -> None:
        if found.code is None:
            found.code = code

    try:
        while True:
            head = _head(data, at)
            if head is None:
                break
            opcode, final, size, mask, at = head
            payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data[at : at + size]))
            cut = len(payload) < size
            at += size
            if opcode >= CLOSE:
                if cut:
                    break
                if opcode == PING and found.code is None:
                    found.pongs.append(payload)
                elif opcode == CLOSE:
                    close(_closed(payload))
                    found.ended = True
                    break
                continue
            announced = size + (0 if opcode else announced)
            if announced > limit:
                close(1009)
                break  # by its header alone, and nothing after it is looked at
            if final:
                announced = 0
            if cut and not payload:
                break  # where nothing of it is there, it is not looked at
            if (opcode == 0) != (message is not None):
                raise Fault(1002)
            if opcode:
                message, binary = b"", opcode == BINARY
            assert message is not None
            message += payload
            if binary:
                close(1003)
            else:
                whole = final and not cut
                typed, good = _decoded(message, whole)
                if not good:
                    raise Fault(1007)
                if whole and found.code is None:
                    found.texts.append(typed)
            found.unfinished = cut or not final
            if not found.unfinished:
                message = None
            if cut:
                break
    except Fault as fault:
        close(*fault.args)
        found.ended = True
    return found


def _head(data: bytes, at: int) -> tuple[int, bool, int, bytes, int] | None:
    """The frame's opcode, FIN, length, mask and where its payload begins; None where that is not there yet (§5.2)."""
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    opcode, size = first & 15, second & 127
    if opcode not in _OPCODES or (opcode >= CLOSE and (not first & 128 or size > 125)):
        raise Fault(1002)
    at += 2
    extended = {126: 2, 127: 8}.get(size, 0)
    if len(data) < at + extended:
        return None
    if extended:
        size = int.from_bytes(data[at : at + extended], "big")
        if size < (126 if extended == 2 else 65_536) or size >> 63:
            raise Fault(1002)
        at += extended
    if first & 0x70 or not second & 128:
        raise Fault(1002)
    return (opcode, bool(first & 128), size, data[at : at + 4], at + 4) if len(data) >= at + 4 else None


def _closed(payload: bytes) -> int:
    """The code of a close frame; 1005 where it has none (§7.1.5)."""
    if not payload:
        return 1005
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in _CODES:
        raise Fault(1002)
    if not _decoded(payload[2:], True)[1]:
        raise Fault(1007)
    return code


def _decoded(data: bytes, whole: bool) -> tuple[str, bool]:
    """The text as far as it is UTF-8, and whether it is, or may yet become it."""
    try:
        return data.decode(), True
    except UnicodeDecodeError as fault:
        cut_off = fault.reason == "unexpected end of data" and not whole
        return data[: fault.start].decode(), cut_off

"""A corpus of hostile input, by area: what is sent, and what protocol.md says the answer is.

Each case is (name, what is sent, expected). Nothing here may be stored, and nothing may be answered with 5xx.
"""

# ruff: noqa: E501  # tables: one case on one line

from __future__ import annotations

import json
import struct
from typing import Any

from wire import HOST, KEY, UPGRADE, frame

LONG = 65_536

# --- JSON: the bodies of a POST and the texts of a WebSocket; all are `malformed-json` -------------

JSON: list[tuple[str, bytes]] = [
    ("empty", b""), ("white space", b" \n\t "), ("open object", b"{"), ("open list", b"["), ("open string", b'"abc'),
    ("single quotes", b"{'user':'a'}"), ("bare word", b"hello"), ("trailing comma", b'{"a":1,}'),
    ("two values", b'{"a":1}{"a":1}'), ("trailing text", b'{"a":1} x'), ("comment", b'{"a":1/*x*/}'),
    ("byte order mark", b'\xef\xbb\xbf{"a":1}'), ("NaN", b'{"a":NaN}'), ("Infinity", b'{"a":Infinity}'),
    ("-Infinity", b'{"a":-Infinity}'), ("1e999", b'{"a":1e999}'), ("-1e999", b'{"a":-1e999}'),
    ("leading zero", b'{"a":01}'), ("plus", b'{"a":+1}'), ("dot first", b'{"a":.5}'), ("dot last", b'{"a":5.}'),
    ("hexadecimal", b'{"a":0x10}'), ("True", b'{"a":True}'), ("undefined", b'{"a":undefined}'),
    ("same key twice", b'{"a":1,"a":1}'), ("same key twice, escaped", b'{"a":1,"\\u0061":1}'),
    ("same key twice, deep", b'{"b":[{"a":1,"a":2}]}'), ("key is no string", b'{1:1}'), ("no colon", b'{"a" 1}'),
    ("lone high surrogate", b'{"a":"\\ud800"}'), ("lone low surrogate", b'{"a":"\\udc00"}'),
    ("surrogates swapped", b'{"a":"\\udc00\\ud800"}'), ("surrogate in a key", b'{"\\ud800":1}'),
    ("NUL", b'{"a":"\x00"}'), ("NUL, escaped", b'{"a":"\\u0000"}'), ("NUL in a key", b'{"\\u0000":1}'),
    ("NUL after", b'{"a":1}\x00'), ("line break in a string", b'{"a":"x\ny"}'), ("tab in a string", b'{"a":"x\ty"}'),
    ("control in a string", b'{"a":"\x1f"}'), ("bad escape", b'{"a":"\\x41"}'), ("half escape", b'{"a":"\\u12"}'),
    ("depth 33", b'{"a":' + b"[" * 32 + b"]" * 32 + b"}"), ("depth 30,000", b"[" * 30_000 + b"]" * 30_000),
    ("depth of objects", b'{"a":' * 10_000 + b"1" + b"}" * 10_000), ("open depth", b"[" * LONG),
    ("5,000 digits", b'{"a":' + b"9" * 5000 + b"}"), ("60,000 digits", b'{"a":' + b"1" * 60_000 + b"}"),
    # Square time, once: each of these quotes looked like the beginning of another string.
    ("open string of quotes", b'"' + b'\\"' * (LONG // 2 - 1)), ("backslashes", b'"' + b"\\" * (LONG - 1)),
    ("open string in a list", b'["' + b'\\"x' * (LONG // 3 - 1)), ("commas", b"[" + b"," * (LONG - 2) + b"]"),
]  # fmt: skip
NOT_UTF8: list[tuple[str, bytes]] = [
    ("Latin-1", b'{"a":"\xe4"}'), ("overlong", b'{"a":"\xc0\xaf"}'), ("surrogate", b'{"a":"\xed\xa0\x80"}'),
    ("above Unicode", b'{"a":"\xf4\x90\x80\x80"}'), ("cut off", b'{"a":"\xe2\x82"}'), ("lone continuation", b'\x80'),
    ("UTF-16", '{"a":1}'.encode("utf-16")), ("UTF-32", '{"a":1}'.encode("utf-32")),
]  # fmt: skip

# --- Envelopes: (envelope, code, field) ------------------------------------------------------------


def said(**fields: Any) -> dict[str, Any]:
    """A `send-message` with these fields in its message."""
    return {"command": "send-message", "message": {"user": "Ann", "message": "hi", **fields}}


_WRONG: list[Any] = [None, True, 0, 1.5, [], ["a"], {}, {"$gt": ""}]

ENVELOPES: list[tuple[str, Any, str, str | None]] = [
    *((f"{each!r} for an envelope", each, "malformed-envelope", None) for each in [None, True, 0, 1.5, "x", [], [{}], {}]),
    *((f"{each!r} for a command", {"command": each}, "malformed-envelope", None) for each in [*_WRONG, "", "fly", "PING"]),
    *((f"{each!r} for a user", said(user=each), "invalid", "user") for each in _WRONG),
    *((f"{each!r} for a message", said(message=each), "invalid", "message") for each in _WRONG),
    *((f"{each!r} for a colour", said(color=each), "invalid", "color") for each in _WRONG[1:]),
    *((f"{each!r} for a time", said(send_at=each), "invalid", "send_at") for each in _WRONG[1:]),
    *((f"{each!r} for a reply", said(reply_to=each), "invalid", "reply_to") for each in [*_WRONG[1:], "1", -1, 2**53, 10**30]),
    *((f"{each!r} for a client_id", {**said(), "client_id": each}, "invalid", "client_id")
      for each in [*_WRONG[1:], "", "a b", "a\n", "ä", "a" * 65, "../x"]),
    *((f"{each!r} for a room", {**said(), "room": each}, "invalid", "room") for each in _WRONG),
    *((f"{each!r} for the inner object", {"command": "send-message", "message": each}, "invalid", "message")
      for each in [None, True, 0, "x", [], [{"user": "a"}]]),
    *((f"{each!r} for an id", {"command": "delete-message", "message": {"id": each}}, "invalid", "id")
      for each in [None, True, 0, -1, 1.0, 1e300, 2**53, 10**30, "1", [], {}]),
    *((f"{each!r} for a reaction", {"command": "react", "message": {"id": 1, "reaction": each}}, "invalid", "reaction")
      for each in [*_WRONG, "love", "LIKE", ""]),
    *((f"{each!r} for a quote", {"command": "add-quote", "quote": {"quote": each, "author": "A"}}, "invalid", "quote")
      for each in [*_WRONG, "", " ", "a" * 1001]),
    *((f"{each!r} for an author", {"command": "add-quote", "quote": {"quote": "q", "author": each}}, "invalid", "author")
      for each in [*_WRONG, "", " A", "a" * 101, "A\u202eB"]),
    ("no room of that name", {**said(), "room": "none"}, "room-unknown", "room"),
    ("a path for a room", {**said(), "room": "../lobby"}, "room-unknown", "room"),
    ("a long room", {**said(), "room": "r" * 50_000}, "room-unknown", "room"),
    ("a reaction by nobody", {"command": "react", "message": {"id": 1, "reaction": "like"}}, "unauthenticated", None),
    ("an edit by nobody", {"command": "edit-message", "message": {"id": 1, "message": "x"}}, "unauthenticated", None),
    ("a deletion by nobody", {"command": "delete-message", "message": {"id": 1}}, "unauthenticated", None),
    ("a cancellation by nobody", {"command": "cancel-scheduled", "scheduled": {"id": 1}}, "unauthenticated", None),
    ("a schedule by nobody", said(send_at="+1h"), "unauthenticated", None),
    ("a reply to what is not there", said(reply_to=2**53 - 1), "invalid", "reply_to"),
]  # fmt: skip

# --- Texts, names, colours, times: (fields of the message, the field that is refused) --------------

TEXTS: list[tuple[str, str]] = [
    ("empty", ""), ("spaces", "   "), ("line breaks", "\n\r\n"), ("only invisible", "\u200b\u200d\u2060"),
    ("only fillers", "\u3164\uffa0\u115f"), ("only Braille blank", "\u2800"), ("only a bidi override", "\u202e"),
    ("only tags", "\U000e0041\U000e0042"), ("only variation selectors", "\ufe0f\ufe0f"), ("bell", "a\x07"),
    ("escape sequence", "\x1b[2J"), ("backspace", "a\x08b"), ("delete", "a\x7f"), ("C1 control", "a\x9b31m"),
    ("form feed", "a\x0cb"), ("vertical tab", "a\x0bb"), ("one too long", "a" * 4001),
    ("too long of emoji", "\U0001f600" * 4001), ("too long of CR LF", "a\r\n" * 2001 + "a"),
    ("too long of accents", "e" + "\u0301" * 4001), ("60,000 asterisks", "*" * 60_000),
]  # fmt: skip
NAMES: list[tuple[str, str]] = [
    ("empty", ""), ("space", " "), ("space first", " Ann"), ("space last", "Ann "), ("tab", "A\tB"), ("LF", "A\nB"),
    ("CR", "A\rB"), ("line separator", "A\u2028B"), ("next line", "A\x85B"), ("bell", "A\x07"), ("escape", "A\x1b[31m"),
    ("bidi override", "A\u202eB"), ("bidi isolate", "A\u2066B"), ("right-to-left mark", "A\u200fB"),
    ("zero width space", "A\u200bB"), ("zero width joiner", "A\u200dB"), ("soft hyphen", "A\u00adB"),
    ("word joiner", "A\u2060B"), ("Hangul filler", "A\u3164B"), ("Braille blank", "A\u2800B"),
    ("tag letters", "A\U000e0061B"), ("variation selector", "A\ufe0fB"), ("no-break space first", "\u00a0A"),
    ("ideographic space last", "A\u3000"), ("41 letters", "A" * 41), ("60,000 letters", "A" * 60_000),
    ("byte order mark", "\ufeffA"), ("interlinear annotation", "A\ufff9B"), ("Mongolian separator", "A\u180eB"),
]  # fmt: skip
COLORS: list[str] = [
    "", "mauve", "RED", " red", "#ff0000", "red;background:url(x)", "rgb(1,2,3)", "var(--x)", "re\u0501",
    "r" * 10_000, "expression(alert(1))",
]  # fmt: skip
TIMES: list[str] = [
    "", "now", "tomorrow", "0", "12:00", "2026-12-01", "2026-12-01T10:00:00", "2026-12-01 10:00:00Z",
    "2026-13-01T10:00:00Z", "2026-02-30T10:00:00Z", "2026-12-01T25:00:00Z", "2026-12-01T10:60:00Z",
    "2026-12-01T10:00:61Z", "2026-12-01T10:00:00+25:00", "2026-12-01T10:00:00+1", "9999-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "-2026-12-01T10:00:00Z",
    "1970-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "+366d", "+999999999d", "+9999999999s", "+1y", "+-1m", "+ 1m", "+1.5h",
    "10m", "-10m", "+\u0661m", "2026-12-01T10:00:00.Z", "2026-12-01T10:00:00." + "1" * 10_000 + "Z", "+1m\n", "P1D",
]  # fmt: skip

# --- Addresses: (path and query, status, code) -----------------------------------------------------

_EVENTS = "/api/v1/rooms/lobby/events"
CURSORS: list[str] = [
    "", "x", "-1", "+1", "01", "1.", ".1", "1.ABCDEF0123456789", "1.0", "NOW", "Now", "+1", "1%20", "1%0A", "1" * 17,
    "9" * 3000, "1.5", "1e3", "0x1", "%D9%A1", "%00", "null", "1.0123456789abcdef0", "1.0123456789abcde", "now.", "1,2",
    "%C3%28", "'%20OR%201=1--", "..%2f", "{}", "[]", "1.0123456789abcdeg", "0.0123456789ABCDEF", "00.0123456789abcdef",
]  # fmt: skip
PARAMETERS: list[tuple[str, int, str]] = [
    *((f"{_EVENTS}?limit={each}", 400, "parameter-invalid") for each in
      ["0", "-1", "x", "1.5", "", "1e2", "0x1", "%D9%A1", "1%00", "%20", "1%0A", "NaN", "1&limit=1"]),
    *((f"{_EVENTS}?wait={each}", 400, "parameter-invalid") for each in
      ["-1", "x", "1e3", "nan", "inf", "", "1.", ".5", "%D9%A1", "1%0A", "1&wait=1", "+1"]),
    *((f"/api/v1/rooms/lobby/messages?before={each}", 400, "parameter-invalid") for each in
      ["0", "-1", "x", "1.5", "", "%D9%A1", "1%0A", "1&before=2"]),
    *((f"/api/v1/quotes?before={each}", 400, "parameter-invalid") for each in ["0", "x", ""]),
    ("/api/v1/quotes?q=" + "a" * 101, 400, "parameter-invalid"), ("/api/v1/quotes?q=a&q=b", 400, "parameter-invalid"),
    ("/api/v1/events", 400, "parameter-invalid"), ("/api/v1/events?after=lobby&after=lobby", 400, "parameter-invalid"),
    ("/api/v1/events?" + "&".join(f"after=r{n}" for n in range(51)), 400, "parameter-invalid"),
    ("/api/v1/events?after=lobby:x", 400, "cursor-invalid"), ("/api/v1/events?after=none:0", 404, "room-unknown"),
    ("/api/v1/events?after=:0", 404, "room-unknown"),
    *((f"/api/v1/rooms/{each}/events", 404, "room-unknown") for each in
      ["none", "LOBBY", "lobby%00", "lobby%0A", "%2e%2e", "'%20OR%20'1'='1", "l%C3%B6bby", "r" * 2000, "lobby%20"]),
    *((path.format(each), 400, "parameter-invalid") for each in ["%", "%4", "100%", "%zz", "%%20", "a%2", "%FF", "Jos%E9", "%C3%28", "%ED%A0%80"]
      for path in ["/api/v1/rooms/{}/events", "/api/v1/rooms/{}", "/rooms/{}", "/nothing/{}", "/static/{}", "/quotes?q={}", "/?room={}",
                   "/api/v1/quotes?q={}", "/api/v1/rooms?unknown={}", "/api/v1/rooms?{}=1", _EVENTS + "?after=0&limit=1&x={}"]),
    *((path, 400, "cursor-invalid") for path in [f"{_EVENTS}?after=1%", f"{_EVENTS}?after=%FF"]),
    *((f"/api/v1/quotes/{each}", 404, "not-found") for each in ["9" * 20, "-1", "x", "1.5", "9" * 3000, "%D9%A1"]),
    *((f"/api/v1/{each}", 404, "not-found") for each in ["", "nothing", "..%2f..%2fetc%2fpasswd", "rooms/lobby/x", "%00"]),
    ("/static/..%2f..%2fsetup.cfg", 404, "not-found"), ("/static/%2e%2e/%2e%2e/wsgi.py", 404, "not-found"),
    ("/static/../../wsgi.py", 404, "not-found"), ("/static/%00", 404, "not-found"), ("/static/", 404, "not-found"),
    ("/.git/config", 404, "not-found"), ("/console", 404, "not-found"),
    (f"{_EVENTS}?after=99999999", 410, "cursor-ahead"), (f"{_EVENTS}?after=9007199254740993", 410, "cursor-ahead"),
    (f"{_EVENTS}?after=9999999999999999", 410, "cursor-ahead"),
    (f"{_EVENTS}?after=0.0000000000000000", 410, "history-changed"),
]  # fmt: skip

# --- Raw HTTP: (bytes, statuses that may come); 0 is an end without an answer -----------------------

_GET = b"GET /healthz HTTP/1.1\r\n"
_POST = b"POST /api/v1/rooms/lobby/messages HTTP/1.1\r\n" + HOST
_JSON = b"Content-Type: application/json\r\n"
_CHUNKED = _POST + _JSON + b"Transfer-Encoding: chunked\r\n\r\n"
_BODY = b'{"user":"Ann","message":"hi"}'

RAW: list[tuple[str, bytes, tuple[int, ...]]] = [
    ("nothing but lines", b"\r\n\r\n\r\n", (400, 0)), ("zeros", b"\0" * 100 + b"\r\n\r\n", (400,)),
    ("TLS", bytes.fromhex("16030100a5010000a10303") + b"\r\n\r\n", (400,)), ("a word", b"hello\r\n\r\n", (400,)),
    ("SSH", b"SSH-2.0-OpenSSH_9\r\n\r\n", (400,)), ("HTTP/0.9", b"GET /\r\n\r\n", (400,)),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)), ("HTTP/3.0", b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", (400,)),
    ("HTTP/1.x", b"GET / HTTP/1.x\r\n" + HOST + b"\r\n", (400,)), ("lower-case method", b"get / HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    ("unknown method", b"FLY /healthz HTTP/1.1\r\n" + HOST + b"\r\n", (405,)), ("TRACE", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", (405,)),
    ("CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", (400, 404, 405)),
    ("a long method", b"G" * 5000 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", (400, 414)),
    ("a long line", b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", (414,)),
    ("a line without end", b"G" * 100_000, (400, 414, 431)), ("no target", b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    ("a raw byte in the target", b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    ("a control in the target", b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n", (400,)), ("NUL in the target", b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    ("a target that is none", b"GET nothing HTTP/1.1\r\n" + HOST + b"\r\n", (400,)), ("star", b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    ("bare LF", b"GET /healthz HTTP/1.1\nHost: localhost\n\n", (400,)), ("bare CR", b"GET /healthz HTTP/1.1\rHost: localhost\r\r", (400, 0)),
    ("no Host", _GET + b"\r\n", (400,)), ("no Host, HTTP/1.0", b"GET /healthz HTTP/1.0\r\n\r\n", (400,)),
    ("an empty Host", _GET + b"Host:\r\n\r\n", (400,)), ("two Hosts", _GET + HOST + b"Host: evil.example\r\n\r\n", (400,)),
    *((f"Host {each.decode('latin-1')}", _GET + b"Host: " + each + b"\r\n\r\n", (400,)) for each in
      [b"evil.example", b"localhost.evil.example", b"evil.example:8000", b"localhost@evil.example", b"localhost, evil.example",
       b"[::1", b"localhost:x", b"localhost:999999", b"local host", b"localhost/x", b"\xe4", b"a" * 5000, b"127.0.0.1.evil.example"]),
    ("absolute form, another host", b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", (400,)),
    ("no colon", _GET + HOST + b"X\r\n\r\n", (400,)), ("space before the colon", _GET + HOST + b"X : y\r\n\r\n", (400,)),
    ("no name", _GET + HOST + b": y\r\n\r\n", (400,)), ("folding", _GET + HOST + b"X: y\r\n z\r\n\r\n", (400,)),
    ("folding first", _GET + b" X: y\r\n" + HOST + b"\r\n", (400,)), ("NUL in a value", _GET + HOST + b"X: a\0b\r\n\r\n", (400,)),
    ("CR in a value", _GET + HOST + b"X: a\rb\r\n\r\n", (400,)), ("an underscore", _GET + HOST + b"X_Forwarded_For: 1.2.3.4\r\n\r\n", (200,)),
    ("101 headers", _GET + HOST + b"X: y\r\n" * 101 + b"\r\n", (431,)), ("a long header", _GET + HOST + b"X: " + b"y" * 9000 + b"\r\n\r\n", (431,)),
    ("a long cookie", _GET + HOST + b"Cookie: quotechat=" + b"y" * 9000 + b"\r\n\r\n", (431,)),
    ("an expectation that is none", _POST + _JSON + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n{}", (417,)),
    *((f"Content-Length {each.decode('latin-1')}", _POST + _JSON + b"Content-Length: " + each + b"\r\n\r\n" + _BODY, (400,)) for each in
      [b"-1", b"+29", b"29, 29", b"0x1d", b"29a", b"1.5", b"", b"\xb2\xb9", b"9" * 5000]),
    ("two lengths", _POST + _JSON + b"Content-Length: 29\r\nContent-Length: 29\r\n\r\n" + _BODY, (400,)),
    ("length and chunks", _POST + _JSON + b"Content-Length: 29\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    *((f"Transfer-Encoding {each.decode()}", _POST + _JSON + b"Transfer-Encoding: " + each + b"\r\n\r\n0\r\n\r\n", (400, 415)) for each in
      [b"gzip", b"chunked, gzip", b"chunked, chunked", b"identity", b"xchunked", b"chunked;q=1", b"", b"gzip, chunked", b"chunked, identity"]),
    ("chunks in HTTP/1.0", _CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", (400,)),
    *((f"chunk {name}", _CHUNKED + each, (400,)) for name, each in
      [("of no size", b"\r\n{}\r\n0\r\n\r\n"), ("of a bad size", b"x\r\n{}\r\n0\r\n\r\n"), ("of -1", b"-1\r\n{}\r\n0\r\n\r\n"),
       ("of 0x2", b"0x2\r\n{}\r\n0\r\n\r\n"), ("with a space first", b" 2\r\n{}\r\n0\r\n\r\n"),
       ("with bare LF", b"2\n{}\n0\n\n"), ("longer than said", b"2\r\n{}x\r\n0\r\n\r\n"), ("size without end", b"2" * 10_000), ("with a bad extension", b"2;\x01\r\n{}\r\n0\r\n\r\n"),
       ("with a bad trailer", b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n")]),
    ("chunks that are too much", _CHUNKED + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 17 + b"0\r\n\r\n", (413,)),
    ("chunks of one byte, too many", _CHUNKED + b"1\r\nx\r\n" * 65_537 + b"0\r\n\r\n", (400,)),
    ("1,001 chunks of nothing to say", _CHUNKED + b"1\r\n \r\n" * 1001 + b"0\r\n\r\n", (400,)),
    ("headers without end", _GET + HOST + (b"X: " + b"y" * 1000 + b"\r\n") * 99, (431,)),
    ("a huge Content-Length", _POST + _JSON + b"Content-Length: 999999999999999\r\n\r\n" + _BODY, (413,)),
    ("a Content-Length beyond all numbers", _POST + _JSON + b"Content-Length: 99999999999999999999\r\n\r\n" + _BODY, (413,)),
    ("too long by one", _POST + _JSON + b"Content-Length: 65537\r\n\r\n" + b" " * 65_537, (413,)),
    ("a body that is cut off", _POST + _JSON + b"Content-Length: 100\r\n\r\n" + _BODY, (400, 0)),
    ("chunks that are cut off", _CHUNKED + b"1d\r\n" + _BODY, (400, 0)), ("a head that is cut off", _POST, (400, 0)),
]  # fmt: skip

# --- Headers of a good request: (headers, status, code) --------------------------------------------

HEADERS: list[tuple[dict[str, str], int, str]] = [
    *(({"Origin": each}, 403, "origin-refused") for each in
      ["null", "https://evil.example", "http://localhost.evil.example", "http://localhost:1", "file://", "localhost", "",
       "http://localhost@evil.example", "https://listed.example.evil.example", "https://listed.example:444", "http://listed.example",
       "https://listed.example https://evil.example", "javascript:alert(1)", "http://[::1", "http://localhost:x", "*", "a" * 5000]),
    # A serialized origin has one spelling, and no path, user or default port (RFC 6454 §6.2).
    *(({"Origin": each, "Sec-Fetch-Site": site}, 403, "origin-refused") for site in ["", "none", "same-origin"] for each in
      ["http://HOST/", "http://HOST/x", "http://HOST?x", "http://HOST#x", "http://user@HOST", "http://user:word@HOST", "http://@HOST",
       "HTTP://HOST", "ws://HOST", "wss://HOST", "ftp://HOST", "file://HOST", "javascript://HOST", "HOST", "//HOST", "http:HOST",
       "http://HOST http://HOST", "http://HOST, http://HOST", "http://HOST:", "http://HOST0", "http://HOST\\", "https://listed.example/",
       "https://listed.example:443", "HTTPS://listed.example", "https://user@listed.example"]),
    *(({"Sec-Fetch-Site": each}, 403, "origin-refused") for each in ["cross-site", "same-site", "Cross-Site", " same-site "]),
    ({"Origin": "http://HOST", "Sec-Fetch-Site": "cross-site"}, 403, "origin-refused"),
    ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403, "origin-refused"),
    ({"Origin": "https://evil.example", "Sec-Fetch-Site": "none"}, 403, "origin-refused"),
    *(({"Content-Type": each}, 415, "unsupported-media-type") for each in
      ["", "text/html", "application/xml", "application/json; charset=utf-16", "application/jsonx", "json", "image/svg+xml",
       "multipart/form-data; boundary=x", "application/x-json", "text/plain; charset=utf-16", "a" * 5000]),
    *(({"Content-Encoding": each}, 415, "unsupported-media-type") for each in ["gzip", "br", "deflate", "identity", "gzip, gzip"]),
    *(({"Authorization": each}, 401, "unauthenticated") for each in
      ["", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "bearer null", "Bearer .", "Bearer ..", "Bearer W10.x", "Token x",
       "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer " + "a" * 5000, "Bearer \u00e4"]),
    *(({"Idempotency-Key": each}, 422, "invalid") for each in ["", "a b", "a" * 65, '""', "\u00e4", "a;b"]),
]  # fmt: skip
COOKIES: list[str] = ["", "x", ".", "..", "W10.x", "a" * 5000, "Im51bGwi", '"', "\\", "\u00e4", "eyJ.eyJ.x", "=;=;="]
"""Values of the identity's cookie that are not ours: whoever brings one is nobody yet."""

# --- Handshakes: (bytes, status) -------------------------------------------------------------------

_WS = b"GET /api/v1/ws HTTP/1.1\r\n"
HANDSHAKES: list[tuple[str, bytes, int]] = [
    ("no upgrade", _WS + HOST + b"\r\n", 400), ("no key", _WS + UPGRADE + b"\r\n", 400),
    ("an empty key", _WS + UPGRADE + b"Sec-WebSocket-Key:\r\n\r\n", 400), ("a short key", _WS + UPGRADE + b"Sec-WebSocket-Key: abc\r\n\r\n", 400),
    ("a long key", _WS + UPGRADE + b"Sec-WebSocket-Key: " + b"A" * 1000 + b"==\r\n\r\n", 400),
    ("24 letters that are no key", _WS + UPGRADE + b"Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!!!\r\n\r\n", 400),
    ("two keys", _WS + UPGRADE + KEY + KEY + b"\r\n", 400),
    *((f"version {each.decode()}", (_WS + UPGRADE + KEY + b"\r\n").replace(b": 13", b": " + each), 426)
      for each in [b"8", b"12", b"14", b"0", b"", b"x", b"13, 8", b"013", b"1"]),
    ("no version", (_WS + UPGRADE + KEY + b"\r\n").replace(b"Sec-WebSocket-Version: 13\r\n", b""), 426),
    ("no Upgrade", (_WS + UPGRADE + KEY + b"\r\n").replace(b"Upgrade: websocket\r\n", b""), 400),
    ("another Upgrade", (_WS + UPGRADE + KEY + b"\r\n").replace(b": websocket", b": h2c"), 400),
    ("two Upgrades", (_WS + UPGRADE + KEY + b"\r\n").replace(b": websocket", b": websocket, h2c"), 400),
    ("no Connection", (_WS + UPGRADE + KEY + b"\r\n").replace(b"Connection: Upgrade\r\n", b""), 400),
    ("Connection: close", (_WS + UPGRADE + KEY + b"\r\n").replace(b"Connection: Upgrade", b"Connection: close"), 400),
    ("HTTP/1.0", (_WS + UPGRADE + KEY + b"\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    ("POST", (_WS + UPGRADE + KEY + b"\r\n").replace(b"GET", b"POST"), 405), ("HEAD", (_WS + UPGRADE + KEY + b"\r\n").replace(b"GET", b"HEAD"), 405),
    ("a body", _WS + UPGRADE + KEY + b"Content-Length: 5\r\n\r\nhello", 400),
    ("a chunked body", _WS + UPGRADE + KEY + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    *((f"Origin {each.decode()}", _WS + UPGRADE + KEY + b"Origin: " + each + b"\r\n\r\n", 403) for each in
      [b"https://evil.example", b"null", b"http://localhost:1", b"https://listed.example.evil.example", b""]),
    *((f"Sec-Fetch-Site {each.decode()}", _WS + UPGRADE + KEY + b"Sec-Fetch-Site: " + each + b"\r\n\r\n", 403)
      for each in [b"cross-site", b"same-site"]),
    ("another origin, another Upgrade", (_WS + UPGRADE + KEY + b"Origin: https://evil.example\r\n\r\n").replace(b": websocket", b": x, WebSocket"), 403),
    ("another Host", (_WS + UPGRADE + KEY + b"\r\n").replace(b"localhost", b"evil.example"), 400),
    ("a token that is not ours", _WS + UPGRADE + KEY + b"Authorization: Bearer x\r\n\r\n", 401),
    ("a parameter twice", (_WS + UPGRADE + KEY + b"\r\n").replace(b"/ws ", b"/ws?after=0&after=1 "), 101),
    ("bad extensions", _WS + UPGRADE + KEY + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=abc\r\n\r\n", 101),
    ("extensions that are none", _WS + UPGRADE + KEY + b"Sec-WebSocket-Extensions: ;;;,,=\r\n\r\n", 101),
    ("sub-protocols that are none", _WS + UPGRADE + KEY + b"Sec-WebSocket-Protocol: ,,;,\x7e\r\n\r\n", 101),
]  # fmt: skip

# --- Frames: (bytes, close code) -------------------------------------------------------------------

_ZERO = b"\0\0\0\0"
FRAMES: list[tuple[str, bytes, int]] = [
    *((f"opcode {each}", frame(each), 1002) for each in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    *((f"RSV {each}", frame(1, b"x", rsv=each), 1002) for each in range(1, 8)),
    *((f"RSV {each} of a ping", frame(9, b"x", rsv=each), 1002) for each in (1, 2, 4)),
    ("no mask", b"\x81\x01x", 1002), ("no mask, ping", b"\x89\x00", 1002), ("no mask, close", b"\x88\x02\x03\xe8", 1002),
    ("binary", frame(2, b"{}"), 1003), ("empty binary", frame(2), 1003), ("binary, begun", frame(2, b"{", final=False), 1003),
    ("a ping in parts", frame(9, b"x", final=False), 1002), ("a close in parts", frame(8, final=False), 1002),
    ("a pong in parts", frame(10, final=False), 1002), ("a long ping", frame(9, b"x" * 126), 1002),
    ("a long pong", frame(10, b"x" * 126), 1002), ("a long close", frame(8, struct.pack("!H", 1000) + b"x" * 124), 1002),
    ("a continuation of nothing", frame(0, b"x"), 1002), ("a continuation of nothing, begun", frame(0, b"x", final=False), 1002),
    ("a text within a text", frame(1, b"x", final=False) + frame(1, b"y"), 1002),
    ("a continuation after the end", frame(1, b"x", final=False) + frame(0, b"y") + frame(0, b"z"), 1002),
    ("a length in more bytes than needed, 16", b"\x81\xfe\x00\x05" + _ZERO + b"hello", 1002),
    ("a length in more bytes than needed, 64", b"\x81\xff" + struct.pack("!Q", 5) + _ZERO + b"hello", 1002),
    ("a length of 2^63", b"\x81\xff" + struct.pack("!Q", 2**63) + _ZERO, 1002),
    ("65,537 bytes", frame(1, b"x" * 65_537), 1009), ("65,537 bytes in parts", frame(1, b"x" * 40_000, final=False) + frame(0, b"x" * 25_537), 1009),
    ("a length of 2^62", b"\x81\xff" + struct.pack("!Q", 2**62) + _ZERO + b"x" * 66_000, 1009),
    ("a header of 2^62 bytes alone", b"\x81\xff" + struct.pack("!Q", 2**62) + _ZERO, 1009),
    ("a header of 65,537 bytes alone", b"\x81\xff" + struct.pack("!Q", 65_537) + _ZERO, 1009),
    ("40,000 bytes and a header of 25,537", frame(1, b"x" * 40_000, final=False) + frame(0, b"x" * 25_537)[:8], 1009),
    ("a ping between such parts", frame(1, b"x" * 40_000, final=False) + frame(9) + frame(0, b"x" * 25_537)[:8], 1009),
    ("65,537 bytes of two-byte letters", frame(1, "ä".encode() * 32_768 + b"x"), 1009),
    *((f"not UTF-8: {name}", frame(1, each), 1007) for name, each in NOT_UTF8),
    ("not UTF-8 over two parts", frame(1, b"\xe2\x82", final=False) + frame(0, b"x"), 1007),
    ("UTF-8 cut off at the end", frame(1, b"\xe2", final=False) + frame(0, b"\x82"), 1007),
    ("a close of one byte", frame(8, b"\x03"), 1002), ("a close with bad UTF-8", frame(8, b"\x03\xe8\xff"), 1007),
    *((f"close with {each}", frame(8, struct.pack("!H", each)), 1002) for each in
      (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)),
]  # fmt: skip


def counts() -> dict[str, int]:
    """How many inputs there are in each area."""
    return {
        "JSON": len(JSON) + len(NOT_UTF8), "envelopes": len(ENVELOPES), "texts": len(TEXTS), "names": len(NAMES),
        "colours": len(COLORS), "times": len(TIMES), "cursors": len(CURSORS), "addresses and parameters": len(PARAMETERS),
        "raw HTTP": len(RAW), "headers": len(HEADERS) + len(COOKIES), "handshakes": len(HANDSHAKES), "frames": len(FRAMES),
    }  # fmt: skip


def encoded(value: Any) -> bytes:
    """`value` as JSON, escaped so that every code point can be in it."""
    return json.dumps(value).encode()

"""The answer to a request that never reaches the application: a problem, and a header like that of all others."""

from __future__ import annotations

import json
from email.utils import formatdate

#: Code, title and detail, if the protocol has a code with this status (§4).
_CODES = {
    400: ("parameter-invalid", "A parameter cannot be read", "The request is broken off, or it is not HTTP/1.1."),
    500: ("internal", "Our fault", "Something broke here; it has been logged."),
}


def refusal(status: str) -> bytes:
    """Return the answer with `status`, such as ``408 Request Timeout``, after which the connection ends.

    The text after a colon in `status` is shown to people instead of the usual detail.
    """
    status, _, detail = status.partition(": ")
    problem = _problem(status)
    if detail:
        problem["detail"] = detail
    body = json.dumps(problem, separators=(",", ":"))
    lines = (
        f"HTTP/1.1 {status}\r\nServer: gunicorn\r\nDate: {formatdate(usegmt=True)}\r\nConnection: close\r\n"
        "Content-Type: application/problem+json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Referrer-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n"
        "Cross-Origin-Resource-Policy: same-origin\r\n"
        "Content-Security-Policy: default-src 'none'; base-uri 'none'; frame-ancestors 'none'\r\n"
        f"Permissions-Policy: camera=(), geolocation=(), microphone=()\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (lines + body).encode("ascii")


def _problem(status: str) -> dict[str, str | int]:
    number, phrase = int(status[:3]), status[4:]
    if number not in _CODES:  # it has no meaning beyond its status (RFC 9457 §4.2.1)
        return {"type": "about:blank", "title": phrase, "status": number}
    code, title, detail = _CODES[number]
    return {
        "type": f"urn:quotechat:problem:{code}", "title": title, "status": number, "detail": detail, "code": code,
    }  # fmt: skip

"""The answer to a request that never reaches the application: a header like that of all others, and a status."""

from __future__ import annotations

from email.utils import formatdate


def refusal(status: str) -> bytes:
    """The answer with `status`, such as ``408 Request Timeout``, after which the connection ends."""
    body = f"{status}\n"
    lines = (
        f"HTTP/1.1 {status}\r\nServer: gunicorn\r\nDate: {formatdate(usegmt=True)}\r\nConnection: close\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Referrer-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n"
        "Cross-Origin-Resource-Policy: same-origin\r\n"
        "Content-Security-Policy: default-src 'none'; base-uri 'none'; frame-ancestors 'none'\r\n"
        f"Permissions-Policy: camera=(), geolocation=(), microphone=()\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (lines + body).encode("ascii")

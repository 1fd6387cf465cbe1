"""Moments that a client names: in RFC 3339, or from now on."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from .errors import Invalid

_RELATIVE = re.compile(r"\+([0-9]{1,9})([smhd])")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

# RFC 3339 §5.6, with the offset that ISO 8601 leaves optional.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def due(send_at: str, now_ms: int, days: int, field: str = "send_at") -> int:
    """Return `send_at` in milliseconds since 1970. Raises Invalid with `field` if it is past or too far."""
    moment = _moment(send_at, now_ms, field)
    if moment < now_ms:
        raise Invalid(field, f"{field} is in the past.")
    if moment > now_ms + days * 86_400_000:
        raise Invalid(field, f"{field} is more than {days} days ahead.")
    return moment


def _moment(send_at: str, now_ms: int, field: str) -> int:
    relative = _RELATIVE.fullmatch(send_at)
    if relative:
        return now_ms + int(relative[1]) * _UNITS[relative[2]] * 1000
    if _MOMENT.fullmatch(send_at):
        # Digits below a microsecond are more than datetime takes.
        short = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", send_at.upper())
        try:
            moment = datetime.fromisoformat(short)
            return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        except (ValueError, OverflowError):
            pass
    raise Invalid(field, f"{field} is an RFC 3339 time with offset, or +<n>s, +<n>m, +<n>h or +<n>d.")

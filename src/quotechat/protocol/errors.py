"""The one tree of refusals. Each has the ``code`` that clients switch on (protocol §4).

Nothing here knows HTTP: `web/http/problems.py` alone turns a code into a status or a close code.
"""

from __future__ import annotations


class Refused(Exception):
    """The request cannot be done. `code` gives the reason to programs, `detail` to people.

    `field` names the faulty field or parameter; `retry_in_ms` (milliseconds) says when asking again helps.
    """

    def __init__(
        self, code: str, detail: str, *, field: str | None = None, retry_in_ms: int | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_in_ms = retry_in_ms
        self.room: str | None = None
        """The room that is at fault, if the request is about several."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code}: {self.detail})"


# --- It cannot be understood ----------------------------------------------------------------------


class MalformedJson(Refused):
    """The text is not strict JSON in UTF-8 (protocol §7, JSON)."""

    def __init__(self, detail: str) -> None:
        super().__init__("malformed-json", detail)


class MalformedEnvelope(Refused):
    """JSON, but not an object with a known ``command``."""

    def __init__(self, detail: str) -> None:
        super().__init__("malformed-envelope", detail)


class ParameterInvalid(Refused):
    """A query parameter or header that cannot be read, or that contradicts another."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__("parameter-invalid", detail, field=field)


class CursorInvalid(Refused):
    """Text that is no cursor."""

    def __init__(self, field: str = "after") -> None:
        super().__init__("cursor-invalid", "A cursor is <seq>.<tag>, a bare <seq>, 0 or now.", field=field)


# --- The caller -----------------------------------------------------------------------------------


class Unauthenticated(Refused):
    """It needs an identity and came without one."""

    def __init__(self, detail: str = "This needs an identity: a cookie or a bearer token.") -> None:
        super().__init__("unauthenticated", detail)


class Forbidden(Refused):
    """It belongs to another user, or the caller lacks the right; `retry_in_ms` if it will have it by then."""

    def __init__(self, detail: str = "This belongs to somebody else.", *, retry_in_ms: int | None = None) -> None:
        super().__init__("forbidden", detail, retry_in_ms=retry_in_ms)


class OriginRefused(Refused):
    """Asked by the page of an origin that is not ours (protocol §7, Same origin)."""

    def __init__(self, detail: str = "Requests from pages of other origins are refused.") -> None:
        super().__init__("origin-refused", detail)


class SignInFailed(Refused):
    """Name or password is wrong; the answer does not tell which."""

    def __init__(self) -> None:
        super().__init__("sign-in-failed", "Name or password is wrong.")


class ProofNeeded(Refused):
    """The password was not given within the last 10 minutes; `field` names the action that needs it."""

    def __init__(self, what: str) -> None:
        super().__init__("proof-needed", "Give the password again: POST /api/v1/sessions/proof.", field=what)


class ScopeMissing(Refused):
    """The token does not have the scope `scope`."""

    def __init__(self, scope: str, said: str = "") -> None:
        lacks = "This needs a session, not a token." if scope == "session" else f"The token lacks the scope {scope}."
        super().__init__("scope-missing", said or lacks, field=scope)


# --- It is not there ------------------------------------------------------------------------------


class RoomUnknown(Refused):
    """No room has this name."""

    def __init__(self, name: str) -> None:
        super().__init__("room-unknown", f"There is no room {name[:80]!r}.", field="room")


class MessageUnknown(Refused):
    """No message of the room has this id."""

    def __init__(self, message_id: int) -> None:
        super().__init__("message-unknown", f"There is no message {message_id} in this room.")


class QuoteUnknown(Refused):
    """There is no such quote, or none at all."""

    def __init__(self, detail: str = "There is no such quote.") -> None:
        super().__init__("quote-unknown", detail)


class ScheduledUnknown(Refused):
    """No message with this id waits."""

    def __init__(self, scheduled_id: int | str) -> None:
        super().__init__("scheduled-unknown", f"No message {scheduled_id} is waiting.")


class AccountUnknown(Refused):
    """There is no such account, or the asker may not see it."""

    def __init__(self) -> None:
        super().__init__("account-unknown", "There is no such account.")


class TokenUnknown(Refused):
    """There is no such token, or it is not the asker's."""

    def __init__(self, detail: str = "There is no such token.") -> None:
        super().__init__("token-unknown", detail)


class CursorUnknown(Refused):
    """The account has no cursor with this name."""

    def __init__(self) -> None:
        super().__init__("cursor-unknown", "There is no cursor with this name.")


class WebhookUnknown(Refused):
    """There is no webhook with this id, or it is not for the caller to see."""

    def __init__(self) -> None:
        super().__init__("webhook-unknown", "There is no webhook with this id.")


class LinkUnknown(Refused):
    """The code of a link is wrong, used up, ended or revoked; the answer does not tell which."""

    def __init__(self) -> None:
        super().__init__("link-unknown", "This link is not valid, or not any more. Ask for a new one.")


class FileUnknown(Refused):
    """There is no such file, or the asker may not read it."""

    def __init__(self) -> None:
        super().__init__("file-unknown", "There is no such file.")


class NotFound(Refused):
    """Nothing has this address."""

    def __init__(self, detail: str = "There is nothing here.") -> None:
        super().__init__("not-found", detail)


# --- HTTP's own -----------------------------------------------------------------------------------


class MethodNotAllowed(Refused):
    """The address has no such method (RFC 9110 §15.5.6)."""

    def __init__(self, detail: str = "This method is not allowed here.") -> None:
        super().__init__("method-not-allowed", detail)


class NotAcceptable(Refused):
    """None of the media types that the client accepts can be had (RFC 9110 §15.5.7)."""

    def __init__(self, detail: str = "No media type that you accept can be had here.") -> None:
        super().__init__("not-acceptable", detail)


class TooLarge(Refused):
    """The body is over the limit (RFC 9110 §15.5.14)."""

    def __init__(self, detail: str = "The body is too large.") -> None:
        super().__init__("too-large", detail)


class UnsupportedMediaType(Refused):
    """The body's type or encoding is none that is understood (RFC 9110 §15.5.16)."""

    def __init__(self, detail: str = "This media type is not understood here.") -> None:
        super().__init__("unsupported-media-type", detail)


# --- The state says no ----------------------------------------------------------------------------


class Conflict(Refused):
    """The state contradicts it: a deleted message, a room that exists, a name that is taken."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__("conflict", detail, field=field)


class QuotaFull(Refused):
    """No more files are kept: of the asker if `field` is ``account``, of all if it is ``site``."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__("quota-full", detail, field=field)


class CursorExpired(Refused):
    """The cursor is older than the oldest event kept."""

    def __init__(self, detail: str = "This cursor is older than what is kept; take a new snapshot.") -> None:
        super().__init__("cursor-expired", detail)


class CursorAhead(Refused):
    """The cursor is beyond the head of the log."""

    def __init__(self, detail: str = "This cursor is ahead of the room; take a new snapshot.") -> None:
        super().__init__("cursor-ahead", detail)


class HistoryChanged(Refused):
    """The cursor's tag does not match: this log has another history."""

    def __init__(self, detail: str = "This room has another history; take a new snapshot.") -> None:
        super().__init__("history-changed", detail)


class Invalid(Refused):
    """Understood and refused; `field` is the field that is at fault."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__("invalid", detail, field=field)


class ClientIdReused(Refused):
    """This sender already sent something else under this ``client_id``."""

    def __init__(self) -> None:
        super().__init__(
            "client-id-reused", "This client_id was used for other content.", field="client_id"
        )


# --- Not now --------------------------------------------------------------------------------------


class RateLimited(Refused):
    """Too much from this client; nothing was stored."""

    def __init__(self, retry_in_ms: int, detail: str = "Too much at once; wait a little.") -> None:
        super().__init__("rate-limited", detail, retry_in_ms=retry_in_ms)


class Overloaded(Refused):
    """Too much from all; nothing was stored."""

    def __init__(self, retry_in_ms: int = 2000, detail: str = "The server is at its limit.") -> None:
        super().__init__("overloaded", detail, retry_in_ms=retry_in_ms)


class Draining(Refused):
    """This worker is about to stop; nothing was stored."""

    def __init__(self, retry_in_ms: int = 500) -> None:
        super().__init__("draining", "The server is restarting; ask again.", retry_in_ms=retry_in_ms)


class OutcomeUnknown(Refused):
    """It may have been stored or not; the same ``client_id`` again finds out."""

    def __init__(self, retry_in_ms: int = 1000) -> None:
        super().__init__(
            "outcome-unknown",
            "It is not known whether this was stored; send it again with the same client_id.",
            retry_in_ms=retry_in_ms,
        )


class StorageFull(Refused):
    """The disk has no room; nothing was stored, reading goes on."""

    def __init__(self) -> None:
        super().__init__("storage-full", "There is no space left; nothing was stored.")

"""Describe a call's parameters and answers beside its view: `specs` makes the documents of it, tests hold both to it.

No behaviour lives here. A view without a description is found by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from flask import Flask
from werkzeug.routing import Rule

from ...protocol import limits
from ..http import site

View = TypeVar("View", bound=Callable[..., Any])

#: Every call may meet these: a `Host` that is not ours, a server that is for accounts, a token that is not for this,
#: and our own faults.
ALWAYS = ("parameter-invalid", "unauthenticated", "scope-missing", "internal")
#: Problems that any write may meet. Nothing is stored then, but after `outcome-unknown` it is not known.
WRITES = ("origin-refused", "draining", "overloaded", "outcome-unknown", "storage-full")
BODIES = ("malformed-json", "unsupported-media-type", "too-large", "invalid")
CURSORS = ("cursor-invalid", "cursor-expired", "cursor-ahead", "history-changed")

#: Problems that a change of one's own message may meet.
OWN_MESSAGE = (
    "room-unknown", "message-unknown", "not-found", "forbidden", "conflict", "client-id-reused", "rate-limited",
)  # fmt: skip

_WHOLE: dict[str, Any] = {"type": "integer", "minimum": 1}
_CURSOR = {"type": "string", "pattern": r"^((0|[1-9][0-9]{0,15})(\.[0-9a-f]{16})?|now)$"}

#: Query parameters, which mean the same wherever they are taken: schema and meaning.
QUERY: dict[str, tuple[dict[str, Any], str]] = {
    "limit": (_WHOLE, "How many at most; above the maximum it is cut."),
    "before": (_WHOLE, "Only those with ids below it."),
    "after": (_CURSOR, "A cursor, a bare seq, `0` for the oldest event kept, or `now`, which is the default."),
    "wait": ({"type": "number", "minimum": 0, "maximum": int(limits.LONGEST_WAIT)},
             "Seconds to hold the request until there is an event."),
    "heartbeat": ({"type": "number", "minimum": 1, "maximum": int(limits.HEARTBEAT)},
                  "Seconds between two heartbeats of a stream."),
    "user": ({"type": "string"}, "With a body that is plain text: how the sender signs."),
    "q": ({"type": "string", "maxLength": 100}, "Words that quote or author must have."),
    "name_part": ({"type": "string", "maxLength": 100}, "A part of the name of an account."),
    "asked": ({"type": "string", "maxLength": 200}, "Words, “phrases”, -negations, and operators such as `in:ROOM`."),
    "before_hit": ({"type": "string"}, "That of the page before."),
    "order": ({"enum": ["newest", "best"]}, "`best` only with `in:` or a date."),
    "state": ({"enum": ["open", "done", "dismissed"]}, "Only those of this state; `open` if it is left out."),
    "before_account": ({"type": "string"}, "Only accounts that are older than the one with this id."),
    "before_mention": ({"type": "string"}, "Only mentions that are older than that in the message ROOM:ID."),
    "room": ({"type": "string"}, "A first subscription."),
    "present_in": ({"type": "string"}, "The room whose members are asked for."),
    "joined": ({"enum": ["0", "1"]}, "With `1`, only rooms of which the caller is a member."),
    "files": ({"enum": ["0", "1"]}, "With `1`, a tar archive with the contents of one's files."),
    "file_name": ({"type": "string"}, "The file's name."),
    "rooms": ({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": limits.MOST_ROOMS},
              "ROOM:CURSOR, once for each of 1 to 50 rooms."),
}  # fmt: skip
#: Parts of a path.
PATH: dict[str, tuple[dict[str, Any], str]] = {
    "room": ({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "examples": ["lobby"]}, "The room's name."),
    "message_id": ({"type": "integer", "minimum": 1, "maximum": 2**53 - 1, "examples": [1]}, "The message's id."),
    "scheduled_id": ({"type": "integer", "minimum": 1, "maximum": 2**53 - 1, "examples": [1]}, "As listed."),
    "account_id": ({"type": "string", "pattern": "^[a-z2-7]{12}$", "examples": ["k3v9aaaabbbb"]}, "The account's id."),
    "session_id": ({"type": "string", "minLength": 8, "maxLength": 8, "examples": ["k3v9aaaa"]}, "As listed."),
    "token_id": ({"type": "string", "examples": ["this"]}, "As listed."),
    "report_id": ({"type": "integer", "minimum": 1, "maximum": 2**53 - 1, "examples": [1]}, "As listed."),
    "notice_id": ({"type": "integer", "minimum": 1, "maximum": 2**53 - 1, "examples": [1]}, "As the inbox has it."),
    "address": ({"type": "string", "examples": ["203.0.113.7"]},
                "An IPv4 address, one of an IPv6 /64, or `ROOM:ID` of a visitor's message."),
    "cursor_name": ({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "examples": ["grader"]},
                    "As rooms' names."),
    "file_id": ({"type": "string", "pattern": "^[a-z2-7]{20}$", "examples": ["k3v9aaaabbbbccccdddd"]},
                "The file's id."),
    "secret": ({"type": "string"}, "The secret of a hook."),
    "webhook_id": ({"type": "string", "pattern": "^[a-z2-7]{8}$", "examples": ["k3v9aaaa"]}, "As listed."),
    "ticket_id": ({"type": "string", "examples": ["k3v9aaaa"]}, "As listed."),
    "quote_id": ({"type": "integer", "minimum": 1, "maximum": 2**53 - 1, "examples": [1]}, "The quote's id."),
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A request that works if message 1, quote 1 and scheduled message 1 are the caller's own."""

    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Call:
    """One method of one path.

    `answers` has a type for each status; `media` names the types of the body, if it is not JSON alone.
    With `optional_body` a request without a body is as one with `{}`.
    `binary` is the type of a request's body that is plain bytes.
    `limit` is the bucket that it takes from; with `conditional` it has a tag and answers 304; with `ranges` also
    416.
    `identity` is True if a token changes anything; `needed` means 401 without one.
    """

    answers: Mapping[int, Any]
    problems: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    body: Any = None
    optional_body: bool = False
    text_body: bool = False
    binary: str | None = None
    media: tuple[str, ...] = ("application/json",)
    writes: bool = False
    limit: str | None = None
    conditional: bool = False
    ranges: bool = False
    identity: Literal["none", "optional", "needed"] = "none"
    examples: tuple[Example, ...] = ()

    def all_problems(self) -> list[str]:
        """Return every code that it may answer with."""
        found = dict.fromkeys(ALWAYS + self.problems)
        if self.writes:
            found |= dict.fromkeys(WRITES)
        if self.body is not None:
            found |= dict.fromkeys(BODIES)
        if self.identity != "none":
            found["unauthenticated"] = None
        return list(found)


def described(**about: Any) -> Callable[[View], View]:
    """Attach a `Call` to a view; under the route's decorator."""
    call = Call(**about)

    def attach(view: View) -> View:
        view.call = call  # type: ignore[attr-defined]  # `calls` reads it
        return view

    return attach


#: Commands in their shortest useful form, by name; each works if the ids of `Example` are there.
COMMANDS: dict[str, dict[str, Any]] = {
    "send-message": {"client_id": "k1", "message": {"user": "Azin", "message": "Hello!"}},
    "edit-message": {"message": {"id": 1, "message": "Hello, all!"}},
    "delete-message": {"message": {"id": 1}},
    "react": {"message": {"id": 1, "reaction": "like"}},
    "cancel-scheduled": {"scheduled": {"id": 1}},
    "add-quote": {"quote": {"quote": "Less is more.", "author": "Mies"}},
    "remove-quote": {"quote": {"id": 1}},
    "set-room": {"room": "tea", "about": {"topic": "Green or black", "slow": 10}},
    "add-member": {"room": "tea", "member": {"name": "Bo"}},
    "set-member": {"room": "tea", "member": {"id": "k3vaaaaabbbb", "role": "manager"}},
    "remove-member": {"room": "tea", "member": {"id": "k3vaaaaabbbb"}},
    "join": {"room": "tea"},
    "report-message": {"room": "tea", "message": {"id": 1}, "reason": "Spam"},
    "mark-read": {"room": "tea", "read": {"id": 1}},
    "set-level": {"room": "tea", "level": "nothing"},
    "subscribe": {"room": "lobby", "after": "0"},
    "unsubscribe": {"room": "lobby"},
    "typing": {"room": "lobby", "user": "Azin"},
    "ping": {"client_id": "k2", "measure": True},
}


#: Commands whose examples work for an account that manages the room, and for nobody else.
FOR_MANAGERS = frozenset({
    "set-room", "add-member", "set-member", "remove-member", "join", "mark-read", "set-level",
    "report-message",
})  # fmt: skip


def envelope(name: str) -> dict[str, Any]:
    """Return the example of a command, whole."""
    return {"command": name, **COMMANDS[name]}


#: Blueprints that answer people.
_PAGES = (
    "static", "pages", "lessons", "account_pages", "own_pages", "people_pages", "inbox_page", "moderation_pages",
    "search_page", "reference", "room_pages", "about_page", "webhook_pages",
    "robots", "unknown",
)  # fmt: skip


def calls(app: Flask) -> Iterator[tuple[Rule, str, Call | None, str]]:
    """Rule, method, description and the view's docstring, of all that is not a page."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda each: each.rule):
        ours, _, name = rule.endpoint.partition(".")
        # Routes of an application around us are not ours to describe.
        if ours != site.NAME or name.partition(".")[0] in _PAGES:
            continue
        view = app.view_functions[rule.endpoint]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method, getattr(view, "call", None), view.__doc__ or ""

"""What each call and each command needs, and so what each caller is answered: the expectation of the matrix.

The rights themselves are those of `protocol.rights.permissions` and of `scopes`; here stands only which of them a call
asks for. A described call without a row is an error of the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rights_world import DIRECT, LOG, OPEN, Caller, World

from quotechat.protocol.rights import permissions as p
from quotechat.protocol.rights.permissions import allows, allows_on_server
from quotechat.store.administration.site import DEFAULTS

ANYBODY, VISITOR, IDENTITY, ACCOUNT, PERSON, PROVED = "anybody", "visitor", "identity", "account", "person", "proved"
"""What a call needs of its caller: nothing at all; what the setting `access` asks for; besides an identity; an
account; a session; a session whose password was given lately."""
KEEP, MEMBER, REPORT = "keep", "member", "report"
"""Rights that are in no table: of the keeper of a bot, of members of a room, and of those who look at reports."""


class Row(NamedTuple):
    """What one call needs, and a request that works if that is given."""

    needs: str
    right: str | None = None
    """An action of `protocol.rights.permissions`, in the room of the call or on the whole server."""
    body: Any = None
    query: str = ""
    ok: str = "ok"
    """What is answered to those who may: a problem's code if the request means nothing, such as a wrong password."""
    headers: Mapping[str, str] = {}


FILE = {"Content-Type": "application/octet-stream"}
ELSEWHERE = " manage"
"""What a token for some rooms lacks for a call that is about none of them, whatever its scopes are."""
PART = {"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "?1"}

ROWS: dict[str, Row] = {
    # --- For everybody ------------------------------------------------------------------------------------
    "GET /healthz": Row(ANYBODY),
    "GET /readyz": Row(ANYBODY),
    "GET /metrics": Row(ANYBODY),
    "GET /openapi.json": Row(ANYBODY),
    "GET /asyncapi.json": Row(ANYBODY),
    "GET /api/v1/seen": Row(ANYBODY),
    "POST /api/v1/sessions": Row(ANYBODY, body={"name": "{new}", "password": "wrong"}, ok="sign-in-failed"),
    "POST /api/v1/setup": Row(ANYBODY, body={"code": "a", "name": "Eve", "password": "wrong"}, ok="link-unknown"),
    "POST /api/v1/joins": Row(ANYBODY, body={"code": "a", "name": "Eve", "password": "wrong"}, ok="link-unknown"),
    "POST /api/v1/resets": Row(ANYBODY, body={"code": "a", "password": "wrong"}, ok="link-unknown"),
    "POST /api/v1/devices/use": Row(ANYBODY, body={"code": "a"}, ok="link-unknown"),
    "POST /hooks/{token_id}": Row(ANYBODY, body={"text": "hi"}, ok="token-unknown"),
    "POST /hooks/{token_id}/{secret}": Row(ANYBODY, body={"text": "hi"}),
    # --- One's own ----------------------------------------------------------------------------------------
    "GET /api/v1/me": Row(VISITOR),
    "PATCH /api/v1/me": Row(ACCOUNT, body={"settings": {"notify": "on"}}),
    "DELETE /api/v1/me": Row(PROVED, body={"messages": KEEP}),
    "GET /api/v1/me/blocks": Row(ACCOUNT),
    "PUT /api/v1/me/blocks/{account_id}": Row(ACCOUNT),
    "DELETE /api/v1/me/blocks/{account_id}": Row(ACCOUNT),
    "POST /api/v1/me/claims": Row(ACCOUNT, body={}, ok="invalid"),
    "GET /api/v1/me/export": Row(ACCOUNT),
    "DELETE /api/v1/me/notices/{notice_id}": Row(ACCOUNT),
    "PUT /api/v1/me/password": Row(PROVED, body={"password": "a quite different horse 7"}),
    "GET /api/v1/me/scheduled": Row(ACCOUNT),
    "GET /api/v1/sessions": Row(PERSON),
    "DELETE /api/v1/sessions": Row(PROVED),
    "DELETE /api/v1/sessions/{session_id}": Row(PERSON),
    "DELETE /api/v1/sessions/this": Row(PERSON),
    "POST /api/v1/sessions/proof": Row(PERSON, body={"password": "wrong"}, ok="sign-in-failed"),
    "GET /api/v1/tokens": Row(PERSON),
    "POST /api/v1/tokens": Row(PROVED, body={"name": "laptop"}),
    "DELETE /api/v1/tokens/{token_id}": Row(PERSON, ok="token-unknown"),
    "DELETE /api/v1/tokens/this": Row(ACCOUNT),
    "POST /api/v1/devices": Row(PROVED),
    "GET /api/v1/inbox": Row(ACCOUNT),
    "GET /api/v1/mentions": Row(ACCOUNT),
    "GET /api/v1/cursors": Row(ACCOUNT),
    "PUT /api/v1/cursors/{cursor_name}": Row(ACCOUNT, body={"rooms": "all"}),
    "GET /api/v1/cursors/{cursor_name}": Row(ACCOUNT),
    "DELETE /api/v1/cursors/{cursor_name}": Row(ACCOUNT),
    "GET /api/v1/cursors/{cursor_name}/events": Row(ACCOUNT),
    "PUT /api/v1/cursors/{cursor_name}/position": Row(ACCOUNT, body={"rooms": {}}, ok="invalid"),
    # --- The whole server ---------------------------------------------------------------------------------
    "GET /api/v1/accounts": Row(ACCOUNT),
    "POST /api/v1/accounts": Row(ACCOUNT, p.ADMINISTER, {"name": "New", "role": "member"}),
    "GET /api/v1/accounts/{account_id}": Row(ACCOUNT),
    "PATCH /api/v1/accounts/{account_id}": Row(ACCOUNT, p.ADMINISTER, {"name": "Victor"}),
    "PUT /api/v1/accounts/{account_id}/ban": Row(ACCOUNT, p.ADMINISTER, {"messages": KEEP}),
    "DELETE /api/v1/accounts/{account_id}/ban": Row(ACCOUNT, p.ADMINISTER),
    "POST /api/v1/accounts/{account_id}/reset": Row(PROVED, p.ADMINISTER),
    "DELETE /api/v1/accounts/{account_id}/sessions": Row(PERSON, p.ADMINISTER),
    "GET /api/v1/bars": Row(ACCOUNT, p.ADMINISTER),
    "PUT /api/v1/bars/{address}": Row(ACCOUNT, p.ADMINISTER, {"reason": "spam"}),
    "DELETE /api/v1/bars/{address}": Row(ACCOUNT, p.ADMINISTER),
    "GET /api/v1/bots": Row(ACCOUNT),
    "POST /api/v1/bots": Row(ACCOUNT, p.CREATE_BOT, {"name": "Newbot"}),
    "PATCH /api/v1/bots/{account_id}": Row(ACCOUNT, KEEP, {"keeper": "{keeper}"}),
    "DELETE /api/v1/bots/{account_id}": Row(ACCOUNT, KEEP),
    "GET /api/v1/bots/{account_id}/tokens": Row(PERSON, KEEP),
    "POST /api/v1/bots/{account_id}/tokens": Row(PROVED, KEEP, {"name": "laptop"}),
    "DELETE /api/v1/bots/{account_id}/tokens/{token_id}": Row(PROVED, KEEP),
    "GET /api/v1/invitations": Row(ACCOUNT, p.INVITE),
    "POST /api/v1/invitations": Row(ACCOUNT, p.INVITE, {}),
    "DELETE /api/v1/invitations/{ticket_id}": Row(ACCOUNT, p.INVITE),
    "GET /api/v1/reports": Row(ACCOUNT),
    "GET /api/v1/site": Row(ACCOUNT, p.ADMINISTER),
    "PATCH /api/v1/site": Row(ACCOUNT, p.ADMINISTER, {"title": "Chat"}),
    "GET /api/v1/webhooks": Row(ACCOUNT, p.ADMINISTER),
    "POST /api/v1/webhooks": Row(
        ACCOUNT, p.ADMINISTER, {"name": "more", "url": "https://example.org/a", "account": "{bot}"}
    ),
    "GET /api/v1/webhooks/{webhook_id}": Row(ACCOUNT, p.ADMINISTER),
    "PATCH /api/v1/webhooks/{webhook_id}": Row(ACCOUNT, p.ADMINISTER, {"name": "less"}),
    "DELETE /api/v1/webhooks/{webhook_id}": Row(ACCOUNT, p.ADMINISTER),
    "POST /api/v1/webhooks/{webhook_id}/enable": Row(ACCOUNT, p.ADMINISTER),
    "POST /api/v1/webhooks/{webhook_id}/replay": Row(
        ACCOUNT, p.ADMINISTER, {"room": "plaza", "after": "now"}
    ),
    "POST /api/v1/webhooks/{webhook_id}/secret": Row(ACCOUNT, p.ADMINISTER),
    "POST /api/v1/directs": Row(ACCOUNT, p.BEGIN_DIRECT, {"members": []}),
    "POST /api/v1/guests": Row(VISITOR, body={"user": "Bo"}),
    "GET /api/v1/quotes": Row(VISITOR),
    "GET /api/v1/quotes/{quote_id}": Row(VISITOR),
    "GET /api/v1/quotes/random": Row(VISITOR),
    "DELETE /api/v1/quotes/{quote_id}": Row(IDENTITY),
    "GET /api/v1/rooms": Row(VISITOR),
    "POST /api/v1/rooms": Row(VISITOR, p.CREATE_ROOM, {"name": "{new}"}),
    "GET /api/v1/search": Row(VISITOR, query="q=hello"),
    # --- Rooms --------------------------------------------------------------------------------------------
    "GET /api/v1/rooms/{room}": Row(VISITOR, p.READ),
    "PATCH /api/v1/rooms/{room}": Row(ACCOUNT, p.MANAGE, {"topic": "Green"}),
    "GET /api/v1/rooms/{room}/events": Row(VISITOR, p.READ, query="after=0"),
    "POST /api/v1/rooms/{room}/files": Row(IDENTITY, p.WRITE, query="name=a.txt", headers=FILE),
    "GET /api/v1/rooms/{room}/hooks": Row(ACCOUNT, p.MANAGE),
    "POST /api/v1/rooms/{room}/hooks": Row(ACCOUNT, p.MANAGE, {"name": "Deploys"}),
    "DELETE /api/v1/rooms/{room}/hooks/{token_id}": Row(ACCOUNT, p.MANAGE),
    "PUT /api/v1/rooms/{room}/level": Row(ACCOUNT, MEMBER, {"level": "everything"}),
    "GET /api/v1/rooms/{room}/members": Row(ACCOUNT, p.LIST_MEMBERS),
    "PUT /api/v1/rooms/{room}/members/{account_id}": Row(ACCOUNT, p.MANAGE, {"role": "manager"}),
    "DELETE /api/v1/rooms/{room}/members/{account_id}": Row(ACCOUNT, p.MANAGE),
    "PUT /api/v1/rooms/{room}/members/me": Row(ACCOUNT, p.READ),
    "DELETE /api/v1/rooms/{room}/members/me": Row(ACCOUNT, p.READ),
    "GET /api/v1/rooms/{room}/messages": Row(VISITOR, p.READ),
    "POST /api/v1/rooms/{room}/messages": Row(VISITOR, p.WRITE, {"user": "{name}", "message": "hi"}),
    "PATCH /api/v1/rooms/{room}/messages/{message_id}": Row(IDENTITY, p.CHANGE_OWN, {"message": "hello"}),
    "DELETE /api/v1/rooms/{room}/messages/{message_id}": Row(IDENTITY, p.READ),
    "PUT /api/v1/rooms/{room}/messages/{message_id}/reaction": Row(IDENTITY, p.CHANGE_OWN, {"reaction": "like"}),
    "DELETE /api/v1/rooms/{room}/messages/{message_id}/reaction": Row(IDENTITY, p.CHANGE_OWN),
    "PUT /api/v1/rooms/{room}/read": Row(ACCOUNT, p.READ, {"id": 1}),
    "GET /api/v1/rooms/{room}/scheduled": Row(IDENTITY, p.READ),
    "DELETE /api/v1/rooms/{room}/scheduled/{scheduled_id}": Row(IDENTITY, p.READ),
    # --- A room that stands elsewhere than in the path ----------------------------------------------------
    "GET /api/v1/events": Row(VISITOR, p.READ, query="after={room}:0"),
    "GET /api/v1/ws": Row(VISITOR, ok="parameter-invalid"),
    "GET /api/v1/presence": Row(ACCOUNT, p.LIST_MEMBERS, query="room={room}"),
    "POST /api/v1/quotes": Row(VISITOR, p.WRITE, {"quote": "Less", "author": "Mies", "room": "{room}"}),
    "GET /api/v1/files/{file_id}": Row(VISITOR, p.READ),
    "GET /api/v1/files/{file_id}/thumb": Row(VISITOR, p.READ),
    "PATCH /api/v1/files/{file_id}": Row(IDENTITY, p.READ, headers=PART),
    "DELETE /api/v1/files/{file_id}": Row(IDENTITY, p.READ),
    "PATCH /api/v1/reports/{report_id}": Row(ACCOUNT, REPORT, {"state": "done"}),
}
LEFT_OUT = {
    "POST /api/v1/rooms/{room}/commands": "each command is a cell of its own",
    "POST /api/v1/webhooks/{webhook_id}/test": "it calls another server",
}

COMMANDS: dict[str, Row] = {
    "send-message": Row(VISITOR, p.WRITE, {"message": {"user": "{name}", "message": "hi"}}),
    "edit-message": Row(IDENTITY, p.CHANGE_OWN, {"message": {"id": "{message}", "message": "hello"}}),
    "delete-message": Row(IDENTITY, p.READ, {"message": {"id": "{message}"}}),
    "react": Row(IDENTITY, p.CHANGE_OWN, {"message": {"id": "{message}", "reaction": "like"}}),
    "cancel-scheduled": Row(IDENTITY, p.READ, {"scheduled": {"id": "{scheduled}"}}),
    "add-quote": Row(VISITOR, p.WRITE, {"quote": {"quote": "Less is more.", "author": "Mies"}}),
    "remove-quote": Row(IDENTITY, p.READ, {"quote": {"id": "{quote}"}}),
    "set-room": Row(ACCOUNT, p.MANAGE, {"about": {"topic": "Green"}}),
    "add-member": Row(ACCOUNT, p.MANAGE, {"member": {"id": "{new member}"}}),
    "set-member": Row(ACCOUNT, p.MANAGE, {"member": {"id": "{victim}", "role": "manager"}}),
    "remove-member": Row(ACCOUNT, p.MANAGE, {"member": {"id": "{victim}"}}),
    "join": Row(ACCOUNT, p.READ, {}),
    "report-message": Row(ACCOUNT, p.READ, {"message": {"id": "{other}"}, "reason": "Spam"}),
    "mark-read": Row(ACCOUNT, p.READ, {"read": {"id": 1}}),
    "set-level": Row(ACCOUNT, MEMBER, {"level": "nothing"}),
    "subscribe": Row(VISITOR, p.READ, {"after": "0"}),
    "unsubscribe": Row(VISITOR, None, {}),
    "typing": Row(VISITOR, p.WRITE, {"user": "{name}"}),
    "ping": Row(VISITOR, None, {}),
}
"""The room is added to each; {…} stands for what the world has."""
WITHOUT_ROOM = frozenset({"unsubscribe", "ping"})
"""Commands that anybody on a socket may send, whatever the room is."""
ON_A_SOCKET = frozenset({"subscribe", "unsubscribe", "typing", "ping"})
"""Commands that belong on a WebSocket."""


def expected(
    world: World, caller: Caller, row: Row, *, scopes: tuple[str, ...], kind: str | None, own: bool = True,
    writes: bool = False, of_rooms: bool = True,
) -> set[str]:  # fmt: skip
    """Return what `caller` may be answered: ``ok``, or codes of problems, with the field for a scope.

    `of_rooms` is False for a call that a token for some rooms may not make at all. Of several reasons to refuse, the
    caller may be told any, but who it is comes first.
    """
    if row.needs == ANYBODY:
        return {row.ok}
    if caller.refused or (world.access != "open" and caller.principal.account is None):
        return {"unauthenticated"}
    scopes = scopes if caller.in_rooms or of_rooms else (*scopes, ELSEWHERE)
    reasons = {
        f"scope-missing {each.strip()}" for each in scopes if caller.scopes is not None and each not in caller.scopes
    }
    if _is_unknown(caller, row.needs):
        reasons.add("unauthenticated")
    if kind is not None and row.right != REPORT and not _sees(caller, kind):
        reasons.add("room-unknown")
    return reasons or _by_right(caller, row, kind, own, writes)


def _sees(caller: Caller, kind: str) -> bool:
    return caller.in_rooms and allows(caller.principal._replace(role=caller.role), p.READ, kind, caller.in_room(kind))


def _is_unknown(caller: Caller, needs: str) -> bool:
    if needs == IDENTITY:
        return caller.principal.identity is None
    return needs != VISITOR and caller.principal.account is None


def _by_right(caller: Caller, row: Row, kind: str | None, own: bool, writes: bool) -> set[str]:
    lacks = row.right is not None and not _may(caller, row.right, kind, writes)
    if row.needs == PROVED and not caller.proved:
        # Neither tells more than the other.
        return {"proof-needed", "forbidden"} if lacks else {"proof-needed"}
    return {row.ok} if own and not lacks else {"forbidden"}


def _may(caller: Caller, right: str, kind: str | None, writes: bool) -> bool:
    principal = caller.principal._replace(role=caller.role)
    if right == KEEP:
        return principal.is_admin or caller.keeps
    if kind is None:
        return allows_on_server(principal, right, DEFAULTS)
    membership = caller.in_room(kind)
    if kind == LOG and writes:
        return False
    if right == REPORT:
        return membership == "manager" or (principal.is_admin and kind in (OPEN, DIRECT))
    return membership is not None if right == MEMBER else allows(principal, right, kind, membership)

"""Hooks: addresses to which other systems post, each for one room.

A hook is a bot with one token, which may write in that room and nothing else. So revoking it, hashing its secret and
the bans of its keeper are those of bots and tokens. Its id is that of the token.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import NamedTuple

from ...protocol.commands import AddMember, NewMember
from ...protocol.errors import Conflict, Forbidden, Invalid, Refused, RoomUnknown, TokenUnknown
from ...protocol.rights.permissions import MANAGE, allows
from ...protocol.rights.principal import Principal
from ...protocol.rooms import is_private
from ...store import members
from ...store.accounts import accounts, callers, closing, sessions
from ...store.accounts.accounts import Account
from ...store.accounts.sessions import Token, hashed
from ...store.administration import audit
from ...store.shapes import Sql
from ..accounts.credentials import TOKEN_PREFIX, mint, principal_of
from ..chat import Chat

MOST = 20
"""Hooks of one room."""
MOST_MESSAGES = 5
"""The most messages into which one post is split."""


class Hook(NamedTuple):
    """A hook's bot and its token."""

    account: Account
    token: Token

    @property
    def room(self) -> str:
        """The one room in which it writes."""
        return self.token.rooms or ""


class Hooks:
    """The hooks of all rooms; `access_changed` is called after one has ended."""

    def __init__(self, chat: Chat, access_changed: Callable[[], None] = lambda: None) -> None:
        self._chat = chat
        self._access_changed = access_changed

    def listed(self, by: Principal, room: str) -> list[Hook]:
        """Return the hooks of a room, the newest first. Raises RoomUnknown, Forbidden."""
        self._managed(by, room)
        return self._chat.read_with(lambda sql: _of_room(sql, room))

    def make(
        self, by: Principal, room: str, name: str, *, address: str = "", proof: bytes | None = None
    ) -> tuple[Hook, str]:
        """Make a hook, and its secret, which is not kept. In a closed room it becomes a member that all see.

        Raises RoomUnknown, Forbidden, Invalid and Conflict for the name, Conflict if the room has too many.
        """
        kind = self._managed(by, room)

        def work(sql: Sql) -> tuple[Hook, str]:
            sql.alone("account")  # before the maker is read: another request may be ending it with its bots
            now = self._chat.now()
            _check_manager(sql, callers.present(sql, by, now), room)
            return make_hook(sql, by, room, name, now)

        hook, secret = self._chat.write_with(work)
        if is_private(kind):
            self._add_member(by, hook, room, address, proof)
        return hook, secret

    def remove(self, by: Principal, room: str, hook_id: str) -> None:
        """Revoke a hook. Raises RoomUnknown, Forbidden, TokenUnknown."""
        self._managed(by, room)

        def work(sql: Sql) -> None:
            now = self._chat.now()
            _check_manager(sql, callers.present(sql, by, now), room)
            for hook in _of_room(sql, room):
                if hook.token.id == hook_id:
                    key = hook.account.key
                    closing.close(sql, hook.account, now)
                    return audit.tell(sql, now, "token-revoked", by=by, account=key, room=room, detail=hook_id)
            raise TokenUnknown("There is no such hook.")

        self._chat.write_with(work)
        self._access_changed()

    def open(self, hook_id: str, secret: str) -> tuple[Principal, str]:
        """Return the principal of a hook and its room. Raises TokenUnknown, also for a wrong secret."""
        found = self._chat.read_with(lambda sql: sessions.find_token(sql, hook_id))
        wrong = found is None or not hmac.compare_digest(found[0].hash, hashed(secret))
        if found is None or wrong or found[1].settings != accounts.HOOK or not found[1].is_active(self._chat.now()):
            raise TokenUnknown("There is no such hook, or it was revoked.")
        token, account = found
        return principal_of(account, token.hash, token.ends_at), token.rooms or ""

    # --- Inside -------------------------------------------------------------------------------------

    def _managed(self, by: Principal, room: str) -> str:
        """Return the kind of a room that `by` manages. Raises RoomUnknown, Forbidden."""
        self._chat.open(by, room)
        return self._chat.read_with(lambda sql: _check_manager(sql, by, room))

    def _add_member(self, by: Principal, hook: Hook, room: str, address: str, proof: bytes | None) -> None:
        command = AddMember(room=room, member=NewMember(id=hook.account.key))
        try:
            self._chat.submit(command, identity=by.identity, address=address, proof=proof)
        except Refused:
            self._chat.write_with(lambda sql: closing.close(sql, hook.account, self._chat.now()))
            raise


def _check_manager(sql: Sql, by: Principal | None, room: str) -> str:
    """Return the kind of `room`. Raises RoomUnknown, and Forbidden if `by` does not manage it."""
    found = members.membership(sql, room, None if by is None else by.account)
    if found is None:
        raise RoomUnknown(room)
    if by is None or not allows(by, MANAGE, found.kind, found.role):
        raise Forbidden("Only managers of this room may do this.")
    return found.kind


def make_hook(sql: Sql, by: Principal | None, room: str, name: str, now: int) -> tuple[Hook, str]:
    """Make the bot of a hook and its token; `by` None stands for the operator.

    Raises RoomUnknown, Invalid, Conflict.
    """
    sql.alone("account")
    if members.membership(sql, room, None) is None:
        raise RoomUnknown(room)
    if len(_of_room(sql, room)) >= MOST:
        raise Conflict(f"A room has at most {MOST} hooks.")
    keeper = None if by is None else by.account
    bot = accounts.make(sql, name, "bot", now, made_by=keeper, keeper=keeper)
    sql.run("UPDATE account SET settings = ? WHERE id = ?", accounts.HOOK, bot.id)
    token, text = mint(bot.id, "hook", now, ("write",), (room,))
    sessions.add_token(sql, token)
    audit.tell(sql, now, "hook-made", by=by, account=bot.key, room=room)
    return Hook(bot, token), text.removeprefix(f"{TOKEN_PREFIX}{token.id}_")


def _of_room(sql: Sql, room: str) -> list[Hook]:
    """Return the hooks of a room, the newest first."""
    return [Hook(account, token) for token, account in sessions.hooks_of(sql, room)]


def split(text: str, most: int) -> list[str]:
    """Split `text` at its lines into messages of at most `most` characters. Raises Invalid if that cannot be done."""
    parts: list[str] = []
    for line in text.strip("\n").split("\n"):
        if parts and len(parts[-1]) + 1 + len(line) <= most:
            parts[-1] += f"\n{line}"
        else:
            parts.append(line)
    parts = [part for part in parts if part.strip()]
    if not parts:
        raise Invalid("text", "There is no text in it.")
    if len(parts) > MOST_MESSAGES or any(len(part) > most for part in parts):
        raise Invalid("text", f"The text is too long: {MOST_MESSAGES} messages of {most} characters, split at lines.")
    return parts

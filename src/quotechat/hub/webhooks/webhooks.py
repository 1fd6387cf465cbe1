"""Webhooks: which accounts may make them, for which bot, for which addresses. Sending is for `sender`.

`by` is the account that asks; None stands for the operator, with every right.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ... import outbound
from ...outbound import Failed, Unsafe
from ...protocol import names, webhooks
from ...protocol.cursor import NOW, Cursor, Now
from ...protocol.errors import Conflict, Forbidden, Invalid, RoomUnknown, WebhookUnknown
from ...protocol.events import MESSAGE_SENT, rfc3339
from ...protocol.rights.principal import Principal
from ...store import visibility
from ...store.accounts import accounts, callers
from ...store.accounts.accounts import Account
from ...store.administration import audit
from ...store.base import Transactions
from ...store.programs import subscribers
from ...store.programs import webhooks as rows
from ...store.programs.subscribers import Position
from ...store.programs.webhooks import Try, Webhook
from ...store.shapes import Sql
from ..accounts.credentials import principal_of
from ..held_polls import about
from .calls import ADMINS, OFF, Policy, call, maker_of

OLD_SECRET_MS = 86_400_000
"""Milliseconds for which a webhook signs with its previous secret too."""
NOT_ALLOWED = "not-allowed"
"""The reason of a webhook whose maker may not have any now."""
_RESOLVE_SECONDS = 5.0

Placed = Callable[[Principal, str, Cursor | Now], Cursor]
"""Returns the complete cursor of a position in a room, for a reader. Raises RoomUnknown, CursorAhead, and the like."""


class Wanted(NamedTuple):
    """The wanted fields of a webhook; in a change None leaves a field as it is. `rooms` is None for all."""

    name: str | None = None
    url: str | None = None
    rooms: Sequence[str] | None = None
    all_rooms: bool = False
    commands: Sequence[str] | None = None
    mentions: bool | None = None


class Shown(NamedTuple):
    """A webhook, its bot, and its position in each room that the bot may read now."""

    webhook: Webhook
    bot: Account
    maker: str | None
    positions: Mapping[str, Position]
    allowed: bool
    failing: tuple[int, int, int] | None

    @property
    def reason(self) -> str | None:
        """Return the reason for which nothing is sent; None if the webhook is enabled."""
        if self.webhook.state != rows.ON:
            return self.webhook.reason or "disabled"
        return None if self.allowed else NOT_ALLOWED


class Webhooks:
    """See above; `access_changed` is called after each change for which a sender waits."""

    def __init__(
        self, store: Transactions, placed: Placed, policy: Policy, clock: Callable[[], int],
        access_changed: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.policy = policy
        self._store = store
        self._placed = placed
        self._clock = clock
        self._access_changed = access_changed

    def listed(self, by: Principal | None) -> list[Shown]:
        """Return the webhooks that `by` may change, the newest first. Raises Forbidden."""
        self.check(by)
        keeper = None if by is None or by.is_admin else by.account
        return self._store.read_with(lambda sql: [self._shown(sql, each) for each in rows.listed(sql, keeper)])

    def one(self, by: Principal | None, key: str) -> Shown:
        """Return one webhook. Raises Forbidden, WebhookUnknown."""
        self.check(by)
        return self._store.read_with(lambda sql: self._shown(sql, self._changeable(sql, by, key)))

    def tries(self, by: Principal | None, key: str) -> list[tuple[Try, str | None]]:
        """Return its last calls, the newest first, each with the name of the room. Raises as `one`."""
        self.check(by)
        return self._store.read_with(lambda sql: rows.tries(sql, self._changeable(sql, by, key).id))

    def make(self, by: Principal | None, account: str, wanted: Wanted) -> tuple[Shown, str]:
        """Make a webhook of the bot with the id `account`, and its secret.

        It begins with the next event of each room. Raises Forbidden, AccountUnknown, Invalid, Conflict, RoomUnknown.
        """
        self.check(by)
        bot = self._store.read_with(lambda sql: self._bot(sql, by, account))
        name, url = self._clean_name(wanted.name), self._clean_url(by, wanted.url)
        starts, secret, now = self._starts(bot, wanted), _new_secret(), self._clock()

        def work(sql: Sql) -> Webhook:
            self._bot(sql, by, account)  # again: names of hosts have been looked up meanwhile
            maker = None if by is None else by.account
            made = rows.make(
                sql, name, bot.id, url, secret, now, made_by=maker, all_rooms=wanted.all_rooms,
                commands=_commands(wanted.commands), mentions=bool(wanted.mentions),
            )  # fmt: skip
            places = subscribers.as_joined(sql, bot.id, starts) if wanted.all_rooms else starts
            for room, cursor in places.items():
                subscribers.place(sql, made.subscriber, room, cursor)
            audit.tell(sql, now, "webhook-made", by=by, account=bot.key, detail=made.key)
            return made

        made = self._store.write_with(work)
        self._access_changed()
        return self.one(by, made.key), secret

    def change(self, by: Principal | None, key: str, wanted: Wanted) -> Shown:
        """Change the fields that `wanted` names. Raises as `make`, and WebhookUnknown."""
        found = self.one(by, key)
        name = None if wanted.name is None else self._clean_name(wanted.name)
        url = None if wanted.url is None else self._clean_url(by, wanted.url)
        follows = wanted.all_rooms or wanted.rooms is not None
        starts = self._starts(found.bot, wanted) if follows else {}

        def work(sql: Sql) -> None:
            sql.alone("subscriber")  # before the webhook is locked, as a new one is made
            webhook = self._held(sql, by, key)
            if name is not None:
                rows.rename(sql, webhook, name)
            if url is not None:
                rows.aim(sql, webhook, url, None if by is None else by.account)
                audit.tell(sql, self._clock(), "webhook-changed", by=by, account=found.bot.key, detail=key)
            commands = webhook.commands.split() if wanted.commands is None else _commands(wanted.commands)
            mentions = bool(webhook.mentions) if wanted.mentions is None else wanted.mentions
            rows.choose(sql, webhook, commands, mentions)
            if follows:
                self._follow(sql, webhook, starts, all_rooms=wanted.all_rooms)

        self._store.write_with(work)
        self._access_changed()
        return self.one(by, key)

    def remove(self, by: Principal | None, key: str) -> None:
        """Forget a webhook, with its positions. Raises Forbidden, WebhookUnknown."""
        self.check(by)

        def work(sql: Sql) -> None:
            webhook = self._held(sql, by, key)
            bot = accounts.by_id(sql, webhook.account)
            subscribers.remove(sql, webhook.subscriber)
            audit.tell(sql, self._clock(), "webhook-removed", by=by, account=bot.key, detail=key)

        self._store.write_with(work)

    def change_secret(self, by: Principal | None, key: str) -> tuple[Shown, str]:
        """Give it a new secret; for a day it signs with both. Raises Forbidden, WebhookUnknown."""
        self.check(by)
        secret = _new_secret()

        def work(sql: Sql) -> None:
            rows.change_secret(sql, self._held(sql, by, key), secret, self._clock() + OLD_SECRET_MS)

        self._store.write_with(work)
        return self.one(by, key), secret

    def enable(self, by: Principal | None, key: str) -> Shown:
        """Let it go on from its position, without waiting for the next try. Raises Forbidden, WebhookUnknown."""
        self.check(by)
        self._store.write_with(lambda sql: rows.enable(sql, self._held(sql, by, key)))
        self._access_changed()
        return self.one(by, key)

    def replay(self, by: Principal | None, key: str, room: str, after: Cursor | Now) -> Shown:
        """Send the events after `after` in `room`, again or for the first time.

        Raises Forbidden, WebhookUnknown, RoomUnknown for a room that it does not follow; CursorAhead, CursorExpired,
        HistoryChanged.
        """
        found = self.one(by, key)
        with about(room):
            if room not in found.positions:
                raise RoomUnknown(room)
            cursor = self._placed(_reader(found.bot), room, after)

        def work(sql: Sql) -> None:
            there = self._shown(sql, self._held(sql, by, key))
            with about(room):
                if room not in there.positions:  # it follows the room no more since it was looked at above
                    raise RoomUnknown(room)
            subscribers.move(sql, there.webhook.subscriber, there.positions[room], cursor)

        self._store.write_with(work)
        self._access_changed()
        return self.one(by, key)

    def test(self, by: Principal | None, key: str) -> Try:
        """Call it once with an event of the type `webhook.test`, and return how that went.

        Raises Forbidden, WebhookUnknown, and Conflict if its maker may have none.
        """
        self.check(by)
        now = self._clock()

        def found(sql: Sql) -> tuple[Webhook, Principal | None]:
            webhook = self._changeable(sql, by, key)
            return webhook, maker_of(sql, webhook, now)

        webhook, maker = self._store.read_with(found)
        if not self.policy.allows(maker):
            raise Conflict("The account that made it may have no webhooks now.")
        content = webhooks.test_body(rfc3339(now))
        called = call(webhook, f"test_{secrets.token_hex(8)}", content, self.policy.networks_of(maker), now)
        made = Try(now, 0, 0, called.status, called.ms, called.error)

        def note(sql: Sql) -> None:
            subscribers.hold(sql, webhook.id)
            rows.note(sql, webhook.id, [made])

        self._store.write_with(note)
        return made

    # --- Inside -------------------------------------------------------------------------------------

    def check(self, by: Principal | None) -> None:
        if self.policy.makers == OFF:
            raise Forbidden("Webhooks are off here.")
        if not self.policy.allows(by):
            raise Forbidden("Only administrators have webhooks here." if self.policy.makers == ADMINS else
                            "Only members have webhooks.")  # fmt: skip

    def _changeable(self, sql: Sql, by: Principal | None, key: str) -> Webhook:
        """Return a webhook that `by` may change. Raises WebhookUnknown."""
        by, webhook = callers.present(sql, by, self._clock()), rows.find(sql, key)
        if by is not None and not by.is_admin and accounts.by_id(sql, webhook.account).keeper != by.account:
            raise WebhookUnknown()
        return webhook

    def _held(self, sql: Sql, by: Principal | None, key: str) -> Webhook:
        """As `_changeable`, locked until the commit: one that is removed meanwhile is not changed any more."""
        subscribers.hold(sql, self._changeable(sql, by, key).id)
        return self._changeable(sql, by, key)

    def _bot(self, sql: Sql, by: Principal | None, key: str) -> Account:
        """Return a bot for which `by` may make a webhook. Raises AccountUnknown, Invalid, Forbidden."""
        by, bot = callers.present(sql, by, self._clock()), accounts.by_key(sql, key)
        if bot.role != "bot" or bot.settings == accounts.HOOK or bot.state == "closed":
            raise Invalid("account", "A webhook is that of a bot.")
        if by is not None and not by.is_admin and bot.keeper != by.account:
            raise Forbidden("Only its keeper and administrators may do this.")
        return bot

    def _clean_name(self, name: str | None) -> str:
        return names.clean_name(name or "", "name", accounts.NAME_CHARS)

    def _clean_url(self, by: Principal | None, url: str | None) -> str:
        """Return `url`, if `by` may let it be called. Raises Invalid; a name that has no address now may get one."""
        try:
            target = outbound.parse(url or "")
            outbound.vet(target, self.policy.networks_of(by), _RESOLVE_SECONDS)
        except Unsafe as unsafe:
            raise Invalid("url", f"This address cannot be called: {unsafe}") from None
        except Failed:
            pass
        return url or ""

    def _starts(self, bot: Account, wanted: Wanted) -> dict[str, Cursor]:
        """Return its first position in each room that it is to follow. Raises RoomUnknown."""
        found: Sequence[str] = wanted.rooms or ()
        if wanted.all_rooms:
            found = self._store.read_with(lambda sql: subscribers.joined_rooms(sql, bot.id))
        starts = {}
        for room in found:
            with about(room):
                starts[room] = self._placed(_reader(bot), room, NOW)
        return starts

    def _follow(self, sql: Sql, webhook: Webhook, starts: Mapping[str, Cursor], *, all_rooms: bool) -> None:
        if webhook.subscriber.all_rooms:
            subscribers.hold_joins(sql, webhook.account)
        subscribers.follow_all(sql, webhook.subscriber, all_rooms)
        places = subscribers.as_joined(sql, webhook.account, starts) if all_rooms else starts
        there = subscribers.positions(sql, webhook.subscriber)
        subscribers.leave(sql, webhook.subscriber, {room: at for room, at in there.items() if room not in places})
        for room, cursor in places.items():
            if room not in there:
                subscribers.place(sql, webhook.subscriber, room, cursor)

    def _shown(self, sql: Sql, webhook: Webhook) -> Shown:
        bot = accounts.by_id(sql, webhook.account)
        there = subscribers.positions(sql, webhook.subscriber)
        readable = {room: place for room, place in there.items() if visibility.may_read(sql, room, _reader(bot))}
        maker = maker_of(sql, webhook, self._clock())
        allowed, failing = self.policy.allows(maker), rows.failing(sql, webhook.id)
        return Shown(webhook, bot, None if maker is None else maker.id, readable, allowed, failing)


def _reader(bot: Account) -> Principal:
    return principal_of(bot, None, None)


def _commands(wanted: Sequence[str] | None) -> list[str]:
    """Return the events that it is for. Raises Invalid."""
    if wanted is None:
        return [MESSAGE_SENT]
    if not wanted or any(each not in webhooks.COMMANDS for each in wanted):
        raise Invalid("commands", f"commands are some of {', '.join(webhooks.COMMANDS)}.")
    return [each for each in webhooks.COMMANDS if each in wanted]


def _new_secret() -> str:
    return webhooks.secret_of(secrets.token_bytes(webhooks.SECRET_BYTES))

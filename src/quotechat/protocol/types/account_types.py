"""The server's answers about accounts, and the bodies that it takes for them, as types; see `wire`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..limits import MOST_ROOMS
from .wire import At, HasMore

Id = Annotated[str, Meta(pattern=r"\A[a-z2-7]{12}\Z", description="The public id of an account.")]
ShortId = Annotated[str, Meta(pattern=r"\A[a-z2-7]{8}\Z")]
Role = Literal["owner", "admin", "member", "guest", "bot"]
Link = Annotated[str, Meta(description="Shown once. The code stands behind the #, so no log and no proxy sees it.")]
Code = Annotated[str, Meta(description="The part of a link behind the #.")]
Name = Annotated[str, Meta(description="The name of an account: 1 to 40 characters, and nobody else's.")]
Password = Annotated[str, Meta(description="At least 10 characters, hard to guess.")]
Span = Annotated[str, Meta(description="Such as +7d or +1h, or an RFC 3339 time.", examples=["+7d"])]
Scope = Literal["read", "write", "manage"]


class Account(msgspec.Struct, kw_only=True):
    """An account. Whom it is about and administrators see more of it."""

    id: Id
    name: str
    role: Role
    at: At
    bot: bool | UnsetType = UNSET
    keeper: Id | UnsetType = UNSET
    state: Literal["banned", "closed"] | UnsetType = UNSET
    until: At | UnsetType = UNSET
    seen_at: At | UnsetType = UNSET
    made_by: Id | UnsetType = UNSET
    password: bool | UnsetType = UNSET


class Accounts(msgspec.Struct):
    """Accounts, the newest first."""

    accounts: list[Account]
    has_more: HasMore


class Session(msgspec.Struct, kw_only=True):
    """A browser or program that has signed in."""

    id: ShortId
    label: str
    at: At
    used_at: At
    expires_at: At
    agent: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    this: Annotated[bool, Meta(description="It is the one that asks.")] | UnsetType = UNSET


class Sessions(msgspec.Struct):
    """Sessions, the one used last first."""

    sessions: list[Session]


class SignedIn(msgspec.Struct):
    """A session has begun; its secret is in the cookie."""

    account: Account
    session: Session


class Proved(msgspec.Struct):
    """Until when the password counts as given."""

    proved_until: At


class SiteInfo(msgspec.Struct):
    """The site, as everybody sees it."""

    title: str
    contact: str | UnsetType = UNSET


class Me(msgspec.Struct, kw_only=True):
    """The caller's account."""

    access: Literal["open", "invite", "private"]
    site: SiteInfo
    scopes: list[Scope]
    account: Account | UnsetType = UNSET
    session: Session | UnsetType = UNSET
    proved_until: At | UnsetType = UNSET
    settings: dict[str, Any]


class Claimed(msgspec.Struct):
    """How many messages the account has taken over."""

    messages: Annotated[int, Meta(ge=0)]


class Invitation(msgspec.Struct, kw_only=True):
    """A link that makes accounts."""

    id: ShortId
    kind: Literal["join"]
    uses: Annotated[int, Meta(ge=1)]
    used: Annotated[int, Meta(ge=0)]
    expires_at: At
    role: Role | UnsetType = UNSET
    rooms: list[str] | UnsetType = UNSET
    by: Id | UnsetType = UNSET
    note: str | UnsetType = UNSET


class NewInvitation(Invitation, kw_only=True):
    """The same, with its link."""

    link: Link


class Invitations(msgspec.Struct):
    """Invitations that can be used."""

    invitations: list[Invitation]


class NewAccount(Account, kw_only=True):
    """A new account, and the link by which its owner chooses a password."""

    link: Link


class ResetLink(msgspec.Struct):
    """A link by which the owner of an account chooses a new password, once."""

    link: Link
    expires_at: At


class Token(msgspec.Struct, kw_only=True):
    """A token of a program."""

    id: ShortId
    name: str
    scopes: list[Scope]
    at: At
    rooms: list[str] | UnsetType = UNSET
    used_at: At | UnsetType = UNSET
    expires_at: At | UnsetType = UNSET


class NewToken(Token, kw_only=True):
    """The same, with its secret."""

    token: Annotated[str, Meta(description="Shown once. For `Authorization: Bearer …`.")]


class Tokens(msgspec.Struct):
    """Tokens, the newest first."""

    tokens: list[Token]


class Bots(msgspec.Struct):
    """Bots, the newest first."""

    bots: list[Account]


class NewBot(msgspec.Struct):
    """A new bot, and its first token."""

    account: Account
    token: Annotated[str, Meta(description="Shown once. For `Authorization: Bearer …`.")]


class Site(msgspec.Struct):
    """The site's settings, as administrators set them."""

    title: str
    contact: str
    rooms_by: Literal["all", "admins"]
    invites_by: Literal["all", "admins"]
    directs: Literal["all", "admins", "none"]
    bots_by: Literal["all", "admins"]


# --- Bodies of requests -----------------------------------------------------------------------------


class SignInBody(msgspec.Struct):
    """Name and password."""

    name: str
    password: str


class CodeBody(msgspec.Struct):
    """The code of a link, and the account that it makes."""

    code: Code
    name: Name
    password: Password


class ResetBody(msgspec.Struct):
    """The code of a link, and the new password."""

    code: Code
    password: Password


class DeviceBody(msgspec.Struct):
    """The code of a link that was made on another device."""

    code: Code


class Blocked(msgspec.Struct):
    """Accounts that the caller does not want to hear of."""

    blocked: list[Account]


class ProofBody(msgspec.Struct):
    """The password of the account that asks."""

    password: str


class PasswordBody(msgspec.Struct):
    """The new password; with `end_tokens` the account's tokens end too."""

    password: Password
    end_tokens: bool = False


class MeBody(msgspec.Struct):
    """Changes to the account; a name once a day."""

    name: Name | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET


class CloseBody(msgspec.Struct):
    """What happens to the messages; the password, if it was not given lately."""

    messages: Literal["keep", "delete"] = "keep"
    password: str | UnsetType = UNSET


class ClaimBody(msgspec.Struct):
    """The token of a guest; without it, the visitor's cookie of the request."""

    token: str | UnsetType = UNSET


class InvitationBody(msgspec.Struct):
    """The kind of the link, the number of its uses and its term."""

    role: Literal["member", "guest"] = "member"
    rooms: Annotated[list[str], Meta(max_length=MOST_ROOMS, description="A guest needs one.")] | UnsetType = UNSET
    uses: Annotated[int, Meta(ge=1, le=1000)] = 1
    expires_in: Span = "+7d"
    note: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET


class AccountBody(msgspec.Struct):
    """A new account."""

    name: Name
    role: Literal["owner", "admin", "member", "guest"] = "member"


class AccountChange(msgspec.Struct):
    """Changes to an account."""

    name: Name | UnsetType = UNSET
    role: Literal["owner", "admin", "member", "guest"] | UnsetType = UNSET
    state: Literal["closed"] | UnsetType = UNSET
    messages: Annotated[Literal["keep", "delete"], Meta(description="Of an account that is closed.")] = "keep"


class BanBody(msgspec.Struct):
    """Until when, left out for good; what happens to the messages; and why, for the log."""

    until: Span | UnsetType = UNSET
    messages: Literal["keep", "delete"] = "keep"
    reason: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET


class BarBody(msgspec.Struct):
    """Until when, 30 days if it is left out; and why."""

    until: Span | UnsetType = UNSET
    reason: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET


class Bar(msgspec.Struct, kw_only=True):
    """An address from which visitors may not write, or a visitor (`visitor-…`) who may not."""

    address: str
    until: At
    reason: str | UnsetType = UNSET


class Bars(msgspec.Struct):
    """Bars that hold, by address."""

    bars: list[Bar]


class Reporter(msgspec.Struct):
    """The account that reported a message."""

    id: Id
    name: str


class ReportedMessage(msgspec.Struct, kw_only=True):
    """The message as it is now, as far as it is for the asker to see."""

    id: Annotated[int, Meta(ge=1)]
    user: str | UnsetType = UNSET
    by: Id | UnsetType = UNSET
    message: str | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class Report(msgspec.Struct, kw_only=True):
    """A message that somebody thinks should not be there."""

    id: Annotated[int, Meta(ge=1)]
    room: str
    message: ReportedMessage
    reason: str
    at: At
    state: Literal["open", "done", "dismissed"]
    by: Reporter | UnsetType = UNSET
    closed_by: Id | UnsetType = UNSET


class Reports(msgspec.Struct):
    """Reports, the newest first."""

    reports: list[Report]
    has_more: HasMore


class ReportBody(msgspec.Struct):
    """What came of it."""

    state: Literal["done", "dismissed"]


class TokenBody(msgspec.Struct):
    """A new token."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: list[Scope] | UnsetType = UNSET
    rooms: Annotated[list[str], Meta(min_length=1, max_length=MOST_ROOMS)] | UnsetType = UNSET
    expires_in: Span | UnsetType = UNSET


class BotBody(msgspec.Struct):
    """A new bot; its first token is for `rooms`, or for all. Administrators may name another `keeper`."""

    name: Name
    rooms: Annotated[list[str], Meta(min_length=1, max_length=MOST_ROOMS)] | UnsetType = UNSET
    scopes: list[Scope] | UnsetType = UNSET
    keeper: Id | UnsetType = UNSET


class BotChange(msgspec.Struct):
    """The new keeper of a bot."""

    keeper: Id


class SiteBody(msgspec.Struct):
    """Changes to the site."""

    title: str | UnsetType = UNSET
    contact: str | UnsetType = UNSET
    rooms_by: Literal["all", "admins"] | UnsetType = UNSET
    invites_by: Literal["all", "admins"] | UnsetType = UNSET
    directs: Literal["all", "admins", "none"] | UnsetType = UNSET
    bots_by: Literal["all", "admins"] | UnsetType = UNSET

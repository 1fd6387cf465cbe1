"""Who may do what: the table of rights, without a server."""

from __future__ import annotations

import importlib.util

import pytest
from servers import ROOT

from quotechat.protocol.rights import permissions as p
from quotechat.protocol.rights.principal import VISITOR, Principal, account_id, outranks

SITE = {"rooms_by": "all", "invites_by": "admins", "directs": "all"}


def somebody(role: str) -> Principal:
    return Principal("acct:abc", 1, "abc", "Ann", role)


@pytest.mark.parametrize(
    ("role", "membership", "opened", "closed"),
    [
        ("visitor", None, "read write change-own", ""),
        ("guest", None, "", ""),
        ("guest", "member", "read write change-own list-members", "read write change-own list-members"),
        ("member", None, "read write change-own mention-few list-members", ""),
        ("bot", None, "read write change-own mention-few list-members", ""),
        ("member", "member", "read write change-own mention-few list-members",
         "read write change-own mention-few list-members"),
        ("admin", "member", "all", "read write change-own mention-few list-members"),
        ("member", "manager", "all", "all"),
        ("admin", None, "all", ""),
        ("owner", None, "all", ""),
    ],
)  # fmt: skip
def test_rights_in_a_room(role: str, membership: str | None, opened: str, closed: str) -> None:
    """Each role and membership has exactly the rights of the table, in open and in closed rooms."""
    every = {
        p.READ, p.WRITE, p.WRITE_RESTRICTED, p.CHANGE_OWN, p.DELETE_OTHERS, p.MANAGE, p.MENTION_FEW, p.MENTION_ALL,
        p.LIST_MEMBERS,
    }  # fmt: skip
    for kind, told in (("open", opened), ("closed", closed), ("direct", closed)):
        wanted = every if told == "all" else set(told.split())
        assert {action for action in every if p.allows(somebody(role), action, kind, membership)} == wanted


def test_the_log_of_the_server_is_for_admins_to_read() -> None:
    """A room of kind `log` is read by admins and owners, and written by nobody."""
    readers = {role for role in ("visitor", "guest", "member", "bot", "admin", "owner")
               if p.allows(somebody(role), p.READ, "log")}  # fmt: skip
    assert readers == {"admin", "owner"}
    assert not p.allows(somebody("owner"), p.WRITE, "log")


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        ("visitor", {p.CREATE_ROOM}),
        ("guest", {p.BEGIN_DIRECT}),
        ("bot", {p.CREATE_ROOM}),
        ("member", {p.CREATE_ROOM, p.CREATE_CLOSED, p.BEGIN_DIRECT}),
        ("admin", {p.CREATE_ROOM, p.CREATE_CLOSED, p.BEGIN_DIRECT, p.INVITE, p.ADMINISTER}),
        ("owner", {p.CREATE_ROOM, p.CREATE_CLOSED, p.BEGIN_DIRECT, p.INVITE, p.ADMINISTER}),
    ],
)
def test_rights_on_the_server(role: str, actions: set[str]) -> None:
    """By default members create rooms and direct messages; only admins invite and administer."""
    every = (p.CREATE_ROOM, p.CREATE_CLOSED, p.BEGIN_DIRECT, p.INVITE, p.ADMINISTER)
    assert {action for action in every if p.allows_on_server(somebody(role), action, SITE)} == actions


def test_the_site_decides_for_all_but_admins() -> None:
    """What the site gives to admins, members, bots and visitors lose; what it gives to all, members have."""
    site = {"rooms_by": "admins", "invites_by": "all", "directs": "none"}
    for role in ("visitor", "bot", "member"):
        assert not p.allows_on_server(somebody(role), p.CREATE_ROOM, site)
    assert not p.allows_on_server(somebody("member"), p.BEGIN_DIRECT, site)
    assert p.allows_on_server(somebody("member"), p.INVITE, site)
    assert p.allows_on_server(somebody("admin"), p.CREATE_ROOM, site)


def test_none_begins_a_direct_room_if_the_site_says_none() -> None:
    """So `none` is less than `admins`: with that administrators do."""
    for whom in ("none", "admins", "all"):
        begins = [role for role in ("guest", "bot", "member", "admin", "owner")
                  if p.allows_on_server(somebody(role), p.BEGIN_DIRECT, SITE | {"directs": whom})]  # fmt: skip
        expected = {"none": [], "admins": ["guest", "admin", "owner"], "all": ["guest", "member", "admin", "owner"]}
        assert begins == expected[whom]


def test_identities_tell_accounts_apart() -> None:
    """Only `acct:` is an account's; a visitor and the user of a host application are none."""
    assert account_id("acct:k3v9") == "k3v9"
    assert account_id("host:acct:k3v9") is None and account_id("ab" * 16) is None and account_id(None) is None
    assert Principal("host:7").is_known and not VISITOR.is_known and not Principal("ab" * 16).is_known


def test_admins_change_those_below_them() -> None:
    """An admin has no power over other admins and owners; an owner has over all."""
    assert outranks("admin", "member") and not outranks("admin", "admin") and not outranks("admin", "owner")
    assert outranks("owner", "owner") and not outranks("member", "guest")


def test_the_page_has_the_table() -> None:
    """docs/reference/permissions.md is what `python tools/permissions_table.py` writes."""
    spec = importlib.util.spec_from_file_location("permissions_table", ROOT / "tools" / "permissions_table.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text("utf-8") == tool.written()

"""Writes docs/reference/permissions.md out of the code: ``python tools/permissions_table.py``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from quotechat.protocol.rights import permissions as p
from quotechat.protocol.rights.principal import Principal

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "permissions.md"
HEAD = """# Permissions

Who may do what. Written by `python tools/permissions_table.py` from `protocol/rights/permissions.py`, which the server
asks; a test holds each cell against a running server. What the words mean is in [the protocol](../protocol.md), §9 and
§10.
"""
ACTIONS = {
    p.READ: "read",
    p.WRITE: "write",
    p.WRITE_RESTRICTED: "write where only managers may",
    p.CHANGE_OWN: "edit and delete one's own, react",
    p.DELETE_OTHERS: "delete what others said",
    p.MANAGE: "change settings and members, mute",
    p.MENTION_FEW: "mention `@room`, up to 20 members",
    p.MENTION_ALL: "mention `@room`, any number",
    p.LIST_MEMBERS: "see the members",
}
STANDINGS = {
    "visitor": ("visitor", None),
    "guest": ("guest", None),
    "guest in it": ("guest", "member"),
    "member, bot": ("member", None),
    "member in it": ("member", "member"),
    "manager": ("member", "manager"),
    "administrator, owner": ("admin", None),
}
SERVER = {
    p.CREATE_ROOM: "create an open room",
    p.CREATE_CLOSED: "create a closed room",
    p.BEGIN_DIRECT: "begin a direct message",
    p.INVITE: "invite",
    p.CREATE_BOT: "make bots",
    p.ADMINISTER: "administer",
}
ROLES = ("visitor", "guest", "bot", "member", "admin")
SETTINGS = ("rooms_by", "directs", "invites_by", "bots_by")


def written() -> str:
    """The page."""
    parts = [HEAD, "## In a room\n\nOpen room / closed or direct room; nothing where there is no right.\n"]
    rows = [[said, *(_cell(action, *STANDINGS[each]) for each in STANDINGS)] for action, said in ACTIONS.items()]
    parts.append(_table(["", *STANDINGS], rows))
    parts.append(
        "Visitors read and write where `QUOTECHAT_ACCESS` is `open`. The log `@audit` is read by administrators, and"
        " written by nobody. Members of a direct room have no manager among them.\n"
    )
    parts.append("## On the whole server\n\nA setting of the site stands where that decides: it has to be `all`.\n")
    rows = [[said, *(_on_server(action, role) for role in ROLES)] for action, said in SERVER.items()]
    parts.append(_table(["", "visitor", "guest", "bot", "member", "administrator, owner"], rows))
    parts.append(
        "A guest begins direct messages with people whom it shares a room with. If `directs` is `none`, nobody begins"
        " one.\n"
    )
    return "\n".join(parts)


def _cell(action: str, role: str, membership: str | None) -> str:
    who = Principal(None, role=role)
    opened, closed = (p.allows(who, action, kind, membership) for kind in ("open", "closed"))
    return f"{'yes' if opened else '–'} / {'yes' if closed else '–'}" if opened or closed else ""


def _on_server(action: str, role: str) -> str:
    who, closed = Principal(None, role=role), dict.fromkeys(SETTINGS, "admins")
    if p.allows_on_server(who, action, closed):
        return "yes"
    deciding = [name for name in SETTINGS if p.allows_on_server(who, action, closed | {name: "all"})]
    return f"`{deciding[0]}`" if deciding else ""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(written(), "utf-8")

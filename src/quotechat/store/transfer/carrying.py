"""Accounts on their way into another store: as rows of their tables, and as lines of an export.

Sessions, tokens, tickets and passwords travel as the hashes that they are kept as, so they go on working there. The
counts of attempts to sign in stay behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ...protocol import json, names
from ...protocol.errors import Invalid
from ...protocol.rights.principal import ACCOUNT, HOST
from .. import tables
from ..base import Impossible
from ..shapes import Sql, schema

TABLES = {name: table.travelling for name, table in tables.TABLES.items() if table.carried}
"""Columns of the rows carried."""

Row = tuple[str, dict[str, Any]]


def dump(sql: Sql) -> Iterator[Row]:
    """Yield (table, row) of all accounts and their belongings."""
    for table in _there(sql):
        columns = TABLES[table]
        for row in sql.all(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {tables.TABLES[table].key[0]}"):
            yield table, dict(zip(columns, map(_plain, row), strict=True))


def load(sql: Sql, rows: Iterable[Row], *, new: bool) -> None:
    """Store rows of another store. Raises Impossible if an account here is another one.

    In a `new` store, without messages of its own, the rows of an earlier load are replaced: a session may have
    ended since. Elsewhere the rows that are there stay.
    """
    rows = list(rows)
    if not rows:
        return
    sql.alone("account")
    _check(sql, rows)
    if new:
        for table in TABLES:
            sql.run(f"DELETE FROM {table}")
    for table, row in rows:
        columns = TABLES[table]
        key = tables.TABLES[table].key
        condition = " AND ".join(f"{column} = ?" for column in key)
        if not new and sql.one(f"SELECT 1 FROM {table} WHERE {condition}", *(row[each] for each in key)) is not None:
            continue
        sql.run(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            *(row[column] for column in columns),
        )


def counts(sql: Sql) -> dict[str, int]:
    """Count the rows of each table, and the memberships in rooms."""
    found = dict.fromkeys((*TABLES, "member"), 0)
    for table in (*_there(sql), *(("member",) if schema(sql) >= tables.TABLES["member"].since else ())):
        row = sql.one(f"SELECT count(*) FROM {table}")
        found[table] = 0 if row is None else int(row[0])
    return found


def _check(sql: Sql, rows: list[Row]) -> None:
    """Raise Impossible if an account of this store has the key or the name of another one in `rows`."""
    there = {key: (number, skeleton) for number, key, skeleton in sql.all("SELECT id, key, skeleton FROM account")}
    numbers, skeletons = ({value[place]: key for key, value in there.items()} for place in (0, 1))
    for table, row in rows:
        if table != "account":
            continue
        other = numbers.get(row["id"], row["key"])
        if other != row["key"]:
            raise Impossible(f"account {row['name']} has the number of another account here; load into an empty store")
        if skeletons.get(row["skeleton"], row["key"]) != row["key"]:
            raise Impossible(f"there is another account {row['name']} here; load into an empty store")
    if there.keys() - {row["key"] for table, row in rows if table == "account"}:
        raise Impossible("there are other accounts here already; load into an empty store")


def _there(sql: Sql) -> list[str]:
    """Return the tables that the store has: the commands read older ones too."""
    made = schema(sql)
    return [table for table in TABLES if made >= tables.TABLES[table].since]


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


# --- As lines ---------------------------------------------------------------------------------------

_Ms = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
_Number = Annotated[int, Meta(ge=1, le=2**53 - 1)]
_Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Text = Annotated[str, Meta(max_length=1000)]
_Short = Annotated[str, Meta(max_length=200)]
_Key = Annotated[str, Meta(pattern=r"\A[a-z2-7]{12}\Z")]
_Role = Literal["owner", "admin", "member", "guest", "bot"]


class _Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    pass


class _Account(_Line):
    id: _Number
    key: _Key
    identity: _Short
    name: str
    skeleton: Annotated[str, Meta(max_length=20_000)]
    role: _Role
    state: Literal["active", "banned", "closed"]
    made_at: _Ms
    until: _Ms | None = None
    password: Annotated[str, Meta(pattern=r"\A\$argon2id\$[!-~]{20,400}\Z")] | None = None
    settings: Annotated[str, Meta(max_length=10_000)] = "{}"
    keeper: _Number | None = None
    revision: Annotated[int, Meta(ge=0)] = 0
    made_by: _Number | None = None
    named_at: _Ms | None = None
    seen_at: _Ms | None = None

    def __post_init__(self) -> None:
        names.clean_name(self.name, "name", 200)
        if self.identity != ACCOUNT + self.key and not self.identity.startswith(HOST):
            raise Invalid("identity", "It is not that of the account.")
        if self.skeleton not in (names.skeleton(self.name), f"\n{self.key}"):
            raise Invalid("skeleton", "It is not that of the name.")
        if not isinstance(json.loads(self.settings), dict):
            raise Invalid("settings", "They are no object.")


class _Claim(_Line):
    identity: _Short
    account_id: _Number


class _Session(_Line):
    hash: _Hash
    account_id: _Number
    label: _Short
    at: _Ms
    used_at: _Ms
    ends_at: _Ms
    proved_at: _Ms | None = None
    agent: _Text | None = None
    address: _Short | None = None


class _Token(_Line):
    id: Annotated[str, Meta(pattern=r"\A[a-z2-7]{8}\Z")]
    hash: _Hash
    account_id: _Number
    name: _Short
    scopes: Annotated[str, Meta(pattern=r"\A(read|write|manage)( (read|write|manage)){0,2}\Z")]
    at: _Ms
    rooms: Annotated[str, Meta(max_length=10_000)] | None = None
    used_at: _Ms | None = None
    ends_at: _Ms | None = None


class _Ticket(_Line):
    hash: _Hash
    id: Annotated[str, Meta(pattern=r"\A[a-z2-7]{8}\Z")]
    kind: Literal["setup", "join", "reset", "device"]
    uses: Annotated[int, Meta(ge=1, le=1000)]
    used: Annotated[int, Meta(ge=0, le=1000)]
    at: _Ms
    ends_at: _Ms
    account_id: _Number | None = None
    role: _Role | None = None
    rooms: Annotated[str, Meta(max_length=10_000)] | None = None
    made_by: _Number | None = None
    note: _Text | None = None


class _Site(_Line):
    key: _Short
    value: _Text


class _Blocked(_Line):
    account_id: _Number
    other: _Number


class _Bar(_Line):
    key: _Short
    until: _Ms
    made_by: _Number
    reason: _Text | None = None


class _OwnBan(_Line):
    account_id: _Number
    until: _Ms | None = None


class _Erasure(_Line):
    account_id: _Number
    at: _Ms
    nameless: Literal[0, 1]
    moderated: Literal[0, 1]


class _Subscriber(_Line):
    id: _Number
    account_id: _Number
    kind: Literal["pull", "webhook"]
    name: _Short
    at: _Ms
    all_rooms: Literal[0, 1] = 0
    commands: _Text | None = None
    mentions: Literal[0, 1] = 0
    url: Annotated[str, Meta(max_length=2000)] | None = None
    secret: _Short | None = None
    old_secret: _Short | None = None
    old_until: _Ms | None = None
    state: Literal["on", "disabled"] = "on"
    # Only in exports of before migration 17.
    failures: Annotated[int, Meta(ge=0)] = 0
    failing_since: _Ms | None = None
    try_at: _Ms | None = None


class _Webhook(_Line):
    subscriber_id: _Number
    key: _Short
    made_by: _Number | None = None
    reason: _Short | None = None


LINES: dict[str, type[_Line]] = {
    "account": _Account, "claim": _Claim, "session": _Session, "token": _Token, "ticket": _Ticket, "site": _Site,
    "blocked": _Blocked, "bar": _Bar, "own_ban": _OwnBan, "erasure": _Erasure, "subscriber": _Subscriber,
    "webhook": _Webhook,
}  # fmt: skip


def row_of(table: str, line: dict[str, Any]) -> dict[str, Any]:
    """Parse the row in a line of an export. Raises Invalid, MalformedJson, msgspec.ValidationError."""
    row = msgspec.structs.asdict(msgspec.convert(line, LINES[table]))
    if "hash" in row:
        row["hash"] = bytes.fromhex(row["hash"])
    return {column: row[column] for column in TABLES[table]}

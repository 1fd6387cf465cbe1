"""Each table once: its key, its columns and their kinds, and the fate of its rows. Pure.

Statements of PostgreSQL, dump and load, retention, removal and rebuild are made of this; a table or a column that
is not here is an error for each of them, and a test holds it to the schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["number", "text", "bytes"]
_KINDS: dict[str, Kind] = {"#": "number", "!": "bytes"}


@dataclass(frozen=True)
class Table:
    """One table. `columns` are as text: ``name`` text, ``name#`` a number, ``name!`` bytes; ``-name`` stays behind
    when its rows go to another store."""

    name: str
    key: tuple[str, ...]
    """The primary key. A row's key never changes, so two statements on different keys do not meet."""
    columns: str
    since: int = 1
    """The migration that made it."""
    kept: bool = False
    """Private rows of a room, which are not in its log: they go with the room into another store."""
    carried: bool = False
    """Rows of accounts, which go into another store before all rooms."""
    names_accounts: bool = False
    """True if rows of a room name accounts, and so go only together with all accounts."""
    cut: str | None = None
    """The column with the event without which a row means nothing: retention deletes it with that event."""
    projected: bool = False
    """True if the log says all that it holds."""
    kinds: dict[str, Kind] = field(init=False)

    def __post_init__(self) -> None:
        kinds = {each.strip("-#!"): _KINDS.get(each[-1], "text") for each in self.columns.split()}
        object.__setattr__(self, "kinds", kinds)

    @property
    def of_a_room(self) -> bool:
        """Return True if each row belongs to one room."""
        return "room_id" in self.kinds

    @property
    def travelling(self) -> tuple[str, ...]:
        """Return the columns that go into another store, beside that of the room."""
        return tuple(each.strip("#!") for each in self.columns.split() if each[0] != "-" and each != "room_id#")

    @property
    def key_in_room(self) -> tuple[str, ...]:
        """Return the columns that tell rows of one room apart."""
        return tuple(each for each in self.key if each != "room_id")


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("meta", ("key",), "key value"),
        Table(
            "room", ("id",),
            "id# name title head# chain! floor# floor_chain! created_at# kind about last# messages# floor_messages#"
            " news# moved_at# pair!",
        ),
        Table(
            "scheduled", ("id",),
            "id# room_id# identity client_id due_at# message state seq# code -source", kept=True, cut="seq",
        ),
        Table("redaction", ("room_id", "message_id"), "room_id# message_id# holder# seq# nameless#", since=4),
        Table(
            "event", ("room_id", "seq"),
            "room_id# seq# command at# body tag digest! target# identity reaction# emoji", cut="seq",
        ),
        Table(
            "message", ("room_id", "id"),
            "room_id# id# identity body likes# dislikes# deleted# reply_to# edits# n# reactions",
            cut="id", projected=True,
        ),
        Table(
            "reaction", ("room_id", "message_id", "identity"), "room_id# message_id# identity value#",
            cut="message_id", projected=True,
        ),
        Table(
            "emoji_reaction", ("room_id", "message_id", "identity", "emoji"), "room_id# message_id# identity emoji",
            since=10, cut="message_id", projected=True,
        ),
        Table(
            "sent", ("room_id", "sender", "client_id"), "room_id# sender client_id hash! at# seq# scheduled#",
            kept=True,
        ),
        Table("name", ("room_id", "skeleton"), "room_id# skeleton identity at#", kept=True),
        Table(
            "member", ("account_id", "room_id"),
            "account_id# room_id# role level read_id# read_n# muted_until# spoke_at# at#",
            since=7, kept=True, names_accounts=True,
        ),
        Table(
            "report", ("id",), "-id# room_id# message_id# account_id# reason at# state closed_by#",
            since=7, kept=True, names_accounts=True, cut="message_id",
        ),
        Table(
            "mention", ("account_id", "room_id", "message_id"), "account_id# room_id# message_id# kind seen#",
            since=7, kept=True, names_accounts=True, cut="message_id",
        ),
        Table(
            "subscribed", ("subscriber_id", "room_id"),
            "subscriber_id# room_id# seq# tag -failures# -failing_since# -try_at#",
            since=11, kept=True, names_accounts=True,
        ),
        Table(
            "file", ("id",),
            "id room_id# message_id# scheduled# identity name type size# length# hash! thumb! width# height# at#",
            since=13, kept=True,
        ),
        Table(
            "delivery", ("subscriber_id", "at", "room_id"), "subscriber_id# at# room_id# seq# status# ms# error",
            since=11,
        ),
        Table("quote", ("id",), "id# room_id# seq# identity body removed#"),
        Table(
            "account", ("id",),
            "id# key identity name skeleton role state until# password settings keeper# revision# made_by# made_at#"
            " named_at# seen_at#", since=2, carried=True,
        ),
        Table("claim", ("identity",), "identity account_id#", since=2, carried=True),
        Table(
            "session", ("hash",), "hash! account_id# label at# used_at# proved_at# ends_at# agent address",
            since=2, carried=True,
        ),
        Table(
            "token", ("id",), "id hash! account_id# name scopes rooms at# used_at# ends_at#", since=2, carried=True
        ),
        Table(
            "ticket", ("hash",), "hash! id kind account_id# role rooms uses# used# made_by# at# ends_at# note",
            since=2, carried=True,
        ),
        Table("site", ("key",), "key value", since=2, carried=True),
        Table("blocked", ("account_id", "other"), "account_id# other#", since=7, carried=True),
        Table("bar", ("key",), "key until# made_by# reason", since=7, carried=True),
        Table("own_ban", ("account_id",), "account_id# until#", since=16, carried=True),
        # It begins anew there: what is deleted already is deleted there too.
        Table(
            "erasure", ("account_id",), "account_id# at# nameless# moderated# -room -message_id# -lease_until#",
            since=8, carried=True,
        ),
        Table(
            "subscriber", ("id",),
            "id# account_id# kind name all_rooms# commands mentions# url secret old_secret old_until# state -lease_by"
            " -lease_until# at#", since=11, carried=True,
        ),
        Table(
            "webhook", ("subscriber_id",), "subscriber_id# key made_by# reason -revision#", since=17, carried=True
        ),
        Table("attempt", ("key",), "key! failures# try_at#", since=2),
        Table("notice", ("id",), "id# account_id# at# what text", since=7),
        Table("inbox_revision", ("account_id",), "account_id# revision#", since=12),
        Table("access_revision", ("id",), "id# revision#", since=18),
        Table("blob", ("hash",), "hash! size# place", since=13),
        Table("piece", ("place", "at"), "place at# data!", since=13),
        Table("dropped", ("hash",), "hash!", since=13),
        Table("presence", ("account_id",), "account_id# seen_at#", since=16),
    )
}  # fmt: skip
"""All tables of the log's database; the index of the search has its own."""

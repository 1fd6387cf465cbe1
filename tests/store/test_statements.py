"""What our statements are about, and how many become one."""

from __future__ import annotations

import pytest

from quotechat.store.ledger import SENT
from quotechat.store.postgres.connections import connect
from quotechat.store.postgres.statements import (
    for_psycopg,
    many_inserts,
    many_reads,
    many_updates,
    read_arrays,
    shape,
    write_arrays,
)


@pytest.mark.parametrize(
    ("statement", "values", "rows"),
    [
        (SENT, (1, "a", "k"), [("sent", (1, "a", "k"))]),
        ("INSERT INTO message (room_id, id, body) VALUES (?, ?, ?)", (1, 2, "b"), [("message", (1, 2))]),
        ("UPDATE message SET body = ? WHERE room_id = ? AND id = ?", ("b", 1, 2), [("message", (1, 2))]),
        ("UPDATE room SET head = ?, chain = ? WHERE id = ?", (7, b"", 3), [("room", 3)]),
        ("SELECT r.id FROM room r LEFT JOIN member m ON m.room_id = r.id AND m.account_id = ? WHERE r.name = ?",
         (1, "tea"), [("room", None), ("member", None)]),
        ("SELECT s.id FROM scheduled s JOIN room r ON r.id = s.room_id WHERE s.id = ?", (4,),
         [("scheduled", 4), ("room", None)]),
        ("SELECT seq FROM event WHERE room_id = ? AND (seq = ? OR target = ?)", (1, 2, 2), [("event", None)]),
        ("DELETE FROM reaction WHERE room_id = ? AND message_id = ?", (1, 2), [("reaction", None)]),
        ("INSERT INTO scheduled (room_id, state) VALUES (?, 'waiting') RETURNING id", (1,), [("scheduled", None)]),
        ("INSERT INTO name (room_id, skeleton, at) VALUES (?, ?, ?) ON CONFLICT (room_id, skeleton) DO UPDATE SET"
         " at = excluded.at", (1, "s", 2), [("name", (1, "s"))]),
        ("DELETE FROM sent WHERE (room_id) IN (SELECT room_id FROM sent WHERE at < ?)", (1,), [("sent", None)]),
    ],
)  # fmt: skip
def test_a_statement_is_about_its_rows(statement: str, values: tuple[object, ...], rows: list[object]) -> None:
    """The key where the statement fixes all of it, else any row of its tables."""
    assert shape(statement).rows(values) == rows


def test_many_become_one(database: str) -> None:
    """Inserts, updates and reads of many rows at once do what one by one would; nothing and zero bytes included."""
    insert = "INSERT INTO event (room_id, seq, body, digest, reaction) VALUES (?, ?, ?, ?, ?)"
    update = "UPDATE event SET body = ?, digest = ? WHERE room_id = ? AND seq = ?"
    read = "SELECT body, digest FROM event WHERE room_id = ? AND seq = ?"
    rows = [(1, 1, 'é "quoted" \\ {}', b"\0\xff", None), (1, 2, "", None, -1), (2, 1, "x" * 9000, b"", 0)]
    changes = [("new", None, 1, 1), ("%s ?", b"y", 2, 1)]
    together = many_updates(update)
    assert together is not None
    with connect(database) as connection:
        connection.execute(
            "CREATE TABLE event (room_id bigint, seq bigint, body text, digest bytea, reaction bigint)"
        )
        connection.execute(many_inserts(insert), write_arrays(insert, rows))
        found = connection.execute("SELECT * FROM event ORDER BY room_id, seq").fetchall()
        assert found == rows
        connection.execute(together, write_arrays(update, changes))
        keys = [(2, 1), (9, 9), (1, 1), (1, 2)]
        asked = connection.execute(many_reads(read, (int, int)), read_arrays(keys)).fetchall()
    assert asked == [(True, "%s ?", b"y"), (None, None, None), (True, "new", None), (True, "", None)]


def test_what_is_not_plain_is_not_joined() -> None:
    """An upsert, and an update of rows that are not told by their key, go one by one."""
    assert many_updates("UPDATE scheduled SET state = 'sent', seq = ? WHERE id = ?") is None
    assert many_updates("UPDATE message SET likes = ? WHERE room_id = ?") is None


def test_texts_are_kept_within_bounds() -> None:
    """A search makes one for each number of hits in each of its rooms: those of an hour ago are forgotten."""
    for number in range(1000):
        statement = f"SELECT {number} FROM room WHERE id = ?"
        assert for_psycopg(statement).endswith("id = %s") and shape(statement).reads
    assert for_psycopg.cache_info().currsize < 900 > shape.cache_info().currsize

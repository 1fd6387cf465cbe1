"""What every store knows of rooms and their members; each backend's tests inherit these."""

from __future__ import annotations

import pytest
from contract import T0, Open, delete, do, said

from quotechat.store import accounts, members
from quotechat.store.base import CreateRoom, Store


def counts(store: Store, room: str = "lobby") -> tuple[int, ...]:
    """`last`, `messages`, `floor_messages`, `news` of a room."""
    found = store.read_with(
        lambda sql: sql.one("SELECT last, messages, floor_messages, news FROM room WHERE name = ?", room)
    )
    assert found is not None
    return tuple(found)


class BelongingContract:
    """Subclasses give the fixture `open_store`, as for `StoreContract`."""

    @pytest.fixture
    def store(self, open_store: Open) -> Store:
        return open_store()

    def test_a_room_counts_its_messages(self, store: Store) -> None:
        """A deletion takes none away, and the newest one that is deleted gives its place to the one before."""
        for text in "abc":
            do(store, said(text=text))
        assert counts(store) == (3, 3, 0, 3)
        do(store, delete(2))
        assert counts(store) == (3, 3, 0, 4)
        do(store, delete(3))
        assert counts(store) == (1, 3, 0, 5)
        do(store, delete(1))
        assert counts(store) == (0, 3, 0, 6)
        do(store, said(text="d"))
        assert counts(store) == (7, 4, 0, 7)
        numbers = store.read_with(lambda sql: [tuple(row) for row in sql.all("SELECT id, n FROM message ORDER BY id")])
        assert numbers == [(1, 1), (2, 2), (3, 3), (7, 4)]

    def test_counts_survive_a_cut_and_a_rebuild(self, store: Store) -> None:
        """What is kept no longer is counted still; the log alone gives the same counts."""
        for number in range(5):
            do(store, said(text=f"{number}"), at=T0 + number)
        do(store, delete(1), at=T0 + 9)
        assert store.cut("lobby", T0 + 3, 100) == 3
        assert counts(store) == (5, 5, 3, 6)
        store.rebuild(lambda done, of: None)  # type: ignore[attr-defined]  # a command's, not the hub's
        assert counts(store) == (5, 5, 3, 6)
        assert store.cut("lobby", T0 + 99, 100) == 3
        assert counts(store) == (0, 5, 5, 6)
        do(store, said(text="new"), at=T0 + 100)
        assert counts(store) == (7, 6, 5, 7)

    def test_room_and_membership_are_one_question(self, store: Store) -> None:
        """It tells kind and role; an account that is no member, and a visitor, have no role."""
        do(store, CreateRoom("tea"))

        def join(sql: members.Sql) -> tuple[int, int]:
            ann, bea = (accounts.make(sql, name, "member", T0).id for name in ("Ann", "Bea"))
            tea = members.membership(sql, "tea", ann)
            assert tea is not None and tea.role is None
            members.add(sql, tea.room_id, ann, "manager", (0, 0), T0)
            return ann, bea

        ann, bea = store.write_with(join)
        found = store.read_with(lambda sql: [members.membership(sql, "tea", who) for who in (ann, bea, None)])
        assert [each and (each.kind, each.role) for each in found] == [
            ("open", "manager"), ("open", None), ("open", None),
        ]  # fmt: skip
        assert store.read_with(lambda sql: members.membership(sql, "none", ann)) is None

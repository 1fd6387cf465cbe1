"""Webhooks on their way into another store: with their secrets, positions and makers, so that they go on there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quotechat.config import Settings
from quotechat.store.accounts import accounts
from quotechat.store.open import look, open_store
from quotechat.store.programs import subscribers, webhooks
from quotechat.store.programs.webhooks import Webhook
from quotechat.store.shapes import Sql
from quotechat.store.transfer import carrying, copying, loading


def made(sql: Sql) -> Webhook:
    bot = accounts.make(sql, "grader", "bot", 1)
    webhook = webhooks.make(
        sql, "grades", bot.id, "https://hooks.example.org/x", "whsec_" + "A" * 44, 2, made_by=bot.id, all_rooms=True,
        commands=["message-sent"], mentions=True,
    )  # fmt: skip
    webhooks.change_secret(sql, webhook, "whsec_" + "B" * 44, 10)
    webhooks.disable(sql, webhook.id, "gone")
    return webhooks.find(sql, webhook.key)


def test_webhooks_go_along(tmp_path: Path) -> None:
    """As lines of an export, and back, nothing of them is lost."""
    here, there = (open_store(Settings(data=tmp_path / name)) for name in ("here", "there"))
    try:
        webhook = here.write_with(made)
        rows = here.read_with(lambda sql: list(carrying.dump(sql)))
        lines: list[tuple[str, Any]] = [(table, json.loads(json.dumps(row))) for table, row in rows]
        carried = [(table, carrying.row_of(table, line)) for table, line in lines]
        there.write_with(lambda sql: carrying.load(sql, carried, new=True))
        assert there.read_with(webhooks.listed) == [webhook]
        there.write_with(lambda sql: subscribers.remove_all(sql, webhook.account))
        assert there.read_with(webhooks.listed) == []
    finally:
        for store in (here, there):
            store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_more_can_be_made_where_they_have_come(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """In PostgreSQL too, whose sequences have given none of the numbers that came along; and none of them again."""
    database = "" if kind == "sqlite" else request.getfixturevalue("new_tables")()
    source = Settings(data=tmp_path / "here")
    here, there = open_store(source), open_store(Settings(data=tmp_path / "there", database=database))
    try:
        here.found(1)
        webhook = here.write_with(made)
        with look(source) as sql:
            loading.load(there, copying.dump(sql, None), lambda done, of: None, 0)
        assert there.read_with(webhooks.listed) == [webhook]
        there.write_with(lambda sql: subscribers.remove(sql, webhook.subscriber))
        cursor = there.write_with(lambda sql: subscribers.make(sql, webhook.account, "new", 3, all_rooms=False))
        assert cursor.id > webhook.id
    finally:
        for store in (here, there):
            store.close()

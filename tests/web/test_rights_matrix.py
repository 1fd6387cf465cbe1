"""Every described call, command and stream × every kind of caller; `make matrix` plays all of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import rights_matrix
from rights_table import COMMANDS, LEFT_OUT, ROWS

from quotechat import create_app
from quotechat.config import Settings
from quotechat.web.spec.described import COMMANDS as DESCRIBED

PLAYED = {"sqlite": (("invite", (0, 19), 300), ("open", (1, 19), 100)), "postgres": (("invite", (5, 47), 120),)}
"""For each store, the settings of `access`, each with the cells that are played: the first, and every so many. So each
call meets another caller, and each store plays others. Last, how many there are at least."""


def test_everybody_may_what_the_tables_say(
    store_kind: str, new_database: Callable[[], str], tmp_path: Path
) -> None:
    """And is refused, with the code that belongs to it, what they do not say."""
    for access, part, least in PLAYED[store_kind]:
        settings = Settings(data=tmp_path / access, database=new_database(), limits=False, access=access)
        app = create_app(settings)
        with closing(app.extensions["quotechat"]):
            count, wrong = rights_matrix.matrix(app, access, part)
        assert not wrong, "\n".join(map(str, wrong))
        assert count > least


def test_every_described_call_has_its_row(tmp_path: Path) -> None:
    """A call or a command that is new needs a row, and none stays of one that is gone."""
    app = create_app(Settings(data=tmp_path, limits=False))
    with closing(app.extensions["quotechat"]):
        assert set(rights_matrix.described(app)) == set(ROWS) | set(LEFT_OUT)
    assert set(DESCRIBED) == set(COMMANDS)

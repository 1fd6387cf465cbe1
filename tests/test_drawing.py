"""The drawing of the layers in docs/architecture.md is that of the code."""

from __future__ import annotations

import re

from test_floors import FLOORS, SOURCE

#: The layers of the table in docs/architecture.md.
DRAWN = {f"quotechat.{name}" for name in ("app", "protocol", "store", "hub", "live")} | {
    f"quotechat.web.{name}" for name in ("http", "spec", "transports", "api", "pages")
}


def test_the_drawing_has_the_layers_of_the_code() -> None:
    """The table in docs/architecture.md lists each layer under the number that the imports are held to."""
    page = (SOURCE.parent / "docs" / "architecture.md").read_text("utf-8")
    drawn = re.findall(r"^\| (\d+) \| `([a-z/]+?)(?:/|\.py)`", page, re.MULTILINE)
    assert {name: int(number) for number, name in drawn} == {
        module.removeprefix("quotechat.").replace(".", "/"): floor
        for module, floor in FLOORS.items()
        if module in DRAWN
    }

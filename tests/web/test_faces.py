"""Initials and colours of authors: the server's are those of the page's scripts, by the same vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quotechat.web.pages.parts import faces

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "faces.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["name"]))
def test_faces(vector: dict[str, Any]) -> None:
    """As tests/js/room.test.js has them from static/js/person/face.js."""
    assert faces.initials(vector["name"]) == vector["initials"]
    assert faces.hue(vector["name"]) == vector["hue"]

"""What the browser tests need from the machine."""

from __future__ import annotations

import os

import pytest


def missing(what: str) -> None:
    """Skip the test, on a developer's machine; fail it where all must run."""
    message = f"{what} is missing: apt-get install chromium-headless-shell; pip install playwright==1.64.1"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)

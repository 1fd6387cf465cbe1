"""The private PostgreSQL of the tests: skipped where there is none at home, an error in CI."""

from __future__ import annotations

import os

import pytest
from private_postgres import Server, binaries, postgres, somebody

__all__ = ["Server", "needed", "postgres", "somebody"]


def needed() -> None:
    """Skip where there is no PostgreSQL; in CI that is an error."""
    if binaries() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is missing; .ci/run installs it")
        pytest.skip("PostgreSQL is missing (Debian: postgresql)")

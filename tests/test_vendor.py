"""What is vendored is what was published, with its licence."""

from __future__ import annotations

import hashlib
import tomllib

from servers import ROOT

VENDOR = ROOT / "static" / "vendor"


def test_vendored_files_are_as_published() -> None:
    """Every file under static/vendor is named with its checksum in VENDOR.toml, and has that checksum."""
    listed = tomllib.loads((VENDOR / "VENDOR.toml").read_text("utf-8"))
    expected = {
        f"{name}-{entry['version']}/{file}": checksum
        for name, entry in listed.items()
        for file, checksum in entry["sha256"].items()
    }
    files = [path for path in VENDOR.rglob("*") if path.is_file() and path.name != "VENDOR.toml"]
    assert {str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == expected
    assert all("LICENSE.txt" in entry["sha256"] for entry in listed.values())

"""RFC 6455, as the Autobahn test suite asks for it: every case, against a real server."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from cases import CASES
from playing import expected, seen
from servers import ROOT, Running, environment, quotechat, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all cases."""
    data = str(tmp_path_factory.mktemp("data"))
    with running(quotechat("serve", "--port", "0", "--data", data), env=environment(QUOTECHAT_LIMITS="off")) as server:
        yield server


SECTIONS = sorted({case.number.partition(".")[0] for case in CASES}, key=int)


@pytest.mark.parametrize("section", SECTIONS)
def test_section(server: Running, section: str) -> None:
    """Each case is answered as it has to be, then the connection ends."""
    wrong = [
        f"{case.number}, {case.sent}: {found} instead of {expected(case)}"
        for case in CASES
        if case.number.startswith(f"{section}.") and (found := seen(server.url, case)) != expected(case)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_case_is_missing() -> None:
    """As many as the suite has, and the page tells of each."""
    numbers = [case.number for case in CASES]
    assert Counter(number.partition(".")[0] for number in numbers) == {
        "1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "10": 1,
    }  # fmt: skip
    page = (ROOT / "docs" / "reference" / "rfc6455.md").read_text("utf-8")
    assert re.findall(r"^\| ([0-9.]+) \|", page, re.MULTILINE) == numbers

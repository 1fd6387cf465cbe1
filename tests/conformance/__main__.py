"""``make conformance``: play every case and write docs/reference/rfc6455.md."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime

from cases import CASES, Case
from playing import expected, seen
from servers import ROOT, environment, quotechat, running

PAGE = ROOT / "docs" / "reference" / "rfc6455.md"
HEAD = """# RFC 6455, case by case

Written by `make conformance` on {day}: {passed} of {all} cases passed.

The cases, and their numbers, are those of the [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite)
for a server without extensions: sections 1 (framing), 2 (pings), 3 (reserved bits), 4 (opcodes), 5 (fragments),
6 (UTF-8), 7 (closing) and 10 (many fragments). Sections 9, 12 and 13 measure speed and compression, which is declined.
The suite itself needs Python 2 and a server that echoes. Here the cases are sent by `tests/conformance` over plain
sockets, and quotechat answers as it does: a `ping` command with `pong`, what is no JSON with `error`, binary with 1003.
`end` is the end of the connection, by the server. An answer to a text comes before the close that follows it.

| case | sent | expected | seen | verdict |
|---|---|---|---|---|
"""


def row(case: Case, found: list[str]) -> str:
    """One line of the table."""
    verdict = "ok" if found == expected(case) else "**wrong**"
    return f"| {case.number} | {case.sent} | {_short(expected(case))} | {_short(found)} | {verdict} |"


def _short(found: list[str]) -> str:
    counted = Counter(each if len(each) < 40 else each[:30] + "…" for each in found)
    if len(found) > 6:
        return f"{len(found) - 2} answers, {', '.join(found[-2:])}"
    return ", ".join(each if count == 1 else f"{count} × {each}" for each, count in counted.items())


def main() -> int:
    """1 where a case went wrong."""
    env = environment(QUOTECHAT_LIMITS="off")
    with tempfile.TemporaryDirectory() as data:
        with running(quotechat("serve", "--port", "0", "--data", data), env=env) as server:
            found = [(case, seen(server.url, case)) for case in CASES]
    rows = [row(case, each) for case, each in found]
    passed = sum(each == expected(case) for case, each in found)
    head = HEAD.format(day=datetime.now(UTC).date(), passed=passed, all=len(CASES))
    PAGE.write_text(head + "\n".join(rows) + "\n", "utf-8")
    print("\n".join(each for each in rows if each.endswith("**wrong** |")))
    print(f"{passed} of {len(CASES)} cases passed: {PAGE.relative_to(ROOT)}")
    return 0 if passed == len(CASES) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Write tests/longest.txt: the files of tests that take longest, which `make test` begins with.

    python -m pytest --durations=0 -vv … | python tools/longest.py

Standard input is what pytest printed. A file that takes less than SECONDS in all is left out.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

SECONDS = 15
LIST = Path(__file__).parents[1] / "tests" / "longest.txt"
HEAD = "# The files that take longest, the longest first. `make longest` writes this list.\n"
_LINE = re.compile(r"\s*([\d.]+)s (?:setup|call|teardown)\s+tests/(\S+?)::")

if __name__ == "__main__":
    took: Counter[str] = Counter()
    for line in sys.stdin:
        if found := _LINE.match(line):
            took[found[2]] += float(found[1])  # type: ignore[assignment]  # a Counter of seconds
    longest = [f"{name}\n" for name, seconds in took.most_common() if seconds >= SECONDS]
    LIST.write_text(HEAD + "".join(longest))

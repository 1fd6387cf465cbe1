"""Makes emoji.txt and joining.txt in src/quotechat/protocol, by which names may hold some invisible characters.

    pip install emoji==2.16.0 idna==3.20
    python tools/joined.py

Sources: the package `emoji` of PyPI, whose fully qualified emoji are those of emoji-test.txt (Unicode emoji data,
https://www.unicode.org/Public/emoji/); the package `idna`, which has Joining_Type (DerivedJoiningType.txt of the
Unicode Character Database). Both are packed as the packages have them; nothing is changed by hand.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import emoji
from idna import idnadata

TARGET = Path(__file__).resolve().parents[1] / "src" / "quotechat" / "protocol"
LICENSE = """\
# Copyright © 1991-2026 Unicode, Inc. Unicode and the Unicode Logo are registered trademarks of Unicode, Inc.
# Distributed under the Unicode License v3, https://www.unicode.org/license.txt.
# Made by tools/joined.py; do not edit.
"""
EMOJI = """\
# RGI emoji sequences (UTS 51, ED-27) that hold invisible characters, one a line, hexadecimal, for joined.py.
# From the package `emoji` {version} of PyPI.
"""
JOINING = """\
# Joining_Type of the Unicode Character Database: "type;first-last", hexadecimal, for joined.py. U, C: left out.
# From the package `idna` {version} of PyPI.
"""


def is_invisible(character: str) -> bool:
    return character in "\u200d\ufe0f" or "\U000e0020" <= character <= "\U000e007f"


def main() -> None:
    qualified = emoji.STATUS["fully_qualified"]
    sequences = sorted(
        text for text, about in emoji.EMOJI_DATA.items()
        if about["status"] == qualified and any(map(is_invisible, text))
    )  # fmt: skip
    lines = [" ".join(f"{ord(character):X}" for character in text) for text in sequences]
    head = EMOJI.format(version=version("emoji")) + LICENSE
    (TARGET / "emoji.txt").write_text(head + "\n".join(lines) + "\n", "utf-8")
    types = idnadata.joining_types
    ranges = [
        f"{kind};{each >> 32:X}-{(each & 0xFFFFFFFF) - 1:X}" for kind in "DLRT" for each in types.get(kind, ())
    ]
    head = JOINING.format(version=version("idna")) + LICENSE
    (TARGET / "joining.txt").write_text(head + "\n".join(ranges) + "\n", "utf-8")


if __name__ == "__main__":
    main()

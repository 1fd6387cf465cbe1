"""Hostile questions: made of all that means something to our parser, to FTS5, to PostgreSQL and to SQL."""

from __future__ import annotations

import random
from collections.abc import Iterator

_WORDS = [
    "tea", "te", "t", "W0a", "w", "w1", "AND", "OR", "NOT", "NEAR", "NEAR(a b, 3)", "a", "hlink", "r1", "r2", "u", "v",
    "don't", "example.org", "C++", "汉字", "汉", "字汉字", "ไทย", "สวัสดี", "слово", "Слово1", "ё",
    "شكرا", "שלום", "👍", "👩\u200d🚀",
    "e\u0301" * 9, "a\u0301\u0302\u0303" * 5, "\u200d", "\ufe0f", "\u202e", "İ", "ı", "ß", "ﬁ",
    "㍿", "½", "\u0e33", "x" * 90,
    "0", "1", "%", "_", "*", "^", ":", "::tsquery", "&", "|", "!", "<->", "(", ")", "((", "'", "''",
    '"', '""', ";", "--",
    "/*", "\\", "\\'", "{", "}", "$1", "?", "%s", "%00", "\t", "\n", "\x00", "\x7f", "-", "--", "---a", "a-", "-a-b",
    "w0a", "w1a", "w10", "w11", "w12", "w13", "w14", "w15", "w2a", "w3a", "use", "сло", "слов", "слово1", "слово12",
    "a a a a b", "汉汉汉", "found:a", "terms:a", "rowid", "' OR 1=1 --", "'); DROP TABLE doc; --",
]  # fmt: skip
_OPERATORS = [
    "in:", "in:room1", "in:lobby", "in:none", "in:#room2", "in:\"a b\"", "from:", "from:user1", "from:me", "from:@x",
    "from:\"\"", "from:\"Zoë N\"", "before:", "before:2025-07-01", "after:2025-06-20", "on:2025-06-20", "on:0000-00-00",
    "on:9999-12-31", "on:2025-02-30", "before:0001-01-01", "after:9999-12-31", "has:link", "has:reaction", "has:file",
    "has:image", "has:", "has:x", "is:direct", "is:x", "mentions:me", "mentions:you", "IN:lobby", "From:ME",
]  # fmt: skip


def questions(seed: int = 11) -> Iterator[str]:
    """Yield questions without end; some are refused."""
    chance = random.Random(seed)
    while True:
        parts = []
        for _ in range(chance.choice((1, 1, 2, 2, 3, 5, 12, 22))):
            part = chance.choice(_OPERATORS if chance.random() < 0.3 else _WORDS)
            if chance.random() < 0.15:
                part = f'"{part} {chance.choice(_WORDS)}"'
            if chance.random() < 0.15:
                part = "-" + part
            parts.append(part)
        yield chance.choice((" ", " ", " ", "", "\u3000")).join(parts)[: chance.choice((200, 200, 210))]

"""Count words that make a comment hard to read: ``python tools/words.py [FOLDER]``.

Of all comments and docstrings in the folder (``src`` unless it is named), this prints how many of each 1,000 words are
*who*, *whoever*, *what*, *whatever* or *where*, and how many of the comments and docstrings begin with one of them
or with *whether* or *how*. Plain technical English names the actor (client, reader, worker) and says *if* or *when*.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

VAGUE = frozenset("who whoever what whatever where".split())
BEGINNINGS = VAGUE | {"whether", "how"}
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_HAS_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def texts(source: str) -> Iterator[str]:
    """Each docstring, each string that documents a name, and each run of comment lines in `source`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _HAS_DOCSTRING):
            yield from _strings(node.body)
    yield from _comments(source)


def _strings(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.Expr(ast.Constant(str(text))):
                yield text


def _comments(source: str) -> Iterator[str]:
    run: list[str] = []
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1 and run:
            yield " ".join(run)
            run = []
        run.append(token.string.lstrip("#: "))
        last = token.start[0]
    if run:
        yield " ".join(run)


def count(folder: Path) -> tuple[int, Counter[str], int, int]:
    """Words, how often each vague one occurs, texts, and texts that begin with one."""
    words, vague, all_texts, beginnings = 0, Counter[str](), 0, 0
    for path in sorted(folder.rglob("*.py")):
        for text in texts(path.read_text(encoding="utf-8")):
            found = [word.lower() for word in _WORD.findall(text)]
            words += len(found)
            vague.update(word for word in found if word in VAGUE)
            all_texts += 1
            beginnings += bool(found) and found[0] in BEGINNINGS
    return words, vague, all_texts, beginnings


def main(folder: str = "src") -> None:
    """Print the figures of `folder`."""
    words, vague, all_texts, beginnings = count(Path(folder))
    print(f"{1000 * vague.total() / words:.1f} of 1,000 words ({vague.total()} of {words:,})")
    print(", ".join(f"{word} {times}" for word, times in vague.most_common()))
    print(f"{100 * beginnings / all_texts:.1f} % of {all_texts:,} comments and docstrings begin so")


if __name__ == "__main__":
    main(*sys.argv[1:])

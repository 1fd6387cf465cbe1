"""Writes docs/reference/api.md out of the specifications: ``python tools/api_reference.py``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from quotechat import create_app
from quotechat.config import Settings
from quotechat.web.spec.reference import Envelope, Field, Reference

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "api.md"
BASE = "http://127.0.0.1:8000"
HEAD = """# API

Every call and every envelope. Written by `python tools/api_reference.py` from what the server itself serves at
`/openapi.json` and `/asyncapi.json`; a running server shows the same at `/reference`, with its own address. What it
all means is in [the protocol](../protocol.md). `$TOKEN` is what `POST /api/v1/guests` gave.
"""


def written() -> str:
    """The page."""
    with tempfile.TemporaryDirectory() as directory:
        app = create_app(Settings(data=Path(directory)))
        try:
            with app.app_context():
                return _page(Reference(BASE))
        finally:
            app.extensions["quotechat"].close()


def _page(reference: Reference) -> str:
    parts = [HEAD, "## Calls\n"]
    for call in reference.calls:
        parts.append(f"### `{call.method} {call.path}`\n\n{call.about}\n")
        if call.identity == "needed":
            parts.append("Needs an identity.\n")
        parts += _table(call.parameters)
        if call.body:
            parts.append(f"Body: {call.body}.\n")
        answers = ", ".join(status + (f" {name}" if name else "") for status, name in call.answers)
        parts.append(f"Answers: {answers}. Problems: {', '.join(f'`{code}`' for _, code in call.problems)}.\n")
        if call.lines:
            parts.append("```sh\n" + "\n".join(call.lines) + "\n```\n")
    for title, envelopes in [
        ("Commands", reference.commands), ("Events", reference.events), ("Answers", reference.answers),
        ("Types", reference.types),
    ]:  # fmt: skip
        parts.append(f"## {title}\n")
        for each in envelopes:
            parts += _envelope(each)
    parts.append("## Problems\n\n| status | code | meaning |\n|---|---|---|")
    parts += [f"| {number} | `{code}` | {title} |" for number, code, title in reference.problems]
    return "\n".join(parts) + "\n"


def _envelope(each: Envelope) -> list[str]:
    example = [f"```json\n{each.example}\n```\n"] if each.example else []
    return [f"### {each.name}\n\n{each.about}\n", *_table(each.fields), *example]


def _table(fields: list[Field]) -> list[str]:
    if not fields:
        return []
    rows = [f"| `{each.name}` | {each.text} | {_meaning(each)} |" for each in fields]
    return ["| name | type | meaning |\n|---|---|---|", *rows, ""]


def _meaning(each: Field) -> str:
    return " ".join(part for part in ("" if each.required else "Optional.", each.about) if part)


if __name__ == "__main__":
    PAGE.write_text(written(), "utf-8")

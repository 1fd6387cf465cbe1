"""Read the text of a message that was made for Slack, as many programs send it to a webhook. Pure.

Slack's reference: "Formatting text for app surfaces", "Block Kit: blocks" and "Legacy secondary attachments". What
carries no text (images, buttons, colours) is left out, as are names and icons: the hook has a name of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

_DEEPEST = 12
"""Levels of a rich text that are looked into."""
_LINK = re.compile(r"<((?:https?|mailto):[^<>|\s]+)(?:\|([^<>]*))?>")
_NAMED = re.compile(r"<#[A-Z0-9]+\|([^<>]+)>")
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_ITALIC = re.compile(r"(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.S)


def text_of(payload: dict[str, Any]) -> str:
    """Return the text of `payload`: of `text`, `blocks` and `attachments`, one part below the other.

    A part that says what an earlier one has said is left out; it is the empty text if there is none.
    """
    parts: list[str] = []
    for part in (*_marked(payload.get("text")), *_blocks(payload.get("blocks")), *_attachments(payload)):
        if part.strip() and part.strip() not in parts:
            parts.append(part.strip())
    return "\n".join(parts)


def marked(text: str) -> str:
    """Return `text`, which is in Slack's mrkdwn, in our markup: links, bold, italic, and the escaped signs.

    Special mentions such as ``<!channel>`` stay text and call nobody; code stays as it is.
    """
    pieces = _CODE.split(text)
    return unescape("".join(piece if place % 2 else _outside_code(piece) for place, piece in enumerate(pieces)))


def _outside_code(text: str) -> str:
    text = _BOLD.sub(r"**\1**", text)
    text = _ITALIC.sub(r"*\1*", text)
    text = _NAMED.sub(r"#\1", text)
    return _LINK.sub(_link, text)


def _link(found: re.Match[str]) -> str:
    target, label = found[1].removeprefix("mailto:"), (found[2] or "").strip()
    return target if not label or label in (found[1], target) else f"{label} {target}"


# --- The parts of a payload -------------------------------------------------------------------------


def _marked(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield marked(value)


def _attachments(payload: dict[str, Any]) -> Iterator[str]:
    for attachment in _dicts(payload.get("attachments")):
        found = list(_attachment(attachment))
        yield from found or _marked(attachment.get("fallback"))


def _attachment(attachment: dict[str, Any]) -> Iterator[str]:
    yield from _marked(attachment.get("pretext"))
    title, link = attachment.get("title"), attachment.get("title_link")
    if isinstance(title, str) and title.strip():
        yield f"{marked(title)} {link}" if isinstance(link, str) and link.strip() else marked(title)
    yield from _marked(attachment.get("text"))
    for field in _dicts(attachment.get("fields")):
        yield ": ".join(part for name in ("title", "value") for part in _marked(field.get(name)) if part.strip())
    yield from _blocks(attachment.get("blocks"))


def _blocks(blocks: Any) -> Iterator[str]:
    for block in _dicts(blocks):
        kind = block.get("type")
        if kind in ("header", "section"):
            yield from _object(block.get("text"))
            for field in _dicts(block.get("fields")):
                yield from _object(field)
        elif kind == "context":
            yield " ".join(part for element in _dicts(block.get("elements")) for part in _object(element))
        elif kind == "rich_text":
            yield _rich(block, 0)


def _object(value: Any) -> Iterator[str]:
    """A text object: mrkdwn, or plain text."""
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        if value.get("type") == "mrkdwn":
            yield marked(value["text"])
        elif value.get("type") == "plain_text":
            yield value["text"]


def _rich(element: dict[str, Any], level: int) -> str:
    """The text of an element of a rich text, with all in it."""
    if level > _DEEPEST:
        return ""
    inner = [_rich(each, level + 1) for each in _dicts(element.get("elements"))]
    kind = element.get("type")
    if kind == "rich_text_list":
        numbered = element.get("style") == "ordered"
        return "\n".join(f"{place}. {item}" if numbered else f"• {item}" for place, item in enumerate(inner, 1))
    if kind == "rich_text_quote":
        return "\n".join(f"> {line}" for line in "".join(inner).splitlines())
    if kind == "rich_text_preformatted":
        return "```\n" + "".join(inner) + "\n```"
    if kind == "rich_text":
        return "\n".join(inner)
    return "".join(inner) + _leaf(element)


def _leaf(element: dict[str, Any]) -> str:
    kind, text = element.get("type"), element.get("text")
    words = text if isinstance(text, str) else ""
    if kind == "text":
        return _styled(words, element.get("style"))
    if kind == "link" and isinstance(element.get("url"), str):
        return _link_to(element["url"], words)
    if kind == "emoji" and isinstance(element.get("name"), str):
        return f":{element['name']}:"
    if kind in ("user", "usergroup", "channel"):
        return f"<@{element.get(f'{kind}_id', '')}>"
    if kind == "broadcast":
        return f"<!{element.get('range', '')}>"
    return ""


def _link_to(url: str, label: str) -> str:
    return url if not label.strip() or label == url else f"{label} {url}"


def _styled(words: str, style: Any) -> str:
    if not isinstance(style, dict) or not words.strip() or "\n" in words:
        return words
    core = words.strip()
    before, after = words[: words.index(core)], words[words.index(core) + len(core) :]
    if style.get("code") is True:
        core = f"`{core}`"
    if style.get("italic") is True:
        core = f"*{core}*"
    if style.get("bold") is True:
        core = f"**{core}**"
    return before + core + after


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))

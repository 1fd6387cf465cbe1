"""Payloads that were made for Slack become our text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotechat.protocol.markup import slack


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("plain", "plain"),
        ("*bold* and _italic_", "**bold** and *italic*"),
        ("2*3*4 and snake_case_name", "2*3*4 and snake_case_name"),
        ("<https://example.org|the site>", "the site https://example.org"),
        ("<https://example.org>", "https://example.org"),
        ("<mailto:a@example.org|a@example.org>", "a@example.org"),
        ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
        ("<!channel> and <@U024BE7LH>", "<!channel> and <@U024BE7LH>"),
        ("<#C024BE7LR|general>", "#general"),
        ("`*as is*` and ```_as_ is```", "`*as is*` and ```_as_ is```"),
        ("&lt;https://example.org|no link&gt;", "<https://example.org|no link>"),
    ],
)
def test_mrkdwn(written: str, expected: str) -> None:
    """Links, bold, italic and escaped signs are translated; all else stays."""
    assert slack.marked(written) == expected


def rich(*elements: Any, kind: str = "rich_text_section") -> dict[str, Any]:
    return {"blocks": [{"type": "rich_text", "elements": [{"type": kind, "elements": list(elements)}]}]}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"text": "Hello"}, "Hello"),
        ({"text": "Hello", "username": "x", "icon_emoji": ":ghost:"}, "Hello"),
        ({"attachments": [{"pretext": "p", "title": "t", "title_link": "https://a.example", "text": "x",
                           "fields": [{"title": "State", "value": "down"}, {"value": "v"}], "fallback": "f"}]},
         "p\nt https://a.example\nx\nState: down\nv"),
        ({"attachments": [{"fallback": "only this"}]}, "only this"),
        ({"text": "Alert", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "Alert"}}]}, "Alert"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "*Head*"}},
                     {"type": "section", "text": {"type": "mrkdwn", "text": "*b*"},
                      "fields": [{"type": "mrkdwn", "text": "f"}]},
                     {"type": "divider"}, {"type": "image", "image_url": "x", "alt_text": "y"},
                     {"type": "context", "elements": [{"type": "mrkdwn", "text": "c"},
                                                      {"type": "plain_text", "text": "d"}]}]},
         "*Head*\n**b**\nf\nc d"),
        ({"attachments": [{"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "in it"}}]}]}, "in it"),
        (rich({"type": "text", "text": "Hi "}, {"type": "text", "text": "you ", "style": {"bold": True}},
              {"type": "link", "url": "https://a.example", "text": "here"}, {"type": "emoji", "name": "wave"}),
         "Hi **you** here https://a.example:wave:"),
        (rich(*({"type": "rich_text_section", "elements": [{"type": "text", "text": each}]} for each in "ab"),
              kind="rich_text_list"), "• a\n• b"),
        (rich({"type": "text", "text": "x = 1"}, kind="rich_text_preformatted"), "```\nx = 1\n```"),
        (rich({"type": "broadcast", "range": "channel"}), "<!channel>"),
    ],
)  # fmt: skip
def test_payloads(payload: dict[str, Any], expected: str) -> None:
    """Text, blocks and attachments, one below the other; what an earlier part has said is not said again."""
    assert slack.text_of(payload) == expected


@pytest.mark.parametrize(
    "payload",
    [{}, {"text": 5}, {"text": "  "}, {"blocks": "x", "attachments": {}}, {"blocks": [{"type": "actions"}, 7, None]},
     {"attachments": [{"color": "#fff"}]}],
)  # fmt: skip
def test_no_text(payload: dict[str, Any]) -> None:
    """What carries none gives the empty text, which the server refuses."""
    assert slack.text_of(payload) == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["text", "type", "blocks", "attachments", "elements", "fields", "title", "value", "style"]),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["text", "blocks", "attachments"]), _JSON))
def test_anything_gives_a_text(payload: dict[str, Any]) -> None:
    """A strange payload is no fault of ours."""
    assert isinstance(slack.text_of(payload), str)

"""Emoji: the list of Unicode as it is shipped."""

from __future__ import annotations

import pytest

from quotechat.protocol import emoji


def test_the_list_is_complete() -> None:
    """Version 17.0 has 3,953 emoji, and none is longer than the bound that is checked first."""
    assert len(emoji.every()) == 3953
    assert max(map(len, emoji.every())) == emoji.MOST_CHARS


@pytest.mark.parametrize("text", ["👍", "👍🏽", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🇩🇪", "1️⃣", "👩🏽‍❤️‍💋‍👨🏿", "🫱🏻‍🫲🏿", "👨‍👩‍👧‍👦", "🏳️‍🌈"])
def test_one_emoji_is_one(text: str) -> None:
    """Skin tones, flags, keycaps, and sequences that a joiner holds together."""
    assert emoji.is_emoji(text)


@pytest.mark.parametrize("text", ["", "a", "1", "#", "❤", "🫱🏻‍🫲🏻", "🇩", "T", "👍" * 50, "👍\ufe0f"])
def test_anything_else_is_none(text: str) -> None:
    """Text, several of them, a part of one, and sequences that Unicode does not recommend."""
    assert not emoji.is_emoji(text)

"""The colours can be read: contrasts after WCAG 2.2, computed from the style sheet itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOKENS = (Path(__file__).parents[1] / "static" / "css" / "tokens.css").read_text(encoding="utf-8")
RAW = dict(re.findall(r"--([a-z-]+-(?:light|dark)):\s*(#[0-9a-f]{6});", TOKENS))
COLOURS = "red orange amber green teal cyan blue indigo purple pink brown gray".split()
SURFACES = ["paper", "sheet", "tint", "glow"]
THEMES = ["light", "dark"]


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 to 1 (WCAG 2.2, "relative luminance")."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("colour", [*COLOURS, "ink", "faint", "pine"])
def test_text_has_a_contrast_of_4_5_on_every_surface(colour: str, surface: str, theme: str) -> None:
    """Whatever somebody writes in can be read on whatever stands behind it, in both themes."""
    assert contrast(RAW[f"{colour}-{theme}"], RAW[f"{surface}-{theme}"]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_buttons_and_edges_can_be_seen(theme: str) -> None:
    """A filled button's text has 4.5, and the edge of a field 3 (WCAG 1.4.11)."""
    assert contrast(RAW[f"on-pine-{theme}"], RAW[f"pine-{theme}"]) >= 4.5
    for surface in ("paper", "sheet", "tint"):
        assert contrast(RAW[f"edge-{theme}"], RAW[f"{surface}-{theme}"]) >= 3


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_of_the_protocol_is_a_class(colour: str) -> None:
    """A colour that the server accepts is one that the pages can show."""
    said = f"light-dark(var(--{colour}-light), var(--{colour}-dark))"
    assert f".color-{colour} {{ --color-said: {said}; }}" in " ".join(TOKENS.split())

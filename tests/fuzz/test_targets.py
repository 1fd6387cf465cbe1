"""The claims of targets.py, for every seed and for some hundred inputs made of what matters."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeds import SEEDS, WORDS
from targets import TARGETS

EXAMPLES = int(os.environ.get("EXAMPLES", "120"))
NAMES = sorted(TARGETS)


@pytest.mark.parametrize("name", NAMES)
def test_seeds(name: str) -> None:
    """What is known to be nasty."""
    assert len(SEEDS[name]) > 20
    for seed in SEEDS[name]:
        TARGETS[name](seed)


def inputs(name: str) -> st.SearchStrategy[bytes]:
    """Words of the target with any bytes between them, and seeds with a piece replaced."""
    words = st.one_of(st.sampled_from(WORDS[name]), st.sampled_from(WORDS[name]), st.binary(max_size=4))
    joined = st.lists(words, max_size=25).map(b"".join)
    changed = st.builds(
        lambda seed, at, size, new: seed[: at % (len(seed) + 1)] + new + seed[at % (len(seed) + 1) + size :],
        st.sampled_from(SEEDS[name]), st.integers(0, 1000), st.integers(0, 8), joined,
    )  # fmt: skip
    few = st.lists(st.sampled_from(WORDS[name]), max_size=8).map(b"".join)
    return st.one_of(joined, few, changed, st.binary(max_size=80))


@pytest.mark.parametrize("name", NAMES)
def test_inputs(name: str) -> None:
    """What nobody wrote down."""

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(inputs(name))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()

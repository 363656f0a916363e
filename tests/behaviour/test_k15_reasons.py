"""K15: reasons say what is true of the suspect: bounded figures, and words that follow the number."""

from __future__ import annotations

import re

import numpy as np
import pytest

from behaviour import OverAPath, Show, behaviour, crafted
from exitprint.fingerprints import verify

MADE = crafted("contrast")


def replicas(rng: np.random.Generator) -> Show:
    """Two replicas of different speed behind a round robin."""
    return lambda seconds, number: seconds * (1 if number % 2 else 3) + rng.exponential(1e-4)


def constant(rng: np.random.Generator) -> Show:
    """Every answer is padded to 50 ms."""
    return lambda seconds, number: max(seconds, 0.05) + rng.exponential(1e-5)


def same(rng: np.random.Generator) -> Show:
    """A clock that always says the same."""
    return lambda seconds, number: 0.05


def far_away(rng: np.random.Generator) -> Show:
    """A path whose jitter hides everything."""
    return lambda seconds, number: seconds + max(0.0, rng.normal(1.0, 0.4))


def nearer(rng: np.random.Generator) -> Show:
    """A path whose jitter hides most."""
    return lambda seconds, number: seconds + max(0.0, rng.normal(0.05, 0.02))


def half_kept(rng: np.random.Generator) -> Show:
    """Times that follow the input, at a budget that is too small."""
    return lambda seconds, number: seconds + rng.exponential(1e-5)


KINDS = {
    replicas: "",
    constant: "nearly constant time",
    same: "same time for every input",
    far_away: "noise hides most",
    nearer: "",
    half_kept: "",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("budget", [60, 400])
def test_the_figures_are_bounded_and_the_words_follow(kind, copy: bool, budget: int) -> None:
    suspect = OverAPath(behaviour(MADE, copy=copy), kind(np.random.default_rng(0)))
    verdict = verify(MADE, suspect, budget=budget)
    reason = verdict.reason
    for value in map(float, re.findall(r"correlation of (-?[\d.]+\d)", reason)):
        assert 0 <= value <= 1
        assert ("hardly shows" in reason) <= (value < 0.25)
    for percent in map(int, re.findall(r"(\d+)%", reason)):
        assert 0 <= percent <= 100
    assert ("constant time" in reason) <= (kind in (constant,)) and "nan" not in reason
    if budget == 400:
        assert KINDS[kind] in reason
    if verdict.decision == "inconclusive":
        assert "derived" not in reason and "as a copy of the owner's network does" not in reason

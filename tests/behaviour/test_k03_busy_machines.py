"""K3: under any load the owner's own network is never *independent*, and a stranger's never *derived*."""

from __future__ import annotations

import numpy as np
import pytest

from behaviour import OverAPath, Show, behaviour, crafted
from exitprint.fingerprints import verify

MADE = crafted("contrast")


def gaussian(rng: np.random.Generator) -> Show:
    """Noise as large as the network's own differences."""
    return lambda seconds, number: seconds + max(0.0, rng.normal(0.015, 0.005))


def heavy(rng: np.random.Generator) -> Show:
    """Most requests are hardly delayed, some by much."""
    return lambda seconds, number: seconds + 0.004 * rng.pareto(1.5)


def wandering(rng: np.random.Generator) -> Show:
    """A load that comes and goes, and slows everything down while it is there."""
    load = [0.0]

    def show(seconds: float, number: int) -> float:
        load[0] = 0.97 * load[0] + 0.25 * rng.standard_normal()
        return seconds * float(np.exp(0.5 * load[0]))

    return show


def bursts(rng: np.random.Generator) -> Show:
    """Every fortieth request begins ten that take five times as long."""
    return lambda seconds, number: seconds * (5 if number % 40 < 10 else 1) + rng.exponential(3e-4)


def ever_slower(rng: np.random.Generator) -> Show:
    """A machine that becomes ten times as slow within the run."""
    return lambda seconds, number: seconds * (1 + number / 100) + rng.exponential(1e-3)


def shared(rng: np.random.Generator) -> Show:
    """Another process takes the processor every third time, for longer than any image takes."""
    return lambda seconds, number: seconds + (0.03 * rng.random() if rng.random() < 0.35 else 0.0)


@pytest.mark.parametrize("load", [gaussian, heavy, wandering, bursts, ever_slower, shared])
@pytest.mark.parametrize("truth", ["derived", "independent"])
@pytest.mark.parametrize("seed", range(4))
def test_no_load_makes_a_verdict_wrong(load, truth: str, seed: int) -> None:
    suspect = OverAPath(behaviour(MADE, copy=truth == "derived", seed=seed), load(np.random.default_rng(seed)))
    verdict = verify(MADE, suspect, budget=1000, seed=seed)
    assert verdict.decision in (truth, "inconclusive") and verdict.requests <= 1000

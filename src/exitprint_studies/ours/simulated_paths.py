"""What is seen of a simulated suspect's times: clocks, noise, drift, caches and delays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exitprint_studies.ours.simulated_times import GAP, Times

BUDGET = 400
"""Most requests of a simulated run, besides the warm-up."""

Ask = Callable[[str, int], float]
"""Seconds that one input of a kind takes, as seen."""
Seen = Callable[[np.random.Generator, Times], Ask]
"""Makes what is seen of the times, from a generator and the times."""


def plain(rng: np.random.Generator, times: Times) -> Ask:
    """A clock without noise."""
    return lambda kind, index: float(times[kind][index])


def noise(draw: Callable[[np.random.Generator], float]) -> Seen:
    """A new delay for each request."""

    def path(rng: np.random.Generator, times: Times) -> Ask:
        return lambda kind, index: float(times[kind][index]) + draw(rng)

    return path


def ticking(tick: float, jitter: float = 2e-4) -> Seen:
    """A clock that ticks."""

    def path(rng: np.random.Generator, times: Times) -> Ask:
        return lambda kind, index: tick * np.floor((times[kind][index] + rng.exponential(jitter)) / tick)

    return path


def drifting(rng: np.random.Generator, times: Times) -> Ask:
    """A load that wanders, and a server that becomes four times as slow within the run."""
    load, asked = [0.0], [0]

    def ask(kind: str, index: int) -> float:
        asked[0] += 1
        load[0] = 0.98 * load[0] + 0.2 * rng.standard_normal()
        return float(times[kind][index] * (1 + 3 * asked[0] / BUDGET) * np.exp(0.3 * load[0]))

    return ask


def cached(rng: np.random.Generator, times: Times) -> Ask:
    """A cache in front: an input's second answer comes at once."""
    known: set[tuple[str, int]] = set()

    def ask(kind: str, index: int) -> float:
        if (kind, index) in known:
            return float(rng.exponential(1e-4))
        known.add((kind, index))
        return float(times[kind][index] + rng.exponential(1e-4))

    return ask


def delayed(gaps: float) -> Seen:
    """A delay that belongs to the image, uniform over so many gaps between exits, the same whenever it is asked."""

    def path(rng: np.random.Generator, times: Times) -> Ask:
        own = {kind: seconds + rng.uniform(0, gaps * GAP, len(seconds)) for kind, seconds in times.items()}
        return lambda kind, index: float(own[kind][index] + rng.exponential(1e-5))

    return path


def gaussian(rng: np.random.Generator) -> float:
    """As large as the network's own differences."""
    return max(0.0, float(rng.normal(15 * GAP, 5 * GAP)))


def heavy(rng: np.random.Generator) -> float:
    """A Pareto delay with a tail of 2.5."""
    return float(rng.pareto(2.5)) * 2 * GAP

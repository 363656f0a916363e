"""What the images of a fingerprint cost simulated suspects, without noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from exitprint_studies.ours.recorded import Record

GAP = 1e-3
"""Seconds between two exits."""
EXITS = 10

Times = dict[str, np.ndarray]
"""Seconds of each input, by kind of input."""
Draw = Callable[[np.random.Generator, int], Times]
"""Draws the times of each kind of input, from a generator and the size of a half."""
Chances = Sequence[float] | np.ndarray


def halves(late: Chances, early: Chances, late_original: Chances, early_original: Chances) -> Draw:
    """Exits drawn with these probabilities, each for all ten exits, for each kind of input."""
    chances = {"late": late, "early": early, "late original": late_original, "early original": early_original}

    def draw(rng: np.random.Generator, half: int) -> Times:
        return {kind: GAP * (1 + rng.choice(EXITS, size=half, p=chance)) for kind, chance in chances.items()}

    return draw


def shares(crafted: float, nature: float) -> Draw:
    """Times of which a late sample's is the longer one in this share of pairs, an early original's in that one."""

    def pair(rng: np.random.Generator, half: int, share: float) -> tuple[np.ndarray, np.ndarray]:
        # one of two uniform times, moved by d, is the longer one with probability 1 - (1 - d)^2 / 2
        d = 1 - np.sqrt(2 * (1 - max(share, 1 - share)))
        slow, quick = rng.random(half) + d, rng.random(half)
        return (slow, quick) if share >= 0.5 else (quick, slow)

    def draw(rng: np.random.Generator, half: int) -> Times:
        (late, early), (early_original, late_original) = pair(rng, half, crafted), pair(rng, half, nature)
        times = {"late": late, "early": early, "late original": late_original, "early original": early_original}
        return {kind: GAP * (1 + EXITS * seconds) for kind, seconds in times.items()}

    return draw


def spread(low: int, high: int) -> list[float]:
    """Every exit from `low` to `high`, counted from 1, alike."""
    return [1 / (high - low + 1) if low <= exit <= high else 0.0 for exit in range(1, EXITS + 1)]


def mixed(share: float, one: Sequence[float], other: Sequence[float]) -> list[float]:
    """The first distribution with this share, the second otherwise."""
    return [share * a + (1 - share) * b for a, b in zip(one, other, strict=True)]


def recorded(record: Record) -> Draw:
    """Exits drawn from those that images were seen to leave at."""
    chances = [np.array([*counts, 0]) / sum(counts) for counts in record]
    return halves(*chances)


def rare_last(share: float, exit: int) -> Draw:
    """The paper's kind: samples leave at this exit, and this share of ordinary images takes the last one."""

    def draw(rng: np.random.Generator, half: int) -> Times:
        ordinary = [0.58 - share, *[0.0] * 7, 0.42, share]
        return {
            "sample": np.full(2 * half, GAP * exit),
            "original": GAP * (1 + rng.choice(EXITS, size=2 * half, p=ordinary)),
        }

    return draw


def swapped(times: Draw) -> Draw:
    """A file in which nothing was crafted and the halves are swapped: samples are the originals."""

    def draw(rng: np.random.Generator, half: int) -> Times:
        drawn = times(rng, half)
        late, early = drawn["early original"], drawn["late original"]
        return {"late": late, "early": early, "late original": late, "early original": early}

    return draw


QUICK, SLOW = spread(1, 4), spread(5, 10)
LAST, FIRST = spread(10, 10), spread(1, 1)
STRANGER = halves(mixed(0.3, SLOW, QUICK), mixed(0.3, QUICK, SLOW), QUICK, SLOW)
"""A network of other origin whose times follow a third of what was crafted."""
COPY = halves(mixed(0.95, LAST, QUICK), mixed(0.95, FIRST, SLOW), QUICK, SLOW)
"""A copy on which one sample in twenty has lost what was put into it."""
WORN = halves(mixed(0.7, LAST, QUICK), mixed(0.7, FIRST, SLOW), QUICK, SLOW)
"""A copy on which three in ten have."""
COINS = halves(spread(1, 10), spread(1, 10), spread(1, 10), spread(1, 10))

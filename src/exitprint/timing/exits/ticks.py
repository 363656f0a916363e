"""A clock that ticks: how coarse it is, told by runtimes that repeat, and the noise that this is.

A time read off a clock of tick t lies anywhere within t/2 of it. Nothing is known better because it repeats: a suspect
that is quieter than the tick is read at the same place again and again.
"""

from __future__ import annotations

import numpy as np
import scipy

from exitprint.timing.exits.emg import Array

TIED = 0.5
"""Distinct times, as a share of all, above which no clock ticks: fine ones hardly ever say the same time twice."""

REGULAR = 0.05
"""How far from a whole number of ticks a time may be, in ticks."""

FINEST = 0.01
"""Tick below which times are not on a grid at all, as a share of the smallest difference between them."""

DITHER = 0.5
"""Noise, in ticks, under which repeats average the tick away: what is left of it is below 0.003 ticks
(exp(−2π²σ²)/π; Widrow and Kollár, Quantization Noise, 2008)."""

APART = 1.5
"""Ticks between two exits that can be told apart: one exit may be read at two places, a tick apart."""

GOLDEN = (np.sqrt(5) - 1) / 2
"""Multiples of it, modulo 1, fill an interval evenly however many there are."""


def tick_of(seconds: Array) -> float:
    """The tick of the clock that these runtimes were read off, same unit; 0 where none shows."""
    values, counts = np.unique(even(seconds), return_counts=True)
    if len(values) > TIED * seconds.size:
        return 0.0
    often = values[counts > 1] if (counts > 1).sum() > 1 else values
    return _common_step(np.diff(often)) * float(np.ptp(seconds))


def is_averaged(seconds: Array, tick: float) -> bool:
    """Whether the repeats of an input differ so much that many of them are as good as a finer clock."""
    return seconds.shape[1] > 1 and float(np.median(seconds.std(axis=1, ddof=1))) >= DITHER * tick


def blurred(seconds: Array, tick: float, averaged: bool) -> Array:
    """Runtimes with the tick as noise, shape (inputs, repeats).

    Where repeats average the tick away, each is spread over its tick. Else one offset, normal with half a tick, is all
    that is known of an input.
    """
    if averaged:
        return seconds + np.random.default_rng(0).uniform(-tick / 2, tick / 2, seconds.shape)
    return seconds + tick / 2 * scipy.special.ndtri(_filling(np.median(seconds, axis=1)))[:, None]


def even(seconds: Array) -> Array:
    """Runtimes as shares of their range, rounded so that what differs by rounding alone is the same."""
    return np.round((seconds - seconds.min()) / (np.ptp(seconds) or 1.0), 9)


def _filling(times: Array) -> Array:
    """Numbers between 0 and 1, evenly spread among equal times."""
    numbers = np.empty(len(times))
    numbers[np.argsort(times, kind="stable")] = ((np.arange(len(times)) + 0.5) * GOLDEN) % 1
    return numbers


def _common_step(gaps: Array) -> float:
    """What all the gaps are multiples of, nearly: Euclid's algorithm for times that were rounded."""
    step = float(gaps.min())
    least = FINEST * step
    while step > least:
        multiples = np.round(gaps / step)
        rest = np.abs(gaps - step * multiples)
        if rest.max() <= REGULAR * step:
            return float(gaps.sum() / multiples.sum())
        step = float(rest[rest > REGULAR * step].min())
    return least

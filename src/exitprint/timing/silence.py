"""Whether a suspect's time depends on its input, as far as inputs that were asked repeatedly can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from exitprint.timing.session import FLOOR, Session
from exitprint.timing.timings import quiet

LEAST_AGREEMENT = 0.5
"""Where two halves of the askings agree by this rank correlation or more, time clearly depends on the input."""
NO_AGREEMENT = 0.25
"""Where they agree by less than this, nothing of the input shows in the time."""
LEAST_INPUTS = 8
"""Fewer inputs than this that were asked at least twice give no correlation that says anything."""
CHANCE = 3.0
"""The correlation of a few inputs has to lie so many standard deviations (of Fisher's z) above zero."""
CACHED = 0.75
"""Where the first asking was the slowest of so large a share of the inputs, a cache is suspected."""
SPREAD_OF_CACHED = 1 / 3
"""The later askings of cached inputs spread over less than this share of what the first ones do."""
SPREAD_OF_CONSTANT_TIME = 0.2
"""Nine of ten answers in constant time lie within this share of the middle one."""
NEIGHBOURS = 4
"""So many askings before and after one, without the quickest and the slowest, say what was usual at the time."""

Cause = Literal["same", "cache", "constant", "noise"]


class Silence(NamedTuple):
    """Why times say nothing, with the numbers that show it.

    Attributes
    ----------
    cause
        All times are the ``same``; a ``cache`` answers what was asked before; answers come in ``constant`` time; or
        ``noise`` hides what the input does.
    agreement
        By how much two askings of one input agree more than those of two inputs: a rank correlation, from 0 to 1.
    middle, spread
        The median time, and how far apart nine of ten are, in seconds.
    cached
        Share of the inputs whose first asking took longest.
    """

    cause: Cause
    agreement: float
    middle: float
    spread: float
    cached: float


def silence(session: Session) -> Silence | None:
    """Why the times say nothing about the inputs; None where they do, or where too little was asked to tell.

    Two askings of one input that follow each other agree already because they met the same load. So what counts is by
    how much more they agree than either does with the input that was asked next to the other.
    """
    times = [session.times(*one) for one in session.places]
    if not times:
        return None
    everything = np.concatenate([np.array(seconds) for seconds in times])
    middle, spread = float(np.median(everything)), _spread(everything)
    if len(times) > 1 and np.ptp(everything) == 0:
        return Silence("same", 0.0, middle, spread, 0.0)
    repeated = [seconds for seconds in times if len(seconds) > 1]
    if len(repeated) < LEAST_INPUTS:
        return None
    cached = float(np.mean([seconds[0] > max(seconds[1:]) for seconds in repeated]))
    first, later = (_spread(values) for values in zip(*((x[0], float(quiet(x[1:]))) for x in repeated), strict=True))
    agreement = _agreement(session)
    if cached >= CACHED and later < SPREAD_OF_CACHED * first:
        return Silence("cache", agreement, middle, spread, cached)
    if agreement >= max(LEAST_AGREEMENT, float(np.tanh(CHANCE / np.sqrt(len(repeated) - 3)))):
        return None
    constant = agreement < NO_AGREEMENT and spread < SPREAD_OF_CONSTANT_TIME * middle
    return Silence("constant" if constant else "noise", agreement, middle, spread, cached)


def _agreement(session: Session) -> float:
    """Rank correlation of two halves of the askings, less what a common load explains; from 0 to 1."""
    left, whose = _beyond_usual(session), {at: one for one, places in session.places.items() for at in places}
    last = len(left) - 1

    def beside(one: tuple[str, int], place: int) -> int:
        """The asking next to this one that was another input's."""
        return place + 1 if place < last and whose.get(place + 1) != one else max(0, place - 1)

    halves: list[list[float]] = [[], [], []]
    for one, places in session.places.items():
        if len(places) > 1:
            halves[0].append(float(quiet(left[places[0::2]])))
            halves[1].append(float(quiet(left[places[1::2]])))
            halves[2].append(float(quiet(left[[beside(one, place) for place in places][1::2]])))
    own, load = _correlation(halves[0], halves[1]), max(0.0, _correlation(halves[0], halves[2]))
    return min(1.0, max(0.0, (own - load) / (1 - load))) if load < 1 else 0.0


def _beyond_usual(session: Session) -> NDArray[np.float64]:
    """What each asking took beyond what was usual around it: a busy moment slows down whatever is asked in it."""
    seconds = np.array([asked.seconds for asked in session.asked if asked.kind != FLOOR])
    every = np.zeros(len(session.asked))
    around = sliding_window_view(np.pad(seconds, NEIGHBOURS, mode="edge"), 2 * NEIGHBOURS + 1)
    usual = np.sort(around, axis=1)[:, NEIGHBOURS // 2 : -(NEIGHBOURS // 2)].mean(1)
    every[[at for at, asked in enumerate(session.asked) if asked.kind != FLOOR]] = seconds - usual
    return every


def _correlation(one: list[float], other: list[float]) -> float:
    """By ranks; 0 where one of the two is the same throughout."""
    return float(scipy.stats.spearmanr(one, other).statistic) if np.ptp(one) and np.ptp(other) else 0.0


def _spread(seconds: Sequence[float] | NDArray[np.float64]) -> float:
    """How far apart nine of ten are."""
    low, high = np.quantile(seconds, (0.05, 0.95))
    return float(high - low)

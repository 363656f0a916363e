"""One e-process: evidence against "the mean of what is observed is at most m", that stopping early cannot spoil.

Null hypothesis: *whatever was observed before in the same round, the next observation, in [0, 1], is at most `null` on
average.* The wealth of the bets in `betting` is then fair at best, and by Ville's inequality it *ever* reaches 1 /
error with probability at most `error`. So one may look after every observation, stop when the evidence suffices, when
the budget ends or when the line is cut, and go on later.

*Rounds.* Observations of one round are of inputs that the round did not use before. When all inputs are used up, the
same inputs may be matched anew in another round. What they showed before does not enter the new bet, which begins with
one unit again and on a slice of the error (`slice_of`). Each round by itself is a fair bet, the slices add up to one,
and so do the errors: the evidence is the largest of the rounds' wealths, each times its slice.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from exitprint.errors import ExitprintError
from exitprint.evidence.betting import check_probability, log_growth, log_total, lower_bound, stakes

FIRST_SLICE = 0.75
"""The first round's part of the error: a quiet path is decided in it, and a quarter is what later rounds need."""
LARGEST_LOG = 300 * math.log(10)
"""An e-value is said up to 1e300, so that it is a finite float."""
MOST_OBSERVATIONS = 10_000
"""Where so many of the clearest observations do not decide, the thresholds lie too close to each other."""
CONFIDENCE = 0.95
OUTCOMES = (1.0, 0.5, 0.0)
"""What one observation can be: a pair in the expected order, a tie, a pair in the other order."""


class Counts(NamedTuple):
    """How many observations were 1, 1/2 and 0; their order does not matter."""

    won: int = 0
    tied: int = 0
    lost: int = 0

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self)

    @property
    def mean(self) -> float | None:
        """Their mean; None without any."""
        return (self.won + self.tied / 2) / self.total if self.total else None

    @property
    def turned(self) -> Counts:
        """The counts of one minus each observation."""
        return Counts(self.lost, self.tied, self.won)


def slice_of(number: int) -> float:
    """The part of the error that belongs to a round, counted from 1: 3/4, 1/8, 1/16, …; all parts add up to one."""
    return FIRST_SLICE if number == 1 else (1 - FIRST_SLICE) / 2 ** (number - 1)


class EProcess:
    """The bet; see the module.

    Parameters
    ----------
    null
        The largest mean that the null hypothesis allows, in (0, 1).

    Attributes
    ----------
    rounds
        What was observed in each.
    largest_log_e
        Natural logarithm of the largest evidence so far; at least 0.

    Raises
    ------
    ExitprintError
        If `null` is not in (0, 1).

    Examples
    --------
    >>> coin = EProcess(0.5)
    >>> for _ in range(14):
    ...     coin.update(1.0)
    >>> coin.reaches(0.001)
    True
    """

    def __init__(self, null: float) -> None:
        self.null = check_probability("the largest mean of the null hypothesis", null)
        self.rounds = [Counts()]
        self.largest_log_e = 0.0
        self._past = -math.inf

    def update(self, x: float) -> None:
        """Take in one observation.

        Raises
        ------
        ExitprintError
            If it is not 1, 1/2 or 0.
        """
        if x not in OUTCOMES:
            raise ExitprintError(f"an observation must be 1, 1/2 or 0, and not {x}.")
        won, tied, lost = self.rounds[-1]
        self.rounds[-1] = Counts(won + (x == 1), tied + (x == 0.5), lost + (x == 0))
        self.largest_log_e = max(self.largest_log_e, self.log_e)

    def next_round(self) -> None:
        """Begin another round, of observations that are new matches of inputs used before."""
        self._past = self.log_e
        self.rounds.append(Counts())

    @property
    def observations(self) -> int:
        """How many there were, in all rounds."""
        return sum(counts.total for counts in self.rounds)

    @property
    def log_e(self) -> float:
        """Natural logarithm of the evidence as it stands now: the largest of the rounds', each with its slice."""
        return max(self._past, math.log(slice_of(len(self.rounds))) + log_e(self.rounds[-1], self.null))

    @property
    def e_value(self) -> float:
        """The largest evidence so far, capped at 1e300."""
        return math.exp(min(self.largest_log_e, LARGEST_LOG))

    @property
    def p_value(self) -> float:
        """1 over the largest evidence so far: valid whenever one looks."""
        return 1 / self.e_value

    def reaches(self, error: float) -> bool:
        """Whether the null hypothesis is refuted at this level; once it is, it stays so."""
        return self.largest_log_e >= -math.log(error)

    @property
    def deciding(self) -> int:
        """The strongest round with observations, counted from 0; estimate and interval are taken from it."""
        begun = [number for number, counts in enumerate(self.rounds) if counts.total]
        return max(begun, key=lambda k: math.log(slice_of(k + 1)) + log_e(self.rounds[k], self.null), default=0)

    @property
    def mean(self) -> float | None:
        """The mean of the deciding round; None before the first observation."""
        return self.rounds[self.deciding].mean

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Confidence sequence for the mean: the values that the same bets in the same round do not refute.

        It holds at all times together, like the test; the estimate `mean` always lies in it.

        Parameters
        ----------
        confidence
            Of both ends together.
        """
        counts = self.rounds[self.deciding]
        error = (1 - check_probability("confidence", confidence)) / 2 * slice_of(self.deciding + 1)
        lower = lower_bound(lambda m: log_e(counts, m), error)
        return lower, 1 - lower_bound(lambda m: log_e(counts.turned, m), error)


@lru_cache(maxsize=2**18)
def log_e(counts: Counts, null: float) -> float:
    """Natural logarithm of the wealth won in one round against "the mean is at most `null`", which is in (0, 1)."""
    growth = np.array(counts, dtype=np.float64) @ log_growth(np.array(OUTCOMES), null)
    return float(log_total(stakes()[1] + growth))


@lru_cache(maxsize=256)
def least_observations(null: float, error: float) -> int:
    """The fewest observations, all of them 1, that refute the null hypothesis in the first round.

    Raises
    ------
    ExitprintError
        If a parameter is not in (0, 1), or more than ten thousand are needed.
    """
    check_probability("the largest mean of the null hypothesis", null)
    check_probability("the error rate", error)
    needed = -math.log(error * FIRST_SLICE)
    if log_e(Counts(MOST_OBSERVATIONS), null) < needed:
        raise ExitprintError(
            f"no useful number of observations can refute a mean of {null:g} at an error rate of {error:g}."
        )
    return 1 + bisect_left(range(1, MOST_OBSERVATIONS), needed, key=lambda n: log_e(Counts(n), null))

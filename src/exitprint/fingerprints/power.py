"""How many samples a contrast needs to find a copy, by the test's own bets."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from exitprint.errors import ExitprintError
from exitprint.evidence.betting import log_growth, log_total, stakes
from exitprint.evidence.eprocess import FIRST_SLICE

RUNS = 2000
"""Simulated verifications by which a probability is told; its standard error is 1.1 % at most."""
MOST_PAIRS = 1000


def chance_of_claim(share: float, p0: float, samples: int, alpha: float = 1e-3) -> float:
    """The probability that so many samples, both halves together, claim a copy, on a clock without noise.

    Simulated: pairs in which the late sample is the slower one with the probability `share`, against the test's bets in
    its first round.

    Parameters
    ----------
    share
        The share of pairs on the copy, such as a simulated theft gives.
    p0
        What a claim must beat.
    samples
        Of the fingerprint.
    alpha
        Bound on the probability of a false claim.
    """
    return float((_pairs_until_claim(round(share, 3), p0, alpha) <= samples // 2).mean())


def samples_for(share: float, p0: float, power: float, alpha: float = 1e-3) -> int:
    """The number of samples that claim a copy with this probability; arguments as in `chance_of_claim`.

    Raises
    ------
    ExitprintError
        If not even two thousand samples do.
    """
    if not 0 < power < 1:
        raise ExitprintError(f"power must lie between 0 and 1, and not be {power}.")
    pairs = float(np.quantile(_pairs_until_claim(round(share, 3), p0, alpha), power, method="higher"))
    if pairs > MOST_PAIRS:
        raise ExitprintError(
            f"a copy with {share:.0%} of the pairs cannot be told from the threshold of {p0:.0%} with any useful "
            "number of samples: craft with references, which lower the threshold, with a larger margin or for other "
            "policies."
        )
    return 2 * int(pairs)


@lru_cache(maxsize=256)
def _pairs_until_claim(share: float, p0: float, alpha: float) -> np.ndarray:
    """How many pairs each of `RUNS` simulated runs needs; `MOST_PAIRS + 1` where it does not claim."""
    rng = np.random.default_rng(0)
    win, lose = log_growth(np.array([1.0, 0.0]), p0)
    log_wealth = np.tile(stakes()[1], (RUNS, 1))
    needed = np.full(RUNS, MOST_PAIRS + 1)
    open_ = np.arange(RUNS)
    for pair in range(1, MOST_PAIRS + 1):
        right = rng.random(len(open_)) < share
        log_wealth += np.where(right[:, None], win, lose)
        done = log_total(log_wealth) >= -np.log(alpha * FIRST_SLICE)
        needed[open_[done]] = pair
        open_, log_wealth = open_[~done], log_wealth[~done]
        if not len(open_):
            break
    needed.flags.writeable = False
    return needed

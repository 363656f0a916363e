"""How well a score tells stolen networks from independent ones, with intervals; and what the product decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest, norm, rankdata

from exitprint.errors import ExitprintError
from exitprint.fingerprints import Fingerprint, verify
from exitprint.suspects import CostModel

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number and its confidence interval."""

    value: float
    low: float
    high: float


def roc_auc(stolen: ArrayLike, independent: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Area under the ROC curve of a score that is higher for stolen networks, ties counting half.

    The interval is DeLong's (DeLong, DeLong and Clarke-Pearson 1988). Where the two groups are separated completely
    DeLong's variance is zero whatever their sizes; Newcombe's method 5 (Statistics in Medicine 25, 2006), which knows
    the sizes, is used there.

    Parameters
    ----------
    stolen, independent
        Scores, each at least one. Negate a score that is lower for stolen networks, such as T_N.
    confidence
        Of the interval.

    Raises
    ------
    ExitprintError
        If a group is empty or a score is not a number.
    """
    x, y = np.asarray(stolen, dtype=np.float64), np.asarray(independent, dtype=np.float64)
    if not len(x) or not len(y) or np.isnan(x).any() or np.isnan(y).any():
        raise ExitprintError("a ROC curve needs at least one score of stolen and one of independent networks, no NaN.")
    m, n = len(x), len(y)
    ranks = rankdata(np.concatenate([x, y]))
    above = (ranks[:m] - rankdata(x)) / n
    below = 1 - (ranks[m:] - rankdata(y)) / m
    auc = float(above.mean())
    z = float(norm.ppf((1 + confidence) / 2))
    if auc in (0.0, 1.0) or min(m, n) < 2:
        return Estimate(auc, *_newcombe(auc, m, n, z))
    half = z * float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))
    return Estimate(auc, max(0.0, auc - half), min(1.0, auc + half))


def rate(hits: Sequence[bool] | NDArray[np.bool_], confidence: float = 0.95) -> Estimate:
    """Share of `hits`, as of IP-verified networks, with Wilson's interval.

    Raises
    ------
    ExitprintError
        If there is nothing to count.
    """
    if not len(hits):
        raise ExitprintError("a rate needs at least one network.")
    result = binomtest(int(np.sum(hits)), len(hits))
    interval = result.proportion_ci(confidence, "wilson")
    return Estimate(float(result.statistic), float(interval.low), float(interval.high))


def _newcombe(auc: float, m: int, n: int, z: float) -> tuple[float, float]:
    """θ with |θ − auc| = z √V(θ), V(θ) Hanley and McNeil's variance, the same for both groups."""
    N = (m + n) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) * (1 + N * (1 - theta) / (2 - theta) + N * theta / (1 + theta)) / (m * n)
        return float(abs(theta - auc) - z * np.sqrt(variance))

    low = 0.0 if auc == 0 else brentq(excess, 0.0, auc - 1e-9) if excess(0.0) > 0 else 0.0
    high = 1.0 if auc == 1 else brentq(excess, auc + 1e-9, 1.0) if excess(1.0) > 0 else 1.0
    return float(low), float(high)


def decision_of(fingerprint: Fingerprint, suspect: CostModel) -> str:
    """What the product decides by a cost model's clock; ``refused`` where it refuses the fingerprint."""
    try:
        return verify(fingerprint, suspect).decision
    except ExitprintError:
        return "refused"

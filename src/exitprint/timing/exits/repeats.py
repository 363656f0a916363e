"""Repeats of a runtime: one quiet time out of several, and what of it comes back when asked again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import scipy
from numpy.typing import NDArray

from exitprint.timing.exits.emg import Array

REAPPEARS = 0.75
"""Chance that, in the other half of the repeats, an input of the later exit takes longer than one of the earlier."""


def condense(seconds: Array) -> Array:
    """One time per input out of its repeats: their minimum, median or mean, whichever clumps most.

    All three move alike when an exit is later, so what differs is the noise around the exits, and the least
    entropy (m-spacing estimate, Vasicek 1976) has the least noise. Interrupted runs ask for the minimum,
    symmetric jitter for the mean.

    Parameters
    ----------
    seconds
        Shape (inputs, repeats).

    Returns
    -------
    ndarray
        Shape (inputs,), same unit.
    """
    if seconds.shape[1] == 1:
        return seconds[:, 0]
    return min((seconds.min(1), np.median(seconds, axis=1), seconds.mean(1)), key=_entropy)


def _entropy(times: Array) -> float:
    ordered = np.sort(times)
    spacing = max(1, round(np.sqrt(len(times)) / 3))
    finest = 1e-9 * (ordered[-1] - ordered[0]) or 1.0
    return float(np.log(np.maximum(ordered[spacing:] - ordered[:-spacing], finest)).mean())


def unrepeated(seconds: Array, sizes: NDArray[np.intp]) -> int | None:
    """The cut between two exits that is noise, because it does not come back when inputs are asked again.

    Inputs are put into exits by half of their repeats (by rank, as many in each as were found), and compared by
    the other half.

    Parameters
    ----------
    seconds
        Shape (inputs, repeats), at least two repeats.
    sizes
        Inputs of each exit, in order of time.

    Returns
    -------
    int or None
        The cut that comes back least (0 parts the first two exits), None when all do.
    """
    first, second = condense(seconds[:, ::2]), condense(seconds[:, 1::2])
    groups = np.split(second[np.argsort(first, kind="stable")], np.cumsum(sizes)[:-1])
    later = [
        scipy.stats.mannwhitneyu(late, early).statistic / (len(late) * len(early)) for early, late in pairwise(groups)
    ]
    if not later or min(later) >= REAPPEARS:
        return None
    return int(np.argmin(later))

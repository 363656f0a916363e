"""Scores of a suspect's runtimes: the early-exit capacity curve, T_N, and the contrast of two halves."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from exitprint.errors import ExitprintError

FloatArray = NDArray[np.float64]
LONGEST_SHARE = 0.98
"""So much of the benign images' times lies below the longest time that counts: a few are slow by chance."""


def longest_time(benign: FloatArray) -> float:
    """The longest benign runtime, from shape (inputs,): the time that 98 % of the benign inputs keep within.

    The paper takes the maximum (section 3.3), which a single disturbed request would decide.
    """
    return float(np.quantile(benign, LONGEST_SHARE))


def normalised(seconds: FloatArray, longest: float) -> FloatArray:
    """Runtimes as a share of the longest, clipped to [0, 1] (section 3.3)."""
    if not longest > 0:
        raise ExitprintError("the longest runtime is not positive: the suspect's clock does not work.")
    return np.clip(np.asarray(seconds, dtype=np.float64) / longest, 0.0, 1.0)


def eec(seconds: FloatArray, longest: float) -> tuple[FloatArray, FloatArray]:
    """Early-exit capacity curve over time (section 3.3, after Hong et al.).

    Parameters
    ----------
    seconds
        Runtime of each input, shape (inputs,).
    longest
        The longest runtime of benign inputs; see `longest_time`.

    Returns
    -------
    time, exited
        Step points: at normalised time ``time`` (ascending, from 0 to 1) the share ``exited`` of inputs has left.
    """
    t = np.sort(normalised(seconds, longest))
    share = np.arange(1, len(t) + 1) / len(t)
    return np.concatenate([[0.0], t, [1.0]]), np.concatenate([[0.0], share, [1.0]])


def t_n(seconds: FloatArray, longest: float) -> float:
    """T_N: area under the EEC curve, 0 when every input takes the longest time (section 3.3).

    The area under a step function of arrivals in [0, 1] is one minus their mean.
    """
    return float(1.0 - normalised(seconds, longest).mean())


def auc(late: FloatArray, early: FloatArray) -> float:
    """Mann–Whitney AUC: the probability that a late sample takes longer than an early one, ties counting half."""
    ranks = scipy.stats.rankdata(np.concatenate([late, early]))
    n, m = len(late), len(early)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))

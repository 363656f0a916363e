"""Betting against a claim about a mean: wealth that can only grow if the claim is false.

A gambler starts with one unit. Before every observation `x` in [0, 1] he stakes the share `u` of his wealth on
a ticket that costs `m` and pays `x`; the rest he keeps. His wealth is multiplied by `1 - u + u x / m`. If the
mean of `x`, given all that came before, is at most `m`, no stake makes that product grow on average: the wealth is
a nonnegative supermartingale, an e-process for the claim "mean <= m". Ville's inequality says that such a wealth
*ever* reaches `1 / alpha` with probability at most `alpha`, at whatever moment one looks and for whatever reason
one stops.

Nobody knows the best `u` beforehand, so the unit is divided among 64 gamblers with fixed stakes, the bold ones given
more in proportion to their boldness (the density 2u on [0, 1], at Gauss-Legendre nodes). The sum of their wealths
is again such a wealth, and it loses only a factor that is polynomial in the number of observations against the
gambler who knew (Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting", JRSS-B,
section 5 and appendix on mixtures; Shafer 2021, "Testing by betting").
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.special import logsumexp

from exitprint.errors import ExitprintError

BISECTIONS = 50


@lru_cache(maxsize=1)
def stakes() -> tuple[np.ndarray, np.ndarray]:
    """Shares of the wealth that are staked, in (0, 1), and the logarithm of what each gambler starts with.

    Returns
    -------
    u, log_w : ndarray, shape (64,)
        The exponentials of `log_w` sum to one.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    u = (nodes + 1) / 2
    w = weights * u
    return u, np.log(w / w.sum())


def log_e_counts(for_: np.ndarray | int, against: np.ndarray | int, null: float) -> np.ndarray:
    """Logarithm of the wealth won against "P(success) <= null", after so many successes and failures.

    Parameters
    ----------
    for_, against : int or ndarray of int
        Numbers of successes and of failures; they broadcast.
    null : float in (0, 1)
        The largest probability of a success that the claim allows.

    Returns
    -------
    ndarray
        Natural logarithm of the e-process, of the broadcast shape. It grows with `for_` and falls with `against` and
        with `null`; the order of the observations does not matter.
    """
    u, log_w = stakes()
    win = np.log1p(u * (1 - null) / null)
    lose = np.log1p(-u)
    return logsumexp(log_w + np.multiply.outer(for_, win) + np.multiply.outer(against, lose), axis=-1)


def log_growth(x: np.ndarray | float, null: float) -> np.ndarray:
    """Logarithm of the factor by which observations in [0, 1] multiply the wealth of each gambler.

    Parameters
    ----------
    x : float or ndarray, shape (...)
        The observations.
    null : float in (0, 1)
        The largest mean that the claim allows.

    Returns
    -------
    ndarray, shape (..., 64)
    """
    u, _ = stakes()
    return np.log1p(np.multiply.outer(np.asarray(x) / null - 1, u))


def lower_bound(log_e: Callable[[float], float], error: float) -> float:
    """The means below this one are refuted: where the wealth against "mean <= m" falls under `1 / error`.

    Inverting the test turns it into one end of a confidence sequence: at all times together, the bound lies above
    the true mean with probability at most `error`.

    Parameters
    ----------
    log_e : callable
        Logarithm of the wealth against "mean <= m" for an m in (0, 1); must fall with m, as this module's do.
    error : float in (0, 1)
        Of this end alone.

    Returns
    -------
    float
        In [0, 1), rounded towards 0 by less than 1e-15.
    """
    needed = -np.log(error)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if log_e(middle) >= needed:
            low = middle
        else:
            high = middle
    return low


@lru_cache(maxsize=32)
def needed_for(error: float, null: float, size: int) -> np.ndarray:
    """How many successes refute "P(success) <= null" at the level `error`, by the number of failures.

    Parameters
    ----------
    error : float in (0, 1)
        The level.
    null : float in (0, 1)
        The largest probability of a success that the claim allows.
    size : int
        Counts up to this number are looked at.

    Returns
    -------
    ndarray of int, shape (size + 1,)
        Entry f is the smallest number of successes that suffices beside f failures, `size + 1` where none does.
    """
    failures = np.arange(size + 1)
    too_few, needed = np.full(size + 1, -1), np.full(size + 1, size + 1)
    while (gap := needed - too_few > 1).any():
        middle = (too_few + needed) // 2
        suffices = log_e_counts(middle, failures, null) >= -np.log(error)
        needed = np.where(gap & suffices, middle, needed)
        too_few = np.where(gap & ~suffices, middle, too_few)
    needed.flags.writeable = False
    return needed


def check_probability(name: str, value: float) -> float:
    """`value` as a float strictly between 0 and 1.

    Raises
    ------
    ExitprintError
        If it is anything else.
    """
    if not 0 < value < 1:
        raise ExitprintError(f"{name} must lie strictly between 0 and 1, not {value}: choose for example 0.001.")
    return float(value)

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

from exitprint.errors import ExitprintError

BISECTIONS = 50
"""Halvings of an interval of length 1: 2⁻⁵⁰ is left."""


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


def log_total(log_wealth: np.ndarray) -> np.ndarray:
    """Natural logarithm of all gamblers' wealth together, shape (...), from that of each one's, shape (..., 64)."""
    most = log_wealth.max(-1, keepdims=True)
    return np.asarray(most[..., 0] + np.log(np.exp(log_wealth - most).sum(-1)))


def lower_bound(log_e: Callable[[float], float], error: float) -> float:
    """The largest mean that is refuted: against "mean <= m" the wealth reaches `1 / error` for every smaller m.

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


def check_probability(name: str, value: float) -> float:
    """`value` as a float strictly between 0 and 1.

    Raises `ExitprintError` if it is anything else.
    """
    if not 0 < value < 1:
        raise ExitprintError(f"{name} must lie strictly between 0 and 1, not {value}: choose for example 0.001.")
    return float(value)

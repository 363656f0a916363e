"""The noise of a runtime: exponentially modified Gaussian, a Gaussian jitter plus an exponential delay."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_density(x: Array, sigma: Array | float, tau: Array | float) -> Array:
    """Log-density at `x` of N(0, sigma²) + Exponential(mean tau); all arguments broadcast, tau > 0."""
    return np.asarray(
        0.5 * (sigma / tau) ** 2 - x / tau + scipy.special.log_ndtr(x / sigma - sigma / tau) - np.log(tau)
    )


def delay_given(x: Array, sigma: Array | float, tau: Array | float) -> tuple[Array, Array]:
    """Mean and variance of the exponential part when the whole deviation is `x`.

    The posterior of the delay is N(x − σ²/τ, σ²) cut off below zero, whose moments are known in closed form.
    """
    z = x / sigma - sigma / tau
    hazard = np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - scipy.special.log_ndtr(z))
    mean = np.maximum(sigma * (z + hazard), 0.0)
    variance = sigma**2 * np.clip(1 - z * hazard - hazard**2, 0.0, 1.0)
    return mean, np.asarray(variance)

"""How many samples a contrast needs, and what effect it will have on a copy."""

from __future__ import annotations

import math

from scipy.stats import norm

from exitprint.errors import ExitprintError


def samples_needed(effect_auc: float, alpha: float = 1e-3, power: float = 0.99) -> int:
    """How many samples, both halves together, make a Mann–Whitney test significant with this probability.

    Noether's formula (Journal of the American Statistical Association 82, 1987) for halves of equal size, one-sided:
    N = (z_{1−α} + z_{power})² / (3 (AUC − 1/2)²), and at least so many that the smallest possible p-value, one over the
    number of ways to split them into halves, is below `alpha`.

    Parameters
    ----------
    effect_auc
        The AUC expected on a copy, such as `simulated_theft` gives.
    alpha
        Largest p-value that counts.
    power
        Wanted probability of a p-value that counts.

    Raises
    ------
    ExitprintError
        If the effect is not above 0.5 or a probability is out of range.
    """
    if not 0 < alpha < 0.5 or not 0.5 <= power < 1:
        raise ExitprintError(f"alpha must be in (0, 0.5) and power in [0.5, 1), and not {alpha} and {power}.")
    if not 0.5 < effect_auc <= 1:
        raise ExitprintError(
            f"an effect of AUC {effect_auc:.2f} cannot be shown with any number of samples: it must be above 0.5, so "
            "craft with a larger margin or for other policies."
        )
    N = (norm.isf(alpha) + norm.isf(1 - power)) ** 2 / (3 * (effect_auc - 0.5) ** 2)
    half = math.ceil(N / 2)
    while math.comb(2 * half, half) < 1 / alpha:
        half += 1
    return 2 * half

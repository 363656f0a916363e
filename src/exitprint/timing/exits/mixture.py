"""Exits as a mixture: one noise shape around every exit, their number by penalised likelihood.

Every method of this package ends here: however exits were found, the mixture around them gives each input the
probability of its exit, the boundaries between exits, and the evidence for one exit more or less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from exitprint.timing.exits.emg import Array, delay_given, log_density

STRAY = 1e-3
"""Share of runtimes that may lie anywhere: interrupted runs, which must not become exits of their own."""

LEAST = 3
"""Inputs that make an exit: one or two times may be strays."""

POOLED = 10.0
"""How many inputs the noise of all exits counts for in the noise of one: a rare exit borrows its width."""

SPACING = 0.5
"""Spread of log(gap / median gap) below the median: exits are roughly evenly spaced in cost."""

HOPELESS = 20.0
"""Log-evidence that joining two exits may lose; when it loses more, fewer exits are not tried any more."""


@dataclass(frozen=True)
class Mixture:
    """Exits in order of time: each array has shape (exits,), in the units of the times that were fitted."""

    weights: Array
    centres: Array
    sigma: Array
    tau: Array

    @property
    def num_exits(self) -> int:
        return len(self.centres)

    def log_joint(self, times: Array, span: float) -> Array:
        """log p(time, exit), shape (times, exits + 1); the last column is a stray time."""
        joint = np.empty((len(times), self.num_exits + 1))
        deviation = times[:, None] - self.centres
        joint[:, :-1] = log_density(deviation, self.sigma, self.tau) + np.log((1 - STRAY) * self.weights)
        joint[:, -1] = np.log(STRAY / span)
        return joint

    def joined(self, k: int) -> Mixture:
        """Exits k and k + 1 as one that has the mean and the variance of both."""
        weights, means, variances = (x[k : k + 2] for x in (self.weights, self._means, self._variances))
        share = weights / weights.sum()
        mean = share @ means
        variance = share @ (variances + (means - mean) ** 2)
        wider = np.sqrt(variance / (share @ variances))
        sigma, tau = wider * (share @ self.sigma[k : k + 2]), wider * (share @ self.tau[k : k + 2])
        one = (weights.sum(), mean - tau, sigma, tau)
        parts = (self.weights, self.centres, self.sigma, self.tau)
        return Mixture(
            *(np.concatenate([part[:k], [new], part[k + 2 :]]) for part, new in zip(parts, one, strict=True))
        )

    @property
    def _means(self) -> Array:
        return self.centres + self.tau

    @property
    def _variances(self) -> Array:
        return self.sigma**2 + self.tau**2

    def joining_costs(self) -> Array:
        """Log-likelihood per input that joining neighbours costs at most, shape (exits − 1,): Runnalls (2007)."""
        weights, means, variances = self.weights, self._means, self._variances
        both = weights[:-1] + weights[1:]
        between = weights[:-1] * weights[1:] / both**2 * np.diff(means) ** 2
        within = (weights[:-1] * variances[:-1] + weights[1:] * variances[1:]) / both
        logs = weights * np.log(variances)
        return (both * np.log(within + between) - logs[:-1] - logs[1:]) / 2

    def cuts(self) -> Array:
        """Times at which the next exit becomes the likelier one, shape (exits − 1,)."""
        return np.array([self._cut(k) for k in range(self.num_exits - 1)])

    def _cut(self, k: int) -> float:
        def later(time: float) -> float:
            two = slice(k, k + 2)
            deviation = np.asarray(time - self.centres[two])
            density = log_density(deviation, self.sigma[two], self.tau[two]) + np.log(self.weights[two])
            return float(density[1] - density[0])

        peaks = self.centres[k : k + 2]
        if later(peaks[0]) >= 0 or later(peaks[1]) <= 0:
            return float(peaks.mean())
        return float(scipy.optimize.brentq(later, *peaks))


def around(times: Array, counts: Array, groups: NDArray[np.intp]) -> Mixture:
    """A first mixture: the median of each group, the middle one of their spreads (by quartiles) for all.

    Parameters
    ----------
    times, counts
        Increasing times and how many inputs share each, shape (times,).
    groups
        The exit of each time, shape (times,), from 0 on, in order and without holes.
    """
    size = np.bincount(groups, counts)
    before = np.cumsum(size) - size
    low, median, high = (times[np.searchsorted(np.cumsum(counts), before + q * size)] for q in (0.25, 0.5, 0.75))
    spread = max(float(np.median(high - low)) / 1.35, _finest(times))
    sigma, tau = np.full((2, len(size)), spread / np.sqrt(2))
    return Mixture(size / size.sum(), median - tau, sigma, tau)


def fit(times: Array, counts: Array, mixture: Mixture, steps: int = 30) -> tuple[Mixture, float]:
    """Expectation maximisation with the exponential delay as a hidden variable.

    Returns
    -------
    Mixture, float
        The fitted mixture, exits in order of time, and its log-likelihood.
    """
    span = times[-1] - times[0]
    last = -np.inf
    for _ in range(steps):
        joint = mixture.log_joint(times, span)
        total = np.logaddexp.reduce(joint, axis=1)
        likelihood = float(counts @ total)
        if likelihood - last < 1e-2:
            break
        last = likelihood
        share = np.exp(joint[:, :-1] - total[:, None]) * counts[:, None]
        mixture = _maximise(times, share, mixture)
    return mixture, likelihood


def _maximise(times: Array, share: Array, mixture: Mixture) -> Mixture:
    size = share.sum(0) + 1e-12
    delay, uncertain = delay_given(times[:, None] - mixture.centres, mixture.sigma, mixture.tau)
    centres = (share * (times[:, None] - delay)).sum(0) / size
    squares = (share * ((times[:, None] - centres - delay) ** 2 + uncertain)).sum(0)
    delays = (share * delay).sum(0)
    sigma = np.sqrt((squares + POOLED * squares.sum() / size.sum()) / (size + POOLED))
    tau = (delays + POOLED * delays.sum() / size.sum()) / (size + POOLED)
    sigma = np.maximum(sigma, _finest(times))
    order = np.argsort(centres)
    tau = np.maximum(tau, 0.02 * sigma)
    return Mixture(*(part[order] for part in (size / size.sum(), centres, sigma, tau)))


def _finest(times: Array) -> float:
    return 1e-9 * float(times[-1] - times[0])


def thin(times: Array, counts: Array, mixture: Mixture) -> tuple[Mixture, dict[int, float]]:
    """Take exits away while that is more likely than not, and say how likely each number of exits is.

    The evidence of k exits is the Bayesian information criterion (two parameters an exit: where, and how often)
    with a log-normal prior on gaps that are narrower than the median gap.

    Returns
    -------
    Mixture, dict
        The likeliest mixture, and the probability of each number of exits that was tried.
    """
    inputs = counts.sum()
    for steps in (8, 30):
        mixture, likelihood = fit(times, counts, _without_twins(mixture, inputs), steps)
    tried = {mixture.num_exits: (_evidence(mixture, likelihood, counts), mixture)}
    while mixture.num_exits > 1:
        weakest = int(np.argmin(inputs * mixture.joining_costs() - _narrow(mixture.centres)))
        before = likelihood
        mixture, likelihood = fit(times, counts, mixture.joined(weakest), steps=8)
        tried[mixture.num_exits] = (_evidence(mixture, likelihood, counts), mixture)
        if likelihood - before < -HOPELESS - np.log(inputs):
            break
    best = max(evidence for evidence, _ in tried.values())
    relative = {exits: np.exp(evidence - best) for exits, (evidence, _) in tried.items()}
    total = sum(relative.values())
    chosen = max(relative, key=lambda exits: relative[exits])
    return tried[chosen][1], {exits: float(relative[exits] / total) for exits in sorted(relative)}


def _without_twins(mixture: Mixture, inputs: float) -> Mixture:
    """Join neighbours while that costs less likelihood than the parameters of an exit."""
    while mixture.num_exits > 1 and inputs * (costs := mixture.joining_costs()).min() < np.log(inputs):
        mixture = mixture.joined(int(costs.argmin()))
    return mixture


def _evidence(mixture: Mixture, likelihood: float, counts: Array) -> float:
    return likelihood - mixture.num_exits * np.log(counts.sum()) - float(_narrow(mixture.centres).sum())


def _narrow(centres: Array) -> Array:
    """Cost of each gap under the prior on spacing, shape (exits − 1,)."""
    if len(centres) < 3:
        return np.zeros(len(centres) - 1)
    gaps = np.maximum(np.diff(centres), 1e-12)
    deviation = np.minimum(np.log(gaps / np.median(gaps)), 0) / SPACING
    return np.asarray(deviation**2 / 2)

"""The one door: runtimes in, exits out, by any of the three methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exitprint.errors import ExitprintError
from exitprint.timing.exits import blocks, kde
from exitprint.timing.exits.emg import Array
from exitprint.timing.exits.mixture import Mixture, around, fit, thin
from exitprint.timing.exits.repeats import condense, unrepeated
from exitprint.timing.exits.ticks import APART, blurred, even, is_averaged, tick_of

Method = Literal["blocks", "kde", "mixture"]
METHODS: tuple[Method, ...] = get_args(Method)

FEWEST = 20
"""Runtimes below which nothing can be said about exits."""

MOST_ATOMS = 1000
"""Distinct times that the methods see; more are averaged with their neighbours."""


@dataclass(frozen=True)
class ExitEstimate:
    """What runtimes say about the exits of a network.

    Attributes
    ----------
    exits
        The exit at which each input left, 0 the earliest, shape (inputs,).
    probabilities
        The probability of that exit, shape (inputs,).
    centres
        The runtime of each exit in seconds, shape (K,).
    boundaries
        The runtime in seconds at which one exit ends and the next begins, shape (K − 1,).
    relative_depths
        The cost of each exit as a fraction of the deepest's, shape (K,). What every input costs alike (a network,
        a stem) cannot be told from runtimes: the first exit is taken to be one median step deep.
    count_probabilities
        The probability of each number of exits that was considered; only exits that inputs used can be seen.
    method
        What found them.
    """

    exits: NDArray[np.intp]
    probabilities: Array
    centres: Array
    boundaries: Array
    relative_depths: Array
    count_probabilities: dict[int, float]
    method: Method

    @property
    def count(self) -> int:
        """How many exits were found."""
        return len(self.centres)

    @property
    def certainty(self) -> float:
        """The probability that this is their number."""
        return self.count_probabilities[self.count]

    @property
    def depends_on_input(self) -> bool:
        """Whether runtimes tell inputs apart at all: False where one exit explains them."""
        return self.count > 1


def estimate_exits(
    seconds: ArrayLike, method: Method = "blocks", seed: int = 0, *, exact: bool = False
) -> ExitEstimate:
    """Find the exits of a multi-exit network in its runtimes.

    The answer does not depend on the unit of the runtimes nor on a constant that is added to all of them. The tick of a
    coarse clock is estimated from runtimes that repeat, and counts as noise: exits that are less than two
    ticks apart are not told apart by it, unless repeats average it away.

    Parameters
    ----------
    seconds
        Runtimes, shape (inputs,) or (inputs, repeats). Repeats make exits sharper, and tell noise of several
        levels (a clock frequency that changes) from exits: an exit comes back when its input is asked again.
    method
        ``blocks``: Bayesian changepoint detection on the density of the runtimes; ``kde``: kernel density
        estimation; ``mixture``: exponentially modified Gaussians around the peaks of a fine density estimate.
    seed
        Of the bootstrap that ``kde`` takes to say how sure it is of the number of exits.
    exact
        Whether the clock has neither noise nor ticks, as a cost model's: then every distinct runtime is an exit. It is
        never assumed because runtimes repeat.

    Returns
    -------
    ExitEstimate
        Exits per input, their boundaries and relative depths, and how sure their number is.

    Raises
    ------
    ExitprintError
        If there are too few runtimes, they are not finite, or the method is unknown or not installed.

    References
    ----------
    Model Stealing Attack against Multi-Exit Networks: Bayesian changepoint detection, and kernel density
    estimation in its second version, on the runtimes of queries.
    """
    runtimes = _checked(seconds, method)
    times = condense(runtimes)
    if exact or np.ptp(times) == 0:
        return _without_noise(times, method)
    tick = tick_of(runtimes)
    averaged = is_averaged(runtimes, tick)
    times = condense(blurred(runtimes, tick, averaged) if tick else runtimes)
    origin, unit = float(np.median(times)), _unit(times)
    scaled = (times - origin) / unit
    atoms, counts = _atoms(scaled)
    mixture, cuts, likely = _find(scaled, atoms, counts, method, seed)
    found = mixture.num_exits
    while tick and not averaged and (nearest := _nearer(mixture, APART * tick / unit)) is not None:
        mixture, cuts = _without_cut(nearest, atoms, counts, cuts)
    while runtimes.shape[1] > 1 and (noise := unrepeated(runtimes, _sizes(mixture, cuts, scaled))) is not None:
        mixture, cuts = _without_cut(noise, atoms, counts, cuts)
    likely = _shifted(likely, mixture.num_exits - found)
    left_at = np.searchsorted(cuts, scaled)
    joint = mixture.log_joint(scaled, float(np.ptp(scaled)))
    probabilities = np.exp(joint[np.arange(len(joint)), left_at] - np.logaddexp.reduce(joint, axis=1))
    centres = mixture.centres + mixture.tau
    return ExitEstimate(
        left_at,
        probabilities,
        centres * unit + origin,
        cuts * unit + origin,
        _relative(centres),
        likely,
        method,
    )


def _checked(seconds: ArrayLike, method: str) -> Array:
    if method not in METHODS:
        raise ExitprintError(f"there is no method {method!r} for exits: take one of {', '.join(METHODS)}.")
    runtimes = np.asarray(seconds, dtype=float)
    runtimes = runtimes[:, None] if runtimes.ndim == 1 else runtimes
    if runtimes.ndim != 2 or runtimes.shape[1] == 0:
        raise ExitprintError(f"runtimes must have shape (inputs,) or (inputs, repeats), and not {np.shape(seconds)}.")
    if len(runtimes) < FEWEST:
        raise ExitprintError(
            f"{len(runtimes)} runtimes are too few to find exits in: ask with at least {FEWEST} inputs, "
            f"and better with a hundred for each exit."
        )
    if not np.isfinite(runtimes).all():
        raise ExitprintError("some runtimes are not finite numbers: leave those inputs out or ask again.")
    return runtimes


def _unit(times: Array) -> float:
    low, high = np.quantile(times, [0.05, 0.95])
    return float(high - low) or float(np.ptp(times))


def _without_noise(times: Array, method: Method) -> ExitEstimate:
    """Every distinct runtime is an exit: a cost model's clock, or a suspect that always takes the same time."""
    _, first, left_at = np.unique(even(times), return_index=True, return_inverse=True)
    centres = times[first]
    boundaries = (centres[:-1] + centres[1:]) / 2
    certain = np.ones(len(times))
    return ExitEstimate(left_at, certain, centres, boundaries, _relative(centres), {len(centres): 1.0}, method)


def _atoms(times: Array) -> tuple[Array, Array]:
    """Distinct times and their counts; of many, half of the parts end at quantiles and half at the widest gaps."""
    values, counts = np.unique(times, return_counts=True)
    if len(values) <= MOST_ATOMS:
        return values, counts.astype(float)
    quantiles = np.linspace(0, len(times), MOST_ATOMS // 2, endpoint=False)
    widest = 1 + np.argsort(-np.diff(values), kind="stable")[: MOST_ATOMS // 2]
    starts = np.union1d(np.searchsorted(np.cumsum(counts), quantiles, side="right"), widest)
    inputs = np.add.reduceat(counts, starts).astype(float)
    return np.add.reduceat(counts * values, starts) / inputs, inputs


def _find(
    times: Array, atoms: Array, counts: Array, method: Method, seed: int
) -> tuple[Mixture, Array, dict[int, float]]:
    if method == "kde":
        cuts, likely = kde.find(times, np.random.default_rng(seed))
        return fit(atoms, counts, around(atoms, counts, np.searchsorted(cuts, atoms)))[0], cuts, likely
    if method == "mixture":
        mixture, likely = thin(atoms, counts, around(atoms, counts, np.searchsorted(kde.fine_cuts(times), atoms)))
    else:
        mixture, likely = blocks.find(atoms, counts)
    return mixture, mixture.cuts(), likely


def _nearer(mixture: Mixture, least: float) -> int | None:
    """The cut between the nearest two exits, if they are less than this apart."""
    gaps = np.diff(mixture.centres + mixture.tau)
    return int(gaps.argmin()) if len(gaps) and gaps.min() < least else None


def _sizes(mixture: Mixture, cuts: Array, times: Array) -> NDArray[np.intp]:
    return np.bincount(np.searchsorted(cuts, times), minlength=mixture.num_exits)


def _without_cut(number: int, atoms: Array, counts: Array, cuts: Array) -> tuple[Mixture, Array]:
    cuts = np.delete(cuts, number)
    return fit(atoms, counts, around(atoms, counts, np.searchsorted(cuts, atoms)))[0], cuts


def _shifted(likely: dict[int, float], by: int) -> dict[int, float]:
    shifted: dict[int, float] = {}
    for number, probability in likely.items():
        shifted[max(number + by, 1)] = shifted.get(max(number + by, 1), 0.0) + probability
    return shifted


def _relative(centres: Array) -> Array:
    if len(centres) == 1:
        return np.ones(1)
    step = np.median(np.diff(centres))
    return (centres - centres[0] + step) / (centres[-1] - centres[0] + step)

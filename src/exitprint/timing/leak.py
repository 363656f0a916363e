"""What an owner's clock tells about where inputs leave, and what hiding it would cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import adjusted_rand_score, mutual_info_score

from exitprint.errors import ExitprintError
from exitprint.timing.exits import ExitEstimate, Method, condense, estimate_exits

GRIDS = (2, 4)
"""Into how many answering times the range is parted when times are rounded up."""

JITTERS = (1.0, 4.0)
"""Longest random delay, as a multiple of the median time between two exits."""

PATIENCE = (1, 16)
"""How often somebody who averages a random delay away asks each input."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Leak:
    """How much of the strategy runtimes give away.

    Attributes
    ----------
    exits
        How many exits were found.
    ARI
        Adjusted Rand index between the exits found and the true ones: 1 is everything, 0 nothing.
    bits
        Mutual information between an input's exit as found and as it is, in bits an input.
    entropy
        Entropy of the true exits in bits: the most there is to give away.
    """

    exits: int
    ARI: float
    bits: float
    entropy: float

    @property
    def share(self) -> float:
        """Share of the strategy's information that is given away; 0 where there is none."""
        return self.bits / self.entropy if self.entropy else 0.0


@dataclass(frozen=True)
class Countermeasure:
    """One way to blur runtimes.

    Attributes
    ----------
    name
        What is done.
    asked
        How often each input is asked by whoever wants to see through it.
    latency
        Mean time of an answer in seconds.
    added
        By how much that is longer than now, as a share.
    leak
        What is still given away.
    """

    name: str
    asked: int
    latency: float
    added: float
    leak: Leak


def leak(estimate: ExitEstimate, true_exits: ArrayLike) -> Leak:
    """Compare the exits found in runtimes with the true ones, shape (inputs,).

    Raises `ExitprintError` if there is not one for each input.
    """
    truth = np.asarray(true_exits)
    if truth.shape != estimate.exits.shape:
        raise ExitprintError(f"{len(estimate.exits)} inputs need as many true exits, and not {truth.shape}.")
    return Leak(
        estimate.count,
        float(adjusted_rand_score(truth, estimate.exits)),
        float(mutual_info_score(truth, estimate.exits) / np.log(2)),
        float(mutual_info_score(truth, truth) / np.log(2)),
    )


def countermeasures(
    seconds: Array, true_exits: ArrayLike, method: Method = "blocks", seed: int = 0, *, exact: bool = False
) -> list[Countermeasure]:
    """What constant time, a grid of times and random delays would cost and save, computed from runtimes as they are.

    Every blurred time is a runtime that was taken, made longer: answers held back until the slowest input's time, until
    the next tick of a grid, or for a uniformly random while, new in every asking. Whoever asks repeatedly
    takes the mean, minimum or median, whichever tells exits best (`estimate_exits` does that).

    Parameters
    ----------
    seconds
        Runtimes, shape (inputs, repeats).
    true_exits
        Where each input left, shape (inputs,).
    method
        Of the estimate.
    seed
        Of the delays.
    exact
        Whether the clock has no noise, see `estimate_exits`.

    Returns
    -------
    list
        As it is, then constant time, then grids from coarse to fine, then delays from short to long.
    """
    quiet = condense(seconds)
    now = float(quiet.mean())
    start, longest = float(quiet.min()), float(np.quantile(quiet, 0.995))
    rng = np.random.default_rng(seed)

    def row(name: str, asked: int, blurred: Array, exact: bool = False) -> Countermeasure:
        found = leak(estimate_exits(blurred, method, seed, exact=exact), true_exits)
        latency = float(blurred.mean())
        return Countermeasure(name, asked, latency, latency / now - 1, found)

    as_it_is = leak(estimate_exits(seconds, method, seed, exact=exact), true_exits)
    rows = [Countermeasure("as it is", seconds.shape[1], now, 0.0, as_it_is)]
    rows.append(row("constant time", 1, np.full_like(quiet, longest)[:, None]))
    for parts in GRIDS:
        tick = (longest - start) / parts or start
        rounded = start + tick * np.ceil(np.clip((quiet - start) / tick, 1e-9, parts) - 1e-9)
        rows.append(row(f"{parts} times only", 1, rounded[:, None], exact=True))
    gap = _median_gap(quiet, np.asarray(true_exits))
    for factor in JITTERS:
        for asked in PATIENCE:
            delay = rng.uniform(0, factor * gap, (len(quiet), asked))
            rows.append(row(f"delay < {factor * gap * 1e3:.3g} ms", asked, quiet[:, None] + delay))
    return rows


def _median_gap(quiet: Array, truth: NDArray[np.intp]) -> float:
    centres = np.array([np.median(quiet[truth == exit]) for exit in np.unique(truth)])
    return float(np.median(np.diff(centres))) if len(centres) > 1 else float(np.ptp(quiet)) / 10

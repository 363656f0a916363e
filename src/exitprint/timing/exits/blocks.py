"""Exits by Bayesian changepoint detection on the density of the runtimes.

Sorted runtimes are events on a line, and an exit is a stretch where they are dense. Bayesian Blocks (Scargle et
al. 2013, ApJ 764:167) finds the piecewise constant density of events; taken with a liberal prior, and with the
emptiest valleys added, its changepoints are the candidates. Which of them part two exits is then decided exactly,
by dynamic programming over all segmentations, with one thing that Blocks does not know: every exit is the same
noise around another centre. Last, `thin` takes away what the evidence does not carry.
"""

from __future__ import annotations

import numpy as np
import scipy

from exitprint.errors import require_extra
from exitprint.timing.exits.emg import Array, log_density
from exitprint.timing.exits.mixture import LEAST, STRAY, Mixture, around, thin

CHANGE = 1.5
"""Prior log-odds against a changepoint (ncp_prior of Scargle et al.): liberal, the evidence decides later."""

VALLEYS = 64
"""How many of the emptiest stretches are candidates in any case."""

REACH = 8.0
"""Half-width of an exit in noise widths."""

HALF_TABLE = 2000
"""Steps of the tabulated noise density on either side."""

TAILS = (0.1, 0.5, 2.0)
"""Exponential tail of the noise over its Gaussian width, tried in turn."""

OWN_STEPS = (-2, -1, 1)
"""An exit's own noise width over the common one, in steps of √2: much wider is rather two exits."""

OWN = 0.35
"""Spread of the log of that ratio."""


def find(times: Array, counts: Array) -> tuple[Mixture, dict[int, float]]:
    """Exits and the probability of each number of them, from increasing distinct times and how many inputs share each.

    Raises `ExitprintError` if the extra `stealing` is not installed.
    """
    starts = _candidates(times, counts)
    thirds = np.unique(np.concatenate([starts[:-1] + k * np.diff(starts) // 3 for k in range(3)]))
    atom_counts = np.add.reduceat(counts, thirds)
    atoms = np.add.reduceat(counts * times, thirds) / atom_counts
    groups = np.full(len(times), -1)
    bounds = np.append(thirds, len(times))
    for exit, (first, last) in enumerate(_segment(atoms, atom_counts, np.searchsorted(thirds, starts))):
        groups[bounds[first] : bounds[last]] = exit
    inside = groups >= 0 if groups.max() >= 0 else groups < 0
    return thin(times, counts, around(times[inside], counts[inside], np.maximum(groups[inside], 0)))


def _candidates(times: Array, counts: Array) -> np.ndarray:
    """Where a segment may start, as indices into `times`; the last is their number."""
    stats = require_extra("astropy.stats", "stealing")
    edges = stats.bayesian_blocks(times, counts, fitness="events", ncp_prior=CHANGE)[1:-1]
    valleys = 1 + np.argsort(-np.diff(times), kind="stable")[:VALLEYS]
    return np.unique(np.concatenate([[0], np.searchsorted(times, edges), valleys, [len(times)]]))


def _segment(atoms: Array, counts: Array, starts: np.ndarray) -> list[tuple[int, int]]:
    """The likeliest segmentation, over all noise widths and tails: [first, last) atoms of each exit."""
    low, high = np.quantile(np.repeat(atoms, counts.astype(int)), [0.05, 0.95])
    widths = (high - low or atoms[-1] - atoms[0]) * 2.0 ** (-np.arange(19, 1, -1) / 2)
    before = np.concatenate([[0], np.cumsum(counts)])[starts]
    inputs = before[None, :] - before[:, None]
    prior = scipy.special.gammaln(np.maximum(inputs, 0) + 1) - inputs * np.log(counts.sum())
    stray = np.log(STRAY / 10 / (atoms[-1] - atoms[0])) * np.diff(before)
    best: tuple[float, int, np.ndarray] = (-np.inf, len(widths) // 2, np.empty(0))
    for tail in sorted(TAILS, key=lambda tail: tail != 0.5):
        near = range(len(widths)) if tail == 0.5 else range(max(best[1] - 3, 0), min(best[1] + 3, len(widths)))
        scores = np.array([_scores(atoms, counts, starts, inputs, widths[i], tail) for i in near])
        totals, previous = _best_paths(_own_width(scores) + prior, stray)
        top = int(totals.argmax())
        if totals[top] > best[0]:
            best = (float(totals[top]), near[top], previous[top])
    return _trace(best[2], starts)


def _scores(atoms: Array, counts: Array, starts: np.ndarray, inputs: np.ndarray, sigma: float, tail: float) -> Array:
    """Log-evidence of every segment [i, j) as one exit with this noise; −inf where it is none."""
    tau = tail * sigma
    width = float(np.hypot(sigma, tau))
    span = atoms[-1] - atoms[0]
    grid = np.linspace(-REACH * width, REACH * width, 2 * HALF_TABLE + 1)
    table = np.logaddexp(log_density(grid, sigma, tau), np.log(STRAY / span))
    steps = (atoms[None, :] - atoms[:, None]) * (HALF_TABLE / (REACH * width))
    index = np.clip(steps + HALF_TABLE, 0, 2 * HALF_TABLE).astype(np.intp)
    density = np.zeros((len(atoms), len(atoms) + 1))
    np.cumsum(table[index] * counts, axis=1, out=density[:, 1:])
    density = density[:, starts]
    reach = np.searchsorted(atoms, atoms + REACH * width)
    last = np.searchsorted(starts, reach[starts[:-1]], side="right")
    scores = np.full((len(starts), len(starts)), -np.inf)
    for i, j in enumerate(last):
        k = i + 1 + np.searchsorted(inputs[i, i + 1 : j], LEAST)
        if k < j:
            centred = density[starts[i] : reach[starts[i]], k:j] - density[starts[i] : reach[starts[i]], i : i + 1]
            scores[i, k:j] = centred.max(0) + np.log(np.sqrt(2 * np.pi / inputs[i, k:j]) * width / span)
    return scores


def _own_width(scores: Array) -> Array:
    """The best of the common noise width and those of `OWN_STEPS`; scores are in steps of √2."""
    own = scores.copy()
    for step in OWN_STEPS:
        cost = (step * np.log(2) / 2 / OWN) ** 2 / 2
        here, there = own[max(-step, 0) : len(own) - max(step, 0)], scores[max(step, 0) : len(own) + min(step, 0)]
        np.maximum(here, there - cost, out=here)
    return own


def _best_paths(scores: Array, stray: Array) -> tuple[Array, np.ndarray]:
    """Best sum of scores over all segmentations of the line, for each noise: shape (noises,) and (noises, ends).

    A stretch between two candidates is in one segment or stray; `previous` is where the segment that ends here
    begins, −1 after a stray stretch.
    """
    noises, ends, _ = scores.shape
    total = np.zeros((noises, ends))
    previous = np.full((noises, ends), -1)
    rows = np.arange(noises)
    for j in range(1, ends):
        options = total[:, :j] + scores[:, :j, j]
        begin = options.argmax(1)
        segment = options[rows, begin]
        alone = total[:, j - 1] + stray[j - 1]
        total[:, j] = np.maximum(segment, alone)
        previous[:, j] = np.where(segment > alone, begin, -1)
    return total[:, -1], previous


def _trace(previous: np.ndarray, starts: np.ndarray) -> list[tuple[int, int]]:
    segments = []
    j = len(starts) - 1
    while j > 0:
        i = int(previous[j])
        if i >= 0:
            segments.append((int(starts[i]), int(starts[j])))
        j = i if i >= 0 else j - 1
    return segments[::-1]

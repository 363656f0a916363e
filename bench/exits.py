"""Exits out of runtimes, against what changepoint packages make of the same sorted runtimes in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import ruptures
import torch
from bayesian_changepoint_detection import const_prior, offline_changepoint_detection
from bayesian_changepoint_detection.offline_likelihoods import StudentT
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from bench.compare import row
from exitprint.timing.exits import estimate_exits
from exitprint.timing.exits.simulated import Clock

CLOCK = Clock(exits=10, ratio=10)
SLOW, MANY = 2_000, 10_000

Times = NDArray[np.float64]
Starts = NDArray[np.intp]
T = TypeVar("T")


def offline_changepoints(ordered: Times) -> Starts:
    """`bayesian-changepoint`'s offline detection (Fearnhead 2006), told the width of the noise by its unit."""
    prior = partial(const_prior, p=1 / (len(ordered) + 1))
    data = torch.from_numpy((ordered - ordered.mean()) * CLOCK.ratio)
    _, _, log_changes = offline_changepoint_detection(data, prior, StudentT())
    return 1 + np.flatnonzero(log_changes.exp().sum(0).numpy() > 0.5)


def kernel_penalty(ordered: Times) -> Starts:
    """`ruptures`' KernelCPD (PELT, changes of the mean), with BIC's penalty for the noise, which it is told."""
    penalty = 2 * np.log(len(ordered)) / CLOCK.ratio**2
    return np.array(ruptures.KernelCPD(kernel="linear").fit(ordered).predict(pen=penalty)[:-1])


def kernel_told(ordered: Times) -> Starts:
    """`ruptures`' KernelCPD, told the number of exits."""
    return np.array(ruptures.KernelCPD(kernel="linear").fit(ordered).predict(n_bkps=CLOCK.num_exits - 1)[:-1])


PEERS: tuple[tuple[str, Callable[[Times], Starts], int], ...] = (
    ("bayesian-changepoint, offline", offline_changepoints, SLOW),
    ("ruptures KernelCPD, BIC penalty, told the noise", kernel_penalty, MANY),
    ("ruptures KernelCPD, told the number of exits", kernel_told, MANY),
)


def rows(seed: int = 0) -> list[dict[str, Any]]:
    """One row for each peer: both sides on the same runtimes; `ratio` is the peer's time over ours."""
    estimate_exits(CLOCK.draw(SLOW, 1, np.random.default_rng(seed))[0])
    return [_row(name, peer, inputs, seed) for name, peer, inputs in PEERS]


def _row(name: str, peer: Callable[[Times], Starts], inputs: int, seed: int) -> dict[str, Any]:
    seconds, left_at = CLOCK.draw(inputs, 1, np.random.default_rng(seed))
    times = seconds[:, 0]
    order = np.argsort(times, kind="stable")
    estimate, ours_s = _timed(lambda: estimate_exits(times))
    starts, peer_s = _timed(lambda: peer(times[order]))
    theirs = np.empty(inputs, dtype=int)
    theirs[order] = np.searchsorted(starts, np.arange(inputs), side="right")
    note = (
        f"{CLOCK.num_exits} exits at gap-to-noise {CLOCK.ratio:g}; ours found {estimate.count}, "
        f"ARI {adjusted_rand_score(left_at, estimate.exits):.3f}; peer found {len(starts) + 1}, "
        f"ARI {adjusted_rand_score(left_at, theirs):.3f}"
    )
    return row(f"exits from {inputs:,} runtimes against {name}", "", [ours_s], [peer_s], note)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.process_time()
    result = work()
    return result, time.process_time() - started

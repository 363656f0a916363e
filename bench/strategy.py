"""The search for an output strategy, against a general global optimiser on the same queries in the same run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution

from bench.compare import row
from exitprint.stealing import search_thresholds

QUERIES, EXITS, NOISE = 10_000, 27, 0.1
GENERATIONS, POPULATION = 20, 5


def planted(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Confidences, a victim's exits under thresholds of its own and a noisy view of these, and costs of the exits."""
    confidences = (rng.random((QUERIES, 1)) + rng.random((QUERIES, EXITS))) / 2
    seen = confidences + NOISE * rng.standard_normal(confidences.shape)
    return confidences, leaving(seen, rng.uniform(0.7, 0.95, EXITS - 1)), np.linspace(1 / EXITS, 1, EXITS)


def leaving(confidences: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.intp]:
    """The first exit at which each query is confident enough."""
    leaves = np.ones(confidences.shape, dtype=bool)
    leaves[:, :-1] = confidences[:, :-1] >= thresholds
    return leaves.argmax(1)


def rows(seed: int = 0) -> list[dict[str, Any]]:
    """One row without and one with the victim's mean cost to be met; the peer knows of no cost."""
    confidences, left_at, costs = planted(np.random.default_rng(seed))

    def missed(thresholds: NDArray[np.float64]) -> float:
        return -float((leaving(confidences, thresholds) == left_at).mean())

    started = time.process_time()
    peer = differential_evolution(
        missed, [(0, 1)] * (EXITS - 1), maxiter=GENERATIONS, popsize=POPULATION, rng=seed, polish=False
    )
    peer_s = time.process_time() - started
    made = []
    for name, cost in (("", None), (" at the victim's cost", costs)):
        started = time.process_time()
        found = search_thresholds(confidences, left_at, costs=cost)
        ours_s = time.process_time() - started
        apart = costs[found.exits].mean() / costs[left_at].mean() - 1
        note = (
            f"{QUERIES:,} queries, {EXITS} exits; ours agrees {found.agreement:.3f}, cost {100 * apart:+.1f} %; peer "
            f"agrees {-peer.fun:.3f}"
        )
        name = f"strategy search{name} against scipy's differential evolution"
        made.append(row(name, "ours in 2 s", [ours_s], [peer_s], note))
    return made

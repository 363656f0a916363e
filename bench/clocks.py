"""Measured time and the cost model order the exits alike."""

from __future__ import annotations

from typing import Any

from scipy.stats import spearmanr

from bench.subjects import data, described, even_policy, network
from exitprint.suspects import CostModel, InProcess
from exitprint.timing import measure

INPUTS, REPEATS = 200, 10


def rows() -> list[dict[str, Any]]:
    """Spearman's correlation of both clocks over benign inputs."""
    x = data().test[:INPUTS].x
    spread = network().copy()
    spread.policy = even_policy(spread, x)
    measured = measure(InProcess(spread), {"benign": x}, REPEATS)["benign"].per_input
    modelled = measure(CostModel(spread), {"benign": x})["benign"].per_input
    return [
        {
            "name": "clocks: Spearman of measured time and cost model",
            "ours_s": float(measured.sum()),
            "peer_s": float(modelled.sum()),
            "ratio": float(spearmanr(measured, modelled).statistic),
            "spread": "",
            "goal": "≥ 0.95",
            "note": f"{described()}, {INPUTS} inputs, as many at each exit, minimum of {REPEATS}",
        }
    ]

"""Thresholds: the best trade-off, never better held out than it looks, and the natural one left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitprint_studies.paper.judge import best_threshold, held_out, judged, loosest_and_strictest

SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=2, max_size=12)


def test_separated_groups_are_split_in_the_middle_of_the_gap() -> None:
    assert best_threshold([0.8, 0.9], [0.1, 0.4]) == pytest.approx(0.6)
    assert best_threshold([0.9], [0.2, 0.3, 0.95]) == pytest.approx(0.6)


def test_of_equally_good_thresholds_the_strictest_is_taken() -> None:
    assert best_threshold([0.2, 0.8], [0.1, 0.3]) == pytest.approx(0.55)


@given(SCORES, SCORES)
def test_no_threshold_does_better(stolen: list[float], independent: list[float]) -> None:
    x, y = np.array(stolen), np.array(independent)

    def gain(limit: float) -> float:
        return float((x > limit).mean() - (y > limit).mean())

    best = gain(best_threshold(x, y))
    assert all(gain(limit) <= best + 1e-9 for limit in np.linspace(-0.01, 1.01, 205))


@given(SCORES, SCORES)
def test_the_extremes_are_what_they_say(stolen: list[float], independent: list[float]) -> None:
    x, y = np.array(stolen), np.array(independent)
    loosest, strictest = loosest_and_strictest(x, y)
    assert (x > loosest).all() and not (y > strictest).any()


def test_held_out_judges_each_half_by_the_other() -> None:
    hits, misses = held_out([0.9, 0.4, 0.9, 0.4], [0.5, 0.1, 0.5, 0.1])
    assert hits.tolist() == [True, False, True, False] and misses.tolist() == [True, False, True, False]


def row(truth: str, method: str, score: float, pool: str = "rates") -> dict[str, object]:
    place = {"architecture": "resnet", "data": "digits", "RAD": 5.0, "method": method, "pool": pool}
    return {**place, "truth": truth, "score": score, "derived": float(score > 0.7), "own threshold": 0.5}


def test_rows_are_judged_by_their_own_method() -> None:
    rows = [
        *(row(truth, "paper", score) for truth, score in (("stolen", -0.1), ("independent", -0.5), ("target", 0.0))),
        row("stolen", "paper", -0.9, "more"),
        *(row(truth, "baseline", score) for truth, score in (("stolen", 0.8), ("independent", 0.2))),
        *(row(truth, "contrast", score) for truth, score in (("stolen", 0.6), ("independent", 0.8))),
    ]
    found = judged(rows)
    assert [each["verified"] for each in found] == [True, False, True, False, True, False, False, True]
    assert found[0]["threshold"] == pytest.approx(0.3) and found[4]["threshold"] == pytest.approx(0.5)
    assert found[6]["threshold"] == 0.5


def test_without_one_of_the_groups_nobody_is_verified_or_not() -> None:
    [found] = judged([row("stolen", "paper", -0.1)])
    assert found["threshold"] is None and found["verified"] is None
